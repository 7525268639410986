//! Lesson 9: many messages at once.
//!
//! A message costs what it takes to write 64 bytes, if it is not alone: `tell_many` and `ask_many` reserve room for hundreds of
//! messages in one step, and tell the device once. What they promise is what `tell` and `ask` promise. A kernel with several instances
//! takes each message with the number of the instance it is for.

use futures::{StreamExt, TryStreamExt};
use ringkernel::prelude::*;

const TURNSTILES: u32 = 64;
const VISITORS: u32 = 100_000;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Enter {
    pub ticket: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Check {
    pub ticket: u32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Checked {
    pub valid: bool,
    pub entered: u32,
}

#[ring_kernel(id = "turnstile")]
#[derive(Default)]
pub struct Turnstile {
    entered: u32,
    newest: u32,
}

#[ring_kernel]
impl Turnstile {
    #[handler]
    fn enter(&mut self, _ctx: &mut RingContext, msg: Enter) {
        assert!(msg.ticket != 0, "nobody enters without a ticket");
        self.entered += 1;
        self.newest = msg.ticket;
    }

    #[handler]
    fn check(&mut self, _ctx: &mut RingContext, msg: Check) -> Checked {
        assert!(msg.ticket != 0, "nobody enters without a ticket");
        Checked { valid: msg.ticket <= self.newest, entered: self.entered }
    }
}

fn main() -> Result<(), RingKernelError> {
    smol::block_on(async {
        let runtime = RingKernel::builder().build().await?;
        let options = LaunchOptions::default().instances(TURNSTILES);
        let turnstiles = Turnstile::launch(&runtime, options).await?;
        println!("{} turnstiles on {}", turnstiles.instances(), runtime.backend());

        // Messages without an answer, each with its instance: handed over when this returns, in order for each instance.
        turnstiles.tell_many_at((1..=VISITORS).map(|ticket| (ticket % TURNSTILES, Enter { ticket }))).await?;

        // Requests: a stream of the replies, in the order of the messages, with up to 1024 requests under way.
        let checks = (0..TURNSTILES).map(|at| (at, Check { ticket: VISITORS }));
        let checked: Vec<Checked> = turnstiles.ask_many_at(checks).try_collect().await?;
        let entered: u32 = checked.iter().map(|checked| checked.entered).sum();
        let valid = checked.iter().filter(|checked| checked.valid).count();
        println!("{entered} visitors entered; the last ticket was seen at {valid} turnstile");

        // Each item is a result of its own: a fault ends one request, and the next goes on.
        let tickets = [1, 0, 2].map(|ticket| Check { ticket });
        let mut replies = turnstiles.ask_many(tickets).in_flight(2);
        while let Some(reply) = replies.next().await {
            match reply {
                Ok(checked) => println!("valid: {}", checked.valid),
                Err(fault) => println!("refused: {fault}"),
            }
        }
        drop(replies);

        // A thread outside any executor looks for the replies itself.
        let first = turnstiles.at(1)?;
        let valid = first.ask_many((1..=1000).map(|ticket| Check { ticket })).blocking();
        println!(
            "{} of the first thousand tickets are valid",
            valid.filter(|reply| matches!(reply, Ok(Checked { valid: true, .. }))).count()
        );

        turnstiles.terminate().await?;
        runtime.shutdown().await
    })
}
