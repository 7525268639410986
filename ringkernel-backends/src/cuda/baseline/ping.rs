//! The bare bounce: 64 bytes to a resident warp and back, through mapped pinned memory.

use super::{STEP, Stage, Times, load};
use crate::cuda::CudaDevice;
use crate::kernel::DeviceError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

// Where `ping.ptx` has them.
const IN: usize = 256;
const OUT: usize = 512;
/// 64 bytes are four times 16.
const CHUNKS: usize = 4;

/// Bounces 64 bytes between the host and one warp that does nothing else, `count` times after a warm-up, on GPU `ordinal`. Every
/// bounce is checked.
///
/// # Errors
/// [`DeviceError::Unavailable`] where there is no GPU, [`DeviceError::Deadline`] where an answer does not come; others as the driver
/// reports them.
pub fn ping_pong(ordinal: usize, count: usize) -> Result<Times, DeviceError> {
    let shared = CudaDevice::open(ordinal, &[])?.shared;
    let function = load(&shared, ordinal, include_str!("ping.ptx"), c"ping")?;
    let stage = Stage::open(&shared, 4096)?;
    let warm_up = (count / 10).clamp(1, 2000);
    let too_many = || DeviceError::Capacity { detail: format!("{count} bounces") };
    // Sequences are 32 bits wide, and 0 is what the memory begins with.
    let all = u32::try_from(warm_up + count).map_err(|_| too_many())?;
    stage.launch(function, 1, CHUNKS as u32, all)?;

    let (there, back) = (stage.words(IN, 2 * CHUNKS), stage.words(OUT, 2 * CHUNKS));
    let mut times = Vec::with_capacity(count);
    for sequence in 1..=all {
        let begin = Instant::now();
        send(there, sequence);
        let answers = receive(back, sequence, STEP)?;
        let took = begin.elapsed();
        for (chunk, answer) in answers.into_iter().enumerate() {
            let must_be = (u64::from(sequence + 1) | 7 << 32, chunk as u64 | u64::from(sequence) << 32);
            if answer != must_be {
                let reason =
                    format!("chunk {chunk} of bounce {sequence} is {answer:x?} and must be {must_be:x?}");
                return Err(DeviceError::Driver { call: "ping-pong", reason });
            }
        }
        if sequence as usize > warm_up {
            times.push(took);
        }
    }
    stage.returned("the end of a ping-pong")?;
    Ok(Times::of(times))
}

/// Every chunk is its number's words with the sequence last.
fn send(there: &[AtomicU64], sequence: u32) {
    for (chunk, words) in there.chunks_exact(2).enumerate() {
        words[0].store(u64::from(sequence) | 7 << 32, Ordering::Relaxed);
        // Release: whoever sees the sequence sees the word before it. The device reads both in one access.
        words[1].store(chunk as u64 | u64::from(sequence) << 32, Ordering::Release);
    }
}

/// Waits until every chunk has come back.
fn receive(
    back: &[AtomicU64],
    sequence: u32,
    deadline: Duration,
) -> Result<[(u64, u64); CHUNKS], DeviceError> {
    let mut answers = [(0, 0); CHUNKS];
    let mut begun = None;
    for (words, answer) in back.chunks_exact(2).zip(&mut answers) {
        let mut polls = 0u32;
        loop {
            // Acquire pairs with the device's one store of both words.
            let last = words[1].load(Ordering::Acquire);
            if (last >> 32) as u32 == sequence {
                *answer = (words[0].load(Ordering::Relaxed), last);
                break;
            }
            polls = polls.wrapping_add(1);
            // The clock is looked at now and then only.
            if polls.is_multiple_of(4096) && begun.get_or_insert_with(Instant::now).elapsed() > deadline {
                return Err(DeviceError::Deadline { what: "an answer of the ping-pong", deadline });
            }
            std::hint::spin_loop();
        }
    }
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounce_is_known_by_its_sequence_and_an_answer_that_does_not_come_is_an_error() {
        let line: [AtomicU64; 8] = Default::default();
        send(&line, 41);
        let answers = receive(&line, 41, STEP).unwrap();
        assert_eq!(answers[3], (41 | 7 << 32, 3 | 41 << 32));
        assert!(matches!(receive(&line, 42, Duration::ZERO), Err(DeviceError::Deadline { .. })));
    }
}
