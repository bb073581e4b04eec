//! Workload W, and what is measured on it. A library, so that `peers` measures the same things beside other systems.

pub mod append;
pub mod decide;
pub mod feed;
pub mod fold;
pub mod language;
pub mod read;
pub mod report;
pub mod start;
pub mod subscribe;
pub mod workload;
