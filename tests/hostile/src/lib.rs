//! What is done with hostile bytes. Each target is a plain function: `fuzz/` gives it to libFuzzer, and `tests/hostile.rs` every seed and every input that has
//! once failed, on a stable toolchain.
//!
//! A target panics where the library does what it must not: panics itself, takes one payload for two events, gives rows that are none.

pub mod attributes;
pub mod checkpoint;
pub mod decode;
pub mod files;
mod panics;
mod raw;
pub mod upcast;
mod world;

// The macros, as they are: outside the compiler, `proc_macro2` has tokens of its own.
#[path = "../../../cqrs-macros/src/check.rs"]
mod check;
#[path = "../../../cqrs-macros/src/duration.rs"]
mod duration;
#[path = "../../../cqrs-macros/src/errors.rs"]
mod errors;
#[path = "../../../cqrs-macros/src/expand/mod.rs"]
mod expand;
#[path = "../../../cqrs-macros/src/expr.rs"]
mod expr;
#[path = "../../../cqrs-macros/src/model/mod.rs"]
mod model;
#[path = "../../../cqrs-macros/src/options/mod.rs"]
mod options;
#[path = "../../../cqrs-macros/src/prepend.rs"]
mod prepend;
#[path = "../../../cqrs-macros/src/serde_attrs.rs"]
mod serde_attrs;
#[path = "../../../cqrs-macros/src/spelling.rs"]
mod spelling;
#[path = "../../../cqrs-macros/src/window.rs"]
mod window;

/// What is done with the bytes of an input.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is that of its folders under `fuzz/`.
    pub name: &'static str,
    /// What it does.
    pub run: fn(&[u8]),
    /// The inputs it begins with.
    pub seeds: fn() -> Vec<Seed>,
}

/// An input to begin with: the name of its file, and its bytes.
pub type Seed = (String, Vec<u8>);

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "decode", run: decode::run, seeds: decode::seeds },
    Target { name: "attributes", run: attributes::run, seeds: attributes::seeds },
    Target { name: "upcast", run: upcast::run, seeds: upcast::seeds },
    Target { name: "checkpoint", run: checkpoint::run, seeds: checkpoint::seeds },
    Target { name: "files", run: files::run, seeds: files::seeds },
];
