//! A view's clock: how far its event time has come.

use crate::value::Value;

/// How far a view's event time has come, and how many events came too late for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// The greatest event time, in microseconds; `None` before the first event.
    pub time: Option<i64>,
    /// How often an event was not folded, since its window had closed.
    pub late: u64,
}

impl Clock {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        self.time.write(out);
        self.late.write(out);
    }

    pub(crate) fn read(mut input: &[u8]) -> Option<Self> {
        let clock = Self { time: Option::read(&mut input)?, late: u64::read(&mut input)? };
        input.is_empty().then_some(clock)
    }
}
