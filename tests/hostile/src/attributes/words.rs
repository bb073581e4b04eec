//! The words of inputs that have one a byte. Regressions are written in them: words are added at the end, and none is taken out.

use super::BETWEEN;

/// The word of each byte; a byte beyond is none.
pub(super) const WORDS: &[&str] = &[
    // Brackets and separators come first, for they are most of what there is.
    BETWEEN, "(", ")", "[", "]", "{", "}", ",", ":", "::", "=", "=>", "#", "!", "..", "..=", ".", ";", "|", "->", "-", "+",
    "*", "/", "%", "<", ">", "<=", "==", "!=", "&", "&&", "||", "?", "@", "_", "'", "$", "~", "^", "<<", ">>",
    // Rust's own words.
    "pub", "struct", "enum", "union", "fn", "const", "mut", "ref", "let", "if", "else", "match", "move", "for", "in",
    "loop", "while", "return", "async", "await", "break", "as", "where", "dyn", "impl", "unsafe", "self", "Self", "super",
    "crate", "r#type", "r#match", "r#self", "true", "false", "'a", "'static",
    // Attributes and their options.
    "event", "name", "version", "upcast", "retired", "aliases", "serde", "rename", "rename_all", "default", "alias", "skip",
    "with", "flatten", "deny_unknown_fields", "skip_serializing_if", "derive", "cfg", "doc", "allow", "projection", "from",
    "group_by", "each", "remove", "by_hand", "window", "tumbling", "hopping", "session", "every", "gap", "unit", "lateness",
    "max_ahead", "keep", "emit", "join", "left_join", "index", "having", "on_fault", "park", "stop", "count", "sum", "avg",
    "variance", "stddev", "min", "max", "first", "last", "by", "computed", "count_distinct", "collect", "limit", "top",
    "any", "all", "fold", "summ", "grup_by", "__cqrs_event", "__cqrs_projection", "misspelt", "meta", "position",
    "recorded_at",
    // Types.
    "String", "str", "Vec", "Option", "Box", "BTreeMap", "BTreeSet", "u8", "u32", "u64", "i32", "i64", "i128", "f64", "bool",
    "char", "Timestamp", "Duration", "Cow", "PhantomData", "T",
    // Names of the user's.
    "Paid", "Cart", "Added", "Removed", "PaidV1", "Row", "Accounts", "customer", "item", "qty", "price", "at", "status", "lines",
    "line", "total", "n", "x", "y", "window_start", "window_end", "len", "iter", "is_some", "matches", "Some", "None", "Ok",
    "DAY", "std", "self::f", "A", "B", "C", "Ref", "State", "Key", "__cqrs", "__field", "größe",
    // Literals.
    "0", "1", "7", "2.5", "1u64", "-1", "99999999999999999999999", "1e400", "\"\"", "\"a\"", "\"1h\"", "\"1h30m\"", "\"s\"",
    "\"ms\"", "\"final\"", "\"camelCase\"", "\"18446744073709551616d\"", "\"a-b\"", "\"item-added\"", "b\"x\"", "'c'", "r\"r\"",
    "c\"c\"", "\"é\"", "\"9223372036854775807us\"", "\"skip\"", "\"Option::is_none\"",
];
