//! Actors as native code: the CPU backend runs them, and the other backends are compared with them.
//!
//! A handler's panic becomes a fault of that request. Where and why it panicked is learned from a panic hook that is put in
//! front of whatever hook there is: while this thread is inside a handler it takes notes and prints nothing, at any other time
//! it calls the hook it found.

use crate::{Actor, RingContext};
use ringkernel_backends::abi::FaultKind;
use ringkernel_backends::kernel::{
    DeviceError, FaultSite, NativeShard, NativeShardSpec, Outcome, intern_site,
};
use ringkernel_backends::mesh::Outbox;
use std::any::Any;
use std::borrow::{Borrow, BorrowMut};
use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Mutex;

/// Builds the actors of one shard. This is what a descriptor's `native` points to.
///
/// # Errors
/// [`DeviceError::OutOfMemory`] when the actors do not fit. [`DeviceError::Driver`] when the initial bytes are not a state,
/// which is a defect of whoever wrote them: the runtime encodes states itself.
pub fn native_shard<A: Actor>(spec: NativeShardSpec<'_>) -> Result<Box<dyn NativeShard>, DeviceError> {
    install_hook();
    if spec.count <= FEW { Shard::<A, Apart<A>>::build(spec) } else { Shard::<A, A>::build(spec) }
}

/// So many actors of a shard at most lie in lines of their own each.
const FEW: u32 = 64;

/// A few actors are a few lines, and the shard writes them for every message: beside something that senders read for every message
/// (the heap decides), each would take the line from the other.
#[repr(align(128))]
struct Apart<A>(A);

impl<A> From<A> for Apart<A> {
    fn from(actor: A) -> Self {
        Self(actor)
    }
}

impl<A> Borrow<A> for Apart<A> {
    fn borrow(&self) -> &A {
        &self.0
    }
}

impl<A> BorrowMut<A> for Apart<A> {
    fn borrow_mut(&mut self) -> &mut A {
        &mut self.0
    }
}

/// The actors, each in its place: in a `C`.
#[repr(align(128))]
struct Shard<A, C> {
    actors: Vec<C>,
    of: PhantomData<A>,
}

impl<A: Actor, C: From<A> + BorrowMut<A> + Send + 'static> Shard<A, C> {
    fn build(spec: NativeShardSpec<'_>) -> Result<Box<dyn NativeShard>, DeviceError> {
        let mut actors: Vec<C> = Vec::new();
        if actors.try_reserve_exact(spec.count as usize).is_err() {
            let bytes = spec.count as u64 * size_of::<C>() as u64;
            return Err(DeviceError::OutOfMemory {
                bytes,
                what: format!("{} instances of `{}`", spec.count, A::NAME),
            });
        }
        let mut wire = vec![0; A::SIZE as usize];
        for local in 0..spec.count {
            wire.fill(0);
            (spec.initial)(spec.first + local * spec.stride, &mut wire);
            let actor = A::decode(&wire).map_err(|error| DeviceError::Driver {
                call: "decoding the initial state",
                reason: error.to_string(),
            })?;
            actors.push(actor.into());
        }
        Ok(Box::new(Self { actors, of: PhantomData }))
    }
}

impl<A: Actor, C: BorrowMut<A> + Send> NativeShard for Shard<A, C> {
    fn handle(
        &mut self,
        local: u32,
        instance: u32,
        tag: u32,
        payload: &[u8],
        reply: &mut [u8],
        outbox: &mut dyn Outbox,
    ) -> Outcome {
        let fault = |kind| Outcome::Fault { kind, site: FaultSite::None };
        let Some(actor) = self.actors.get_mut(local as usize).map(BorrowMut::borrow_mut) else {
            return fault(FaultKind::UnknownInstance);
        };
        let Some(handler) = A::DESCRIPTOR.handler(tag) else {
            return fault(FaultKind::UnknownMessage);
        };
        // Slots carry whole words; the message ends somewhere in the last one.
        if !handler.message.variable && !handler.message.takes(payload.len().div_ceil(4)) {
            return fault(FaultKind::Malformed);
        }
        let size = handler.message.size as usize;
        let message = if handler.message.variable { Some(payload) } else { payload.get(..size) };
        let Some(message) = message else {
            return fault(FaultKind::Malformed);
        };
        let mut ctx = RingContext::new(instance, outbox);
        // Each word of the answer is read as it was written, in the closure, and nothing of it travels through `catch_unwind`: a load
        // of two words that were stored one by one waits for both stores.
        let mut outcome = fault(FaultKind::Panic);
        let caught = catch(|| {
            outcome = match A::dispatch(actor, &mut ctx, tag, message, reply) {
                Ok((tag, bytes)) => Outcome::Reply { tag, bytes },
                Err(kind) => fault(kind),
            };
        });
        match caught {
            Ok(()) => outcome,
            Err((kind, site)) => Outcome::Fault { kind, site },
        }
    }

    fn read_state(&self, local: u32, out: &mut [u8]) {
        self.actors[local as usize].borrow().encode(out);
    }

    fn write_state(&mut self, local: u32, state: &[u8]) -> Result<(), DeviceError> {
        *self.actors[local as usize].borrow_mut() = A::decode(state)
            .map_err(|error| DeviceError::Driver { call: "decoding a state", reason: error.to_string() })?;
        Ok(())
    }
}

type Note = (FaultKind, FaultSite);

thread_local! {
    /// Whether this thread runs a handler. A flag apart from the note, for this one is written twice for every message.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// About the last panic of the handler it runs.
    static NOTE: Cell<Option<Note>> = const { Cell::new(None) };
}

/// Runs a handler. State that it changed before it panicked stays changed, as faults do not roll back.
#[inline]
fn catch<R>(handler: impl FnOnce() -> R) -> Result<R, Note> {
    let before = INSIDE.replace(true);
    // A half-changed actor is what the caller of a faulted handler is promised, so unwind safety holds by definition.
    let result = panic::catch_unwind(AssertUnwindSafe(handler));
    INSIDE.set(before);
    result.map_err(noted)
}

/// What is known of a panic that was caught.
#[cold]
#[inline(never)]
fn noted(payload: Box<dyn Any + Send>) -> Note {
    // Where there is none, somebody replaced the hook after us, or the panic went around it (`resume_unwind`).
    let note = NOTE.take().unwrap_or_else(|| (classify(text(&*payload)), FaultSite::None));
    // A payload may panic when dropped; that one is leaked rather than let out of here.
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
    note
}

fn install_hook() {
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    let mut installed = INSTALLED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    // A panicking thread may not change the hook; the next launch will.
    if *installed || std::thread::panicking() {
        return;
    }
    let previous = panic::take_hook();
    panic::set_hook(Box::new(
        move |info| if INSIDE.get() { NOTE.set(Some(note(info))) } else { previous(info) },
    ));
    *installed = true;
}

fn note(info: &PanicHookInfo<'_>) -> Note {
    let message = text(info.payload());
    let kind = classify(message);
    // Only a panic's text is the user's own; std's holds run-time values that would fill the table of sites.
    let message = if kind == FaultKind::Panic { abbreviate(message) } else { "" };
    let site = match info.location() {
        Some(at) => FaultSite::Native(intern_site(at.file(), at.line(), at.column(), message)),
        None => FaultSite::None,
    };
    (kind, site)
}

fn text(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&'static str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "",
    }
}

fn abbreviate(text: &str) -> &str {
    const MOST: usize = 500;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// The kind of fault that a panic message of the standard library stands for.
fn classify(message: &str) -> FaultKind {
    const TABLE: &[(&str, FaultKind)] = &[
        ("attempt to divide by zero", FaultKind::DivisionByZero),
        ("attempt to calculate the remainder with a divisor of zero", FaultKind::DivisionByZero),
        ("attempt to divide with overflow", FaultKind::DivisionOverflow),
        ("attempt to calculate the remainder with overflow", FaultKind::DivisionOverflow),
        ("attempt to shift left with overflow", FaultKind::ShiftOverflow),
        ("attempt to shift right with overflow", FaultKind::ShiftOverflow),
        ("attempt to add with overflow", FaultKind::Overflow),
        ("attempt to subtract with overflow", FaultKind::Overflow),
        ("attempt to multiply with overflow", FaultKind::Overflow),
        ("attempt to negate with overflow", FaultKind::Overflow),
        ("index out of bounds: ", FaultKind::IndexOutOfBounds),
        ("range start index ", FaultKind::IndexOutOfBounds),
        ("range end index ", FaultKind::IndexOutOfBounds),
        ("slice index starts at ", FaultKind::IndexOutOfBounds),
        ("min > max", FaultKind::InvalidArgument),
        ("assertion failed: min <= max", FaultKind::InvalidArgument),
        ("assertion failed: step != 0", FaultKind::InvalidArgument),
        ("argument of integer logarithm must be positive", FaultKind::InvalidArgument),
        ("base of integer logarithm must be at least 2", FaultKind::InvalidArgument),
        ("argument of integer square root cannot be negative", FaultKind::InvalidArgument),
    ];
    TABLE.iter().find(|(start, _)| message.starts_with(start)).map_or(FaultKind::Panic, |&(_, kind)| kind)
}

#[cfg(test)]
#[path = "native_tests.rs"]
mod tests;
