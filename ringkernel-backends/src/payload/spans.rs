//! Pieces of a region of fixed size.

use range_alloc::RangeAllocator;
use std::ops::Range;

/// Hands out pieces of a region of fixed size, best fit, and joins what is given back.
///
/// Pieces begin at multiples of [`ALIGN`](Self::ALIGN) and their lengths are rounded up to that.
///
/// ```
/// use ringkernel_backends::payload::Spans;
///
/// let mut spans = Spans::new(64);
/// let (a, b) = (spans.take(10).unwrap(), spans.take(48).unwrap());
/// assert_eq!((a.start, b.end - b.start, spans.take(1)), (0, 48, None));
/// spans.give_back(a);
/// assert_eq!(spans.take(16), Some(0..16));
/// ```
#[derive(Debug)]
pub struct Spans {
    /// In units of `ALIGN` bytes.
    units: Option<RangeAllocator<u64>>,
    used: u64,
}

impl Spans {
    /// What pieces are aligned to, in bytes.
    pub const ALIGN: u64 = 16;

    /// A region of so many bytes; what is left of it behind the last multiple of the alignment stays unused.
    pub fn new(bytes: u64) -> Self {
        let units = bytes / Self::ALIGN;
        Self { units: (units > 0).then(|| RangeAllocator::new(0..units)), used: 0 }
    }

    /// A piece with room for so many bytes, at least one: where in the region it lies. `None` where no piece is so long.
    pub fn take(&mut self, bytes: u64) -> Option<Range<u64>> {
        let units = bytes.max(1).div_ceil(Self::ALIGN);
        let Range { start, end } = self.units.as_mut()?.allocate_range(units).ok()?;
        self.used += units * Self::ALIGN;
        Some(start * Self::ALIGN..end * Self::ALIGN)
    }

    /// Takes a piece back that [`take`](Self::take) has given.
    ///
    /// # Panics
    /// If it is no such piece.
    pub fn give_back(&mut self, piece: Range<u64>) {
        let Some(units) = &mut self.units else { panic!("{piece:?} of a region without room") };
        units.free_range(piece.start / Self::ALIGN..piece.end / Self::ALIGN);
        self.used -= piece.end - piece.start;
    }

    /// Bytes that are handed out.
    pub fn used(&self) -> u64 {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_region_without_room_has_none() {
        for bytes in [0, 1, 15] {
            assert_eq!(Spans::new(bytes).take(1), None);
        }
        assert_eq!(Spans::new(31).take(u64::MAX), None);
        assert_eq!(Spans::new(31).take(0), Some(0..16));
    }

    proptest! {
        /// The model is one flag a unit.
        #[test]
        fn pieces_lie_within_the_region_aligned_and_apart_and_none_is_refused_that_fits(
            units in 1usize..64,
            steps in proptest::collection::vec((0u8..3, 0u64..400, any::<prop::sample::Index>()), 0..200),
        ) {
            let (mut spans, mut taken) = (Spans::new(units as u64 * 16 + 7), vec![false; units]);
            let mut pieces: Vec<Range<u64>> = Vec::new();
            for (what, bytes, which) in steps {
                if what < 2 {
                    let wanted = bytes.max(1).div_ceil(16) as usize;
                    let fits = taken.windows(wanted).any(|window| window.iter().all(|taken| !taken));
                    let piece = spans.take(bytes);
                    prop_assert_eq!(piece.is_some(), fits);
                    if let Some(piece) = piece {
                        prop_assert!(piece.start % 16 == 0 && piece.end - piece.start == wanted as u64 * 16);
                        for unit in piece.start / 16..piece.end / 16 {
                            prop_assert!(!std::mem::replace(&mut taken[unit as usize], true));
                        }
                        pieces.push(piece);
                    }
                } else if !pieces.is_empty() {
                    let piece = pieces.swap_remove(which.index(pieces.len()));
                    taken[(piece.start / 16) as usize..(piece.end / 16) as usize].fill(false);
                    spans.give_back(piece);
                }
                prop_assert_eq!(spans.used(), 16 * taken.iter().filter(|taken| **taken).count() as u64);
            }
        }
    }
}
