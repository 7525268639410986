//! Kernels that handle so many messages and return for good: for `compute-sanitizer`, which sees a kernel once it has ended.
//!
//! ```text
//! compute-sanitizer --tool memcheck  --error-exitcode 9 faults --child --case ending --backend cuda
//! compute-sanitizer --tool synccheck --error-exitcode 9 faults --child --case ending --backend cuda
//! compute-sanitizer --tool synccheck --error-exitcode 9 faults --child --case ending-talk --backend cuda
//! ```
//!
//! memcheck knows the memory that there was when a kernel was launched. A mailbox is made later, while the kernel is resident, and memcheck ends the
//! kernel at its first look there: "out of bounds and inside the nearest allocation".

use super::case::{Ground, Outcome, ensure, text};
use crate::common::machine::eventually;
use crate::common::worker::{Blob, Echo, Fail, Worker};
use ringkernel::prelude::*;
use ringkernel_backends::abi::HasTerminated;
use std::time::Duration;

const SHARDS: u32 = 2;
/// Messages under way among kernels that talk.
const TOKENS: u32 = 8;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Token {
    left: u32,
}

#[ring_kernel(id = "faults.passer")]
#[derive(Default)]
pub struct Passer {
    handled: u32,
    refused: u32,
}

#[ring_kernel]
impl Passer {
    #[handler]
    fn pass(&mut self, ctx: &mut RingContext, token: Token) {
        self.handled += 1;
        if token.left > 0 && !ctx.send::<Self>(1 - ctx.instance(), Token { left: token.left - 1 }).is_ok() {
            self.refused += 1;
        }
    }
}

pub fn after_so_many_messages(ground: &Ground) -> Outcome {
    let each = ground.number("--messages", 256, 512)?.next_multiple_of(8);
    let runtime = ground.runtime()?;
    let mut all = 0;
    for (instances, capacity) in [(SHARDS, 1024), (SHARDS * 33, 64)] {
        let options = LaunchOptions::default()
            .instances(instances)
            .queue_capacity(capacity)
            .shards(SHARDS)
            .stop_after(each);
        let worker =
            smol::block_on(ringkernel::__private::launch::<Worker>(&runtime, options)).map_err(text)?;
        // Eight messages a shard and turn: a tell, an ask, one of several slots, one that faults, and four at once.
        for turn in 0..each as u32 / 8 {
            for shard in 0..SHARDS {
                let to = worker.at((turn * SHARDS + shard) % instances).map_err(text)?;
                let blob = Blob { words: std::array::from_fn(|i| i as u32 * 7 + turn) };
                let (echo, whole, fault) = smol::block_on(async {
                    to.tell(Echo { n: turn }).await?;
                    let all = (to.ask(Echo { n: turn }), to.ask(blob), to.ask(Fail {}));
                    Ok::<_, RingKernelError>(futures::future::join3(all.0, all.1, all.2).await)
                })
                .map_err(text)?;
                let many = to.ask_many((0..4).map(|n| Echo { n })).blocking();
                for (n, reply) in (1..).zip(many) {
                    ensure(reply == Ok(n), || format!("{n} - 1 was answered with {reply:?}"))?;
                }
                ensure(echo == Ok(turn + 1), || format!("{turn} was answered with {echo:?}"))?;
                let expected = blob.words.map(|word| word + 1);
                ensure(whole.as_ref().is_ok_and(|whole| whole.words == expected), || {
                    format!("{turn}: {whole:?}")
                })?;
                ensure(matches!(fault, Err(RingKernelError::HandlerFault(_))), || {
                    format!("{turn}: {fault:?}")
                })?;
            }
        }
        let ended =
            eventually(Duration::from_secs(30), || worker.control().has_terminated == HasTerminated::Done);
        ensure(ended, || format!("it does not end: {:?}", worker.control()))?;
        let (control, sent) = (worker.control(), each * SHARDS as u64);
        ensure(control.messages_processed == sent && control.errors_encountered == sent / 8, || {
            format!("{control:?}")
        })?;
        smol::block_on(worker.terminate()).map_err(text)?;
        all += sent;
    }
    smol::block_on(runtime.shutdown()).map_err(text)?;
    Ok(format!("two kernels ended by themselves after {all} messages"))
}

/// Two shards hand messages to each other, and have each handled so many when none is left.
pub fn talking(ground: &Ground) -> Outcome {
    let each = ground.number("--messages", 256, 512)?.next_multiple_of(8);
    let runtime = ground.runtime()?;
    let options = LaunchOptions::default().instances(SHARDS).shards(SHARDS).stop_after(each);
    let passer = smol::block_on(ringkernel::__private::launch::<Passer>(&runtime, options)).map_err(text)?;
    let left = each as u32 * SHARDS / TOKENS - 1;
    for token in 0..TOKENS {
        passer.at(token % SHARDS).and_then(|to| to.tell_blocking(Token { left })).map_err(text)?;
    }
    let ended =
        eventually(Duration::from_secs(30), || passer.control().has_terminated == HasTerminated::Done);
    ensure(ended, || format!("it does not end: {:?}", passer.control()))?;
    let (control, handled) = (passer.control(), each * SHARDS as u64);
    let seen = (control.messages_processed, control.errors_encountered, passer.mailbox().received);
    ensure(seen == (handled, 0, handled - u64::from(TOKENS)), || format!("{seen:?} of {handled}"))?;
    smol::block_on(async { (passer.terminate().await, runtime.shutdown().await) }).0.map_err(text)?;
    Ok(format!("a kernel ended by itself after its shards had sent each other {} messages", seen.2))
}
