//! Decisions: events that are appended only if what they rest on still holds.
//!
//! A decision reads rows at one position. Its events go in only if no event after that position, and none that goes in before them, touches what was
//! read; else it is made anew, and after two conflicts at the writer, in line, where nothing can come between.

mod tx;

use std::any::{Any, TypeId, type_name};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use tracing::Instrument;

pub use self::tx::Tx;
use crate::engine::boundary::Boundary;
use crate::engine::desk::Desk;
use crate::engine::encoded::EncodedEvents;
use crate::engine::request::{Consistency, Decision, NewEvent, Request, answered, encode, hand_over};
use crate::engine::shared::Core;
use crate::error::{AppendError, DecideError, Refusal};
use crate::event::Metadata;
use crate::meters;
use crate::receipt::Receipt;
use crate::sync::{block_on, lock, reply};

/// How often a decision is made beside others before it is made at the writer.
const TRIES: usize = 2;

thread_local! {
    static DECIDING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is in a decision.
pub(crate) fn is_deciding() -> bool {
    DECIDING.get()
}

/// While this lives, its thread is in a decision.
struct Deciding(bool);

impl Deciding {
    fn enter() -> Self {
        Self(DECIDING.replace(true))
    }
}

impl Drop for Deciding {
    fn drop(&mut self) {
        DECIDING.set(self.0);
    }
}

/// A command: a decision with a name, as a value that can be logged, queued and sent again.
///
/// ```
/// use cqrs_core::prelude::*;
///
/// #[event]
/// pub struct Withdrawn { pub account: String, pub amount: i64 }
/// #[event]
/// pub struct Deposited { pub account: String, pub amount: i64 }
///
/// #[projection(from(Withdrawn, Deposited), group_by = account)]
/// pub struct Balance {
///     pub account: String,
///     #[sum(Deposited => amount, Withdrawn => -amount)]
///     pub amount: i64,
/// }
///
/// pub struct Withdraw { pub account: String, pub amount: i64 }
///
/// #[derive(Debug, PartialEq)]
/// pub struct Overdrawn { pub missing: i64 }
///
/// impl Command for Withdraw {
///     type Refusal = Overdrawn;
///     fn decide(&self, tx: &mut Tx) -> Result<(), Overdrawn> {
///         let balance = tx.get::<Balance>(&self.account).map_or(0, |row| row.amount);
///         if balance < self.amount {
///             return Err(Overdrawn { missing: self.amount - balance });
///         }
///         tx.emit(Withdrawn { account: self.account.clone(), amount: self.amount });
///         Ok(())
///     }
/// }
///
/// let engine = Engine::in_memory().view::<Balance>().start()?;
/// engine.append(Deposited { account: "ann".into(), amount: 10 }).wait()?;
/// let withdraw = || Withdraw { account: "ann".into(), amount: 8 };
/// let first = engine.execute(withdraw()).key("request-1").wait().unwrap();
/// // It is sent again: the first receipt, and nothing happens.
/// assert_eq!(engine.execute(withdraw()).key("request-1").wait().unwrap(), first);
/// // Another one is refused.
/// let refused = engine.execute(withdraw()).key("request-2").wait();
/// assert!(matches!(refused, Err(DecideError::Refused(Overdrawn { missing: 6 }))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a command",
    label = "not a command",
    note = "write it: `impl Command for {Self} {{ type Refusal = ..; fn decide(&self, tx: &mut Tx) -> Result<(), Self::Refusal> {{ .. }} }}`"
)]
pub trait Command: Send + 'static {
    /// Why it may be refused: the user's own type. With `Display` and `Debug`, [`DecideError`] is an error that `?` takes.
    type Refusal: Send + 'static;

    /// Reads what it rests on, and emits what is to happen; or refuses. It may be called several times; see [`Tx`].
    ///
    /// # Errors
    ///
    /// The refusal. Nothing is appended then.
    fn decide(&self, tx: &mut Tx) -> Result<(), Self::Refusal>;

    /// Its name, in traces and for its [key](Decide::key): the type's own, without its path and its generics, unless it says otherwise.
    ///
    /// Keys are kept under it for ever: where a type is renamed, this goes on saying the old name. Two types that have one name of their own would share their keys, and
    /// are refused once both have been executed under keys in one run of the program: one of them says another here. A name that is said is taken as it is meant.
    fn name(&self) -> &'static str {
        own_name::<Self>()
    }
}

/// A type's name, without its path and its generics.
fn own_name<T: ?Sized>() -> &'static str {
    let name = type_name::<T>();
    // What stands in angle brackets has paths of its own.
    let (mut depth, mut begin) = (0_usize, 0);
    for (at, c) in name.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => begin = at + 1,
            _ => {}
        }
    }
    let last = &name[begin..];
    last.split('<').next().unwrap_or(last)
}

/// Which types of commands have been executed under keys, by the names that they have of themselves.
#[derive(Debug, Default)]
pub(crate) struct Named(Mutex<BTreeMap<&'static str, Type>>);

/// A type, and what it is called.
type Type = (TypeId, &'static str);

impl Named {
    /// Takes a name for a type, unless another has it.
    fn take(&self, name: &'static str, of: Type) -> Result<(), Refusal> {
        match *lock(&self.0).entry(name).or_insert(of) {
            (id, _) if id == of.0 => Ok(()),
            (_, first) => Err(Refusal::OneName { name, first, second: of.1 }),
        }
    }
}

type Body<R> = Box<dyn FnMut(&mut Tx) -> Result<(), R> + Send>;

/// A decision that has yet to be made: `.await` it under any executor, or block with [`wait`](Self::wait).
///
/// Dropped before it has answered, it was made or it was not.
#[must_use = "nothing is decided until it is awaited, or waited for with `.wait()`"]
pub struct Decide<R> {
    state: State<R>,
}

enum State<R> {
    Ready(Box<Start<R>>),
    Running(Answer<R>),
    Done,
}

type Answer<R> = Pin<Box<dyn Future<Output = Result<Receipt, DecideError<R>>> + Send>>;

/// What is needed to make a decision.
struct Start<R> {
    core: Arc<Core>,
    desk: Option<Arc<Desk>>,
    consistency: Consistency,
    name: &'static str,
    /// The type of the command, and the name that it has of itself: asked for where there is a key.
    of: Option<fn() -> (&'static str, Type)>,
    /// Whether it has been given the name.
    named: bool,
    /// The key that the caller gave.
    asked: Option<String>,
    /// What it is known by.
    key: Option<String>,
    metadata: Metadata,
    /// What the ids of its events begin with, where they have none of their own.
    ids: Option<String>,
    /// Of a command that a reaction executes: what its keys are within, and what it is there without one.
    within: Option<(String, String)>,
    body: Body<R>,
    /// Why it is not to be made.
    refused: Option<AppendError>,
    /// Whether the caller's thread may do the writer's work.
    blocks: bool,
}

impl<R> std::fmt::Debug for Decide<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Decide(..)")
    }
}

impl<R: Send + 'static> Decide<R> {
    pub(crate) fn new(
        core: &Arc<Core>,
        desk: Option<Arc<Desk>>,
        consistency: Consistency,
        name: &'static str,
        body: Body<R>,
    ) -> Self {
        let (core, metadata) = (core.clone(), Metadata::default());
        let start = Start {
            core,
            desk,
            consistency,
            name,
            of: None,
            named: false,
            asked: None,
            key: None,
            metadata,
            ids: None,
            within: None,
            body,
            refused: None,
            blocks: false,
        };
        Self { state: State::Ready(Box::new(start)) }
    }

    /// That of a command of this type.
    pub(crate) fn of<C: Command>(self) -> Self {
        self.with(|start| start.of = Some(|| (own_name::<C>(), (TypeId::of::<C>(), type_name::<C>()))))
    }

    /// As a reaction makes it: known by this among what it does for one event, and caused so.
    pub(crate) fn known_as(self, within: String, call: String, metadata: Metadata) -> Self {
        self.with(|start| {
            start.within = Some((within, call));
            start.metadata = metadata;
        })
    }

    /// Not made, if there is a reason, which is its answer.
    pub(crate) fn refused(self, why: Option<AppendError>) -> Self {
        self.with(|start| start.refused = why)
    }

    fn with(mut self, change: impl FnOnce(&mut Start<R>)) -> Self {
        if let State::Ready(start) = &mut self.state {
            change(start);
        }
        self
    }

    /// A name for what is decided by a closure, as a command has [one](Command::name): in traces, as the cause of its events, and for its [key](Self::key).
    ///
    /// ```
    /// use cqrs_core::prelude::*;
    ///
    /// #[event]
    /// pub struct Paid { pub order: u64 }
    ///
    /// let engine = Engine::in_memory().event::<Paid>().start()?;
    /// let pay = |order| {
    ///     engine.decide(move |tx| {
    ///         tx.emit(Paid { order });
    ///         Ok::<_, ()>(())
    ///     })
    /// };
    /// let first = pay(7).named("pay").key("order-7").wait().unwrap();
    /// assert_eq!(pay(7).named("pay").key("order-7").wait().unwrap(), first);
    /// // A key is kept under a name. (Under none, `.named("")`, are those that closures had before they could be given one.)
    /// assert!(matches!(pay(8).key("order-8").wait(), Err(DecideError::Append(AppendError::NotAppended(_)))));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn named(self, name: &'static str) -> Self {
        self.with(|start| (start.name, start.named) = (name, true))
    }

    /// A key by which the caller knows it again, unique among the commands of its name (a closure is [given one](Self::named)): if the log has its events already, or it has succeeded without any, it is
    /// not made again, and the first receipt is the answer. What the command says besides is not compared: a key is for one command, whatever it carries.
    ///
    /// A refusal is not remembered: nothing has happened, and what is refused now may be accepted when it is tried again. Keys are kept for ever, in
    /// the transaction that appends the events.
    ///
    /// Of a command that a [reaction](crate::Reacting::execute) executes, it is one among those of its name that the handler executes for the same event.
    pub fn key(self, key: impl Into<String>) -> Self {
        self.with(|start| start.asked = Some(key.into()))
    }

    /// What it belongs to, e.g. a request: its events bear it, unless they say otherwise.
    pub fn correlation_id(self, id: impl Into<String>) -> Self {
        self.with(|start| start.metadata.correlation_id = Some(id.into()))
    }

    /// What caused its events; they bear it, unless they say otherwise. Without, it is the command: its name, and its [key](Self::key) if it has one.
    pub fn causation_id(self, id: impl Into<String>) -> Self {
        self.with(|start| start.metadata.causation_id = Some(id.into()))
    }

    /// Anything else that is to be kept with each of its events.
    pub fn meta(self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|start| drop(start.metadata.entries.insert(key.into(), value.into())))
    }

    /// All of this at once, in place of what was said before: that of an event that it follows from, say.
    pub fn metadata(self, metadata: Metadata) -> Self {
        self.with(|start| start.metadata = metadata)
    }

    /// What it waits for once it is decided, whatever the engine's setting. What it sees does not depend on that.
    pub fn consistency(self, wanted: Consistency) -> Self {
        self.with(|start| start.consistency = wanted)
    }

    /// Waits for durability only: [`Consistency::Durable`].
    pub fn durable(self) -> Self {
        self.consistency(Consistency::Durable)
    }

    /// Blocks the thread until the answer is there.
    ///
    /// # Errors
    ///
    /// [`DecideError`]: the refusal, or why it could not be decided.
    pub fn wait(self) -> Result<Receipt, DecideError<R>> {
        block_on(self.with(|start| start.blocks = true))
    }
}

impl<R: Send + 'static> Future for Decide<R> {
    type Output = Result<Receipt, DecideError<R>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let State::Ready(_) = self.state
            && let State::Ready(start) = std::mem::replace(&mut self.state, State::Done)
        {
            self.state = State::Running(Box::pin(start.run()));
        }
        let State::Running(answer) = &mut self.state else { return Poll::Pending };
        let answer = std::task::ready!(answer.as_mut().poll(context));
        self.state = State::Done;
        Poll::Ready(answer)
    }
}

impl<R> Unpin for Decide<R> {}

/// One of those who decide, for as long as this lives: the writer keeps account of what is touched.
struct Counted(Arc<Core>);

impl Counted {
    fn new(core: &Arc<Core>) -> Self {
        core.deciding.fetch_add(1, Ordering::SeqCst);
        Self(core.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.deciding.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What a decision came to, at one position.
pub(crate) enum Verdict<R> {
    Emitted(Emitted),
    Failed(DecideError<R>),
    Panicked(Box<dyn Any + Send>),
}

/// A decision that has been made, to be appended.
pub(crate) struct Emitted {
    pub(crate) events: EncodedEvents,
    pub(crate) boundary: Boundary,
}

/// A decision that is made at the writer; `None` if it says nothing, which its caller knows then.
pub(crate) type Inline = Box<dyn FnOnce(&Arc<Core>) -> Option<Emitted> + Send>;

impl<R: Send + 'static> Start<R> {
    /// Settles what it is known by, and what its events are, now that all is said.
    fn settle(&mut self) {
        (self.key, self.ids) = match (&self.within, &self.asked) {
            (None, asked) => (asked.clone(), None),
            (Some((within, call)), None) => {
                let known = format!("{within}/{call}");
                (Some(known.clone()), Some(known))
            }
            // A key is kept under the command's name, and so are the ids of its events.
            (Some((within, _)), Some(key)) => {
                (Some(format!("{within}/={key}")), Some(format!("{within}/{}/={key}", escaped(self.name))))
            }
        };
    }

    async fn run(mut self) -> Result<Receipt, DecideError<R>> {
        self.settle();
        let command = Some(self.name).filter(|name| !name.is_empty());
        let (key, correlation) = (self.key.as_deref(), self.metadata.correlation_id.as_deref());
        let span = tracing::debug_span!("decide", command, key, correlation);
        let answer = self.answer().instrument(span.clone()).await;
        let (outcome, position) = match &answer {
            Ok(receipt) => ("accepted", Some(receipt.last)),
            Err(DecideError::Refused(_)) => ("refused", None),
            Err(_) => ("failed", None),
        };
        meters::decided(outcome);
        tracing::debug!(parent: &span, outcome, position, "decided");
        answer
    }

    async fn answer(mut self) -> Result<Receipt, DecideError<R>> {
        if is_deciding() {
            return Err(AppendError::NotAppended(Refusal::Deciding).into());
        }
        if let Some(error) = self.refused.take() {
            return Err(error.into());
        }
        let Some(desk) = self.desk.take() else {
            return Err(AppendError::NotAppended(Refusal::ReadOnly).into());
        };
        let (core, name) = (self.core.clone(), self.name);
        if self.asked.as_deref() == Some("") {
            return Err(AppendError::NotAppended(Refusal::EmptyKey { name }).into());
        }
        if self.key.is_some() && self.within.is_none() && self.of.is_none() && !self.named {
            return Err(AppendError::NotAppended(Refusal::Nameless).into());
        }
        let (size, limit) = (self.key.as_deref().map_or(0, str::len), core.catalog.payload_limit);
        if size > limit {
            return Err(AppendError::NotAppended(Refusal::TooLarge { name, size, limit }).into());
        }
        if self.key.is_some()
            && let Some((own, of)) = self.of.map(|of| of())
            && own == name
            && let Err(refusal) = core.commands.take(name, of)
        {
            return Err(AppendError::NotAppended(refusal).into());
        }
        let note = self.key.as_ref().map(|key| note_of(name, key));
        if self.metadata.causation_id.is_none() && !name.is_empty() {
            self.metadata.causation_id =
                Some(note.as_deref().map_or(name, |note| &note[COMMAND.len()..]).to_owned());
        }
        let _counted = Counted::new(&core);
        for attempt in 1..=TRIES {
            // It sees everything that was acknowledged before it began; and, made anew, what it was in conflict with.
            core.shown(if attempt == 1 { core.acknowledged() } else { core.head() }).await;
            let tx = Tx::new(&core);
            // After the rows were taken: what they show of an earlier try has its key in the log.
            if let Some(note) = &note {
                match core.receipt_of(note) {
                    Ok(None) => {}
                    Ok(Some(receipt)) => {
                        drop(tx);
                        return self.known(&desk, note.clone(), receipt).await;
                    }
                    // Where it could not be looked up, the writer looks.
                    Err(_) => break,
                }
            }
            let emitted = match self.decide(tx) {
                Verdict::Emitted(emitted) => emitted,
                Verdict::Failed(error) => return Err(error),
                Verdict::Panicked(panic) => resume_unwind(panic),
            };
            let decision = Decision { key: note.clone(), boundary: Some(emitted.boundary), inline: None };
            match ask(&desk, decision, emitted.events, self.consistency, self.blocks).await {
                Err(AppendError::NotAppended(Refusal::Conflict)) => {
                    meters::conflict();
                    tracing::debug!(attempt, "what the decision read has been touched: it is made anew");
                }
                answer => return answer.map_err(DecideError::Append),
            }
        }
        let (consistency, blocks) = (self.consistency, self.blocks);
        let (start, failure) = (Arc::new(Mutex::new(self)), Arc::<Mutex<Option<Verdict<R>>>>::default());
        loop {
            tracing::debug!("the decision is made in line");
            let (start, to) = (start.clone(), failure.clone());
            let inline: Inline = Box::new(move |core| match lock(&start).decide(Tx::new(core)) {
                Verdict::Emitted(emitted) => Some(emitted),
                failed => {
                    *lock(&to) = Some(failed);
                    None
                }
            });
            let decision = Decision { key: note.clone(), boundary: None, inline: Some(inline) };
            let answer = ask(&desk, decision, EncodedEvents::default(), consistency, blocks).await;
            match lock(&failure).take() {
                Some(Verdict::Failed(error)) => return Err(error),
                Some(Verdict::Panicked(panic)) => resume_unwind(panic),
                Some(Verdict::Emitted(_)) | None => {}
            }
            match answer {
                // Views were exchanged just then, or another process has written to the log.
                Err(AppendError::NotAppended(Refusal::Conflict)) => meters::conflict(),
                answer => return answer.map_err(DecideError::Append),
            }
        }
    }

    /// Answers for a command that was executed before.
    async fn known(self, desk: &Desk, note: String, receipt: Receipt) -> Result<Receipt, DecideError<R>> {
        if receipt.last > self.core.head() {
            // Another writer has executed it: the log is looked at.
            let decision = Decision { key: Some(note), boundary: None, inline: None };
            let answer = ask(desk, decision, EncodedEvents::default(), self.consistency, self.blocks).await;
            return answer.map_err(DecideError::Append);
        }
        match self.consistency {
            // Its events may be on their way to the views.
            Consistency::ReadYourWrites => self.core.shown(receipt.last).await,
            Consistency::Durable => self.core.acknowledge(&receipt),
        }
        Ok(receipt)
    }

    /// Makes the decision on what is seen.
    fn decide(&mut self, mut tx: Tx) -> Verdict<R> {
        let _deciding = Deciding::enter();
        let said = catch_unwind(AssertUnwindSafe(|| (self.body)(&mut tx)));
        if let Some((view, error)) = tx.failed {
            return Verdict::Failed(DecideError::Read { view, error });
        }
        match said {
            Ok(Ok(())) => {}
            Ok(Err(refusal)) => return Verdict::Failed(DecideError::Refused(refusal)),
            Err(panic) => return Verdict::Panicked(panic),
        }
        let boundary = tx.boundary();
        let finished = |(at, event): (usize, NewEvent)| {
            let event = event.beside(&self.metadata);
            match &self.ids {
                Some(ids) => event.known_as(|| format!("{ids}/{at}")),
                None => event,
            }
        };
        match encode(&self.core, tx.events.into_iter().enumerate().map(finished)) {
            Ok(events) => Verdict::Emitted(Emitted { events, boundary }),
            Err(refusal) => Verdict::Failed(AppendError::NotAppended(refusal).into()),
        }
    }
}

/// Asks the writer to let a decision in.
async fn ask(
    desk: &Desk,
    decision: Decision,
    events: EncodedEvents,
    consistency: Consistency,
    blocks: bool,
) -> Result<Receipt, AppendError> {
    let (reply, answer) = reply();
    let request = Request { decision: Some(Box::new(decision)), ..Request::new(events, consistency, reply) };
    hand_over(desk, request, blocks).await;
    answered(answer).await
}

/// Before the keys of commands, among the notes of a store.
const COMMAND: &str = "command/";

/// The note under which a command's key is kept. The name ends with the first slash, whatever it is.
fn note_of(name: &str, key: &str) -> String {
    format!("{COMMAND}{}/{key}", escaped(name))
}

/// A command's name without a slash.
fn escaped(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}
