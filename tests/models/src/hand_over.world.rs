// The world of `desk.rs` and `fold.rs`: a log that is a list of numbers, and a fold that looks whether it gets them in order.
use crate::threads::{Condvar, Mutex, chance, mpsc, thread};
use std::sync::Arc;

pub(crate) mod request {
    /// The answer is the position, 0 for a refusal; each is given once.
    pub(crate) struct Reply(pub(crate) super::Arc<super::Answer>);
    pub(crate) struct Request {
        pub(crate) events: Vec<(usize, u64)>,
        pub(crate) waits: bool,
        pub(crate) leads: bool,
        pub(crate) reply: Reply,
    }
    impl Request {
        pub(crate) fn leads(&self) -> bool {
            self.leads
        }
        pub(crate) fn weight(&self) -> usize {
            1
        }
        pub(crate) fn bytes(&self) -> usize {
            1
        }
        pub(crate) fn waits(&self) -> bool {
            self.waits
        }
    }
    impl Reply {
        pub(crate) fn send(&self, answer: Result<u64, crate::error::AppendError>) {
            self.0.give(answer.unwrap_or(0));
        }
    }
}

#[derive(Default)]
pub(crate) struct Answer {
    given: Mutex<Option<u64>>,
    moved: Condvar,
}

impl Answer {
    fn give(&self, answer: u64) {
        assert_eq!(self.given.lock().unwrap().replace(answer), None, "answered twice");
        self.moved.notify_all();
    }
    fn wait(&self) -> u64 {
        let mut given = self.given.lock().unwrap();
        loop {
            match *given {
                Some(answer) => return answer,
                None => given = self.moved.wait(given).unwrap(),
            }
        }
    }
}

pub(crate) mod batch {
    pub(crate) struct Batch {
        pub(crate) after: u64,
        pub(crate) events: Vec<(usize, u64)>,
        pub(crate) folded: Vec<Acknowledge>,
    }
    /// As the real one: answers however it goes.
    pub(crate) struct Acknowledge(pub(crate) super::request::Reply, pub(crate) u64);
    impl Drop for Acknowledge {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                self.0.send(Ok(self.1));
            }
        }
    }
}

pub(crate) mod writer {
    use super::{batch::*, request::*, *};
    pub(crate) struct GroupLimits {
        pub(crate) events: usize,
        pub(crate) bytes: usize,
    }
    pub(crate) struct Core;
    impl Core {
        pub(crate) fn nothing_follows(&self) {}
        pub(crate) fn break_down(&self, said: String) {
            panic!("{said}");
        }
    }
    pub(crate) struct Writer {
        pub(crate) core: Core,
        pub(crate) log: Arc<std::sync::Mutex<Vec<(usize, u64)>>>,
    }
    impl Writer {
        pub(crate) fn write(&mut self, group: Vec<Request>) -> Option<Batch> {
            assert!(!group.iter().skip(1).any(Request::leads), "a request that leads was not the first of its group");
            // The fsync.
            thread::yield_now();
            let after = self.log.lock().unwrap().len() as u64;
            let (mut events, mut folded) = (Vec::new(), Vec::new());
            for request in group {
                events.extend(request.events);
                let at = after + events.len() as u64;
                if request.waits {
                    folded.push(Acknowledge(request.reply, at));
                } else {
                    request.reply.send(Ok(at));
                }
            }
            self.log.lock().unwrap().extend(events.iter().copied());
            Some(Batch { after, events, folded })
        }
    }
}

pub(crate) mod pipeline {
    use super::{batch::Batch, fold::Message, *};
    pub(crate) struct Core {
        pub(crate) nudge: mpsc::SyncSender<Message>,
        pub(crate) seen: Seen,
    }
    #[derive(Default)]
    pub(crate) struct Seen {
        pub(crate) state: Mutex<State>,
        pub(crate) moved: Condvar,
    }
    #[derive(Default)]
    pub(crate) struct State {
        pub(crate) folded: Vec<(usize, u64)>,
        pub(crate) saved: u64,
        pub(crate) finished: bool,
    }
    impl Core {
        pub(crate) fn nudge(&self) {
            let _ = self.nudge.try_send(Message::Nudge);
        }
    }
    pub(crate) struct Pipeline {
        pub(crate) core: Arc<Core>,
        pub(crate) head: u64,
        pub(crate) saved: u64,
        /// Whether the interval since the last checkpoint is over.
        pub(crate) time_is_up: bool,
    }
    impl Pipeline {
        pub(crate) fn guarded(&mut self, work: impl FnOnce(&mut Self)) {
            work(self);
        }
        pub(crate) fn take_in(&mut self, batch: Batch, mut more: impl FnMut() -> Option<Batch>) {
            let (mut folded, mut next) = (Vec::new(), Some(batch));
            while let Some(mut batch) = next.take() {
                folded.append(&mut batch.folded);
                assert_eq!(batch.after, self.head, "a batch was folded out of its turn");
                // Folding takes its time.
                thread::yield_now();
                self.head += batch.events.len() as u64;
                self.core.seen.state.lock().unwrap().folded.append(&mut batch.events);
                next = more();
            }
            drop(folded);
        }
        pub(crate) fn look_around(&mut self) {
            self.time_is_up |= chance();
            if self.saved < self.head && (self.time_is_up || self.due()) {
                self.time_is_up = false;
                self.saved = self.head;
                self.core.seen.state.lock().unwrap().saved = self.head;
                self.core.seen.moved.notify_all();
            }
        }
        pub(crate) fn look(&mut self) {
            self.time_is_up = true;
        }
        pub(crate) fn due(&self) -> bool {
            self.head - self.saved >= 4
        }
        pub(crate) fn sleep(&self) -> Option<std::time::Duration> {
            (self.saved < self.head).then_some(std::time::Duration::ZERO)
        }
        pub(crate) fn finish(self) {
            let mut state = self.core.seen.state.lock().unwrap();
            assert!(!std::mem::replace(&mut state.finished, true));
        }
    }
}

/// Callers that wait for their answers or do not, with small queues; `closing` while they are at it, or once all is saved by the clock.
pub(crate) fn scenario(callers: usize, requests: u64, closing: bool) {
    let (messages, received) = mpsc::sync_channel(1);
    let core = Arc::new(pipeline::Core { nudge: messages.clone(), seen: Default::default() });
    let fold = Arc::new(fold::Fold::new(messages));
    fold.begin(pipeline::Pipeline { core: core.clone(), head: 0, saved: 0, time_is_up: false });
    let log = Arc::new(std::sync::Mutex::new(Vec::new()));
    let writer = writer::Writer { core: writer::Core, log: log.clone() };
    let limits = writer::GroupLimits { events: 2, bytes: 100 };
    let desk = Arc::new(desk::Desk::new(writer, fold.clone(), 1, limits));
    let folding = thread::spawn({ let fold = fold.clone(); move || fold.run(&received) });
    let writing = thread::spawn({ let desk = desk.clone(); move || desk.run() });
    let callers: Vec<_> = (0..callers).map(|caller| {
        let desk = desk.clone();
        thread::spawn(move || {
            let mut answers = Vec::new();
            for number in 0..requests {
                let answer = Arc::new(Answer::default());
                let request = request::Request { events: vec![(caller, number)], waits: chance(), leads: chance(), reply: request::Reply(answer.clone()) };
                // As `Append::wait` does; or as `poll` and a feed do, which never serve themselves.
                if chance() {
                    if let Err(request) = desk.try_hand_in(request) {
                        shuttle::future::block_on(desk.hand_in(request));
                    }
                } else if let Err(request) = desk.serve(request) {
                    shuttle::future::block_on(desk.hand_in(request));
                }
                if chance() {
                    answer.wait();
                }
                answers.push(answer);
            }
            answers.iter().map(|answer| answer.wait()).collect::<Vec<_>>()
        })
    }).collect();
    let finish = || {
        desk.close();
        writing.join().unwrap();
        folding.join().unwrap();
    };
    let answers: Vec<Vec<u64>> = if closing {
        finish();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    } else {
        let answers = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        let all = log.lock().unwrap().len() as u64;
        let mut state = core.seen.state.lock().unwrap();
        while state.saved < all {
            state = core.seen.moved.wait(state).unwrap();
        }
        drop(state);
        finish();
        answers
    };
    let (log, state) = (log.lock().unwrap(), core.seen.state.lock().unwrap());
    assert!(state.finished);
    assert_eq!(*log, state.folded, "the fold is not the log");
    for (caller, answers) in answers.iter().enumerate() {
        let positions: Vec<u64> = answers.iter().copied().filter(|answer| *answer > 0).collect();
        assert!(positions.is_sorted_by(|a, b| a < b), "requests of one thread changed places");
        assert!(closing || positions.len() as u64 == requests, "refused without a reason");
        assert_eq!(log.iter().filter(|(of, _)| *of == caller).count(), positions.len());
        for (number, position) in answers.iter().enumerate().filter(|(_, position)| **position > 0) {
            assert_eq!(log[*position as usize - 1], (caller, number as u64), "another's answer");
        }
    }
}
