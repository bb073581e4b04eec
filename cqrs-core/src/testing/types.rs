//! Which types serde reads as which others, by their spelling.

/// Whether what was stored as the one type can be read as the other. Types that are not in the small table here are taken to be
/// readable as themselves only.
pub(super) fn reads(stored: &str, now: &str) -> bool {
    let (stored, now) = (Type::of(stored), Type::of(now));
    stored.is_read_as(&now)
}

/// A type, as it is written: without the paths of std, and without what a stored form does not show.
#[derive(Debug, PartialEq)]
struct Type {
    name: String,
    arguments: Vec<Type>,
}

/// What holds exactly one value, and is stored as that.
const TRANSPARENT: [&str; 4] = ["Box", "Rc", "Arc", "Cow"];

/// What is stored as a sequence.
const SEQUENCES: [&str; 7] = ["Vec", "VecDeque", "LinkedList", "BTreeSet", "HashSet", "BinaryHeap", "[]"];

/// What is stored as a map.
const MAPS: [&str; 2] = ["BTreeMap", "HashMap"];

impl Type {
    fn of(text: &str) -> Self {
        let text: String = text.split_whitespace().collect();
        let text = match text.strip_prefix('&') {
            // A reference, to text or to anything, is stored as what it refers to; of its lifetime, `'static` can be told apart.
            Some(rest) => rest.strip_prefix("'static").unwrap_or(rest),
            None => &text,
        };
        if let Some(element) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
            && !element.contains(';')
        {
            return Self { name: "[]".into(), arguments: vec![Self::of(element)] };
        }
        let (path, arguments) = match text.split_once('<') {
            Some((path, rest)) => (path, split(rest.strip_suffix('>').unwrap_or(rest))),
            None => (text, Vec::new()),
        };
        let path = path.trim_start_matches("::");
        let of_std = ["std::", "core::", "alloc::"].iter().any(|root| path.starts_with(root));
        let name = if of_std { path.rsplit("::").next().unwrap_or(path) } else { path };
        let lifetime = |argument: &&str| argument.starts_with('\'');
        let mut arguments: Vec<_> =
            arguments.into_iter().filter(|argument| !lifetime(argument)).map(Self::of).collect();
        // What is nothing within something is stored as nothing.
        let twice = name == "Option" && arguments.first().is_some_and(|argument| argument.name == "Option");
        if (TRANSPARENT.contains(&name) || twice) && arguments.len() == 1 {
            return arguments.remove(0);
        }
        let name = if matches!(name, "str" | "String") { "String" } else { name };
        Self { name: name.to_owned(), arguments }
    }

    fn is_read_as(&self, now: &Self) -> bool {
        if self == now {
            return true;
        }
        let all = |now: &Self| {
            self.arguments.len() == now.arguments.len()
                && self.arguments.iter().zip(&now.arguments).all(|(stored, now)| stored.is_read_as(now))
        };
        let both = |names: &[&str]| names.contains(&&*self.name) && names.contains(&&*now.name);
        match (&*self.name, &*now.name, &now.arguments[..]) {
            ("Option", "Option", _) => all(now),
            (_, "Option", [inner]) => self.is_read_as(inner),
            // Bytes are stored in a form of their own.
            _ if self.is_of_bytes() || now.is_of_bytes() => {
                both(&["Vec", "[]"]) && self.arguments == now.arguments
            }
            _ if both(&SEQUENCES) => all(now),
            _ if both(&MAPS) => all(now),
            ("char", "String", _) | ("f32", "f64", _) => true,
            _ => widens(&self.name, &now.name),
        }
    }

    fn is_of_bytes(&self) -> bool {
        self.arguments.first().is_some_and(|element| element.name == "u8")
    }
}

/// What stands between commas, but for those inside brackets.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0_i32, 0);
    for (at, c) in text.char_indices() {
        match c {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// Whether every value of the one integer type is one of the other.
fn widens(stored: &str, now: &str) -> bool {
    match (bits(stored), bits(now)) {
        (Some((signed, from)), Some((to_signed, to))) if signed == to_signed => from <= to,
        (Some((false, from)), Some((true, to))) => from < to,
        _ => false,
    }
}

/// Whether an integer type has a sign, and how many bits.
fn bits(name: &str) -> Option<(bool, u32)> {
    Some(match name {
        "u8" => (false, 8),
        "u16" => (false, 16),
        "u32" => (false, 32),
        "u64" | "usize" => (false, 64),
        "u128" => (false, 128),
        "i8" => (true, 8),
        "i16" => (true, 16),
        "i32" => (true, 32),
        "i64" | "isize" => (true, 64),
        "i128" => (true, 128),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_reads_is_read() {
        for (stored, now) in [
            ("i32", "i64"),
            ("u32", "i64"),
            ("u32", "u64"),
            ("u64", "i128"),
            ("f32", "f64"),
            ("String", "Box<str>"),
            ("std::string::String", "&'staticstr"),
            ("Cow<'static,str>", "String"),
            ("String", "Option<String>"),
            ("Option<u8>", "std::option::Option<u16>"),
            ("Box<Vec<u32>>", "Vec<u64>"),
            ("Vec<u32>", "BTreeSet<u32>"),
            ("Box<[String]>", "Vec<String>"),
            ("HashMap<String,(u8,u8)>", "BTreeMap<String,(u8,u8)>"),
            ("Vec<Line>", "Vec<Line>"),
            ("char", "String"),
            ("Vec<u8>", "Box<[u8]>"),
        ] {
            assert!(reads(stored, now), "{stored} as {now}");
        }
    }

    /// Stores the one and reads the other.
    fn through<T: serde::de::DeserializeOwned>(stored: impl serde::Serialize) -> Option<T> {
        let mut payload = Vec::new();
        crate::codec::encode("", &std::collections::BTreeMap::from([("field", stored)]), &mut payload)
            .unwrap();
        let read = crate::codec::decode::<std::collections::BTreeMap<String, T>>(&payload);
        read.ok().and_then(|mut map| map.remove("field"))
    }

    #[test]
    fn serde_agrees() {
        use std::collections::BTreeSet;
        assert_eq!(through::<i64>(i32::MIN), Some(i32::MIN.into()));
        assert_eq!(through::<i64>(u32::MAX), Some(u32::MAX.into()));
        assert_eq!(through::<u128>(u64::MAX), Some(u64::MAX.into()));
        assert_eq!(through::<i128>(u64::MAX), Some(u64::MAX.into()));
        assert_eq!(through::<i128>(i64::MIN), Some(i64::MIN.into()));
        assert_eq!(through::<f64>(0.5_f32), Some(0.5));
        assert_eq!(through::<Option<String>>("a"), Some(Some("a".into())));
        assert_eq!(through::<Option<u16>>(Some(7_u8)), Some(Some(7)));
        assert_eq!(through::<String>('a'), Some("a".into()));
        assert_eq!(through::<BTreeSet<u64>>(vec![300_u32, 1]), Some([1, 300].into()));
        assert_eq!(through::<Box<[u8]>>(vec![0_u8, 255]), Some([0, 255].into()));
        assert_eq!(through::<u32>(u64::MAX), None);
        assert_eq!(through::<String>(None::<String>), None);
        assert_eq!(through::<i32>(1.5_f64), None);
    }

    #[test]
    fn what_serde_does_not_read_is_not() {
        for (stored, now) in [
            ("i64", "i32"),
            ("i32", "u32"),
            ("u32", "i32"),
            ("u128", "i128"),
            ("u128", "u64"),
            ("f64", "f32"),
            ("String", "char"),
            ("Option<String>", "String"),
            ("String", "i32"),
            ("Vec<u8>", "Vec<u16>"),
            ("Line", "Vec<Line>"),
            ("Line", "OrderLine"),
            ("my::String", "String"),
            ("BTreeMap<u8,u8>", "Vec<u8>"),
            ("[u8;4]", "Vec<u8>"),
        ] {
            assert!(!reads(stored, now), "{stored} as {now}");
        }
    }
}
