//! Checkpoints: what changed since the last one, behind the fold and never in its way.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, SyncSender, TryRecvError, channel, sync_channel};
use std::time::{Duration, Instant};

use super::saved::Images;
use super::shared::Core;
use super::slot::Slot;
use crate::error::StoreFailure;
use crate::meters;
use crate::store::{Checkpoints, Head, Part, SavedView, StoreError, ViewCheckpoint, Witness};
use crate::sync::{ReplyTo, lock};
use crate::table::said;

/// How many rows that the store never had go into one checkpoint: a view that was rebuilt is saved a stretch at a time, so that the fold
/// is not held up.
const STRETCH: usize = 65_536;

/// How many rows of SQL's are looked at before a checkpoint gets its turn.
const LOOK: usize = 4096;

/// The fingerprint of a checkpoint that does not have all rows yet: no projection's, so a start that finds it rebuilds the view.
const INCOMPLETE: u128 = 0;

/// When checkpoints are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) interval: Duration,
    pub(crate) events: u64,
}

/// A view's checksums, as the store has its rows.
#[derive(Default)]
pub(crate) struct Sums {
    /// By part and number; 0 where there is no row.
    parts: [Vec<u64>; Part::COUNT],
    /// How many rows there are, of all parts.
    rows: u64,
    digest: u64,
}

/// The fold's end: gathers what is to be saved.
pub(crate) struct Saver {
    jobs: SyncSender<Job>,
    news: Receiver<News>,
    pace: Pace,
    views: Vec<Saved>,
    /// The position at which the log's end was witnessed; `None` if it is to be witnessed anew.
    witnessed: Option<u64>,
    busy: bool,
    failing: bool,
    /// Whether the store's rows were found to be damaged, and have not all been saved anew since.
    damaged: bool,
    /// Whether what SQL shows is still being looked through.
    looking: bool,
    /// When the last checkpoint began, and at which position.
    last: Instant,
    last_position: u64,
    /// The position of the last one that was saved.
    saved_position: u64,
    waiting: Vec<ReplyTo<Result<(), StoreFailure>>>,
    in_flight: Vec<ReplyTo<Result<(), StoreFailure>>>,
}

/// What the store has of a view, or will have once the checkpoint under way is saved.
pub(crate) struct Saved {
    pub(crate) position: u64,
    /// Whether the rows that the store may have are to be forgotten.
    pub(crate) reset: bool,
    /// Whether it has every row.
    pub(crate) complete: bool,
    pub(crate) fault: bool,
}

impl Saved {
    /// Nothing that is of any use.
    pub(crate) const UNSAVED: Self = Self { position: u64::MAX, reset: true, complete: false, fault: false };
}

struct Job {
    witness: Witness,
    views: Vec<(usize, ViewCheckpoint)>,
}

/// What the checkpoint thread has to say.
enum News {
    Outcome(Outcome),
    /// What SQL shows of these rows of a view is not what was written.
    Faded(usize, Vec<u64>),
    /// What SQL shows of a view cannot be read.
    Illegible(usize),
    /// What SQL shows has been looked through.
    Looked,
}

/// How a job went: for each view its number, whether it was a reset, and, if the job failed, the ids that are unsaved.
struct Outcome {
    views: Vec<(usize, bool, Vec<u64>)>,
    result: Result<(), Arc<StoreError>>,
}

/// The checkpoint thread's end.
pub(crate) struct SaverThread {
    core: Arc<Core>,
    store: Box<dyn Checkpoints>,
    sums: Vec<Sums>,
    jobs: Receiver<Job>,
    news: Sender<News>,
    /// The views whose rows SQL shows since before this start, and are yet to be looked at; of the last of them, from this row on.
    unseen: Vec<usize>,
    from: u32,
}

pub(crate) fn saver(
    core: &Arc<Core>,
    store: Box<dyn Checkpoints>,
    sums: Vec<Sums>,
    views: Vec<Saved>,
    witnessed: Option<u64>,
    pace: Pace,
    position: u64,
) -> (Saver, SaverThread) {
    let (jobs, jobs_end) = sync_channel(1);
    let (news_end, news) = channel();
    let unseen: Vec<usize> = (0..views.len()).filter(|view| views[*view].complete).collect();
    let saver = Saver {
        jobs,
        news,
        pace,
        views,
        witnessed,
        busy: false,
        failing: false,
        damaged: false,
        looking: !unseen.is_empty(),
        last: Instant::now(),
        last_position: position,
        saved_position: position,
        waiting: Vec::new(),
        in_flight: Vec::new(),
    };
    let core = core.clone();
    (saver, SaverThread { core, store, sums, jobs: jobs_end, news: news_end, unseen, from: 0 })
}

impl Saver {
    /// Saves as soon as it can, and answers when everything is saved.
    pub(crate) fn ask(&mut self, reply: ReplyTo<Result<(), StoreFailure>>) {
        self.waiting.push(reply);
    }

    /// A view that was rebuilt: the store is to forget what it has of it.
    pub(crate) fn rebuilt(&mut self, view: usize) {
        self.views[view] = Saved { position: 0, reset: true, complete: false, fault: false };
    }

    /// The log's end counts as much as the views: it is witnessed also where there is no view.
    fn needed(&self, slots: &[Slot], head: Head) -> bool {
        let unlike = |(slot, saved): (&Slot, &Saved)| {
            slot.view.is_some()
                && (slot.at.position != saved.position
                    || !saved.complete
                    || slot.fault.is_some() != saved.fault)
        };
        self.witnessed != Some(head.position) || slots.iter().zip(&self.views).any(unlike)
    }

    /// How long the fold may sleep before the next [`tick`](Self::tick).
    pub(crate) fn sleep(&self, slots: &[Slot], head: Head) -> Option<Duration> {
        (!self.busy && self.needed(slots, head)).then(|| {
            let unfinished =
                !self.failing && self.views.iter().zip(slots).any(|(v, s)| !v.complete && s.view.is_some());
            if unfinished || !self.waiting.is_empty() {
                Duration::ZERO
            } else {
                self.pace.interval.saturating_sub(self.last.elapsed())
            }
        })
    }

    /// Whether so many events have come that it is time for the next [`tick`](Self::tick), whatever the clock says.
    pub(crate) fn due(&self, position: u64) -> bool {
        self.far_behind(position) || !self.failing && position - self.last_position >= self.pace.events / 2
    }

    /// Whether one more batch could be one too many before what is under way has been saved.
    fn far_behind(&self, position: u64) -> bool {
        let room = self.pace.events / 16;
        self.busy && position - self.saved_position >= self.pace.events - room
    }

    /// Looks at what became of the last checkpoint, and begins the next if it is time.
    pub(crate) fn tick(&mut self, core: &Core, slots: &mut [Slot], head: Head) {
        let position = head.position;
        self.collect(slots);
        if self.far_behind(position) {
            // The store is slower than the fold: the promised bound is kept by waiting for it.
            self.wait(slots);
        }
        if self.busy {
            return;
        }
        if !self.needed(slots, head) {
            if self.looking {
                return;
            }
            for reply in self.waiting.drain(..) {
                reply.send(Ok(()));
            }
            return;
        }
        if self.sleep(slots, head) == Some(Duration::ZERO) || self.due(position) {
            self.begin(core, slots, head);
        }
    }

    /// Saves everything, and waits for it: the last checkpoint.
    pub(crate) fn finish(mut self, core: &Core, slots: &mut [Slot], head: Head) {
        self.collect(slots);
        self.wait(slots);
        while self.needed(slots, head) {
            self.begin(core, slots, head);
            self.wait(slots);
            if self.failing {
                break;
            }
        }
        for reply in self.waiting.drain(..) {
            reply.send(if self.failing { Err(StoreFailure::Closed) } else { Ok(()) });
        }
    }

    fn begin(&mut self, core: &Core, slots: &mut [Slot], head: Head) {
        let mut views = Vec::new();
        for (number, (slot, saved)) in slots.iter_mut().zip(&mut self.views).enumerate() {
            let Some(view) = &mut slot.view else { continue };
            let stretch = if saved.complete { usize::MAX } else { STRETCH };
            let Images { gone, changed, complete } = view.images(stretch);
            let ty = &core.catalog.views[number];
            let state = match &slot.fault {
                _ if !complete => "rebuilding".to_owned(),
                None => "live".to_owned(),
                Some(fault) => fault.to_string(),
            };
            let checkpoint = ViewCheckpoint {
                view: SavedView {
                    name: ty.name().to_owned(),
                    fingerprint: if complete { ty.fingerprint() } else { INCOMPLETE },
                    store: core.store_id,
                    position: slot.at.position,
                    log_checksum: slot.at.checksum,
                    rows: 0,
                    digest: 0,
                    state,
                },
                columns: ty.columns(),
                reset: saved.reset,
                gone,
                changed,
            };
            *saved =
                Saved { position: slot.at.position, reset: false, complete, fault: slot.fault.is_some() };
            views.push((number, checkpoint));
        }
        self.in_flight.append(&mut self.waiting);
        self.last = Instant::now();
        self.last_position = head.position;
        self.witnessed = Some(head.position);
        let witness = Witness { store: core.store_id, head };
        self.busy = self.jobs.send(Job { witness, views }).is_ok();
        self.failing = !self.busy;
    }

    /// Takes in what has come back, without waiting.
    fn collect(&mut self, slots: &mut [Slot]) {
        loop {
            match self.news.try_recv() {
                Ok(news) => self.hear(news, slots),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.lost(),
            }
        }
    }

    fn wait(&mut self, slots: &mut [Slot]) {
        while self.busy {
            match self.news.recv() {
                Ok(news) => self.hear(news, slots),
                Err(_) => self.lost(),
            }
        }
    }

    fn hear(&mut self, news: News, slots: &mut [Slot]) {
        match news {
            News::Outcome(outcome) => self.settle(outcome, slots),
            News::Illegible(number) => self.save_whole(number, &mut slots[number]),
            News::Looked => self.looking = false,
            News::Faded(number, rows) => {
                if let Some(view) = &mut slots[number].view {
                    view.unsaved(&rows);
                    self.views[number].position = u64::MAX;
                }
            }
        }
    }

    /// What the store has of a view is of no use.
    fn save_whole(&mut self, number: usize, slot: &mut Slot) {
        if let Some(view) = &mut slot.view {
            view.save_all();
        }
        self.rebuilt(number);
    }

    /// The checkpoint thread is gone: nothing more is saved.
    fn lost(&mut self) {
        (self.busy, self.failing, self.looking) = (false, true, false);
        self.in_flight.clear();
        self.waiting.clear();
    }

    fn settle(&mut self, outcome: Outcome, slots: &mut [Slot]) {
        self.busy = false;
        let damaged = outcome.result.as_ref().is_err_and(|error| is_damage(error));
        // Damage is made good at once. Where that does not help, it is tried again as after any other failure.
        let mending = damaged && !self.damaged;
        self.damaged |= damaged;
        self.failing = outcome.result.is_err() && !mending;
        match outcome.result {
            Ok(()) => {
                self.saved_position = self.last_position;
                let whole = |(saved, slot): (&Saved, &Slot)| {
                    saved.complete && saved.position != u64::MAX || slot.view.is_none()
                };
                let whole = self.views.iter().zip(&*slots).all(whole);
                self.damaged &= !whole;
                if self.looking || !whole {
                    self.waiting.append(&mut self.in_flight);
                }
                for reply in self.in_flight.drain(..) {
                    reply.send(Ok(()));
                }
            }
            Err(error) => {
                self.last = Instant::now();
                self.witnessed = None;
                for (number, reset, ids) in outcome.views {
                    let saved = &mut self.views[number];
                    // No position is this one, so the view is tried again.
                    saved.position = u64::MAX;
                    saved.reset |= reset;
                    if let Some(view) = &mut slots[number].view {
                        view.unsaved(&ids);
                    }
                }
                if damaged {
                    slots.iter_mut().enumerate().for_each(|(number, slot)| self.save_whole(number, slot));
                }
                if mending {
                    self.waiting.append(&mut self.in_flight);
                }
                for reply in self.in_flight.drain(..) {
                    reply.send(Err(StoreFailure::Store(error.clone())));
                }
            }
        }
    }
}

/// Whether what the store had is of no use any more.
fn is_damage(error: &StoreError) -> bool {
    matches!(error, StoreError::Corrupt { .. })
}

impl SaverThread {
    /// Runs until the fold has no more jobs for it. Should a store panic, that shows in `health`, and the fold goes on without checkpoints.
    pub(crate) fn run(self) {
        let core = self.core.clone();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.work())) {
            core.break_down(format!(
                "saving a checkpoint panicked, and no more are saved: {}",
                said(&*panic)
            ));
            // The fold may sleep until it hears of the one under way.
            core.nudge();
        }
    }

    fn work(mut self) {
        while let Some(job) = self.next() {
            let outcome = self.save(job);
            if !self.tell(News::Outcome(outcome)) {
                return;
            }
        }
    }

    /// The next job. What SQL shows is looked through until one comes.
    fn next(&mut self) -> Option<Job> {
        while let Some(view) = self.unseen.last() {
            match self.jobs.try_recv() {
                Ok(job) => return Some(job),
                Err(TryRecvError::Disconnected) => return None,
                Err(TryRecvError::Empty) => self.look(*view),
            }
        }
        self.jobs.recv().ok()
    }

    /// Looks at some rows as SQL shows them: nothing else reads them back, so a start would not notice that they are not what was written.
    /// Those that are not are written anew.
    fn look(&mut self, view: usize) {
        let name = self.core.catalog.views[view].name();
        let (mut seen, mut faded, mut last) = (0, Vec::new(), self.from);
        let read = self.store.renderings(name, self.from, LOOK, &mut |row| {
            (seen, last) = (seen + 1, row.id);
            if !row.whole {
                faded.push(Part::Rows.id(row.id));
            }
        });
        match &read {
            Ok(()) => {}
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::warn!(view = name, %error, "what SQL shows of the view is damaged: it is written anew");
                self.tell(News::Illegible(view));
            }
            Err(error) => tracing::warn!(view = name, %error, "what SQL shows could not be looked through"),
        }
        self.from = last.saturating_add(1);
        if read.is_err() || seen < LOOK {
            self.unseen.pop();
            self.from = 0;
        }
        if read.is_ok() && !faded.is_empty() {
            let rows = faded.len();
            tracing::warn!(view = name, rows, "what SQL shows of the view was damaged, and is written anew");
            self.tell(News::Faded(view, faded));
        }
        if self.unseen.is_empty() {
            self.tell(News::Looked);
        }
    }

    /// Whether there is still someone to be told.
    fn tell(&self, news: News) -> bool {
        let told = self.news.send(news).is_ok();
        self.core.nudge();
        told
    }

    fn save(&mut self, job: Job) -> Outcome {
        let _span = tracing::debug_span!("checkpoint").entered();
        let (numbers, mut checkpoints): (Vec<usize>, Vec<ViewCheckpoint>) = job.views.into_iter().unzip();
        for (number, checkpoint) in numbers.iter().zip(&mut checkpoints) {
            let sums = &mut self.sums[*number];
            if checkpoint.reset {
                *sums = Sums::default();
            }
            let (digest, rows) = sums.after(checkpoint);
            (checkpoint.view.digest, checkpoint.view.rows) = (digest, rows);
        }
        let begun = Instant::now();
        let rows: usize = checkpoints.iter().map(|it| it.changed.len() + it.gone.len()).sum();
        let result = self.store.save(job.witness, &checkpoints).map_err(Arc::new);
        let failed = result.is_err();
        let complete = |checkpoint: &ViewCheckpoint| checkpoint.view.fingerprint != INCOMPLETE;
        let mut views = Vec::with_capacity(numbers.len());
        for (number, checkpoint) in numbers.iter().zip(&checkpoints) {
            let mut ids = Vec::new();
            if failed {
                ids.clone_from(&checkpoint.gone);
                ids.extend(checkpoint.changed.iter().map(|row| row.id));
            } else {
                self.sums[*number].take(checkpoint);
                if complete(checkpoint) {
                    *lock(&self.core.vitals[*number].checkpoint) =
                        Some((checkpoint.view.position, Instant::now()));
                    meters::saved(self.core.catalog.views[*number].name(), checkpoint.view.position);
                }
            }
            views.push((*number, checkpoint.reset, ids));
        }
        match &result {
            Ok(()) => {
                tracing::debug!(views = views.len(), rows, elapsed = ?begun.elapsed(), "checkpoint saved");
                if checkpoints.iter().all(complete) {
                    lock(&self.core.checkpoint_failure).take();
                    meters::saving(true);
                }
            }
            Err(error) => {
                if is_damage(error) {
                    self.core.vitals.iter().for_each(|vitals| _ = lock(&vitals.checkpoint).take());
                }
                tracing::warn!(%error, "the checkpoint could not be saved; it is tried again");
                *lock(&self.core.checkpoint_failure) = Some(error.to_string());
                meters::saving(false);
            }
        }
        Outcome { views, result }
    }
}

impl Sums {
    pub(crate) fn len(&self) -> u64 {
        self.rows
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// The checksum of a row; 0 if it is not there.
    fn get(&self, id: u64) -> u64 {
        let part = self.parts.get((id >> 32) as usize);
        part.and_then(|part| part.get(id as u32 as usize)).copied().unwrap_or(0)
    }

    /// Notes a row, in place of the one of its id; 0 that it is not there.
    pub(crate) fn set(&mut self, id: u64, checksum: u64) {
        let before = self.get(id);
        self.digest = self.digest.wrapping_sub(before).wrapping_add(checksum);
        self.rows = self.rows + u64::from(checksum != 0) - u64::from(before != 0);
        let Some(part) = self.parts.get_mut((id >> 32) as usize) else { return };
        let at = id as u32 as usize;
        if at >= part.len() && checksum != 0 {
            part.resize(at + 1, 0);
        }
        if let Some(sum) = part.get_mut(at) {
            *sum = checksum;
        }
    }

    /// Digest and number of rows once this checkpoint is saved.
    pub(crate) fn after(&self, checkpoint: &ViewCheckpoint) -> (u64, u64) {
        let (mut digest, mut rows) = (self.digest, self.rows);
        // No id is there twice.
        for id in &checkpoint.gone {
            let before = self.get(*id);
            digest = digest.wrapping_sub(before);
            rows -= u64::from(before != 0);
        }
        for row in checkpoint.changed.iter() {
            let before = self.get(row.id);
            digest = digest.wrapping_sub(before).wrapping_add(row.checksum);
            rows += u64::from(before == 0);
        }
        (digest, rows)
    }

    pub(crate) fn take(&mut self, checkpoint: &ViewCheckpoint) {
        checkpoint.gone.iter().for_each(|id| self.set(*id, 0));
        checkpoint.changed.iter().for_each(|row| self.set(row.id, row.checksum));
        debug_assert_eq!((self.digest, self.rows), (checkpoint.view.digest, checkpoint.view.rows));
    }
}

impl Core {
    /// Notes a view's figures.
    pub(crate) fn measure(&self, number: usize, slot: &Slot) {
        let Some(view) = &slot.view else { return };
        let vitals = &self.vitals[number];
        vitals.position.store(slot.at.position, Ordering::Relaxed);
        vitals.rows.store(view.len() as u64, Ordering::Relaxed);
        vitals.late.store(view.late(), Ordering::Relaxed);
        vitals.parked.store(view.parked().len(), Ordering::Relaxed);
        let memory = view.memory();
        vitals.memory.store(memory, Ordering::Relaxed);
        meters::view(self.catalog.views[number].name(), view.len(), view.parked().len(), memory);
    }
}
