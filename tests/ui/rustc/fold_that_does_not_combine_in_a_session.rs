use cqrs_core::prelude::*;

#[event]
pub struct Purchased {
    pub customer: String,
    pub item: String,
    pub qty: i32,
    pub price: f64,
    pub note: Option<String>,
    pub at: i64,
}

#[value]
#[derive(Clone, Default)]
pub struct Longest {
    pub text: String,
}

impl cqrs_core::aggregate::Aggregate for Longest {
    type Input = String;
    type Output = u64;
    fn insert(&mut self, input: &String) -> Result<(), String> {
        if input.len() > self.text.len() {
            self.text = input.clone();
        }
        Ok(())
    }
    fn output(&self) -> u64 {
        self.text.len() as u64
    }
}

#[projection(from = Purchased, group_by = customer, window = session(at, gap = "30m"), unit = "s")]
pub struct Row {
    pub customer: String,
    pub window_start: i64,
    #[fold(Longest, item)]
    pub n: u64,
}

fn main() {}
