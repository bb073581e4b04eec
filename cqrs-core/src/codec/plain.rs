//! The quick way to read a payload: in the very form in which [`encode`](super::encode) writes it, field after field, with no name looked up.
//!
//! `#[event]` tries it first where all fields are text, numbers or `bool`. Whatever is not as expected, and be it only another order of the
//! fields or a field that came later, is left to [`decode`](super::decode), which takes every form and words every error. So a payload means the same on both ways, or
//! the quick one declines it.

/// A payload that is read from its beginning on.
#[derive(Debug)]
pub struct PlainReader<'a> {
    rest: &'a [u8],
}

impl<'a> PlainReader<'a> {
    /// At the beginning of a payload.
    #[inline]
    #[must_use]
    pub fn new(payload: &'a [u8]) -> Self {
        Self { rest: payload }
    }

    /// Takes these very bytes: the map's header, the name of a field.
    #[inline]
    pub fn pass(&mut self, bytes: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(bytes)?;
        Some(())
    }

    /// Takes these bytes and the value behind them.
    #[inline]
    pub fn field<T: Plain<'a>>(&mut self, name: &[u8]) -> Option<T> {
        self.pass(name)?;
        T::read(&mut self.rest)
    }

    /// Whether that was all.
    #[inline]
    pub fn end(self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }
}

/// A value that can be read the quick way.
pub trait Plain<'a>: Sized {
    /// Takes one off the front; `None` for every form that needs a closer look.
    fn read(input: &mut &'a [u8]) -> Option<Self>;
}

#[inline]
fn byte(input: &mut &[u8]) -> Option<u8> {
    let (first, rest) = input.split_first()?;
    *input = rest;
    Some(*first)
}

#[inline]
fn bytes<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*first)
}

impl<'a> Plain<'a> for &'a str {
    #[inline]
    fn read(input: &mut &'a [u8]) -> Option<Self> {
        let length = match byte(input)? {
            short @ 0xa0..=0xbf => usize::from(short & 0x1f),
            0xd9 => usize::from(byte(input)?),
            0xda => usize::from(u16::from_be_bytes(bytes(input)?)),
            0xdb => u32::from_be_bytes(bytes(input)?) as usize,
            _ => return None,
        };
        let (text, rest) = input.split_at_checked(length)?;
        *input = rest;
        std::str::from_utf8(text).ok()
    }
}

impl<'a, T: Plain<'a>> Plain<'a> for Option<T> {
    #[inline]
    fn read(input: &mut &'a [u8]) -> Option<Self> {
        if input.first() == Some(&0xc0) {
            *input = &input[1..];
            return Some(None);
        }
        T::read(input).map(Some)
    }
}

impl Plain<'_> for bool {
    #[inline]
    fn read(input: &mut &[u8]) -> Option<Self> {
        match byte(input)? {
            0xc2 => Some(false),
            0xc3 => Some(true),
            _ => None,
        }
    }
}

impl Plain<'_> for f64 {
    #[inline]
    fn read(input: &mut &[u8]) -> Option<Self> {
        (byte(input)? == 0xcb).then_some(())?;
        bytes(input).map(Self::from_be_bytes)
    }
}

impl Plain<'_> for f32 {
    #[inline]
    fn read(input: &mut &[u8]) -> Option<Self> {
        (byte(input)? == 0xca).then_some(())?;
        bytes(input).map(Self::from_be_bytes)
    }
}

macro_rules! integers {
    ($($ty:ident)*) => { $(
        impl Plain<'_> for $ty {
            #[inline]
            fn read(input: &mut &[u8]) -> Option<Self> {
                match byte(input)? {
                    small @ 0..=0x7f => Self::try_from(small).ok(),
                    negative @ 0xe0..=0xff => Self::try_from(negative.cast_signed()).ok(),
                    0xcc => Self::try_from(byte(input)?).ok(),
                    0xcd => Self::try_from(u16::from_be_bytes(bytes(input)?)).ok(),
                    0xce => Self::try_from(u32::from_be_bytes(bytes(input)?)).ok(),
                    0xcf => Self::try_from(u64::from_be_bytes(bytes(input)?)).ok(),
                    0xd0 => Self::try_from(byte(input)?.cast_signed()).ok(),
                    0xd1 => Self::try_from(i16::from_be_bytes(bytes(input)?)).ok(),
                    0xd2 => Self::try_from(i32::from_be_bytes(bytes(input)?)).ok(),
                    0xd3 => Self::try_from(i64::from_be_bytes(bytes(input)?)).ok(),
                    _ => None,
                }
            }
        }
    )* };
}

integers! { u8 u16 u32 u64 i8 i16 i32 i64 }

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;
    use crate::codec::decode;

    #[derive(Deserialize, Debug, PartialEq)]
    #[serde(crate = "serde")]
    struct All<'a> {
        #[serde(borrow)]
        text: &'a str,
        #[serde(borrow)]
        maybe: Option<&'a str>,
        small: i8,
        wide: u64,
        signed: i64,
        yes: bool,
        real: f64,
        half: Option<f32>,
    }

    impl<'a> All<'a> {
        fn plain(payload: &'a [u8]) -> Option<Self> {
            let mut fields = PlainReader::new(payload);
            let all = Self {
                text: fields.field(b"\x88\xa4text")?,
                maybe: fields.field(b"\xa5maybe")?,
                small: fields.field(b"\xa5small")?,
                wide: fields.field(b"\xa4wide")?,
                signed: fields.field(b"\xa6signed")?,
                yes: fields.field(b"\xa3yes")?,
                real: fields.field(b"\xa4real")?,
                half: fields.field(b"\xa4half")?,
            };
            fields.end()?;
            Some(all)
        }
    }

    #[derive(serde::Serialize, Debug, Clone)]
    #[serde(crate = "serde")]
    struct Owned {
        text: String,
        maybe: Option<String>,
        small: i8,
        wide: u64,
        signed: i64,
        yes: bool,
        real: f64,
        half: Option<f32>,
    }

    fn owned() -> impl Strategy<Value = Owned> {
        let wide = prop_oneof![any::<u64>(), 0_u64..300];
        let signed = prop_oneof![any::<i64>(), -300_i64..300, any::<i32>().prop_map(i64::from)];
        let text = prop_oneof!["\\PC{0,40}", "[a-z]{250,300}"];
        (
            text.clone(),
            prop::option::of(text),
            any::<i8>(),
            wide,
            signed,
            any::<bool>(),
            any::<f64>(),
            any::<Option<f32>>(),
        )
            .prop_map(|(text, maybe, small, wide, signed, yes, real, half)| Owned {
                text,
                maybe,
                small,
                wide,
                signed,
                yes,
                real,
                half,
            })
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_read(event in owned()) {
            let mut payload = Vec::new();
            crate::codec::encode("All", &event, &mut payload).unwrap();
            let read = All::plain(&payload).expect("it is in the form that is written");
            // Not a number is not equal to itself.
            prop_assert_eq!(format!("{read:?}"), format!("{:?}", decode::<All<'_>>(&payload).unwrap()));
            prop_assert_eq!((read.text, read.wide), (event.text.as_str(), event.wide));
        }

        #[test]
        fn whatever_it_reads_the_other_way_reads_as_well(
            event in owned(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<bool>(),
        ) {
            let mut payload = Vec::new();
            crate::codec::encode("All", &event, &mut payload).unwrap();
            let at = at.index(payload.len());
            if cut { payload.truncate(at) } else { payload[at] = byte }
            if let Some(read) = All::plain(&payload) {
                prop_assert_eq!(format!("{read:?}"), format!("{:?}", decode::<All<'_>>(&payload).unwrap()));
            }
        }
    }
}
