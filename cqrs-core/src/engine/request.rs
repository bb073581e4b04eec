//! Events on their way into the log: encoded by the caller's thread, answered by a receipt.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::boundary::Boundary;
use super::desk::Desk;
use super::encoded::EncodedEvents;
use super::shared::Core;
use crate::codec::{self, EncodeError};
use crate::decide::{Inline, is_deciding};
use crate::error::{AppendError, Refusal};
use crate::event::{Appendable, Metadata};
use crate::receipt::Receipt;
use crate::schema::Schema;
use crate::sync::{Reply, ReplyTo, Wait, block_on, reply};

/// An event to be appended, with what accompanies it.
///
/// Where nothing accompanies it, the event itself will do: `engine.append(event)`.
///
/// ```
/// # use cqrs_core::prelude::*;
/// # #[event]
/// # pub struct Purchased { pub customer: String, pub item: String, pub qty: i32 }
/// # let engine = Engine::in_memory().event::<Purchased>().start()?;
/// # let purchased = Purchased { customer: "jsmith".into(), item: "hats".into(), qty: 1 };
/// let event = NewEvent::new(purchased).id("order-17").correlation_id("request-4").meta("channel", "web");
/// engine.append(event).wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "append it"]
pub struct NewEvent {
    schema: &'static Schema,
    payload: Result<Vec<u8>, EncodeError>,
    id: Option<Box<str>>,
    /// Few events have any, and each event is moved several times on its way.
    metadata: Option<Box<Metadata>>,
}

/// How many bytes most events' payloads fit in.
const ENCODED: usize = 64;

impl NewEvent {
    /// An event without an id and without metadata. It is encoded here, in the caller's thread.
    pub fn new<E: Appendable>(event: E) -> Self {
        Self::of(&event)
    }

    /// The same of an event that stays the caller's: `engine.append_all(events.iter().map(NewEvent::of))`.
    pub fn of<E: Appendable>(event: &E) -> Self {
        let mut payload = Vec::with_capacity(ENCODED);
        let encoded = event.encode(&mut payload);
        Self {
            schema: &E::TYPES[event.type_index()],
            payload: encoded.map(|()| payload),
            id: None,
            metadata: None,
        }
    }

    /// An id of the caller's choice, unique in the log: appending the same event under the same id again appends nothing, and answers
    /// the first receipt.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into().into_boxed_str());
        self
    }

    /// What the event belongs to, e.g. a request.
    pub fn correlation_id(mut self, id: impl Into<String>) -> Self {
        self.metadata_mut().correlation_id = Some(id.into());
        self
    }

    /// What caused it: the id of a command or of another event.
    pub fn causation_id(mut self, id: impl Into<String>) -> Self {
        self.metadata_mut().causation_id = Some(id.into());
        self
    }

    /// Anything else that is to be kept with it.
    pub fn meta(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata_mut().entries.insert(key.into(), value.into());
        self
    }

    /// All of it at once, in place of what was said before: that of another event, say.
    pub fn metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = Some(Box::new(metadata));
        self
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        self.metadata.get_or_insert_default()
    }

    /// With this beside it, where it does not say otherwise itself.
    pub(crate) fn beside(mut self, metadata: &Metadata) -> Self {
        if metadata.is_empty() {
            return self;
        }
        let own = self.metadata_mut();
        own.correlation_id = own.correlation_id.take().or_else(|| metadata.correlation_id.clone());
        own.causation_id = own.causation_id.take().or_else(|| metadata.causation_id.clone());
        for (key, value) in &metadata.entries {
            own.entries.entry(key.clone()).or_insert_with(|| value.clone());
        }
        self
    }

    /// What it is an event of.
    pub(crate) fn schema(&self) -> &'static Schema {
        self.schema
    }

    /// Its bytes, if it has any.
    pub(crate) fn payload(&self) -> Result<&[u8], &EncodeError> {
        self.payload.as_deref()
    }

    /// The id that it has of its own.
    pub(crate) fn own_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What is kept beside it, if anything is.
    pub(crate) fn own_metadata(&self) -> Option<&Metadata> {
        self.metadata.as_deref()
    }

    /// With this id, where it has none of its own.
    pub(crate) fn known_as(mut self, id: impl FnOnce() -> String) -> Self {
        self.id.get_or_insert_with(|| id().into_boxed_str());
        self
    }

    /// Adds it to those that are to be stored; or refuses it, and leaves them as they are.
    pub(crate) fn add_to(self, encoded: &mut EncodedEvents, core: &Core) -> Result<(), Refusal> {
        let Schema { name, rust, retired, .. } = *self.schema;
        let kind = core.catalog.appended(self.schema).ok_or(Refusal::Unregistered { name, rust })?;
        if retired {
            return Err(Refusal::Retired { name });
        }
        let refuse = |error| Refusal::Encode(Arc::new(error));
        let metadata = self.own_metadata().map_or(Ok(Vec::new()), Metadata::encode).map_err(refuse)?;
        let payload = self.payload.map_err(refuse)?;
        let id = self.id.as_deref();
        let size = payload.len() + metadata.len() + id.map_or(0, str::len);
        let limit = core.catalog.payload_limit;
        if size > limit {
            return Err(Refusal::TooLarge { name, size, limit });
        }
        if id == Some("") {
            return Err(Refusal::EmptyId { name });
        }
        if codec::has_bytes(&payload)
            && let Err(error) = core.catalog.read(kind, self.schema.version, &payload)
        {
            // Once it is durable, no view would get past it.
            let reason = format!("what is written could not be read again: {error}");
            return Err(refuse(EncodeError { name, reason }));
        }
        encoded.push(self.schema, kind, id.unwrap_or(""), &metadata, payload);
        Ok(())
    }
}

/// For so many events at most is there room before the first of them has come, whoever says how many they will be.
const ROOM: usize = 16_384;

/// Events as they will be stored: all of them, or the first refusal.
pub(crate) fn encode(core: &Core, events: impl Iterator<Item = NewEvent>) -> Result<EncodedEvents, Refusal> {
    let mut encoded = match events.size_hint().0 {
        0 | 1 => EncodedEvents::default(),
        several => EncodedEvents::with_room(several.min(ROOM), several.min(ROOM) * ENCODED),
    };
    for event in events {
        event.add_to(&mut encoded, core)?;
    }
    Ok(encoded)
}

impl<E: Appendable> From<E> for NewEvent {
    fn from(event: E) -> Self {
        Self::new(event)
    }
}

/// What an append waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// That every live view of this engine has folded the events: reads that follow see them.
    #[default]
    ReadYourWrites,
    /// That the events are durable. Views follow soon.
    Durable,
}

/// How far a feed, or a reaction, takes its source with a request, and from where.
pub(crate) struct Step {
    /// The source's name; this very allocation is the feed.
    pub(crate) source: Arc<str>,
    /// Whether it is the feed's first: the others go on from that.
    pub(crate) first: bool,
    pub(crate) after: Option<u64>,
    pub(crate) to: u64,
}

/// What a decision asks of the writer besides its events.
pub(crate) struct Decision {
    /// The note under which its receipt is kept.
    pub(crate) key: Option<String>,
    /// What has to be untouched.
    pub(crate) boundary: Option<Boundary>,
    /// The decision itself, where it is to be made at the writer.
    pub(crate) inline: Option<Inline>,
}

/// A note's key, and what it is to say; `None` takes it away.
pub(crate) type NoteToKeep = (String, Option<Vec<u8>>);

/// A request to the writer.
pub(crate) struct Request {
    pub(crate) events: EncodedEvents,
    /// What a feed stores with its events.
    pub(crate) step: Option<Box<Step>>,
    pub(crate) decision: Option<Box<Decision>>,
    /// What is stored with its events, if they are.
    pub(crate) notes: Box<[NoteToKeep]>,
    pub(crate) consistency: Consistency,
    pub(crate) reply: ReplyTo<Result<Receipt, AppendError>>,
}

impl Request {
    /// Events, and nothing besides.
    pub(crate) fn new(
        events: EncodedEvents,
        consistency: Consistency,
        reply: ReplyTo<Result<Receipt, AppendError>>,
    ) -> Self {
        Self { events, step: None, decision: None, notes: Box::default(), consistency, reply }
    }

    /// Whether it has to be the first of its group: it is a decision that is to be made on all that came before.
    pub(crate) fn leads(&self) -> bool {
        self.decision.as_ref().is_some_and(|decision| decision.inline.is_some())
    }

    /// How many bytes it adds to a group.
    pub(crate) fn bytes(&self) -> usize {
        let key = self.decision.as_ref().and_then(|decision| decision.key.as_ref()).map_or(0, String::len);
        let note = |(key, value): &NoteToKeep| key.len() + value.as_ref().map_or(0, Vec::len);
        self.events.bytes() + key + self.notes.iter().map(note).sum::<usize>()
    }

    /// How many events it counts for in a group: one without any is written, and answered, too.
    pub(crate) fn weight(&self) -> usize {
        self.events.len().max(1)
    }

    /// Whether its caller waits until it is folded.
    pub(crate) fn waits(&self) -> bool {
        self.consistency == Consistency::ReadYourWrites
    }
}

/// An append that has yet to happen: `.await` it under any executor, or block with [`wait`](Self::wait).
///
/// Once polled it is on its way: dropping it then cancels nothing. (Only while the queue to the writer is full, polling waits for a place in it,
/// and an append dropped before it had one was never made.)
#[must_use = "nothing is appended until it is awaited, or waited for with `.wait()`"]
pub struct Append {
    state: State,
}

enum State {
    Ready { desk: Option<Arc<Desk>>, events: Result<EncodedEvents, Refusal>, consistency: Consistency },
    Running(Wait<Result<Receipt, AppendError>>),
    Done,
}

impl std::fmt::Debug for Append {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Append(..)")
    }
}

impl Append {
    pub(crate) fn new(
        core: &Core,
        desk: Option<Arc<Desk>>,
        events: impl Iterator<Item = NewEvent>,
        consistency: Consistency,
    ) -> Self {
        let events = if desk.is_none() { Err(Refusal::ReadOnly) } else { encode(core, events) };
        Self { state: State::Ready { desk, events, consistency } }
    }

    /// What this append waits for, whatever the engine's setting.
    pub fn consistency(mut self, wanted: Consistency) -> Self {
        if let State::Ready { consistency, .. } = &mut self.state {
            *consistency = wanted;
        }
        self
    }

    /// Waits for durability only: [`Consistency::Durable`].
    pub fn durable(self) -> Self {
        self.consistency(Consistency::Durable)
    }

    /// Blocks the thread until the answer is there.
    ///
    /// # Errors
    ///
    /// [`AppendError`]: nothing was appended, or it is unknown.
    pub fn wait(mut self) -> Result<Receipt, AppendError> {
        let (desk, request, answer) = match self.begin() {
            Some(Ok(begun)) => begun,
            Some(Err(refusal)) => return Err(AppendError::NotAppended(refusal)),
            None => return block_on(self),
        };
        block_on(async move {
            hand_over(&desk, request, true).await;
            drop(desk);
            answered(answer).await
        })
    }

    /// Turns what is to be appended into a request; `None` if that was done before.
    fn begin(&mut self) -> Option<Result<Begun, Refusal>> {
        let State::Ready { .. } = self.state else { return None };
        let State::Ready { desk, events, consistency } = std::mem::replace(&mut self.state, State::Done)
        else {
            return None;
        };
        Some(events.and_then(|events| {
            let desk = desk.ok_or(Refusal::ReadOnly)?;
            if is_deciding() {
                return Err(Refusal::Deciding);
            }
            let (reply, answer) = reply();
            Ok((desk, Request::new(events, consistency, reply), answer))
        }))
    }
}

impl Future for Append {
    type Output = Result<Receipt, AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.begin() {
            Some(Ok((desk, request, answer))) => {
                self.state = State::Running(Wait::new(send(desk, request, answer)));
            }
            Some(Err(refusal)) => return Poll::Ready(Err(AppendError::NotAppended(refusal))),
            None => {}
        }
        match &mut self.state {
            State::Running(answer) => {
                let answer = std::task::ready!(Pin::new(answer).poll(context));
                self.state = State::Done;
                Poll::Ready(answer)
            }
            _ => Poll::Pending,
        }
    }
}

type Answer = Reply<Result<Receipt, AppendError>>;

/// A request, where it is to be handed in, and where its answer will come.
type Begun = (Arc<Desk>, Request, Answer);

async fn send(desk: Arc<Desk>, request: Request, answer: Answer) -> Result<Receipt, AppendError> {
    hand_over(&desk, request, false).await;
    drop(desk);
    answered(answer).await
}

/// Brings a request to the writer; or writes it in this thread, if that may do it.
pub(crate) async fn hand_over(desk: &Desk, request: Request, blocks: bool) {
    let request = if blocks { desk.serve(request).err() } else { Some(request) };
    if let Some(request) = request {
        desk.hand_in(request).await;
    }
}

pub(crate) async fn answered(answer: Answer) -> Result<Receipt, AppendError> {
    answer.await.unwrap_or_else(|| Err(unanswered()))
}

/// What an append answers that never got an answer.
pub(crate) fn unanswered() -> AppendError {
    let reason = "the engine's writer stopped before it answered".into();
    AppendError::Unknown { reason, source: None }
}
