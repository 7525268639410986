//! What people also write: unusual but ordinary Rust.

use super::harness::{actor, kernel};
use crate::front::Options;

actor! {
    odds: 150 rounds;
    types {
        struct Actor { n: u32, pos: Pos, log: [u8; 8], on: bool, hist: [Pos; 3], temp: f64 }
        struct Pos { x: i16, y: i16 }
        struct In { a: i32, b: u8, flags: [bool; 3], p: Pos }
        struct Empty { }
        struct Log { log: [u8; 8] }
    }
    handlers {
        unit(Empty) -> Empty; flag(bool) -> bool; scalar(u16) -> u16; float(f32) -> f64; replaced(In) -> Pos; returns_in_let(In) -> i32; params(In) -> i64;
        deep(In) -> i64; refs_in_patterns(In) -> i64; assigned_self(In) -> (); labelled(In) -> u32; conditions(In) -> u32; early_unit(u8) -> (); chained(In) -> f64;
        comparisons(In) -> u8; sorting(In) -> Log; nested_returns(In) -> u32; unary(In) -> i32; precedence(In) -> u32; crc(u32) -> u32; gcd(In) -> u32; fib(u8) -> u64;
        collatz(u8) -> u32; matrix(In) -> i32; bool_arrays(In) -> u32; swaps(In) -> Pos; never_arm(In) -> i32; overwritten(In) -> u32; shadowed_const(In) -> u32;
        while_calls(In) -> u32; blocks_in_literals(In) -> Pos; tuple_returns(In) -> i64; copies(In) -> i64; casts_in_index(In) -> u8; ifs_in_args(In) -> i64; mut_params(u32) -> u32;
        float_loop(f32) -> f32; parenthesised(In) -> u32; literal_types(In) -> u64; self_by_ref(In) -> i64; arrays_of_tuples(In) -> i64; wrapping_index(In) -> u8;
    }
    code {
        const LEN: usize = 8;
        const WEIGHTS: [f32; 4] = [0.25, -1.5, 1e3, 2.0];
        const TABLE: [(i32, bool); 3] = [(1, true), (2, false), (-3, true)];
        const MASK: u32 = !0 >> 4;
        const LIMITS: (u8, u8) = (3, 200);

        fn both((a, b): (i32, i32), [x, y]: [u8; 2], Pos { x: px, .. }: Pos) -> i64 { a as i64 - b as i64 + x as i64 * y as i64 + px as i64 }
        fn parts(n: i32) -> (i32, (bool, [i8; 2])) { (n / 2, (n < 0, [n as i8, 7])) }
        fn find(log: &[u8; LEN], what: u8) -> u32 {
            for (i, &x) in log.iter().enumerate() { if x == what { return i as u32; } }
            for i in 0..LEN { for j in i..LEN { if log[i] > log[j] { return 100 + (i * 8 + j) as u32; } } }
            999
        }
        fn step(n: &mut u32) -> bool { *n = n.wrapping_mul(5).wrapping_add(1); *n % 7 != 0 }
        fn sort(mut v: [u8; 8]) -> [u8; 8] {
            for i in 1..v.len() {
                let mut j = i;
                while j > 0 && v[j - 1] > v[j] { v.swap(j - 1, j); j -= 1; }
            }
            v
        }
        fn advance(p: &mut Pos, by: (i16, i16)) -> Pos { p.x = p.x.wrapping_add(by.0); p.y = p.y.wrapping_sub(by.1); *p }
        fn euclid(mut a: u32, mut b: u32) -> u32 { while b != 0 { (a, b) = (b, a % b); } a }

        impl Actor {
            const START: Pos = Pos { x: 1, y: -1 };

            fn unit(&mut self, _: &mut RingContext, _msg: Empty) -> Empty { self.n ^= 1; Empty {} }
            fn flag(&self, _ctx: &mut RingContext, msg: bool) -> bool { msg != self.on || self.n == 3 }
            fn scalar(&mut self, _ctx: &mut RingContext, mut msg: u16) -> u16 { msg ^= 0xff; self.n = self.n.rotate_left(msg as u32 & 31); msg }
            fn float(&mut self, _ctx: &mut RingContext, msg: f32) -> f64 { self.temp += f64::from(msg); if self.temp > 1e6 { self.temp = 0.; } self.temp * 0.5 - WEIGHTS[1] as f64 }
            fn replaced(&mut self, _ctx: &mut RingContext, msg: In) -> Pos { let old = self.pos; self.pos = Pos { x: msg.b as i16, ..msg.p }; self.hist = [old, self.pos, Self::START]; old }
            fn returns_in_let(&mut self, _ctx: &mut RingContext, msg: In) -> i32 {
                let x = match msg.b { 0..=9 => return -1, k if k > 200 => { self.n = 1; return -2 } k => k };
                let y = if msg.flags[0] { x as i32 } else { return 7 };
                let z: i32 = loop { if y > 100 { return 5; } break y + 1; };
                z
            }
            fn params(&mut self, _ctx: &mut RingContext, In { a, b, p, .. }: In) -> i64 { both((a, a / 2), [b, 3], p) + both((1, 2), [self.log[0], self.log[1]], self.pos) }
            fn deep(&mut self, _ctx: &mut RingContext, m: In) -> i64 {
                ((((m.a as i64 + 1) * 2 - (m.b as i64)) ^ 0x55) | ((m.p.x as i64) << 3)) & !(m.p.y as i64) % if m.b > 3 { 7 } else { 5 }
            }
            fn refs_in_patterns(&mut self, _ctx: &mut RingContext, m: In) -> i64 {
                let Pos { x, ref mut y } = self.hist[m.b as usize % 3];
                *y = x;
                let mut sum = 0i64;
                for Pos { x, y } in &self.hist { sum += (*x as i64) - (*y as i64); }
                for (i, Pos { x, .. }) in self.hist.iter_mut().enumerate() { *x = i as i16; }
                match &m.flags { [true, ..] => sum, [_, true, _] => -sum, [.., last] => *last as i64 }
            }
            fn assigned_self(&mut self, _ctx: &mut RingContext, m: In) { if m.b > 100 { *self = Self { n: 3, pos: m.p, ..*self }; } else { self.log = [m.b; 8]; } }
            fn labelled(&mut self, _ctx: &mut RingContext, m: In) -> u32 {
                let mut count = 0;
                'rows: for i in 0..=m.b % 16 {
                    'cols: for j in (0..i).rev() {
                        count += 1;
                        if (i ^ j) == 5 { continue 'rows; }
                        if j % 3 == 2 { continue 'cols; }
                        if count > 60 { break 'rows; }
                        count += 10;
                    }
                    count += 100;
                }
                count
            }
            fn conditions(&mut self, _ctx: &mut RingContext, m: In) -> u32 {
                let mut out = 0;
                if m.flags[0] && (m.flags[1] || m.a / (m.b as i32) > 3) && self.log[m.b as usize % 9] > 0 { out |= 1; }
                if !(m.flags[2] ^ (m.a > 0)) | (m.b == 7) { out |= 2 } else if m.a == -1 { out |= 4 }
                if { let t = m.b; t > 3 } { out |= 8; }
                out
            }
            fn early_unit(&mut self, _ctx: &mut RingContext, n: u8) { if n < 3 { return; } for i in 0..8 { if i == n { return } self.log[i as usize] = n; } }
            fn chained(&mut self, _ctx: &mut RingContext, m: In) -> f64 { (m.a as f64).abs().sqrt().floor().min(100.0).mul_add(2.0, -1.0) + (m.b as f32).max(3.0) as f64 }
            fn comparisons(&mut self, _ctx: &mut RingContext, m: In) -> u8 {
                let a = (m.p.x < m.p.y) == m.flags[0];
                let b = (m.flags[1] as u8) < (m.flags[2] as u8);
                let c = m.flags[0] > m.flags[1];
                a as u8 | (b as u8) << 1 | (c as u8) << 2 | ((m.b >= 5) as u8) << 3
            }
            fn sorting(&mut self, _ctx: &mut RingContext, m: In) -> Log { self.log[3] = m.b; self.log = sort(self.log); Log { log: sort([m.b, 3, 200, 7, m.a as u8, 0, 9, 1]) } }
            fn nested_returns(&mut self, _ctx: &mut RingContext, m: In) -> u32 { find(&self.log, m.b) + find(&[1, 2, 3, 2, m.b, 6, 7, 8], 4) * 1000 }
            fn unary(&mut self, _ctx: &mut RingContext, m: In) -> i32 { - - (m.a / 2) + !m.a - !!3 + -(-5) * (!m.flags[0]) as i32 }
            fn precedence(&mut self, _ctx: &mut RingContext, m: In) -> u32 { let b = m.b as u32; 1 + b * 2 << 3 & 0xff | b ^ 5 % 3 - 1 }
            fn crc(&mut self, _ctx: &mut RingContext, n: u32) -> u32 {
                let mut crc = !n;
                for byte in self.log { crc ^= byte as u32; for _ in 0..8 { let bit = crc & 1; crc >>= 1; if bit != 0 { crc ^= 0xedb8_8320; } } }
                !crc & MASK
            }
            fn gcd(&mut self, _ctx: &mut RingContext, m: In) -> u32 { euclid(m.a.unsigned_abs(), m.b as u32) + euclid(12, 18) }
            fn fib(&mut self, _ctx: &mut RingContext, n: u8) -> u64 { let (mut a, mut b) = (0u64, 1u64); for _ in 0..n { let next = a + b; a = b; b = next; } a }
            fn collatz(&mut self, _ctx: &mut RingContext, n: u8) -> u32 {
                let (mut x, mut steps) = (n as u32 + 1, 0);
                while x != 1 { x = match x % 2 { 0 => x / 2, _ => 3 * x + 1 }; steps += 1; }
                steps
            }
            fn matrix(&mut self, _ctx: &mut RingContext, m: In) -> i32 {
                let a = [[m.a % 100, 2], [3, m.b as i32]];
                let b = [[1, 0], [m.p.x as i32, 1]];
                let mut c = [[0; 2]; 2];
                for i in 0..2 { for j in 0..2 { for k in 0..2 { c[i][j] += a[i][k] * b[k][j]; } } }
                c[0][0] - c[0][1] + c[1][0] * 2 - c[1][1]
            }
            fn bool_arrays(&mut self, _ctx: &mut RingContext, m: In) -> u32 {
                let mut seen = [false; 16];
                for x in self.log { seen[x as usize % 16] = true; }
                seen[3] = !seen[m.b as usize % 16];
                let mut n = 0;
                for s in seen { n = n * 2 + s as u32; }
                n
            }
            fn swaps(&mut self, _ctx: &mut RingContext, m: In) -> Pos {
                let mut p = m.p;
                let q = advance(&mut p, (1, 2));
                let r = advance(&mut self.hist[m.b as usize % 4], (q.x, q.y));
                if m.a > 0 { advance(&mut self.pos, (r.x, 0)); }
                self.hist.swap(0, m.b as usize % 3);
                p
            }
            fn never_arm(&mut self, _ctx: &mut RingContext, m: In) -> i32 {
                let x = match (m.flags[0], m.b) { (true, 0) => panic!("zero"), (false, n) => n as i32, (true, n @ 1..=9) => -(n as i32), (true, _) => unreachable!("b is {}", m.b) };
                x * 2
            }
            fn overwritten(&mut self, _ctx: &mut RingContext, m: In) -> u32 {
                let mut x = 5u32;
                let y = x;
                x += m.b as u32;
                let f = x;
                x = { let x = x * 2; x + 1 };
                let arr = [x, y, f];
                x = 0;
                arr[0] * 10000 + arr[1] * 100 + arr[2] + x
            }
            fn shadowed_const(&mut self, _ctx: &mut RingContext, m: In) -> u32 {
                const LIMIT: u8 = LIMITS.0 + 2;
                let n = match m.b { LIMIT => 1, x if x >= LIMITS.1 => 2, _ => 3 };
                n + TABLE[m.b as usize % 3].0 as u32 % 10 + TABLE[2].1 as u32
            }
            fn while_calls(&mut self, _ctx: &mut RingContext, m: In) -> u32 { let mut n = m.b as u32; let mut k = 0; while step(&mut n) && k < 20 { k += 1; } if step(&mut self.n) { n } else { k } }
            fn blocks_in_literals(&mut self, _ctx: &mut RingContext, m: In) -> Pos {
                Pos { x: { let t = m.a as i16; t / 2 }, y: if m.flags[0] { m.p.x } else { match m.b { 0 => 1, _ => m.p.y } } }
            }
            fn tuple_returns(&mut self, _ctx: &mut RingContext, m: In) -> i64 {
                let (half, (negative, [low, seven])) = parts(m.a);
                let whole = parts(half);
                half as i64 + negative as i64 * 1000 + low as i64 + seven as i64 + whole.0 as i64 + whole.1.1[0] as i64
            }
            fn copies(&mut self, _ctx: &mut RingContext, m: In) -> i64 {
                let mut hist = self.hist;
                let other = hist;
                hist[0].x = hist[0].x.wrapping_add(9);
                self.hist[1] = hist[0];
                let f = m.flags;
                hist[0].x as i64 - other[0].x as i64 + f[1] as i64 + self.hist[1].y as i64
            }
            fn casts_in_index(&mut self, _ctx: &mut RingContext, m: In) -> u8 { self.log[(m.a & 7) as usize] ^ self.log[m.flags[0] as usize + (m.b >> 6) as usize] }
            fn ifs_in_args(&mut self, _ctx: &mut RingContext, m: In) -> i64 { both((if m.flags[0] { 1 } else { m.a }, m.a.min(3)), [{ self.n = 3; m.b }, self.n as u8], m.p) }
            fn mut_params(&mut self, _ctx: &mut RingContext, mut n: u32) -> u32 { n = euclid(n, 30); n += 1; n }
            fn float_loop(&mut self, _ctx: &mut RingContext, x: f32) -> f32 {
                let mut guess = x / 2.0;
                for i in 0..6 { if guess == 0.0 { break } guess = (guess + x / guess) * 0.5; guess += WEIGHTS[i % 4] * 1e-6; }
                -guess % 1.5
            }
            fn parenthesised(&mut self, _ctx: &mut RingContext, m: In) -> u32 { let r = (&mut self.n); (*r) = ((m.b) as u32) + (1); (self.n) }
            fn literal_types(&mut self, _ctx: &mut RingContext, m: In) -> u64 {
                let a = 1 << (m.b % 40) as u64;
                let b: u64 = a;
                let mut v = [0; 3];
                v[1] = m.b;
                let w = [1, 2, v[1] / 2];
                let (x, y) = (3, -4i8);
                b + w[2] as u64 + x + (y as u8) as u64 + (0xffu8 as i8) as u8 as u64
            }
            fn self_by_ref(&mut self, _ctx: &mut RingContext, m: In) -> i64 { let this = &mut *self; this.n = 9; let p = &this.pos; p.x as i64 + Self::static_sum(&self.hist) + self.total(m.b) }
            fn arrays_of_tuples(&mut self, _ctx: &mut RingContext, m: In) -> i64 {
                let mut t = [(0i32, false); 4];
                for (i, slot) in t.iter_mut().enumerate() { *slot = (i as i32 * 3, i % 2 == 0); }
                t[m.b as usize % 4].0 = m.a;
                let mut sum = 0i64;
                for (v, even) in t { if even { sum += v as i64 } else { sum -= 1 } }
                for &(v, _) in &t { sum ^= v as i64; }
                sum
            }
            fn wrapping_index(&mut self, _ctx: &mut RingContext, m: In) -> u8 { let i = (m.b as usize + LEN - 1) % LEN; let j = (i as isize - 3).rem_euclid(LEN as isize) as usize; self.log[i] ^ self.log[j] }

            #[inline] fn static_sum(hist: &[Pos; 3]) -> i64 { let mut s = 0; for p in hist { s += p.x as i64; } s }
            #[inline] fn total(&mut self, b: u8) -> i64 { self.n += b as u32; self.n as i64 }
        }
    }
}

#[test]
fn bools_of_a_message_are_found_wherever_they_are() {
    let program = super::harness::program(
        "struct A { n: u8 } struct M { a: u32, b: bool, c: [[bool; 2]; 2], d: N, e: (u16, bool) } struct N { x: u64, y: bool }",
        "impl A { fn go(&mut self, c: &mut RingContext, m: M) { self.n = 1; } }",
    );
    let kernel = kernel(&program, Options { checked: true, usize_is_32: false });
    let handler = &kernel.handlers[0];
    assert_eq!(handler.message_bools, [4, 5, 6, 7, 8, 24, 34]);
    assert_eq!((handler.message_layout.size, handler.message_layout.align), (40, 8));
    assert_eq!((handler.reply.as_str(), handler.reply_tag, handler.reply_layout.size), ("()", 1, 0));
}
