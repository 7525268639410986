//! Large mailboxes and bursts that fill them: more than a device looks at in one go, of messages that are handled, that are waited for, and
//! that somebody waits for the answer to.

use crate::stage::{Outcome, PATIENCE, Stage, ask, check, in_time, options, same, state, stop, until};
use futures::future::{FutureExt, LocalBoxFuture, join_all};
use futures::stream::{FuturesUnordered, StreamExt, TryStreamExt};
use ringkernel::prelude::*;
use ringkernel::{ActorRef, MailboxSnapshot};
use ringkernel_tests::machine::{Stop, env_or};
use std::time::{Duration, Instant};

const MILLS: u32 = 4;
const BINS: u32 = 3;
/// The most of a burst. Loops are rationed on some devices.
const BURST: u32 = 1000;

/// Send so many grains to a bin, or seeds.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Burst {
    pub to: u32,
    pub count: u32,
    pub seeds: bool,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Sown {
    pub ok: u32,
    pub full: u32,
}

/// Numbered by mill and bin, together with errands.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Grain {
    pub number: u32,
}

/// Waits in the mailbox until the bin gathers it. Numbered for itself.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Seed {
    pub number: u32,
}

/// A bin is to answer this.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Errand {
    pub to: u32,
    pub mill: u32,
    pub number: u32,
}

/// The number that the errand had, if a bin had it.
#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Done {
    pub by_bin: bool,
    pub number: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Gather {}

#[ring_kernel(id = "bursts.mill")]
#[derive(Default, Debug, Clone, Copy)]
pub struct Mill {
    /// By bin.
    pub next: [u32; 4],
    pub next_seed: [u32; 4],
    pub lost: u32,
}

#[ring_kernel]
impl Mill {
    #[handler]
    fn burst(&mut self, ctx: &mut RingContext, msg: Burst) -> Sown {
        let mut sown = Sown { ok: 0, full: 0 };
        let to = (msg.to % 4) as usize;
        for _ in 0..msg.count {
            let sent = if msg.seeds {
                ctx.send_to_instance("bursts.bin", msg.to, Seed { number: self.next_seed[to] })
            } else {
                ctx.send::<Bin>(msg.to, Grain { number: self.next[to] })
            };
            match sent {
                Sent::Ok => {
                    sown.ok += 1;
                    if msg.seeds {
                        self.next_seed[to] += 1;
                    } else {
                        self.next[to] += 1;
                    }
                }
                Sent::Full => sown.full += 1,
                _ => self.lost += 1,
            }
        }
        sown
    }

    #[handler]
    fn errand(&mut self, ctx: &mut RingContext, msg: Errand) -> Done {
        let to = (msg.to % 4) as usize;
        let number = self.next[to];
        if ctx.forward::<Bin>(msg.to, Errand { to: msg.to, mill: ctx.instance(), number }).is_ok() {
            self.next[to] += 1;
        }
        Done { by_bin: false, number }
    }
}

#[ring_kernel(id = "bursts.bin")]
#[derive(Default, Debug, Clone, Copy)]
pub struct Bin {
    pub grains: u32,
    pub errands: u32,
    pub seeds: u32,
    /// By mill: the number after the last.
    pub next: [u32; 4],
    pub next_seed: u32,
    /// Numbers that came again, or too late; and those that were left out when a later one came.
    pub late: u32,
    pub skipped: u32,
}

#[ring_kernel]
impl Bin {
    #[handler]
    fn grain(&mut self, ctx: &mut RingContext, msg: Grain) {
        self.grains += 1;
        let from = (ctx.sender_instance() % 4) as usize;
        if msg.number < self.next[from] {
            self.late += 1;
        } else {
            self.skipped += msg.number - self.next[from];
            self.next[from] = msg.number + 1;
        }
    }

    #[handler]
    fn errand(&mut self, _ctx: &mut RingContext, msg: Errand) -> Done {
        self.errands += 1;
        let from = (msg.mill % 4) as usize;
        if msg.number < self.next[from] {
            self.late += 1;
        } else {
            self.skipped += msg.number - self.next[from];
            self.next[from] = msg.number + 1;
        }
        Done { by_bin: true, number: msg.number }
    }

    /// Takes a seed, if there is one. No loop: where those are rationed, an actor that has one handles few messages at a time.
    #[handler]
    fn gather(&mut self, ctx: &mut RingContext, _msg: Gather) -> bool {
        if let Some(seed) = ctx.try_receive_from_kernel::<Seed>("bursts.mill") {
            if seed.number != self.next_seed {
                self.late += 1;
            }
            self.next_seed = seed.number + 1;
            self.seeds += 1;
            return true;
        }
        false
    }
}

/// A mailbox that drops its oldest, and in it a request that somebody waits for the answer to, older than all else that is there: it is handled before
/// what its sender sent after it, however large the mailbox is.
pub async fn a_request_that_is_older_than_all_else_is_handled_before_what_came_after_it(
    stage: &Stage<'_>,
) -> Outcome {
    if stage.runtime.backend() != Backend::Wgpu {
        // Elsewhere the request is dropped like the others, or its mailbox drops nothing meanwhile.
        return Ok(());
    }
    for (mailbox, before, after) in [(1024, 0, 1300), (2048, 1700, 2100), (4096, 30, 4500)] {
        let shape = options().shards(1).instances(BINS).mailbox(mailbox).overflow(Overflow::DropOldest);
        let bin: ActorRef<Bin> = stage.launch(shape.without_auto_activate()).await?;
        let mill: ActorRef<Mill> = stage.launch(options().shards(1).instances(MILLS)).await?;
        sow(&mill, 0, 1, before, false).await?;
        let mut errand = send(&mill, 0, 1);
        check(errand.as_mut().now_or_never().is_none(), || "nobody answered".to_owned())?;
        sow(&mill, 0, 1, after, false).await?;
        in_time("activate", bin.activate()).await?.map_err(stop)?;
        let done = in_time("an answer", errand).await?.map_err(stop)?;
        same("the answer", done, Done { by_bin: true, number: before })?;
        let sent = u64::from(state::<Mill>(&mill, 0).await?.next[1]);
        until("all is handled or dropped", || {
            bin.control().messages_processed + bin.mailbox().dropped == sent
        })
        .await?;
        let got = state::<Bin>(&bin, 1).await?;
        same("late, errands, the last", (got.late, got.errands, u64::from(got.next[0])), (0, 1, sent))?;
        in_time("terminate", bin.terminate()).await?.map_err(stop)?;
        in_time("terminate", mill.terminate()).await?.map_err(stop)?;
    }
    Ok(())
}

/// Has a mill send, in bursts; how it fared.
async fn sow(mill: &ActorRef<Mill>, of: u32, to: u32, count: u32, seeds: bool) -> Result<Sown, Stop> {
    let (mill, mut all, mut left) = (mill.at(of).map_err(stop)?, Sown { ok: 0, full: 0 }, count);
    while left > 0 {
        let count = left.min(BURST);
        let sown = ask(&mill, Burst { to, count, seeds }).await?;
        all = Sown { ok: all.ok + sown.ok, full: all.full + sown.full };
        left -= count;
    }
    Ok(all)
}

type Waiting = LocalBoxFuture<'static, Result<Done, RingKernelError>>;

/// Has a mill send a bin an errand.
fn send(mill: &ActorRef<Mill>, of: u32, to: u32) -> Waiting {
    let mill = mill.at(of);
    async move { mill?.ask(Errand { to, mill: of, number: 0 }).await }.boxed_local()
}

/// Xorshift.
struct Random(u32);

impl Random {
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        (self.0 >> 4) % end
    }
}

/// Random policies, sizes and bursts, by four senders at once, to a kernel that is active and not, with errands and seeds between: what was `Ok` comes
/// once and in order, and all of it, or is counted as dropped; who waits for an answer gets it.
pub async fn bursts_into_mailboxes_of_any_size_arrive_once_in_order_or_are_counted(
    stage: &Stage<'_>,
) -> Outcome {
    for seed in 1..=env_or("RINGKERNEL_PROGRAMS", 12) {
        let mut random = Random((seed as u32).wrapping_mul(0x9e37_79b9));
        let overflow = [Overflow::Reject, Overflow::DropOldest, Overflow::Spill][random.below(3) as usize];
        let mailbox = 4 << random.below(11);
        let outcome = program(stage, &mut random, overflow, mailbox).await;
        let in_which =
            |why| Stop::Failed(format!("program {seed}, {overflow:?}, mailboxes of {mailbox}: {why}"));
        outcome.map_err(|stop| match stop {
            Stop::Failed(why) => in_which(why),
            other => other,
        })?;
    }
    Ok(())
}

async fn program(stage: &Stage<'_>, random: &mut Random, overflow: Overflow, mailbox: u32) -> Outcome {
    let drops = overflow == Overflow::DropOldest;
    let bin = options().shards(1).instances(BINS).mailbox(mailbox).overflow(overflow);
    let bin: ActorRef<Bin> = stage.launch(bin.without_auto_activate()).await?;
    let mill: ActorRef<Mill> = stage.launch(options().shards(1).instances(MILLS)).await?;
    let (mut active, mut errands, mut full) = (false, FuturesUnordered::new(), 0u64);
    // What is to be received is not to be dropped: which of it is the oldest is not the same everywhere.
    let seeds = !drops && random.below(2) == 0;
    for _ in 0..6 + random.below(10) {
        match random.below(8) {
            0 if active => {
                in_time("deactivate", bin.deactivate()).await?.map_err(stop)?;
                active = false;
            }
            1 | 2 if !active => {
                in_time("activate", bin.activate()).await?.map_err(stop)?;
                active = true;
            }
            0..=3 => {
                let mut errand = send(&mill, random.below(MILLS), random.below(BINS));
                // So that it is sent before what follows.
                match errand.as_mut().now_or_never() {
                    None => errands.push(errand),
                    Some(done) => errands.push(std::future::ready(done).boxed_local()),
                }
            }
            _ => {
                let most = if random.below(2) == 0 { 40 } else { mailbox.min(2 * BURST) };
                let some = (0..MILLS).map(|of| {
                    let (to, count) = (random.below(BINS), 1 + random.below(most));
                    sow(&mill, of, to, count, seeds && of == 0 && random.below(2) == 0)
                });
                for sown in join_all(some.collect::<Vec<_>>()).await {
                    full += u64::from(sown?.full);
                }
            }
        }
    }
    if !active {
        in_time("activate", bin.activate()).await?.map_err(stop)?;
    }
    let begin = Instant::now();
    let mut refused = 0;
    loop {
        while let Some(Some(done)) = errands.next().now_or_never() {
            match done {
                Ok(Done { by_bin, .. }) => refused += u64::from(!by_bin),
                Err(RingKernelError::HandlerFault(fault))
                    if drops && fault.kind == FaultKind::NotDelivered => {}
                Err(error) => return Err(stop(error)),
            }
        }
        let (mut sent, mut got) = (0, 0);
        for m in 0..MILLS {
            let state = state::<Mill>(&mill, m).await?;
            same("sends to nobody", state.lost, 0)?;
            sent += state.next.iter().chain(&state.next_seed).map(|&n| u64::from(n)).sum::<u64>();
        }
        for b in 0..BINS {
            if seeds {
                let bin = bin.at(b).map_err(stop)?;
                let all = bin.ask_many((0..64).map(|_| Gather {})).try_collect::<Vec<bool>>();
                in_time("seeds", all).await?.map_err(stop)?;
            }
            let state = state::<Bin>(&bin, b).await?;
            same("out of order", state.late, 0)?;
            got += u64::from(state.grains) + u64::from(state.errands) + u64::from(state.seeds);
        }
        let MailboxSnapshot { dropped, .. } = bin.mailbox();
        if errands.is_empty() && got + dropped == sent {
            break;
        }
        check(begin.elapsed() < PATIENCE, || {
            format!("{} errands wait; {got} handled and {dropped} dropped of {sent}", errands.len())
        })?;
        smol::Timer::after(Duration::from_millis(1)).await;
    }
    for b in 0..BINS {
        let there = state::<Bin>(&bin, b).await?;
        for m in 0..MILLS {
            let (sent, got) = (state::<Mill>(&mill, m).await?.next[b as usize], there.next[m as usize]);
            let as_promised = if drops { got <= sent } else { got == sent };
            check(as_promised, || format!("{m} sent {sent} to {b}, which got {got}"))?;
        }
        if !drops {
            same("skipped", there.skipped, 0)?;
        }
    }
    let mailbox = bin.mailbox();
    same("waiting", mailbox.waiting, 0)?;
    if overflow == Overflow::Reject || stage.runtime.backend() == Backend::Wgpu {
        same("told that it is full", mailbox.full, full + refused)?;
    }
    in_time("terminate", bin.terminate()).await?.map_err(stop)?;
    in_time("terminate", mill.terminate()).await?.map_err(stop)
}
