//! A dozen small actors, one construct each, whose device code is committed beside this file and reviewed like code.

// Forms that clippy would write in another way are here on purpose.
#![allow(clippy::all)]

use ringkernel::prelude::*;

/// The actor of the documentation.
pub mod account {
    use super::*;

    #[ring_kernel(id = "account")]
    #[derive(Default)]
    pub struct Account {
        cents: i64,
        deposits: u32,
    }

    #[derive(RingMessage, Clone, Copy, Debug)]
    pub struct Deposit {
        pub cents: i64,
    }

    #[derive(RingMessage, Clone, Copy, Debug)]
    pub struct Withdraw {
        pub cents: i64,
    }

    #[derive(RingMessage, Clone, Copy, Debug)]
    pub struct Balance {
        pub cents: i64,
        pub deposits: u32,
    }

    #[ring_kernel]
    impl Account {
        #[handler]
        fn deposit(&mut self, _ctx: &mut RingContext, msg: Deposit) -> Balance {
            self.cents += msg.cents;
            self.deposits += 1;
            Balance { cents: self.cents, deposits: self.deposits }
        }

        #[handler]
        fn withdraw(&mut self, _ctx: &mut RingContext, msg: Withdraw) -> bool {
            if msg.cents > self.cents {
                return false;
            }
            self.cents -= msg.cents;
            true
        }
    }
}

/// No state, no answer.
pub mod smallest {
    use super::*;

    #[ring_kernel(id = "smallest")]
    #[derive(Default)]
    pub struct Smallest {}

    #[ring_kernel]
    impl Smallest {
        #[handler]
        fn ping(&mut self, _ctx: &mut RingContext, _msg: u32) {}
    }
}

/// Narrow integers live in wider registers and wrap at their own width.
pub mod narrow {
    use super::*;

    #[ring_kernel(id = "narrow")]
    #[derive(Default)]
    pub struct Narrow {
        sum: u8,
        low: i16,
    }

    #[derive(RingMessage, Clone, Copy, Debug)]
    pub struct Mix {
        pub a: u8,
        pub b: i16,
    }

    #[ring_kernel]
    impl Narrow {
        #[handler]
        fn mix(&mut self, _ctx: &mut RingContext, msg: Mix) -> i16 {
            self.sum = self.sum.wrapping_add(msg.a).rotate_left(3);
            self.low = self.low.min(msg.b >> 2) * 2;
            self.low ^ self.sum as i16
        }
    }
}

/// Faults that every build checks, and constants that need no check.
pub mod division {
    use super::*;

    #[ring_kernel(id = "division")]
    #[derive(Default)]
    pub struct Division {}

    #[derive(RingMessage, Clone, Copy, Debug)]
    pub struct Divide {
        pub a: i32,
        pub b: i32,
    }

    #[ring_kernel]
    impl Division {
        #[handler]
        fn divide(&mut self, _ctx: &mut RingContext, msg: Divide) -> i32 {
            msg.a / msg.b + msg.a % 10
        }
    }
}

/// Saturating and rounding casts.
pub mod casts {
    use super::*;

    #[ring_kernel(id = "casts")]
    #[derive(Default)]
    pub struct Casts {}

    #[ring_kernel]
    impl Casts {
        #[handler]
        fn to_byte(&mut self, _ctx: &mut RingContext, msg: f32) -> u8 {
            msg as u8
        }

        #[handler]
        fn to_float(&mut self, _ctx: &mut RingContext, msg: i64) -> f32 {
            msg as i32 as f32
        }
    }
}

/// Sums and products stay apart, `mul_add` is one instruction.
pub mod floats {
    use super::*;

    #[ring_kernel(id = "floats")]
    #[derive(Default)]
    pub struct Floats {
        mean: f32,
        weight: f32,
    }

    #[derive(RingMessage, Clone, Copy, Debug)]
    pub struct Observe {
        pub value: f32,
        pub weight: f32,
    }

    #[ring_kernel]
    impl Floats {
        #[handler]
        fn observe(&mut self, _ctx: &mut RingContext, msg: Observe) -> f32 {
            let weight = self.weight + msg.weight;
            self.mean = (self.mean * self.weight + msg.value * msg.weight) / weight;
            self.weight = weight;
            self.mean.mul_add(2.0, 1.0).sqrt()
        }
    }
}

/// Ranges forward, backward, inclusive and stepped.
pub mod ranges {
    use super::*;

    #[ring_kernel(id = "ranges")]
    #[derive(Default)]
    pub struct Ranges {}

    #[ring_kernel]
    impl Ranges {
        #[handler]
        fn sum(&mut self, _ctx: &mut RingContext, msg: u8) -> u32 {
            let mut sum = 0;
            for i in 0..msg {
                sum += i as u32;
            }
            for i in (msg..=255).rev() {
                sum ^= i as u32;
            }
            for i in (0..msg).step_by(3) {
                sum += 2 * i as u32;
            }
            sum
        }
    }
}

/// Labels: WGSL has none.
pub mod labels {
    use super::*;

    #[ring_kernel(id = "labels")]
    #[derive(Default)]
    pub struct Labels {}

    #[ring_kernel]
    impl Labels {
        #[handler]
        fn search(&mut self, _ctx: &mut RingContext, msg: u32) -> u32 {
            let mut tried = 0;
            let found = 'outer: loop {
                let mut i = 0;
                while i < 10 {
                    i += 1;
                    tried += 1;
                    if tried * i == msg {
                        break 'outer tried;
                    }
                    if tried > 1000 {
                        return 0;
                    }
                    if tried % 7 == 0 {
                        continue 'outer;
                    }
                }
            };
            found
        }
    }
}

/// Match on ranges, alternatives, bindings and guards.
pub mod matches {
    use super::*;

    #[ring_kernel(id = "matches")]
    #[derive(Default)]
    pub struct Matches {}

    #[ring_kernel]
    impl Matches {
        #[handler]
        fn classify(&mut self, _ctx: &mut RingContext, msg: i32) -> i32 {
            match msg {
                0 => 0,
                1 | 2 => 1,
                small @ 3..=99 => small,
                x if x % 2 == 0 => 2,
                _ => -1,
            }
        }
    }
}

/// Arrays in state and message, a computed index, a local array.
pub mod arrays {
    use super::*;

    #[ring_kernel(id = "arrays")]
    #[derive(Default)]
    pub struct Arrays {
        bins: [u32; 8],
    }

    #[derive(RingMessage, Clone, Copy, Debug)]
    pub struct Count {
        pub items: [u8; 5],
        pub weight: u32,
    }

    #[ring_kernel]
    impl Arrays {
        #[handler]
        fn count(&mut self, _ctx: &mut RingContext, msg: Count) -> u32 {
            let weights = [1u32, 2, 3, 5, 8];
            for i in 0..5 {
                self.bins[msg.items[i] as usize] += msg.weight * weights[i];
            }
            self.bins[0]
        }
    }
}

/// Nested structs and tuples with padding.
pub mod nested {
    use super::*;

    #[derive(DeviceType, Clone, Copy, Debug, Default)]
    pub struct Point {
        pub x: i16,
        pub y: i64,
    }

    #[ring_kernel(id = "nested")]
    #[derive(Default)]
    pub struct Nested {
        flag: bool,
        corners: [Point; 2],
        pair: (u8, u32),
    }

    #[derive(RingMessage, Clone, Copy, Debug)]
    pub struct Set {
        pub which: u8,
        pub to: Point,
    }

    #[derive(RingMessage, Clone, Copy, Debug)]
    pub struct Was {
        pub point: Point,
        pub flag: bool,
    }

    #[ring_kernel]
    impl Nested {
        #[handler]
        fn set(&mut self, _ctx: &mut RingContext, msg: Set) -> Was {
            let was = Was { point: self.corners[msg.which as usize], flag: self.flag };
            self.corners[msg.which as usize] = msg.to;
            self.pair = (msg.which, self.pair.1 + 1);
            self.flag = !self.flag;
            was
        }
    }
}

/// A helper function with a way out in the middle, called twice, and a constant.
pub mod functions {
    use super::*;

    #[device_const]
    const FACTOR: u32 = 1_664_525;

    #[device_fn]
    fn step(seed: &mut u32, salt: u32) -> u32 {
        if salt == 0 {
            return *seed;
        }
        *seed = seed.wrapping_mul(FACTOR).wrapping_add(salt);
        *seed >> 16
    }

    #[ring_kernel(id = "functions")]
    #[derive(Default)]
    pub struct Functions {
        seed: u32,
    }

    #[ring_kernel]
    impl Functions {
        #[handler]
        fn draw(&mut self, _ctx: &mut RingContext, msg: u32) -> u32 {
            let mut other = msg;
            step(&mut self.seed, msg) ^ step(&mut other, self.seed)
        }
    }
}

/// Panics carry a site; their text stays on the host.
pub mod panics {
    use super::*;

    #[ring_kernel(id = "panics")]
    #[derive(Default)]
    pub struct Panics {
        calls: u32,
    }

    #[ring_kernel]
    impl Panics {
        #[handler]
        fn check(&mut self, ctx: &mut RingContext, msg: i32) -> i32 {
            self.calls = self.calls.wrapping_add(1);
            assert!(msg >= 0, "negative");
            if msg as u32 == ctx.instance() {
                panic!("that is me");
            }
            msg
        }
    }
}

/// Everything a handler does through its context.
pub mod talker {
    use super::*;

    #[derive(RingMessage, Clone, Copy, Debug)]
    pub struct Order {
        pub id: u64,
        pub urgent: bool,
        pub cents: i32,
        pub at: HlcTimestamp,
    }

    #[derive(RingMessage, Clone, Copy, Debug)]
    pub struct Tally {
        pub orders: u32,
    }

    #[ring_kernel(id = "ledger")]
    #[derive(Default)]
    pub struct Ledger {
        orders: u32,
    }

    #[ring_kernel]
    impl Ledger {
        #[handler]
        fn order(&mut self, _ctx: &mut RingContext, _order: Order) -> Tally {
            self.orders += 1;
            Tally { orders: self.orders }
        }
    }

    #[ring_kernel(id = "talker")]
    #[derive(Default)]
    pub struct Talker {
        refused: u32,
        last: HlcTimestamp,
    }

    #[device_fn]
    fn neighbour(ctx: &RingContext) -> u32 {
        ctx.instance() ^ 1
    }

    #[ring_kernel]
    impl Talker {
        #[handler]
        fn order(&mut self, ctx: &mut RingContext, mut order: Order) -> Tally {
            order.at = ctx.tick();
            if ctx.forward::<Ledger>(neighbour(ctx), order).is_ok() {
                return Tally { orders: 0 };
            }
            self.refused += 1;
            match ctx.send_to_kernel("spare", order) {
                Sent::Ok => {}
                Sent::Full => self.refused += 1,
                _ => self.refused += 2,
            }
            Tally { orders: self.refused }
        }

        #[handler]
        fn relay(&mut self, ctx: &mut RingContext, n: u32) -> u64 {
            let _ = ctx.send::<Self>(n, n + 1);
            let first: Sent =
                ctx.send::<Ledger>(n, Order { id: 7, urgent: true, cents: -1, at: ctx.sent_at() });
            if first != Sent::Ok && ctx.send_to_instance("ledger", n, true).is_full() {
                self.refused += 1;
            }
            if ctx.has_sender() {
                let _ = ctx.reply(ctx.sender_instance());
            }
            let seen = HlcTimestamp::from_u64(u64::from(n));
            if ctx.update_clock(seen) > self.last {
                self.last = ctx.now();
            }
            let _ = ctx.enqueue_output(());
            let _ = ctx.publish("talk/orders", Tally { orders: n });
            if ctx.publish_retained("talk/last", self.last).is_gone() {
                self.refused += 1;
            }
            self.last.micros() + self.last.counter()
        }

        #[handler]
        fn collect(&mut self, ctx: &mut RingContext, most: u8) -> Tally {
            let mut orders = 0;
            while let Some(order) = ctx.try_receive_from_kernel::<Order>("spare") {
                if order.urgent {
                    self.last = order.at;
                }
                orders += 1;
                if orders == u32::from(most) {
                    break;
                }
            }
            let more = match ctx.try_receive_from_kernel::<u32>("counter") {
                Some(0) => 1,
                Some(n) => n,
                None => 0,
            };
            Tally { orders: orders + more }
        }
    }
}
