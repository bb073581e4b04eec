use cqrs_core::prelude::*;

#[value]
#[derive(Clone)]
pub struct Line {
    pub item: String,
    pub qty: i32,
}

#[event]
pub struct Ordered {
    pub customer: String,
    pub lines: Vec<Line>,
}

#[projection(from = Ordered, each(line in lines), group_by = customer)]
pub struct Row {
    pub customer: String,
    #[sum(line.qyt)]
    pub qty: i32,
}

fn main() {}
