//! What a view knows of time, beside its rows.

/// A view's state that belongs to no row. A checkpoint has it, and so does each copy of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// How far time has come, in microseconds; `None` before the first event.
    pub time: Option<i64>,
    /// How many events came too late.
    pub late: u64,
}

impl Clock {
    /// As a checkpoint has it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.time.is_some()));
        out.extend_from_slice(&self.time.unwrap_or(0).to_be_bytes());
        out.extend_from_slice(&self.late.to_be_bytes());
    }

    /// Reads it back; `None` if these are not the bytes of one.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (there, rest) = bytes.split_first()?;
        let (time, late) = rest.split_first_chunk()?;
        let time = match (there, i64::from_be_bytes(*time)) {
            (0, 0) => None,
            (1, time) => Some(time),
            _ => return None,
        };
        Some(Self { time, late: u64::from_be_bytes(late.try_into().ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back() {
        for time in [None, Some(0), Some(-1), Some(i64::MAX)] {
            let clock = Clock { time, late: 3 };
            let mut bytes = Vec::new();
            clock.write(&mut bytes);
            assert_eq!(Clock::read(&bytes), Some(clock));
            bytes.push(0);
            assert_eq!(Clock::read(&bytes), None);
            assert_eq!(Clock::read(&bytes[..16]), None);
            bytes[0] = 2;
            assert_eq!(Clock::read(&bytes[..17]), None);
        }
    }
}
