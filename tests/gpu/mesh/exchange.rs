//! All to all: every instance of two kernels sends to every instance of both, and both ends of each pair number what passes between them.
//!
//! A message is a token: whoever gets it sends it on to somebody, at random, with the next number of that pair. There are so few tokens that
//! all of them fit into one mailbox, so no send may be refused.

use super::evidence::{Outcome, Tally, Watch, text};
use super::{Load, mix};
use ringkernel::ActorRef;
use ringkernel::prelude::*;
use ringkernel::runtime::launch;

/// The most instances of both kernels together.
pub const SEATS: u32 = 256;
/// Who sent what the host did.
#[device_const]
pub const HOST: u32 = u32::MAX;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Token {
    /// The sender's seat, or `HOST`.
    pub from: u32,
    /// Which of the messages from there to here it is.
    pub number: u32,
    /// How often it is still to be sent on.
    pub left: u32,
    pub random: u32,
}

/// What a seat counts.
pub struct Seat {
    expected: [u32; SEATS as usize],
    next: [u32; SEATS as usize],
    tally: Tally,
    digest: u32,
}

macro_rules! side {
    ($module:ident, $id:literal) => {
        pub mod $module {
            use super::{HOST, SEATS, Seat, Tally, Token, left, mix, right};
            use ringkernel::prelude::*;

            #[ring_kernel(id = $id)]
            pub struct Side {
                /// Of each seat: the number expected next from it, and that of the next message to it.
                expected: [u32; 256],
                next: [u32; 256],
                me: u32,
                /// Seats below this are the left kernel's.
                split: u32,
                seats: u32,
                received: u32,
                sent: u32,
                late: u32,
                skipped: u32,
                refused: u32,
                /// What was sent less what was received.
                digest: u32,
            }

            #[ring_kernel]
            impl Side {
                #[handler]
                fn token(&mut self, ctx: &mut RingContext, token: Token) {
                    if token.from != HOST {
                        let from = (token.from & 0xff) as usize;
                        let ahead = token.number.wrapping_sub(self.expected[from]);
                        if ahead < 0x8000_0000 {
                            self.skipped = self.skipped.wrapping_add(ahead);
                            self.expected[from] = token.number.wrapping_add(1);
                        } else {
                            self.late = self.late.wrapping_add(1);
                        }
                        self.received = self.received.wrapping_add(1);
                        self.digest = self.digest.wrapping_sub(token.random ^ token.number);
                    }
                    if token.left > 0 {
                        let random = mix(token.random);
                        let to = (random >> 4) % self.seats;
                        let number = self.next[to as usize];
                        let on = Token { from: self.me, number, left: token.left - 1, random };
                        let sent = if to < self.split {
                            ctx.send::<left::Side>(to, on)
                        } else {
                            ctx.send::<right::Side>(to - self.split, on)
                        };
                        if sent.is_ok() {
                            self.next[to as usize] = number.wrapping_add(1);
                            self.sent = self.sent.wrapping_add(1);
                            self.digest = self.digest.wrapping_add(random ^ number);
                        } else {
                            self.refused = self.refused.wrapping_add(1);
                        }
                    }
                }
            }

            impl Side {
                pub fn new(me: u32, split: u32, seats: u32) -> Self {
                    debug_assert!(seats <= SEATS);
                    let (expected, next) = ([0; 256], [0; 256]);
                    let (received, sent, late, skipped, refused, digest) = (0, 0, 0, 0, 0, 0);
                    Self { expected, next, me, split, seats, received, sent, late, skipped, refused, digest }
                }

                pub fn seat(self) -> Seat {
                    let tally = Tally {
                        sent: self.sent.into(),
                        received: self.received.into(),
                        late: self.late.into(),
                        skipped: self.skipped.into(),
                        refused: self.refused.into(),
                        ..Tally::default()
                    };
                    Seat { expected: self.expected, next: self.next, tally, digest: self.digest }
                }
            }
        }
    };
}

side!(left, "mesh.left");
side!(right, "mesh.right");

pub fn run(runtime: &RingKernel, load: &Load) -> Result<Outcome, String> {
    let seats = load.instances(SEATS).clamp(2, SEATS);
    let split = seats / 2;
    let tokens = load.tokens(seats * 8);
    // Each is in a mailbox, or on its way from one to another.
    let mailbox = (2 * tokens).next_power_of_two();
    let options = |instances: u32| {
        let options = LaunchOptions::default().mode(Mode::Persistent).instances(instances).mailbox(mailbox);
        load.sharded(options, 64)
    };
    let (left, right): (ActorRef<left::Side>, ActorRef<right::Side>) = smol::block_on(async {
        let on_left = options(split).initial_state_with(move |i| left::Side::new(i, split, seats));
        let on_right =
            options(seats - split).initial_state_with(move |i| right::Side::new(split + i, split, seats));
        Ok((launch(runtime, on_left).await?, launch(runtime, on_right).await?))
    })
    .map_err(text)?;
    let hops = u32::try_from(load.messages / u64::from(tokens)).map_err(|_| "too many messages")?;
    let told = u64::from(tokens);
    let asked = told * u64::from(hops);
    let watch = Watch::begin(&[&left, &right], load.limit);
    let token =
        |k: u32| Token { from: HOST, number: 0, left: hops, random: mix(k.wrapping_add(0x9e37_79b9)) };
    let seat = |k: u32| k % seats;
    let on_left = (0..tokens).filter(|k| seat(*k) < split).map(|k| (seat(k), token(k)));
    left.tell_many_at_blocking(on_left).map_err(|error| error.to_string())?;
    let on_right = (0..tokens).filter(|k| seat(*k) >= split).map(|k| (seat(k) - split, token(k)));
    right.tell_many_at_blocking(on_right).map_err(|error| error.to_string())?;
    let waited = watch.wait(told + asked, |_| true);
    let seconds = watch.begun().elapsed().as_secs_f64();

    let moved = watch.end(told + asked);
    let all: Vec<Seat> = smol::block_on(async {
        let states = left.snapshot_all::<left::Side>().await?.into_iter().map(left::Side::seat);
        Ok(states.chain(right.snapshot_all().await?.into_iter().map(right::Side::seat)).collect())
    })
    .map_err(text)?;
    let mut outcome = Outcome::default();
    outcome.row(format!(
        "{seats} instances in two kernels, {tokens} messages under way, mailboxes of {mailbox}"
    ));
    outcome.row(Tally::HEADER.to_owned());
    let mut tally = Tally { asked, ..Tally::default() };
    let mut digest = 0u32;
    for seat in &all {
        tally.sent += seat.tally.sent;
        tally.received += seat.tally.received;
        tally.late += seat.tally.late;
        tally.skipped += seat.tally.skipped;
        tally.refused += seat.tally.refused;
        digest = digest.wrapping_add(seat.digest);
    }
    for (sender, from) in all.iter().enumerate() {
        let agrees = |(receiver, to): (usize, &Seat)| to.expected[sender] == from.next[receiver];
        tally.pairs += all.iter().enumerate().filter(|pair| !agrees(*pair)).count() as u64;
    }
    tally.altered = u64::from(digest != 0);
    tally.judge(told, moved, seconds, &mut outcome);
    outcome.wrong.extend(waited.err());
    smol::block_on(async {
        left.terminate().await?;
        right.terminate().await
    })
    .map_err(text)?;
    Ok(outcome)
}
