//! Expressions without blocks of their own.

use super::Parser;
use super::ast::{Block, Expr, ExprKind, RangeExpr, Turbofish, Unary};
use crate::front::types::Prim;
use crate::ir::{BinOp, CmpOp};
use proc_macro2::Span;
use syn::spanned::Spanned;

impl Parser {
    /// An expression.
    pub(crate) fn expr(&mut self, expr: &syn::Expr) -> Expr {
        let span = expr.span();
        let kind = match expr {
            // The span of `(a + b)` is its parenthesis, as for rustc.
            syn::Expr::Paren(inner) => return Expr { span, ..self.expr(&inner.expr) },
            syn::Expr::Group(inner) => return self.expr(&inner.expr),
            syn::Expr::Lit(lit) => self.literal(&lit.lit),
            syn::Expr::Path(path) => match &path.qself {
                None => ExprKind::Path(self.path(&path.path)),
                Some(qself) => self.qualified(qself, &path.path, span),
            },
            syn::Expr::Field(field) => {
                let base = Box::new(self.expr(&field.base));
                ExprKind::Field(base, self.member(&field.member))
            }
            syn::Expr::Index(index) => {
                ExprKind::Index(Box::new(self.expr(&index.expr)), Box::new(self.expr(&index.index)))
            }
            syn::Expr::Unary(unary) => {
                let op = match unary.op {
                    syn::UnOp::Neg(_) => Unary::Neg,
                    syn::UnOp::Not(_) => Unary::Not,
                    _ => Unary::Deref,
                };
                ExprKind::Unary(op, Box::new(self.expr(&unary.expr)))
            }
            syn::Expr::Reference(reference) => {
                ExprKind::Ref(reference.mutability.is_some(), Box::new(self.expr(&reference.expr)))
            }
            syn::Expr::Binary(binary) => self.binary(binary),
            syn::Expr::Assign(assign) => {
                ExprKind::Assign(Box::new(self.expr(&assign.left)), Box::new(self.expr(&assign.right)))
            }
            syn::Expr::Infer(_) => ExprKind::Underscore,
            syn::Expr::Cast(cast) => ExprKind::Cast(Box::new(self.expr(&cast.expr)), self.ty(&cast.ty)),
            syn::Expr::Call(call) => self.call(call),
            syn::Expr::MethodCall(call) => self.method_call(call),
            syn::Expr::Macro(call) => {
                self.attributes(&call.attrs);
                return self.macro_call(&call.mac, span);
            }
            syn::Expr::Array(array) => ExprKind::Array(self.exprs(array.elems.iter())),
            syn::Expr::Repeat(repeat) => {
                ExprKind::Repeat(Box::new(self.expr(&repeat.expr)), Box::new(self.expr(&repeat.len)))
            }
            syn::Expr::Tuple(tuple) => ExprKind::Tuple(self.exprs(tuple.elems.iter())),
            syn::Expr::Struct(literal) => ExprKind::Struct {
                path: self.path(&literal.path),
                fields: literal.fields.iter().map(|f| (self.member(&f.member), self.expr(&f.expr))).collect(),
                base: literal.rest.as_ref().map(|base| Box::new(self.expr(base))),
            },
            other => match self.control(other, span) {
                Some(kind) => kind,
                None => self.unknown(other, span),
            },
        };
        Expr { span, kind }
    }

    pub(super) fn exprs<'e>(&mut self, exprs: impl Iterator<Item = &'e syn::Expr>) -> Vec<Expr> {
        exprs.map(|expr| self.expr(expr)).collect()
    }

    fn unknown(&mut self, expr: &syn::Expr, span: Span) -> ExprKind {
        let (what, instead) = match expr {
            syn::Expr::Closure(_) => {
                ("a closure", "write its body where it is used, or make it a `#[device_fn]`")
            }
            syn::Expr::Try(_) => ("`?`", "test the value and `return` early"),
            syn::Expr::Unsafe(_) => ("`unsafe`", "write it in safe code"),
            syn::Expr::Async(_) | syn::Expr::Await(_) => {
                ("`async` code", "a handler runs to its end: call plain functions")
            }
            syn::Expr::Range(_) => ("a range as a value", "write it in the `for`: `for i in a..b`"),
            syn::Expr::Const(_) => ("a `const` block", "name the constant: `const N: u32 = …;`"),
            syn::Expr::Let(_) => ("`let` inside a condition", "nest `if let`, or `match` on a tuple"),
            syn::Expr::RawAddr(_) => ("a raw pointer", "use a reference, or an index"),
            _ => ("this expression", "write it with arithmetic, `if`, `match` and loops"),
        };
        self.unsupported(span, what, instead);
        ExprKind::Error
    }

    fn literal(&mut self, lit: &syn::Lit) -> ExprKind {
        let span = lit.span();
        let (what, instead) = match lit {
            syn::Lit::Int(lit) => {
                let suffix = match lit.suffix() {
                    "" => None,
                    suffix => match Prim::from_name(suffix) {
                        Some(prim) if prim.is_float() => {
                            return ExprKind::Float(lit.base10_digits().to_owned(), Some(prim));
                        }
                        Some(prim) => Some(prim),
                        None => {
                            self.unsupported(span, "a 128-bit integer", "use `i64` or `u64`, or two of them");
                            return ExprKind::Error;
                        }
                    },
                };
                // A negative literal comes from a pattern; elsewhere `-` is an operator.
                let digits = lit.base10_digits();
                let (negative, digits) =
                    digits.strip_prefix('-').map_or((false, digits), |rest| (true, rest));
                let Ok(value) = digits.parse() else {
                    self.error(span, "this integer is beyond 128 bits");
                    return ExprKind::Error;
                };
                return signed(negative, span, ExprKind::Int(value, suffix));
            }
            syn::Lit::Float(lit) => {
                let suffix = if lit.suffix().is_empty() { None } else { Prim::from_name(lit.suffix()) };
                let digits = lit.base10_digits();
                let (negative, digits) =
                    digits.strip_prefix('-').map_or((false, digits), |rest| (true, rest));
                return signed(negative, span, ExprKind::Float(digits.to_owned(), suffix));
            }
            syn::Lit::Bool(lit) => return ExprKind::Bool(lit.value),
            syn::Lit::Byte(lit) => {
                return ExprKind::Int(lit.value() as u128, Some(Prim::Scalar(crate::ir::Scalar::U8)));
            }
            syn::Lit::Char(_) => ("`char`", "use a byte, `b'x'`, or a `u32`"),
            syn::Lit::Str(_) | syn::Lit::CStr(_) => ("a string", "use numbers, or `[u8; N]`"),
            syn::Lit::ByteStr(_) => ("a byte string", "write an array: `[b'x', …]`"),
            _ => ("this literal", "use integers, floats and `bool`"),
        };
        self.unsupported(span, what, instead);
        ExprKind::Error
    }

    /// `<u32>::MAX`; anything else in angle brackets names a trait.
    fn qualified(&mut self, qself: &syn::QSelf, path: &syn::Path, span: Span) -> ExprKind {
        if let syn::Type::Path(ty) = &*qself.ty
            && qself.as_token.is_none()
            && let Some(name) = ty.path.get_ident()
        {
            let mut path = self.path(path);
            path.segments.insert(0, name.to_string());
            path.text = path.segments.join("::");
            path.span = span;
            return ExprKind::Path(path);
        }
        self.unsupported(span, "a trait", "call the function or method itself");
        ExprKind::Error
    }

    fn binary(&mut self, binary: &syn::ExprBinary) -> ExprKind {
        let left = Box::new(self.expr(&binary.left));
        let right = Box::new(self.expr(&binary.right));
        use syn::BinOp as S;
        let op = match binary.op {
            S::And(_) => return ExprKind::And(left, right),
            S::Or(_) => return ExprKind::Or(left, right),
            S::Eq(_) => return ExprKind::Compare(CmpOp::Eq, left, right),
            S::Ne(_) => return ExprKind::Compare(CmpOp::Ne, left, right),
            S::Lt(_) => return ExprKind::Compare(CmpOp::Lt, left, right),
            S::Le(_) => return ExprKind::Compare(CmpOp::Le, left, right),
            S::Gt(_) => return ExprKind::Compare(CmpOp::Gt, left, right),
            S::Ge(_) => return ExprKind::Compare(CmpOp::Ge, left, right),
            S::Add(_) | S::AddAssign(_) => BinOp::Add,
            S::Sub(_) | S::SubAssign(_) => BinOp::Sub,
            S::Mul(_) | S::MulAssign(_) => BinOp::Mul,
            S::Div(_) | S::DivAssign(_) => BinOp::Div,
            S::Rem(_) | S::RemAssign(_) => BinOp::Rem,
            S::BitAnd(_) | S::BitAndAssign(_) => BinOp::And,
            S::BitOr(_) | S::BitOrAssign(_) => BinOp::Or,
            S::BitXor(_) | S::BitXorAssign(_) => BinOp::Xor,
            S::Shl(_) | S::ShlAssign(_) => BinOp::Shl,
            S::Shr(_) | S::ShrAssign(_) => BinOp::Shr,
            _ => {
                self.unsupported(binary.op.span(), "this operator", "write it with others");
                return ExprKind::Error;
            }
        };
        let assigns = matches!(
            binary.op,
            S::AddAssign(_)
                | S::SubAssign(_)
                | S::MulAssign(_)
                | S::DivAssign(_)
                | S::RemAssign(_)
                | S::BitAndAssign(_)
                | S::BitOrAssign(_)
                | S::BitXorAssign(_)
                | S::ShlAssign(_)
                | S::ShrAssign(_)
        );
        if assigns { ExprKind::AssignOp(op, left, right) } else { ExprKind::Binary(op, left, right) }
    }

    fn call(&mut self, call: &syn::ExprCall) -> ExprKind {
        let args = self.exprs(call.args.iter());
        let mut func = &*call.func;
        while let syn::Expr::Paren(syn::ExprParen { expr, .. })
        | syn::Expr::Group(syn::ExprGroup { expr, .. }) = func
        {
            func = expr;
        }
        let path = match func {
            syn::Expr::Path(path) => match &path.qself {
                None => self.path(&path.path),
                Some(qself) => match self.qualified(qself, &path.path, path.span()) {
                    ExprKind::Path(path) => path,
                    _ => return ExprKind::Error,
                },
            },
            other => {
                self.unsupported(other.span(), "a call of a value", "call a `#[device_fn]` by its name");
                return ExprKind::Error;
            }
        };
        let (what, instead) = match path.last() {
            "Some" | "Ok" | "Err" => ("an enum", "use a `bool` beside the value, or a value that means none"),
            _ => return ExprKind::Call(path, args),
        };
        self.unsupported(path.span, what, instead);
        ExprKind::Error
    }

    fn method_call(&mut self, call: &syn::ExprMethodCall) -> ExprKind {
        let name = super::ast::Member { span: call.method.span(), name: call.method.to_string() };
        let mut inner = &*call.receiver;
        while let syn::Expr::Paren(syn::ExprParen { expr, .. })
        | syn::Expr::Group(syn::ExprGroup { expr, .. }) = inner
        {
            inner = expr;
        }
        if let syn::Expr::Range(range) = inner {
            if name.name == "contains" && call.args.len() == 1 {
                let range = Box::new(RangeExpr {
                    low: range.start.as_ref().map(|e| self.expr(e)),
                    high: range.end.as_ref().map(|e| self.expr(e)),
                    inclusive: matches!(range.limits, syn::RangeLimits::Closed(_)),
                });
                return ExprKind::RangeContains { range, item: Box::new(self.expr(&call.args[0])) };
            }
            let what = format!("`.{}()` on a range", name.name);
            self.unsupported(name.span, &what, "write a `for` loop over the range");
            return ExprKind::Error;
        }
        let receiver = Box::new(self.expr(&call.receiver));
        let turbofish = call.turbofish.as_ref().and_then(|generics| self.turbofish(generics, &name.name));
        let takes_text = NAMES_SOMEONE.contains(&name.name.as_str());
        let args = call.args.iter().map(|arg| match arg {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) if takes_text => {
                Expr { span: text.span(), kind: ExprKind::Text(text.value()) }
            }
            arg => self.expr(arg),
        });
        let args = args.collect();
        ExprKind::Method { receiver, name, turbofish, args }
    }

    /// The type that a context's method is given. Whether the receiver is a context is not known yet.
    fn turbofish(
        &mut self,
        generics: &syn::AngleBracketedGenericArguments,
        method: &str,
    ) -> Option<Box<Turbofish>> {
        let span = generics.span();
        let mut arguments = generics.args.iter();
        match (method, arguments.next(), arguments.next()) {
            ("send" | "forward", Some(syn::GenericArgument::Type(written)), None) => {
                Some(Box::new(Turbofish { span: written.span(), written: written.clone(), ty: None }))
            }
            ("try_receive_from_kernel", Some(syn::GenericArgument::Type(written)), None) => {
                let ty = Some(self.ty(written));
                Some(Box::new(Turbofish { span: written.span(), written: written.clone(), ty }))
            }
            _ => {
                self.unsupported(span, "a generic argument", "use a method without generics");
                None
            }
        }
    }
}

/// Methods of a context whose first argument names a kernel or a topic.
pub(crate) const NAMES_SOMEONE: [&str; 5] =
    ["send_to_kernel", "send_to_instance", "publish", "publish_retained", "try_receive_from_kernel"];

fn signed(negative: bool, span: Span, kind: ExprKind) -> ExprKind {
    if negative { ExprKind::Unary(Unary::Neg, Box::new(Expr { span, kind })) } else { kind }
}

/// A block that is just an expression.
pub(super) fn block_of(expr: Expr, source: super::ast::Source) -> Block {
    Block { stmts: Vec::new(), tail: Some((Box::new(expr), source)) }
}
