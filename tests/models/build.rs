//! Puts the engine's own files beside the little world of each model; and once more for each sabotage, with one place in them changed.

use std::path::Path;
use std::{env, fs};

const MODELS: &[(&str, &[&str])] =
    &[("hand_over", &["desk", "fold"]), ("publish", &["pair"]), ("turns", &["abreast"])];

/// Name, model, file, what stands there, what is to stand there.
const SABOTAGES: &[(&str, &str, &str, &str, &str)] = &[
    (
        "sends_under_the_lock",
        "hand_over",
        "fold",
        "            drop(place);\n            return self.send(batch);",
        "            return self.send(batch);",
    ),
    (
        "overtakes_the_queue",
        "hand_over",
        "fold",
        "if self.waiting.load(Ordering::SeqCst) > 0 {",
        "if false {",
    ),
    ("overtakes_requests", "hand_over", "desk", "if self.waiting.load(Ordering::SeqCst) > 0 {", "if false {"),
    (
        "unlocks_too_early",
        "hand_over",
        "desk",
        "self.fold.take_over(batch, || drop(place)),",
        "{ drop(place); self.fold.take_over(batch, || ()) }",
    ),
    ("lets_nobody_lead", "hand_over", "desk", "if request.leads() {", "if false {"),
    ("forgets_the_timer", "hand_over", "fold", "core.nudge();", "let _ = core;"),
    (
        "stops_too_early",
        "hand_over",
        "desk",
        "lock(&self.writer).take();\n        self.fold.tell(Message::Stop);",
        "self.fold.tell(Message::Stop);\n        lock(&self.writer).take();",
    ),
    ("does_not_catch_up", "publish", "pair", "rows.catch_up(&self.front, &self.lag);", "let _ = rows;"),
    ("waits_for_ever", "publish", "pair", "begun.elapsed() > patience", "false"),
    (
        "passes_on_too_early",
        "turns",
        "abreast",
        "self.fold(group, page, after);\n                if reached.position == end && page.flaw.is_none() {\n                    self.pass_on(group);\n                }",
        "if reached.position == end && page.flaw.is_none() {\n                    self.pass_on(group);\n                }\n                self.fold(group, page, after);",
    ),
    (
        "halts_in_silence",
        "turns",
        "abreast",
        "lock(&self.state).halt.get_or_insert(halt);\n        self.moved.notify_all();",
        "lock(&self.state).halt.get_or_insert(halt);",
    ),
    (
        "stops_in_silence",
        "turns",
        "abreast",
        "lock(&self.state).folding -= 1;\n            self.moved.notify_all();",
        "lock(&self.state).folding -= 1;",
    ),
    (
        "wakes_nobody",
        "turns",
        "abreast",
        "lock(&self.state).due[group] += 1;\n        self.moved.notify_all();",
        "lock(&self.state).due[group] += 1;",
    ),
];

fn read(path: &str) -> String {
    println!("cargo::rerun-if-changed={path}");
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn module(name: &str, model: &str, change: impl Fn(&str, String) -> String) -> String {
    let (_, files) = MODELS.iter().find(|(known, _)| *known == model).unwrap();
    let files = files.iter().map(|file| {
        let text = change(file, read(&format!("../../cqrs-core/src/engine/{file}.rs")));
        format!("pub(crate) mod {file} {{\n{text}\n}}\n")
    });
    let files: String = files.collect();
    let world = read(&format!("src/{model}.world.rs"));
    format!("#[allow(dead_code, unused, clippy::all)]\nmod {name} {{\n{world}\n{files}}}\n")
}

fn main() {
    let mut text = String::new();
    for (model, _) in MODELS {
        text += &module(model, model, |_, text| text);
    }
    for (name, model, file, from, to) in SABOTAGES {
        text += &module(name, model, |in_file, text| {
            if in_file != *file {
                return text;
            }
            assert_eq!(
                text.matches(from).count(),
                1,
                "{name}: {file}.rs has no such place, or several:\n{from}"
            );
            text.replace(from, to)
        });
    }
    let to = Path::new(&env::var_os("OUT_DIR").unwrap()).join("models.rs");
    fs::write(to, text).unwrap();
    println!("cargo::rerun-if-changed=build.rs");
}
