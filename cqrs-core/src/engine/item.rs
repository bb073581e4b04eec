//! What a feed takes: events with the offset they have at their source.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::request::NewEvent;
use crate::event::Appendable;

/// One item of a source: its offset there, and the events it stands for, which are appended together.
///
/// For one event the pair `(offset, event)` will do.
///
/// ```
/// # use cqrs_core::prelude::*;
/// # use cqrs_core::FeedItem;
/// # #[event]
/// # pub struct Purchased { pub item: String }
/// # let purchased = |item: &str| Purchased { item: item.into() };
/// let one = FeedItem::new(7, purchased("hats"));
/// let several = FeedItem::all(8, [purchased("hats"), purchased("pants")]);
/// let none = FeedItem::nothing(9);
/// # let _: [FeedItem; 3] = [one, several, none];
/// ```
#[derive(Debug)]
#[must_use = "feed it to an engine"]
pub struct FeedItem {
    pub(crate) offset: u64,
    pub(crate) events: Of,
}

/// Most items are one event, which is not to cost a list.
#[derive(Debug)]
pub(crate) enum Of {
    One(NewEvent),
    Many(Vec<NewEvent>),
}

impl FeedItem {
    /// An item that is one event.
    pub fn new(offset: u64, event: impl Into<NewEvent>) -> Self {
        Self { offset, events: Of::One(event.into()) }
    }

    /// An item that is any number of events: all of them are in the log, or none.
    pub fn all<E: Into<NewEvent>>(offset: u64, events: impl IntoIterator<Item = E>) -> Self {
        Self { offset, events: Of::Many(events.into_iter().map(Into::into).collect()) }
    }

    /// An item of which nothing is kept. Its offset is stored with the events that follow it, or at the end of the stream.
    pub fn nothing(offset: u64) -> Self {
        Self { offset, events: Of::Many(Vec::new()) }
    }
}

/// What a stream may consist of: pairs of an offset and [what it stands for](FeedContent), [`FeedItem`]s, and `Result`s of either, whose error
/// ends the feed.
pub trait IntoFeedItem {
    /// The error of a `Result`; otherwise there is none.
    type Error;

    /// The item, or the error that ends the feed.
    ///
    /// # Errors
    ///
    /// The `Result`'s own.
    fn into_feed_item(self) -> Result<FeedItem, Self::Error>;
}

impl IntoFeedItem for FeedItem {
    type Error = Infallible;
    fn into_feed_item(self) -> Result<FeedItem, Infallible> {
        Ok(self)
    }
}

impl<C: FeedContent> IntoFeedItem for (u64, C) {
    type Error = C::Error;
    fn into_feed_item(self) -> Result<FeedItem, C::Error> {
        self.1.at(self.0)
    }
}

impl<T: IntoFeedItem<Error = Infallible>, X> IntoFeedItem for Result<T, X> {
    type Error = X;
    fn into_feed_item(self) -> Result<FeedItem, X> {
        let Ok(item) = self?.into_feed_item();
        Ok(item)
    }
}

/// What may stand beside an offset: an event or a [`NewEvent`], an `Option` or a `Vec` of either, or a `Result` of these, whose error ends the feed.
pub trait FeedContent {
    /// The error of a `Result`; otherwise there is none.
    type Error;

    /// The item at this offset, or the error that ends the feed.
    ///
    /// # Errors
    ///
    /// The `Result`'s own.
    fn at(self, offset: u64) -> Result<FeedItem, Self::Error>;
}

impl<E: Appendable> FeedContent for E {
    type Error = Infallible;
    fn at(self, offset: u64) -> Result<FeedItem, Infallible> {
        Ok(FeedItem::new(offset, self))
    }
}

impl FeedContent for NewEvent {
    type Error = Infallible;
    fn at(self, offset: u64) -> Result<FeedItem, Infallible> {
        Ok(FeedItem::new(offset, self))
    }
}

impl<E: Into<NewEvent>> FeedContent for Option<E> {
    type Error = Infallible;
    fn at(self, offset: u64) -> Result<FeedItem, Infallible> {
        Ok(self.map_or_else(|| FeedItem::nothing(offset), |event| FeedItem::new(offset, event)))
    }
}

impl<E: Into<NewEvent>> FeedContent for Vec<E> {
    type Error = Infallible;
    fn at(self, offset: u64) -> Result<FeedItem, Infallible> {
        Ok(FeedItem::all(offset, self))
    }
}

impl<C: FeedContent<Error = Infallible>, X> FeedContent for Result<C, X> {
    type Error = X;
    fn at(self, offset: u64) -> Result<FeedItem, X> {
        let Ok(item) = self?.at(offset);
        Ok(item)
    }
}

/// Makes a stream of an iterator, for [`Engine::feed`](crate::Engine::feed): of a file's records, or of a list.
///
/// An iterator cannot say that it has nothing for now: it blocks whoever asks it, and what it gave before may wait with it. It is for
/// what is there, like a file. For what arrives in its own time, use a stream: the receiving end of a channel.
pub fn stream<I: IntoIterator>(items: I) -> Items<I::IntoIter> {
    Items(items.into_iter())
}

/// The items of an iterator, as a stream; see [`stream`].
#[derive(Clone, Debug)]
#[must_use = "a stream does nothing until it is asked for its next item"]
pub struct Items<I>(I);

// The iterator is not pinned.
impl<I> Unpin for Items<I> {}

impl<I: Iterator> Stream for Items<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<I::Item>> {
        Poll::Ready(self.0.next())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}
