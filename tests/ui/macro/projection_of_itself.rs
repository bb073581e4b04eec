use cqrs_core::prelude::*;

#[event]
pub struct Shut {
    pub gate: String,
}

#[projection(from = Gates, group_by = gate)]
pub struct Gates {
    pub gate: String,
    #[count]
    pub shut: u64,
}

#[projection(from = Shut, join(before = Known[gate]), group_by = gate)]
pub struct Known {
    pub gate: String,
    #[count]
    pub shut: u64,
}

#[projection(from(Gates shut > 0), group_by(gate))]
pub struct Often {
    pub gate: String,
    #[count]
    pub shut: u64,
}

fn main() {}
