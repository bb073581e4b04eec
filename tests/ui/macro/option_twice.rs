use cqrs_core::prelude::*;

#[value]
#[derive(Clone)]
pub struct Patch {
    pub phone: Vec<Option<Option<String>>>,
}

#[event]
pub struct Patched {
    pub customer: u64,
    pub email: Option<Option<String>>,
    pub seen: Option<()>,
    pub patch: Patch,
    #[serde(default = "none")]
    pub boxed: Option<Box<Option<u8>>>,
    #[serde(skip)]
    pub skipped: Option<Option<u8>>,
}

fn none() -> Option<Box<Option<u8>>> {
    None
}

fn main() {}
