//! Patterns.

use super::Parser;
use super::ast::{Expr, ExprKind, Member, Pat, PatKind};
use syn::spanned::Spanned;

impl Parser {
    /// A pattern of a `let`, a parameter or a match arm.
    pub(crate) fn pat(&mut self, pat: &syn::Pat) -> Pat {
        let span = pat.span();
        let kind = match pat {
            syn::Pat::Wild(_) => PatKind::Wild,
            syn::Pat::Ident(ident) => PatKind::Ident {
                name: ident.ident.to_string(),
                mutable: ident.mutability.is_some(),
                by_ref: ident.by_ref.is_some(),
                sub: ident.subpat.as_ref().map(|(_, sub)| Box::new(self.pat(sub))),
            },
            syn::Pat::Tuple(tuple) => {
                let (elements, rest) = self.elements(&tuple.elems);
                PatKind::Tuple(elements, rest)
            }
            syn::Pat::Slice(slice) => {
                let (elements, rest) = self.elements(&slice.elems);
                PatKind::Array(elements, rest)
            }
            syn::Pat::TupleStruct(tuple) => {
                let (elements, rest) = self.elements(&tuple.elems);
                PatKind::TupleStruct { path: self.path(&tuple.path), elements, rest }
            }
            syn::Pat::Struct(pat) => {
                let fields = pat.fields.iter().map(|f| (self.member(&f.member), self.pat(&f.pat))).collect();
                PatKind::Struct { path: self.path(&pat.path), fields }
            }
            syn::Pat::Lit(_) | syn::Pat::Path(_) | syn::Pat::Const(_) => {
                PatKind::Value(Box::new(self.pat_value(pat)))
            }
            syn::Pat::Range(range) => PatKind::Range {
                low: range.start.as_ref().map(|e| Box::new(self.expr(e))),
                high: range.end.as_ref().map(|e| Box::new(self.expr(e))),
                inclusive: matches!(range.limits, syn::RangeLimits::Closed(_)),
            },
            syn::Pat::Or(or) => PatKind::Or(or.cases.iter().map(|case| self.pat(case)).collect()),
            syn::Pat::Paren(inner) => return self.pat(&inner.pat),
            syn::Pat::Reference(reference) => PatKind::Ref(Box::new(self.pat(&reference.pat))),
            syn::Pat::Type(typed) => return self.pat(&typed.pat),
            syn::Pat::Rest(_) => {
                self.error(span, "`..` stands inside a tuple, struct or array pattern");
                PatKind::Error
            }
            _ => {
                self.unsupported(
                    span,
                    "this pattern",
                    "use literals, ranges, `|`, `_`, names, constants, and tuples and structs of those",
                );
                PatKind::Error
            }
        };
        Pat { span, kind }
    }

    fn pat_value(&mut self, pat: &syn::Pat) -> Expr {
        let span = pat.span();
        let kind = match pat {
            syn::Pat::Lit(lit) => return self.expr(&syn::Expr::Lit(lit.clone())),
            syn::Pat::Path(path) if path.qself.is_none() => ExprKind::Path(self.path(&path.path)),
            _ => {
                self.unsupported(span, "this pattern", "name a constant");
                ExprKind::Error
            }
        };
        Expr { span, kind }
    }

    /// Elements of a tuple or array pattern, and where `..` stands.
    fn elements<P>(&mut self, pats: &syn::punctuated::Punctuated<syn::Pat, P>) -> (Vec<Pat>, Option<usize>) {
        let mut elements = Vec::new();
        let mut rest = None;
        for pat in pats {
            if matches!(pat, syn::Pat::Rest(_)) {
                rest = Some(elements.len());
            } else {
                elements.push(self.pat(pat));
            }
        }
        (elements, rest)
    }

    pub(super) fn member(&mut self, member: &syn::Member) -> Member {
        match member {
            syn::Member::Named(name) => Member { span: name.span(), name: name.to_string() },
            syn::Member::Unnamed(index) => Member { span: index.span, name: index.index.to_string() },
        }
    }
}
