//! A ring of actors: each instance sends to the next one, and both number what passes between them. Several messages of each pair are
//! under way at once.

use super::Load;
use super::evidence::{Outcome, Tally, Watch, text};
use ringkernel::ActorRef;
use ringkernel::prelude::*;
use ringkernel::runtime::launch;

/// Which message comes from the host.
#[device_const]
pub const HOST: u32 = u32::MAX;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Token {
    /// The sender, or `HOST`.
    pub from: u32,
    /// Which of its messages it is.
    pub number: u32,
    /// How often it is still to be sent on.
    pub left: u32,
}

#[ring_kernel(id = "mesh.ring")]
#[derive(Default)]
pub struct Link {
    before: u32,
    after: u32,
    /// The number expected from the one before, and that of the next message to the one after.
    expected: u32,
    next: u32,
    received: u32,
    late: u32,
    skipped: u32,
    refused: u32,
    strangers: u32,
}

#[ring_kernel]
impl Link {
    #[handler]
    fn token(&mut self, ctx: &mut RingContext, token: Token) {
        if token.from != HOST {
            let ahead = token.number.wrapping_sub(self.expected);
            if ahead < 0x8000_0000 {
                self.skipped = self.skipped.wrapping_add(ahead);
                self.expected = token.number.wrapping_add(1);
            } else {
                self.late = self.late.wrapping_add(1);
            }
            if token.from != self.before {
                self.strangers = self.strangers.wrapping_add(1);
            }
            self.received = self.received.wrapping_add(1);
        }
        if token.left > 0 {
            let on = Token { from: ctx.instance(), number: self.next, left: token.left - 1 };
            if ctx.send::<Self>(self.after, on).is_ok() {
                self.next = self.next.wrapping_add(1);
            } else {
                self.refused = self.refused.wrapping_add(1);
            }
        }
    }
}

pub fn run(runtime: &RingKernel, load: &Load) -> Result<Outcome, String> {
    let instances = load.instances(4096);
    let tokens = load.tokens(instances.saturating_mul(2));
    // All of them may be in one mailbox, and what a shard has in hand takes room until all of it was handled.
    let mailbox = (2 * tokens).next_power_of_two();
    let initial = move |i: u32| Link {
        before: (i + instances - 1) % instances,
        after: (i + 1) % instances,
        ..Link::default()
    };
    let options = LaunchOptions::default().mode(Mode::Persistent).instances(instances).mailbox(mailbox);
    let options = load.sharded(options, 256).initial_state_with(initial);
    let ring: ActorRef<Link> = smol::block_on(launch(runtime, options)).map_err(text)?;
    let hops = u32::try_from(load.messages / u64::from(tokens)).map_err(|_| "too many messages")?;
    let told = u64::from(tokens);
    let asked = told * u64::from(hops);
    let watch = Watch::begin(&[&ring], load.limit);
    let seeds = (0..tokens).map(|k| (k % instances, Token { from: HOST, number: 0, left: hops }));
    ring.tell_many_at_blocking(seeds).map_err(|error| error.to_string())?;
    let waited = watch.wait(told + asked, |_| true);
    let seconds = watch.begun().elapsed().as_secs_f64();

    let moved = watch.end(told + asked);
    let links = smol::block_on(ring.snapshot_all::<Link>()).map_err(text)?;
    let mut outcome = Outcome::default();
    outcome
        .row(format!("{instances} instances in a ring, {tokens} messages under way, mailboxes of {mailbox}"));
    outcome.row(Tally::HEADER.to_owned());
    let sum = |what: fn(&Link) -> u32| links.iter().map(|link| u64::from(what(link))).sum();
    let pair = |link: &&Link| links.get(link.after as usize).is_none_or(|after| after.expected != link.next);
    let tally = Tally {
        asked,
        sent: sum(|link| link.next),
        received: sum(|link| link.received),
        late: sum(|link| link.late),
        skipped: sum(|link| link.skipped),
        refused: sum(|link| link.refused),
        altered: sum(|link| link.strangers),
        pairs: links.iter().filter(pair).count() as u64,
    };
    tally.judge(told, moved, seconds, &mut outcome);
    outcome.wrong.extend(waited.err());
    smol::block_on(ring.terminate()).map_err(text)?;
    Ok(outcome)
}
