//! A stream of events on its way into the log: gathered into batches, a few of them in flight, each stored with the offset it ends at.
//!
//! A batch names the offset that it goes on from, and the writer refuses it unless the source stands there, where this feed found or left it. So
//! no batch overtakes one that failed, and of two feeds under one name only one goes on.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;

use super::desk::Desk;
use super::encoded::EncodedEvents;
use super::item::{FeedItem, IntoFeedItem, Of};
use super::request::{Append, Consistency, Request, Step, encode, unanswered};
use super::shared::Core;
use crate::error::{AppendError, FeedError, Refusal};
use crate::receipt::Receipt;
use crate::sync::{Reply, Wait, block_on, reply};

/// How much is gathered into one batch, at most.
const ITEMS: usize = 8192;
const BYTES: usize = 4 << 20;

/// How many batches are handed over and not answered, at most: one is written while the next waits, and a third is gathered.
const IN_FLIGHT: usize = 2;

/// What a feed has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fed {
    /// The source's last offset that is in the log: that of the last item, unless all items were there before.
    pub offset: Option<u64>,
    /// How many events were appended.
    pub appended: u64,
    /// How many items were passed over because their offsets were in the log, and events because their ids were.
    pub passed_over: u64,
}

/// A stream that is being fed to an engine: `.await` it under any executor, or block with [`wait`](Self::wait).
///
/// It is polled three batches of 8192 items, or of about 4 MiB, ahead of what is durable, and no further. As soon as the stream has nothing ready, what it gave is handed over.
/// Dropping this stops it: what was handed over is still appended, and the next feed of the source goes on after it.
///
/// An event that bears an id which the log has with the same event is passed over, for itself; with another event, it ends the feed before the
/// batch that it is in.
#[must_use = "nothing is fed until it is awaited, or waited for with `.wait()`"]
pub struct Feed<S: Stream<Item: IntoFeedItem>> {
    core: Arc<Core>,
    desk: Option<Arc<Desk>>,
    consistency: Consistency,
    source: Arc<str>,
    stage: Stage,
    /// `None` once it has ended.
    stream: Option<Pin<Box<S>>>,
    /// How it ended.
    outcome: Result<(), FeedError<ErrorOf<S>>>,
    /// The last offset that the stream gave.
    given: Option<u64>,
    /// The offset that the next batch goes on from.
    after: Option<u64>,
    /// Whether no batch has been handed over.
    first: bool,
    batch: Batch,
    /// A batch that waits for a place in the queue.
    handing_over: Option<Wait<()>>,
    in_flight: VecDeque<InFlight>,
    fed: Fed,
}

/// The error of a stream's items.
type ErrorOf<S> = <<S as Stream>::Item as IntoFeedItem>::Error;

enum Stage {
    /// What earlier feeds of the source have handed over is written first.
    Begin(Append),
    Run,
    /// All is durable, and is being folded.
    End(Append),
    Done,
}

/// What has been gathered.
#[derive(Default)]
struct Batch {
    events: EncodedEvents,
    items: usize,
    /// The offset of its last item.
    to: u64,
}

/// A batch that the writer has, or will have next.
struct InFlight {
    reply: Reply<Result<Receipt, AppendError>>,
    events: usize,
    to: u64,
}

/// Why no more is gathered for now.
enum Gathered {
    /// Enough, for this turn or for one batch.
    Enough,
    /// The stream has nothing ready.
    Waiting,
    Ended,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.items >= ITEMS || self.events.bytes() >= BYTES
    }

    /// Adds an item whole, or not at all.
    fn push(&mut self, core: &Core, item: FeedItem) -> Result<(), Refusal> {
        match item.events {
            Of::One(event) => event.add_to(&mut self.events, core)?,
            Of::Many(events) => self.events.append(&encode(core, events.into_iter())?),
        }
        self.items += 1;
        self.to = item.offset;
        Ok(())
    }
}

// The stream is pinned where it stands, and nothing else is.
impl<S: Stream<Item: IntoFeedItem>> Unpin for Feed<S> {}

impl<S: Stream<Item: IntoFeedItem>> fmt::Debug for Feed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("source", &self.source).field("fed", &self.fed).finish_non_exhaustive()
    }
}

impl<S: Stream<Item: IntoFeedItem>> Feed<S> {
    pub(crate) fn new(
        core: &Arc<Core>,
        desk: Option<Arc<Desk>>,
        consistency: Consistency,
        source: &str,
        stream: S,
    ) -> Self {
        Self {
            core: core.clone(),
            stage: Stage::Begin(nothing(core, &desk).durable()),
            desk,
            consistency,
            source: source.into(),
            stream: Some(Box::pin(stream)),
            outcome: Ok(()),
            given: None,
            after: None,
            first: true,
            batch: Batch::default(),
            handing_over: None,
            in_flight: VecDeque::with_capacity(IN_FLIGHT),
            fed: Fed::default(),
        }
    }

    /// Waits at the end for durability only: [`Consistency::Durable`].
    pub fn durable(mut self) -> Self {
        self.consistency = Consistency::Durable;
        self
    }

    /// Blocks the thread until the stream has ended, and all of it is appended.
    ///
    /// # Errors
    ///
    /// [`FeedError`].
    pub fn wait(self) -> Result<Fed, FeedError<ErrorOf<S>>> {
        block_on(self)
    }

    fn name(&self) -> String {
        self.source.as_ref().to_owned()
    }

    /// Finds where the source stands.
    fn begin(&mut self, written: Result<Receipt, AppendError>) -> Result<(), FeedError<ErrorOf<S>>> {
        if self.source.is_empty() {
            return Err(FeedError::Nameless);
        }
        if self.source.starts_with('@') {
            return Err(FeedError::Reserved { name: self.name() });
        }
        written.map_err(|error| FeedError::Append { name: self.name(), error })?;
        let stored = self.core.source(&self.source);
        self.after = stored.map_err(|failure| FeedError::Store { name: self.name(), failure })?;
        self.fed.offset = self.after;
        Ok(())
    }

    /// Gathers and hands over until the stream has ended and everything is answered.
    fn run(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            self.take_answers(context);
            if let Some(handing_over) = &mut self.handing_over {
                ready!(Pin::new(handing_over).poll(context));
                self.handing_over = None;
            }
            let gathered = self.gather(context);
            // Items without events are in no haste: were they given again, they would be passed over again.
            let due = match gathered {
                Gathered::Enough => self.batch.is_full(),
                Gathered::Waiting => !self.batch.events.is_empty(),
                Gathered::Ended => self.batch.items > 0,
            };
            let handed_over = due && self.in_flight.len() < IN_FLIGHT;
            if handed_over {
                self.hand_over();
            }
            match gathered {
                // A stream that always has more would keep others from their turn.
                Gathered::Enough if !self.batch.is_full() => context.waker().wake_by_ref(),
                Gathered::Ended if self.batch.items == 0 && self.in_flight.is_empty() => {
                    return Poll::Ready(());
                }
                // Once more, to be woken by its answer.
                Gathered::Waiting | Gathered::Ended if handed_over => continue,
                _ => {}
            }
            return Poll::Pending;
        }
    }

    fn take_answers(&mut self, context: &mut Context<'_>) {
        while let Some(first) = self.in_flight.front_mut()
            && let Poll::Ready(answer) = Pin::new(&mut first.reply).poll(context)
        {
            let Some(InFlight { events, to, .. }) = self.in_flight.pop_front() else { return };
            match answer.unwrap_or_else(|| Err(unanswered())) {
                Ok(receipt) => {
                    self.fed.offset = Some(to);
                    self.fed.appended += receipt.len();
                    self.fed.passed_over += events as u64 - receipt.len();
                }
                // Those behind it are refused because of it, which says nothing.
                Err(_) if matches!(self.outcome, Err(FeedError::Append { .. })) => {}
                Err(error) => {
                    self.outcome = Err(FeedError::Append { name: self.name(), error });
                    self.stream = None;
                    self.batch = Batch::default();
                }
            }
        }
    }

    fn gather(&mut self, context: &mut Context<'_>) -> Gathered {
        for _ in 0..ITEMS {
            let Some(stream) = &mut self.stream else { return Gathered::Ended };
            if self.batch.is_full() {
                break;
            }
            let item = match stream.as_mut().poll_next(context) {
                Poll::Pending => return Gathered::Waiting,
                Poll::Ready(None) => {
                    self.stream = None;
                    continue;
                }
                Poll::Ready(Some(item)) => item,
            };
            let taken = item.into_feed_item().map_err(FeedError::Stream).and_then(|item| self.take(item));
            if taken.is_err() {
                self.outcome = taken;
                self.stream = None;
            }
        }
        if self.stream.is_none() { Gathered::Ended } else { Gathered::Enough }
    }

    fn take(&mut self, item: FeedItem) -> Result<(), FeedError<ErrorOf<S>>> {
        let offset = item.offset;
        if let Some(before) = self.given.replace(offset).filter(|before| *before >= offset) {
            return Err(FeedError::OutOfOrder { name: self.name(), before, offset });
        }
        if self.after.is_some_and(|after| offset <= after) {
            self.fed.passed_over += 1;
            return Ok(());
        }
        let pushed = self.batch.push(&self.core, item);
        pushed.map_err(|refusal| FeedError::Refused { name: self.name(), offset, refusal })
    }

    fn hand_over(&mut self) {
        let Some(desk) = &self.desk else { return };
        let next = if self.batch.is_full() {
            EncodedEvents::with_room(self.batch.events.len(), self.batch.events.bytes().min(BYTES))
        } else {
            EncodedEvents::default()
        };
        let Batch { events, to, .. } =
            std::mem::replace(&mut self.batch, Batch { events: next, ..Batch::default() });
        let first = std::mem::replace(&mut self.first, false);
        let step = Step { source: self.source.clone(), first, after: self.after.replace(to), to };
        let (reply, answer) = reply();
        self.in_flight.push_back(InFlight { reply: answer, events: events.len(), to });
        let request =
            Request { step: Some(Box::new(step)), ..Request::new(events, Consistency::Durable, reply) };
        if let Err(request) = desk.try_hand_in(request) {
            let desk = desk.clone();
            self.handing_over = Some(Wait::new(async move { desk.hand_in(request).await }));
        }
    }
}

/// An append of no events: it waits for those before it.
fn nothing(core: &Core, desk: &Option<Arc<Desk>>) -> Append {
    Append::new(core, desk.clone(), std::iter::empty(), Consistency::ReadYourWrites)
}

impl<S: Stream<Item: IntoFeedItem>> Future for Feed<S> {
    type Output = Result<Fed, FeedError<ErrorOf<S>>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let feed = &mut *self;
        if let Stage::Begin(written) = &mut feed.stage {
            let written = ready!(Pin::new(written).poll(context));
            feed.stage = Stage::Done;
            if let Err(error) = feed.begin(written) {
                return Poll::Ready(Err(error));
            }
            feed.stage = Stage::Run;
        }
        if let Stage::Run = feed.stage {
            ready!(feed.run(context));
            feed.stage = Stage::Done;
            if let Err(error) = std::mem::replace(&mut feed.outcome, Ok(())) {
                return Poll::Ready(Err(error));
            }
            feed.stage = Stage::End(nothing(&feed.core, &feed.desk).consistency(feed.consistency));
        }
        if let Stage::End(folded) = &mut feed.stage {
            // Should the engine close meanwhile: all is durable even so.
            let _ = ready!(Pin::new(folded).poll(context));
            feed.stage = Stage::Done;
            return Poll::Ready(Ok(feed.fed));
        }
        Poll::Pending
    }
}
