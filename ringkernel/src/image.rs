//! [`StateImage`]: the states of all instances of a kernel, as bytes that can be kept and launched from.

use crate::{Actor, RingKernelError};
use ringkernel_backends::kernel::{InitialState, KernelDescriptor, NativeShardSpec};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

const MAGIC: [u8; 8] = *b"RKSTATE\n";
const VERSION: u32 = 1;
/// Magic, then version, state size, state alignment, instances, length of the id, length of the actor's name.
const HEADER: usize = 8 + 6 * 4;
const CHECKSUM: usize = 8;
/// Instances whose states are looked at at a time.
const AT_ONCE: u32 = 4096;

/// The states of all instances of a kernel: what [`KernelHandle::image`](crate::KernelHandle::image) takes and
/// [`LaunchOptions::from_image`](crate::LaunchOptions::from_image) launches from, on any backend. Clones share the bytes.
///
/// ```
/// # use ringkernel::prelude::*;
/// # #[derive(RingMessage, Clone, Copy, Debug)] pub struct Add { pub n: u32 }
/// # #[ring_kernel(id = "saved_counter")] #[derive(Default, Debug, PartialEq)] pub struct Counter { n: u32 }
/// # #[ring_kernel] impl Counter {
/// #     #[handler] fn add(&mut self, _ctx: &mut RingContext, msg: Add) -> u32 { self.n += msg.n; self.n }
/// # }
/// # smol::block_on(async {
/// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
/// let counters = Counter::launch(&runtime, LaunchOptions::default().instances(3)).await?;
/// counters.at(2)?.add(Add { n: 5 }).await?;
/// let saved: Vec<u8> = counters.image().await?.to_bytes(); // to be written to a file, say
/// counters.terminate().await?;
///
/// let image = StateImage::from_bytes(&saved)?;
/// assert_eq!((image.id(), image.instances()), ("saved_counter", 3));
/// let counters = Counter::launch(&runtime, LaunchOptions::from_image(image)).await?;
/// assert_eq!(counters.at(2)?.add(Add { n: 1 }).await?, 6);
/// # runtime.shutdown().await
/// # })?;
/// # Ok::<(), RingKernelError>(())
/// ```
///
/// # Format of the bytes
/// All numbers are little endian. `"RKSTATE\n"`; six `u32`: version (1), bytes of a state, its alignment, instances, length of the id,
/// length of the actor's name; the id and the name in UTF-8; the states, instance after instance, each laid out as C would; a
/// `u64` checksum of all before it. The names and types of fields are not in it: an actor whose fields changed and whose size and
/// alignment did not is not told apart.
#[derive(Clone, PartialEq, Eq)]
pub struct StateImage {
    id: String,
    actor: String,
    size: u32,
    align: u32,
    instances: u32,
    states: Arc<Vec<u8>>,
}

/// Why bytes are no [`StateImage`], or why nothing can be launched from one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The bytes do not begin as an image does.
    #[error("these bytes are no state image: they do not begin with \"RKSTATE\"")]
    NotAnImage,
    /// The image was written by another version of this library.
    #[error("the state image is of version {found}, and this library reads version {VERSION}")]
    Version {
        /// What the image says.
        found: u32,
    },
    /// Bytes are missing, or there are too many.
    #[error(
        "the state image has {found} bytes, and its header speaks of {expected}: it was cut off, or something was added"
    )]
    Length {
        /// As the header says.
        expected: u64,
        /// How many there are.
        found: u64,
    },
    /// A field of the header cannot be so.
    #[error("the header of the state image is damaged: {what}")]
    Header {
        /// Which field, and what it says.
        what: String,
    },
    /// The checksum does not fit the bytes.
    #[error(
        "the state image is damaged: its checksum is {expected:016x}, and that of its bytes {found:016x}"
    )]
    Checksum {
        /// As the image says.
        expected: u64,
        /// As computed.
        found: u64,
    },
    /// The image is of another actor than the one to be launched.
    #[error("the state image is of kernel `{image}`, not of `{kernel}`")]
    OtherActor {
        /// Id and struct of the image.
        image: String,
        /// Id and struct of what was to be launched.
        kernel: String,
    },
    /// The actor's state has changed since the image was taken.
    #[error(
        "the states in the image of `{id}` have {found_size} bytes each, aligned to {found_align}, and today's have {size}, aligned to {align}: \
         the actor's fields have changed since it was taken"
    )]
    OtherLayout {
        /// The kernel.
        id: &'static str,
        /// Bytes of a state in the image.
        found_size: u32,
        /// Its alignment.
        found_align: u32,
        /// Bytes of the actor's state now.
        size: u32,
        /// Its alignment.
        align: u32,
    },
    /// A state in the image is no value of its type.
    #[error("a state of instances {} to {} of the image of `{id}` cannot be read: {reason}", instances.start, instances.end - 1)]
    State {
        /// The kernel.
        id: &'static str,
        /// Among which instances it is.
        instances: Range<u32>,
        /// What is wrong with it.
        reason: String,
    },
}

impl StateImage {
    pub(crate) fn new(descriptor: &KernelDescriptor, instances: u32, states: Vec<u8>) -> Self {
        Self {
            id: descriptor.id.to_owned(),
            actor: descriptor.actor.to_owned(),
            size: descriptor.state_size,
            align: descriptor.state_align,
            instances,
            states: Arc::new(states),
        }
    }

    /// The id of the kernel it was taken of.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The actor's name.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// How many instances it holds the states of.
    pub fn instances(&self) -> u32 {
        self.instances
    }

    /// Bytes of an instance's state.
    pub fn state_size(&self) -> u32 {
        self.size
    }

    /// The state of an instance.
    ///
    /// # Errors
    /// [`Image`](RingKernelError::Image) when the image is of another actor, or when the bytes are no such state;
    /// [`NoSuchInstance`](RingKernelError::NoSuchInstance).
    pub fn state<S: Actor>(&self, instance: u32) -> Result<S, RingKernelError> {
        self.check(S::DESCRIPTOR)?;
        let (id, instances) = (S::DESCRIPTOR.id, self.instances);
        if instance >= instances {
            return Err(RingKernelError::NoSuchInstance { id, instance, instances });
        }
        S::decode(self.bytes_of(instance)).map_err(|error| {
            let instances = instance..instance + 1;
            ImageError::State { id, instances, reason: error.to_string() }.into()
        })
    }

    fn bytes_of(&self, instance: u32) -> &[u8] {
        let size = self.size as usize;
        &self.states[instance as usize * size..][..size]
    }

    /// The image as bytes; see the type's documentation for what they are.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = self.id.len() + self.actor.len();
        let mut bytes = Vec::with_capacity(HEADER + text + self.states.len() + CHECKSUM);
        bytes.extend(MAGIC);
        let lengths = [self.id.len() as u32, self.actor.len() as u32];
        for word in [VERSION, self.size, self.align, self.instances].into_iter().chain(lengths) {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(self.id.bytes());
        bytes.extend(self.actor.bytes());
        bytes.extend(&self.states[..]);
        let checksum = checksum(&bytes);
        bytes.extend(checksum.to_le_bytes());
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. Everything is checked before it is believed; what the states mean is
    /// checked when something is launched from them.
    ///
    /// # Errors
    /// [`ImageError`] says what is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ImageError> {
        let begins = &bytes[..bytes.len().min(MAGIC.len())];
        if begins != &MAGIC[..begins.len()] || begins.is_empty() {
            return Err(ImageError::NotAnImage);
        }
        let word = |index: usize| {
            let at = MAGIC.len() + 4 * index;
            let word = bytes.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_le_bytes);
            word.ok_or(ImageError::Length { expected: (HEADER + CHECKSUM) as u64, found: bytes.len() as u64 })
        };
        match word(0)? {
            VERSION => {}
            found => return Err(ImageError::Version { found }),
        }
        let (size, align, instances, id, actor) = (word(1)?, word(2)?, word(3)?, word(4)?, word(5)?);
        // At most 2^64 - 2^33 + …: cannot overflow.
        let text = u64::from(id) + u64::from(actor);
        let all = u64::from(size) * u64::from(instances);
        let expected = all.saturating_add(text).saturating_add((HEADER + CHECKSUM) as u64);
        if bytes.len() as u64 != expected {
            return Err(ImageError::Length { expected, found: bytes.len() as u64 });
        }
        let (body, sum) = bytes.split_at(bytes.len() - CHECKSUM);
        let (expected, found) = (sum.try_into().map_or(0, u64::from_le_bytes), checksum(body));
        if expected != found {
            return Err(ImageError::Checksum { expected, found });
        }
        let damaged = |what: String| ImageError::Header { what };
        if !align.is_power_of_two() {
            return Err(damaged(format!("an alignment of {align}, which is no power of two")));
        }
        if instances == 0 {
            return Err(damaged("0 instances".to_owned()));
        }
        // The lengths were added up above.
        let (id, rest) = body[HEADER..].split_at(id as usize);
        let (actor, states) = rest.split_at(actor as usize);
        let text = |what: &str, bytes: &[u8]| match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(damaged(format!("the {what} is no text: {error}"))),
        };
        let (id, actor) = (text("id", id)?, text("actor's name", actor)?);
        Ok(Self { id, actor, size, align, instances, states: Arc::new(states.to_vec()) })
    }

    /// Whether an actor can be launched from it, but for what the states mean.
    pub(crate) fn check(&self, descriptor: &'static KernelDescriptor) -> Result<(), ImageError> {
        if (&*self.id, &*self.actor) != (descriptor.id, descriptor.actor) {
            let name = |id: &str, actor: &str| format!("{id} ({actor})");
            let (image, kernel) = (name(&self.id, &self.actor), name(descriptor.id, descriptor.actor));
            return Err(ImageError::OtherActor { image, kernel });
        }
        let (size, align) = (descriptor.state_size, descriptor.state_align);
        if (self.size, self.align) != (size, align) {
            let (id, found_size, found_align) = (descriptor.id, self.size, self.align);
            return Err(ImageError::OtherLayout { id, found_size, found_align, size, align });
        }
        Ok(())
    }

    /// Whether every state is a value of its type. It is tried on the native actor, since devices take any bytes.
    pub(crate) fn check_states(&self, descriptor: &'static KernelDescriptor) -> Result<(), ImageError> {
        let initial = self.initial();
        for first in (0..self.instances).step_by(AT_ONCE as usize) {
            let count = AT_ONCE.min(self.instances - first);
            let shard = NativeShardSpec { first, stride: 1, count, initial: &initial };
            if let Err(error) = (descriptor.native)(shard) {
                let (id, instances) = (descriptor.id, first..first + count);
                return Err(ImageError::State { id, instances, reason: error.to_string() });
            }
        }
        Ok(())
    }

    /// The states as initial ones, of an image that was [checked](Self::check).
    pub(crate) fn initial(&self) -> InitialState {
        let image = self.clone();
        Arc::new(move |instance, out| out.copy_from_slice(image.bytes_of(instance)))
    }
}

impl fmt::Debug for StateImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateImage")
            .field("id", &self.id)
            .field("actor", &self.actor)
            .field("instances", &self.instances)
            .field("state_size", &self.size)
            .finish_non_exhaustive()
    }
}

/// FNV-1a over little-endian words of 8 bytes (the last filled up with zeros), and over the length. Each step is a bijection of
/// the sum so far, so a change within one word never goes unnoticed.
fn checksum(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut sum = 0xcbf2_9ce4_8422_2325;
    let mut add = |word: u64| sum = (sum ^ word).wrapping_mul(PRIME);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        add(word.try_into().map_or(0, u64::from_le_bytes));
    }
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    add(u64::from_le_bytes(last));
    add(bytes.len() as u64);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Account, Bare};

    fn image() -> StateImage {
        StateImage::new(Bare::DESCRIPTOR, 3, (0..12).collect())
    }

    #[test]
    fn an_image_survives_the_way_through_bytes() {
        let bytes = image().to_bytes();
        assert_eq!(StateImage::from_bytes(&bytes), Ok(image()));
        assert_eq!(image().state::<Bare>(1), Ok(Bare { unit: 0x0706_0504 }));
        let none = RingKernelError::NoSuchInstance { id: "bare", instance: 3, instances: 3 };
        assert_eq!(image().state::<Bare>(3), Err(none));
        assert!(matches!(
            image().state::<Account>(0),
            Err(RingKernelError::Image(ImageError::OtherActor { .. }))
        ));
    }

    #[test]
    fn every_damaged_bit_and_every_cut_is_noticed() {
        let bytes = image().to_bytes();
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(StateImage::from_bytes(&damaged).is_err(), "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert!(StateImage::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
        let mut longer = bytes.clone();
        longer.push(0);
        assert!(matches!(StateImage::from_bytes(&longer), Err(ImageError::Length { .. })));
    }

    #[test]
    fn an_error_says_what_is_wrong_with_an_image() {
        let text = |bytes: &[u8]| StateImage::from_bytes(bytes).unwrap_err().to_string();
        assert!(text(b"").contains("do not begin with"));
        assert!(text(b"GIF89a").contains("do not begin with"));
        let bytes = image().to_bytes();
        assert!(text(&bytes[..50]).contains("the state image has 50 bytes"), "{}", text(&bytes[..50]));
        // Rewritten with a checksum that fits, so that the fields themselves are looked at.
        let with = |word: usize, value: u32| {
            let mut bytes = image().to_bytes();
            bytes[8 + 4 * word..][..4].copy_from_slice(&value.to_le_bytes());
            let end = bytes.len() - 8;
            let sum = checksum(&bytes[..end]);
            bytes[end..].copy_from_slice(&sum.to_le_bytes());
            bytes
        };
        assert_eq!(text(&with(0, 2)), "the state image is of version 2, and this library reads version 1");
        assert!(text(&with(2, 3)).contains("an alignment of 3"));
        for word in [1, 3, 4, 5] {
            assert!(text(&with(word, u32::MAX)).contains("its header speaks of"));
        }
        let mut crooked = with(1, 0);
        crooked.drain(HEADER..HEADER + 12);
        assert!(StateImage::from_bytes(&crooked).is_err());
    }
}
