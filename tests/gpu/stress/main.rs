//! Many messages, every one of them looked at: none may be lost, doubled, out of its sender's order or torn, and every ask must
//! get its own reply.
//!
//! As a program:
//!
//! ```text
//! stress --backend cpu|cuda|wgpu [--messages 1e9] [--seconds 100] [--senders 4] [--instances 4096] [--bytes 4|24|60|200] [--shards 16]
//! ```
//!
//! It sends that many messages in all, the four sizes one after another (or the one that is named). Each size has its share of what is
//! left of messages and of seconds, largest first, so what the slow ones do not manage falls to the fast ones. `--shards` is
//! the device's choice unless told. Ends with 0 if everything was right and enough. As a test it does the same with less.
//!
//! A reply that came twice would not show to an asker, so [`raw`] looks at the rings of the device itself.

#![allow(missing_docs, unreachable_pub)]

#[path = "../common/mod.rs"]
#[allow(dead_code)]
mod common;
mod raw;

use common::arguments::Arguments;
use common::counting::{Counted, Counting, SENDERS, bytes_4, bytes_24, bytes_60, bytes_200};
use common::machine::{eventually, watch};
use common::sender::{Sender, totals};
use ringkernel::prelude::*;
use ringkernel_tests::machine::{BACKENDS, Collection, Stop, assemble, backend_name};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Tells in a row, and asks in a row.
const TELLS: u32 = 4096;
const ASKS: u32 = 2048;
/// One batch in so many is asked.
const ASKED: u64 = 8;

/// How much to send.
#[derive(Clone, Copy)]
pub struct Load {
    pub messages: u64,
    pub limit: Duration,
    pub senders: u32,
    pub instances: u32,
    /// 0: the device's choice.
    pub shards: u32,
}

/// Messages sent by all senders, for the watchdog.
static MOVED: AtomicU64 = AtomicU64::new(0);

/// What came of it.
pub struct Figures {
    bytes: u32,
    sent: u64,
    asked: u64,
    seconds: f64,
    wrong_replies: u64,
    counted: Counted,
    /// By the control block and by the telemetry, and how many that should be.
    counters: [u64; 3],
    checksum: u32,
    pending: usize,
}

impl Figures {
    fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.counted.processed)
    }

    fn doubled(&self) -> u64 {
        self.counted.processed.saturating_sub(self.sent)
    }

    fn passed(&self) -> bool {
        let [control, telemetry, expected] = self.counters;
        (self.lost(), self.doubled(), self.wrong_replies, self.pending) == (0, 0, 0, 0)
            && self.counted.is_clean()
            && self.counted.checksum == self.checksum
            && (control, telemetry) == (expected, expected)
    }

    const HEADER: &str = "  size         sent        asked   control block      telemetry   lost  doubled  skipped  repeated   torn  wrong reply  pending    M msg/s";

    fn row(&self) -> String {
        let Counted { skipped, repeated, torn, .. } = self.counted;
        format!(
            "{:>4} B {:>12} {:>12} {:>15} {:>14} {:>6} {:>8} {:>8} {:>9} {:>6} {:>12} {:>8} {:>10.3}  {}",
            self.bytes,
            self.sent,
            self.asked,
            self.counters[0],
            self.counters[1],
            self.lost(),
            self.doubled(),
            skipped,
            repeated,
            torn,
            self.wrong_replies,
            self.pending,
            self.sent as f64 / self.seconds / 1e6,
            match self.passed() {
                true => "PASS",
                false if self.counted.checksum != self.checksum => "FAIL (checksum)",
                false => "FAIL",
            }
        )
    }
}

/// Sends one size.
pub fn stress<A: Counting>(runtime: &RingKernel, load: Load) -> Result<Figures, RingKernelError> {
    let options = LaunchOptions::default().instances(load.instances).queue_capacity(8192);
    let options = if load.shards == 0 { options } else { options.shards(load.shards) };
    let actor = smol::block_on(A::start(runtime, options))?;
    let begin = Instant::now();
    let share = load.messages / load.senders as u64;
    let run = |id: u32| {
        let mut sender = Sender::<A>::new(id, load.instances);
        let (mut asked, mut batch) = (0u64, id as u64);
        while sender.sent < share && begin.elapsed() < load.limit {
            let left = (share - sender.sent).min(u32::MAX as u64) as u32;
            let before = sender.sent;
            if batch.is_multiple_of(ASKED) {
                sender.ask(&actor, ASKS.min(left))?;
                asked += sender.sent - before;
            } else {
                sender.tell(&actor, TELLS.min(left))?;
            }
            // Relaxed: for the watchdog.
            MOVED.fetch_add(sender.sent - before, Ordering::Relaxed);
            batch += 1;
        }
        Ok((sender, asked))
    };
    let senders: Vec<Result<(Sender<A>, u64), RingKernelError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..load.senders).map(|id| scope.spawn(move || run(id))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let senders: Vec<(Sender<A>, u64)> = senders.into_iter().collect::<Result<_, _>>()?;
    // Each instance answers after all that was told to it, so with the totals everything has been handled.
    let counted = totals(&actor)?;
    let seconds = begin.elapsed().as_secs_f64();
    let sent: u64 = senders.iter().map(|(sender, _)| sender.sent).sum();
    let expected = sent + load.instances as u64;
    eventually(Duration::from_secs(2), || {
        actor.control().messages_processed == expected && actor.telemetry().messages_processed == expected
    });
    let figures = Figures {
        bytes: A::BYTES,
        sent,
        asked: senders.iter().map(|(_, asked)| asked).sum(),
        seconds,
        wrong_replies: senders.iter().map(|(sender, _)| sender.wrong_replies).sum(),
        counted,
        counters: [actor.control().messages_processed, actor.telemetry().messages_processed, expected],
        checksum: senders.iter().fold(0u32, |sum, (sender, _)| sum.wrapping_add(sender.checksum)),
        pending: actor.pending(),
    };
    smol::block_on(actor.terminate())?;
    Ok(figures)
}

type OfOneSize = fn(&RingKernel, Load) -> Result<Figures, RingKernelError>;

const SIZES: [(u32, OfOneSize); 4] = [
    (4, stress::<bytes_4::Counter>),
    (24, stress::<bytes_24::Counter>),
    (60, stress::<bytes_60::Counter>),
    (200, stress::<bytes_200::Counter>),
];

fn program(arguments: &Arguments) -> Result<bool, String> {
    let backend = arguments.backend()?;
    let only: u32 = arguments.get("--bytes", 0)?;
    let sizes: Vec<_> = SIZES.into_iter().filter(|(bytes, _)| only == 0 || only == *bytes).collect();
    let messages: u64 = arguments.get("--messages", 1_000_000)?;
    let limit = Duration::from_secs(arguments.get("--seconds", 100)?);
    let senders = arguments.get("--senders", 4u32)?.clamp(1, SENDERS);
    let instances = arguments.get("--instances", 4096u32)?.max(1);
    let shards = arguments.get("--shards", 0)?;
    let runtime = common::machine::runtime(backend).map_err(|error| error.to_string())?;
    println!("stress on {backend} ({}): {senders} senders, {instances} instances", runtime.device_name());
    // Relaxed: it only has to move.
    watch("stress", Duration::from_secs(20), || MOVED.load(Ordering::Relaxed));
    println!("{}", Figures::HEADER);
    let (mut passed, mut sent, begin) = (true, 0, Instant::now());
    for (i, (_, run)) in sizes.iter().rev().enumerate() {
        let left = (sizes.len() - i) as u32;
        let load = Load {
            messages: (messages - sent) / left as u64,
            limit: limit.saturating_sub(begin.elapsed()) / left,
            senders,
            instances,
            shards,
        };
        let figures = run(&runtime, load).map_err(|error| error.to_string())?;
        println!("{}", figures.row());
        passed &= figures.passed();
        sent += figures.sent;
    }
    match raw::run(backend, (messages / 200).clamp(20_000, 4_000_000)) {
        Ok(text) => println!("the rings themselves: {text}"),
        Err(Stop::Missing { why, .. }) => println!("the rings themselves: not looked at, {why}"),
        Err(Stop::Failed(why)) => {
            println!("the rings themselves: FAIL: {why}");
            passed = false;
        }
    }
    smol::block_on(runtime.shutdown()).map_err(|error| error.to_string())?;
    // A share that does not divide by the senders loses a few.
    let enough = sent + 64 >= messages;
    let late = if enough { "" } else { ", and time was up" };
    println!("{}: {sent} messages{late}", if passed && enough { "PASS" } else { "FAIL" });
    Ok(passed && enough)
}

fn tests() -> ExitCode {
    let mut tests = Collection::default();
    for backend in BACKENDS {
        let name = backend_name(backend);
        for (bytes, run) in SIZES {
            tests.add(
                format!("stress::nothing_is_lost_doubled_reordered_or_torn::{bytes}_bytes::{name}"),
                move |machine| {
                    let messages = if backend == Backend::Wgpu { 40_000 } else { 250_000 };
                    let load = Load {
                        messages,
                        limit: Duration::from_secs(30),
                        senders: 3,
                        instances: 300,
                        shards: 0,
                    };
                    let figures = run(&*machine.runtime(backend)?, load)
                        .map_err(|error| Stop::Failed(error.to_string()))?;
                    if figures.passed() && figures.sent >= messages - 3 {
                        Ok(())
                    } else {
                        Err(Stop::Failed(format!("\n{}\n{}", Figures::HEADER, figures.row())))
                    }
                },
            );
        }
        tests.add(format!("stress::every_request_is_answered_once_and_in_order::{name}"), move |machine| {
            machine.runtime(backend)?;
            raw::run(backend, 50_000).map(drop)
        });
    }
    use ringkernel::Actor;
    use ringkernel_backends::cuda::module_text;
    for descriptor in [
        bytes_4::Counter::DESCRIPTOR,
        bytes_24::Counter::DESCRIPTOR,
        bytes_60::Counter::DESCRIPTOR,
        bytes_200::Counter::DESCRIPTOR,
    ] {
        tests.add(format!("stress::device_code_assembles::{}", descriptor.id), move |machine| {
            assemble(&machine.ptxas()?, descriptor.id, &module_text(descriptor, 70), "sm_75")?;
            Ok(())
        });
    }
    tests.run()
}

fn main() -> ExitCode {
    match Arguments::of_this_program(&["--backend", "--messages", "--seconds"]) {
        None => tests(),
        Some(arguments) => match program(&arguments) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                println!("FAIL: {error}");
                ExitCode::FAILURE
            }
        },
    }
}
