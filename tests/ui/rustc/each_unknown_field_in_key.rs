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

#[projection(from = Ordered, each(line in lines), group_by = (item = line.itm))]
pub struct Row {
    pub item: String,
    #[count]
    pub n: u64,
}

fn main() {}
