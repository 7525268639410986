//! Slots: how one message lies in a ring.
//!
//! A slot is a multiple of 64 bytes, made of 16-byte *chunks*. Each chunk is three data words and a sequence word:
//!
//! ```text
//! chunk 0   tag          instance            correlation index    sequence
//! chunk 1   gen | words  hlc, low            hlc, high            sequence
//! chunk 2   payload 0    payload 1           payload 2            sequence
//! chunk 3   payload 3    payload 4           payload 5            sequence
//! chunk 4   payload 6    …                                        (larger slots)
//! ```
//!
//! A chunk moves in one 16-byte access (or, on the host, two 8-byte ones with the sequence last), so a reader that sees the
//! sequence it waits for has that chunk's data as well, and a slot needs no fence. Between blocks of a GPU that halves the
//! latency of a fenced slot; across the bus it saves the second read that flag-then-payload needs.
//! The sequence of position `p` is `p + 1` in 32 bits, so it also tells laps apart. The header is 6 words (24 bytes), and a
//! message of up to 24 bytes fits one 64-byte slot. A writer writes only the chunks its message needs.

/// Bytes of a chunk.
pub const CHUNK_BYTES: usize = 16;
/// Data words of a chunk; the fourth is its sequence.
pub const CHUNK_DATA_WORDS: usize = 3;
/// Slots are a multiple of this, and aligned to it.
pub const SLOT_GRAIN: usize = 64;
/// Words of the header.
pub const HEADER_WORDS: usize = 6;
/// Chunks the header takes.
pub const HEADER_CHUNKS: usize = HEADER_WORDS / CHUNK_DATA_WORDS;
/// The most payload words a slot can carry (the header counts them in 16 bits): 256 KiB less 4 bytes.
pub const MAX_PAYLOAD_WORDS: usize = u16::MAX as usize;
/// The correlation index of a message nobody waits for an answer to.
pub const NO_CORRELATION: u32 = u32::MAX;
/// In a reply ring, instead of a correlation index: a message to the host beside replies.
pub const OUTPUT: u32 = u32::MAX - 1;
/// In a reply ring: a message that the host is to hand to another kernel. Three words stand before the payload: the receiver's number, and the
/// third and the lower half of the fourth header word that it is to arrive with (see [`Origin`]). The header's instance is the receiver's.
pub const RELAY: u32 = u32::MAX - 2;
/// In a reply ring: a message that was published. Three words stand before the payload: the topic's key, whether it is to be retained, and 0.
pub const PUBLISHED: u32 = u32::MAX - 3;
/// Words in front of the payload of [`RELAY`] and [`PUBLISHED`].
pub const PREFIX_WORDS: usize = 3;
/// Bits of a generation, and of a kernel's number; the two bits above them say which of the two it is.
pub const GENERATION_BITS: u32 = 14;
/// The generation's bits.
pub const GENERATION_MASK: u16 = (1 << GENERATION_BITS) - 1;
/// Above the generation's bits: a kernel sent the message. The index is the instance that did, the generation that kernel's number.
pub const FROM_KERNEL: u16 = 1 << GENERATION_BITS;
/// Above the generation's bits: a request that another kernel was asked and handed on. The index is that kernel's, the generation its number.
pub const FORWARDED: u16 = 2 << GENERATION_BITS;

/// Which pending request a reply belongs to: an index into the caller's slab and the generation of that entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Correlation {
    /// Slab index, or [`NO_CORRELATION`].
    pub index: u32,
    /// How often the entry was used, in [`GENERATION_BITS`] bits: a reply of another generation is discarded. With the bits above them, see
    /// [`Origin`].
    pub generation: u16,
}

impl Correlation {
    /// No reply is wanted.
    pub const NONE: Self = Self { index: NO_CORRELATION, generation: 0 };

    /// Whether somebody waits for the reply.
    pub fn is_some(self) -> bool {
        matches!(self.origin(), Origin::Asker(_) | Origin::Forwarded { .. })
    }
}

/// Who sent a message, and who waits for the answer: what the correlation in its header means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The host, which does not wait for an answer.
    Nobody,
    /// The host, by this entry of this kernel's own.
    Asker(Correlation),
    /// An instance of a kernel. It does not wait for an answer.
    Kernel {
        /// The kernel's number.
        kernel: u16,
        /// The instance.
        instance: u32,
    },
    /// The host, by an entry of another kernel's.
    Forwarded {
        /// That kernel's number.
        kernel: u16,
        /// The entry.
        index: u32,
    },
}

impl Correlation {
    /// What it means in a request ring, a mailbox, or a reply's header.
    pub fn origin(self) -> Origin {
        let number = self.generation & GENERATION_MASK;
        match self.generation & !GENERATION_MASK {
            FROM_KERNEL => Origin::Kernel { kernel: number, instance: self.index },
            FORWARDED => Origin::Forwarded { kernel: number, index: self.index },
            _ if self.index == NO_CORRELATION => Origin::Nobody,
            _ => Origin::Asker(self),
        }
    }
}

impl From<Origin> for Correlation {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Nobody => Self::NONE,
            Origin::Asker(correlation) => correlation,
            Origin::Kernel { kernel, instance } => Self { index: instance, generation: kernel | FROM_KERNEL },
            Origin::Forwarded { kernel, index } => Self { index, generation: kernel | FORWARDED },
        }
    }
}

/// The header of a slot, unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the payload is; see [`tag`](super::tag).
    pub tag: u32,
    /// The instance it is for, or from.
    pub instance: u32,
    /// Who waits for the answer.
    pub correlation: Correlation,
    /// Payload length in words of 4 bytes (the last may be padding).
    pub words: u16,
    /// Hybrid logical clock timestamp; 0 where the sender has not stamped it.
    pub hlc: u64,
}

impl Header {
    /// The six header words in slot order.
    pub fn to_words(self) -> [u32; HEADER_WORDS] {
        [
            self.tag,
            self.instance,
            self.correlation.index,
            self.correlation.generation as u32 | (self.words as u32) << 16,
            self.hlc as u32,
            (self.hlc >> 32) as u32,
        ]
    }

    /// Unpacks what [`to_words`](Self::to_words) packed.
    pub fn from_words(w: [u32; HEADER_WORDS]) -> Self {
        Self {
            tag: w[0],
            instance: w[1],
            correlation: Correlation { index: w[2], generation: w[3] as u16 },
            words: (w[3] >> 16) as u16,
            hlc: w[4] as u64 | (w[5] as u64) << 32,
        }
    }
}

/// The shape of a ring's slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotShape {
    bytes: u32,
}

impl SlotShape {
    /// The smallest slot that carries a payload of `payload_bytes`, or `None` beyond [`MAX_PAYLOAD_WORDS`].
    pub const fn for_payload(payload_bytes: usize) -> Option<Self> {
        let words = payload_bytes.div_ceil(4);
        if words > MAX_PAYLOAD_WORDS {
            return None;
        }
        let bytes = (HEADER_CHUNKS + words.div_ceil(CHUNK_DATA_WORDS)) * CHUNK_BYTES;
        Some(Self { bytes: bytes.next_multiple_of(SLOT_GRAIN) as u32 })
    }

    /// Bytes of a slot, a multiple of 64.
    pub const fn bytes(self) -> usize {
        self.bytes as usize
    }

    /// Chunks of a slot.
    pub const fn chunks(self) -> usize {
        self.bytes as usize / CHUNK_BYTES
    }

    /// Payload words that fit.
    pub const fn payload_words(self) -> usize {
        let fits = (self.chunks() - HEADER_CHUNKS) * CHUNK_DATA_WORDS;
        if fits > MAX_PAYLOAD_WORDS { MAX_PAYLOAD_WORDS } else { fits }
    }
}

/// The sequence that publishes position `position`.
pub const fn sequence(position: u64) -> u32 {
    (position as u32).wrapping_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_message_fits_one_line_and_larger_ones_grow_by_lines() {
        for (payload, bytes) in [(0, 64), (4, 64), (24, 64), (25, 128), (72, 128), (73, 192), (1024, 1408)] {
            let shape = SlotShape::for_payload(payload).unwrap();
            assert_eq!(shape.bytes(), bytes, "payload of {payload} bytes");
            assert!(shape.payload_words() * 4 >= payload);
        }
        assert_eq!(SlotShape::for_payload(MAX_PAYLOAD_WORDS * 4 + 1), None);
        assert!(SlotShape::for_payload(MAX_PAYLOAD_WORDS * 4).is_some());
    }

    #[test]
    fn an_origin_survives_the_header() {
        let asker = Correlation { index: 7, generation: GENERATION_MASK };
        for origin in [
            Origin::Nobody,
            Origin::Asker(asker),
            Origin::Kernel { kernel: 5, instance: u32::MAX },
            Origin::Forwarded { kernel: GENERATION_MASK, index: 0 },
        ] {
            let correlation = Correlation::from(origin);
            assert_eq!(correlation.origin(), origin);
            assert_eq!(correlation.is_some(), matches!(origin, Origin::Asker(_) | Origin::Forwarded { .. }));
        }
    }

    #[test]
    fn a_header_survives_its_words() {
        let header = Header {
            tag: 0xdead_beef,
            instance: 7,
            correlation: Correlation { index: 99, generation: 0xabcd },
            words: 0xfffe,
            hlc: 0x0123_4567_89ab_cdef,
        };
        assert_eq!(Header::from_words(header.to_words()), header);
    }
}
