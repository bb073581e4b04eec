//! `cargo run --release -p benches --bin compile [VIEWS]`: what a projection costs to compile, beside the same by hand. Prints a table for `BENCHMARKS.md`.
//!
//! Two crates with as many views, 100 by default, of the same events, in debug: one of annotated structs, one that does the same with `serde` and a `HashMap`: fold, look-up, checkpoint and
//! restore. Each is also built without views, and what that takes is taken off. Dependencies are built before. Cold is the crate from nothing; incremental is one view that has changed; checked is `cargo check`, as editors do.
//! Lines are those of the crate after its macros, serde's included.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs};

type Failure = Box<dyn std::error::Error>;

/// Five shapes of views take turns.
const SHAPES: usize = 5;
const TURNS: usize = 3;

/// What both crates are made of.
struct Style {
    name: &'static str,
    dependencies: &'static str,
    events: &'static str,
    view: fn(usize) -> String,
    /// What is edited for an incremental build: there, `qty` becomes something else.
    edit: &'static str,
    main: fn(usize) -> String,
}

const OURS: Style = Style {
    name: "ours",
    dependencies: "cqrs-core = { path = \"CORE\" }",
    events: "
use cqrs_core::prelude::*;
#[event] pub struct Purchased { pub customer: String, pub item: String, pub qty: i32, pub price: i64, pub at: i64 }
#[event] pub struct Returned { pub customer: String, pub item: String, pub qty: i32, pub at: i64 }
#[event] pub struct Rated { pub customer: String, pub item: String, pub stars: u8 }
",
    view: ours_view,
    edit: "#[sum(qty)]",
    main: ours_main,
};

fn ours_view(number: usize) -> String {
    let body = match number % SHAPES {
        0 => "#[projection(from = Purchased, group_by = (customer, item))]
            #[derive(Debug, Clone, PartialEq)]
            pub struct NAME { pub customer: String, pub item: String, #[sum(qty)] pub qty: i64, #[count] pub purchases: u64 }",
        1 => "#[projection(from(Purchased, Returned), group_by = item)]
            #[derive(Debug, Clone, PartialEq)]
            pub struct NAME { pub item: String, #[sum(Purchased => qty, Returned => -qty)] pub sold: i64, #[max(at)] pub last: i64 }",
        2 => "#[projection(from = Purchased if qty > 1, group_by = customer)]
            #[derive(Debug, Clone, PartialEq)]
            pub struct NAME { pub customer: String, #[sum(i64::from(qty) * price)] pub spent: i64, #[last(item)] pub item: String, #[min(price)] pub cheapest: i64 }",
        3 => "#[projection(from = Rated, group_by = item, having = ratings > 2)]
            #[derive(Debug, Clone, PartialEq)]
            pub struct NAME { pub item: String, #[avg(stars)] pub stars: f64, #[count] pub ratings: u64 }",
        _ => "#[projection(from(Purchased, Returned, Rated), group_by = (customer, item))]
            #[derive(Debug, Clone, PartialEq)]
            pub struct NAME { pub customer: String, pub item: String, #[sum(Purchased => qty, Returned => -qty)] pub qty: i64, #[last(Rated => stars)] pub stars: Option<u8> }",
    };
    body.replace("NAME", &format!("View{number}"))
}

fn ours_main(views: usize) -> String {
    let mut text = String::from(
        "fn main() -> Result<(), Box<dyn std::error::Error>> {\n    let mut builder = Engine::in_memory();\n",
    );
    for number in 0..views {
        let _ = writeln!(text, "    builder = builder.view::<views::View{number}>();");
    }
    text += "    let engine = builder.event::<Purchased>().start()?;
    engine.append(Purchased { customer: \"ann\".into(), item: \"hats\".into(), qty: 2, price: 3, at: 0 }).wait()?;\n";
    for number in 0..views {
        let key = ["(\"ann\", \"hats\")", "\"hats\"", "\"ann\"", "\"hats\"", "(\"ann\", \"hats\")"]
            [number % SHAPES];
        let _ = writeln!(text, "    println!(\"{{:?}}\", engine.view::<views::View{number}>().get({key})?);");
    }
    text + "    Ok(())\n}\n"
}

const BY_HAND: Style = Style {
    name: "by-hand",
    dependencies: "serde = { version = \"1\", features = [\"derive\"] }\nrmp-serde = \"1\"",
    events: "
use serde::{Deserialize, Serialize};
#[derive(Serialize, Deserialize)] pub struct Purchased { pub customer: String, pub item: String, pub qty: i32, pub price: i64, pub at: i64 }
#[derive(Serialize, Deserialize)] pub struct Returned { pub customer: String, pub item: String, pub qty: i32, pub at: i64 }
#[derive(Serialize, Deserialize)] pub struct Rated { pub customer: String, pub item: String, pub stars: u8 }
pub enum Stored { Purchased(Purchased), Returned(Returned), Rated(Rated) }
impl Stored {
    pub fn decode(name: &str, payload: &[u8]) -> Result<Self, rmp_serde::decode::Error> {
        Ok(match name {
            \"Purchased\" => Self::Purchased(rmp_serde::from_slice(payload)?),
            \"Returned\" => Self::Returned(rmp_serde::from_slice(payload)?),
            _ => Self::Rated(rmp_serde::from_slice(payload)?),
        })
    }
}
pub trait View {
    fn apply(&mut self, event: &Stored);
    fn save(&self) -> Vec<u8>;
    fn load(&mut self, saved: &[u8]);
}
",
    view: hand_view,
    edit: "(event.qty)",
    main: hand_main,
};

fn hand_view(number: usize) -> String {
    let (fields, key, fold) = match number % SHAPES {
        0 => (
            "pub customer: String, pub item: String, pub qty: i64, pub purchases: u64",
            "(String, String)",
            "if let Stored::Purchased(event) = event {
                let row = self.rows.entry((event.customer.clone(), event.item.clone())).or_insert_with(|| NAME { customer: event.customer.clone(), item: event.item.clone(), qty: 0, purchases: 0 });
                row.qty += i64::from(event.qty);
                row.purchases += 1;
            }",
        ),
        1 => (
            "pub item: String, pub sold: i64, pub last: i64",
            "String",
            "let (item, qty, at) = match event {
                Stored::Purchased(event) => (&event.item, i64::from(event.qty), event.at),
                Stored::Returned(event) => (&event.item, -i64::from(event.qty), event.at),
                Stored::Rated(_) => return,
            };
            let row = self.rows.entry(item.clone()).or_insert_with(|| NAME { item: item.clone(), sold: 0, last: at });
            row.sold += qty;
            row.last = row.last.max(at);",
        ),
        2 => (
            "pub customer: String, pub spent: i64, pub item: String, pub cheapest: i64",
            "String",
            "if let Stored::Purchased(event) = event && event.qty > 1 {
                let row = self.rows.entry(event.customer.clone()).or_insert_with(|| NAME { customer: event.customer.clone(), spent: 0, item: String::new(), cheapest: event.price });
                row.spent += i64::from(event.qty) * event.price;
                row.item.clone_from(&event.item);
                row.cheapest = row.cheapest.min(event.price);
            }",
        ),
        3 => (
            "pub item: String, pub sum: u64, pub ratings: u64",
            "String",
            "if let Stored::Rated(event) = event {
                let row = self.rows.entry(event.item.clone()).or_insert_with(|| NAME { item: event.item.clone(), sum: 0, ratings: 0 });
                row.sum += u64::from(event.stars);
                row.ratings += 1;
            }",
        ),
        _ => (
            "pub customer: String, pub item: String, pub qty: i64, pub stars: Option<u8>",
            "(String, String)",
            "let (customer, item, qty, stars) = match event {
                Stored::Purchased(event) => (&event.customer, &event.item, i64::from(event.qty), None),
                Stored::Returned(event) => (&event.customer, &event.item, -i64::from(event.qty), None),
                Stored::Rated(event) => (&event.customer, &event.item, 0, Some(event.stars)),
            };
            let row = self.rows.entry((customer.clone(), item.clone())).or_insert_with(|| NAME { customer: customer.clone(), item: item.clone(), qty: 0, stars: None });
            row.qty += qty;
            row.stars = stars.or(row.stars);",
        ),
    };
    format!(
        "#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct NAME {{ {fields} }}
        #[derive(Default)]
        pub struct NAMEs {{ rows: std::collections::HashMap<{key}, NAME> }}
        impl NAMEs {{
            pub fn get(&self, key: &{key}) -> Option<&NAME> {{ self.rows.get(key) }}
            pub fn rows(&self) -> impl Iterator<Item = &NAME> {{ self.rows.values() }}
        }}
        impl View for NAMEs {{
            fn apply(&mut self, event: &Stored) {{ {fold} }}
            fn save(&self) -> Vec<u8> {{ rmp_serde::to_vec(&self.rows).unwrap() }}
            fn load(&mut self, saved: &[u8]) {{ self.rows = rmp_serde::from_slice(saved).unwrap(); }}
        }}"
    )
    .replace("NAME", &format!("View{number}"))
}

fn hand_main(views: usize) -> String {
    let mut text = String::from(
        "fn main() {
    let event = Purchased { customer: \"ann\".into(), item: \"hats\".into(), qty: 2, price: 3, at: 0 };
    let event = Stored::decode(\"Purchased\", &rmp_serde::to_vec_named(&event).unwrap()).unwrap();\n",
    );
    for number in 0..views {
        let key = [
            "(\"ann\".into(), \"hats\".into())",
            "\"hats\".into()",
            "\"ann\".into()",
            "\"hats\".into()",
            "(\"ann\".into(), \"hats\".into())",
        ][number % SHAPES];
        let _ = writeln!(
            text,
            "    let mut view = views::View{number}s::default();
    view.apply(&event);
    let saved = view.save();
    view.load(&saved);
    println!(\"{{:?}} {{}}\", view.get(&{key}), view.rows().count());"
        );
    }
    text + "}\n"
}

/// A crate in a folder of its own.
struct Crate {
    folder: PathBuf,
    target: PathBuf,
}

impl Crate {
    fn write(style: &Style, views: usize, under: &Path) -> Result<Self, Failure> {
        let folder = under.join(format!("{}-{views}", style.name));
        fs::create_dir_all(folder.join("src"))?;
        let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cqrs-core").canonicalize()?;
        let dependencies = style.dependencies.replace("CORE", &core.display().to_string());
        let manifest = format!(
            "[package]\nname = \"{}-{views}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\n{dependencies}\n[workspace]\n",
            style.name
        );
        fs::write(folder.join("Cargo.toml"), manifest)?;
        fs::copy(core.join("../Cargo.lock"), folder.join("Cargo.lock"))?;
        let module: Vec<String> = (0..views).map(style.view).collect();
        fs::write(folder.join("src/views.rs"), format!("use crate::*;\n{}\n", module.join("\n")))?;
        let main =
            format!("#![allow(unused, dead_code)]\nmod views;\n{}\n{}", style.events, (style.main)(views));
        fs::write(folder.join("src/main.rs"), main)?;
        Ok(Self { folder, target: under.join("target") })
    }

    fn cargo(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = Command::new("cargo")
            .args(arguments)
            .current_dir(&self.folder)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUSTC_BOOTSTRAP", "1")
            .stdin(Stdio::null())
            .output()?;
        if !output.status.success() {
            return Err(format!("cargo {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    fn name(&self) -> Result<&str, Failure> {
        self.folder.file_name().and_then(|name| name.to_str()).ok_or_else(|| "a folder without a name".into())
    }

    /// The least of a few turns.
    fn timed(
        &self,
        prepare: impl Fn(usize) -> Result<(), Failure>,
        build: &[&str],
    ) -> Result<Duration, Failure> {
        let mut least = Duration::MAX;
        for turn in 0..TURNS {
            prepare(turn)?;
            let begun = Instant::now();
            self.cargo(build)?;
            least = least.min(begun.elapsed());
        }
        Ok(least)
    }

    fn measure(&self, style: &Style) -> Result<Costs, Failure> {
        self.cargo(&["build", "-q"])?;
        self.cargo(&["check", "-q"])?;
        let clean = |_| self.cargo(&["clean", "-q", "-p", self.name()?]).map(drop);
        let cold = self.timed(clean, &["build", "-q"])?;
        let checked = self.timed(clean, &["check", "-q"])?;
        let (views, text) =
            (self.folder.join("src/views.rs"), fs::read_to_string(self.folder.join("src/views.rs"))?);
        let change = |turn| {
            let changed = text.replacen(style.edit, &style.edit.replace("qty", &format!("qty + {turn}")), 1);
            Ok(fs::write(&views, changed)?)
        };
        self.cargo(&["build", "-q"])?;
        let incremental = self.timed(change, &["build", "-q"])?;
        fs::write(&views, &text)?;
        let expanded = self.cargo(&["rustc", "-q", "--profile", "check", "--", "-Zunpretty=expanded"]);
        let expanded = expanded.or_else(|_| self.cargo(&["rustc", "-q", "--", "-Zunpretty=expanded"]))?;
        Ok(Costs { cold, incremental, checked, lines: expanded.lines().count() })
    }
}

struct Costs {
    cold: Duration,
    incremental: Duration,
    checked: Duration,
    lines: usize,
}

fn main() -> Result<(), Failure> {
    let views: usize = env::args().nth(1).map_or(Ok(100), |text| text.parse())?;
    let folder = tempfile::tempdir()?;
    let mut found = Vec::new();
    for style in [&OURS, &BY_HAND] {
        let cost = |views| Crate::write(style, views, folder.path())?.measure(style);
        found.push((cost(0)?, cost(views)?));
    }
    let [(none, all), (hand_none, hand_all)] = &found[..] else { unreachable!("two styles") };
    let a_view = |all: Duration, none: Duration| all.saturating_sub(none).as_secs_f64() * 1e3 / views as f64;
    println!("| {views} projections, debug | ours | by hand | ratio |\n| --- | --- | --- | --- |");
    let row = |what: &str, ours: f64, theirs: f64, unit: &str| {
        println!("| {what} | {ours:.2} {unit} | {theirs:.2} {unit} | {:.2} |", ours / theirs);
    };
    row("cold, a projection", a_view(all.cold, none.cold), a_view(hand_all.cold, hand_none.cold), "ms");
    row(
        "checked, a projection",
        a_view(all.checked, none.checked),
        a_view(hand_all.checked, hand_none.checked),
        "ms",
    );
    row("cold, the crate", all.cold.as_secs_f64(), hand_all.cold.as_secs_f64(), "s");
    row("checked, the crate", all.checked.as_secs_f64(), hand_all.checked.as_secs_f64(), "s");
    row(
        "incremental, one projection changed",
        all.incremental.as_secs_f64(),
        hand_all.incremental.as_secs_f64(),
        "s",
    );
    let lines = |all: usize, none: usize| (all - none) as f64 / views as f64;
    row("lines, a projection", lines(all.lines, none.lines), lines(hand_all.lines, hand_none.lines), "lines");
    Ok(())
}
