//! The device's own counters before and after, and the wait between.

use ringkernel::{KernelHandle, RingKernelError};
use std::time::{Duration, Instant};

/// Nothing moves for so long: what is missing was lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// The counters of some kernels, summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages handled, by the control blocks and by the telemetry.
    pub control: u64,
    pub telemetry: u64,
    /// Messages that ended in a fault.
    pub errors: u64,
    /// Messages taken from the mailboxes.
    pub mail: u64,
    /// Sends that found a mailbox full, and messages discarded from one.
    pub full: u64,
    pub dropped: u64,
}

impl Counters {
    pub fn of(kernels: &[&KernelHandle]) -> Self {
        let mut all = Self::default();
        for kernel in kernels {
            let (control, mail) = (kernel.control(), kernel.mailbox());
            all.control += control.messages_processed;
            all.telemetry += kernel.telemetry().messages_processed;
            all.errors += control.errors_encountered;
            all.mail += mail.received;
            all.full += mail.full;
            all.dropped += mail.dropped;
        }
        all
    }

    pub fn since(self, before: Self) -> Self {
        Self {
            control: self.control - before.control,
            telemetry: self.telemetry - before.telemetry,
            errors: self.errors - before.errors,
            mail: self.mail - before.mail,
            full: self.full - before.full,
            dropped: self.dropped - before.dropped,
        }
    }
}

/// Messages handled, at a moment.
pub type Seen = (Instant, u64);

/// Some kernels, their counters when a case began, and until when it may take.
pub struct Watch<'a> {
    kernels: Vec<&'a KernelHandle>,
    before: Counters,
    begun: Instant,
    limit: Duration,
}

impl<'a> Watch<'a> {
    pub fn begin(kernels: &[&'a KernelHandle], limit: Duration) -> Self {
        let before = Counters::of(kernels);
        Self { kernels: kernels.to_vec(), before, begun: Instant::now(), limit }
    }

    /// When it began.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// Messages handled since it began.
    pub fn handled(&self) -> u64 {
        let now: u64 = self.kernels.iter().map(|kernel| kernel.control().messages_processed).sum();
        now - self.before.control
    }

    /// Waits until the kernels have handled so many messages since it began, shows `each` what it sees meanwhile (which can say
    /// that it is not worth waiting), and says when that was. Where
    /// it takes less than a millisecond, it polls.
    pub fn wait(&self, expected: u64, mut each: impl FnMut(Seen) -> bool) -> Result<Instant, String> {
        let waiting = Instant::now();
        let (mut last, mut moved) = (0, waiting);
        loop {
            let (handled, now) = (self.handled(), Instant::now());
            if !each((now, handled)) || handled >= expected {
                return Ok(now);
            }
            if handled != last {
                (last, moved) = (handled, now);
            }
            let missing = format!("{} of {expected} messages are missing", expected - handled);
            if now - moved > PATIENCE {
                return Err(format!("{missing}, and nothing moves any more"));
            }
            if now - self.begun > self.limit {
                return Err(format!("{missing}, and time is up ({:?})", self.limit));
            }
            if now - waiting > Duration::from_millis(1) {
                std::thread::sleep(Duration::from_micros(200));
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// How the counters moved. Some are written a little later than the one that was waited for.
    pub fn end(&self, control: u64) -> Counters {
        let begin = Instant::now();
        loop {
            let moved = Counters::of(&self.kernels).since(self.before);
            if (moved.control, moved.telemetry) == (control, control)
                || begin.elapsed() > Duration::from_secs(1)
            {
                return moved;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What came of a case: the table rows it prints, and what is wrong.
#[derive(Default)]
pub struct Outcome {
    pub rows: Vec<String>,
    pub wrong: Vec<String>,
}

impl Outcome {
    pub fn row(&mut self, text: String) {
        self.rows.push(text);
    }

    /// Something that must be.
    pub fn check(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.wrong.push(otherwise());
        }
    }

    pub fn passed(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// What a crowd of instances that pass messages on says of itself, beside the device's counters.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Messages that were to be sent from instance to instance.
    pub asked: u64,
    /// Those that were, and that were received, by the instances' own count.
    pub sent: u64,
    pub received: u64,
    /// Numbers that came again or too late, and numbers that were skipped when a later one came.
    pub late: u64,
    pub skipped: u64,
    /// Pairs of a sender and a receiver that do not agree on how many messages there were between them.
    pub pairs: u64,
    /// Sends that did not say `Ok`.
    pub refused: u64,
    /// Messages that are not what was sent.
    pub altered: u64,
}

impl Tally {
    pub const HEADER: &'static str = "         asked          sent      received     mailboxes  control block     telemetry  lost  duplicated  out of order  refused  full  faults    M msg/s";

    /// The row, and what is wrong with it. `told` messages came from the host beside those.
    pub fn judge(&self, told: u64, moved: Counters, seconds: f64, outcome: &mut Outcome) {
        let lost = self.sent.saturating_sub(self.received);
        let doubled = self.received.saturating_sub(self.sent);
        outcome.row(format!(
            "{:>14}{:>14}{:>14}{:>14}{:>15}{:>14}{:>6}{:>12}{:>14}{:>9}{:>6}{:>8}{:>11.3}",
            self.asked,
            self.sent,
            self.received,
            moved.mail,
            moved.control,
            moved.telemetry,
            lost,
            doubled,
            self.late + self.skipped,
            self.refused,
            moved.full,
            moved.errors,
            self.received as f64 / seconds / 1e6,
        ));
        let Self { asked, sent, received, .. } = *self;
        outcome.check((sent, received) == (asked, asked), || {
            format!("{asked} messages were asked for, {sent} sent, {received} received")
        });
        outcome.check((self.late, self.skipped) == (0, 0), || {
            format!("{} messages came again or too late, {} were skipped", self.late, self.skipped)
        });
        outcome.check(self.pairs == 0, || format!("{} pairs do not agree on their count", self.pairs));
        outcome.check(self.refused == 0, || format!("{} sends were refused", self.refused));
        outcome.check(self.altered == 0, || format!("{} messages were altered", self.altered));
        check_counters(moved, told + asked, asked, outcome);
    }
}

/// The device's counters say that so many messages were handled, so many of them from mailboxes, and nothing else happened.
pub fn check_counters(moved: Counters, handled: u64, mail: u64, outcome: &mut Outcome) {
    let expected = Counters { control: handled, telemetry: handled, mail, ..Counters::default() };
    outcome.check(moved == expected, || format!("the device counts {moved:?} and should count {expected:?}"));
}

pub fn text(error: RingKernelError) -> String {
    error.to_string()
}
