//! Actors that send to each other.

use ringkernel::prelude::*;

/// Goes back and forth between [`Ping`] and [`Pong`].
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Ball {
    pub left: u32,
}

#[ring_kernel(id = "report.ping")]
#[derive(Default, Debug)]
pub struct Ping {
    pub refused: u32,
}

#[ring_kernel]
impl Ping {
    #[handler]
    fn ball(&mut self, ctx: &mut RingContext, ball: Ball) {
        if ball.left > 0 && !ctx.send::<Pong>(0, Ball { left: ball.left - 1 }).is_ok() {
            self.refused = self.refused.wrapping_add(1);
        }
    }
}

#[ring_kernel(id = "report.pong")]
#[derive(Default, Debug)]
pub struct Pong {
    pub refused: u32,
}

#[ring_kernel]
impl Pong {
    #[handler]
    fn ball(&mut self, ctx: &mut RingContext, ball: Ball) {
        if ball.left > 0 && !ctx.send::<Ping>(0, Ball { left: ball.left - 1 }).is_ok() {
            self.refused = self.refused.wrapping_add(1);
        }
    }
}

/// Goes to any instance of [`Hopper`], at random.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Hop {
    pub random: u32,
    pub left: u32,
    pub instances: u32,
}

/// The next number of a sequence that looks random.
#[device_fn]
pub fn mix(random: u32) -> u32 {
    let mut x = random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    x
}

#[ring_kernel(id = "report.hopper")]
#[derive(Default, Debug)]
pub struct Hopper {
    pub handled: u32,
    /// Hops that a full mailbox put an end to.
    pub given_up: u32,
}

#[ring_kernel]
impl Hopper {
    #[handler]
    fn hop(&mut self, ctx: &mut RingContext, hop: Hop) {
        self.handled = self.handled.wrapping_add(1);
        if hop.left > 0 {
            let random = mix(hop.random);
            let on = Hop { random, left: hop.left - 1, instances: hop.instances };
            if !ctx.send::<Self>((random >> 3) % hop.instances, on).is_ok() {
                self.given_up = self.given_up.wrapping_add(hop.left);
            }
        }
    }
}

/// What a stage of a pipeline makes of a value: the same as the baseline's kernel.
#[device_fn]
pub fn staged(value: u32, stage: u32) -> u32 {
    value.wrapping_mul(1_664_525).wrapping_add(stage)
}

/// What all four stages make of it.
pub fn through(value: u32) -> u32 {
    (1..=4).fold(value, staged)
}

/// Lets an event into the pipeline.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Next {
    pub value: u32,
    /// How many are to come after it.
    pub left: u32,
}

/// Goes from stage to stage; once it has arrived, the last stage tells the first to let the next one in.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Event {
    pub value: u32,
    pub left: u32,
}

/// Goes from stage to stage, and the last one answers.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Query {
    pub value: u32,
}

/// Stage 1.
pub mod first {
    use super::{Event, Next, Query, second, staged};
    use ringkernel::prelude::*;

    #[ring_kernel(id = "report.first")]
    #[derive(Default, Debug)]
    pub struct Stage {
        pub refused: u32,
    }

    #[ring_kernel]
    impl Stage {
        #[handler]
        fn next(&mut self, ctx: &mut RingContext, next: Next) {
            let on = Event { value: staged(next.value, 1), left: next.left };
            if !ctx.send::<second::Stage>(ctx.instance(), on).is_ok() {
                self.refused = self.refused.wrapping_add(1);
            }
        }

        #[handler]
        fn query(&mut self, ctx: &mut RingContext, query: Query) -> u32 {
            let on = Query { value: staged(query.value, 1) };
            if !ctx.forward::<second::Stage>(ctx.instance(), on).is_ok() {
                self.refused = self.refused.wrapping_add(1);
            }
            0
        }
    }
}

macro_rules! between {
    ($module:ident, $id:literal, $number:literal, $next:ident) => {
        /// A stage that hands on.
        pub mod $module {
            use super::{Event, Query, staged, $next};
            use ringkernel::prelude::*;

            #[ring_kernel(id = $id)]
            #[derive(Default, Debug)]
            pub struct Stage {
                pub refused: u32,
            }

            #[ring_kernel]
            impl Stage {
                #[handler]
                fn event(&mut self, ctx: &mut RingContext, event: Event) {
                    let on = Event { value: staged(event.value, $number), left: event.left };
                    if !ctx.send::<$next::Stage>(ctx.instance(), on).is_ok() {
                        self.refused = self.refused.wrapping_add(1);
                    }
                }

                #[handler]
                fn query(&mut self, ctx: &mut RingContext, query: Query) -> u32 {
                    let on = Query { value: staged(query.value, $number) };
                    if !ctx.forward::<$next::Stage>(ctx.instance(), on).is_ok() {
                        self.refused = self.refused.wrapping_add(1);
                    }
                    0
                }
            }
        }
    };
}

between!(second, "report.second", 2, third);
between!(third, "report.third", 3, last);

/// Stage 4.
pub mod last {
    use super::{Event, Next, Query, first, staged};
    use ringkernel::prelude::*;

    #[ring_kernel(id = "report.last")]
    #[derive(Default, Debug)]
    pub struct Stage {
        pub events: u32,
        pub sum: u32,
        pub refused: u32,
    }

    #[ring_kernel]
    impl Stage {
        #[handler]
        fn event(&mut self, ctx: &mut RingContext, event: Event) {
            let value = staged(event.value, 4);
            self.events = self.events.wrapping_add(1);
            self.sum = self.sum.wrapping_add(value);
            if event.left > 0 {
                let next = Next { value, left: event.left - 1 };
                if !ctx.send::<first::Stage>(ctx.instance(), next).is_ok() {
                    self.refused = self.refused.wrapping_add(1);
                }
            }
        }

        #[handler]
        fn query(&mut self, _ctx: &mut RingContext, query: Query) -> u32 {
            staged(query.value, 4)
        }
    }
}
