//! State that persists from message to message, many instances apart from each other, and what a fault leaves behind.

use ringkernel::prelude::*;
use ringkernel_tests::inputs::{one, three, two};
use ringkernel_tests::suite::{Conformance, Suite};

/// The account of the documentation, and a little more.
#[ring_kernel(id = "state_account")]
#[derive(Default)]
pub struct Account {
    cents: i64,
    deposits: u32,
    frozen: bool,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Deposit {
    pub cents: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Withdraw {
    pub cents: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Freeze {
    pub frozen: bool,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Salt {
    pub salt: u32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Balance {
    pub cents: i64,
    pub deposits: u32,
    pub instance: u32,
}

#[ring_kernel]
impl Account {
    #[handler]
    fn deposit(&mut self, ctx: &mut RingContext, msg: Deposit) -> Balance {
        self.deposits += 1;
        self.cents += msg.cents;
        Balance { cents: self.cents, deposits: self.deposits, instance: ctx.instance() }
    }

    /// Faults where the account is frozen, after it has counted the try.
    #[handler]
    fn withdraw(&mut self, _ctx: &mut RingContext, msg: Withdraw) -> bool {
        self.deposits ^= 0x8000_0000;
        assert!(!self.frozen, "the account is frozen");
        if self.cents < msg.cents as i64 {
            return false;
        }
        self.cents -= msg.cents as i64;
        true
    }

    #[handler]
    fn freeze(&mut self, _ctx: &mut RingContext, msg: Freeze) {
        self.frozen = msg.frozen;
    }

    #[handler]
    fn salted(&mut self, ctx: &mut RingContext, msg: Salt) -> u32 {
        ctx.instance().wrapping_mul(msg.salt) ^ self.deposits
    }
}

/// A rolling mean, a hash chain and a small ring buffer: every answer depends on all messages before it.
#[ring_kernel(id = "state_history")]
pub struct History {
    hash: u64,
    window: [i32; 4],
    head: u8,
    sum: i64,
    largest: i32,
    seen: [bool; 3],
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Mix {
    pub word: u64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Observe {
    pub value: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Observed {
    pub mean: i32,
    pub largest: i32,
    pub dropped: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct See {
    pub which: u8,
    pub forget: bool,
    pub all: bool,
}

#[ring_kernel]
impl History {
    #[handler]
    fn mix(&mut self, _ctx: &mut RingContext, msg: Mix) -> u64 {
        self.hash = (self.hash ^ msg.word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17);
        self.hash
    }

    #[handler]
    fn observe(&mut self, _ctx: &mut RingContext, msg: Observe) -> Observed {
        let at = self.head as usize;
        let dropped = self.window[at];
        self.window[at] = msg.value;
        self.head = (self.head + 1) % 4;
        self.sum += msg.value as i64 - dropped as i64;
        self.largest = self.largest.max(msg.value);
        Observed { mean: (self.sum / 4) as i32, largest: self.largest, dropped }
    }

    #[handler]
    fn see(&mut self, _ctx: &mut RingContext, msg: See) -> u8 {
        let which = (msg.which % 3) as usize;
        if msg.all {
            self.seen = [true; 3];
        }
        self.seen[which] = !msg.forget;
        self.seen[0] as u8 + 2 * self.seen[1] as u8 + 4 * self.seen[2] as u8
    }
}

/// What they are asked.
pub fn suites() -> Vec<Box<dyn Conformance>> {
    let account = Suite::new("state_account", 37, |instance| Account {
        cents: instance as i64 * 1000,
        deposits: 0,
        frozen: instance % 5 == 4,
    })
    .case("deposit", one(|cents| Deposit { cents }))
    .case("withdraw", one(|cents| Withdraw { cents }))
    .case("freeze", one(|frozen| Freeze { frozen }))
    .case("salted", one(|salt| Salt { salt }));
    let history = Suite::new("state_history", 100, |instance| History {
        hash: instance as u64,
        window: [0; 4],
        head: 0,
        sum: 0,
        largest: i32::MIN,
        seen: [false; 3],
    })
    .case("mix", one(|word| Mix { word }))
    .case("observe", two(|value, _: u8| Observe { value }))
    .case("see", three(|which, forget, all| See { which, forget, all }));
    vec![Box::new(account), Box::new(history)]
}
