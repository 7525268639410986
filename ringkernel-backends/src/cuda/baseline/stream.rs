//! Bare rings in one direction: how many slots of 64 bytes cross the bus in a second with one host thread at the other end.

use super::{STEP, Stage, Throughput, load};
use crate::cuda::CudaDevice;
use crate::kernel::DeviceError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The most rings.
pub const MOST_RINGS: u32 = 16;

// Where `drain.ptx` and `feed.ptx` have them.
/// The count of slots written, by ring.
const WRITTEN: usize = 256;
/// The count of slots read, by ring.
const READ: usize = 2304;
/// The sum of what was read, by ring.
const SUMS: usize = 4352;
const LINE: usize = 128;
const SLOTS: usize = 8192;
const CAPACITY: u32 = 16384;
const WORDS: usize = 8;

/// Slots published together.
const BATCH: u32 = 1024;
/// Threads of a block, one block a ring.
const THREADS: u32 = 256;

struct Rings {
    stage: Stage,
    count: u32,
    per_ring: u32,
}

impl Rings {
    fn start(
        ordinal: usize,
        rings: u32,
        per_ring: u32,
        ptx: &str,
        entry: &'static std::ffi::CStr,
    ) -> Result<(Self, Instant), DeviceError> {
        if !(1..=MOST_RINGS).contains(&rings) || !(1..u32::MAX - BATCH).contains(&per_ring) {
            let detail = format!(
                "{rings} rings of {per_ring} messages; 1 to {MOST_RINGS} rings, fewer than 2^32 messages"
            );
            return Err(DeviceError::Capacity { detail });
        }
        let shared = CudaDevice::open(ordinal, &[])?.shared;
        let function = load(&shared, ordinal, ptx, entry)?;
        let bytes = SLOTS + rings as usize * CAPACITY as usize * WORDS * 8;
        let rings = Self { stage: Stage::open(&shared, bytes)?, count: rings, per_ring };
        let begin = Instant::now();
        rings.stage.launch(function, rings.count, THREADS, per_ring)?;
        Ok((rings, begin))
    }

    fn slots(&self, ring: u32) -> &[AtomicU64] {
        let words = CAPACITY as usize * WORDS;
        self.stage.words(SLOTS + ring as usize * words * 8, words)
    }

    fn count(&self, line: usize, ring: u32) -> &std::sync::atomic::AtomicU32 {
        self.stage.word(line + ring as usize * LINE)
    }

    fn result(&self, begin: Instant) -> Throughput {
        Throughput { messages: u64::from(self.count) * u64::from(self.per_ring), took: begin.elapsed() }
    }
}

/// Gives up when nothing has moved for long.
struct Patience {
    rounds: u32,
    since: Instant,
}

impl Patience {
    fn new() -> Self {
        Self { rounds: 0, since: Instant::now() }
    }

    fn moved(&mut self) {
        self.rounds = 0;
    }

    fn nothing(&mut self) -> Result<(), DeviceError> {
        if self.rounds == 0 {
            self.since = Instant::now();
        }
        self.rounds = self.rounds.wrapping_add(1).max(1);
        if self.rounds.is_multiple_of(4096) && self.since.elapsed() > STEP {
            return Err(DeviceError::Deadline { what: "movement in a bare ring", deadline: STEP });
        }
        std::hint::spin_loop();
        Ok(())
    }
}

/// Sends `per_ring` slots of 64 bytes through each of `rings` rings, at most [`MOST_RINGS`], from one host thread to a block a ring
/// that reads them, on GPU `ordinal`. The device's sum of what it read is checked.
///
/// # Errors
/// [`DeviceError::Unavailable`] where there is no GPU, [`DeviceError::Deadline`] where nothing moves; others as the driver reports
/// them.
pub fn to_device(ordinal: usize, rings: u32, per_ring: u32) -> Result<Throughput, DeviceError> {
    let (rings, begin) = Rings::start(ordinal, rings, per_ring, include_str!("drain.ptx"), c"drain")?;
    let slots: Vec<_> = (0..rings.count).map(|ring| rings.slots(ring)).collect();
    let mut sent = vec![0u32; slots.len()];
    let mut left = u64::from(rings.count) * u64::from(per_ring);
    let mut patience = Patience::new();
    while left > 0 {
        let before = left;
        for (ring, (slots, sent)) in (0..).zip(slots.iter().zip(&mut sent)) {
            // Acquire pairs with the device's release: its reads of the slots come before our writes.
            let read = rings.count(READ, ring).load(Ordering::Acquire);
            let room = CAPACITY - sent.wrapping_sub(read);
            let batch = room.min(BATCH).min(per_ring - *sent);
            if batch == 0 {
                continue;
            }
            for number in *sent..*sent + batch {
                let at = (number % CAPACITY) as usize * WORDS;
                write(&slots[at..at + WORDS], number);
            }
            *sent += batch;
            left -= u64::from(batch);
            // Release pairs with the device's acquire: the slots come first.
            rings.count(WRITTEN, ring).store(*sent, Ordering::Release);
        }
        if left == before { patience.nothing()? } else { patience.moved() }
    }
    rings.stage.returned("the end of a bare ring")?;
    let result = rings.result(begin);
    for ring in 0..rings.count {
        // Acquire pairs with the device's release of its sum.
        let sum = rings.count(SUMS, ring).load(Ordering::Acquire);
        let must_be = sum_of(per_ring);
        if sum != must_be {
            let reason =
                format!("ring {ring} of {per_ring} messages has the sum {sum} and must have {must_be}");
            return Err(DeviceError::Driver { call: "one-way ring", reason });
        }
    }
    Ok(result)
}

/// Word k of 16 is k, but for the first, which is the slot's number.
fn write(slot: &[AtomicU64], number: u32) {
    slot[0].store(u64::from(number) | 1 << 32, Ordering::Relaxed);
    for (k, word) in (1..).zip(&slot[1..]) {
        let low = 2 * k as u64;
        word.store(low | (low + 1) << 32, Ordering::Relaxed);
    }
}

/// What the first words of every 16 bytes of slots 0 to `count` add up to.
fn sum_of(count: u32) -> u32 {
    let count = u64::from(count);
    (count * (count - 1) / 2 + count * (4 + 8 + 12)) as u32
}

/// Receives `per_ring` slots of 64 bytes through each of `rings` rings, at most [`MOST_RINGS`], by one host thread from a block a ring
/// that writes them, on GPU `ordinal`. Every slot's number is checked.
///
/// # Errors
/// As [`to_device`].
pub fn to_host(ordinal: usize, rings: u32, per_ring: u32) -> Result<Throughput, DeviceError> {
    let (rings, begin) = Rings::start(ordinal, rings, per_ring, include_str!("feed.ptx"), c"feed")?;
    let slots: Vec<_> = (0..rings.count).map(|ring| rings.slots(ring)).collect();
    let mut got = vec![0u32; slots.len()];
    let mut left = u64::from(rings.count) * u64::from(per_ring);
    let (mut wrong, mut rest) = (0u32, 0u64);
    let mut patience = Patience::new();
    while left > 0 {
        let before = left;
        for (ring, (slots, got)) in (0..).zip(slots.iter().zip(&mut got)) {
            // Acquire pairs with the device's release: the slots come first.
            let written = rings.count(WRITTEN, ring).load(Ordering::Acquire);
            if written == *got {
                continue;
            }
            for number in *got..written {
                let at = (number % CAPACITY) as usize * WORDS;
                let slot = &slots[at..at + WORDS];
                wrong += u32::from(slot[0].load(Ordering::Relaxed) as u32 != number);
                // All of the slot's line has been brought here; look at its middle and its end as well.
                rest = rest.wrapping_add(slot[2].load(Ordering::Relaxed) ^ slot[7].load(Ordering::Relaxed));
            }
            left -= u64::from(written - *got);
            *got = written;
            // Release pairs with the device's acquire: our reads come before its writes.
            rings.count(READ, ring).store(written, Ordering::Release);
        }
        if left == before { patience.nothing()? } else { patience.moved() }
    }
    let result = rings.result(begin);
    std::hint::black_box(rest);
    rings.stage.returned("the end of a bare ring")?;
    if wrong > 0 {
        let reason = format!("{wrong} of {} slots had another number than theirs", result.messages);
        return Err(DeviceError::Driver { call: "one-way ring", reason });
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_sum_of_slots_is_that_of_the_first_words_of_every_sixteen_bytes() {
        for count in [1, 2, 1000, 70_000] {
            let mut sum = 0u32;
            for number in 0..count {
                let slot: [AtomicU64; WORDS] = Default::default();
                write(&slot, number);
                for chunk in slot.chunks_exact(2) {
                    sum = sum.wrapping_add(chunk[0].load(Ordering::Relaxed) as u32);
                }
            }
            assert_eq!(sum, sum_of(count), "{count}");
        }
    }

    #[test]
    fn rings_that_nobody_moves_are_given_up() {
        let mut patience = Patience { rounds: 4095, since: Instant::now() - STEP - Duration::from_secs(1) };
        assert!(matches!(patience.nothing(), Err(DeviceError::Deadline { .. })));
        patience.moved();
        assert_eq!(patience.nothing(), Ok(()));
    }
}
