//! `#[any(..)]` and `#[all(..)]`

use super::{Cell, ColumnFault, Merge, Shown, Sign, State};
use crate::schema::mix_str;
use crate::value::Value;

/// What `any` and `all` are asked of: `bool`, and `Option` of it (`None` is passed over).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither true nor false",
    label = "not a `bool`",
    note = "`any` and `all` take a condition: write `any(price > 100)`"
)]
pub trait TruthInput {
    /// Whether it is true.
    fn truth(&self) -> Option<bool>;
}

impl TruthInput for bool {
    fn truth(&self) -> Option<bool> {
        Some(*self)
    }
}

impl TruthInput for Option<bool> {
    fn truth(&self) -> Self {
        *self
    }
}

/// The type of an `#[any]` or `#[all]` column: `bool`.
#[diagnostic::on_unimplemented(
    message = "`any` and `all` are `bool`, and this column is `{Self}`",
    label = "make it `bool`"
)]
pub trait TruthColumn: Value {
    /// The answer as the column.
    fn show(truth: bool) -> Self;
}

impl TruthColumn for bool {
    fn show(truth: bool) -> Self {
        truth
    }
}

macro_rules! truths {
    ($($(#[$doc:meta])* $name:ident, $shape:literal: |$counts:ident| $of:expr;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name([u64; 2]);

        impl $name {
            /// One answer more, or one less.
            #[inline]
            pub fn step<I: TruthInput>(
                &self, sign: impl Into<Sign>, input: &I,
            ) -> Result<Option<(Sign, bool)>, ColumnFault> {
                Ok(input.truth().map(|truth| (sign.into(), truth)))
            }
            /// Takes the step.
            #[inline]
            pub fn commit(&mut self, step: Option<(Sign, bool)>, _: &mut Cell<'_>) {
                match step {
                    None => {}
                    Some((Sign::Insert, truth)) => self.0[usize::from(truth)] += 1,
                    Some((Sign::Remove, truth)) => self.0[usize::from(truth)] -= 1,
                }
            }
            /// The column.
            pub fn get<C: TruthColumn>(&self, _: &Shown<'_>) -> Option<C> {
                let $counts = self.0;
                Some(C::show($of))
            }
        }

        impl State for $name {
            const SHAPE: u128 = mix_str(4, $shape);
            fn write(&self, out: &mut Vec<u8>) {
                self.0[0].write(out);
                self.0[1].write(out);
            }
            fn read(input: &mut &[u8]) -> Option<Self> {
                Some(Self([u64::read(input)?, u64::read(input)?]))
            }
        }

        impl Merge for $name {
            fn merge(&mut self, later: &Self, _: &mut Cell<'_>, _: u32) -> Result<(), ColumnFault> {
                self.0[0] += later.0[0];
                self.0[1] += later.0[1];
                Ok(())
            }
        }
    )* };
}

truths! {
    /// Whether any is true: of none, none is.
    Any, "any": |counts| counts[1] > 0;
    /// Whether all are true: of none, all are.
    All, "all": |counts| counts[0] == 0;
}
