//! Names in expressions: which are the event's fields, or the row's columns, and which are Rust's.

use std::collections::{BTreeSet, HashSet};

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::{Parse, ParseStream};
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, Member, Pat, Token};

use crate::errors::{Errors, did_you_mean, one_of};

/// What a lower-case single name in value position stands for.
pub(crate) enum Names<'a> {
    /// A field of the event: rustc knows which there are. These names are none: `each` and `join` bind them.
    Event(&'a [String]),
    /// A column of the row, of these: we know which there are.
    Row(&'a [String]),
}

/// An expression with its names resolved.
pub(crate) struct Resolved {
    /// What to generate.
    pub(crate) tokens: TokenStream,
    /// The fields or columns that it uses.
    pub(crate) uses: BTreeSet<String>,
    /// The locals that it uses, each as often as it does: to be bound before it.
    locals: Vec<(Ident, Local)>,
}

/// What a local in a resolved expression is a reference to.
pub(crate) enum Local {
    /// The event's twin.
    Event,
    /// The event's meta.
    Meta,
    /// The column of this name.
    Column(String),
}

impl Resolved {
    /// The `let`s that the expression needs before it.
    ///
    /// A local bears the user's own span, not a hygienic one: an expression that mixes the two is shown by rustc under the whole
    /// attribute instead of under the user's word. But then it is only found from where that span belongs, and the words of one attribute may come from
    /// several `macro_rules`. So every use has a `let` with the very span of the use.
    pub(crate) fn lets(&self, place: impl Fn(&Local) -> TokenStream) -> TokenStream {
        let lets = self.locals.iter().map(|(ident, local)| {
            let place = place(local);
            quote!(let #ident = #place;)
        });
        quote!(#(#lets)*)
    }

    /// The same for an expression over an event, in the functions that are generated for a source.
    pub(crate) fn event_lets(&self) -> TokenStream {
        self.lets(|local| match local {
            Local::Meta => quote!(__recorded_meta),
            _ => quote!(__recorded),
        })
    }
}

/// Resolves the names in an expression. Mistakes go to `errors`.
pub(crate) fn resolve(expr: &Expr, names: &Names<'_>, errors: &mut Errors) -> Resolved {
    let mut expr = expr.clone();
    let bound = match names {
        Names::Event(bound) => bound.iter().map(|name| plain(name)).collect(),
        Names::Row(_) => HashSet::new(),
    };
    let (scopes, uses, locals) = (vec![bound], BTreeSet::new(), Vec::new());
    let mut resolver = Resolver { names, scopes, uses, locals, errors };
    resolver.visit_expr_mut(&mut expr);
    Resolved { uses: resolver.uses, locals: resolver.locals, tokens: expr.into_token_stream() }
}

/// The words of an expression, one by one, for a fingerprint: how it is laid out or broken into lines does not count.
pub(crate) fn canonical(tokens: &impl ToTokens) -> String {
    fn words(tokens: TokenStream, out: &mut String) {
        for token in tokens {
            match token {
                proc_macro2::TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        proc_macro2::Delimiter::Parenthesis => ("(", ")"),
                        proc_macro2::Delimiter::Brace => ("{", "}"),
                        proc_macro2::Delimiter::Bracket => ("[", "]"),
                        // What a `macro_rules` put there as one expression stays one.
                        proc_macro2::Delimiter::None if group.stream().into_iter().nth(1).is_some() => {
                            ("(", ")")
                        }
                        proc_macro2::Delimiter::None => ("", ""),
                    };
                    out.push_str(open);
                    words(group.stream(), out);
                    out.push_str(close);
                }
                other => {
                    out.push_str(&other.to_string());
                    out.push(' ');
                }
            }
        }
    }
    let mut out = String::new();
    words(tokens.to_token_stream(), &mut out);
    out
}

/// Whether it is a literal number without a suffix, or a negated one: such an expression has the column's type. Any other literal has a type of its own.
pub(crate) fn is_literal(expr: &Expr) -> bool {
    match expr {
        Expr::Lit(literal) => match &literal.lit {
            syn::Lit::Int(number) => number.suffix().is_empty(),
            syn::Lit::Float(number) => number.suffix().is_empty(),
            _ => false,
        },
        Expr::Unary(unary) => matches!(unary.op, syn::UnOp::Neg(_)) && is_literal(&unary.expr),
        Expr::Paren(inner) => is_literal(&inner.expr),
        Expr::Group(inner) => is_literal(&inner.expr),
        _ => false,
    }
}

/// A name for a type beside an item: another one, if the item speaks of a type of the user's that is called so.
pub(crate) fn beside(name: Ident, item: &impl ToTokens) -> Ident {
    fn speaks_of(tokens: TokenStream, name: &Ident) -> bool {
        tokens.into_iter().any(|token| match token {
            proc_macro2::TokenTree::Ident(ident) => ident == *name,
            proc_macro2::TokenTree::Group(group) => speaks_of(group.stream(), name),
            _ => false,
        })
    }
    if speaks_of(item.to_token_stream(), &name) {
        Ident::new(&format!("__{name}"), name.span())
    } else {
        name
    }
}

/// The names that a pattern binds.
pub(crate) fn bindings(pat: &Pat) -> Vec<Ident> {
    struct Bindings(Vec<Ident>);
    impl<'ast> syn::visit::Visit<'ast> for Bindings {
        fn visit_pat_ident(&mut self, pat: &'ast syn::PatIdent) {
            self.0.push(pat.ident.clone());
            syn::visit::visit_pat_ident(self, pat);
        }
        // What the guard of an arm binds, in its closures, is bound in there only.
        fn visit_expr(&mut self, _: &'ast Expr) {}
    }
    let mut bindings = Bindings(Vec::new());
    syn::visit::Visit::visit_pat(&mut bindings, pat);
    bindings.0
}

/// A name as it is, whether it is written raw or not.
fn plain(name: &str) -> String {
    name.strip_prefix("r#").unwrap_or(name).to_owned()
}

struct Resolver<'a> {
    names: &'a Names<'a>,
    scopes: Vec<HashSet<String>>,
    uses: BTreeSet<String>,
    locals: Vec<(Ident, Local)>,
    errors: &'a mut Errors,
}

impl Resolver<'_> {
    fn scoped(&mut self, inside: impl FnOnce(&mut Self)) {
        self.scopes.push(HashSet::new());
        inside(self);
        self.scopes.pop();
    }

    /// What a pattern binds is the user's own from here on.
    fn bind(&mut self, pat: &Pat) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.extend(bindings(pat).iter().map(|name| plain(&name.to_string())));
        }
    }

    fn is_bound(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains(name))
    }

    fn refuse(&mut self, tokens: &impl ToTokens, what: &str) {
        self.errors.at(
            tokens,
            format!(
                "{what} cannot stand in an expression of a projection: move it into a function and call that"
            ),
        );
    }

    fn local(&mut self, name: &str, local: Local, span: Span) -> Ident {
        let ident = Ident::new(name, span);
        self.locals.push((ident.clone(), local));
        ident
    }

    /// What stands for a name, if it is not the user's own.
    fn name(&mut self, ident: &Ident) -> Option<Expr> {
        let name = syn::ext::IdentExt::unraw(ident).to_string();
        let lower = name.starts_with(|c: char| c.is_lowercase() || c == '_');
        if !lower || name == "self" || self.is_bound(&name) {
            return None;
        }
        match self.names {
            Names::Event(_) if name == "meta" => {
                let meta = self.local("__meta", Local::Meta, ident.span());
                Some(Expr::Verbatim(quote_spanned!(ident.span()=> (*#meta))))
            }
            Names::Event(_) => {
                self.uses.insert(name);
                let event = self.local("__event", Local::Event, ident.span());
                let member = Member::Named(ident.clone());
                Some(Expr::Verbatim(quote_spanned!(ident.span()=> #event.#member)))
            }
            Names::Row(columns) => {
                if !columns.contains(&name) {
                    let near = did_you_mean(&name, columns);
                    self.errors.at(
                        ident,
                        format!("no column `{name}` in this row{near} (its columns are {})", one_of(columns)),
                    );
                    return None;
                }
                let local =
                    self.local(&format!("__column_{name}"), Local::Column(name.clone()), ident.span());
                self.uses.insert(name);
                Some(Expr::Verbatim(quote_spanned!(ident.span()=> (*#local))))
            }
        }
    }

    fn matches(&mut self, mac: &mut syn::Macro) {
        struct Matches {
            expr: Expr,
            pat: Pat,
            guard: Option<Expr>,
        }
        impl Parse for Matches {
            fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
                let expr = input.parse()?;
                input.parse::<Token![,]>()?;
                let pat = Pat::parse_multi_with_leading_vert(input)?;
                let guard = if input.peek(Token![if]) {
                    input.parse::<Token![if]>()?;
                    Some(input.parse()?)
                } else {
                    None
                };
                input.parse::<Option<Token![,]>>()?;
                Ok(Self { expr, pat, guard })
            }
        }
        match mac.parse_body::<Matches>() {
            Err(error) => self.errors.add(error),
            Ok(Matches { mut expr, pat, mut guard }) => {
                self.visit_expr_mut(&mut expr);
                self.scoped(|this| {
                    this.bind(&pat);
                    if let Some(guard) = &mut guard {
                        this.visit_expr_mut(guard);
                    }
                });
                let guard = guard.map(|guard| quote!(if #guard));
                mac.path = syn::parse_quote!(::core::matches);
                mac.tokens = quote!(#expr, #pat #guard);
            }
        }
    }
}

impl VisitMut for Resolver<'_> {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        match expr {
            Expr::Path(path) => {
                if let (None, Some(ident)) = (&path.qself, path.path.get_ident())
                    && let Some(resolved) = self.name(&ident.clone())
                {
                    *expr = resolved;
                }
            }
            Expr::Call(call) => {
                // A plain name that is called is a function.
                let mut func = &*call.func;
                // What a `macro_rules` put there stands in a group.
                while let Expr::Group(group) = func {
                    func = &group.expr;
                }
                let plain = matches!(func, Expr::Path(path) if path.path.get_ident().is_some());
                if !plain {
                    self.visit_expr_mut(&mut call.func);
                }
                call.args.iter_mut().for_each(|arg| self.visit_expr_mut(arg));
            }
            Expr::Struct(literal) => {
                for field in &mut literal.fields {
                    self.visit_expr_mut(&mut field.expr);
                    // `S { qty }` is now `S { qty: event.qty }`.
                    if field.colon_token.is_none() && !matches!(field.expr, Expr::Path(_)) {
                        field.colon_token = Some(Token![:](Span::call_site()));
                    }
                }
                if let Some(rest) = &mut literal.rest {
                    self.visit_expr_mut(rest);
                }
            }
            Expr::Closure(closure) => self.scoped(|this| {
                closure.inputs.iter().for_each(|pat| this.bind(pat));
                this.visit_expr_mut(&mut closure.body);
            }),
            Expr::Let(let_) => {
                self.visit_expr_mut(&mut let_.expr);
                self.bind(&let_.pat);
            }
            Expr::If(if_) => {
                self.scoped(|this| {
                    this.visit_expr_mut(&mut if_.cond);
                    this.visit_block_mut(&mut if_.then_branch);
                });
                if let Some((_, otherwise)) = &mut if_.else_branch {
                    self.visit_expr_mut(otherwise);
                }
            }
            Expr::Macro(mac) => {
                if mac.mac.path.is_ident("matches") {
                    self.matches(&mut mac.mac);
                } else {
                    self.refuse(mac, "a macro other than `matches!`");
                }
            }
            Expr::Try(_) => self.refuse(expr, "`?`"),
            Expr::Return(_) => self.refuse(expr, "`return`"),
            Expr::Continue(_) => self.refuse(expr, "`continue`"),
            Expr::Break(brk) if brk.label.is_none() => self.refuse(expr, "`break`"),
            Expr::Await(_) => self.refuse(expr, "`.await`"),
            Expr::Async(_) => self.refuse(expr, "`async`"),
            Expr::Unsafe(_) => self.refuse(expr, "`unsafe`"),
            Expr::Assign(_) => self.refuse(expr, "an assignment"),
            Expr::Binary(binary) if is_assignment(binary.op) => self.refuse(expr, "an assignment"),
            Expr::While(_) | Expr::Loop(_) | Expr::ForLoop(_) => self.refuse(expr, "a loop"),
            _ => visit_mut::visit_expr_mut(self, expr),
        }
    }

    fn visit_arm_mut(&mut self, arm: &mut syn::Arm) {
        self.scoped(|this| {
            this.bind(&arm.pat);
            visit_mut::visit_arm_mut(this, arm);
        });
    }

    fn visit_block_mut(&mut self, block: &mut syn::Block) {
        self.scoped(|this| visit_mut::visit_block_mut(this, block));
    }

    fn visit_local_mut(&mut self, local: &mut syn::Local) {
        if let Some(init) = &mut local.init {
            self.visit_expr_mut(&mut init.expr);
            if let Some((_, diverge)) = &mut init.diverge {
                self.visit_expr_mut(diverge);
            }
        }
        self.bind(&local.pat);
    }

    fn visit_item_mut(&mut self, item: &mut syn::Item) {
        self.refuse(item, "an item");
    }

    fn visit_stmt_macro_mut(&mut self, stmt: &mut syn::StmtMacro) {
        if stmt.mac.path.is_ident("matches") {
            self.matches(&mut stmt.mac);
        } else {
            self.refuse(stmt, "a macro other than `matches!`");
        }
    }

    // Patterns and types hold constants and lengths, no fields; but an arm's guard is part of its pattern.
    fn visit_pat_mut(&mut self, pat: &mut Pat) {
        if let Pat::Guard(guarded) = pat {
            self.visit_expr_mut(&mut guarded.guard);
        }
    }
    fn visit_type_mut(&mut self, _: &mut syn::Type) {}
}

fn is_assignment(op: syn::BinOp) -> bool {
    use syn::BinOp;
    matches!(
        op,
        BinOp::AddAssign(_)
            | BinOp::SubAssign(_)
            | BinOp::MulAssign(_)
            | BinOp::DivAssign(_)
            | BinOp::RemAssign(_)
            | BinOp::BitXorAssign(_)
            | BinOp::BitAndAssign(_)
            | BinOp::BitOrAssign(_)
            | BinOp::ShlAssign(_)
            | BinOp::ShrAssign(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(expr: &str) -> (String, Vec<String>) {
        let mut errors = Errors::default();
        let resolved = resolve(&syn::parse_str(expr).unwrap(), &Names::Event(&[]), &mut errors);
        assert!(errors.is_empty(), "{}", errors.into_tokens());
        (resolved.tokens.to_string(), resolved.uses.into_iter().collect())
    }

    #[track_caller]
    fn reads(expr: &str, fields: &[&str]) {
        assert_eq!(event(expr).1, fields, "{expr}");
    }

    #[test]
    fn lower_case_names_are_fields() {
        assert_eq!(event("qty as i64").0, "__event . qty as i64");
        reads("price * qty - DISCOUNT", &["price", "qty"]);
        reads("convert(at) / self::day", &["at"]);
        reads("status == Status::Paid || note.is_none()", &["note", "status"]);
        assert_eq!(event("S { qty, other: 1 }").0, "S { qty : __event . qty , other : 1 }");
    }

    #[test]
    fn what_the_user_binds_is_not_a_field() {
        reads("match note { Some(text) if text.len() > min => text, other => other }", &["min", "note"]);
        reads("{ let twice = qty * 2; twice + qty }", &["qty"]);
        reads("{ let qty = qty * 2; qty }", &["qty"]);
        reads("tags.iter().map(|tag| tag.len() + base).sum::<usize>()", &["base", "tags"]);
        reads("if let Some(text) = note { text } else { text }", &["note", "text"]);
        reads("matches!(note, Some(n) if n > least)", &["least", "note"]);
    }

    #[test]
    fn what_each_and_join_bind_is_not_a_field() {
        let bound = ["line".to_owned()];
        let mut errors = Errors::default();
        let expr = syn::parse_str("line.qty * qty + { let line = 1; line }").unwrap();
        let resolved = resolve(&expr, &Names::Event(&bound), &mut errors);
        assert!(errors.is_empty());
        assert_eq!(resolved.uses.into_iter().collect::<Vec<_>>(), ["qty"]);
        assert_eq!(resolved.tokens.to_string(), "line . qty * __event . qty + { let line = 1 ; line }");
    }

    #[test]
    fn meta_is_not_a_field() {
        assert_eq!(event("meta.position").0, "(* __meta) . position");
        reads("meta.position", &[]);
    }

    #[test]
    fn what_leaves_the_expression_is_refused() {
        for expr in [
            "f(x)?",
            "return x",
            "x.await",
            "{ x = 1; 2 }",
            "x += 1",
            "format!(\"{}\", x)",
            "loop {}",
            "{ fn f() {} 1 }",
        ] {
            let mut errors = Errors::default();
            resolve(&syn::parse_str(expr).unwrap(), &Names::Event(&[]), &mut errors);
            assert!(!errors.is_empty(), "{expr}");
        }
    }

    #[test]
    fn layout_does_not_change_the_canonical_form() {
        let canonical = |text: &str| canonical(&syn::parse_str::<Expr>(text).unwrap());
        assert_eq!(canonical("a+b * f( c )"), canonical("a + b\n * f(c)"));
        assert_ne!(canonical("a + b"), canonical("a - b"));
    }
}
