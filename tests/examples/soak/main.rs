//! Everything at once, for as long as you like, with restarts: memory, files and descriptors have to stay as they are.
//!
//! `cargo run --release -p integration-tests --example soak [seconds] [folder]`
//!
//! Feeds, appends, commands under keys, reactions, parked events, windows, views over views, readers, subscribers that come and go and lag, followers of the log, read-only engines, backups. Every
//! few seconds the engine is closed, or only dropped, and started anew on the same folder, in the same process, so that what an engine leaves behind adds up. It is not as fast
//! as it can be: a thousand or two events a second, so that it is the hour that counts. After each restart the sums are held against each other, and in the end the whole store is verified.
//!
//! The log grows, being the log (commands' keys in it too): what it takes an event has to stay. Fails if anything else grew between the second quarter of the run
//! and the last; in less than ten minutes, only descriptors and threads are told.
#![allow(clippy::print_stdout)]

mod measure;
mod model;

use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cqrs_core::error::{ChangesError, EventsError, ReadError};
use cqrs_core::prelude::*;
use cqrs_core::{Builder, ReactOptions, stream};

use measure::Sample;
use model::{
    ACCOUNTS, Attention, Balance, Booked, CUSTOMERS, ITEMS, Items, Lately, MENDED, Move, Sales, Seen, Sold,
    Thanked,
};

type Failure = Box<dyn Error + Send + Sync>;
type Load = fn(&Run, &Engine) -> Result<(), Failure>;

/// What goes on from one engine to the next.
struct Run {
    folder: PathBuf,
    begun: Instant,
    /// Numbers that commands' keys and events' ids are made of.
    next: AtomicU64,
}

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(Ok(60), |text| text.parse())?;
    let temporary = tempfile::tempdir()?;
    let folder = arguments.next().map_or_else(|| temporary.path().join("soak"), PathBuf::from);
    let run = Run { folder, begun: Instant::now(), next: AtomicU64::new(0) };
    // What cannot be folded is parked, and needs no word of a panic each time it is tried.
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload_as_str() != Some(model::ILLEGIBLE) {
            loud(panic);
        }
    }));
    run.begin()?;
    // Some 200 engines, or as many as are worth it.
    let stretch = Duration::from_millis((seconds * 5).max(500));
    let (mut samples, mut engines) = (Vec::new(), 0_u64);
    while run.begun.elapsed() < Duration::from_secs(seconds) {
        samples.push(run.stretch(engines, stretch)?);
        engines += 1;
    }
    println!("{}", measure::table(&samples));
    // Whatever is parked is folded, and the whole store held against a fold of its log that parks nothing.
    MENDED.store(true, Ordering::Relaxed);
    let engine = builder(Engine::open(&run.folder)?).start()?;
    engine.wait_ready().wait()?;
    engine.retry_parked::<Attention>().wait()?;
    engine.close().wait()?;
    drop(engine);
    let verified = builder(Engine::open(&run.folder)?).verify()?;
    println!(
        "{engines} engines, {} events, {} MB of log",
        verified.events,
        samples.last().map_or(0, |last| last.log / 1_000_000)
    );
    let mut wrong: Vec<String> = verified.findings.iter().map(ToString::to_string).collect();
    wrong.extend(measure::grown(&samples));
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n").into()) }
}

fn builder(builder: Builder) -> Builder {
    let builder =
        builder.view::<Sales>().view::<Items>().view::<Lately>().view::<Balance>().view::<Attention>();
    builder.event::<Thanked>()
}

impl Run {
    /// All rows are there before anything is measured.
    fn begin(&self) -> Result<(), Failure> {
        let engine = builder(Engine::open(&self.folder)?).start()?;
        if engine.health().position == 0 {
            engine.append_all(model::beginning()).wait()?;
            engine
                .feed("sales", stream((0..ITEMS * CUSTOMERS).map(|offset| (offset, Sold::of(offset)))))
                .wait()?;
        }
        Ok(engine.close().wait()?)
    }

    /// The life of one engine.
    fn stretch(&self, number: u64, time: Duration) -> Result<Sample, Failure> {
        let engine = builder(Engine::open(&self.folder)?).start()?;
        engine.wait_ready().wait()?;
        let thanks = engine.react_with::<Booked>(
            "thanks",
            Since::Beginning,
            ReactOptions::new().attempts(2),
            |event| {
                if event.account % 1_000 == 7 && event.attempt() < 2 {
                    return Err("not yet".into());
                }
                if event.amount > 0 {
                    event.emit(Thanked { account: event.account });
                }
                Ok(())
            },
        )?;
        let (end, over) = (Instant::now() + time, AtomicBool::new(false));
        let sample = thread::scope(|scope| {
            let loads: [Load; 8] = [
                |_, engine| feed(engine),
                Self::watch,
                Self::command,
                Self::command,
                |_, engine| read(engine),
                |_, engine| subscribe(engine),
                |_, engine| lag(engine),
                Self::follow,
            ];
            let (engine, over) = (&engine, &over);
            let threads = loads.map(|load| {
                scope.spawn(move || {
                    let mut result = Ok(());
                    while result.is_ok() && !over.load(Ordering::Relaxed) {
                        result = load(self, engine);
                    }
                    over.fetch_or(result.is_err(), Ordering::Relaxed);
                    result
                })
            });
            while Instant::now() < end && !over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(20));
            }
            let sample = Sample::take(self.begun.elapsed(), engine.health().position, &self.folder);
            over.store(true, Ordering::Relaxed);
            for thread in threads {
                thread.join().map_err(|_| "a thread panicked")??;
            }
            Ok::<_, Failure>(sample)
        })?;
        if number % 16 == 7 {
            MENDED.store(true, Ordering::Relaxed);
            let retried = engine.retry_parked::<Attention>().wait();
            MENDED.store(false, Ordering::Relaxed);
            retried?;
            self.back_up(&engine)?;
        }
        agree(&engine)?;
        drop(thanks);
        if !number.is_multiple_of(3) {
            engine.close().wait()?;
        }
        Ok(sample)
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn watch(&self, engine: &Engine) -> Result<(), Failure> {
        for _ in 0..10 {
            let number = self.number();
            let event = NewEvent::of(&Seen::of(number)).id(format!("{}-{number}", std::process::id()));
            engine.append(event).wait()?;
        }
        thread::sleep(Duration::from_millis(100));
        Ok(())
    }

    fn command(&self, engine: &Engine) -> Result<(), Failure> {
        let number = self.number();
        let (from, to) =
            ((number * 7_919 % u64::from(ACCOUNTS)) as u32, (number * 104_729 % u64::from(ACCOUNTS)) as u32);
        let key = format!("{}-{number}", std::process::id());
        for _ in 0..1 + number % 2 {
            match engine.execute(Move { from, to, amount: (number % 100) as i64 }).key(&*key).wait() {
                Ok(_) | Err(DecideError::Refused(_)) => {}
                Err(error) => return Err(format!("{error:?}").into()),
            }
        }
        thread::sleep(Duration::from_millis(20));
        Ok(())
    }

    /// Another process would see the same.
    fn follow(&self, engine: &Engine) -> Result<(), Failure> {
        let mut events = engine.events::<Thanked>(engine.health().position.saturating_sub(100));
        loop {
            match events.next_timeout(Duration::from_millis(20)).wait() {
                Some(Err(EventsError::TimedOut)) | None => break,
                Some(event) => _ = event?,
            }
        }
        let reader = builder(Engine::open_read_only(&self.folder)?).start()?;
        reader.wait_ready().wait()?;
        agree(&reader)?;
        Ok(())
    }

    fn back_up(&self, engine: &Engine) -> Result<(), Failure> {
        let copy = self.folder.with_extension("copy");
        engine.backup(&copy).wait()?;
        let restored = builder(Engine::open(&copy)?).start()?;
        restored.wait_ready().wait()?;
        agree(&restored)?;
        restored.close().wait()?;
        std::fs::remove_dir_all(&copy)?;
        Ok(())
    }
}

/// What is sold is in every view of it, once, and no money is lost.
fn agree(engine: &Engine) -> Result<(), Failure> {
    let (sales, pieces, items, money) = engine.snapshot(|views| {
        let sales: Vec<Sales> = views.rows::<Sales>()?.collect();
        let items: i64 = views.rows::<Items>()?.map(|row| row.qty).sum();
        let money: i64 = views.rows::<Balance>()?.map(|row| row.amount).sum();
        let pieces: i64 = sales.iter().map(|row| row.qty).sum();
        Ok::<_, ReadError>((sales.iter().map(|row| row.sales).sum::<u64>(), pieces, items, money))
    })?;
    let fed = engine.source("sales")?.map_or(0, |offset| offset + 1);
    // A source may be fed between the two looks, but not fed twice.
    if sales > fed || pieces != items || money != 0 {
        return Err(
            format!("{sales} sales of {fed} fed, {pieces} pieces and {items}, {money} of money").into()
        );
    }
    Ok(())
}

/// The source is read again from a little before where it was.
fn feed(engine: &Engine) -> Result<(), Failure> {
    let stored = engine.source("sales")?.map_or(0, |offset| offset + 1);
    let offsets = stored.saturating_sub(20)..stored + 100;
    engine.feed("sales", stream(offsets.map(|offset| (offset, Sold::of(offset))))).wait()?;
    thread::sleep(Duration::from_millis(100));
    Ok(())
}

fn read(engine: &Engine) -> Result<(), Failure> {
    for customer in 0..CUSTOMERS {
        let customer = format!("customer-{customer:06}");
        let rows = engine.view::<Sales>().rows_of(&*customer)?.count();
        std::hint::black_box(rows);
    }
    engine.snapshot(|views| views.rows::<Items>().map(Iterator::count))?;
    std::hint::black_box(engine.view::<Lately>().rows_by_key()?.count());
    thread::sleep(Duration::from_millis(50));
    Ok(())
}

/// Comes, sees some changes, and goes.
fn subscribe(engine: &Engine) -> Result<(), Failure> {
    let mut changes = engine.view::<Items>().subscribe();
    for _ in 0..300 {
        match changes.next_timeout(Duration::from_millis(50)).wait() {
            Some(Err(ChangesError::TimedOut)) | None => break,
            Some(change) => _ = change?,
        }
    }
    Ok(())
}

/// Does not read what it has asked for.
fn lag(engine: &Engine) -> Result<(), Failure> {
    let changes = engine.view::<Balance>().subscribe().backlog(10);
    thread::sleep(Duration::from_millis(300));
    drop(changes);
    Ok(())
}
