//! One story's world: the disk, the process that runs on it, and what is known of both.

use std::sync::Arc;

use cqrs_core::health::ViewState;
use cqrs_core::prelude::*;
use cqrs_core::{Builder, NotReady};
use faulty_vfs::Random;

use crate::disk::{Armed, Call, Disk, Fault, clock};
use crate::history::History;
use crate::language::{explain, views};
use crate::oracle;
use crate::store::SimStore;

/// How a process ends, and what it leaves.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Close,
    /// The last handle is dropped.
    Drop,
    /// It dies, and leaves the checkpoints as they are.
    Crash,
    /// It dies, and the last checkpoints with it: earlier ones are left, or none.
    CrashEarlier,
    CrashWithout,
    /// The checkpoints are another log's: that is refused, and then they are deleted.
    Mistaken,
    /// Some row of a checkpoint is damaged.
    Damaged,
}

pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) random: Random,
    pub(crate) disk: Arc<Disk>,
    pub(crate) history: History,
    engine: Option<Engine>,
    /// Whether riddles are understood by now.
    explained: bool,
    /// What happened, as far as the seed says it.
    pub(crate) said: Vec<String>,
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the story of the seed {}:\n  {}", self.seed, self.said.join("\n  "));
        }
        // Whatever has gone wrong: nobody is to wait for a store that goes on failing.
        self.disk.open_gate();
        self.engine = None;
        explain(self.seed, false);
    }
}

impl World {
    pub(crate) fn begin(seed: u64) -> Self {
        let mut world = Self {
            seed,
            random: Random(seed),
            disk: Arc::default(),
            history: History::default(),
            engine: None,
            explained: false,
            said: Vec::new(),
        };
        explain(seed, false);
        world.disk.set_time(1_000_000_000);
        world.start();
        world
    }

    pub(crate) fn say(&mut self, what: &str) {
        self.said.push(format!("{what} [{} {:016x}]", self.history.head(), self.history.checksum));
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.engine.as_ref().expect("it runs between two steps")
    }

    /// How far the process has heard of the log: not of what another writer has written, nor of what came late.
    pub(crate) fn known(&self) -> u64 {
        self.engine().health().position
    }

    pub(crate) fn offset(&self, source: &str) -> Option<u64> {
        self.disk.reader().sources().unwrap().get(source).copied()
    }

    pub(crate) fn explain(&mut self) {
        self.explained = true;
        explain(self.seed, true);
    }

    pub(crate) fn has_faulted(&self) -> bool {
        let faulted = |state: &ViewState| matches!(state, ViewState::Faulted(_));
        self.engine().health().views.iter().any(|view| faulted(&view.state))
    }

    fn builder(&self) -> Builder {
        // Checkpoints are saved when a story says so, and at no time of their own.
        let builder = Engine::with_store(Arc::new(SimStore::new(&self.disk)))
            .clock(clock(&self.disk))
            .checkpoint_every(std::time::Duration::MAX, u64::MAX)
            .threads(1);
        views(builder)
    }

    /// Starts a process: again and again, while what it reads cannot be read.
    fn start(&mut self) {
        let engine = loop {
            self.disk.rise();
            match self.builder().start() {
                Ok(engine) => match engine.wait_ready().wait() {
                    Ok(()) => break engine,
                    // The log could not be read while views were rebuilt. That ends with the fault.
                    Err(NotReady::Faulted(_)) if self.disk.fired() => self.disk.kill(),
                    Err(error) => panic!("{error}"),
                },
                Err(StartError::Store(_)) if self.disk.fired() => {}
                Err(StartError::OtherLog { .. }) if self.disk.change_kept(|kept| kept.is_mistaken()) => {
                    self.disk.change_kept(|kept| *kept = Default::default());
                    self.say("refused: the checkpoints are another log's");
                }
                Err(error) => panic!("it does not start: {error}"),
            }
        };
        assert!(
            !self.disk.change_kept(|kept| kept.is_mistaken()),
            "checkpoints of another log are not refused"
        );
        self.disk.arm(None);
        engine.checkpoint().wait().unwrap();
        self.disk.mark();
        self.engine = Some(engine);
    }

    /// Whatever of this process could still do something has ended when this returns.
    fn stop(&mut self, end: End) {
        let engine = self.engine.take().expect("it runs between two steps");
        match end {
            End::Close => engine.close().wait().unwrap(),
            End::Drop => drop(engine),
            _ => {
                self.disk.kill();
                drop(engine);
            }
        }
    }

    pub(crate) fn restart(&mut self, end: End) {
        self.stop(end);
        if self.random.one_in(2) {
            self.disk.land();
        }
        // What its process has not heard of is lost with it otherwise.
        self.disk.drop_delayed();
        match end {
            End::Close | End::Drop | End::Crash => {}
            End::CrashEarlier => {
                let mark = self.random.below(self.disk.marks() as u64) as usize;
                self.disk.put_back(mark);
            }
            End::CrashWithout => self.disk.change_kept(|kept| *kept = Default::default()),
            End::Mistaken => self.disk.change_kept(|kept| kept.mistake()),
            End::Damaged => {
                let which = self.random.draw();
                self.disk.change_kept(|kept| kept.damage(which));
            }
        }
        self.history.catch_up(&self.disk);
        let armed = self.random.one_in(6).then(|| Armed {
            call: *pick(&mut self.random, &[Call::Read, Call::Look, Call::Beside]),
            after: self.random.below(12) as u32,
            fault: Fault::Refused,
        });
        self.disk.arm(armed);
        self.start();
        self.check();
        assert_eq!(self.engine().health().position, self.history.head(), "it begins at the log's end");
        self.say(&format!("restarted: {end:?}"));
    }

    /// Waits until views show everything, and holds them against the log.
    pub(crate) fn check(&mut self) {
        self.history.catch_up(&self.disk);
        let receipt = self.engine().append_all(Vec::<NewEvent>::new()).wait().unwrap();
        let shown = oracle::check_views(self.engine(), &self.history, self.explained);
        assert_eq!(shown, receipt.last, "views show what was acknowledged");
    }

    /// After the last step: the same rows by way of the checkpoints, and without any; and nothing to be found by who looks closely.
    pub(crate) fn close(mut self) -> Vec<String> {
        self.check();
        let rows = oracle::rows(self.engine());
        for end in [End::Close, End::Crash, End::CrashWithout] {
            self.restart(end);
            assert_eq!(oracle::rows(self.engine()), rows, "after {end:?}");
        }
        self.stop(End::Close);
        self.disk.rise();
        let verified = self.builder().verify().unwrap();
        assert!(verified.is_whole(), "{verified}");
        std::mem::take(&mut self.said)
    }
}

pub(crate) fn pick<'a, T>(random: &mut Random, from: &'a [T]) -> &'a T {
    &from[random.below(from.len() as u64) as usize]
}
