//! Before and after, by eye and by machine.

mod random;

use crate::emit::testing::{self, Build, constant, golden, place};
use crate::emit::{ptx, wgsl};
use crate::ir::*;
use crate::ir_interp::Machine;
use crate::{ir_print, ir_verify, passes};
use random::Random;
use ringkernel_backends::abi::FaultKind;

/// The text of a body before and after `pass`.
fn around(mut body: Body, pass: impl FnOnce(&mut Body)) -> String {
    let before = ir_print::body(&body);
    pass(&mut body);
    format!("before\n------\n{before}\nafter\n-----\n{}", ir_print::body(&body))
}

fn u32_(value: u64) -> Operand {
    constant(Scalar::U32, value)
}

#[test]
fn a_local_with_known_places_becomes_variables() {
    let mut b = Build::new();
    let (pair, table) = (b.local(16, "pair"), b.local(16, "table"));
    let x = b.load(Scalar::I64, Root::Message, 0);
    let i = b.load(Scalar::U64, Root::Message, 8);
    b.store(pair, 0, x);
    b.push(Stmt::Store(Place { root: pair, offset: 0, index: vec![(constant(Scalar::U64, 2), 4)] }, u32_(7)));
    b.store(table, 0, x);
    b.push(Stmt::Store(Place { root: table, offset: 0, index: vec![(i, 8)] }, x));
    let a = b.load(Scalar::I64, pair, 0);
    let c = b.load(Scalar::U32, pair, 8);
    b.store(Root::Reply, 0, a);
    b.store(Root::Reply, 8, c);
    golden("src/passes/tests/promote.txt", &around(b.finish(), passes::promote::run));
}

/// `let y = x; let z = y * 1 + (2 - 2); if !(z < 8) { panic } table[z & 3]`, an inlined function with an early return, a
/// branch that is never taken.
fn wasteful() -> Body {
    let mut b = Build::new();
    let x = b.named(Scalar::U32, Some("x"), Expr::Load(place(Root::Message, 0)));
    let y = b.named(Scalar::U32, Some("y"), Expr::Copy(x));
    let one = b.reg(Scalar::U32, Expr::Binary(BinOp::Mul, y, u32_(1)));
    let zero = b.reg(Scalar::U32, Expr::Binary(BinOp::Sub, u32_(2), u32_(2)));
    let z = b.named(Scalar::U32, Some("z"), Expr::Binary(BinOp::Add, one, zero));
    let low = b.reg(Scalar::Bool, Expr::Compare(CmpOp::Lt, z, u32_(8)));
    let high = b.reg(Scalar::Bool, Expr::Unary(UnOp::Not, low));
    b.check(high, FaultKind::Panic);
    let wide = b.reg(Scalar::U64, Expr::Cast(z));
    let out = b.reg(Scalar::Bool, Expr::Compare(CmpOp::Ge, wide, constant(Scalar::U64, 8)));
    b.check(out, FaultKind::IndexOutOfBounds);
    let cell = b.reg(Scalar::U32, Expr::Load(Place { root: Root::State, offset: 0, index: vec![(wide, 4)] }));
    let over = b.reg(Scalar::Bool, Expr::Overflows(OverflowOp::Add, z, u32_(100)));
    b.check(over, FaultKind::Overflow);
    // fn clip(v) { if v > 50 { return 50 } v }
    let (label, result) = (b.new_label(), b.var(Scalar::U32, "clip"));
    let body = b.nested(|b| {
        let above = b.reg(Scalar::Bool, Expr::Compare(CmpOp::Gt, cell, u32_(50)));
        let then = vec![Stmt::Set(result, u32_(50)), Stmt::Break(label)];
        b.push(Stmt::If { condition: above, then, otherwise: vec![] });
        b.push(Stmt::Set(result, cell));
        b.push(Stmt::Break(label));
    });
    b.push(Stmt::Block { label, body });
    let clipped = b.reg(Scalar::U32, Expr::Read(result));
    let never = b.reg(Scalar::Bool, Expr::Compare(CmpOp::Gt, z, u32_(9)));
    let then = b.nested(|b| b.store(Root::State, 0, u32_(0)));
    b.push(Stmt::If { condition: never, then, otherwise: vec![] });
    b.store(Root::Reply, 0, clipped);
    b.finish()
}

#[test]
fn copies_constants_and_decided_checks_go() {
    let text = around(wasteful(), |body| {
        passes::simplify::run(body);
        passes::dead::run(body);
    });
    golden("src/passes/tests/simplify.txt", &text);
}

#[test]
fn division_by_powers_of_two_is_shifts() {
    let mut b = Build::new();
    let (u, i) = (b.load(Scalar::U32, Root::Message, 0), b.load(Scalar::I64, Root::Message, 8));
    let mut at = 0;
    for op in [BinOp::Div, BinOp::Rem] {
        for (ty, x, divisor) in
            [(Scalar::U32, u, 8), (Scalar::I64, i, 8), (Scalar::I64, i, -4), (Scalar::U32, u, 10)]
        {
            let value = b.reg(ty, Expr::Binary(op, x, Operand::Const(Const::int(ty, divisor))));
            b.store(Root::Reply, at, value);
            at += 8;
        }
    }
    golden("src/passes/tests/strength.txt", &around(b.finish(), passes::strength::run));
}

#[test]
fn what_no_one_reads_goes() {
    let mut b = Build::new();
    let x = b.load(Scalar::U32, Root::Message, 0);
    let (kept, lost) = (b.var(Scalar::U32, "kept"), b.var(Scalar::U32, "lost"));
    let y = b.reg(Scalar::U32, Expr::Binary(BinOp::Add, x, x));
    b.push(Stmt::Set(lost, y));
    b.push(Stmt::Set(kept, x));
    let out = b.reg(Scalar::U32, Expr::Read(kept));
    b.store(Root::Reply, 0, out);
    golden("src/passes/tests/dead.txt", &around(b.finish(), passes::dead::run));
}

/// A kernel of one body, after all passes.
fn passed(body: Body) -> Kernel {
    let mut kernel = testing::kernel(vec![("random", body)]);
    passes::run(&mut kernel);
    kernel
}

#[test]
fn random_handlers_do_the_same_before_and_after() {
    let mut random = Random(0x1234_5678_9abc_def1);
    let mut ends = std::collections::BTreeMap::new();
    let mut deeds = 0;
    for round in 0..500 {
        let before = random::body(&mut random);
        let kernel = passed(before.clone());
        let after = &kernel.handlers[0].body;
        assert_eq!(ir_verify::verify(after), Vec::<String>::new(), "{}", ir_print::body(after));
        for _ in 0..3 {
            let mut bytes = || {
                let mut bytes: Vec<u8> =
                    (0..256).map(|_| if random.chance(50) { 0 } else { random.next() as u8 }).collect();
                // The places of `bool`s.
                bytes[0] &= 1;
                bytes[8] &= 1;
                bytes
            };
            let (state, message) = (bytes(), bytes());
            let mut one = Machine::new(&before, &state, &message);
            let mut two = Machine::new(after, &state, &message);
            let (a, b) = (one.run(), two.run());
            *ends.entry(format!("{a:?}")).or_insert(0) += 1;
            deeds += one.world.deeds.len();
            let same = a == b && one.state == two.state && one.reply == two.reply && one.world == two.world;
            assert!(
                same,
                "round {round}: {a:?} and {b:?}\n{}\n---- after\n{}",
                ir_print::body(&before),
                ir_print::body(after)
            );
        }
    }
    assert!(ends.len() >= 2 && ends.values().all(|n| *n > 100), "too little variety: {ends:?}");
    assert!(deeds > 1000, "too little is done: {deeds}");
}

#[test]
fn random_handlers_assemble_and_validate_before_and_after() {
    let ptxas = testing::ptxas("random_handlers_assemble_and_validate_before_and_after");
    let mut random = Random(0xfeed_beef_dead_5eed);
    for round in 0..30 {
        let before = random::body(&mut random);
        for kernel in [testing::kernel(vec![("random", before.clone())]), passed(before)] {
            testing::validate(&wgsl::emit(&kernel));
            if let (Some(ptxas), 0) = (&ptxas, round % 10) {
                testing::assemble(ptxas, "random", &ptx::emit(&kernel));
            }
        }
    }
}
