//! Buffers that a shard writes for every message: apart, in the cache, from whatever else the heap puts beside them.

/// Bytes in lines of their own.
pub(super) struct Apart {
    lines: Vec<Line>,
    length: usize,
}

#[repr(C, align(128))]
#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
struct Line([u64; 16]);

impl Apart {
    pub(super) fn new(length: usize) -> Self {
        Self { lines: vec![Line([0; 16]); length.div_ceil(size_of::<Line>())], length }
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.length]
    }

    pub(super) fn words(&mut self) -> &mut [u32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.length / 4]
    }
}
