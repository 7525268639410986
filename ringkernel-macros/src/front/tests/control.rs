//! Branches, loops, matches.

use super::harness::actor;

actor! {
    branches: 300 rounds;
    types {
        struct Machine { n: i32, a: [u32; 8], flag: bool, mode: u8 }
        struct In { a: i32, b: i32, n: u8 }
        struct Point { x: i32, y: i32 }
        struct Out { p: Point, k: i64, b: bool }
    }
    handlers {
        conditions(In) -> i32; aggregates(In) -> Out; early(In) -> Out; matches_of(In) -> i32; guards(In) -> i32; tuples(In) -> u8; chars(u8) -> u8;
        many(u8) -> u32; bindings(u32) -> u32; lets(In) -> i32; deferred(In) -> Point; shadows(In) -> i32; blocks(In) -> i32; booleans(In) -> u8;
        asserts(In) -> i32; debug_asserts(u8) -> u8; iflets(In) -> i32; letelses(In) -> i32; floats_match(f32) -> u8; discard(In) -> ();
    }
    code {
        const LIMIT: i32 = 10;
        impl Machine {
            const FEW: u8 = 3;
            fn letelses(&mut self, _ctx: &mut RingContext, i: In) -> i32 {
                let In { a, n: 0..=200, .. } = i else { return -1 };
                let mut sum = a as i64;
                for k in 0..8 {
                    let x @ (1 | 3 | 5..) = self.a[k] else {
                        sum += 1;
                        if sum % 5 == 0 { break; }
                        continue;
                    };
                    sum += x as i64;
                }
                let (true, mut low) = (self.flag, i.b) else {
                    self.n = sum as i32;
                    panic!("no flag");
                };
                low ^= 1;
                low.wrapping_add(sum as i32)
            }
            fn conditions(&mut self, _ctx: &mut RingContext, i: In) -> i32 {
                let x = if i.a > i.b { i.a } else if i.a == i.b { 0 } else { i.b };
                if self.flag {
                    self.n = x;
                    if x > 100 { return 100; }
                }
                self.flag = !self.flag;
                if x < 0 && i.n > 3 || x == 77 { -1 } else { x }
            }
            fn aggregates(&mut self, _ctx: &mut RingContext, i: In) -> Out {
                let p = if i.a < i.b { Point { x: i.a, y: i.b } } else { Point { y: i.a, x: i.b } };
                let q = match i.n % 3 { 0 => p, 1 => Point { x: 1, ..p }, _ => { let mut r = p; r.y = 5; r } };
                if self.flag { Out { p: q, k: q.x as i64 + q.y as i64, b: false } } else { Out { p, k: 0, b: p.x == p.y } }
            }
            fn early(&mut self, _ctx: &mut RingContext, i: In) -> Out {
                if i.a < 0 { return Out { p: Point { x: 1, y: 2 }, k: -1, b: true }; }
                for k in 0..i.n {
                    if k as i32 == i.b { return Out { p: Point { x: k as i32, y: 0 }, k: 7, b: false }; }
                }
                Out { p: Point { x: i.a, y: i.b }, k: 9, b: true }
            }
            fn matches_of(&mut self, _ctx: &mut RingContext, i: In) -> i32 {
                match i.a {
                    0 => 10,
                    1 | 2 => 20,
                    3..=9 => 30,
                    LIMIT => 35,
                    -5..0 => 40,
                    i32::MIN..=-1000 => 50,
                    x @ 11..=20 => x * 2,
                    x if x % 2 == 0 => x / 2,
                    other => other.wrapping_neg(),
                }
            }
            fn guards(&mut self, _ctx: &mut RingContext, i: In) -> i32 {
                match (i.a, i.n) {
                    (0, _) => 1,
                    (a, 1..=3) if a > 0 => { self.n = a; 2 }
                    (a, n) if a < n as i32 => 3,
                    (_, Self::FEW) => 4,
                    (_, n @ (4 | 5)) => n as i32,
                    _ => -1,
                }
            }
            fn tuples(&mut self, _ctx: &mut RingContext, i: In) -> u8 {
                match (i.a > 0, i.b > 0, self.flag) {
                    (true, true, _) => 1,
                    (true, false, true) => 2,
                    (false, ..) => 3,
                    _ => 4,
                }
            }
            fn chars(&mut self, _ctx: &mut RingContext, c: u8) -> u8 {
                match c { b'0'..=b'9' => c - b'0', b'a'..=b'z' | b'A'..=b'Z' => 1, 0x80.. => 2, ..=31 => 3, _ => 4 }
            }
            fn many(&mut self, _ctx: &mut RingContext, c: u8) -> u32 {
                let r = match c % 16 {
                    0 => 5, 1 => 6, 2 => { if self.flag { return 99; } 7 } 3 => 8, 4 => 9, 5 => 10, 6 => 11, 7 => 12, 8 => 13, 9 => 14, 10 => 15, 11 => 16,
                    _ => 17,
                };
                r + 1
            }
            fn bindings(&mut self, _ctx: &mut RingContext, n: u32) -> u32 {
                let whole @ (a, b) = (n, n / 2);
                let [x, .., z] = [a, b, 3, whole.1];
                let (mut m, _) = (x, z);
                m ^= z;
                m
            }
            fn lets(&mut self, _ctx: &mut RingContext, i: In) -> i32 {
                let In { a, b: second, .. } = i;
                let Point { x, y } = Point { x: a, y: second };
                let ((p, q), r) = ((x, y), i.n as i32);
                let (p, q) = (q, p);
                _ = p;
                p.wrapping_sub(q).wrapping_mul(r)
            }
            fn deferred(&mut self, _ctx: &mut RingContext, i: In) -> Point {
                let x;
                let p: Point;
                if i.a > i.b { x = i.a; p = Point { x, y: 0 } } else { x = i.b; p = Point { x: 0, y: x }; }
                let mut q;
                q = p;
                q.x ^= x;
                q
            }
            fn shadows(&mut self, _ctx: &mut RingContext, i: In) -> i32 {
                let a = i.a;
                let a = { let a = a.wrapping_add(1); a ^ 3 };
                let a = a as i64;
                { let a = 5; self.n = a; }
                a as i32
            }
            fn blocks(&mut self, _ctx: &mut RingContext, i: In) -> i32 {
                let v = 'found: {
                    if i.a > 3 { break 'found i.a; }
                    if i.b > 3 { break 'found i.b }
                    -1
                };
                'skip: { if v < 0 { break 'skip; } self.n = v; }
                v
            }
            fn booleans(&mut self, _ctx: &mut RingContext, i: In) -> u8 {
                let b = match i.a > i.b { true => self.flag, false => !self.flag };
                let c = b & (i.n > 3) | (i.a == 0) ^ true;
                matches!(i.n, 0 | 5..=9 if c) as u8 + matches!(i.a, 1..) as u8 + b as u8
            }
            fn asserts(&mut self, _ctx: &mut RingContext, i: In) -> i32 {
                assert!(i.n < 200, "n is {}", i.n);
                assert_eq!(i.a == 3, false);
                assert_ne!(i.b, 4, "four");

                self.n = 1;
                if i.n == 8 { panic!("eight") }
                match i.n { 9 => unreachable!(), 10 => todo!(), n => n as i32 }
            }
            fn debug_asserts(&mut self, _ctx: &mut RingContext, n: u8) -> u8 {
                debug_assert!(n != 7);
                debug_assert_eq!(n / 100, 0);
                n
            }
            fn iflets(&mut self, _ctx: &mut RingContext, i: In) -> i32 {
                let mut n = i.n % 10;
                let mut sum = 0;
                while let 1..=9 = n { sum += n as i32; n -= 1; }
                if let (x, 3) = (i.a, i.n) { x } else if let 5 = i.n { 50 } else { sum }
            }
            fn floats_match(&mut self, _ctx: &mut RingContext, x: f32) -> u8 {
                match x { 0.0 => 1, 1.0..=2.0 => 2, f32::INFINITY => 3, _ => 4 }
            }
            fn discard(&mut self, _ctx: &mut RingContext, i: In) {
                let _ = i.a / (i.b | 1);
                let _unused = self.a[i.n as usize % 8];
                i.a;
                if i.a > 3 { return; }
                self.n = 0
            }
        }
    }
}

actor! {
    loops: 60 rounds;
    types {
        struct Machine { n: i64, a: [u32; 8], m: [[i16; 3]; 2] }
        struct In { a: i32, b: i32, n: u8, s: u8 }
        struct Bytes { a: u8, b: u8, s: u8 }
        struct Signed { a: i8, b: i8, s: u8 }
        struct Wide { a: u64, n: u8, s: u16 }
    }
    handlers {
        whiles(In) -> i64; nested(In) -> i64; loop_value(In) -> i32; exclusive(Bytes) -> u64; inclusive(Bytes) -> u64; reversed(Bytes) -> u64;
        signed(Signed) -> i64; stepped(Bytes) -> u64; stepped_inclusive(Signed) -> i64; stepped_reversed(Signed) -> i64; reversed_stepped(Signed) -> i64;
        wide_ends(Wide) -> u64; skipping(Bytes) -> u64; arrays(Bytes) -> u64; references(Bytes) -> u64; matrix(Bytes) -> i64; zero_step(u8) -> u64;
        copied(Bytes) -> u64; usizes(Bytes) -> u64; endless(Bytes) -> u8; double(Signed) -> i64;
    }
    code {
        impl Machine {
            fn whiles(&mut self, _ctx: &mut RingContext, i: In) -> i64 {
                let mut k = i.n as i64;
                let mut sum = 0;
                while k > 0 && sum < 1000 { sum += k; k -= 2; if k == 9 { continue; } if sum == 77 { break; } sum += 1; }
                self.n = k;
                sum
            }
            fn nested(&mut self, _ctx: &mut RingContext, i: In) -> i64 {
                let mut count = 0i64;
                'outer: for x in 0..i.n % 20 {
                    for y in x..20 {
                        if y as i32 == i.a { continue 'outer; }
                        if x as i32 * y as i32 == i.b { break 'outer; }
                        count += 1;
                    }
                    count += 100;
                }
                count
            }
            fn loop_value(&mut self, _ctx: &mut RingContext, i: In) -> i32 {
                let mut k = 0;
                let found = loop {
                    k += 1;
                    if k * k > i.n as i32 { break k; }
                    if k == 7 { break -1 }
                };
                let pair = 'l: loop { loop { if found > 3 { break 'l (found, k); } else { break 'l (k, 0) } } };
                pair.0 - pair.1
            }
            fn exclusive(&mut self, _ctx: &mut RingContext, i: Bytes) -> u64 {
                let mut h = 17u64;
                for x in i.a..i.b { h = h.wrapping_mul(31).wrapping_add(x as u64); if x == 200 { break; } }
                h
            }
            fn inclusive(&mut self, _ctx: &mut RingContext, i: Bytes) -> u64 {
                let mut h = 17u64;
                for x in i.a..=i.b { if x % 3 == 0 { continue; } h = h.wrapping_mul(31).wrapping_add(x as u64); }
                for x in 250..=255u8 { h ^= x as u64; }
                for x in 3..=i.s % 8 { h ^= x as u64; }
                h
            }
            fn reversed(&mut self, _ctx: &mut RingContext, i: Bytes) -> u64 {
                let mut h = 17u64;
                for x in (i.a..i.b).rev() { if x % 5 == 0 { continue } h = h.wrapping_mul(31).wrapping_add(x as u64); }
                for x in (i.a..=i.b).rev() { h = h.wrapping_mul(33).wrapping_add(x as u64); if x == 100 { continue } h ^= 1 }
                for x in (0..=3u8).rev().rev() { h = h.wrapping_mul(33).wrapping_add(x as u64); }
                h
            }
            fn signed(&mut self, _ctx: &mut RingContext, i: Signed) -> i64 {
                let mut h = 1i64;
                for x in i.a..i.b { h = h.wrapping_mul(31).wrapping_add(x as i64); }
                for x in (i.a..=i.b).rev() { h = h.wrapping_mul(31).wrapping_add(x as i64); }
                for x in -3..=3 { h = h.wrapping_mul(3).wrapping_add(x); }
                h
            }
            fn stepped(&mut self, _ctx: &mut RingContext, i: Bytes) -> u64 {
                let mut h = 17u64;
                let s = i.s as usize * 2 + 1;
                for x in (i.a..i.b).step_by(s) { h = h.wrapping_mul(31).wrapping_add(x as u64); if x == 9 { continue; } h += 1; }
                for x in (i.a..i.b).rev().step_by(s) { h = h.wrapping_mul(31).wrapping_add(x as u64); }
                for x in (i.a..i.b).step_by(s).rev() { h = h.wrapping_mul(31).wrapping_add(x as u64); }
                for x in (0..i.a as usize).step_by(16) { h = h.wrapping_mul(31).wrapping_add(x as u64); }
                h
            }
            fn stepped_inclusive(&mut self, _ctx: &mut RingContext, i: Signed) -> i64 {
                let mut h = 17i64;
                for x in (i.a..=i.b).step_by(i.s as usize + 1) { h = h.wrapping_mul(31).wrapping_add(x as i64); }
                h
            }
            fn stepped_reversed(&mut self, _ctx: &mut RingContext, i: Signed) -> i64 {
                let mut h = 17i64;
                for x in (i.a..=i.b).step_by(i.s as usize + 1).rev() { h = h.wrapping_mul(31).wrapping_add(x as i64); }
                h
            }
            fn reversed_stepped(&mut self, _ctx: &mut RingContext, i: Signed) -> i64 {
                let mut h = 17i64;
                for x in (i.a..=i.b).rev().step_by(i.s as usize + 1) { h = h.wrapping_mul(31).wrapping_add(x as i64); }
                h
            }
            fn double(&mut self, _ctx: &mut RingContext, i: Signed) -> i64 {
                let mut h = 17i64;
                for x in (i.a..i.b).rev().step_by(i.s as usize + 1).rev() { h = h.wrapping_mul(31).wrapping_add(x as i64); }
                h
            }
            fn wide_ends(&mut self, _ctx: &mut RingContext, i: Wide) -> u64 {
                let mut h = 1u64;
                let high = i.a.saturating_add(i.n as u64);
                for x in i.a..=high { h = h.wrapping_mul(31).wrapping_add(x); }
                for x in (i.a..=high).step_by(i.s as usize + 1) { h = h.wrapping_mul(31).wrapping_add(x); }
                for x in (i.a..high).rev().step_by(i.s as usize / 8 + 1) { h = h.wrapping_mul(31).wrapping_add(x); }
                h
            }
            fn zero_step(&mut self, _ctx: &mut RingContext, n: u8) -> u64 {
                let mut h = 0;
                for x in (0..100u64).step_by(n as usize % 4) { h += x; }
                h
            }
            fn skipping(&mut self, _ctx: &mut RingContext, i: Bytes) -> u64 {
                let mut evens = 0;
                for mut x in 0..i.a { if x & 1 == 1 { continue; } x += 1; evens += x as u64; }
                for _ in 0..i.b { evens += 1; }
                evens
            }
            fn arrays(&mut self, _ctx: &mut RingContext, i: Bytes) -> u64 {
                self.a[i.a as usize % 8] = i.b as u32;
                let mut sum = 0u64;
                for x in self.a { sum += x as u64 & 0xff; self.a[3] = 9; }
                for x in [i.a, i.b, 3] { sum = sum * 2 + x as u64; }
                for (k, x) in self.a.iter().enumerate() { sum += k as u64 * (*x as u64 % 50); }
                for x in self.a.iter().rev() { sum = sum.rotate_left(3) ^ *x as u64; }
                for &x in &self.a { sum ^= x as u64; }
                sum
            }
            fn references(&mut self, _ctx: &mut RingContext, i: Bytes) -> u64 {
                for x in self.a.iter_mut() { *x = x.wrapping_mul(3).wrapping_add(i.a as u32); }
                for (k, x) in self.a.iter_mut().enumerate() { *x ^= k as u32; }
                for x in &mut self.a { if *x > 1000 { *x %= 1000; } }
                let mut sum = 0u64;
                for x in &self.a { sum += u64::from(*x); }
                for x in self.a.iter() { if x > &500 { sum += 1; } }
                sum
            }
            fn matrix(&mut self, _ctx: &mut RingContext, i: Bytes) -> i64 {
                for r in 0..self.m.len() { for c in 0..self.m[r].len() { self.m[r][c] = (r * 3 + c) as i16 + i.a as i16; } }
                for row in self.m.iter_mut() { row[1] -= 1; for x in row.iter_mut() { *x += 2 } }
                let mut sum = 0;
                for row in self.m { for x in row { sum += x as i64; } }
                for row in &self.m { for (k, x) in row.iter().enumerate() { sum = sum * 3 + *x as i64 * k as i64; } }
                sum
            }
            fn copied(&mut self, _ctx: &mut RingContext, i: Bytes) -> u64 {
                let mut mine = self.a;
                for k in 0..mine.len() { mine[k] %= 16; }
                for x in mine { mine[(x as usize) % 8] += 1; }
                let mut total = 0u64;
                for k in 0..8 { total = total * 17 + mine[k] as u64; }
                total
            }
            fn usizes(&mut self, _ctx: &mut RingContext, i: Bytes) -> u64 {
                let mut at = i.a as usize;
                let mut steps = 0u64;
                while at > 1 { at = if at % 2 == 0 { at / 2 } else { at * 3 + 1 }; steps += 1; }
                let back = i.b as usize;
                if back > 0 { steps += self.a[(back - 1) % 8] as u64 % 10; }
                steps + back.min(3) as u64 + (back & 5) as u64 + (at as isize - 2).signum() as u64
            }
            fn endless(&mut self, _ctx: &mut RingContext, i: Bytes) -> u8 {
                let mut k = i.a;
                loop {
                    if k >= 250 { return k; }
                    k += 5;
                }
            }
        }
    }
}
