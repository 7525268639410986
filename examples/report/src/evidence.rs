//! The device's own word: its counters before and after, against what was sent.

use crate::figure::Evidence;
use ringkernel::KernelHandle;
use std::fmt;
use std::time::{Duration, Instant};

/// How long the device may take to count what it was sent.
const DEADLINE: Duration = Duration::from_secs(20);

/// A kernel's counters when a measurement began.
pub struct Watch<'a> {
    kernel: &'a KernelHandle,
    begun: Counters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counters {
    control: u64,
    telemetry: u64,
    errors: u64,
}

impl Counters {
    fn of(kernel: &KernelHandle) -> Self {
        let control = kernel.control();
        Self {
            control: control.messages_processed,
            telemetry: kernel.telemetry().messages_processed,
            errors: control.errors_encountered,
        }
    }
}

/// Why a figure is withheld.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unproven(pub String);

impl fmt::Display for Unproven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unproven {}

impl<'a> Watch<'a> {
    /// Notes the counters. The kernel must have nothing to do.
    pub fn begin(kernel: &'a KernelHandle) -> Self {
        Self { kernel, begun: Counters::of(kernel) }
    }

    /// Waits until the device has processed `sent` messages since the beginning.
    ///
    /// # Errors
    /// It did not in 20 seconds.
    pub fn settled(&self, sent: u64) -> Result<(), Unproven> {
        let begin = Instant::now();
        loop {
            let seen = self.kernel.control().messages_processed.wrapping_sub(self.begun.control);
            if seen >= sent {
                return Ok(());
            }
            if begin.elapsed() > DEADLINE {
                return Err(Unproven(format!("sent {sent} messages, the device counts {seen}")));
            }
            std::thread::yield_now();
        }
    }

    /// The evidence that exactly `sent` messages were processed, none of them with a fault.
    ///
    /// # Errors
    /// The counters say something else.
    pub fn end(self, sent: u64, replies_checked: u64, checked: &str) -> Result<Evidence, Unproven> {
        self.settled(sent)?;
        // The telemetry is written just after the control block, and anything that was processed twice would show up late.
        let begin = Instant::now();
        let mut now = Counters::of(self.kernel);
        while now.telemetry.wrapping_sub(self.begun.telemetry) < sent
            && begin.elapsed() < Duration::from_secs(1)
        {
            std::thread::yield_now();
            now = Counters::of(self.kernel);
        }
        compare(self.begun, now, sent, replies_checked, checked)
    }
}

fn compare(
    begun: Counters,
    now: Counters,
    sent: u64,
    replies_checked: u64,
    checked: &str,
) -> Result<Evidence, Unproven> {
    let control = now.control.wrapping_sub(begun.control);
    let telemetry = now.telemetry.wrapping_sub(begun.telemetry);
    if (control, telemetry) != (sent, sent) {
        return Err(Unproven(format!(
            "sent {sent} messages; the control block counts {control}, the telemetry {telemetry}"
        )));
    }
    if now.errors != begun.errors {
        return Err(Unproven(format!("{} messages faulted", now.errors.wrapping_sub(begun.errors))));
    }
    Ok(Evidence {
        sent,
        counted_by_control_block: control,
        counted_by_telemetry: telemetry,
        replies_checked,
        checked: checked.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGUN: Counters = Counters { control: 10, telemetry: 10, errors: 1 };

    #[test]
    fn counters_that_moved_by_what_was_sent_are_evidence() {
        let evidence = compare(BEGUN, Counters { control: 15, telemetry: 15, errors: 1 }, 5, 3, "x").unwrap();
        assert_eq!(
            (evidence.sent, evidence.counted_by_control_block, evidence.counted_by_telemetry),
            (5, 5, 5)
        );
        assert_eq!((evidence.replies_checked, evidence.checked.as_str()), (3, "x"));
    }

    #[test]
    fn one_too_few_one_too_many_or_a_fault_is_none() {
        let with = |control, telemetry, errors| {
            compare(BEGUN, Counters { control, telemetry, errors }, 5, 0, "").unwrap_err().0
        };
        assert_eq!(with(14, 15, 1), "sent 5 messages; the control block counts 4, the telemetry 5");
        assert_eq!(with(15, 16, 1), "sent 5 messages; the control block counts 5, the telemetry 6");
        assert_eq!(with(15, 15, 3), "2 messages faulted");
    }
}
