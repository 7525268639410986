//! Actors that check what reaches them.
//!
//! Each sender numbers its messages to each instance: word 0 of a message is the sender in its top 3 bits and the number in the
//! other 29, and every further word follows from it. An instance keeps the number it expects next of each sender, so a message that
//! was lost, doubled, reordered or torn shows in its counts. A reply to an ask is made the same way from the inverse of word 0.

use ringkernel::prelude::*;
use ringkernel::{ActorRef, Handles};

/// Senders an instance can tell apart.
pub const SENDERS: u32 = 8;
/// The bits of word 0 that count.
pub const NUMBERS: u32 = 0x1fff_ffff;

/// Word 0 of a message.
pub fn first_word(sender: u32, number: u32) -> u32 {
    sender << 29 | number & NUMBERS
}

/// What word `i` of a message with that first word is.
#[device_fn]
pub fn derived(first: u32, i: u32) -> u32 {
    let mixed = (first ^ i.wrapping_mul(2_246_822_519)).wrapping_mul(2_654_435_761);
    mixed ^ (mixed >> 15)
}

/// Asks what an instance has counted.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Totals {}

/// What it has.
#[derive(RingMessage, Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    /// Messages handled, these questions not counted.
    pub processed: u64,
    /// Numbers that were skipped: lost, or still to come too late.
    pub skipped: u32,
    /// Numbers that came again, or too late.
    pub repeated: u32,
    /// Messages whose words do not belong together.
    pub torn: u32,
    /// Sum of `derived(first word, 1000)` over all messages, to tell that the right ones were counted.
    pub checksum: u32,
}

impl Counted {
    /// The counts of several instances.
    pub fn add(&mut self, other: Self) {
        self.processed += other.processed;
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.repeated = self.repeated.saturating_add(other.repeated);
        self.torn = self.torn.saturating_add(other.torn);
        self.checksum = self.checksum.wrapping_add(other.checksum);
    }

    /// Whether nothing went wrong.
    pub fn is_clean(&self) -> bool {
        (self.skipped, self.repeated, self.torn) == (0, 0, 0)
    }
}

/// One of the actors below.
pub trait Counting:
    Handles<Self::Message, Reply = Self::Message> + Handles<Totals, Reply = Counted> + Default
{
    type Message: RingMessage + Copy + Send + Sync + 'static;
    /// Bytes of a message.
    const BYTES: u32;

    /// The message with that first word.
    fn message(first: u32) -> Self::Message;

    /// Whether it is the reply to the message with that first word.
    fn answers(reply: &Self::Message, first: u32) -> bool;

    /// A launched one.
    fn start(
        runtime: &RingKernel,
        options: LaunchOptions,
    ) -> impl Future<Output = Result<ActorRef<Self>, RingKernelError>> {
        ringkernel::__private::launch::<Self>(runtime, options)
    }
}

macro_rules! counting {
    ($module:ident, $id:literal, $words:literal) => {
        pub mod $module {
            use super::{Counted, NUMBERS, Totals, derived};
            use ringkernel::prelude::*;

            #[derive(RingMessage, Clone, Copy, Debug)]
            pub struct Numbered {
                pub words: [u32; $words],
            }

            #[ring_kernel(id = $id)]
            #[derive(Default)]
            pub struct Counter {
                next: [u32; 8],
                processed: u64,
                skipped: u32,
                repeated: u32,
                torn: u32,
                checksum: u32,
            }

            #[ring_kernel]
            impl Counter {
                #[handler]
                fn number(&mut self, _ctx: &mut RingContext, msg: Numbered) -> Numbered {
                    let first = msg.words[0];
                    let mut wrong = 0u32;
                    for i in 0..$words {
                        if i > 0 && msg.words[i] != derived(first, i as u32) {
                            wrong = 1;
                        }
                    }
                    let sender = (first >> 29) as usize;
                    let number = first & 0x1fff_ffff;
                    let ahead = number.wrapping_sub(self.next[sender]) & 0x1fff_ffff;
                    if ahead < 0x1000_0000 {
                        self.skipped = self.skipped.wrapping_add(ahead);
                        self.next[sender] = number.wrapping_add(1) & 0x1fff_ffff;
                    } else {
                        self.repeated = self.repeated.wrapping_add(1);
                    }
                    self.torn = self.torn.wrapping_add(wrong);
                    self.processed = self.processed.wrapping_add(1);
                    self.checksum = self.checksum.wrapping_add(derived(first, 1000));
                    let mut reply = [0u32; $words];
                    for i in 0..$words {
                        reply[i] = derived(!first, i as u32);
                    }
                    reply[0] = !first;
                    Numbered { words: reply }
                }

                #[handler]
                fn totals(&mut self, _ctx: &mut RingContext, _msg: Totals) -> Counted {
                    Counted {
                        processed: self.processed,
                        skipped: self.skipped,
                        repeated: self.repeated,
                        torn: self.torn,
                        checksum: self.checksum,
                    }
                }
            }

            impl Counter {
                /// The same as its handler answers, of a state that was copied out.
                pub fn counted(&self) -> Counted {
                    let Self { processed, skipped, repeated, torn, checksum, .. } = *self;
                    Counted { processed, skipped, repeated, torn, checksum }
                }
            }

            impl super::Counting for Counter {
                type Message = Numbered;
                const BYTES: u32 = 4 * $words;

                fn message(first: u32) -> Numbered {
                    Numbered {
                        words: std::array::from_fn(|i| if i == 0 { first } else { derived(first, i as u32) }),
                    }
                }

                fn answers(reply: &Numbered, first: u32) -> bool {
                    let first = !first;
                    let fits = |(i, word): (usize, &u32)| {
                        *word == if i == 0 { first } else { derived(first, i as u32) }
                    };
                    debug_assert!(NUMBERS == 0x1fff_ffff);
                    reply.words.iter().enumerate().all(fits)
                }
            }
        }
    };
}

counting!(bytes_4, "counter-4", 1);
counting!(bytes_24, "counter-24", 6);
counting!(bytes_60, "counter-60", 15);
counting!(bytes_200, "counter-200", 50);
