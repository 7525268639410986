//! Scalars: operators, casts, methods.

use super::harness::actor;

actor! {
    operators: 250 rounds;
    types {
        struct Counter { total: i64, small: i8, count: u32, ratio: f32, on: bool }
        struct Pair { a: i32, b: i32 }
        struct Bytes { a: u8, b: u8, n: u32 }
        struct Floats { a: f32, b: f32, c: f64 }
        struct Sums { sum: i32, difference: i32, product: i32 }
        struct Out { a: u8, b: u8, c: u8, d: u8, e: bool }
    }
    handlers {
        arithmetic(Pair) -> Sums;
        division(Pair) -> Pair;
        bits(Bytes) -> Out;
        shifts(Bytes) -> Out;
        floats(Floats) -> Floats;
        compare(Floats) -> u32;
        negate(i64) -> i64;
        accumulate(i8) -> i64;
        logic(Pair) -> bool;
        nothing(u8) -> ();
    }
    code {
        impl Counter {
            fn arithmetic(&mut self, _ctx: &mut RingContext, msg: Pair) -> Sums {
                Sums { sum: msg.a + msg.b, difference: msg.a - msg.b, product: msg.a * msg.b }
            }
            fn division(&mut self, _ctx: &mut RingContext, msg: Pair) -> Pair {
                self.count += 1;
                let a = msg.a / msg.b;
                Pair { a, b: msg.a % msg.b }
            }
            fn bits(&mut self, _ctx: &mut RingContext, Bytes { a, b, .. }: Bytes) -> Out {
                Out { a: a & b, b: a | b, c: a ^ b, d: !a, e: (a < b) ^ (a == b) }
            }
            fn shifts(&mut self, _ctx: &mut RingContext, msg: Bytes) -> Out {
                let n = msg.n % 9;
                Out { a: msg.a << n, b: msg.b >> n, c: msg.a >> 3u8, d: msg.b << 2i64, e: (self.total >> (msg.b as i16)) > 0 }
            }
            fn floats(&mut self, _ctx: &mut RingContext, msg: Floats) -> Floats {
                self.ratio = msg.a / msg.b;
                Floats { a: msg.a + msg.b * 2.0, b: -(msg.a - msg.b) % 3.5, c: msg.c * 0.1 - 1e300 }
            }
            fn compare(&mut self, _ctx: &mut RingContext, msg: Floats) -> u32 {
                let mut out = 0;
                if msg.a < msg.b { out |= 1 }
                if msg.a <= msg.b { out |= 2 }
                if msg.a > msg.b { out |= 4; }
                if msg.a >= msg.b { out |= 8; }
                if msg.a == msg.b { out |= 16; }
                if msg.a != msg.b { out |= 32; }
                out
            }
            fn negate(&mut self, _ctx: &mut RingContext, msg: i64) -> i64 {
                self.small = -self.small;
                -msg
            }
            fn accumulate(&mut self, ctx: &mut RingContext, msg: i8) -> i64 {
                self.total += msg as i64;
                self.small ^= msg;
                self.count += ctx.instance();
                self.count <<= 1;
                self.ratio *= 0.5;
                self.on |= msg > 3;
                self.total
            }
            fn logic(&mut self, _ctx: &mut RingContext, msg: Pair) -> bool {
                (msg.b != 0 && msg.a / msg.b > 1) || (msg.a > 0 && !self.on) && self.small != 0
            }
            fn nothing(&mut self, _ctx: &mut RingContext, _msg: u8) {
                self.count = self.count.wrapping_add(1);
            }
        }
    }
}
