//! What the tests share.

pub mod bank;
