//! The native answer: the user's own method, compiled by rustc, called on a plain value in this process.
//!
//! A fault of a device is a panic here. Its kind is read from the panic's message (rustc and std have one text for each), apart
//! from what the CPU backend does for the same purpose, so that the two check each other.

use crate::compare::{Answer, Fault};
use ringkernel::__private::Actor;
use ringkernel::message::{DeviceType, RingMessage};
use ringkernel::{FaultKind, RingContext};
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// `Some` while this thread is inside [`answer`]: where the hook leaves what it saw.
    static CAUGHT: RefCell<Option<Option<Fault>>> = const { RefCell::new(None) };
}

/// Answers a message natively.
pub fn answer<A: Actor, M: RingMessage, R: RingMessage + std::fmt::Debug>(
    actor: &mut A,
    instance: u32,
    message: &M,
) -> Answer {
    install_hook();
    let mut payload = vec![0; M::SIZE as usize];
    message.encode(&mut payload);
    let mut reply = vec![0; A::DESCRIPTOR.reply_size() as usize];
    CAUGHT.set(Some(None));
    let mut context = RingContext::detached(instance);
    let result =
        panic::catch_unwind(AssertUnwindSafe(|| actor.dispatch(&mut context, M::TAG, &payload, &mut reply)));
    let caught = CAUGHT.take().flatten();
    match (result, caught) {
        (Ok(Ok((tag, bytes))), _) if tag == R::TAG && bytes == R::SIZE => {
            reply.truncate(bytes as usize);
            reply_answer::<R>(reply)
        }
        (Ok(Ok((tag, bytes))), _) => {
            Answer::Error(format!("native dispatch replied tag {tag}, {bytes} bytes"))
        }
        (Ok(Err(kind)), _) => Answer::Error(format!("native dispatch refused the message: {kind}")),
        (Err(_), Some(fault)) => Answer::Fault(fault),
        (Err(_), None) => Answer::Error("the native handler panicked past the panic hook".into()),
    }
}

/// An answer from a reply's wire bytes.
pub fn reply_answer<R: DeviceType + std::fmt::Debug>(bytes: Vec<u8>) -> Answer {
    let text = match R::decode(&bytes) {
        Ok(reply) => format!("{reply:?}"),
        Err(error) => return Answer::Error(format!("a reply that does not decode: {error}")),
    };
    Answer::Reply { bytes, text }
}

fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let inside = CAUGHT.with_borrow_mut(|caught| match caught {
                Some(slot) => {
                    let text = info.payload_as_str().unwrap_or("");
                    let (file, line, column) = match info.location() {
                        Some(at) => (at.file().to_owned(), at.line(), at.column()),
                        None => (String::new(), 0, 0),
                    };
                    let kind = kind_of(text);
                    let message = if kind == FaultKind::Panic { text.to_owned() } else { String::new() };
                    *slot = Some(Fault { kind, file, line, column, message });
                    true
                }
                None => false,
            });
            if !inside {
                previous(info);
            }
        }));
    });
}

/// What a native panic is, by the text rustc or std gives it.
fn kind_of(text: &str) -> FaultKind {
    match text {
        "attempt to divide by zero" | "attempt to calculate the remainder with a divisor of zero" => {
            FaultKind::DivisionByZero
        }
        "attempt to divide with overflow" | "attempt to calculate the remainder with overflow" => {
            FaultKind::DivisionOverflow
        }
        "attempt to shift left with overflow" | "attempt to shift right with overflow" => {
            FaultKind::ShiftOverflow
        }
        "assertion failed: step != 0" | "argument of integer logarithm must be positive" => {
            FaultKind::InvalidArgument
        }
        text if text.starts_with("min > max") => FaultKind::InvalidArgument,
        text if text.starts_with("attempt to ") && text.ends_with(" with overflow") => FaultKind::Overflow,
        text if text.starts_with("index out of bounds: ") => FaultKind::IndexOutOfBounds,
        _ => FaultKind::Panic,
    }
}
