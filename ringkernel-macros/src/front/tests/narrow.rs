//! `usize` where a device's is 32 bits wide: the same answer or a fault, never another answer.

use super::harness::{actor, kernel, program};
use crate::front::Options;
use crate::ir::Scalar;
use crate::ir_interp::{End, Machine};
use ringkernel_backends::abi::FaultKind;

actor! {
    indices: 150 rounds;
    types {
        struct Actor { n: u64 }
        struct In { a: u64, b: u32, c: i32, d: f32, s: u8 }
    }
    handlers {
        add(In) -> u64; subtract(In) -> u64; multiply(In) -> u64; divide(In) -> u64; left(In) -> u64; right(In) -> u64; signed(In) -> i64; mixed(In) -> u64;
        from_float(In) -> u64; from_signed(In) -> u64; signed_shift(In) -> i64; signed_negate(In) -> i64; wide(In) -> u64; inverted(In) -> u64; wide_const(In) -> u64;
        methods(In) -> u64; signed_from_float(In) -> i64; signed_divide(In) -> i64; arrays(In) -> u64;
    }
    code {
        impl Actor {
            fn add(&mut self, _c: &mut RingContext, m: In) -> u64 { (m.b as usize + m.a as usize) as u64 }
            fn subtract(&mut self, _c: &mut RingContext, m: In) -> u64 { let x = m.b as usize - m.s as usize; x as u64 }
            fn multiply(&mut self, _c: &mut RingContext, m: In) -> u64 { let mut x = m.b as usize; x *= m.s as usize; x as u64 }
            fn divide(&mut self, _c: &mut RingContext, m: In) -> u64 { (m.b as usize / m.s as usize + m.b as usize % m.s as usize) as u64 }
            fn left(&mut self, _c: &mut RingContext, m: In) -> u64 { ((m.b as usize) << m.s) as u64 }
            fn right(&mut self, _c: &mut RingContext, m: In) -> u64 { ((m.b as usize) >> m.s) as u64 }
            fn signed(&mut self, _c: &mut RingContext, m: In) -> i64 { (m.c as isize * 2 - m.s as isize + m.b as isize) as i64 }
            fn mixed(&mut self, _c: &mut RingContext, m: In) -> u64 { (m.c as isize as usize & m.b as usize | 3) as u64 }
            fn from_float(&mut self, _c: &mut RingContext, m: In) -> u64 { m.d as usize as u64 + m.d as f64 as usize as u64 }
            fn signed_from_float(&mut self, _c: &mut RingContext, m: In) -> i64 { (m.d as isize as i64).wrapping_add(m.d as f64 as isize as i64) }
            fn from_signed(&mut self, _c: &mut RingContext, m: In) -> u64 { m.c as usize as u64 ^ m.c as i8 as usize as u64 }
            fn signed_shift(&mut self, _c: &mut RingContext, m: In) -> i64 { ((m.c as isize) << (m.s % 70)) as i64 ^ ((m.c as isize) >> m.s) as i64 }
            fn signed_negate(&mut self, _c: &mut RingContext, m: In) -> i64 { -(m.c as isize) as i64 }
            fn signed_divide(&mut self, _c: &mut RingContext, m: In) -> i64 { (m.c as isize / (m.s as i8 as isize)) as i64 ^ (m.c as isize % (m.s as i8 as isize)) as i64 }
            fn wide(&mut self, _c: &mut RingContext, m: In) -> u64 { (m.b as usize).rotate_left(m.s as u32).wrapping_sub(m.a as usize) as u64 }
            fn inverted(&mut self, _c: &mut RingContext, m: In) -> u64 { !(m.a as usize) as u64 }
            fn wide_const(&mut self, _c: &mut RingContext, m: In) -> u64 { if m.a as usize > usize::MAX / 2 { 1 } else { (m.a as usize).leading_zeros() as u64 } }
            fn methods(&mut self, _c: &mut RingContext, m: In) -> u64 {
                let (a, b) = (m.b as usize, m.s as usize);
                (a.min(b) + a.max(b) / 2 + a.abs_diff(b) + a.saturating_sub(b) + a.div_ceil(b) + a.clamp(3, 9)) as u64 + a.count_ones() as u64
            }
            fn arrays(&mut self, _c: &mut RingContext, m: In) -> u64 {
                let mut table = [0usize; 10];
                for i in 0..10 { table[i] = i * m.s as usize; }
                let t = (table[m.b as usize % 10], 3isize);
                table[t.0 % 10] as u64 + t.1 as u64
            }
        }
    }
}

const ACTOR: &str = "struct Actor { n: u64 } struct In { a: u64, b: u32 }";

/// How the handler with that body ends, for `a` and `b`.
fn run(body: &str, checked: bool, a: u64, b: u32) -> (End, u64) {
    let code = format!("impl Actor {{ fn go(&mut self, _c: &mut RingContext, m: In) -> u64 {{ {body} }} }}");
    let kernel = kernel(&program(ACTOR, &code), Options { checked, usize_is_32: true });
    let mut message = a.to_le_bytes().to_vec();
    message.extend(b.to_le_bytes());
    message.extend([0; 4]);
    let mut machine = Machine::new(&kernel.handlers[0].body, &[0; 8], &message);
    let end = machine.run();
    (end, u64::from_le_bytes(machine.reply[..8].try_into().unwrap()))
}

#[test]
fn a_usize_that_needs_more_than_32_bits_is_a_fault_in_both_profiles() {
    for checked in [true, false] {
        for (body, a, b) in [
            ("m.a as usize as u64", 1 << 32, 0),
            ("(m.b as usize + 1) as u64", 0, u32::MAX),
            ("(m.b as usize * 2) as u64", 0, 1 << 31),
            ("((m.b as usize) << 1) as u64", 0, 1 << 31),
            ("((m.b as usize) << 40) as u64", 0, 1),
            ("(m.b as i32 as usize) as u64", 0, u32::MAX),
            ("(m.b as isize) as u64", 0, 1 << 31),
        ] {
            let (end, _) = run(body, checked, a, b);
            assert!(matches!(end, End::Fault(FaultKind::UsizeTooNarrow, _)), "{body}: {end:?}");
        }
    }
}

#[test]
fn below_zero_is_an_overflow_where_overflow_is_checked_and_too_narrow_elsewhere() {
    let body = "(m.b as usize - 1) as u64";
    assert!(matches!(run(body, true, 0, 0).0, End::Fault(FaultKind::Overflow, _)));
    assert!(matches!(run(body, false, 0, 0).0, End::Fault(FaultKind::UsizeTooNarrow, _)));
    assert_eq!(run(body, true, 0, 5), (End::Finished, 4));
}

#[test]
fn a_handler_with_a_constant_beyond_32_bits_keeps_all_64() {
    let index = |body: &str| {
        let code =
            format!("impl Actor {{ fn go(&mut self, _c: &mut RingContext, m: In) -> u64 {{ {body} }} }}");
        kernel(&program(ACTOR, &code), Options { checked: true, usize_is_32: true }).handlers[0].body.index
    };
    assert_eq!(index("(m.b as usize % 7) as u64"), Scalar::U32);
    assert_eq!(index("(m.a as usize & usize::MAX) as u64"), Scalar::U64);
    assert_eq!(index("const BIG: usize = 1 << 40; BIG as u64"), Scalar::U64);
    assert_eq!(index("let big: usize = 5_000_000_000; big as u64"), Scalar::U64);
    assert_eq!(index("!(m.b as usize) as u64"), Scalar::U64);
    assert_eq!(
        run("let big: usize = 5_000_000_000; (big + m.b as usize) as u64", true, 0, 1).1,
        5_000_000_001
    );
}
