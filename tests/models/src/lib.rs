//! The engine's hand-overs under schedules that are chosen, by shuttle, and not by chance alone: thousands of them, each to be had again.
//!
//! What runs is the engine's code: `build.rs` puts `desk.rs`, `fold.rs`, `pair.rs` and `abreast.rs` as they are beside what stands here for the rest of
//! the engine (`*.world.rs`), and `threads.rs` gives them shuttle's primitives for std's. That a model would notice is shown by sabotages: the same
//! files with one place changed, each of which has to be found.
//!
//! What stands here for the rest is a model of it, and has to be kept like it: in `hand_over.world.rs` the writer, `Pipeline` and `Append::wait`; in
//! `publish.world.rs` what `Pipeline::publish` does with each view's pair, and `ArcSwap`; in `turns.world.rs` reader and page.
//!
//! Shuttle knows one order of memory, the strictest; what a weaker one could do is not seen here.
#![cfg(test)]

use shuttle::Runner;
use shuttle::scheduler::{PctScheduler, RandomScheduler};

mod threads;

/// What the engine's files take from the core's rooms of these names.
mod sync {
    use crate::threads::Mutex;
    use shuttle::sync::MutexGuard;
    use std::sync::PoisonError;

    pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) struct Inside;

    impl Inside {
        pub(crate) fn enter() -> Self {
            Self
        }
    }
}

mod error {
    #[derive(Debug)]
    pub(crate) enum Refusal {
        Closed,
    }
    #[derive(Debug)]
    pub(crate) enum AppendError {
        NotAppended(Refusal),
    }
}

mod table {
    pub(crate) fn said(_: &(dyn std::any::Any + Send)) -> String {
        "a panic".into()
    }
}

mod store {
    #[derive(Clone, Copy, Default, PartialEq)]
    pub(crate) struct Head {
        pub(crate) position: u64,
        pub(crate) checksum: u64,
    }
    #[derive(Debug)]
    pub(crate) struct StoreError;
    pub(crate) trait LogReader: Send {
        fn checksum_at(&mut self, position: u64) -> Result<Option<u64>, StoreError>;
        fn read(
            &mut self,
            after: u64,
            limit: usize,
            push: &mut dyn FnMut(u64) -> bool,
        ) -> Result<usize, StoreError>;
    }
}

include!(concat!(env!("OUT_DIR"), "/models.rs"));

/// So many schedules by chance, and as many that a few changes of priority make (PCT).
fn schedules(of: impl Fn() + Send + Sync + Copy + 'static) {
    let wanted = std::env::var("SHUTTLE_ITERATIONS").ok().map(|text| text.parse().expect("a number"));
    run(of, wanted.unwrap_or(1000));
}

fn run(of: impl Fn() + Send + Sync + Copy + 'static, iterations: usize) {
    // A schedule that goes on for so long does not end.
    let mut config = shuttle::Config::new();
    config.max_steps = shuttle::MaxSteps::FailAfter(20_000);
    Runner::new(RandomScheduler::new(iterations), config.clone()).run(of);
    Runner::new(PctScheduler::new(3, iterations), config).run(of);
}

/// A sabotage is to be found, and ends the search when it is: some need thousands of schedules.
fn sabotaged(of: impl Fn() + Send + Sync + Copy + 'static) {
    run(of, 20_000);
}

/// A sabotage that is to be found as this; or as what follows of it: the lock that the thread which found it held is poisoned for another, or a scope that
/// ends finds its owner still waiting, which shuttle words in its own way.
fn found(of: impl Fn() + Send + Sync + Copy + 'static, wanted: &str) {
    let search = std::panic::AssertUnwindSafe(|| sabotaged(of));
    let panic = std::panic::catch_unwind(search).expect_err("the sabotage was not found");
    let said = panic.downcast_ref::<String>().cloned();
    let said = said.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default();
    let follows = match wanted {
        "deadlock" => "while in Waiting status",
        _ => "PoisonError",
    };
    assert!(said.contains(wanted) || said.contains(follows), "{said}");
}

#[test]
fn every_request_is_answered_once_and_folded_in_the_order_of_the_log() {
    schedules(|| hand_over::scenario(3, 3, false));
}

#[test]
fn closing_answers_what_was_handed_in_and_ends() {
    schedules(|| hand_over::scenario(2, 3, true));
}

#[test]
fn a_caller_on_its_own_has_its_events_saved_by_the_clock() {
    schedules(|| hand_over::scenario(1, 2, false));
}

#[test]
fn a_batch_is_seen_whole_by_those_who_dawdle_and_those_who_do_not() {
    schedules(|| publish::scenario(4, 2));
}

#[test]
fn stretches_are_folded_in_order_into_every_group() {
    schedules(|| turns::scenario(3, 3, 7, turns::End::Whole));
    schedules(|| turns::scenario(3, 1, 7, turns::End::Whole));
}

#[test]
fn a_halt_ends_every_thread() {
    schedules(|| turns::scenario(3, 1, 9, turns::End::Faulted));
    schedules(|| turns::scenario(3, 2, 9, turns::End::Faulted));
    schedules(|| turns::scenario(3, 2, 9, turns::End::Flaw));
    schedules(|| turns::scenario(3, 2, 9, turns::End::Store));
    schedules(|| turns::scenario(3, 2, 9, turns::End::Stopped));
}

#[test]
fn sending_under_the_folds_lock_is_found() {
    found(|| sends_under_the_lock::scenario(4, 4, false), "deadlock");
}

#[test]
fn a_caller_that_overtakes_the_folds_queue_is_found() {
    found(|| overtakes_the_queue::scenario(3, 3, false), "out of its turn");
}

#[test]
fn a_caller_that_overtakes_its_own_requests_is_found() {
    found(|| overtakes_requests::scenario(3, 3, false), "changed places");
}

#[test]
fn a_request_that_does_not_lead_its_group_is_found() {
    found(|| lets_nobody_lead::scenario(3, 3, false), "the engine's writer panicked");
}

#[test]
fn a_writer_unlocked_before_the_fold_is_locked_is_found() {
    found(|| unlocks_too_early::scenario(3, 3, false), "out of its turn");
}

#[test]
fn a_timer_that_is_forgotten_is_found() {
    found(|| forgets_the_timer::scenario(1, 2, false), "deadlock");
}

#[test]
#[should_panic]
fn a_fold_that_is_stopped_before_the_last_batch_is_found() {
    sabotaged(|| stops_too_early::scenario(2, 3, true));
}

#[test]
#[should_panic]
fn a_copy_that_has_not_caught_up_is_found() {
    sabotaged(|| does_not_catch_up::scenario(4, 2));
}

#[test]
#[should_panic]
fn a_fold_that_waits_for_a_dawdler_for_ever_is_found() {
    sabotaged(|| waits_for_ever::scenario(4, 1));
}

#[test]
#[should_panic]
fn a_turn_that_is_passed_on_before_the_fold_is_found() {
    sabotaged(|| passes_on_too_early::scenario(3, 3, 7, passes_on_too_early::End::Whole));
}

#[test]
fn views_that_stop_without_a_word_are_found() {
    found(|| stops_in_silence::scenario(3, 1, 9, stops_in_silence::End::Faulted), "deadlock");
}

#[test]
fn a_halt_that_nobody_hears_of_is_found() {
    found(|| halts_in_silence::scenario(3, 2, 9, halts_in_silence::End::Flaw), "deadlock");
}

#[test]
fn a_turn_that_nobody_hears_of_is_found() {
    found(|| wakes_nobody::scenario(3, 3, 7, wakes_nobody::End::Whole), "deadlock");
}
