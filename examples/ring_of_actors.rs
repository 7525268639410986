//! Lesson 12: a ring of actors.
//!
//! Actors of one kernel send to each other as those of different kernels do: `ctx.send::<Self>(next, token)`. Here a thousand of them stand in
//! a ring, tokens go round it, and each actor knows nothing but its neighbour. Whatever token comes, and however many do, is handled one
//! at a time; tokens do not overtake each other, because each actor passes them on in the order in which they came, and messages from
//! one sender arrive in the order sent.

use futures::StreamExt;
use ringkernel::prelude::*;
use std::time::Instant;

/// Handlers use it as well, so devices have to know it.
#[device_const]
const RING: u32 = 1000;
const TOKENS: u32 = 16;
const ROUNDS: u32 = 2;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Token {
    pub number: u32,
    pub hops_left: u32,
}

/// A token has come to its end.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Arrived {
    pub token: u32,
}

#[ring_kernel(id = "standing")]
#[derive(Default)]
pub struct Standing {
    passed: u32,
    /// The token that comes next if none has overtaken another.
    expected: u32,
    overtaken: u32,
    refused: u32,
}

#[ring_kernel]
impl Standing {
    #[handler]
    fn token(&mut self, ctx: &mut RingContext, msg: Token) {
        if msg.number != self.expected {
            self.overtaken += 1;
        }
        self.expected = (msg.number + 1) % 16;
        self.passed += 1;
        if msg.hops_left == 0 {
            let _ = ctx.enqueue_output(Arrived { token: msg.number });
            return;
        }
        let next = (ctx.instance() + 1) % RING;
        if !ctx.send::<Self>(next, Token { number: msg.number, hops_left: msg.hops_left - 1 }).is_ok() {
            self.refused += 1;
        }
    }
}

fn main() -> Result<(), RingKernelError> {
    smol::block_on(async {
        let runtime = RingKernel::builder().build().await?;
        let ring = Standing::launch(&runtime, LaunchOptions::default().instances(RING)).await?;
        println!("{} actors in a ring on {}", ring.instances(), runtime.backend());

        let mut arrived = ring.outputs::<Arrived>()?;
        let start = Instant::now();
        let hops = RING * ROUNDS - 1;
        for number in 0..TOKENS {
            ring.tell(Token { number, hops_left: hops }).await?;
        }
        // Every token goes round the ring twice, and ends where it began less one.
        for _ in 0..TOKENS {
            let Some(token) = arrived.next().await else { break };
            let token = token?;
            if token.message.token % 8 == 0 {
                println!("token {} has come to actor {}", token.message.token, token.instance);
            }
        }
        let (took, handled) = (start.elapsed(), TOKENS * (hops + 1));
        println!("{handled} messages, {:.2} us each", took.as_secs_f64() * 1e6 / f64::from(handled));

        // Nothing was lost, and nothing came out of order: each actor has seen each token twice, in turn.
        let states = ring.snapshot_all::<Standing>().await?;
        let all = |what: fn(&Standing) -> u32| states.iter().map(what).sum::<u32>();
        println!(
            "passed {}, refused {}, overtaken {}",
            all(|s| s.passed),
            all(|s| s.refused),
            all(|s| s.overtaken)
        );
        assert_eq!((all(|s| s.passed), all(|s| s.overtaken)), (handled, 0));
        ring.terminate().await?;
        runtime.shutdown().await
    })
}
