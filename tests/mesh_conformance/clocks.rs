//! The hybrid logical clocks of kernels.

use crate::stage::{Outcome, Stage, ask, check, handled, in_time, options, same, stop};
use futures::StreamExt;
use ringkernel::Hlc;
use ringkernel::prelude::*;
use std::time::{SystemTime, UNIX_EPOCH};

/// Goes from instance to instance and from kernel to kernel.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Baton {
    pub left: u32,
    /// The clock of whoever sent it, before.
    pub at: HlcTimestamp,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Rumour {
    pub at: HlcTimestamp,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Heard {
    pub before: HlcTimestamp,
    pub after: HlcTimestamp,
}

macro_rules! runner {
    ($name:ident, $id:literal, $other:ident) => {
        #[ring_kernel(id = $id)]
        #[derive(Default, Debug)]
        pub struct $name {
            last: HlcTimestamp,
            /// How often a clock was not past what it had to be past.
            wrong: u32,
            runs: u32,
        }

        #[ring_kernel]
        impl $name {
            #[handler]
            fn baton(&mut self, ctx: &mut RingContext, msg: Baton) -> HlcTimestamp {
                let (sent, now) = (ctx.sent_at(), ctx.now());
                let (one, two) = (ctx.tick(), ctx.tick());
                // The stamp of a message is past what its sender knew, and the receiver's clock is past that.
                if sent <= msg.at || now < sent || one <= now || two <= one || one <= self.last {
                    self.wrong += 1;
                }
                self.last = two;
                self.runs += 1;
                if msg.left == 0 {
                    let _ = ctx.enqueue_output(Rumour { at: two });
                } else {
                    let baton = Baton { left: msg.left - 1, at: two };
                    let sent = if msg.left & 3 == 0 {
                        ctx.send::<Self>((ctx.instance() + 1) % 4, baton)
                    } else {
                        ctx.send::<$other>((ctx.instance() + msg.left) % 4, baton)
                    };
                    if !sent.is_ok() {
                        self.wrong += 1;
                    }
                }
                two
            }

            #[handler]
            fn rumour(&mut self, ctx: &mut RingContext, msg: Rumour) -> Heard {
                let before = ctx.tick();
                ctx.update_clock(msg.at);
                Heard { before, after: ctx.tick() }
            }
        }
    };
}
runner!(Runner, "runner", Other);
runner!(Other, "other", Runner);

/// What was caused by something has the larger timestamp, from handler to handler, over kernels, and from the host and back.
pub async fn clocks_are_past_every_cause_from_handler_to_handler_and_back_to_the_host(
    stage: &Stage<'_>,
) -> Outcome {
    const HOPS: u32 = 300;
    let runner = stage.launch::<Runner>(options().instances(4)).await?;
    let other = stage.launch::<Other>(options().instances(4)).await?;
    let clock = stage.runtime.clock();
    let mut outputs = [runner.outputs::<Rumour>().map_err(stop)?, other.outputs::<Rumour>().map_err(stop)?];
    for round in 0..4 {
        // From here on the time of day alone would not do: whoever has not seen the sender's clock is behind it.
        let begins = runner.at(round).map_err(stop)?;
        let ahead = ahead_of_the_time_of_day(200);
        let heard = ask(&begins, Rumour { at: ahead }).await?;
        let first = ask(&begins, Baton { left: HOPS, at: heard.after }).await?;
        let [one, two] = &mut outputs;
        let last = in_time("the last runner", futures::future::select(one.next(), two.next())).await?;
        let last = last.factor_first().0.ok_or("the kernel ended".to_owned())?.map_err(stop)?;
        let after = clock.tick();
        check(
            ahead < first && first < last.message.at && last.message.at < last.at && last.at < after,
            || format!("not in order: {ahead}, {first}, {}, {}, {after}", last.message.at, last.at),
        )?;
    }
    let all = 4 * (u64::from(HOPS) + 2);
    let both = || runner.control().messages_processed + other.control().messages_processed;
    crate::stage::until("all were handled", || both() >= all).await?;
    let mut runs = 0;
    for instance in 0..4 {
        let state = crate::stage::state::<Runner>(&runner, instance).await?;
        same("a clock that was not past a cause", state.wrong, 0)?;
        let of_other = crate::stage::state::<Other>(&other, instance).await?;
        same("a clock that was not past a cause", of_other.wrong, 0)?;
        runs += u64::from(state.runs + of_other.runs);
    }
    same("messages", runs + 4, all)
}

/// A timestamp that is seen moves a kernel's clock, unless it is too far ahead to be believed.
pub async fn a_clock_believes_a_timestamp_within_the_drift_bound_and_no_other(stage: &Stage<'_>) -> Outcome {
    let runner = stage.launch::<Runner>(options()).await?;
    let clock = stage.runtime.clock();
    let bound = Hlc::MAX_DRIFT.as_millis() as u64;
    let near = ahead_of_the_time_of_day(bound - 50);
    let heard = ask(&runner, Rumour { at: near }).await?;
    check(heard.before < heard.after && heard.after > near, || format!("{near}: {heard:?}"))?;
    let hours = ahead_of_the_time_of_day(3_600_000);
    for far in [ahead_of_the_time_of_day(2 * bound + 1000), hours, HlcTimestamp::from_u64(u64::MAX)] {
        let heard = ask(&runner, Rumour { at: far }).await?;
        check(heard.before < heard.after && heard.after < far, || format!("{far}: {heard:?}"))?;
    }
    // Nor does the host follow.
    check(clock.now() < ahead_of_the_time_of_day(bound), || "the host's clock was led away".into())?;
    handled(&runner, 4).await
}

/// So many milliseconds.
fn ahead_of_the_time_of_day(millis: u64) -> HlcTimestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    HlcTimestamp::from_u64((now.as_micros() as u64 + millis * 1000) << HlcTimestamp::COUNTER_BITS)
}
