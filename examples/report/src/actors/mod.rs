//! The actors that are measured; those that send to each other are in `talking`, and those that publish in `publishing`.

pub mod publishing;
pub mod talking;

use ringkernel::prelude::*;

/// Counts, and sums what it is sent: a reply says which message it answers, how many came before it, and what all of them held.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Count {
    pub number: u32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    pub number: u32,
    pub count: u32,
    pub sum: u32,
}

#[ring_kernel(id = "report.counter")]
#[derive(Default, Debug)]
pub struct Counter {
    count: u32,
    sum: u32,
}

#[ring_kernel]
impl Counter {
    #[handler]
    fn count(&mut self, _ctx: &mut RingContext, msg: Count) -> Counted {
        self.count = self.count.wrapping_add(1);
        self.sum = self.sum.wrapping_add(msg.number);
        Counted { number: msg.number, count: self.count, sum: self.sum }
    }
}

/// Slow on purpose, so that its ring stays full.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Grind {
    pub rounds: u32,
}

#[ring_kernel(id = "report.grinder")]
#[derive(Default, Debug)]
pub struct Grinder {
    seed: u32,
    pub count: u32,
}

#[ring_kernel]
impl Grinder {
    #[handler]
    fn grind(&mut self, _ctx: &mut RingContext, msg: Grind) -> u32 {
        let mut seed = self.seed;
        for _ in 0..msg.rounds {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        }
        self.seed = seed;
        self.count = self.count.wrapping_add(1);
        seed
    }
}

/// Asks for some outputs.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Give {
    pub number: u32,
    pub outputs: u32,
}

/// One of them.
#[derive(RingMessage, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    pub number: u32,
    pub output: u32,
}

#[ring_kernel(id = "report.giver")]
#[derive(Default, Debug)]
pub struct Giver {
    pub refused: u32,
}

#[ring_kernel]
impl Giver {
    #[handler]
    fn give(&mut self, ctx: &mut RingContext, msg: Give) {
        for output in 0..msg.outputs {
            if !ctx.enqueue_output(Given { number: msg.number, output }).is_ok() {
                self.refused += 1;
            }
        }
    }
}
