//! The writer: groups of requests, one transaction and one fsync each.
//!
//! In `tests/models`, a stand-in of a few lines takes its place (`src/hand_over.world.rs`): what it promises to `desk.rs` and `fold.rs` is to be kept there, too.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::batch::{Acknowledge, Batch};
use super::boundary::Account;
use super::encoded::{EncodedEvent, EncodedEvents};
use super::pipeline::Control;
use super::request::{Consistency, Decision, Request, Step};
use super::shared::{Core, NotTaken, kept_receipt, receipt_bytes};
use crate::Timestamp;
use crate::error::{AppendError, Refusal};
use crate::event::Meta;
use crate::meters;
use crate::receipt::Receipt;
use crate::store::{Advance, AppendFailure, Beside, Head, Log, LogEvent, LogReader, Note, StoreError, chain};
use crate::sync::block_on;

/// How much goes into one group, unless a single request is larger.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupLimits {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

pub(crate) struct Writer {
    pub(crate) core: Arc<Core>,
    pub(crate) log: Box<dyn Log>,
    pub(crate) reader: Box<dyn LogReader>,
    pub(crate) head: Head,
    /// When the last event was recorded; no later one is recorded before it.
    pub(crate) recorded_at: Timestamp,
    pub(crate) sources: BTreeMap<String, Standing>,
    /// What has been touched of what decisions read.
    pub(crate) account: Account,
}

/// How far a source is in the log, and the feed that brought it there, if it was one of this engine's.
#[derive(Clone)]
pub(crate) struct Standing {
    pub(crate) offset: u64,
    pub(crate) feed: Option<Arc<str>>,
}

impl Standing {
    pub(crate) fn of(sources: BTreeMap<String, u64>) -> BTreeMap<String, Self> {
        sources.into_iter().map(|(name, offset)| (name, Self { offset, feed: None })).collect()
    }

    /// Whether this is where the feed left it, or found it.
    fn precedes(standing: Option<&Self>, step: &Step) -> bool {
        let own =
            |standing: &Self| standing.feed.as_ref().is_some_and(|feed| Arc::ptr_eq(feed, &step.source));
        standing.map(|standing| standing.offset) == step.after && (step.first || standing.is_some_and(own))
    }
}

impl From<&Step> for Standing {
    fn from(step: &Step) -> Self {
        Self { offset: step.to, feed: Some(step.source.clone()) }
    }
}

/// What is to become of a request.
enum Verdict {
    /// All of its events but those that are repeats (of a feed, or a decision with a key), by their places.
    Append(Receipt, Vec<usize>),
    /// The log, or the group before it, has these events already.
    Known(Receipt),
    /// It is the command of one before it in the group, by its key: what becomes of that becomes of it.
    Same(Receipt),
    Refuse(Refusal),
}

impl Verdict {
    /// Those of the request's events that are to be appended.
    fn appended<'a>(&self, events: &'a EncodedEvents) -> impl Iterator<Item = EncodedEvent<'a>> {
        let (any, repeats) = match self {
            Self::Append(_, repeats) => (true, &**repeats),
            Self::Known(_) | Self::Same(_) | Self::Refuse(_) => (false, &[][..]),
        };
        let new = move |event: &EncodedEvent<'a>| any && repeats.binary_search(&event.at()).is_err();
        events.iter().filter(new)
    }
}

impl Writer {
    /// Makes a group durable, and answers those for whom that is enough. What is left is for the fold.
    pub(crate) fn write(&mut self, mut group: Vec<Request>) -> Option<Batch> {
        let _span = tracing::trace_span!("append", requests = group.len()).entered();
        if group.first().is_some_and(Request::leads) {
            self.lead(&mut group);
        }
        loop {
            let recorded_at = (self.core.clock)().max(self.recorded_at);
            let verdicts = self.judge(&group, recorded_at);
            let accepted = group.iter().zip(&verdicts);
            let accepted = accepted.flat_map(|(request, verdict)| verdict.appended(&request.events));
            let mut head = self.head;
            let events: Vec<LogEvent<'_>> = accepted
                .map(|event| {
                    let mut event = LogEvent {
                        position: head.position + 1,
                        name: event.schema().name,
                        version: event.schema().version,
                        recorded_at,
                        event_id: event.id(),
                        metadata: event.metadata(),
                        payload: event.payload(),
                        checksum: 0,
                    };
                    event.checksum = chain(head.checksum, &event);
                    head = Head { position: event.position, checksum: event.checksum };
                    event
                })
                .collect();
            let advances = advances(&group, &verdicts);
            let kept = kept(&group, &verdicts);
            let notes: Vec<Note<'_>> =
                kept.iter().map(|(key, value)| Note { key, value: value.as_deref() }).collect();
            let beside = Beside { advances: &advances, notes: &notes };
            let ahead = if events.is_empty() { self.ahead(&verdicts) } else { Ok(None) };
            let outcome = match ahead {
                Err(error) => {
                    drop(events);
                    self.unread(group, verdicts, error);
                    return None;
                }
                Ok(Some(head)) => Err(AppendFailure::HeadMoved(head)),
                Ok(None) if events.is_empty() && beside.is_empty() => Ok(()),
                Ok(None) => {
                    let begun = meters::begin();
                    let appended = self.log.append(self.head, &events, &beside);
                    appended.inspect(|()| {
                        meters::appended(events.len(), begun);
                        self.core.append_fared(None);
                    })
                }
            };
            let checksums: Vec<u64> = events.iter().map(|event| event.checksum).collect();
            drop(events);
            match outcome {
                Ok(()) => return self.written(group, verdicts, checksums, head, recorded_at),
                Err(AppendFailure::HeadMoved(head)) => {
                    tracing::debug!(position = head.position, "another writer came first");
                    if let Err(error) = self.move_to(head) {
                        self.unread(group, verdicts, error);
                        return None;
                    }
                }
                Err(failure) => {
                    self.failed(group, verdicts, failure);
                    return None;
                }
            }
        }
    }

    /// Where the log ends, if it has events of a command that was executed before, and this writer has not heard of them.
    fn ahead(&mut self, verdicts: &[Verdict]) -> Result<Option<Head>, StoreError> {
        let known = self.head.position;
        let beyond = |verdict: &Verdict| matches!(verdict, Verdict::Known(receipt) if receipt.last > known);
        if !verdicts.iter().any(beyond) {
            return Ok(None);
        }
        Ok(Some(self.reader.head()?).filter(|head| head.position > known))
    }

    /// Makes the decision that leads a group, now that everything before it is in the log; or takes it out, if it says nothing.
    fn lead(&mut self, group: &mut Vec<Request>) {
        let Some(decision) = group[0].decision.as_mut() else { return };
        let Some(inline) = decision.inline.take() else { return };
        if let Some(key) = &decision.key
            && !matches!(kept_receipt(&mut *self.reader, self.core.store_id, key), Ok(None))
        {
            // It was made before, or that cannot be known: the verdict says so.
            return;
        }
        let head = self.head.position;
        block_on(self.core.shown(head));
        match inline(&self.core) {
            Some(emitted) => {
                decision.boundary = Some(emitted.boundary);
                group[0].events = emitted.events;
            }
            None => drop(group.remove(0)),
        }
    }

    /// Goes on after what another writer has appended; where that fails, it stays where it was.
    fn move_to(&mut self, head: Head) -> Result<(), StoreError> {
        let recorded_at = last_recorded(&mut *self.reader, head.position)?;
        self.look_at_sources()?;
        self.recorded_at = self.recorded_at.max(recorded_at);
        self.account.forget(head.position);
        self.head = head;
        self.core.move_head(head.position);
        // Those who decide wait for views to show it.
        self.core.control(Control::CatchUp(head));
        Ok(())
    }

    /// How far sources are now, as far as others have moved them.
    fn look_at_sources(&mut self) -> Result<(), StoreError> {
        let before = std::mem::replace(&mut self.sources, Standing::of(self.reader.sources()?));
        for (name, standing) in &mut self.sources {
            let same = before.get(name).filter(|before| before.offset == standing.offset);
            standing.feed = same.and_then(|before| before.feed.clone());
        }
        Ok(())
    }

    fn written(
        &mut self,
        group: Vec<Request>,
        verdicts: Vec<Verdict>,
        checksums: Vec<u64>,
        head: Head,
        recorded_at: Timestamp,
    ) -> Option<Batch> {
        tracing::trace!(events = checksums.len(), position = head.position, "durable");
        let after = self.head;
        self.head = head;
        if !checksums.is_empty() {
            self.recorded_at = recorded_at;
            self.core.move_head(head.position);
        }
        let (mut events, mut folded) = (Vec::new(), Vec::new());
        for (mut request, verdict) in group.into_iter().zip(verdicts) {
            let receipt = match verdict {
                Verdict::Append(receipt, repeats) => {
                    if let Some(step) = &request.step {
                        self.sources.insert(step.source.as_ref().to_owned(), Standing::from(&**step));
                    }
                    if !repeats.is_empty() {
                        request.events = request.events.without(&repeats);
                    }
                    events.push(request.events);
                    receipt
                }
                Verdict::Known(receipt) | Verdict::Same(receipt) => receipt,
                Verdict::Refuse(refusal) => {
                    let refused = refused(&request, refusal);
                    request.reply.send(Err(refused));
                    continue;
                }
            };
            match request.consistency {
                Consistency::Durable => {
                    self.core.acknowledge(&receipt);
                    request.reply.send(Ok(receipt));
                }
                Consistency::ReadYourWrites => {
                    folded.push(Acknowledge { reply: Some(request.reply), receipt });
                }
            }
        }
        let anything = !checksums.is_empty() || !folded.is_empty();
        anything.then(|| Batch { after, recorded_at, events, checksums, folded })
    }

    fn failed(&self, group: Vec<Request>, verdicts: Vec<Verdict>, failure: AppendFailure) {
        match &failure {
            AppendFailure::NotAppended(error) => self.core.append_fared(Some(NotTaken::new(error))),
            AppendFailure::Unknown(error) => self.core.append_fared(Some(NotTaken::unknown(error))),
            AppendFailure::HeadMoved(_) => {}
        }
        let error = match failure {
            AppendFailure::NotAppended(error) => {
                tracing::warn!(%error, "nothing was appended");
                AppendError::NotAppended(Refusal::Store(Arc::new(error)))
            }
            AppendFailure::Unknown(error) => {
                tracing::error!(%error, "it is unknown whether events were appended");
                AppendError::Unknown { reason: error.to_string(), source: Some(Arc::new(error)) }
            }
            AppendFailure::HeadMoved(_) => {
                let reason = "the log moved on, and was not tried again".into();
                AppendError::Unknown { reason, source: None }
            }
        };
        self.answer(group, verdicts, |_| error.clone());
    }

    /// The log has more than this writer has heard of, and that could not be looked at: it may have what is asked for from an earlier try.
    fn unread(&self, group: Vec<Request>, verdicts: Vec<Verdict>, error: StoreError) {
        tracing::warn!(%error, "the log has moved on, and could not be read");
        self.core.append_fared(Some(NotTaken::new(&error)));
        let error = Arc::new(error);
        self.answer(group, verdicts, |request| refused(request, Refusal::Store(error.clone())));
    }

    /// Answers a group of which nothing was appended, as far as is known.
    fn answer(&self, group: Vec<Request>, verdicts: Vec<Verdict>, missing: impl Fn(&Request) -> AppendError) {
        let known = self.head.position;
        for (request, verdict) in group.into_iter().zip(verdicts) {
            let answer = match verdict {
                Verdict::Refuse(refusal) => Err(refused(&request, refusal)),
                // What the log had before is there, whatever became of this group.
                Verdict::Known(receipt) if receipt.last <= known => {
                    self.core.acknowledge(&receipt);
                    Ok(receipt)
                }
                Verdict::Known(_) | Verdict::Same(_) | Verdict::Append(..) => Err(missing(&request)),
            };
            request.reply.send(answer);
        }
    }

    /// Decides each request in turn, as if those before it were in the log.
    fn judge(&mut self, group: &[Request], recorded_at: Timestamp) -> Vec<Verdict> {
        let mut accepted = Accepted::default();
        let mut verdicts = Vec::with_capacity(group.len());
        // A decision that nobody waits for any more counts, too.
        let decided = self.core.deciding.load(Ordering::SeqCst) > 0
            || group.iter().any(|request| request.decision.is_some());
        for request in group {
            let before = accepted.events.len();
            let verdict = match (&request.step, &request.decision) {
                (Some(step), _) => self.judge_fed(&mut accepted, step, &request.events),
                (None, Some(decision)) => self.judge_decided(&mut accepted, decision, &request.events),
                (None, None) => self.judge_plain(&mut accepted, &request.events),
            };
            if decided {
                let first = self.head.position + before as u64 + 1;
                for (event, position) in accepted.events[before..].iter().zip(first..) {
                    self.account.take_in(&self.core.catalog, *event, &Meta { position, recorded_at });
                }
            }
            verdicts.push(verdict);
        }
        if !decided && !accepted.events.is_empty() {
            self.account.forget(self.head.position + accepted.events.len() as u64);
        }
        verdicts
    }

    fn judge_plain<'a>(&mut self, accepted: &mut Accepted<'a>, events: &'a EncodedEvents) -> Verdict {
        let first = self.head.position + accepted.events.len() as u64 + 1;
        match self.known(accepted, events) {
            Err(refusal) => Verdict::Refuse(refusal),
            Ok(Some(first)) => Verdict::Known(self.receipt(first, events.len())),
            Ok(None) => {
                for event in events.iter() {
                    if let Some(id) = event.id() {
                        let position = self.head.position + accepted.events.len() as u64 + 1;
                        accepted.ids.insert(id, position);
                    }
                    accepted.events.push(event);
                }
                Verdict::Append(self.receipt(first, events.len()), Vec::new())
            }
        }
    }

    /// Lets a decision in whose key is new, and of which nothing that it rests on was touched: neither by what is in the log nor by those before it
    /// in the group.
    fn judge_decided<'a>(
        &mut self,
        accepted: &mut Accepted<'a>,
        decision: &'a Decision,
        events: &'a EncodedEvents,
    ) -> Verdict {
        if let Some(key) = decision.key.as_deref() {
            if let Some(receipt) = accepted.keys.get(key) {
                return Verdict::Same(*receipt);
            }
            match kept_receipt(&mut *self.reader, self.core.store_id, key) {
                Ok(None) => {}
                Ok(Some(receipt)) => return Verdict::Known(receipt),
                Err(error) => return Verdict::Refuse(Refusal::Store(Arc::new(error))),
            }
        }
        let head = self.head.position + accepted.events.len() as u64;
        // Without a boundary, it was not made: its key was known then, or could not be read.
        let stands = decision.boundary.as_ref().is_some_and(|boundary| {
            boundary.exchanged == self.core.published.load().exchanged && self.account.holds(boundary, head)
        });
        if !stands {
            return Verdict::Refuse(Refusal::Conflict);
        }
        let verdict = match self.judge_plain(accepted, events) {
            // The events are there, by their ids, and the key is to be kept.
            Verdict::Known(receipt) if decision.key.is_some() => {
                Verdict::Append(receipt, Vec::from_iter(0..events.len()))
            }
            verdict => verdict,
        };
        if let (Some(key), Verdict::Append(receipt, _)) = (decision.key.as_deref(), &verdict) {
            accepted.keys.insert(key, *receipt);
        }
        verdict
    }

    /// Decides what a feed asks: in its turn, or not at all. How its events were cut into requests is not to matter, so each that the log has
    /// already, by its id, is left out for itself.
    fn judge_fed<'a>(
        &mut self,
        accepted: &mut Accepted<'a>,
        step: &'a Step,
        events: &'a EncodedEvents,
    ) -> Verdict {
        let known = self.sources.get(&*step.source).map(|standing| standing.offset);
        if step.first && known != step.after && !accepted.sources.contains_key(&*step.source) {
            // The feed has read it since: another writer may have moved it.
            if let Err(error) = self.look_at_sources() {
                return Verdict::Refuse(Refusal::Store(Arc::new(error)));
            }
        }
        let standing = accepted.sources.get(&*step.source).or_else(|| self.sources.get(&*step.source));
        // The offset alone would not do: another feed of the source may have brought it just there, and this one's last batch was refused.
        if !Standing::precedes(standing, step) {
            let (name, stored) = (step.source.as_ref().to_owned(), standing.map(|standing| standing.offset));
            return Verdict::Refuse(Refusal::SourceMoved { name, after: step.after, stored });
        }
        let before = accepted.events.len();
        let first = self.head.position + before as u64 + 1;
        let mut repeats = Vec::new();
        for event in events.iter() {
            if let Some(id) = event.id() {
                match self.repeats(accepted, id, event) {
                    Ok(true) => {
                        repeats.push(event.at());
                        continue;
                    }
                    Ok(false) => {}
                    Err(refusal) => {
                        accepted.events.truncate(before);
                        accepted.ids.retain(|_, position| *position < first);
                        return Verdict::Refuse(refusal);
                    }
                }
                accepted.ids.insert(id, self.head.position + accepted.events.len() as u64 + 1);
            }
            accepted.events.push(event);
        }
        accepted.sources.insert(&*step.source, step.into());
        Verdict::Append(self.receipt(first, events.len() - repeats.len()), repeats)
    }

    /// Whether the log, or the group before it, has this event; the error is another one under its id.
    fn repeats(
        &mut self,
        accepted: &Accepted<'_>,
        id: &str,
        event: EncodedEvent<'_>,
    ) -> Result<bool, Refusal> {
        let Some(position) = self.position_of(accepted, id)? else { return Ok(false) };
        if self.same(accepted, position, &[event])? {
            return Ok(true);
        }
        let what = format!("the event at position {position} has it, with another name, version or payload");
        Err(conflict(id, &what))
    }

    fn receipt(&self, first: u64, events: usize) -> Receipt {
        Receipt { store: self.core.store_id, first, last: first + events as u64 - 1 }
    }

    /// The position at which these events are already, if an id of theirs is known.
    fn known(&mut self, accepted: &Accepted<'_>, events: &EncodedEvents) -> Result<Option<u64>, Refusal> {
        if !events.has_ids() {
            return Ok(None);
        }
        let mut own = HashSet::new();
        let mut first = None;
        for event in events.iter() {
            let Some(id) = event.id() else { continue };
            if !own.insert(id) {
                return Err(conflict(id, "it occurs twice in one batch"));
            }
            if first.is_none() {
                first = self.position_of(accepted, id)?.map(|position| (position, event.at(), id));
            }
        }
        let Some((position, at, id)) = first else { return Ok(None) };
        let what = format!("the event at position {position} has it");
        let Some(start) = position.checked_sub(at as u64).filter(|start| *start > 0) else {
            return Err(conflict(
                id,
                &format!("{what}, and the events before it are not those of this batch"),
            ));
        };
        if self.same(accepted, start, &Vec::from_iter(events.iter()))? {
            return Ok(Some(start));
        }
        let what = match events.len() {
            1 => format!("{what}, with another name, version or payload"),
            _ => format!("{what}, and the batch is not the one that was appended there"),
        };
        Err(conflict(id, &what))
    }

    fn position_of(&mut self, accepted: &Accepted<'_>, id: &str) -> Result<Option<u64>, Refusal> {
        if let Some(position) = accepted.ids.get(id) {
            return Ok(Some(*position));
        }
        let mut position = None;
        let found = self.log.find(id, &mut |event| position = Some(event.position));
        found.map_err(|error| Refusal::Store(Arc::new(error)))?;
        Ok(position)
    }

    /// Whether these events stand in the log, or are accepted, from position `start` on.
    fn same(
        &mut self,
        accepted: &Accepted<'_>,
        start: u64,
        events: &[EncodedEvent<'_>],
    ) -> Result<bool, Refusal> {
        // Those that the group has none of are in the log, if need be beyond what this writer has heard of.
        let mut ids = events.iter().filter_map(|event| event.id());
        let stored = if ids.any(|id| accepted.ids.contains_key(id)) {
            (self.head.position + 1).saturating_sub(start).min(events.len() as u64) as usize
        } else {
            events.len()
        };
        let mut matching = 0;
        if stored > 0 {
            let read = self.reader.read(start - 1, stored, &mut |event| {
                let ours = events[matching];
                let same = event.event_id == ours.id()
                    && event.name == ours.schema().name
                    && event.version == ours.schema().version
                    && event.payload == ours.payload();
                matching += usize::from(same);
                same && matching < stored
            });
            read.map_err(|error| Refusal::Store(Arc::new(error)))?;
        }
        if matching < stored || stored == events.len() {
            return Ok(matching == stored);
        }
        // What the log does not have yet, the group may.
        let skip = (start + stored as u64 - self.head.position - 1) as usize;
        let rest = &events[stored..];
        let theirs = accepted.events.get(skip..).unwrap_or_default();
        Ok(theirs.starts_with(rest))
    }
}

/// What the group appends, so far.
#[derive(Default)]
struct Accepted<'a> {
    events: Vec<EncodedEvent<'a>>,
    ids: HashMap<&'a str, u64>,
    /// How far it takes sources.
    sources: HashMap<&'a str, Standing>,
    /// Receipts of commands, by their keys.
    keys: HashMap<&'a str, Receipt>,
}

/// How far the group takes each source, from where it stands.
fn advances<'a>(group: &'a [Request], verdicts: &[Verdict]) -> Vec<Advance<'a>> {
    let mut advances: Vec<Advance<'a>> = Vec::new();
    for (request, verdict) in group.iter().zip(verdicts) {
        let (Some(step), Verdict::Append(..)) = (&request.step, verdict) else { continue };
        match advances.iter_mut().find(|advance| *advance.source == *step.source) {
            Some(advance) => advance.to = step.to,
            None => advances.push(Advance { source: &step.source, after: step.after, to: step.to }),
        }
    }
    advances
}

/// What is kept with the group: the receipts of its commands under their keys, and the notes that came with requests.
fn kept<'a>(group: &'a [Request], verdicts: &[Verdict]) -> Vec<(&'a str, Option<Cow<'a, [u8]>>)> {
    let mut kept = Vec::new();
    for (request, verdict) in group.iter().zip(verdicts) {
        let Verdict::Append(receipt, _) = verdict else { continue };
        if let Some(key) = request.decision.as_ref().and_then(|decision| decision.key.as_deref()) {
            kept.push((key, Some(Cow::Owned(receipt_bytes(receipt)))));
        }
        kept.extend(request.notes.iter().map(|(key, value)| (&**key, value.as_deref().map(Cow::Borrowed))));
    }
    kept
}

/// The answer to a request that was refused. Where it could not be read whether the log has its events, they may be there from an earlier try.
fn refused(request: &Request, refusal: Refusal) -> AppendError {
    let by_id = request.events.has_ids();
    let by_key = request.decision.as_ref().is_some_and(|decision| decision.key.is_some());
    match refusal {
        // A feed's position says whether it is.
        Refusal::Store(error) if request.step.is_none() && (by_id || by_key) => AppendError::unread(error),
        refusal => AppendError::NotAppended(refusal),
    }
}

fn conflict(id: &str, what: &str) -> Refusal {
    Refusal::IdConflict { id: id.to_owned(), what: what.to_owned() }
}

/// When the event at this position was recorded.
pub(crate) fn last_recorded(reader: &mut dyn LogReader, position: u64) -> Result<Timestamp, StoreError> {
    let mut recorded_at = Timestamp::from_micros(i64::MIN);
    if let Some(before) = position.checked_sub(1) {
        reader.read(before, 1, &mut |event| {
            recorded_at = event.recorded_at;
            false
        })?;
    }
    Ok(recorded_at)
}
