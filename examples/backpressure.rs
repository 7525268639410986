//! Lesson 16: what becomes of messages that find no room.
//!
//! A kernel's mailbox is bounded. What happens to a message that finds it full is the receiver's choice, made at its launch; the sender is told.
//! A message is never dropped without a word: either the send says `Full`, or the receiver counts what it discarded.
//!
//! Below, one handler sends ten notes to a kernel with room for four, which is not activated: nobody makes room.

use ringkernel::Overflow;
use ringkernel::prelude::*;
use std::time::{Duration, Instant};

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Burst {
    pub notes: u32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    pub sent: u32,
    pub full: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Note {
    pub number: u32,
}

#[ring_kernel(id = "sender")]
#[derive(Default)]
pub struct Sender {
    sent: u32,
}

#[ring_kernel]
impl Sender {
    #[handler]
    fn burst(&mut self, ctx: &mut RingContext, msg: Burst) -> Outcome {
        let mut outcome = Outcome { sent: 0, full: 0 };
        for number in 0..msg.notes {
            match ctx.send::<Receiver>(0, Note { number }) {
                Sent::Ok => outcome.sent += 1,
                // What to do about it is the sender's business: try again later, send something else, count.
                Sent::Full => outcome.full += 1,
                _ => panic!("there is no receiver"),
            }
        }
        self.sent += outcome.sent;
        outcome
    }
}

#[ring_kernel(id = "receiver")]
#[derive(Default, Debug)]
pub struct Receiver {
    notes: u32,
    first: u32,
    last: u32,
}

#[ring_kernel]
impl Receiver {
    #[handler]
    fn note(&mut self, _ctx: &mut RingContext, msg: Note) {
        if self.notes == 0 {
            self.first = msg.number;
        }
        self.notes += 1;
        self.last = msg.number;
    }
}

/// A receiver with room for four, a burst of ten for it, and what it gets when it is active at last.
async fn burst(
    runtime: &RingKernel,
    sender: &SenderProxy,
    name: &str,
    overflow: Overflow,
) -> Result<(), RingKernelError> {
    let options = LaunchOptions::default().mailbox(4).overflow(overflow).without_auto_activate();
    let receiver = Receiver::launch(runtime, options).await?;
    let outcome = sender.burst(Burst { notes: 10 }).await?;
    println!("{name}: {outcome:?}");
    // What was sent and not discarded waits. (What spills takes a moment to get to the host.)
    let expected = u64::from(outcome.sent) - receiver.mailbox().dropped;
    while receiver.mailbox().waiting + sender.relays().waiting != expected {
        smol::Timer::after(Duration::from_millis(1)).await;
    }
    println!("  {expected} wait in the mailbox and on the host");
    let mailbox = receiver.mailbox();
    println!("  {} were refused, {} discarded", mailbox.full, mailbox.dropped);

    receiver.activate().await?;
    while receiver.telemetry().messages_processed < expected {
        smol::Timer::after(Duration::from_millis(1)).await;
    }
    let Receiver { notes, first, last } = receiver.snapshot::<Receiver>(0).await?;
    println!("  activated, it got {notes} notes, from {first} to {last}");
    // The next receiver takes its place.
    receiver.terminate().await
}

fn main() -> Result<(), RingKernelError> {
    smol::block_on(async {
        let runtime = RingKernel::builder().build().await?;
        println!("on {}", runtime.backend());
        let sender = Sender::launch(&runtime, LaunchOptions::default()).await?;

        // The default: the send says `Full` at once, and nothing has happened.
        burst(&runtime, &sender, "reject", Overflow::Reject).await?;

        // The sender waits a moment for room, six times in vain here. (WebGPU does not wait: there, nobody could make room meanwhile.)
        let (start, at_most) = (Instant::now(), Duration::from_millis(5));
        burst(&runtime, &sender, "block", Overflow::Block { at_most }).await?;
        println!("  the sender waited: {}", start.elapsed() > 6 * at_most);

        // For values of which only the newest matter: they are in, and the oldest are out. (On CUDA the receiver itself discards, so one that is not
        // active does not: there, the sender is told `Full` here.)
        burst(&runtime, &sender, "drop the oldest", Overflow::DropOldest).await?;

        // Where nothing may be lost and the host has memory: it keeps what does not fit, and hands it over when there is room, in order.
        burst(&runtime, &sender, "spill", Overflow::Spill).await?;

        // What the host sends waits in the queue of requests, which is bounded as well. `tell` waits for room; `try_tell` gives the message back.
        let options = LaunchOptions::default().queue_capacity(4).without_auto_activate();
        let receiver = Receiver::launch(&runtime, options).await?;
        let refused: Vec<_> = (0..10).filter_map(|number| receiver.try_tell(Note { number }).err()).collect();
        if let Some(first) = refused.first() {
            println!(
                "the host: {} notes are refused, the first is note {}",
                refused.len(),
                first.message.number
            );
            println!("  {}", first.reason);
        }
        let tell = async { receiver.tell(Note { number: 10 }).await };
        let activate = async {
            smol::Timer::after(Duration::from_millis(5)).await;
            receiver.activate().await
        };
        futures::future::try_join(tell, activate).await?;
        println!("  a `tell` that waited for room has found some");
        runtime.shutdown().await
    })
}
