//! Sizes, alignments and offsets of device types: C's rules, whatever rustc does with the type on the host.
//!
//! Scalars are naturally aligned, a `bool` is one byte, arrays, tuples and structs lay their parts out in order, and a size is a multiple of
//! its alignment. `ringkernel::message::layout` is the same arithmetic at the user's compile time; every expansion asserts that the two agree.

use crate::ir::{Layout, Scalar};

/// The layout of `()` and of structs without fields.
pub const UNIT: Layout = Layout { size: 0, align: 1 };

/// A scalar's layout.
pub fn scalar(scalar: Scalar) -> Layout {
    Layout { size: scalar.bytes(), align: scalar.bytes() }
}

/// `[element; len]`, unless it is 4 GiB or more.
pub fn array(element: Layout, len: u64) -> Option<Layout> {
    let size = u64::from(element.size).checked_mul(len)?;
    Some(Layout { size: u32::try_from(size).ok()?, align: element.align })
}

/// Lays fields out one after another.
#[derive(Clone, Copy, Debug)]
pub struct Packer {
    end: u32,
    align: u32,
}

impl Default for Packer {
    fn default() -> Self {
        Self { end: 0, align: 1 }
    }
}

impl Packer {
    /// Adds a field and returns its offset, unless the whole would be 4 GiB or more.
    pub fn push(&mut self, field: Layout) -> Option<u32> {
        let offset = self.end.checked_next_multiple_of(field.align)?;
        self.end = offset.checked_add(field.size)?;
        self.align = self.align.max(field.align);
        Some(offset)
    }

    /// The layout of all fields together.
    pub fn finish(self) -> Option<Layout> {
        Some(Layout { size: self.end.checked_next_multiple_of(self.align)?, align: self.align })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::{align_of, offset_of, size_of};

    #[test]
    fn fields_and_arrays_lie_as_c_would_lay_them() {
        #[repr(C)]
        struct Point {
            x: f32,
            on: bool,
            y: f64,
        }
        #[repr(C)]
        struct Pair(u8, [Point; 3], u16);
        let mut point = Packer::default();
        let offsets =
            [Scalar::F32, Scalar::Bool, Scalar::F64].map(|s| point.push(scalar(s)).unwrap() as usize);
        assert_eq!(offsets, [offset_of!(Point, x), offset_of!(Point, on), offset_of!(Point, y)]);
        let point = point.finish().unwrap();
        assert_eq!((point.size as usize, point.align as usize), (size_of::<Point>(), align_of::<Point>()));
        let mut pair = Packer::default();
        pair.push(scalar(Scalar::U8)).unwrap();
        assert_eq!(pair.push(array(point, 3).unwrap()).unwrap() as usize, offset_of!(Pair, 1));
        assert_eq!(pair.push(scalar(Scalar::U16)).unwrap() as usize, offset_of!(Pair, 2));
        assert_eq!(pair.finish().unwrap().size as usize, size_of::<Pair>());
        assert_eq!(Packer::default().finish().unwrap(), UNIT);
    }

    #[test]
    fn what_32_bits_cannot_address_has_no_layout() {
        let word = scalar(Scalar::U64);
        assert_eq!(array(word, 1 << 29), None);
        assert_eq!(array(word, u64::MAX), None);
        let half = array(word, 1 << 28).unwrap();
        let mut packer = Packer::default();
        assert_eq!(packer.push(half), Some(0));
        assert_eq!(packer.push(half), None);
    }
}
