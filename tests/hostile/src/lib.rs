//! What is done with hostile bytes. Each target is a plain function: `fuzz/` gives it to libFuzzer, and `tests/hostile.rs` every seed and every input that has
//! once failed, on a stable toolchain.
//!
//! A target panics where the library does what it must not: panics itself, takes one payload for two events, gives rows that are none.

pub mod attributes;
pub mod decode;

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
#[path = "../../../cqrs-macros/src/fallback.rs"]
mod fallback;
#[path = "../../../cqrs-macros/src/model.rs"]
mod model;
#[path = "../../../cqrs-macros/src/options.rs"]
mod options;
#[path = "../../../cqrs-macros/src/prepend.rs"]
mod prepend;
#[path = "../../../cqrs-macros/src/serde_attrs.rs"]
mod serde_attrs;
#[path = "../../../cqrs-macros/src/window.rs"]
mod window;

/// A target: its name, which is that of its folders under `fuzz/`, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[("decode", decode::run), ("attributes", attributes::run)];

/// The seeds of each target: file names and bytes.
#[must_use]
pub fn seeds() -> Vec<(&'static str, Vec<(String, Vec<u8>)>)> {
    vec![("decode", decode::seeds()), ("attributes", attributes::seeds())]
}
