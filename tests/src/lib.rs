//! What the tests share.

pub mod bank;
pub mod follow;
pub mod foreign;
