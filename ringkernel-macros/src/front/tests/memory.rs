//! Arrays, structs, tuples, references, calls, constants.

use super::harness::actor;

actor! {
    places: 100 rounds;
    types {
        struct Machine { grid: [Cell; 4], p: Point, q: Point, n: u32, deep: Deep, list: [u16; 40] }
        struct Cell { value: i32, seen: bool, tags: [u8; 3] }
        struct Point { x: i32, y: i32 }
        struct Deep { a: [Row; 2], z: f64 }
        struct Row { b: [Cell; 2], k: u64 }
        struct In { i: u8, j: u8, v: i32, w: u16 }
        struct Out { cell: Cell, p: Point, n: u64 }
    }
    handlers {
        write(In) -> Out; bounds(In) -> i32; swap(In) -> Point; aliasing(In) -> Out; whole(In) -> u64; tuples(In) -> i64; locals(In) -> u64; updates(In) -> Cell;
        order(In) -> i64; compound(In) -> u64; faulty(In) -> Point; refs(In) -> i64; repeat(In) -> u64; equality(In) -> u8; mem_fns(In) -> Out; nested_lit(In) -> Deep;
        copy_message(In) -> In; partial(In) -> Point; array_methods(In) -> u64; destructure(In) -> i64; literal_index(In) -> i32; big_copy(In) -> u64;
    }
    code {
        impl Machine {
            fn write(&mut self, _ctx: &mut RingContext, m: In) -> Out {
                let i = m.i as usize % 4;
                self.grid[i].value = m.v;
                self.grid[i].tags[m.j as usize % 3] ^= m.i;
                self.deep.a[i % 2].b[1].value = self.grid[3 - i].value;
                self.deep.a[1].k += 1;
                self.n ^= m.w as u32;
                Out { cell: self.grid[i], p: self.p, n: self.deep.a[1].k }
            }
            fn bounds(&mut self, _ctx: &mut RingContext, m: In) -> i32 {
                self.n = 5;
                let c = self.grid[m.i as usize];
                self.n = 6;
                self.deep.a[m.j as usize].b[0] = c;
                c.value
            }
            fn swap(&mut self, _ctx: &mut RingContext, m: In) -> Point {
                self.p = Point { x: self.p.y, y: self.p.x };
                (self.q.x, self.q.y) = (self.q.y, self.q.x);
                (self.p, self.q) = (self.q, self.p);
                let Point { x, .. } = self.p;
                Point { x, y: m.v }
            }
            fn aliasing(&mut self, _ctx: &mut RingContext, m: In) -> Out {
                let before = self.grid[0];
                self.grid[0] = self.grid[1];
                self.grid[1] = before;
                let p = self.p;
                self.p.x = self.p.x.wrapping_add(m.v);
                let cells = self.grid;
                self.grid[2].value = 7;
                Out { cell: cells[2], p, n: cells[2].tags[1] as u64 }
            }
            fn whole(&mut self, _ctx: &mut RingContext, m: In) -> u64 {
                let mut list = self.list;
                list[m.i as usize % 40] = m.w;
                self.list = list;
                let mut h = 0u64;
                for x in list { h = h.wrapping_mul(31).wrapping_add(x as u64); }
                self.grid = [self.grid[3]; 4];
                h
            }
            fn tuples(&mut self, _ctx: &mut RingContext, m: In) -> i64 {
                let t = (m.v, (m.i, m.w), [m.j; 2]);
                let mut u = t;
                u.1.0 = u.1.0.wrapping_add(1);
                u.2[1] ^= 9;
                let (a, (b, c), [d, e]) = u;
                let unit = ();
                let one = (a,);
                unit;
                one.0 as i64 + b as i64 * 3 + c as i64 * 5 + d as i64 * 7 + e as i64 * 11 + t.1.0 as i64
            }
            fn locals(&mut self, _ctx: &mut RingContext, m: In) -> u64 {
                let mut table = [0u32; 16];
                for k in 0..16 { table[k] = (k as u32 + 1) * (m.i as u32 + 1); }
                let mut nested = [[1u8; 3]; 4];
                nested[m.j as usize % 4][m.i as usize % 3] = m.j;
                let row = nested[m.i as usize % 4];
                let mut sum = 0;
                for k in 0..16 { sum += table[k] as u64; }
                sum + row[0] as u64 + row[1] as u64 * 300 + row[2] as u64 * 70000
            }
            fn updates(&mut self, _ctx: &mut RingContext, m: In) -> Cell {
                let base = self.grid[0];
                let c = Cell { value: m.v, ..base };
                let d = Cell { tags: [m.i, m.j, 3], ..c };
                self.grid[1] = Cell { seen: !d.seen, ..self.grid[2] };
                Cell { seen: m.i > m.j, ..d }
            }
            fn order(&mut self, _ctx: &mut RingContext, m: In) -> i64 {
                let mut x = 1i64;
                let a = x + { x += 10; x } * { x += 100; x };
                let mut arr = [1i64, 2, 3, 4];
                let mut i = 0usize;
                arr[{ i += 1; i }] += { i += 1; i as i64 * 10 };
                arr[i] = { i = 3; i as i64 };
                let pair = (x, { x = 5; x }, x);
                a + arr[0] + arr[1] * 10 + arr[2] * 100 + arr[3] * 1000 + pair.0 + pair.1 + pair.2
            }
            fn compound(&mut self, _ctx: &mut RingContext, m: In) -> u64 {
                self.list[m.i as usize] += m.w;
                self.list[m.j as usize % 40] -= 1;
                self.list[7] *= 3;
                self.list[8] <<= m.j % 20;
                self.list[9] /= m.w % 5;
                self.list[9] as u64
            }
            fn faulty(&mut self, _ctx: &mut RingContext, m: In) -> Point {
                self.p = Point { x: m.v, y: m.v / (m.i as i32 % 4) };
                self.q = self.p;
                self.p
            }
            fn refs(&mut self, _ctx: &mut RingContext, m: In) -> i64 {
                let cell = &mut self.grid[m.i as usize % 4];
                cell.value ^= m.v;
                cell.tags[1] = 4;
                let seen = &mut cell.seen;
                *seen = !*seen;
                let p = &self.p;
                let sum = p.x as i64 + p.y as i64;
                let mut local = 5i64;
                let r = &mut local;
                *r += sum;
                *r *= 2;
                let tag = &self.grid[0].tags;
                let (a, b) = (&self.q, &sum);
                local + tag[2] as i64 + a.x as i64 + *b
            }
            fn repeat(&mut self, _ctx: &mut RingContext, m: In) -> u64 {
                let cells = [Cell { value: m.v, seen: true, tags: [m.i; 3] }; 20];
                let mut sum = 0u64;
                for c in cells.iter() { sum += c.tags[0] as u64 + c.seen as u64; }
                let points = [self.p; 3];
                self.grid[1].tags = [m.j; 3];
                sum.wrapping_add(points[m.i as usize % 3].x as u64)
            }
            fn equality(&mut self, _ctx: &mut RingContext, m: In) -> u8 {
                let a = [m.i, m.j, 3];
                let b = (m.v, m.w, true);
                (a == [m.j, m.i, 3]) as u8 + (b == (m.v, 3, true)) as u8 * 2 + (a != self.grid[0].tags) as u8 * 4
            }
            fn mem_fns(&mut self, _ctx: &mut RingContext, m: In) -> Out {
                let mut a = m.v;
                let mut b = self.p.x;
                std::mem::swap(&mut a, &mut b);
                std::mem::swap(&mut self.p, &mut self.q);
                let old = std::mem::replace(&mut self.grid[1].value, a);
                let other = self.grid[3];
                let cell = std::mem::replace(&mut self.grid[2], other);
                Out { cell, p: self.q, n: old as u32 as u64 ^ b as u32 as u64 }
            }
            fn nested_lit(&mut self, _ctx: &mut RingContext, m: In) -> Deep {
                let c = Cell { value: m.v, seen: false, tags: [1, 2, m.i] };
                Deep {
                    z: m.v as f64 * 0.5,
                    a: [Row { b: [c, Cell { value: 0, ..c }], k: 1 }, Row { k: 2, b: [self.grid[0]; 2] }],
                }
            }
            fn copy_message(&mut self, _ctx: &mut RingContext, mut m: In) -> In {
                m.i = m.i.wrapping_add(1);
                let n = m;
                m.v = 0;
                if n.j > 100 { n } else { m }
            }
            fn partial(&mut self, _ctx: &mut RingContext, m: In) -> Point {
                self.p.x = 1;
                self.p = Point { x: 2, y: self.list[m.i as usize] as i32 };
                self.grid[m.j as usize].value = 3;
                self.p
            }
            fn array_methods(&mut self, _ctx: &mut RingContext, m: In) -> u64 {
                self.list.swap(m.i as usize % 42, m.j as usize % 40);
                self.grid.swap(1, 2);
                let mut t = [0u8; 30];
                t.fill(m.i);
                let mut cells = self.grid;
                cells.fill(self.grid[0]);
                t.len() as u64 + t[29] as u64 + cells[3].tags[0] as u64 + t.is_empty() as u64
            }
            fn destructure(&mut self, _ctx: &mut RingContext, m: In) -> i64 {
                let [first, _, Cell { value, .. }, ref last] = self.grid;
                let total = match &self.p { Point { x: 0, y } => *y as i64, Point { x, y } => *x as i64 + *y as i64 };
                let mut a = 1;
                let mut b = 2;
                (a, _) = (m.i as i64, 5);
                [a, b] = [b, a];
                total + first.value as i64 + value as i64 + last.value as i64 + a * 3 + b
            }
            fn literal_index(&mut self, _ctx: &mut RingContext, m: In) -> i32 {
                [10, 20, 30, m.v][m.i as usize % 5] / 2 + (m.v, 3).1 + Point { x: 3, y: 4 }.y + ((m.w, 3), 1).0.1
            }
            fn big_copy(&mut self, _ctx: &mut RingContext, m: In) -> u64 {
                let a = self.list;
                let b = if m.i > 100 { a } else { [m.w; 40] };
                let mut s = 0u64;
                for k in 0..b.len() { s += b[k] as u64; }
                s
            }
        }
    }
}

actor! {
    calls: 100 rounds;
    types {
        struct Machine { p: Point, total: i64, cells: [u32; 6] }
        struct Point { x: i32, y: i32 }
        struct In { a: i32, b: i32, n: u8 }
        struct Out { p: Point, q: Point, k: i64 }
    }
    handlers {
        simple(In) -> i64; by_ref(In) -> Out; methods(In) -> i64; early(In) -> Out; consts(In) -> i64; tables(In) -> u64; nested(In) -> i64; aggregates(In) -> Out;
        places(In) -> i64; tuple_structs(In) -> i64; local_consts(In) -> u64; arrays_by_ref(In) -> u64; never(In) -> i32; const_arrays(In) -> u64; returned(In) -> i64;
        frames(In) -> u64; handler_calls(In) -> i64;
    }
    code {
        struct Pair(i32, u8);
        const SCALE: i64 = 3;
        const OFFSET: i32 = -(4 * 5) + (SCALE as i32) % 2;
        const PRIMES: [u32; 5] = [2, 3, 5, 7, 11];
        const SIZE: usize = PRIMES.len() + N2;
        const N2: usize = 1 << 1;
        const ORIGIN: Point = Point { x: 1, y: OFFSET };
        const GRID: [[u8; 2]; 3] = [[1, 2], [3, 4], [u8::MAX, 6]];
        const ALMOST: u64 = u64::MAX / 3 - 1;
        const HALF: f32 = 1.0 / 2.0;
        const fn doubled(x: u32) -> u32 { x * 2 }
        const TWICE: u32 = doubled(21);

        fn add(a: i32, b: i32) -> i64 { a as i64 + b as i64 }
        fn pick(a: i32, b: i32) -> i32 { if a > b { return a; } let c = b; c }
        fn weird(mut n: u32, limit: u32) -> u32 {
            let mut steps = 0;
            while n != 1 {
                if steps > limit { return steps; }
                n = if n % 2 == 0 { n / 2 } else { n.wrapping_mul(3).wrapping_add(1) };
                if n == 0 { return 0; }
                steps += 1;
            }
            steps
        }
        fn shift(p: &mut Point, by: i32) { p.x = p.x.wrapping_add(by); p.y ^= by; }
        fn bump(x: &mut i64) { *x += 1; if *x > 100 { return; } *x *= 2; }
        fn norm(p: &Point) -> i64 { p.x as i64 * p.x as i64 + p.y as i64 * p.y as i64 }
        fn mirrored(p: Point) -> Point { Point { x: p.y, y: p.x } }
        fn choose(p: Point, q: Point, first: bool) -> Point { if first { return p; } q }
        fn split(x: i32) -> (i32, bool) { (x / 3, x < 0) }
        fn sum(values: &[u32; 6]) -> u64 { let mut s = 0; for v in values { s += *v as u64; } s }
        fn fill(values: &mut [u32; 6], with: u32) { for i in 0..values.len() { values[i] = with + i as u32; } }
        fn taken(mut values: [u32; 6]) -> u64 { values[0] = 1; sum(&values) }
        fn fail(x: i32) -> ! { panic!("never {}", x) }
        fn largest(values: &mut [u32; 6]) -> &mut u32 { let mut at = 0; for i in 1..6 { if values[i] > values[at] { at = i; } } &mut values[at] }
        fn pair(a: i32) -> Pair { Pair(a, 7) }

        impl Machine {
            const STEP: i64 = SCALE * 2;
            const ROWS: usize = 2 + 1;

            fn simple(&mut self, _ctx: &mut RingContext, m: In) -> i64 {
                let x = pick(m.a, m.b);
                add(x, m.b) + weird(m.n as u32, 40) as i64 + add(pick(1, 2), m.n as i32)
            }
            fn by_ref(&mut self, _ctx: &mut RingContext, m: In) -> Out {
                let mut q = Point { x: m.a, y: m.b };
                shift(&mut self.p, m.a);
                shift(&mut q, 3);
                bump(&mut self.total);
                let mut k = m.n as i64;
                bump(&mut k);
                let r = &mut q;
                shift(r, 1);
                shift(r, 2);
                Out { p: self.p, q, k }
            }
            fn methods(&mut self, ctx: &mut RingContext, m: In) -> i64 {
                self.advance(m.n as i64);
                self.advance(Self::STEP);
                let here = self.where_am_i(ctx);
                self.at(m.n as usize % 6) as i64 + here + Self::helper(m.n) + Machine::helper(2)
            }
            fn early(&mut self, _ctx: &mut RingContext, m: In) -> Out {
                let p = choose(self.p, mirrored(self.p), m.a > m.b);
                let q = mirrored(choose(p, Point { x: 1, y: 2 }, m.n > 9));
                Out { p, q, k: norm(&Point { x: m.n as i32, y: 3 }) }
            }
            fn consts(&mut self, _ctx: &mut RingContext, m: In) -> i64 {
                let y = match m.a { OFFSET => 1, 0..=9 => SCALE, _ => 3 };
                y + ORIGIN.y as i64 + TWICE as i64 + (ALMOST % 1000) as i64 + (HALF * 4.0) as i64 + Self::STEP + i64::from(OFFSET)
            }
            fn tables(&mut self, _ctx: &mut RingContext, m: In) -> u64 {
                let mut s = 0u64;
                for i in 0..m.n as usize % 6 { s += PRIMES[i] as u64; }
                let local: [u8; SIZE] = [3; SIZE];
                let rows = [[1u8; 2]; Self::ROWS];
                s + GRID[m.n as usize % 3][1] as u64 + GRID[1][m.n as usize % 2] as u64 + local.len() as u64 + rows.len() as u64
            }
            fn nested(&mut self, _ctx: &mut RingContext, m: In) -> i64 {
                let mut t = 0i64;
                for i in 0..m.n % 5 {
                    let x = pick(i as i32, m.a % 3);
                    if x == 2 { continue; }
                    t += add(x, weird(i as u32 + 1, 3) as i32);
                }
                t
            }
            fn aggregates(&mut self, _ctx: &mut RingContext, m: In) -> Out {
                let (third, negative) = split(m.a);
                let s = split(m.b);
                let k = taken(self.cells) as i64 + self.cells[0] as i64;
                Out { p: mirrored(Point { x: third, y: negative as i32 }), q: Point { x: s.0, y: 0 }, k }
            }
            fn places(&mut self, _ctx: &mut RingContext, m: In) -> i64 {
                let cell = &mut self.cells[m.n as usize % 8];
                *cell = cell.wrapping_add(1);
                add(*cell as i32, m.a)
            }
            fn tuple_structs(&mut self, _ctx: &mut RingContext, m: In) -> i64 {
                let p = pair(m.a);
                let Pair(a, b) = Pair(m.b, m.n);
                let mut q = p;
                q.1 = 3;
                a as i64 + b as i64 + q.0 as i64 + q.1 as i64
            }
            fn local_consts(&mut self, _ctx: &mut RingContext, m: In) -> u64 {
                const LOCAL: u64 = 5;
                const SQUARES: [u64; 4] = [0, 1, LOCAL * LOCAL, 9];
                let n = { const LOCAL: u64 = 6; LOCAL };
                let a = [0u8; LOCAL as usize];
                match n { LOCAL => 0, _ => SQUARES[m.n as usize % 4] + n + a.len() as u64 }
            }
            fn arrays_by_ref(&mut self, _ctx: &mut RingContext, m: In) -> u64 {
                fill(&mut self.cells, m.n as u32);
                let mut mine = self.cells;
                fill(&mut mine, 1);
                sum(&self.cells) * 1000 + sum(&mine)
            }
            fn never(&mut self, _ctx: &mut RingContext, m: In) -> i32 {
                let x = if m.n > 200 { fail(m.a) } else { m.a };
                if m.n == 3 { fail(1); }
                x
            }
            fn const_arrays(&mut self, _ctx: &mut RingContext, m: In) -> u64 {
                let mut s = 0;
                for p in PRIMES { s += p as u64; }
                for row in &GRID { s += row[1] as u64; }
                let copy = PRIMES;
                s + copy[m.n as usize % 5] as u64 + ORIGIN.x as u64
            }
            fn returned(&mut self, _ctx: &mut RingContext, m: In) -> i64 {
                *largest(&mut self.cells) /= 2;
                let top = largest(&mut self.cells);
                *top ^= m.n as u32;
                self.cell_mut(m.n as usize % 6).clone() as i64 + { let c = self.cell_mut(1); *c %= 77; *c } as i64
            }
            fn frames(&mut self, _ctx: &mut RingContext, m: In) -> u64 {
                let mut acc = [0u32; 6];
                for i in 0..3 { fill(&mut acc, i); acc[i as usize] += weird(i + 5, 9); }
                sum(&acc)
            }
            fn handler_calls(&mut self, ctx: &mut RingContext, m: In) -> i64 {
                let a = self.simple(ctx, In { a: 1, ..m });
                a + self.places(ctx, m)
            }

            #[inline] fn advance(&mut self, by: i64) { self.total = self.total.wrapping_add(by); self.p.x ^= 1; }
            #[inline] fn where_am_i(&self, ctx: &RingContext) -> i64 { self.total % 50 + ctx.instance() as i64 }
            #[inline] fn at(&self, i: usize) -> u32 { self.cells[i] }
            #[inline] fn helper(n: u8) -> i64 { n as i64 * 2 }
            #[inline] fn cell_mut(&mut self, i: usize) -> &mut u32 { &mut self.cells[i] }
        }
    }
}
