//! A story: who does what, what goes wrong meanwhile, and how the process ends in between. All of it is a function of the seed.

use crate::asks::{Ask, Book};
use crate::disk::{Armed, Call, Fault};
use crate::language::Account;
use crate::watchers::{Reader, Subscriber};
use crate::world::{End, World, pick};
use cqrs_core::RefoldError;

/// The action that makes the clocks of windows go on.
const TICK: u64 = 12;

/// Tells the story of a seed: what was answered, and what the log was then.
pub(crate) fn tell(seed: u64) -> Vec<String> {
    let mut story = Story {
        world: World::begin(seed),
        book: Book::default(),
        subscriber: Subscriber::default(),
        reader: Reader::default(),
    };
    let each_step = story.world.random.one_in(8);
    let steps = if each_step { 7 } else { 5 + story.world.random.below(14) };
    for _ in 0..steps {
        story.step(each_step);
    }
    story.finish()
}

struct Story {
    world: World,
    book: Book,
    subscriber: Subscriber,
    reader: Reader,
}

impl Story {
    fn step(&mut self, restarts: bool) {
        self.move_clock();
        let action = self.world.random.below(16);
        self.arm(action == TICK);
        match action {
            0..=6 => self.ask(),
            7 | 8 => self.ask_at_once(),
            9 | 10 => crate::reactions::step(&mut self.world),
            11 => self.checkpoint(),
            TICK => self.tick(),
            13 => self.world.disk.write_foreign(),
            14 => self.explain(),
            _ => self.world.disk.land(),
        }
        // Whatever the fold has yet to do, it does while it may still go wrong.
        let _ = self.world.engine().append_all(Vec::<cqrs_core::NewEvent>::new()).wait();
        self.world.history.catch_up(&self.world.disk);
        self.reader.step(&mut self.world);
        self.world.disk.arm(None);
        if self.world.disk.is_dead() {
            let end = *pick(&mut self.world.random, &[End::Crash, End::CrashEarlier, End::CrashWithout]);
            self.world.restart(end);
        } else if self.world.has_faulted() {
            // The log could not be read when it was to be caught up with: that is over with the next start.
            self.world.restart(End::Close);
        } else if restarts || self.world.random.one_in(8) {
            let ends = [
                End::Close,
                End::Drop,
                End::Crash,
                End::CrashEarlier,
                End::CrashWithout,
                End::Mistaken,
                End::Damaged,
            ];
            let end = *pick(&mut self.world.random, &ends);
            self.world.restart(end);
        } else {
            self.world.check();
        }
        if self.world.random.one_in(2) {
            self.subscriber.step(&mut self.world);
        }
    }

    /// Time goes on, stands still, or goes back.
    fn move_clock(&mut self) {
        let random = &mut self.world.random;
        let by = match random.below(6) {
            0 => 0,
            1 => -(random.below(40_000_000) as i64),
            2 => random.below(60_000_000) as i64,
            _ => random.below(3_000_000) as i64,
        };
        self.world.disk.set_time(self.world.disk.now() + by);
    }

    /// Something may go wrong in this step.
    fn arm(&mut self, ticks: bool) {
        // Where there is something to catch up with, the fold reads when it likes: beside it, only what reads nothing itself is told apart by its turn.
        let turns = ticks || self.world.known() == self.world.history.head();
        let random = &mut self.world.random;
        if !random.one_in(2) {
            return;
        }
        let fault = *pick(
            random,
            &[
                Fault::Refused,
                Fault::Lost,
                Fault::Vanished,
                Fault::Delayed,
                Fault::Overtaken,
                Fault::DiesBefore,
                Fault::DiesAfter,
            ],
        );
        let (call, fault) = match random.below(8) {
            0 => (Call::Find, Fault::Refused),
            1 => (Call::Beside, Fault::Refused),
            2 if turns => (Call::Read, Fault::Refused),
            3 if turns => (Call::Look, Fault::Refused),
            _ => (Call::Append, fault),
        };
        let after = random.below(3) as u32;
        let armed = Armed { call, after, fault };
        self.world.say(&format!("{armed:?}"));
        self.world.disk.arm(Some(armed));
    }

    fn ask(&mut self) {
        let ask = self.book.draw(&mut self.world);
        let (before, reply) = (self.world.known(), ask.wait(self.world.engine()));
        self.book.settle(&mut self.world, ask, reply, before);
    }

    /// Several at once: while an append is held up they queue, and come to the writer as one group.
    fn ask_at_once(&mut self) {
        let count = 2 + self.world.random.below(4);
        let mut asks: Vec<Ask> = (0..count).map(|_| self.book.draw(&mut self.world)).collect();
        if asks[0].is_known() && self.world.random.one_in(3) {
            // Two who do the same, and do not know of one another.
            asks[0].contested = true;
            asks.push(asks[0].clone());
        }
        let before = self.world.known();
        let engine = self.world.engine().clone();
        self.world.disk.close_gate();
        let plug = engine.append_all([cqrs_core::Tick { at: self.world.disk.now() / 1_000_000 * 1_000_000 }]);
        let mut plug = plug.durable();
        let plugged = crate::waiting::look(&mut plug).is_none();
        if plugged {
            self.world.disk.wait_for_arrival();
        }
        let mut running: Vec<_> = asks.iter().map(|ask| ask.begin(&engine)).collect();
        let mut replies: Vec<_> = running.iter_mut().map(crate::waiting::look).collect();
        self.world.disk.open_gate();
        let plugged = crate::waiting::wait(plug);
        self.world.say(&format!(
            "at once, behind {:?}",
            plugged.map(|receipt| receipt.first).map_err(|e| e.to_string())
        ));
        for (reply, running) in replies.iter_mut().zip(running) {
            reply.get_or_insert_with(|| crate::waiting::wait(running));
        }
        for (ask, reply) in asks.into_iter().zip(replies) {
            self.book.settle(&mut self.world, ask, reply.expect("it was waited for"), before);
        }
    }

    fn checkpoint(&mut self) {
        let fault = *pick(
            &mut self.world.random,
            &[None, Some(Fault::Refused), Some(Fault::Lost), Some(Fault::DiesBefore), Some(Fault::DiesAfter)],
        );
        self.world.disk.arm(fault.map(|fault| Armed { call: Call::Save, after: 0, fault }));
        let saved = self.world.engine().checkpoint().wait();
        assert!(saved.is_ok() || self.world.disk.fired(), "{saved:?}");
        if fault.is_none() {
            self.world.disk.mark();
        }
        self.world.say(&format!("saved: {saved:?}"));
    }

    fn tick(&mut self) {
        let ahead = self.world.random.below(20) as i64;
        let at = (self.world.disk.now() / 1_000_000 + ahead) * 1_000_000;
        let ticked = self.world.engine().append(cqrs_core::Tick { at }).wait();
        assert!(ticked.is_ok() || self.world.disk.fired(), "{ticked:?}");
        self.world.say(&format!("ticked: {}", ticked.is_ok()));
    }

    fn explain(&mut self) {
        let first = self.world.random.one_in(2);
        if first {
            self.world.explain();
        }
        let retried = self.world.engine().retry_parked::<Account>().wait();
        let expected = match &retried {
            Ok(_) => true,
            Err(RefoldError::Unfoldable(_)) => self.world.disk.fired(),
            Err(_) => self.world.has_faulted(),
        };
        assert!(expected, "{retried:?}");
        // New rows are saved at once, by themselves: not while a later step has a save fail.
        let _ = self.world.engine().checkpoint().wait();
        self.world.say(&format!("retried what was parked: {first} {}", retried.is_ok()));
    }

    /// Nothing goes wrong any more: all becomes clear.
    fn finish(mut self) -> Vec<String> {
        self.world.restart(End::Crash);
        self.book.finish(&mut self.world);
        crate::reactions::finish(&mut self.world);
        self.world.explain();
        let retried = self.world.engine().retry_parked::<Account>().wait().unwrap();
        assert_eq!(retried.still_parked, 0);
        self.world.check();
        self.subscriber.step(&mut self.world);
        self.reader.finish(&self.world);
        self.subscriber.take(&self.world);
        self.world.close()
    }
}
