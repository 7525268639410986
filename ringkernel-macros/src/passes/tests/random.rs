//! Random handlers: every statement and most expressions, with loops that end.

use crate::emit::testing::{Build, SCALARS, constant, every_expr, place};
use crate::ir::*;
use ringkernel_backends::abi::FaultKind;

/// xorshift64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() >> 16) as usize % n
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

struct Generator<'a> {
    b: Build,
    random: &'a mut Random,
    /// Values at hand.
    scope: Vec<(Scalar, Operand)>,
    vars: Vec<(Scalar, Var)>,
    /// What can be left or continued.
    labels: Vec<(Label, bool)>,
    locals: [Root; 2],
    /// What messages leave from and arrive in: a `u64` and two `u32`s.
    parcel: Root,
    left: u32,
}

/// The place of a scalar of type `ty` in a root: one type a place.
fn slot(root: Root, ty: Scalar, n: usize) -> Place {
    place(root, 16 * ty as u32 + if n % 2 == 1 { 8 } else { 0 })
}

impl Generator<'_> {
    fn scalar(&mut self) -> Scalar {
        use Scalar::*;
        [Bool, I32, U32, U64, U8, I16, F32, I64][self.random.below(8)]
    }

    fn value(&mut self, ty: Scalar) -> Operand {
        let known: Vec<Operand> = self.scope.iter().filter(|(t, _)| *t == ty).map(|(_, o)| *o).collect();
        if known.is_empty() || self.random.chance(25) {
            let bits = match self.random.below(4) {
                0 => 0,
                1 => 1,
                2 => self.random.next() & 15,
                _ => self.random.next(),
            };
            let bits = if ty == Scalar::Bool { bits & 1 } else { bits & u64::MAX >> (64 - ty.bits()) };
            return constant(ty, bits);
        }
        known[self.random.below(known.len())]
    }

    fn add(&mut self, ty: Scalar, expr: Expr) -> Operand {
        let name = self.random.chance(20).then_some("named");
        let operand = self.b.named(ty, name, expr);
        self.scope.push((ty, operand));
        operand
    }

    fn expression(&mut self) {
        let ty = self.scalar();
        let amount = self.value(Scalar::U32);
        let mask = constant(Scalar::U32, ty.bits() as u64 - 1);
        let amount = self.add(Scalar::U32, Expr::Binary(BinOp::And, amount, mask));
        let mut pool: Vec<Operand> = (0..24).map(|_| self.value(ty)).collect();
        let flag = self.value(Scalar::Bool);
        let all = every_expr(
            ty,
            &mut |wanted| {
                pool.rotate_left(1);
                if wanted == ty { pool[0] } else { flag }
            },
            amount,
        );
        let (to, expr) = all[self.random.below(all.len())].clone();
        let expr = match expr {
            Expr::Binary(op @ (BinOp::Div | BinOp::Rem), a, b) if ty.is_int() => {
                // A divisor between 1 and 100, or a negative one that is not -1.
                let b = if self.random.chance(50) {
                    let divisors = [1, 2, 3, 7, 8, 16, 64, 100, -8, -7, -64];
                    let value = divisors[self.random.below(if ty.is_signed() { 11 } else { 8 })];
                    Operand::Const(Const::int(ty, value))
                } else {
                    let low = self.add(ty, Expr::Binary(BinOp::And, b, constant(ty, 63)));
                    self.add(ty, Expr::Binary(BinOp::Or, low, constant(ty, 1)))
                };
                Expr::Binary(op, a, b)
            }
            expr => expr,
        };
        self.add(to, expr);
    }

    fn condition(&mut self) -> Operand {
        let ty = self.scalar();
        let op = [CmpOp::Eq, CmpOp::Ne, CmpOp::Lt, CmpOp::Le, CmpOp::Gt, CmpOp::Ge][self.random.below(6)];
        let (a, b) = (self.value(ty), self.value(ty));
        let mut c = self.add(Scalar::Bool, Expr::Compare(op, a, b));
        if self.random.chance(30) {
            c = self.add(Scalar::Bool, Expr::Unary(UnOp::Not, c));
        }
        if self.random.chance(20) { self.value(Scalar::Bool) } else { c }
    }

    fn nested(&mut self, depth: u32) -> Vec<Stmt> {
        let scope = self.scope.len();
        let held = self.b.start();
        self.statements(depth);
        let code = self.b.swap(held);
        self.scope.truncate(scope);
        code
    }

    fn statements(&mut self, depth: u32) {
        for _ in 0..2 + self.random.below(6) {
            if self.left == 0 {
                return;
            }
            self.left -= 1;
            if self.statement(depth) {
                return;
            }
        }
    }

    /// Says whether nothing may follow.
    fn statement(&mut self, depth: u32) -> bool {
        let roots = [Root::State, Root::Reply, self.locals[0], self.locals[1]];
        match self.random.below(if depth < 4 { 18 } else { 14 }) {
            0..=3 => self.expression(),
            4 => {
                let (ty, var) = self.vars[self.random.below(self.vars.len())];
                self.add(ty, Expr::Read(var));
            }
            5 => {
                let (ty, var) = self.vars[self.random.below(self.vars.len())];
                let value = self.value(ty);
                self.b.push(Stmt::Set(var, value));
            }
            6 => {
                let (ty, root) = (self.scalar(), roots[self.random.below(4)]);
                let value = self.value(ty);
                self.b.push(Stmt::Store(slot(root, ty, self.random.below(2)), value));
            }
            7 => {
                let (ty, root) = (self.scalar(), roots[self.random.below(4)]);
                let from = slot(root, ty, self.random.below(2));
                self.add(ty, Expr::Load(from));
            }
            8 => {
                let failed = self.condition();
                if self.random.chance(30) {
                    self.b.check(failed, FaultKind::Panic);
                }
            }
            9 => {
                // A checked index into the second local, which so stays in memory.
                let i = self.value(Scalar::U64);
                let i = self.add(Scalar::U64, Expr::Binary(BinOp::Rem, i, constant(Scalar::U64, 2)));
                let failed = self.add(Scalar::Bool, Expr::Compare(CmpOp::Ge, i, constant(Scalar::U64, 2)));
                self.b.check(failed, FaultKind::IndexOutOfBounds);
                let at = Place { index: vec![(i, 8)], ..slot(self.locals[1], Scalar::U32, 0) };
                self.add(Scalar::U32, Expr::Load(at));
            }
            10 => {
                if depth == 0 || !self.random.chance(40) {
                    return false;
                }
                if let Some(&(label, is_loop)) = self.labels.get(self.random.below(self.labels.len().max(1)))
                {
                    self.b.push(if is_loop && self.random.chance(50) {
                        Stmt::Continue(label)
                    } else {
                        Stmt::Break(label)
                    });
                    return true;
                }
                if self.random.chance(10) {
                    self.b.push(Stmt::Finish);
                    return true;
                }
            }
            11 => {
                let (ty, offset) =
                    [(Scalar::U64, 0), (Scalar::U32, 8), (Scalar::U32, 12)][self.random.below(3)];
                let at = place(self.parcel, offset);
                if self.random.chance(50) {
                    self.add(ty, Expr::Load(at));
                } else {
                    let value = self.value(ty);
                    self.b.push(Stmt::Store(at, value));
                }
            }
            12 => {
                let (ty, expr) = [
                    (Scalar::Bool, Expr::HasSender),
                    (Scalar::U32, Expr::SenderInstance),
                    (Scalar::U64, Expr::SentAt),
                ][self.random.below(3)]
                .clone();
                self.add(ty, expr);
            }
            13 => self.effect(),
            14 | 15 => {
                let condition = self.condition();
                let then = self.nested(depth + 1);
                let otherwise = if self.random.chance(50) { self.nested(depth + 1) } else { Vec::new() };
                self.b.push(Stmt::If { condition, then, otherwise });
            }
            16 => {
                let label = self.b.new_label();
                self.labels.push((label, false));
                let mut body = self.nested(depth + 1);
                self.labels.pop();
                if self.random.chance(40) && !crate::ir_visit::diverges(&body) {
                    body.push(Stmt::Break(label));
                }
                self.b.push(Stmt::Block { label, body });
            }
            _ => self.repeat(depth),
        }
        false
    }

    fn effect(&mut self) {
        let Root::Local(local) = self.parcel else { unreachable!("a parcel is local") };
        let payload = Payload { tag: 0x1234, local, words: self.random.below(5) as u32 };
        let (route, instance) = (RouteId(self.random.below(3) as u32), self.value(Scalar::U32));
        let (topic, retain) = (TopicId(self.random.below(3) as u32), self.random.chance(50));
        let send = |channel| Effect::Send(channel, payload);
        let (ty, effect) = match self.random.below(9) {
            0 => (Scalar::U32, send(Channel::Send { route, instance })),
            1 => (Scalar::U32, send(Channel::Forward { route, instance })),
            2 => (Scalar::U32, send(Channel::Reply)),
            3 => (Scalar::U32, send(Channel::Output)),
            4 => (Scalar::U32, send(Channel::Publish { topic, retain })),
            5 => (Scalar::U32, Effect::Receive(route, payload)),
            6 => (Scalar::U64, Effect::Clock(Clock::Now)),
            7 => (Scalar::U64, Effect::Clock(Clock::Tick)),
            _ => (Scalar::U64, Effect::Clock(Clock::Update(self.value(Scalar::U64)))),
        };
        let result = self.b.effect(ty, effect);
        // Some results are looked at, and some are not.
        if self.random.chance(70) {
            self.scope.push((ty, result));
        }
    }

    /// `for counter in 0..n`, with `n` up to 5.
    fn repeat(&mut self, depth: u32) {
        let label = self.b.new_label();
        let counter = self.b.var(Scalar::U32, "counter");
        self.b.push(Stmt::Set(counter, constant(Scalar::U32, 0)));
        let n = constant(Scalar::U32, self.random.below(6) as u64);
        let scope = self.scope.len();
        let held = self.b.start();
        let i = self.add(Scalar::U32, Expr::Read(counter));
        let go = self.add(Scalar::Bool, Expr::Compare(CmpOp::Lt, i, n));
        self.labels.push((label, true));
        let inside = self.nested(depth + 1);
        self.labels.pop();
        self.b.push(Stmt::If { condition: go, then: inside, otherwise: vec![Stmt::Break(label)] });
        let body = self.b.swap(held);
        self.scope.truncate(scope);
        let held = self.b.start();
        if self.random.chance(50) {
            self.expression();
        }
        let i = self.add(Scalar::U32, Expr::Read(counter));
        let over = self.add(Scalar::Bool, Expr::Overflows(OverflowOp::Add, i, constant(Scalar::U32, 1)));
        self.b.check(over, FaultKind::Overflow);
        let up = self.add(Scalar::U32, Expr::Binary(BinOp::Add, i, constant(Scalar::U32, 1)));
        self.b.push(Stmt::Set(counter, up));
        let step = self.b.swap(held);
        self.scope.truncate(scope);
        self.b.push(Stmt::Loop { label, body, step });
    }
}

/// A random body. It ends by showing all its variables and the locals.
pub(super) fn body(random: &mut Random) -> Body {
    let mut b = Build::new();
    let locals = [b.local(256, "pair"), b.local(256, "array")];
    let parcel = b.local(16, "parcel");
    let (scope, vars, labels) = (Vec::new(), Vec::new(), Vec::new());
    let mut g = Generator { b, random, scope, vars, labels, locals, parcel, left: 140 };
    for ty in SCALARS {
        for n in 0..2 {
            let value = g.b.reg(ty, Expr::Load(slot(Root::Message, ty, n)));
            g.scope.push((ty, value));
            // Memory is written before it is read, as the front end does.
            locals.iter().for_each(|local| g.b.push(Stmt::Store(slot(*local, ty, n), value)));
            let var = g.b.var(ty, if n == 0 { "first" } else { "second" });
            g.b.push(Stmt::Set(var, value));
            g.vars.push((ty, var));
        }
    }
    for (offset, ty) in [(0, Scalar::U64), (8, Scalar::U32), (12, Scalar::U32)] {
        let value = g.value(ty);
        g.b.push(Stmt::Store(place(parcel, offset), value));
    }
    while g.left > 0 {
        g.statements(0);
    }
    for (i, (ty, var)) in g.vars.clone().into_iter().enumerate() {
        let value = g.b.reg(ty, Expr::Read(var));
        g.b.push(Stmt::Store(slot(Root::Reply, ty, i), value));
        let value = g.b.reg(ty, Expr::Load(slot(locals[i % 2], ty, 1)));
        g.b.push(Stmt::Store(slot(Root::State, ty, 1), value));
    }
    g.b.finish()
}
