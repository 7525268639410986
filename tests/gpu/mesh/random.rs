//! Random destinations: many small actors, each message sent on to any of them. The handler does as little as it can, so this is what the way
//! from handler to handler carries.

use super::Load;
use super::evidence::{Outcome, Seen, Watch, check_counters, text};
use super::talking::{Hop, Hopper, mix};
use ringkernel::ActorRef;
use ringkernel::prelude::*;
use ringkernel::runtime::launch;
use std::time::{Duration, Instant};

pub fn run(runtime: &RingKernel, load: &Load) -> Result<Outcome, String> {
    let instances = load.instances(1_000_000);
    let options = LaunchOptions::default()
        .mode(Mode::Persistent)
        .idle(IdlePolicy::Spin)
        .instances(instances)
        .queue_capacity(256);
    let shards = load.shards_or(1024).unwrap_or(16).min(instances.max(1));
    let options = options.shards(shards);
    let tokens = load.tokens(shards.saturating_mul(64));
    let mailbox = match load.mailbox {
        // Room for all where that is little, else for many times what there is on average.
        0 if tokens <= 2048 => (2 * tokens).next_power_of_two(),
        0 => (tokens / shards * 8).next_power_of_two().max(1024),
        slots => slots,
    };
    let options = options.mailbox(mailbox);
    let hoppers: ActorRef<Hopper> = smol::block_on(launch(runtime, options)).map_err(text)?;
    let hops = u32::try_from(load.messages / u64::from(tokens)).map_err(|_| "too many messages")?;
    let told = u64::from(tokens);
    let asked = told * u64::from(hops);
    let watch = Watch::begin(&[&hoppers], load.limit);
    let seed = |k: u32| {
        let random = mix(k.wrapping_add(0x9e37_79b9));
        ((random >> 3) % instances, Hop { random, left: hops, instances })
    };
    hoppers.tell_many_at_blocking((0..tokens).map(seed)).map_err(|error| error.to_string())?;
    let (tenth, mut window) = ((told + asked) / 10, Window::default());
    // Where a mailbox was full, hops are missing for good.
    let (mut last, mut looked) = (0, Instant::now());
    let mut given_up_some = false;
    let waited = watch.wait(told + asked, |seen| {
        window.add(seen, tenth);
        if looked.elapsed() > Duration::from_secs(2) {
            given_up_some = seen.1 == last && hoppers.mailbox().full > 0;
            (last, looked) = (seen.1, Instant::now());
        }
        !given_up_some
    });

    let moved = watch.end(told + asked);
    let states = smol::block_on(hoppers.snapshot_all::<Hopper>()).map_err(text)?;
    let handled: u64 = states.iter().map(|state| u64::from(state.handled)).sum();
    let given_up: u64 = states.iter().map(|state| u64::from(state.given_up)).sum();
    let busy = states.iter().filter(|state| state.handled > 0).count();
    let mut outcome = Outcome::default();
    outcome.row(format!(
        "{} instances alive, {busy} of them got something; {tokens} messages under way, mailboxes of {mailbox}",
        states.len()
    ));
    outcome.row(
        "         asked       handled     mailboxes  control block     telemetry      given up  full  M msg/s delivered".to_owned(),
    );
    outcome.row(format!(
        "{:>14}{:>14}{:>14}{:>15}{:>14}{:>14}{:>6}{:>12.3}  ({})",
        told + asked,
        handled,
        moved.mail,
        moved.control,
        moved.telemetry,
        given_up,
        moved.full,
        window.per_second() / 1e6,
        window.words(),
    ));
    outcome.check(handled + given_up == told + asked, || {
        format!("{handled} messages were handled and {given_up} refused of {}", told + asked)
    });
    let without_full = super::evidence::Counters { full: 0, ..moved };
    check_counters(without_full, handled, handled - told, &mut outcome);
    outcome.wrong.extend(waited.err());
    smol::block_on(hoppers.terminate()).map_err(text)?;
    Ok(outcome)
}

/// The part of a run in which it was neither starting nor ending: from the first tenth of the messages to the ninth.
#[derive(Default)]
struct Window {
    first: Option<Seen>,
    last: Option<Seen>,
}

impl Window {
    fn add(&mut self, seen: Seen, tenth: u64) {
        if seen.1 >= tenth && self.first.is_none() {
            self.first = Some(seen);
        } else if self.first.is_some() && (seen.1 <= 9 * tenth || self.last.is_none()) {
            self.last = Some(seen);
        }
    }

    fn of(&self) -> Option<(u64, f64)> {
        let (first, last) = (self.first?, self.last?);
        Some((last.1 - first.1, (last.0 - first.0).as_secs_f64()))
    }

    fn per_second(&self) -> f64 {
        self.of().map_or(0.0, |(messages, seconds)| messages as f64 / seconds.max(1e-9))
    }

    fn words(&self) -> String {
        match self.of() {
            Some((messages, seconds)) => format!("the control blocks: {messages} in {:.1} ms", seconds * 1e3),
            None => "too short to say".to_owned(),
        }
    }
}
