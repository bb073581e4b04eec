//! What sources do with what they gave: events stay, rows of another projection can be taken back. It decides, at compile time, what a column
//! has to keep.

use super::{
    Aggregate, Avg, Collect, Collected, Column, CountDistinct, Custom, CustomBack, ExactAvg, ExactStddev,
    ExactSum, ExactVariance, Extreme, ExtremeOf, FirstBy, FirstByOf, LastBy, LastByOf, State, Stddev, Sum,
    Top, TopColumn, Variance, Which,
};
use crate::value::Value;

/// Whether a value comes or goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It comes.
    Insert,
    /// It is taken back: it has come before, exactly so.
    Remove,
}

impl Sign {
    /// What it adds to a count.
    pub(super) fn by(self) -> i64 {
        match self {
            Self::Insert => 1,
            Self::Remove => -1,
        }
    }
}

/// The sign of a source that takes nothing back: always [`Sign::Insert`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appends;

impl From<Appends> for Sign {
    #[inline]
    fn from(_: Appends) -> Self {
        Self::Insert
    }
}

/// What a projection's sources do with what they gave; of several sources, the worst.
pub trait Mode: Send + Sync + 'static {
    /// Whether a value comes or goes.
    type Sign: Copy + Into<Sign> + From<Appends> + Send + Sync + 'static;
    /// Of both, the worse.
    type Or<M: Mode>: Mode;
    /// What counts whether anything of a row is left.
    type Live: Live;
    /// Whether values are taken back.
    const RETRACTS: bool;
    /// What `#[sum]` keeps.
    type Sum<C: Value>: State;
    /// What `#[avg]` keeps.
    type Avg: State;
    /// What `#[min]` and `#[max]` keep.
    type Extreme<W: Which, C: Column>: State;
    /// What `#[first(.., by = ..)]` keeps.
    type FirstBy<C: Column>: State;
    /// What `#[last(.., by = ..)]` keeps.
    type LastBy<C: Column>: State;
    /// What `#[variance]` keeps.
    type Variance: State;
    /// What `#[stddev]` keeps.
    type Stddev: State;
    /// What `#[count_distinct]` keeps.
    type CountDistinct: State;
    /// What `#[collect]` keeps.
    type Collect<C: Collected>: State;
    /// What `#[top]` keeps.
    type Top<C: TopColumn>: State;
    /// What a user's aggregate keeps.
    type Custom<A: Aggregate>: State;
}

/// What counts whether anything of a row is left.
pub trait Live: State {
    /// Counts something that comes or goes; whether something is left.
    fn count(&mut self, sign: Sign) -> bool;
}

/// A row of events stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stays;

/// How much a row consists of.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contributions(u64);

impl State for Stays {
    const SHAPE: u128 = 5;
    fn write(&self, _: &mut Vec<u8>) {}
    fn read(_: &mut &[u8]) -> Option<Self> {
        Some(Self)
    }
}

impl Live for Stays {
    #[inline]
    fn count(&mut self, _: Sign) -> bool {
        true
    }
}

impl State for Contributions {
    const SHAPE: u128 = 6;
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(input: &mut &[u8]) -> Option<Self> {
        u64::read(input).map(Self)
    }
}

impl Live for Contributions {
    fn count(&mut self, sign: Sign) -> bool {
        match sign {
            Sign::Insert => self.0 += 1,
            Sign::Remove => self.0 = self.0.saturating_sub(1),
        }
        self.0 > 0
    }
}
/// Modes in which `first` and `last` mean something without a `by`.
#[diagnostic::on_unimplemented(
    message = "`first` and `last` go by the log, and a projection is a source here, whose rows come and go",
    label = "needs an order to go by",
    note = "write `first(.., by = ..)` or `last(.., by = ..)`"
)]
pub trait KeepsOrder: Mode {}
impl KeepsOrder for Appended {}

/// Sources that take nothing back: events.
#[derive(Clone, Copy, Debug)]
pub enum Appended {}

/// Sources that take values back: other projections.
#[derive(Clone, Copy, Debug)]
pub enum Changing {}

impl Mode for Appended {
    type Live = Stays;
    type Sign = Appends;
    type Or<M: Mode> = M;
    const RETRACTS: bool = false;
    type Sum<C: Value> = Sum<C>;
    type Avg = Avg;
    type Extreme<W: Which, C: Column> = Extreme<W, C>;
    type FirstBy<C: Column> = FirstBy<C>;
    type LastBy<C: Column> = LastBy<C>;
    type Variance = Variance;
    type Stddev = Stddev;
    type CountDistinct = CountDistinct<Self>;
    type Collect<C: Collected> = Collect<Self, C>;
    type Top<C: TopColumn> = Top<Self, C>;
    type Custom<A: Aggregate> = Custom<A>;
}

impl Mode for Changing {
    type Live = Contributions;
    type Sign = Sign;
    type Or<M: Mode> = Self;
    const RETRACTS: bool = true;
    type Sum<C: Value> = ExactSum<C>;
    type Avg = ExactAvg;
    type Extreme<W: Which, C: Column> = ExtremeOf<W, C>;
    type FirstBy<C: Column> = FirstByOf<C>;
    type LastBy<C: Column> = LastByOf<C>;
    type Variance = ExactVariance;
    type Stddev = ExactStddev;
    type CountDistinct = CountDistinct<Self>;
    type Collect<C: Collected> = Collect<Self, C>;
    type Top<C: TopColumn> = Top<Self, C>;
    type Custom<A: Aggregate> = CustomBack<A>;
}
