//! What users write, and mistakes in it.

use super::{BETWEEN, WORDS, spelled};
use crate::Seed;

const EVENTS: &[(&str, &str, &str)] = &[
    ("plain", "", "pub struct Paid { pub customer: String, pub n: Option<u32>, at: i64 }"),
    (
        "options",
        "name = \"a\", version = 7, upcast = PaidV1, aliases(\"a-b\", \"\"), retired",
        "struct Paid { x: u8 }",
    ),
    (
        "attributes",
        "",
        "#[serde(rename_all = \"camelCase\", deny_unknown_fields)] struct Paid { #[serde(default, rename = \"a\", alias = \"a-b\")] x: u8, #[serde(skip)] y: Vec<u8>, #[serde(flatten)] item: Cart }",
    ),
    ("raw", "", "struct Paid { r#type: String, r#match: Option<bool>, meta: char, _: u8, größe: Box<str> }"),
    (
        "enum",
        "",
        "pub enum Cart { #[event(name = \"item-added\", aliases(\"a\"))] Added { customer: String, qty: u32 }, Removed { item: Box<str> }, Paid(Paid), A {} }",
    ),
    ("tuple", "", "struct Paid(u8, String);"),
    ("unit", "version = 0", "struct Paid;"),
    ("generic", "", "struct Paid<'a, T> where T: Ref { x: &'a str, y: T }"),
    (
        "enum-upcast",
        "",
        "enum Cart { #[event(version = 7, upcast = PaidV1, retired)] Added { x: u8 }, B(A, A), C, Paid(Option<Paid>) }",
    ),
    ("union", "", "union Paid { x: u8 }"),
    ("fn", "", "fn x() { }"),
];

const VALUES: &[(&str, &str, &str)] = &[
    ("unit-enum", "", "#[derive(A)] pub enum Cart { A, B = 7, #[serde(rename = \"a\")] C }"),
    ("newtype", "", "pub struct Paid(pub String);"),
    ("struct", "", "struct Paid { x: Vec<Self>, #[serde(default)] y: T }"),
    ("enum", "x", "enum Cart { A(u8, u8), B { x: bool }, C }"),
    ("generic", "", "struct Paid<T>(T);"),
];

const PROJECTIONS: &[(&str, &str, &str)] = &[
    (
        "plain",
        "from = Paid, group_by = (customer, item)",
        "#[derive(A)] pub struct Row { pub customer: String, item: Option<u8>, #[sum(qty)] total: i64, #[count] n: u64 }",
    ),
    (
        "variants",
        "from = Cart { Added if qty > 0, Removed { customer: x . y }, .. }, group_by = (customer, at = at / DAY), having = total != 0",
        "struct Row { customer: String, at: i64, #[sum(Added => qty as i64, Removed if !x => -(qty as i64))] total: i64, #[max(price)] price: Option<f64>, #[last(status, by = at)] status: Cart, #[computed(total as f64 / 2.5)] x: f64 }",
    ),
    (
        "several",
        "from(Paid if qty > 1, Cart { A, B }), by_hand(Added), group_by = (), name = \"a\", version = 7, on_fault = park",
        "struct Row { #[first(item)] item: Option<String>, x: Vec<u8>, #[avg(Paid => price, Cart => 7)] y: f64, #[any(qty > 7)] any: bool, #[all(true)] all: bool }",
    ),
    (
        "tumbling",
        "from = Paid, group_by = customer, window = tumbling(at, \"1h\"), unit = \"s\", lateness = \"1h30m\", max_ahead = \"1h\", keep = \"1h\", emit = \"final\"",
        "struct Row { customer: String, window_start: i64, window_end: Timestamp, #[count(if qty > 1)] n: u64 }",
    ),
    (
        "hopping",
        "from = Paid, group_by = (), window = hopping(at, \"1h\", every = \"9223372036854775807us\"), unit = \"ms\"",
        "struct Row { window_end: i64, #[variance(price)] x: f64, #[stddev(price if x)] y: Option<f64> }",
    ),
    (
        "session",
        "from(Paid), group_by = customer, window = session(at, gap = \"1h\")",
        "struct Row { customer: u8, window_start: i64, #[min(at)] at: i64 }",
    ),
    (
        "joins",
        "from = Paid, join(x = Accounts[customer], y = Row[(x.item, at)]), left_join(line = Accounts[x]), group_by = (item = x.item), index(item, n), index(n)",
        "struct Row { item: String, #[last(line.is_some())] n: bool }",
    ),
    (
        "each",
        "from = Paid, each((x, y) in lines), group_by = (x = x.item), remove(Cart { Removed { x, .. } if y })",
        "struct Row { x: String, #[collect((x, y), limit = 7)] lines: BTreeMap<u8, u8>, #[top(7, x, by = y)] top: Vec<u8>, #[count_distinct(x)] n: u64, #[fold(std::A<T>, y)] y: i64 }",
    ),
    (
        "expressions",
        "from = Paid, group_by = (x = match qty { 1 => item.len(), n if n > 7 => 0, _ => { let x = qty; x } }, y = if let Some(x) = price { x } else { 1 })",
        "struct Row { x: u8, y: u8, #[sum(lines.iter().len(|x| x.qty + self::f(x)) as u64)] total: u64, #[last(meta.position)] at: u64, #[max(matches!(status, Cart::A { .. }))] status: bool }",
    ),
    (
        "twice",
        "from = Paid, from = Cart, group_by = x, group_by = x, having = x, having = y",
        "struct Row { x: u8, x: u8, #[sum] #[count] n: u64 }",
    ),
    (
        "misspelt",
        "from = Paid, grup_by = customer",
        "struct Row { customer: String, #[summ(qty)] total: i64 }",
    ),
    ("nothing", "", "struct Row { }"),
    ("tuple", "from = Paid, group_by = x", "struct Row(u8);"),
    ("enum", "from = Paid, group_by = x", "enum Cart { A { x: u8 } }"),
    ("generic", "from = Paid, group_by = x", "struct Row<T> { x: T, #[count] n: u64 }"),
    (
        "raw",
        "from = Paid, group_by = r#type",
        "struct Row { r#type: u8, #[last(r#match)] r#match: u8, #[count] größe: u64 }",
    ),
];

/// Each twice: as text, and in words.
pub(crate) fn seeds() -> Vec<Seed> {
    let all = [(0, "event", EVENTS), (1, "value", VALUES), (2, "projection", PROJECTIONS)];
    let each = all
        .iter()
        .flat_map(|(choice, attribute, seeds)| seeds.iter().map(move |seed| (choice, attribute, seed)));
    each.flat_map(|(choice, attribute, (name, args, item))| {
        let text = format!("{args}{BETWEEN}{item}");
        let words = [vec![*choice], coded(args), vec![0], coded(item)].concat();
        let text = [vec![choice | 0x80], text.into_bytes()].concat();
        [(format!("{attribute}-{name}"), words), (format!("{attribute}-{name}.txt"), text)]
    })
    .collect()
}

/// The words of a text: the longest at each place.
fn coded(text: &str) -> Vec<u8> {
    let (mut rest, mut codes) = (text.trim_start(), Vec::new());
    let joins = |c: char| c == '_' || c.is_alphanumeric();
    while !rest.is_empty() {
        let fits = |word: &&&str| {
            let ends = || !(word.ends_with(joins) && rest[word.len()..].starts_with(joins));
            **word != BETWEEN && rest.starts_with(**word) && ends()
        };
        let word = WORDS.iter().filter(fits).max_by_key(|word| word.len());
        let word = word.unwrap_or_else(|| panic!("there is no word for `{rest}`"));
        codes.extend(WORDS.iter().position(|other| other == word).and_then(|at| u8::try_from(at).ok()));
        rest = rest[word.len()..].trim_start();
    }
    debug_assert_eq!(
        spelled(&codes).split_whitespace().collect::<String>(),
        text.split_whitespace().collect::<String>()
    );
    codes
}
