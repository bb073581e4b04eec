//! What outlives an engine: the log, the checkpoints, and how late it is. Here things go wrong, when a story says so.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use cqrs_core::Timestamp;
use cqrs_core::store::{
    AppendFailure, Beside, Head, Log, LogEvent, LogReader, MemoryStore, Store, StoreError, chain,
};

use crate::kept::Kept;
use crate::language::Stocked;

/// What an engine asks of a store, as far as it can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Append,
    /// By an event's id.
    Find,
    /// What is stored beside events: sources and notes.
    Beside,
    Read,
    /// The log's end, and checksums.
    Look,
    Save,
}

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing happens, and the answer says so.
    Refused,
    /// An append is done, and nobody is told.
    Lost,
    /// An append is not done, and nobody is told.
    Vanished,
    /// An append is done, but later: nobody is told, and the next who comes may find the log as it was.
    Delayed,
    /// Another writer comes first.
    Overtaken,
    /// The process dies before it is done.
    DiesBefore,
    /// The process dies once it is done.
    DiesAfter,
}

/// A fault that waits for its call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Armed {
    pub(crate) call: Call,
    /// How many such calls go well first.
    pub(crate) after: u32,
    pub(crate) fault: Fault,
}

#[derive(Default)]
struct State {
    /// Which process it is. Those before are dead.
    life: u64,
    dead: bool,
    armed: Option<Armed>,
    /// Whether the fault that was armed last has come.
    fired: bool,
    kept: Kept,
    /// Earlier checkpoints, one of which a crash may leave.
    marks: Vec<Kept>,
    delayed: Option<Delayed>,
    /// Whether appends are held up, and whether one is.
    closed: bool,
    arrived: bool,
    mourners: Vec<Waker>,
    /// Positions of what others have written, or was written late.
    strange: Vec<u64>,
    foreign: u64,
}

/// An append under way.
struct Delayed {
    expected: Head,
    events: Vec<Owned>,
    advances: Vec<(String, Option<u64>, u64)>,
    notes: Vec<(String, Option<Vec<u8>>)>,
}

struct Owned {
    name: String,
    version: u32,
    position: u64,
    recorded_at: Timestamp,
    event_id: Option<String>,
    metadata: Vec<u8>,
    payload: Vec<u8>,
    checksum: u64,
}

impl Owned {
    fn borrowed(&self) -> LogEvent<'_> {
        LogEvent {
            position: self.position,
            name: &self.name,
            version: self.version,
            recorded_at: self.recorded_at,
            event_id: self.event_id.as_deref(),
            metadata: &self.metadata,
            payload: &self.payload,
            checksum: self.checksum,
        }
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) log: MemoryStore,
    state: Mutex<State>,
    gate: Condvar,
    /// In microseconds.
    now: AtomicI64,
}

pub(crate) fn failure(what: &str) -> StoreError {
    StoreError::Io { action: "an access to the simulated store".into(), source: what.into() }
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> i64 {
        self.now.load(Ordering::SeqCst)
    }

    pub(crate) fn set_time(&self, micros: i64) {
        self.now.store(micros, Ordering::SeqCst);
    }

    /// The process that runs now.
    pub(crate) fn life(&self) -> u64 {
        self.state().life
    }

    pub(crate) fn arm(&self, armed: Option<Armed>) {
        let mut state = self.state();
        state.armed = armed;
        state.fired = false;
    }

    /// Whether the fault that was armed last has come.
    pub(crate) fn fired(&self) -> bool {
        self.state().fired
    }

    /// The process dies: from here on, nothing of what it does gets here.
    pub(crate) fn kill(&self) {
        let mut state = self.state();
        state.dead = true;
        let mourners = std::mem::take(&mut state.mourners);
        drop(state);
        mourners.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state().dead
    }

    pub(crate) fn poll_death(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.dead {
            return Poll::Ready(());
        }
        state.mourners.push(context.waker().clone());
        Poll::Pending
    }

    /// Another process begins, on what the one before has left.
    pub(crate) fn rise(&self) {
        let mut state = self.state();
        state.life += 1;
        state.dead = false;
        state.mourners.clear();
    }

    /// Remembers the checkpoints as they are: a crash may leave them so.
    pub(crate) fn mark(&self) {
        let mut state = self.state();
        let kept = state.kept.clone();
        if state.marks.last() != Some(&kept) {
            state.marks.push(kept);
        }
    }

    pub(crate) fn marks(&self) -> usize {
        self.state().marks.len()
    }

    /// Puts back the checkpoints as they were remembered.
    pub(crate) fn put_back(&self, mark: usize) {
        let mut state = self.state();
        state.kept = state.marks[mark].clone();
    }

    pub(crate) fn change_kept<T>(&self, change: impl FnOnce(&mut Kept) -> T) -> T {
        change(&mut self.state().kept)
    }

    /// Whether this process may go on, and how this call of its goes wrong.
    pub(crate) fn enter(&self, life: u64, call: Call) -> Result<Option<Fault>, StoreError> {
        let mut state = self.state();
        if state.dead || state.life != life {
            return Err(failure("this process is dead"));
        }
        let Some(armed) = state.armed.as_mut().filter(|armed| armed.call == call) else { return Ok(None) };
        if armed.after > 0 {
            armed.after -= 1;
            return Ok(None);
        }
        let fault = armed.fault;
        state.armed = None;
        state.fired = true;
        drop(state);
        if matches!(fault, Fault::DiesBefore | Fault::DiesAfter) {
            self.kill();
        }
        Ok(Some(fault))
    }

    /// The same, for a call that only reads: any fault of its is an error.
    pub(crate) fn look(&self, life: u64, call: Call) -> Result<(), StoreError> {
        self.enter(life, call)?.map_or(Ok(()), |_| Err(failure("it cannot be read just now")))
    }

    /// Holds up appends.
    pub(crate) fn close_gate(&self) {
        let mut state = self.state();
        (state.closed, state.arrived) = (true, false);
    }

    /// Waits until one is held up.
    pub(crate) fn wait_for_arrival(&self) {
        let state = self.state();
        drop(self.gate.wait_while(state, |state| !state.arrived));
    }

    pub(crate) fn open_gate(&self) {
        self.state().closed = false;
        self.gate.notify_all();
    }

    pub(crate) fn append(
        &self,
        life: u64,
        log: &mut dyn Log,
        expected: Head,
        events: &[LogEvent<'_>],
        beside: &Beside<'_>,
    ) -> Result<(), AppendFailure> {
        let mut state = self.state();
        if state.closed {
            state.arrived = true;
            self.gate.notify_all();
        }
        drop(self.gate.wait_while(state, |state| state.closed));
        let fault = self.enter(life, Call::Append).map_err(AppendFailure::NotAppended)?;
        // Who is refused is told the truth, also of an earlier try.
        if fault != Some(Fault::Refused) {
            self.land();
        }
        let unknown = || AppendFailure::Unknown(failure("no answer came"));
        match fault {
            None => self.write(log, expected, events, beside),
            Some(Fault::Refused) => Err(AppendFailure::NotAppended(failure("it is full just now"))),
            Some(Fault::Lost | Fault::DiesAfter) => {
                self.write(log, expected, events, beside)?;
                Err(unknown())
            }
            Some(Fault::Vanished | Fault::DiesBefore) => Err(unknown()),
            Some(Fault::Delayed) => {
                self.state().delayed = Some(Delayed::new(expected, events, beside));
                Err(unknown())
            }
            Some(Fault::Overtaken) => {
                self.write_foreign();
                self.write(log, expected, events, beside)
            }
        }
    }

    /// As a store does that has other writers.
    fn write(
        &self,
        log: &mut dyn Log,
        expected: Head,
        events: &[LogEvent<'_>],
        beside: &Beside<'_>,
    ) -> Result<(), AppendFailure> {
        let sources = self.reader().sources().map_err(AppendFailure::NotAppended)?;
        if beside.advances.iter().any(|advance| sources.get(advance.source).copied() != advance.after) {
            return Err(AppendFailure::HeadMoved(log.head().map_err(AppendFailure::NotAppended)?));
        }
        log.append(expected, events, beside)
    }

    /// What is under way comes to its end, if the log is still where it was.
    pub(crate) fn land(&self) {
        let Some(delayed) = self.state().delayed.take() else { return };
        let Ok(mut log) = self.log.log() else { return };
        let positions = delayed.events.iter().map(|event| event.position);
        if delayed.append(&mut *log).is_ok() {
            self.state().strange.extend(positions);
        }
    }

    /// Whether an append is under way of which nobody has been told.
    pub(crate) fn is_pending(&self) -> bool {
        self.state().delayed.is_some()
    }

    /// What is under way is lost.
    pub(crate) fn drop_delayed(&self) {
        self.state().delayed = None;
    }

    /// Another writer appends something, and is ahead of this one's clock at times.
    pub(crate) fn write_foreign(&self) {
        let foreign = {
            let mut state = self.state();
            state.foreign += 1;
            state.foreign
        };
        let event = Stocked { item: (foreign % 3) as u8, qty: 1, tag: Stocked::FOREIGN + foreign };
        let payload = rmp_serde::to_vec_named(&event).expect("it consists of numbers");
        let (mut log, mut reader) = (self.log.log().unwrap(), self.log.reader().unwrap());
        let head = log.head().unwrap();
        let mut last = i64::MIN;
        if head.position > 0 {
            let note = &mut |event: LogEvent<'_>| {
                last = event.recorded_at.as_micros();
                false
            };
            reader.read(head.position - 1, 1, note).unwrap();
        }
        let recorded_at = last.max(self.now()) + (foreign % 2) as i64 * 1_000;
        let mut event = LogEvent {
            position: head.position + 1,
            name: "Stocked",
            version: 1,
            recorded_at: Timestamp::from_micros(recorded_at),
            event_id: None,
            metadata: &[],
            payload: &payload,
            checksum: 0,
        };
        event.checksum = chain(head.checksum, &event);
        log.append(head, &[event], &Beside::default()).unwrap();
        self.state().strange.push(event.position);
    }

    /// Whether the event at this position was recorded by another clock than this process's, or at another time.
    pub(crate) fn is_strange(&self, position: u64) -> bool {
        self.state().strange.contains(&position)
    }

    pub(crate) fn reader(&self) -> Box<dyn LogReader> {
        self.log.reader().expect("memory")
    }
}

impl Delayed {
    fn new(expected: Head, events: &[LogEvent<'_>], beside: &Beside<'_>) -> Self {
        let owned = |event: &LogEvent<'_>| Owned {
            name: event.name.to_owned(),
            version: event.version,
            position: event.position,
            recorded_at: event.recorded_at,
            event_id: event.event_id.map(str::to_owned),
            metadata: event.metadata.to_vec(),
            payload: event.payload.to_vec(),
            checksum: event.checksum,
        };
        Self {
            expected,
            events: events.iter().map(owned).collect(),
            advances: beside.advances.iter().map(|it| (it.source.to_owned(), it.after, it.to)).collect(),
            notes: beside.notes.iter().map(|it| (it.key.to_owned(), it.value.map(<[u8]>::to_vec))).collect(),
        }
    }

    fn append(&self, log: &mut dyn Log) -> Result<(), AppendFailure> {
        use cqrs_core::store::{Advance, Note};
        let events: Vec<LogEvent<'_>> = self.events.iter().map(Owned::borrowed).collect();
        let advances: Vec<Advance<'_>> = self
            .advances
            .iter()
            .map(|(source, after, to)| Advance { source, after: *after, to: *to })
            .collect();
        let notes: Vec<Note<'_>> =
            self.notes.iter().map(|(key, value)| Note { key, value: value.as_deref() }).collect();
        log.append(self.expected, &events, &Beside { advances: &advances, notes: &notes })
    }
}

/// Shares a disk with the engine's clock.
pub(crate) fn clock(disk: &Arc<Disk>) -> impl Fn() -> Timestamp + Send + Sync + 'static {
    let disk = disk.clone();
    move || Timestamp::from_micros(disk.now())
}
