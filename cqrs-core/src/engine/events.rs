//! Typed streams of recorded events: from a position, then live.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;

use super::route::upcast;
use super::shared::{Core, LentReader};
use crate::change::{Next, NextTimeout, TimedOut};
use crate::error::{EventsError, versions};
use crate::event::{Event, Metadata, RecordedEvent};
use crate::schema::Schema;
use crate::store::{Head, LogEvent, StoreError, chain};
use crate::sync::lock;

/// How many events are looked at before others get their turn.
const PAGE: usize = 512;

/// The same in bytes of payloads, but for the last event.
const BYTES: usize = 8 << 20;

/// The recorded events of type `E` (of all its variants, if it is an enum), from a position on: a [`Stream`] that goes on with what is appended
/// later, unless [`until_head`](Self::until_head) was asked for.
///
/// Events of other types are passed over undecoded. The log's chain of checksums is verified on the way. Polling it may read
/// a few hundred events from the store, in the thread that polls.
#[must_use = "a stream does nothing until it is asked for its next item"]
pub struct Events<E: Event> {
    core: Arc<Core>,
    reader: Arc<LentReader>,
    /// The last event that was looked at, once its checksum is known.
    at: Option<Head>,
    /// The position to begin after.
    after: u64,
    until: Option<u64>,
    ready: VecDeque<Result<RecordedEvent<E>, EventsError>>,
    ended: bool,
    listener: u64,
}

impl<E: Event> std::fmt::Debug for Events<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events")
            .field("after", &self.after)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}

// No field of it is pinned.
impl<E: Event> Unpin for Events<E> {}

impl<E: Event> Drop for Events<E> {
    fn drop(&mut self) {
        self.core.appended.forget(self.listener);
    }
}

impl TimedOut for EventsError {
    fn timed_out() -> Self {
        Self::TimedOut
    }
}

impl<E: Event> Events<E> {
    pub(crate) fn new(core: &Arc<Core>, from: u64) -> Self {
        let listener = core.appended.id();
        let mut stream = Self {
            core: core.clone(),
            reader: Arc::new(Mutex::new(None)),
            at: None,
            after: from.saturating_sub(1),
            until: None,
            ready: VecDeque::new(),
            ended: false,
            listener,
        };
        match core.lend() {
            Ok(Some(reader)) => {
                stream.reader = reader;
                let unknown = !E::TYPES.iter().any(|schema| core.catalog.has(schema));
                if let Some(Schema { name, rust, .. }) = E::TYPES.first().filter(|_| unknown) {
                    stream.ready.push_back(Err(EventsError::Unregistered { name, rust }));
                }
            }
            Ok(None) => stream.ready.push_back(Err(EventsError::Closed)),
            Err(error) => stream.ready.push_back(Err(EventsError::Store(Arc::new(error)))),
        }
        stream
    }

    /// Ends the stream after the last event that is durable now.
    pub fn until_head(mut self) -> Self {
        self.until = Some(self.core.head());
        self
    }

    /// Ends the stream after the last event up to this position, which need not be durable yet: `engine.events::<E>(receipt.first).up_to(receipt.last)` is what
    /// an append or a decision has put in the log.
    pub fn up_to(mut self, position: u64) -> Self {
        self.until = Some(position);
        self
    }

    /// How far the log was looked through. Where nothing is ready, all events up to there have been given.
    pub(crate) fn looked_through(&self) -> u64 {
        self.after
    }

    /// The next event: `.await` it, or block with `.wait()`. `None` after the end.
    #[allow(clippy::should_implement_trait)] // As streams have it; an iterator could not be awaited.
    pub fn next(&mut self) -> Next<'_, Self> {
        Next(self)
    }

    /// The next event, or [`EventsError::TimedOut`]; after that the stream goes on.
    pub fn next_timeout(&mut self, timeout: Duration) -> NextTimeout<'_, Self> {
        let deadline = std::time::Instant::now().checked_add(timeout);
        let sleep = deadline.map(|deadline| self.core.timer.at(deadline));
        NextTimeout { stream: self, sleep }
    }

    /// Reads on, as far as `head`.
    fn read(&mut self, head: u64) -> Result<(), EventsError> {
        let failed = |error: StoreError| EventsError::Store(Arc::new(error));
        let mut lent = lock(&self.reader);
        let reader = lent.as_mut().ok_or(EventsError::Closed)?;
        let mut at = match self.at {
            Some(at) => at,
            None => {
                let checksum = reader.checksum_at(self.after).map_err(failed)?;
                let checksum = checksum.ok_or_else(|| EventsError::Damaged {
                    position: self.after,
                    what: "it is missing, though events after it were durable".into(),
                })?;
                Head { position: self.after, checksum }
            }
        };
        let limit = usize::try_from(head - at.position).unwrap_or(PAGE).min(PAGE);
        let (ready, payload_limit) = (&mut self.ready, self.core.catalog.payload_limit);
        let mut error = None;
        let before = at.position;
        let mut bytes = 0;
        let mut visit = |event: LogEvent<'_>| {
            let checksum = chain(at.checksum, &event);
            let outcome = if checksum == event.checksum {
                at = Head { position: event.position, checksum };
                recorded::<E>(&event, payload_limit)
            } else {
                let what = "its checksum does not follow from the event before it".into();
                Err(EventsError::Damaged { position: event.position, what })
            };
            match outcome {
                Ok(Some(recorded)) => {
                    bytes += event.payload.len();
                    ready.push_back(Ok(recorded));
                }
                Ok(None) => {}
                Err(found) => error = Some(found),
            }
            error.is_none() && bytes < BYTES
        };
        if let Err(found) = reader.read(before, limit, &mut visit) {
            // What was read before it comes before it.
            error.get_or_insert(failed(found));
        }
        if at.position == before && error.is_none() {
            let what = "the log ends here, though events after it were durable".into();
            error = Some(EventsError::Damaged { position: before + 1, what });
        }
        self.at = Some(at);
        self.after = at.position;
        self.ready.extend(error.map(Err));
        Ok(())
    }
}

/// The event, if it is of type `E`.
fn recorded<E: Event>(
    event: &LogEvent<'_>,
    payload_limit: usize,
) -> Result<Option<RecordedEvent<E>>, EventsError> {
    let Some(type_index) = E::TYPES.iter().position(|schema| schema.claims(event.name)) else {
        return Ok(None);
    };
    let wrong = |reason: String| EventsError::Undecodable {
        position: event.position,
        event: event.name.to_owned(),
        reason,
    };
    let schema = &E::TYPES[type_index];
    if !schema.reads(event.version) {
        return Err(wrong(format!(
            "it is stored as version {}, and its type reads {} only",
            event.version,
            versions(&schema.versions())
        )));
    }
    let read = upcast::<E>(type_index, event.version, event.payload, payload_limit)
        .map_err(|error| wrong(error.reason))?;
    let metadata =
        Metadata::decode(event.metadata).map_err(|error| wrong(format!("its metadata: {error}")))?;
    Ok(Some(RecordedEvent {
        position: event.position,
        recorded_at: event.recorded_at,
        event_id: event.event_id.map(str::to_owned),
        metadata,
        event: read,
    }))
}

impl<E: Event> Stream for Events<E> {
    type Item = Result<RecordedEvent<E>, EventsError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let stream = &mut *self;
        if let Some(item) = stream.ready.pop_front() {
            stream.ended |= item.is_err();
            return Poll::Ready(Some(item));
        }
        if stream.ended || stream.until.is_some_and(|until| stream.after >= until) {
            return Poll::Ready(None);
        }
        // First the place among those to be woken, then the look at the head: nothing is missed in between.
        let mut head = stream.core.head();
        if head <= stream.after {
            stream.core.appended.listen(stream.listener, context.waker());
            head = stream.core.head();
            if lock(&stream.reader).is_none() {
                stream.ended = true;
                return Poll::Ready(Some(Err(EventsError::Closed)));
            }
            if head <= stream.after {
                return Poll::Pending;
            }
        }
        let head = stream.until.map_or(head, |until| head.min(until));
        if let Err(error) = stream.read(head) {
            stream.ended = true;
            return Poll::Ready(Some(Err(error)));
        }
        match stream.ready.pop_front() {
            Some(item) => {
                stream.ended |= item.is_err();
                Poll::Ready(Some(item))
            }
            None => {
                // A page without an event of this type: others get their turn before the next.
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
