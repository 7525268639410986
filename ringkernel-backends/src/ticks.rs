//! A counter that costs less to read than the time of day.

/// The processor's time stamp counter, where there is one that any thread may read: 1 to 5 of its ticks are a nanosecond. It does not
/// say what time it is; it tells for less than the time of day costs whether that has to be asked for again.
#[inline]
pub fn ticks() -> Option<u64> {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        // SAFETY: every x86-64 processor has the instruction, and it touches no memory.
        Some(unsafe { core::arch::x86_64::_rdtsc() })
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn ticks_go_on_between_a_half_and_ten_a_nanosecond() {
        let (Some(first), start) = (ticks(), Instant::now()) else { return };
        while start.elapsed() < Duration::from_millis(20) {}
        let (last, took) = (ticks().expect("as before"), start.elapsed());
        let passed = last.wrapping_sub(first) as f64 / took.as_nanos() as f64;
        assert!((0.5..10.0).contains(&passed), "{passed} ticks a nanosecond");
    }
}
