//! What an engine's threads, its views and its streams share.

use std::any::TypeId;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

use arc_swap::ArcSwap;

use super::catalog::Catalog;
use super::fold::Message;
use super::pipeline::Control;
use super::slot::AnyRows;
use crate::Timestamp;
use crate::decide::Named;
use crate::error::{AppendError, NoSuchView, ReadError, Refusal, StoreFailure};
use crate::health::{CheckpointHealth, Health, ViewHealth, ViewState};
use crate::meters;
use crate::projection::{Fault, Projection};
use crate::react::{self, Reactions, Said};
use crate::receipt::Receipt;
use crate::store::{LogReader, Store, StoreError, StoreId};
use crate::sync::{Signal, Timer, lock};
use crate::table::Rows;

/// All views at one position: replaced as a whole, once a batch.
pub(crate) struct Published {
    /// The last event that every live view has folded.
    pub(crate) position: u64,
    pub(crate) views: Vec<Shown>,
    pub(crate) closed: bool,
    /// How often views that are read were exchanged for ones that were folded anew: no event says so.
    pub(crate) exchanged: u64,
    /// Whether the fold has broken down: nothing more is published until it is closed.
    pub(crate) broken: bool,
}

/// What readers see of a view.
#[derive(Clone)]
pub(crate) enum Shown {
    Live(AnyRows),
    Rebuilding(Arc<AtomicU64>),
    Faulted(Arc<Fault>),
}

/// What says how late it is.
pub(crate) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A reader of the log that a stream holds, and the engine can take away.
pub(crate) type LentReader = Mutex<Option<Box<dyn LogReader>>>;

pub(crate) struct Core {
    pub(crate) catalog: Catalog,
    pub(crate) store_id: StoreId,
    pub(crate) read_only: bool,
    pub(crate) clock: Clock,
    /// `None` once closed.
    pub(crate) store: Mutex<Option<Arc<dyn Store>>>,
    pub(crate) published: ArcSwap<Published>,
    /// Held while a batch is published and delivered, and while a subscriber takes its place.
    pub(crate) gate: Mutex<()>,
    /// Something was published.
    pub(crate) folded: Signal,
    /// The position of the last durable event.
    pub(crate) durable: AtomicU64,
    /// `durable` moved.
    pub(crate) appended: Signal,
    pub(crate) timer: Timer,
    pub(crate) vitals: Vec<Vitals>,
    pub(crate) lent: Mutex<Vec<Weak<LentReader>>>,
    /// Threads that copy the store.
    pub(crate) backups: Mutex<Vec<std::thread::JoinHandle<()>>>,
    /// The units of views whose parked events are being retried.
    pub(crate) retrying: Mutex<Vec<usize>>,
    /// Why the store did not take the last events that came to it.
    append_failure: Mutex<Option<NotTaken>>,
    pub(crate) checkpoint_failure: Mutex<Option<String>>,
    pub(crate) broken: Mutex<Option<String>>,
    /// Whether nothing more is written, and what was written last may never be folded: the writer broke down.
    pub(crate) written_out: AtomicBool,
    /// Whether the background work is to stop: the engine closes.
    pub(crate) stop: AtomicBool,
    /// The last event that was acknowledged before views showed it.
    acknowledged: AtomicU64,
    /// How many decisions are being made.
    pub(crate) deciding: AtomicUsize,
    pub(crate) reactions: Reactions,
    pub(crate) commands: Named,
    /// By which notes are looked up; made when it is first needed.
    notes: Mutex<Option<Arc<LentReader>>>,
    controls: Mutex<VecDeque<Control>>,
    nudge: SyncSender<Message>,
}

/// A view's figures, for `health`.
#[derive(Default)]
pub(crate) struct Vitals {
    pub(crate) position: AtomicU64,
    pub(crate) rows: AtomicU64,
    pub(crate) late: AtomicU64,
    pub(crate) parked: AtomicUsize,
    pub(crate) memory: AtomicUsize,
    pub(crate) checkpoint: Mutex<Option<(u64, Instant)>>,
}

/// What [`Core::new`] is made from.
pub(crate) struct Start {
    pub(crate) catalog: Catalog,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) published: Published,
    pub(crate) durable: u64,
    pub(crate) nudge: SyncSender<Message>,
}

impl Core {
    pub(crate) fn new(start: Start) -> Self {
        let Start { catalog, store, clock, published, durable, nudge } = start;
        Self {
            vitals: catalog.views.iter().map(|_| Vitals::default()).collect(),
            catalog,
            store_id: store.id(),
            read_only: store.read_only(),
            clock,
            store: Mutex::new(Some(store)),
            published: ArcSwap::from_pointee(published),
            gate: Mutex::default(),
            folded: Signal::default(),
            durable: AtomicU64::new(durable),
            appended: Signal::default(),
            timer: Timer::default(),
            lent: Mutex::default(),
            backups: Mutex::default(),
            retrying: Mutex::default(),
            append_failure: Mutex::default(),
            checkpoint_failure: Mutex::default(),
            broken: Mutex::default(),
            written_out: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            deciding: AtomicUsize::new(0),
            notes: Mutex::default(),
            reactions: Reactions::default(),
            commands: Named::default(),
            controls: Mutex::default(),
            nudge,
        }
    }

    pub(crate) fn head(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn move_head(&self, position: u64) {
        self.durable.fetch_max(position, Ordering::AcqRel);
        meters::log(position);
        self.appended.notify();
    }

    /// A source's offset, as it is stored now.
    pub(crate) fn source(&self, source: &str) -> Result<Option<u64>, StoreFailure> {
        Ok(self.reader()?.sources()?.get(source).copied())
    }

    /// A reader of the log, for a moment; one that is kept is [lent](Self::lend).
    pub(crate) fn reader(&self) -> Result<Box<dyn LogReader>, StoreFailure> {
        let store = lock(&self.store).clone().ok_or(StoreFailure::Closed)?;
        Ok(store.reader()?)
    }

    /// Lends a reader of the log; `None` once the engine is closed.
    pub(crate) fn lend(&self) -> Result<Option<Arc<LentReader>>, StoreError> {
        // Held until the reader is lent: closing takes the store first, and then what is lent.
        let store = lock(&self.store);
        let Some(store) = store.as_ref() else { return Ok(None) };
        let reader = Arc::new(Mutex::new(Some(store.reader()?)));
        let mut lent = lock(&self.lent);
        lent.retain(|reader| reader.strong_count() > 0);
        lent.push(Arc::downgrade(&reader));
        Ok(Some(reader))
    }

    /// Is told what is acknowledged before views show it.
    pub(crate) fn acknowledge(&self, receipt: &Receipt) {
        self.acknowledged.fetch_max(receipt.last, Ordering::AcqRel);
    }

    /// Everything that was acknowledged and that views may not show yet is up to here. What is acknowledged otherwise is shown.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Acquire)
    }

    /// Waits until readers see everything up to a position, or never will.
    pub(crate) async fn shown(&self, position: u64) {
        let look = || {
            let published = self.published.load();
            let over = published.closed || published.broken || self.written_out.load(Ordering::SeqCst);
            (published.position >= position || over).then_some(())
        };
        self.folded.until(look).await;
    }

    /// The receipt that is kept under a note.
    pub(crate) fn receipt_of(&self, note: &str) -> Result<Option<Receipt>, AppendError> {
        let failed = |error: StoreError| AppendError::unread(Arc::new(error));
        let closed = || AppendError::NotAppended(Refusal::Closed);
        let mut notes = lock(&self.notes);
        if notes.is_none() {
            *notes = self.lend().map_err(failed)?;
        }
        let lent = notes.clone().ok_or_else(closed)?;
        drop(notes);
        let mut reader = lock(&lent);
        let reader = reader.as_mut().ok_or_else(closed)?;
        kept_receipt(&mut **reader, self.store_id, note).map_err(failed)
    }

    /// Asks something of the fold, between two batches.
    pub(crate) fn control(&self, control: Control) {
        lock(&self.controls).push_back(control);
        self.nudge();
    }

    /// Has the fold look around.
    pub(crate) fn nudge(&self) {
        // A full queue has it awake already.
        let _ = self.nudge.try_send(Message::Nudge);
    }

    pub(crate) fn take_control(&self) -> Option<Control> {
        lock(&self.controls).pop_front()
    }

    /// The number of the view whose rows are of this type.
    pub(crate) fn number(&self, row: TypeId, projection: &'static str) -> Result<usize, NoSuchView> {
        self.catalog.view_number(row).ok_or(NoSuchView { projection })
    }

    /// The rows of a view, with their type, as they are published.
    pub(crate) fn rows<'p, P: Projection>(
        &self,
        published: &'p Published,
        view: usize,
    ) -> Result<&'p Rows<P>, ReadError> {
        let rows = &**self.any_rows(published, view)?;
        let Some(rows) = rows.downcast_ref() else { unreachable!("a view is found by the type of its rows") };
        Ok(rows)
    }

    /// The same, to be held for longer.
    pub(crate) fn shared_rows<P: Projection>(
        &self,
        published: &Published,
        view: usize,
    ) -> Result<Arc<Rows<P>>, ReadError> {
        let rows = self.any_rows(published, view)?.clone();
        let Ok(rows) = rows.downcast() else { unreachable!("a view is found by the type of its rows") };
        Ok(rows)
    }

    fn any_rows<'p>(&self, published: &'p Published, view: usize) -> Result<&'p AnyRows, ReadError> {
        if published.closed {
            return Err(ReadError::Closed);
        }
        let shown = &published.views[view];
        match shown {
            Shown::Live(rows) => Ok(rows),
            _ => {
                let error = self.unreadable(shown).unwrap_or(ReadError::Closed);
                react::note(|| Said::Unread(error.clone()));
                Err(error)
            }
        }
    }

    /// Why a view in this state does not answer.
    pub(crate) fn unreadable(&self, shown: &Shown) -> Option<ReadError> {
        match shown {
            Shown::Live(_) => None,
            Shown::Rebuilding(position) => {
                Some(ReadError::Rebuilding { position: position.load(Ordering::Relaxed), head: self.head() })
            }
            Shown::Faulted(fault) => Some(ReadError::Faulted((**fault).clone())),
        }
    }

    /// Whether a view has stopped by this, and is as it was.
    pub(crate) fn is_stopped_by(&self, fault: &Fault) -> bool {
        let published = self.published.load();
        !published.closed
            && published.views.iter().any(|shown| matches!(shown, Shown::Faulted(by) if **by == *fault))
    }

    /// Whether the store took what last came to it.
    pub(crate) fn takes_appends(&self) -> bool {
        lock(&self.append_failure).is_none()
    }

    pub(crate) fn health(&self) -> Health {
        let published = self.published.load();
        let head = self.head();
        let views = self.catalog.views.iter().zip(&published.views).zip(&self.vitals);
        let views = views.map(|((view, shown), vitals)| {
            let (state, position) = match shown {
                Shown::Live(_) => (ViewState::Live, published.position),
                Shown::Rebuilding(position) => {
                    let position = position.load(Ordering::Relaxed);
                    (ViewState::Rebuilding { position, head: head.max(position) }, position)
                }
                Shown::Faulted(fault) => {
                    (ViewState::Faulted((**fault).clone()), vitals.position.load(Ordering::Relaxed))
                }
            };
            ViewHealth {
                name: view.name(),
                projection: view.rust_name(),
                state,
                position,
                lag: head.saturating_sub(position),
                rows: vitals.rows.load(Ordering::Relaxed),
                late: vitals.late.load(Ordering::Relaxed),
                parked: vitals.parked.load(Ordering::Relaxed),
                memory: vitals.memory.load(Ordering::Relaxed),
                checkpoint: lock(&vitals.checkpoint)
                    .map(|(position, at)| CheckpointHealth { position, age: at.elapsed() }),
            }
        });
        let append_failure = lock(&self.append_failure).clone();
        let needs_reopen = append_failure.as_ref().is_some_and(|failure| failure.for_good);
        Health {
            position: head,
            read_only: self.read_only,
            closed: published.closed,
            append_failure: append_failure.map(|failure| failure.why),
            needs_reopen,
            checkpoint_failure: lock(&self.checkpoint_failure).clone(),
            broken: lock(&self.broken).clone(),
            views: views.collect(),
            reactions: self.reactions.health(head),
        }
    }

    /// Notes that nothing more is written: whoever waits to be shown something need not.
    pub(crate) fn nothing_follows(&self) {
        self.written_out.store(true, Ordering::SeqCst);
        self.folded.notify();
    }

    /// Notes what became of an append, as far as the store is concerned.
    pub(crate) fn append_fared(&self, failure: Option<NotTaken>) {
        if failure.is_some() {
            meters::append_failed();
        }
        let mut known = lock(&self.append_failure);
        if failure.is_some() || known.is_some() {
            *known = failure;
        }
    }

    /// Notes that a thread of the engine has failed.
    pub(crate) fn break_down(&self, what: String) {
        tracing::error!("{what}");
        meters::broken();
        lock(&self.broken).get_or_insert(what);
    }
}

/// That the store did not take an append.
#[derive(Clone, Debug)]
pub(crate) struct NotTaken {
    why: String,
    /// Whether it takes none any more.
    for_good: bool,
}

impl NotTaken {
    pub(crate) fn new(error: &StoreError) -> Self {
        Self { why: error.to_string(), for_good: matches!(error, StoreError::Reopen { .. }) }
    }

    /// Where it may have been taken even so: nothing more is, until that is known.
    pub(crate) fn unknown(error: &StoreError) -> Self {
        Self { why: error.to_string(), for_good: true }
    }
}

/// The receipt of a command whose key was kept as a note: where its events are.
pub(crate) fn kept_receipt(
    reader: &mut dyn LogReader,
    store: StoreId,
    note: &str,
) -> Result<Option<Receipt>, StoreError> {
    let Some(value) = reader.note(note)? else { return Ok(None) };
    let number = |at: usize| value.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
    match (number(0), number(8)) {
        (Some(first), Some(last)) => Ok(Some(Receipt { store, first, last })),
        _ => {
            let what = format!("the note `{note}` is no receipt");
            let remedy = "It was written by another version of this library".into();
            Err(StoreError::Corrupt { file: "events.db".into(), what, remedy })
        }
    }
}

/// What is kept of a receipt.
pub(crate) fn receipt_bytes(receipt: &Receipt) -> Vec<u8> {
    [receipt.first.to_be_bytes(), receipt.last.to_be_bytes()].concat()
}
