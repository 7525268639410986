//! A message on its way to a ring, in wire bytes.

use crate::{PayloadTooLarge, RingMessage};
use ringkernel_backends::abi::ring::LINE_WORDS;

/// The largest message that is held in place.
const IN_PLACE: usize = 112;
/// What the first line of a slot has room for. Most messages are no larger, and making one is mostly stores.
const LINE: usize = 4 * LINE_WORDS;

/// A message's wire bytes: in place where they are few, else on the heap.
pub(crate) enum Encoded {
    Line {
        bytes: Line,
        length: u8,
    },
    InPlace {
        bytes: [u8; IN_PLACE],
        length: u8,
    },
    Heap(Box<[u8]>),
    /// Of variable size, and more than a slot carries; the error is for devices that have no other memory for it.
    Large(Box<[u8]>, PayloadTooLarge),
    /// Of variable size, and more than it may be.
    TooLarge(PayloadTooLarge),
}

/// Aligned, so that it is written in few pieces.
#[repr(align(8))]
pub(crate) struct Line([u8; LINE]);

impl Encoded {
    #[inline]
    pub(crate) fn new<M: RingMessage>(message: &M) -> Self {
        let size = M::SIZE as usize;
        if M::VARIABLE {
            let encode = |archive: &[u8]| match archive.len() {
                length if length > size => {
                    let error =
                        PayloadTooLarge { message: M::NAME, bytes: length as u64, most: u64::from(M::SIZE) };
                    Self::Large(archive.into(), error)
                }
                _ => Self::of(archive),
            };
            message.with_large_bytes(encode).unwrap_or_else(Self::TooLarge)
        } else if size <= LINE {
            let mut bytes = Line([0; LINE]);
            message.encode(&mut bytes.0[..size]);
            Self::Line { bytes, length: size as u8 }
        } else if size <= IN_PLACE {
            let mut bytes = [0; IN_PLACE];
            message.encode(&mut bytes[..size]);
            Self::InPlace { bytes, length: size as u8 }
        } else {
            let mut bytes = vec![0; size].into_boxed_slice();
            message.encode(&mut bytes);
            Self::Heap(bytes)
        }
    }

    fn of(archive: &[u8]) -> Self {
        if archive.len() > IN_PLACE {
            return Self::Heap(archive.into());
        }
        let mut bytes = [0; IN_PLACE];
        bytes[..archive.len()].copy_from_slice(archive);
        Self::InPlace { bytes, length: archive.len() as u8 }
    }

    /// An error if there is nothing to be sent, to a device with memory for what no slot carries or without.
    #[inline]
    pub(crate) fn check(&self, has_arena: impl FnOnce() -> bool) -> Result<(), PayloadTooLarge> {
        match self {
            Self::TooLarge(error) => Err(*error),
            Self::Large(_, error) if !has_arena() => Err(*error),
            _ => Ok(()),
        }
    }

    /// Whether it is all here.
    #[inline]
    pub(crate) fn is_in_place(&self) -> bool {
        matches!(self, Self::Line { .. } | Self::InPlace { .. })
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Line { bytes, length } => &bytes.0[..(*length as usize).min(LINE)],
            Self::InPlace { bytes, length } => &bytes[..(*length as usize).min(IN_PLACE)],
            Self::Heap(bytes) | Self::Large(bytes, _) => bytes,
            Self::TooLarge(_) => &[],
        }
    }
}
