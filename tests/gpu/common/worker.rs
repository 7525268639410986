//! An actor that does as it is told: answers, is busy, never returns, panics.

use ringkernel::prelude::*;

/// Answers with its number and one.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Echo {
    pub n: u32,
}

/// Keeps the handler busy for so many rounds.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Busy {
    pub rounds: u32,
}

/// Its handler never returns.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Forever {
    pub seed: u32,
}

/// Its handler panics.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Fail {}

/// A message of several slots; answered with itself, each word plus one.
#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Blob {
    pub words: [u32; 50],
}

#[ring_kernel(id = "worker")]
#[derive(Default, Debug, PartialEq)]
pub struct Worker {
    pub handled: u64,
    pub noise: u32,
}

#[ring_kernel]
impl Worker {
    #[handler]
    fn echo(&mut self, _ctx: &mut RingContext, msg: Echo) -> u32 {
        self.handled = self.handled.wrapping_add(1);
        msg.n.wrapping_add(1)
    }

    #[handler]
    fn busy(&mut self, _ctx: &mut RingContext, msg: Busy) -> u32 {
        let mut x = self.noise | 1;
        for _ in 0..msg.rounds {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
        }
        self.noise = x;
        self.handled = self.handled.wrapping_add(1);
        x
    }

    #[handler]
    fn forever(&mut self, _ctx: &mut RingContext, msg: Forever) -> u32 {
        // Such a generator never reaches 0 from anything else, which no compiler knows.
        let mut x = msg.seed | 1;
        while x != 0 {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
        }
        x
    }

    #[handler]
    fn fail(&mut self, _ctx: &mut RingContext, _msg: Fail) {
        self.handled = self.handled.wrapping_add(1);
        panic!("as it was told to");
    }

    #[handler]
    fn blob(&mut self, _ctx: &mut RingContext, msg: Blob) -> Blob {
        let mut words = [0u32; 50];
        let mut i = 0usize;
        while i < 50 {
            words[i] = msg.words[i].wrapping_add(1);
            i += 1;
        }
        self.handled = self.handled.wrapping_add(1);
        Blob { words }
    }
}
