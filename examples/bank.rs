//! Decisions under load: accounts that never go below zero, transfers from many threads, and a sum of all balances that is the same at every moment.
//!
//! `cargo run --release --example bank [folder] [transfers]`

use std::error::Error;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use cqrs_core::prelude::*;

#[event]
pub struct Opened {
    pub account: u32,
    pub balance: i64,
}

#[event]
pub struct Withdrawn {
    pub account: u32,
    pub amount: i64,
}

#[event]
pub struct Deposited {
    pub account: u32,
    pub amount: i64,
}

/// What is shown to customers, and what transfers are decided by: one struct. Its key is what can conflict: two transfers do, where they share an account.
#[projection(from(Opened, Deposited, Withdrawn), group_by = account)]
#[derive(Debug, PartialEq)]
pub struct Balance {
    pub account: u32,
    #[sum(Opened => balance, Deposited => amount, Withdrawn => -amount)]
    pub amount: i64,
}

#[derive(Debug)]
pub struct Transfer {
    pub from: u32,
    pub to: u32,
    pub amount: i64,
}

/// Why a transfer is refused.
#[derive(Debug, PartialEq)]
pub enum Refused {
    NoAccount(u32),
    Missing(i64),
}

impl Command for Transfer {
    type Refusal = Refused;

    fn decide(&self, tx: &mut Tx) -> Result<(), Refused> {
        let Some(from) = tx.get::<Balance>(self.from) else { return Err(Refused::NoAccount(self.from)) };
        // Read as well: it must not be closed meanwhile, could accounts be closed.
        if tx.get::<Balance>(self.to).is_none() {
            return Err(Refused::NoAccount(self.to));
        }
        if from.amount < self.amount {
            return Err(Refused::Missing(self.amount - from.amount));
        }
        tx.emit(Withdrawn { account: self.from, amount: self.amount });
        tx.emit(Deposited { account: self.to, amount: self.amount });
        Ok(())
    }
}

const ACCOUNTS: u32 = 100;
const BALANCE: i64 = 100;
const THREADS: u32 = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map(PathBuf::from);
    let transfers: u32 = arguments.next().map_or(Ok(20_000), |count| count.parse())?;
    let temporary = tempfile::tempdir()?;
    let folder = folder.unwrap_or_else(|| temporary.path().join("bank"));

    let engine = Engine::open(&folder)?.view::<Balance>().start()?;
    let balances = engine.view::<Balance>();
    let open = engine.decide(|tx| {
        // Only in a new bank: two programs that start at once do not open it twice.
        if tx.rows::<Balance>().next().is_none() {
            (0..ACCOUNTS).for_each(|account| tx.emit(Opened { account, balance: BALANCE }));
        }
        Ok::<(), Refused>(())
    });
    open.wait().map_err(|error| format!("{error:?}"))?;

    let (accepted, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let (done, begun) = (AtomicBool::new(false), Instant::now());
    let looks = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&balances, &done));
        let tellers: Vec<_> = (0..THREADS)
            .map(|teller| {
                let (engine, accepted, refused) = (&engine, &accepted, &refused);
                scope.spawn(move || {
                    let mut random = Random(u64::from(teller) + 1);
                    for _ in 0..transfers / THREADS {
                        let from = random.below(ACCOUNTS);
                        // Never to itself.
                        let to = (from + 1 + random.below(ACCOUNTS - 1)) % ACCOUNTS;
                        let transfer = Transfer { from, to, amount: i64::from(random.below(80)) + 1 };
                        match engine.execute(transfer).wait() {
                            Ok(_) => accepted.fetch_add(1, Relaxed),
                            Err(DecideError::Refused(_)) => refused.fetch_add(1, Relaxed),
                            Err(error) => panic!("{error:?}"),
                        };
                    }
                })
            })
            .collect();
        // Whatever became of a teller, the watcher goes home.
        let tellers: Vec<_> = tellers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, Relaxed);
        tellers.into_iter().for_each(|teller| teller.expect("a teller failed"));
        watcher.join().expect("the sum has changed")
    });
    let elapsed = begun.elapsed();

    let rows: Vec<Balance> = balances.rows()?.collect();
    let (accepted, refused) = (accepted.into_inner(), refused.into_inner());
    println!(
        "{accepted} transfers accepted, {refused} refused, by {THREADS} threads: {:.0} a second",
        (accepted + refused) as f64 / elapsed.as_secs_f64()
    );
    println!("The sum of all balances: {}, at each of {looks} looks", total(&rows));
    println!("The lowest balance: {}", rows.iter().map(|row| row.amount).min().unwrap_or(0));
    engine.close().wait()?;
    Ok(())
}

fn total(rows: &[Balance]) -> i64 {
    rows.iter().map(|row| row.amount).sum()
}

/// Looks at all accounts, each time at one position, until the tellers are done.
fn watch(balances: &View<Balance>, done: &AtomicBool) -> u64 {
    let mut looks = 0;
    while !done.load(Relaxed) || looks == 0 {
        let rows: Vec<Balance> = balances.rows().expect("the view answers").collect();
        assert_eq!(total(&rows), i64::from(ACCOUNTS) * BALANCE);
        assert!(rows.iter().all(|row| row.amount >= 0), "an account went below zero");
        looks += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    looks
}

/// Enough for an example: splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % u64::from(end)) as u32
    }
}
