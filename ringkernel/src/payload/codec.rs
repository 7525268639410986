//! Archives: to bytes, and from bytes that nobody vouches for.

use super::{Archived, PayloadTooLarge, VariableMessage};
use crate::DecodeError;
use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::{Error, Source};
use rkyv::ser::allocator::{Arena, ArenaHandle};
use rkyv::ser::{Positional, Writer};
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Portable, Serialize};
use std::cell::Cell;
use std::fmt;

/// What archives are aligned to: no part of a message asks for more.
pub(super) const ALIGN: usize = 8;
/// Longer archives are not even counted: offsets in them would not fit.
const END: usize = 1 << 30;
/// A buffer that has grown beyond is not kept.
const KEPT: usize = 1 << 20;

/// What can be archived, validated and taken out again. Implemented for all that `#[derive(RingMessage)]` and `#[derive(Payload)]` make.
pub trait Archivable:
    Archive<
        Archived: Portable
                      + for<'a> CheckBytes<HighValidator<'a, Error>>
                      + Deserialize<Self, HighDeserializer<Error>>,
    > + for<'a> Serialize<HighSerializer<Counting<'a>, ArenaHandle<'a>, Error>>
    + Sized
{
}

impl<T> Archivable for T
where
    T: Archive + for<'a> Serialize<HighSerializer<Counting<'a>, ArenaHandle<'a>, Error>>,
    T::Archived:
        Portable + for<'a> CheckBytes<HighValidator<'a, Error>> + Deserialize<T, HighDeserializer<Error>>,
{
}

/// Writes up to a limit, and counts beyond.
pub struct Counting<'a> {
    bytes: &'a mut AlignedVec<ALIGN>,
    most: usize,
    length: usize,
}

impl Positional for Counting<'_> {
    fn pos(&self) -> usize {
        self.length
    }
}

impl Writer<Error> for Counting<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.length += bytes.len();
        if self.length <= self.most {
            self.bytes.extend_from_slice(bytes);
        } else if self.length > END {
            return Err(Error::new(Endless));
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Endless;

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("longer than any message")
    }
}

impl std::error::Error for Endless {}

/// Buffers that are used again, so that a message allocates nothing.
struct Scratch {
    bytes: AlignedVec<ALIGN>,
    arena: Arena,
}

thread_local! {
    static SPARE: Cell<Option<Scratch>> = const { Cell::new(None) };
}

impl Scratch {
    /// Calls with the thread's buffers, or (within such a call, or while the thread ends) with new ones.
    fn with<R>(call: impl FnOnce(&mut Self) -> R) -> R {
        let spare = SPARE.try_with(Cell::take).ok().flatten();
        let mut scratch = spare.unwrap_or_else(|| Self { bytes: AlignedVec::new(), arena: Arena::new() });
        scratch.bytes.clear();
        let result = call(&mut scratch);
        if scratch.bytes.capacity() <= KEPT {
            let _ = SPARE.try_with(|spare| spare.set(Some(scratch)));
        }
        result
    }
}

/// Calls with a message's archive, which lies aligned.
///
/// # Errors
/// [`PayloadTooLarge`] when it is longer than what a slot carries; nothing was called then.
pub fn with_bytes<M: VariableMessage, R>(
    message: &M,
    call: impl FnOnce(&[u8]) -> R,
) -> Result<R, PayloadTooLarge> {
    archived(message, M::SIZE as usize, call)
}

/// [`with_bytes`], up to the most that the message may ever be.
///
/// # Errors
/// [`PayloadTooLarge`] when it is longer than that.
pub fn with_large_bytes<M: VariableMessage, R>(
    message: &M,
    call: impl FnOnce(&[u8]) -> R,
) -> Result<R, PayloadTooLarge> {
    archived(message, M::LARGEST as usize, call)
}

fn archived<M: VariableMessage, R>(
    message: &M,
    most: usize,
    call: impl FnOnce(&[u8]) -> R,
) -> Result<R, PayloadTooLarge> {
    Scratch::with(|Scratch { bytes, arena }| {
        let mut serializer = rkyv::ser::Serializer::new(
            Counting { bytes, most, length: 0 },
            arena.acquire(),
            rkyv::ser::sharing::Share::new(),
        );
        let done = rkyv::api::serialize_using::<_, Error>(message, &mut serializer);
        let Counting { bytes, length, .. } = serializer.into_writer();
        // Nothing but the writer fails, and that only beyond `END`.
        if done.is_err() || length > most {
            return Err(PayloadTooLarge { message: M::NAME, bytes: length as u64, most: most as u64 });
        }
        Ok(call(bytes))
    })
}

/// Writes a message's archive to the end of `out`, and zeros before it: what [`decode`] reads again, like the archive alone.
///
/// # Panics
/// If `out` is shorter than the archive. Where messages are sent, [`with_bytes`] is asked instead.
pub fn encode<M: VariableMessage>(message: &M, out: &mut [u8]) {
    let most = out.len();
    let written = with_bytes(message, |bytes| {
        let (before, archive) = out.split_at_mut(most - bytes.len());
        before.fill(0);
        archive.copy_from_slice(bytes);
    });
    if let Err(error) = written {
        panic!("{error}");
    }
}

/// Reads an archive in place, after having validated all of it. `bytes` must be aligned to eight, or be copied.
///
/// # Errors
/// When it is no archive of an `M`; what the call returns otherwise.
#[inline]
pub fn access<M: VariableMessage, R>(
    bytes: &[u8],
    call: impl FnOnce(&Archived<M>) -> R,
) -> Result<R, DecodeError> {
    if bytes.as_ptr().addr().is_multiple_of(ALIGN) {
        return Ok(call(validated::<M>(bytes)?));
    }
    Scratch::with(|scratch| {
        scratch.bytes.extend_from_slice(bytes);
        Ok(call(validated::<M>(&scratch.bytes)?))
    })
}

#[inline]
fn validated<M: VariableMessage>(bytes: &[u8]) -> Result<&Archived<M>, DecodeError> {
    if !bytes.len().is_multiple_of(ALIGN) || bytes.len() < size_of::<Archived<M>>() {
        let reason = format_args!("no archive has {} bytes", bytes.len());
        return Err(DecodeError::new(M::NAME, reason));
    }
    rkyv::access::<Archived<M>, Error>(bytes).map_err(|error| DecodeError::new(M::NAME, error))
}

/// Takes a message out of an archive.
///
/// # Errors
/// When it is no archive of an `M`.
pub fn decode<M: VariableMessage>(bytes: &[u8]) -> Result<M, DecodeError> {
    access::<M, _>(bytes, |archived| {
        rkyv::deserialize::<M, Error>(archived).map_err(|error| DecodeError::new(M::NAME, error))
    })?
}
