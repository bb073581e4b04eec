//! How deep a payload is nested: whoever reads one, or drops what was read, recurses as deep, on whatever stack the thread has. An overflow of it ends the
//! process, so it is prevented, and not caught.
//!
//! `rmp-serde` counts lists and maps, and not the variants of enums.

/// How deep lists, maps and variants lie in each other at most, the event itself being the first: it fits the two megabytes of a thread many times.
pub(crate) const DEEPEST: usize = 128;

/// Whether nothing lies deeper in these bytes, as far as they are MessagePack.
pub(crate) fn is_shallow(payload: &[u8]) -> bool {
    // Each level takes a byte.
    payload.len() <= DEEPEST || walk(payload).is_some()
}

/// Whether a value in it is bytes. serde reads such only where it knows what is to come, and not out of what it has put by (`flatten`, `tag`, `untagged`): what has some is
/// read once before it is taken in.
pub(crate) fn has_bytes(mut payload: &[u8]) -> bool {
    // Few payloads have so much as one of these bytes, be it in a number or a text.
    if !payload.iter().any(is_bytes) {
        return false;
    }
    while let Some(first) = payload.first() {
        if is_bytes(first) {
            return true;
        }
        // What is in lists and maps comes next.
        if take(&mut payload).is_none() {
            return false;
        }
    }
    false
}

/// Whether bytes begin so.
fn is_bytes(marker: &u8) -> bool {
    matches!(marker, 0xc4..=0xc6)
}

/// Goes through the bytes, without a recursion of its own. `None` if they are too deep.
fn walk(mut rest: &[u8]) -> Option<()> {
    // How many values are still to come on each level.
    let mut levels = [0_u64; DEEPEST];
    let mut depth = 0;
    loop {
        // What cannot be read is not gone into, by nobody.
        let Some(values) = take(&mut rest) else { return Some(()) };
        if values > 0 {
            *levels.get_mut(depth)? = values;
            depth += 1;
            continue;
        }
        while let Some(left) = depth.checked_sub(1).map(|level| &mut levels[level]) {
            *left -= 1;
            if *left > 0 {
                break;
            }
            depth -= 1;
        }
        if depth == 0 {
            return Some(());
        }
    }
}

/// Takes one value off the front, or only the head of a list or map: then, how many values are in that.
fn take(rest: &mut &[u8]) -> Option<u64> {
    let marker = number(rest, 1)?;
    let (bytes, values) = match marker {
        0x80..=0x8f => (0, 2 * (marker & 0xf)),
        0x90..=0x9f => (0, marker & 0xf),
        0xa0..=0xbf => (marker & 0x1f, 0),
        0xc4 | 0xd9 => (number(rest, 1)?, 0),
        0xc5 | 0xda => (number(rest, 2)?, 0),
        0xc6 | 0xdb => (number(rest, 4)?, 0),
        // An extension has a byte that says which.
        0xc7 => (number(rest, 1)? + 1, 0),
        0xc8 => (number(rest, 2)? + 1, 0),
        0xc9 => (number(rest, 4)? + 1, 0),
        0xd4..=0xd8 => (1 + (1 << (marker - 0xd4)), 0),
        0xcc | 0xd0 => (1, 0),
        0xcd | 0xd1 => (2, 0),
        0xca | 0xce | 0xd2 => (4, 0),
        0xcb | 0xcf | 0xd3 => (8, 0),
        0xdc => (0, number(rest, 2)?),
        0xdd => (0, number(rest, 4)?),
        0xde => (0, 2 * number(rest, 2)?),
        0xdf => (0, 2 * number(rest, 4)?),
        _ => (0, 0),
    };
    *rest = rest.get(usize::try_from(bytes).ok()?..)?;
    Some(values)
}

/// A number of so many bytes.
fn number(rest: &mut &[u8], bytes: usize) -> Option<u64> {
    let (number, behind) = rest.split_at_checked(bytes)?;
    *rest = behind;
    Some(number.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::codec::{Readable, decode, encode};

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    #[serde(crate = "serde")]
    enum Way {
        Air,
        Rail(Box<Self>),
    }

    #[derive(Serialize, Deserialize, Debug, PartialEq)]
    #[serde(crate = "serde")]
    struct Sent {
        way: Way,
        others: Vec<Vec<u8>>,
        prices: BTreeMap<String, Option<f64>>,
    }

    fn sent(levels: usize) -> Sent {
        let way = (0..levels).fold(Way::Air, |way, _| Way::Rail(Box::new(way)));
        let prices = BTreeMap::from([("a".repeat(300), Some(1.0)), ("b".into(), None)]);
        Sent { way, others: vec![vec![0; 300], vec![]], prices }
    }

    #[test]
    fn bytes_are_told_from_what_has_their_marks_in_it() {
        #[derive(Serialize)]
        #[serde(crate = "serde")]
        struct Marked {
            number: i8,
            text: &'static str,
            nested: Vec<BTreeMap<u8, Option<Vec<u8>>>>,
        }
        let marked = |bytes| Marked { number: -60, text: "Ĉ", nested: vec![BTreeMap::from([(7, bytes)])] };
        let has = |marked: Marked| {
            let mut payload = Vec::new();
            encode("Marked", &marked, &mut payload).unwrap();
            assert!(payload.iter().any(is_bytes));
            has_bytes(&payload)
        };
        assert!(!has(marked(None)));
        assert!(has(marked(Some(vec![1]))));
    }

    #[test]
    fn what_is_as_deep_as_may_be_is_written_and_read_and_what_is_deeper_neither() {
        let mut payload = Vec::new();
        encode("Sent", &sent(DEEPEST - 1), &mut payload).unwrap();
        assert_eq!(decode::<Sent>(&payload).unwrap(), sent(DEEPEST - 1));
        let refused = encode("Sent", &sent(DEEPEST), &mut Vec::new()).unwrap_err();
        assert!(refused.reason.contains("deeper than 128"), "{refused}");
    }

    #[test]
    fn a_payload_that_would_overflow_the_stack_is_refused() {
        // As large as a payload may be: a list in a list, a variant in a variant.
        let lists = [&b"\x81\xa3way"[..], &vec![0x91; 1 << 20]].concat();
        let ways =
            [&b"\x82\xa6others\x90\xa3way"[..], &b"\x81\xa4Rail".repeat((1 << 20) / 6), b"\xa3Air"].concat();
        for payload in [lists, ways] {
            assert!(decode::<Sent>(&payload).unwrap_err().reason.contains("deeper than 128"));
            assert!(Readable::of(&payload).unwrap_err().reason.contains("deeper than 128"));
        }
    }

    #[test]
    fn every_form_is_passed_over_whole() {
        // Each is followed by a list that is too deep: where one byte too many or too few were taken, it would be another.
        let deep = [0x91; DEEPEST];
        let text = |head: &[u8], bytes: usize| [head, &vec![0; bytes]].concat();
        let forms = [
            vec![0x7f],
            vec![0xe0],
            vec![0xc0],
            vec![0xc1],
            vec![0xc2],
            vec![0x80],
            vec![0x90],
            vec![0xdc, 0, 0],
            text(&[0xa3], 3),
            text(&[0xd9, 9], 9),
            text(&[0xda, 1, 0], 256),
            text(&[0xdb, 0, 0, 0, 5], 5),
            text(&[0xc4, 2], 2),
            text(&[0xc5, 0, 2], 2),
            text(&[0xc6, 0, 0, 0, 2], 2),
            text(&[0xc7, 3, 1], 3),
            text(&[0xc8, 0, 3, 1], 3),
            text(&[0xc9, 0, 0, 0, 3, 1], 3),
            text(&[0xd4, 1], 1),
            text(&[0xd5, 1], 2),
            text(&[0xd6, 1], 4),
            text(&[0xd7, 1], 8),
            text(&[0xd8, 1], 16),
            text(&[0xcc], 1),
            text(&[0xcd], 2),
            text(&[0xce], 4),
            text(&[0xcf], 8),
            text(&[0xd0], 1),
            text(&[0xd1], 2),
            text(&[0xd2], 4),
            text(&[0xd3], 8),
            text(&[0xca], 4),
            text(&[0xcb], 8),
        ];
        for form in forms {
            let within = [&[0x92], &*form, &deep[1..], &[1]].concat();
            assert!(is_shallow(&within), "{form:x?}");
            let beyond = [&[0x92], &*form, &deep, &[1]].concat();
            assert!(!is_shallow(&beyond), "{form:x?}");
        }
        assert!(is_shallow(&[0xdd, 0xff, 0xff, 0xff, 0xff].repeat(60)));
        assert!(!is_shallow(&[0xdf, 0xff, 0xff, 0xff, 0xff].repeat(300)));
    }
}
