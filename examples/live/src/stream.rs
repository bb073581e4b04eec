//! The board as a stream: all rows, then what changes, one message a batch of events.
//!
//! The id of a message is a position of the log, and what the rows are made by: so a reader who comes back with it is told what has changed since, out of the log, whatever
//! has happened to the server in between; and everything, where rows are made otherwise now.

use std::collections::BTreeSet;
use std::time::Duration;

use axum::response::sse;
use cqrs_core::prelude::*;
use cqrs_core::{Changes, ChangesError};
use futures_util::stream::{Stream, unfold};
use serde::Serialize;

use crate::shop::{Board, Shop};

/// A reader who comes back later than this many events gets all rows.
const LOOKED_THROUGH: u64 = 1_000;

/// How many changes wait for a reader who is slow.
const BACKLOG: usize = 10_000;

/// How soon a reader comes back whose connection is lost.
const COMES_BACK: Duration = Duration::from_millis(500);

/// What a reader is told at once: the rows that are different, up to and with a position.
#[derive(Debug, Default, Serialize)]
struct Batch {
    position: u64,
    rows: Vec<Board>,
    gone: Vec<String>,
}

impl Batch {
    async fn next(changes: &mut Changes<Board>) -> Result<Self, ChangesError> {
        let mut batch = Self::default();
        loop {
            match changes.next().await.unwrap_or(Err(ChangesError::Closed))? {
                Change::Inserted { row } | Change::Updated { after: row, .. } => batch.rows.push(row),
                Change::Deleted { row } => batch.gone.push(row.item),
                Change::Progress { position } => return Ok(Self { position, ..batch }),
            }
        }
    }

    /// Of all rows, those that events after a position have touched, and the items that are no more. `None` where it is as well to tell everything.
    async fn since(&self, engine: &Engine, seen: Receipt) -> Option<Self> {
        let behind = self.position.checked_sub(seen.last)?;
        if seen.store != engine.store_id() || behind > LOOKED_THROUGH {
            return None;
        }
        let engine = engine.clone();
        // It reads a file.
        let touched = tokio::task::spawn_blocking(move || touched_since(&engine, seen.last));
        let mut gone = touched.await.ok()??;
        let rows = self.rows.iter().filter(|row| gone.remove(&row.item)).cloned().collect();
        Some(Self { position: self.position, rows, gone: gone.into_iter().collect() })
    }
}

/// The items of the events after a position; `None` if they cannot be read.
fn touched_since(engine: &Engine, position: u64) -> Option<BTreeSet<String>> {
    let mut events = engine.events::<Shop>(position + 1).until_head();
    let mut touched = BTreeSet::new();
    while let Some(recorded) = events.next().wait() {
        touched.insert(recorded.ok()?.event.into_item());
    }
    Some(touched)
}

#[derive(Debug)]
enum Message {
    /// These are all rows there are.
    All(Batch),
    /// These are different now.
    Changes(Batch),
}

/// One reader's way through the changes.
struct Reader {
    engine: Engine,
    backlog: usize,
    seen: Option<Receipt>,
    changes: Option<Changes<Board>>,
}

impl Reader {
    fn new(engine: &Engine, seen: Option<Receipt>, backlog: usize) -> Self {
        Self { engine: engine.clone(), backlog, seen, changes: None }
    }

    /// The next message; `None` once nothing more is to come.
    async fn next(&mut self) -> Option<Message> {
        if let Some(changes) = &mut self.changes {
            match Batch::next(changes).await {
                Ok(batch) => return Some(Message::Changes(batch)),
                // It was too slow, and goes on from what is now.
                Err(ChangesError::Lagged { .. }) => {}
                Err(_) => return None,
            }
        }
        let mut changes = self.engine.view::<Board>().subscribe().backlog(self.backlog);
        let all = Batch::next(&mut changes).await.ok()?;
        self.changes = Some(changes);
        let since = match self.seen.take() {
            Some(seen) => all.since(&self.engine, seen).await,
            None => None,
        };
        Some(since.map_or(Message::All(all), Message::Changes))
    }

    fn event(&self, message: Message) -> Result<sse::Event, axum::Error> {
        let (name, batch) = match message {
            Message::All(batch) => ("all", batch),
            Message::Changes(batch) => ("changes", batch),
        };
        let Batch { position, .. } = batch;
        let at = Receipt { store: self.engine.store_id(), first: position, last: position };
        sse::Event::default().event(name).id(id(&at)).retry(COMES_BACK).json_data(batch)
    }
}

/// A receipt as text, which names the log and a position; and the fingerprint of the projection.
fn id(at: &Receipt) -> String {
    format!("{at}~{:x}", Board::FINGERPRINT)
}

/// What a reader has seen who has got a message of this id. One that is none of ours, or of other rows, says nothing.
pub(crate) fn seen(id: &str) -> Option<Receipt> {
    let (at, rows) = id.split_once('~')?;
    let same = u128::from_str_radix(rows, 16) == Ok(Board::FINGERPRINT);
    at.parse().ok().filter(|_| same)
}

/// What a reader is sent, who has seen this much.
pub(crate) fn messages(
    engine: &Engine,
    seen: Option<Receipt>,
) -> impl Stream<Item = Result<sse::Event, axum::Error>> + use<> {
    unfold(Reader::new(engine, seen, BACKLOG), async |mut reader| {
        let message = reader.next().await?;
        Some((reader.event(message), reader))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::Purchases;

    #[test]
    fn an_id_is_of_the_rows_that_its_message_had() {
        let at = Receipt { store: Engine::in_memory().start().unwrap().store_id(), first: 7, last: 7 };
        assert_eq!(seen(&id(&at)), Some(at));
        // Of rows that a program before this one has made otherwise.
        assert_eq!(seen(&format!("{at}~{:x}", Board::FINGERPRINT ^ 1)), None);
        assert_eq!((seen(&at.to_string()), seen("~"), seen("")), (None, None, None));
    }

    #[tokio::test]
    async fn a_reader_who_is_too_slow_goes_on_from_what_is_now() {
        let engine = Engine::in_memory().view::<Board>().view::<Purchases>().start().unwrap();
        let delivered =
            |item: &str| Shop::Delivered { item: item.into(), shelf: "hats".into(), qty: 1, cents: 1 };
        let mut reader = Reader::new(&engine, None, 2);
        assert!(matches!(reader.next().await, Some(Message::All(batch)) if batch.rows.is_empty()));
        for item in ["Bowler", "Fedora", "Panama"] {
            engine.append(delivered(item)).await.unwrap();
        }
        match reader.next().await {
            Some(Message::All(batch)) => assert_eq!((batch.position, batch.rows.len()), (3, 3)),
            other => panic!("{other:?}"),
        }
        engine.append(delivered("Bowler")).await.unwrap();
        match reader.next().await {
            Some(Message::Changes(batch)) => assert_eq!((batch.position, batch.rows[0].left), (4, 2)),
            other => panic!("{other:?}"),
        }
        engine.close().await.unwrap();
        assert!(reader.next().await.is_none());
    }
}
