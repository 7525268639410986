//! Two actors that send one message back and forth.
//!
//! A rally of so many hops is timed by the device's own clock, from the handler that serves to the one that gets the last ball; its
//! time divided by the hops is one sample. One long rally is timed by the host as well, to see whether the clocks agree.

use super::Load;
use super::evidence::{Outcome, Watch, check_counters, text};
use crate::common::machine::quantile;
use ringkernel::ActorRef;
use ringkernel::prelude::*;
use ringkernel::runtime::launch;
use std::time::{Duration, Instant};

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Serve {
    /// An even number: the last ball comes back to who served.
    pub hops: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Ball {
    pub left: u32,
}

/// Asks about the last rally.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Took {}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rally {
    pub micros: u64,
    /// How many there were.
    pub rallies: u32,
    pub refused: u32,
}

#[ring_kernel(id = "mesh.ping")]
#[derive(Default)]
pub struct Ping {
    begun: HlcTimestamp,
    micros: u64,
    rallies: u32,
    refused: u32,
}

#[ring_kernel(id = "mesh.pong")]
#[derive(Default)]
pub struct Pong {
    refused: u32,
}

#[ring_kernel]
impl Ping {
    #[handler]
    fn serve(&mut self, ctx: &mut RingContext, serve: Serve) {
        self.begun = ctx.now();
        if !ctx.send::<Pong>(0, Ball { left: serve.hops - 1 }).is_ok() {
            self.refused += 1;
        }
    }

    #[handler]
    fn ball(&mut self, ctx: &mut RingContext, ball: Ball) {
        if ball.left == 0 {
            self.micros = ctx.now().micros() - self.begun.micros();
            self.rallies += 1;
        } else if !ctx.send::<Pong>(0, Ball { left: ball.left - 1 }).is_ok() {
            self.refused += 1;
        }
    }

    #[handler]
    fn took(&mut self, _ctx: &mut RingContext, _took: Took) -> Rally {
        Rally { micros: self.micros, rallies: self.rallies, refused: self.refused }
    }
}

#[ring_kernel]
impl Pong {
    #[handler]
    fn ball(&mut self, ctx: &mut RingContext, ball: Ball) {
        if !ctx.send::<Ping>(0, Ball { left: ball.left - 1 }).is_ok() {
            self.refused += 1;
        }
    }
}

pub fn run(runtime: &RingKernel, load: &Load) -> Result<Outcome, String> {
    let hops = (load.hops.max(2) / 2 * 2).min(1_000_000);
    let rallies = (load.messages / 2 / u64::from(hops)).clamp(3, 2000) as u32;
    let long = ((load.messages / 2).clamp(2, 1_000_000) / 2 * 2) as u32;
    let (ping, pong): (ActorRef<Ping>, ActorRef<Pong>) = smol::block_on(async {
        let options = || LaunchOptions::default().mode(Mode::Persistent).idle(IdlePolicy::Spin);
        Ok((launch(runtime, options()).await?, launch(runtime, options()).await?))
    })
    .map_err(text)?;
    let watch = Watch::begin(&[&ping, &pong], load.limit);
    let mut handled = 0;
    let mut played = 0;
    // Its time by the device's clock and by the host's.
    let mut rally = |hops: u32| {
        let begin = Instant::now();
        smol::block_on(ping.tell(Serve { hops })).map_err(text)?;
        handled += 1 + u64::from(hops);
        let end = watch.wait(handled, |_| true)?;
        let took = ping.ask_timeout(Took {}, Duration::from_secs(10));
        let took = smol::block_on(took).map_err(text)?;
        (handled, played) = (handled + 1, played + 1);
        let right = Rally { micros: took.micros, rallies: played, refused: 0 };
        if took != right {
            return Err(format!("{took:?} and not {right:?}"));
        }
        Ok((Duration::from_micros(took.micros), end - begin))
    };
    rally(hops)?;
    let mut times = Vec::new();
    for _ in 0..rallies {
        times.push(rally(hops)?.0 / hops);
    }
    let (by_device, by_host) = rally(long)?;
    let (rounds, asked) =
        (u64::from(rallies) + 2, u64::from(rallies + 1) * u64::from(hops) + u64::from(long));
    let moved = watch.end(handled);

    let mut outcome = Outcome::default();
    let nanos = |time: Duration| time.as_nanos();
    let worst = times.iter().max().copied().unwrap_or_default();
    outcome.row(format!(
        "one way, mean of {hops} hops by the device's clock, over {rallies} rallies: p50 {} ns, p99 {} ns, worst {} ns",
        nanos(quantile(&mut times, 0.5)),
        nanos(quantile(&mut times, 0.99)),
        nanos(worst),
    ));
    outcome.row(format!(
        "one rally of {long} hops: {} ns a hop by the device's clock, {} ns by the host's",
        nanos(by_device / long),
        nanos(by_host / long)
    ));
    outcome.row(format!(
        "{asked} hops were asked for; mailboxes {}, control blocks {}, telemetry {}, full {}, faults {}",
        moved.mail, moved.control, moved.telemetry, moved.full, moved.errors
    ));
    check_counters(moved, asked + 2 * rounds, asked, &mut outcome);
    smol::block_on(async {
        ping.terminate().await?;
        pong.terminate().await
    })
    .map_err(text)?;
    Ok(outcome)
}
