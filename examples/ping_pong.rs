//! Lesson 10: two actors that talk.
//!
//! A handler sends with its context. `ctx.send::<Ponger>(0, ball)` is for instance 0 of the kernel of that type, and does not compile where `Ponger`
//! has no handler for a `Ball`. `ctx.reply(ball)` is for whoever sent the message at hand. On one device the message goes from the one
//! kernel straight into the other's mailbox: the host is told of none of these strokes.
//!
//! A send never waits and never fails silently. It says how it went: `Ok`, `Full`, or that there is nobody (`Gone`).

use futures::StreamExt;
use ringkernel::prelude::*;
use std::time::Instant;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Serve {
    pub strokes: u32,
}

/// On its way between the two; it knows how many strokes are still to come.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Ball {
    pub left: u32,
}

/// What the host is told at the end.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Played {
    pub returned: u32,
}

#[ring_kernel(id = "pinger")]
#[derive(Default)]
pub struct Pinger {
    returned: u32,
}

#[ring_kernel]
impl Pinger {
    /// Whether there was somebody to play with.
    #[handler]
    fn serve(&mut self, ctx: &mut RingContext, msg: Serve) -> bool {
        self.returned = 0;
        ctx.send::<Ponger>(0, Ball { left: msg.strokes - 1 }).is_ok()
    }

    /// An actor that another kernel sent to has nobody to answer: a handler like this one returns nothing.
    #[handler]
    fn ball(&mut self, ctx: &mut RingContext, msg: Ball) {
        self.returned += 1;
        if msg.left == 0 || !ctx.reply(Ball { left: msg.left - 1 }).is_ok() {
            // Not an answer to anybody, but something for the host to take.
            let _ = ctx.enqueue_output(Played { returned: self.returned });
        }
    }
}

#[ring_kernel(id = "ponger")]
#[derive(Default)]
pub struct Ponger {
    returned: u32,
}

#[ring_kernel]
impl Ponger {
    #[handler]
    fn ball(&mut self, ctx: &mut RingContext, msg: Ball) {
        self.returned += 1;
        if !ctx.reply(Ball { left: msg.left.saturating_sub(1) }).is_ok() {
            self.returned -= 1;
        }
    }
}

fn main() -> Result<(), RingKernelError> {
    const STROKES: u32 = 1_000;
    smol::block_on(async {
        let runtime = RingKernel::builder().build().await?;
        let pinger = Pinger::launch(&runtime, LaunchOptions::default()).await?;

        // Nobody is there yet, and the send says so: `Gone`.
        println!("alone, the ball is played: {}", pinger.serve(Serve { strokes: STROKES }).await?);

        // Kernels of one runtime are connected as they come: now `ctx.send::<Ponger>` leads somewhere.
        let ponger = Ponger::launch(&runtime, LaunchOptions::default()).await?;
        for connection in pinger.connections() {
            println!("what `pinger` sends to `{}` goes to {:?}", connection.id, connection.to);
        }

        // The reply to `serve` only says that the ball is on its way. What comes of it the host takes from a stream.
        let mut played = pinger.outputs::<Played>()?;
        let start = Instant::now();
        println!("together, the ball is played: {}", pinger.serve(Serve { strokes: STROKES }).await?);
        if let Some(played) = played.next().await {
            let returned = played?.message.returned;
            println!("{STROKES} strokes on {}: the pinger returned {returned} of them", runtime.backend());
            println!("a stroke took {:.2} us", start.elapsed().as_secs_f64() * 1e6 / f64::from(STROKES));
            assert_eq!(returned, STROKES / 2);
        }

        // When the ponger goes, nobody is there again.
        ponger.terminate().await?;
        println!("alone again, the ball is played: {}", pinger.serve(Serve { strokes: 2 }).await?);
        runtime.shutdown().await
    })
}
