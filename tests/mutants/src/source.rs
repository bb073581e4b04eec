//! A source file with all of its mutants in it, each asleep until it is chosen.

use std::collections::HashMap;
use std::ops::Range;

use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};

use crate::mutant::{Genre, Mutant};

/// One place that is changed. Places lie in each other or apart: they are expressions.
struct Place {
    range: Range<usize>,
    form: Form,
    /// The mutants, and what each puts there.
    others: Vec<(usize, String)>,
}

#[derive(Clone, Copy)]
enum Form {
    /// `(if on(1) { .. } else { as it was })`
    Value,
    /// The same without parentheses, which an assignment must not have.
    Statement,
    /// `if on(1) { return ..; }` before it.
    Start,
    /// ` if !on(1)` behind it: a pattern.
    Guard,
}

/// What was written where, to find whose fault a compiler's error is.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) text: String,
    /// What a mutant wrote.
    pub(crate) of_one: Vec<(Range<usize>, usize)>,
    /// The whole of a place, with what was there before.
    pub(crate) around: Vec<(Range<usize>, Vec<usize>)>,
    /// Where arms got a guard.
    pub(crate) guards: Vec<(usize, Vec<usize>)>,
    /// Where functions got something before what they do.
    pub(crate) starts: Vec<(usize, Vec<usize>)>,
}

/// The file with these mutants, and those that have no place in it.
pub(crate) fn write(text: &str, mutants: &[(usize, &Mutant)]) -> (Written, Vec<usize>) {
    let file = syn::parse_file(text).expect("the project's own sources parse");
    let mut wanted: HashMap<(Kind, usize), Vec<(usize, &Mutant)>> = HashMap::new();
    let mut places = Vec::new();
    for &(id, mutant) in mutants {
        let span = mutant.span.within(text);
        match Kind::of(mutant.genre) {
            Some(kind) => wanted.entry((kind, span.start)).or_default().push((id, mutant)),
            None => {
                let same =
                    |place: &&mut Place| matches!(place.form, Form::Start) && place.range.start == span.start;
                match places.iter_mut().find(same) {
                    Some(place) => place.others.push((id, mutant.replacement.clone())),
                    None => places.push(Place {
                        range: span.start..span.start,
                        form: Form::Start,
                        others: vec![(id, mutant.replacement.clone())],
                    }),
                }
            }
        }
    }
    let mut finder = Finder { text, wanted, places };
    finder.visit_file(&file);
    let homeless = finder.wanted.into_values().flatten().map(|(id, _)| id).collect();
    let mut places = finder.places;
    places.sort_by_key(|place| {
        (place.range.start, !matches!(place.form, Form::Start), usize::MAX - place.range.end)
    });
    let mut written = Written::default();
    let mut rest = places.as_slice();
    render(text, 0..text.len(), &mut rest, &mut written);
    (written, homeless)
}

/// What of a tree a mutant is found by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Operator,
    Arm,
    Guard,
    Field,
}

impl Kind {
    fn of(genre: Genre) -> Option<Self> {
        match genre {
            Genre::FnValue => None,
            Genre::BinaryOperator | Genre::UnaryOperator => Some(Self::Operator),
            Genre::MatchArm => Some(Self::Arm),
            Genre::MatchArmGuard => Some(Self::Guard),
            Genre::StructField => Some(Self::Field),
        }
    }
}

struct Finder<'t, 'm> {
    text: &'t str,
    wanted: HashMap<(Kind, usize), Vec<(usize, &'m Mutant)>>,
    places: Vec<Place>,
}

impl Finder<'_, '_> {
    fn text(&self, of: impl syn::spanned::Spanned) -> &str {
        &self.text[of.span().byte_range()]
    }

    fn place(
        &mut self,
        kind: Kind,
        key: Span,
        at: Span,
        form: Form,
        other: impl Fn(&Self, &Mutant) -> String,
    ) {
        if let Some(found) = self.wanted.remove(&(kind, key.byte_range().start)) {
            let others = found.iter().map(|&(id, mutant)| (id, other(self, mutant))).collect();
            self.places.push(Place { range: at.byte_range(), form, others });
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_, '_> {
    fn visit_expr_binary(&mut self, of: &'ast syn::ExprBinary) {
        // A chain with `let` is no value: what cargo-mutants has for its `&&` does not compile anyway.
        if !binds(&of.left) && !binds(&of.right) {
            let form = if assigns(&of.op) { Form::Statement } else { Form::Value };
            self.place(Kind::Operator, of.op.span(), of.span(), form, |finder, mutant| match form {
                Form::Statement => {
                    format!("{} {} {}", finder.text(&of.left), mutant.replacement, finder.text(&of.right))
                }
                _ => {
                    format!("({}) {} ({})", finder.text(&of.left), mutant.replacement, finder.text(&of.right))
                }
            });
        }
        visit::visit_expr_binary(self, of);
    }

    fn visit_expr_unary(&mut self, of: &'ast syn::ExprUnary) {
        self.place(Kind::Operator, of.op.span(), of.span(), Form::Value, |finder, _| {
            finder.text(&of.expr).to_owned()
        });
        visit::visit_expr_unary(self, of);
    }

    fn visit_arm(&mut self, of: &'ast syn::Arm) {
        match &of.guard {
            Some((_, guard)) => {
                self.place(Kind::Guard, guard.span(), guard.span(), Form::Value, |_, mutant| {
                    mutant.replacement.clone()
                });
                self.place(Kind::Arm, of.span(), guard.span(), Form::Value, |_, _| "false".to_owned());
            }
            None => self.place(Kind::Arm, of.span(), of.pat.span(), Form::Guard, |_, _| String::new()),
        }
        visit::visit_arm(self, of);
    }

    fn visit_expr_struct(&mut self, of: &'ast syn::ExprStruct) {
        for pair in of.fields.pairs() {
            let field = pair.value().span();
            self.place(Kind::Field, field, of.span(), Form::Value, |finder, _| {
                let (whole, without) = (of.span().byte_range(), pair.span().byte_range());
                format!(
                    "{}{}",
                    &finder.text[whole.start..without.start],
                    &finder.text[without.end..whole.end]
                )
            });
        }
        visit::visit_expr_struct(self, of);
    }
}

fn binds(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => {
            matches!(binary.op, syn::BinOp::And(_)) && (binds(&binary.left) || binds(&binary.right))
        }
        _ => false,
    }
}

fn assigns(op: &syn::BinOp) -> bool {
    use syn::BinOp::*;
    matches!(
        op,
        AddAssign(_)
            | SubAssign(_)
            | MulAssign(_)
            | DivAssign(_)
            | RemAssign(_)
            | BitXorAssign(_)
            | BitAndAssign(_)
            | BitOrAssign(_)
            | ShlAssign(_)
            | ShrAssign(_)
    )
}

/// Writes these bytes of the text, with the places that lie in them.
fn render(text: &str, range: Range<usize>, places: &mut &[Place], written: &mut Written) {
    let mut at = range.start;
    while let Some((place, rest)) = places.split_first() {
        if place.range.start >= range.end {
            break;
        }
        *places = rest;
        written.text.push_str(&text[at..place.range.start]);
        let start = written.text.len();
        match place.form {
            Form::Start => {
                for other in &place.others {
                    alternative(other, "if ", "return ", "; } ", written);
                }
            }
            Form::Guard => {
                render(text, place.range.clone(), places, written);
                written.text.push_str(" if ");
                for (n, (id, _)) in place.others.iter().enumerate() {
                    let and = if n == 0 { "" } else { " && " };
                    written.text.push_str(&format!("{and}!crate::mutants::on({id})"));
                }
            }
            Form::Value | Form::Statement => {
                let (open, close) = if matches!(place.form, Form::Value) { ("(", ")") } else { ("", "") };
                written.text.push_str(open);
                for other in &place.others {
                    alternative(other, "if ", "", " } else ", written);
                }
                written.text.push_str("{ ");
                render(text, place.range.clone(), places, written);
                written.text.push_str(" }");
                written.text.push_str(close);
            }
        }
        let ids: Vec<usize> = place.others.iter().map(|(id, _)| *id).collect();
        match place.form {
            Form::Guard => written.guards.push((start, ids.clone())),
            Form::Start => written.starts.push((start, ids.clone())),
            Form::Value | Form::Statement => {}
        }
        written.around.push((start..written.text.len(), ids));
        at = place.range.end;
    }
    written.text.push_str(&text[at..range.end]);
}

fn alternative((id, other): &(usize, String), before: &str, value: &str, after: &str, written: &mut Written) {
    let start = written.text.len();
    written.text.push_str(&format!("{before}crate::mutants::on({id}) {{ {value}{other}{after}"));
    written.of_one.push((start..written.text.len(), *id));
}
