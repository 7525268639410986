//! The memory of a ring: what both ends see.

use super::super::slot::SlotShape;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The memory both ends see: 64-bit words of slots, and the head word.
pub trait RingMemory: Send + Sync {
    /// Whether a [`window`](Self::window) has the words themselves, which are plain memory.
    const PLAIN: bool = false;
    /// Reads 64-bit word `index` of the slot area.
    fn load(&self, index: usize, order: Ordering) -> u64;
    /// Writes 64-bit word `index` of the slot area.
    fn store(&self, index: usize, value: u64, order: Ordering);
    /// Reads the consumer's published position.
    fn load_head(&self, order: Ordering) -> u64;
    /// Publishes the consumer's position.
    fn store_head(&self, value: u64, order: Ordering);
    /// Brings the line of word `index` nearer, if the memory can and the processor likes to. A hint.
    #[inline]
    fn prefetch(&self, _index: usize) {}
    /// The `words` words from `first` on, for who will use several of them.
    #[inline]
    fn window(&self, first: usize, words: usize) -> Window<'_, Self>
    where
        Self: Sized,
    {
        Window { memory: self, first, plain: &[], words }
    }
}

/// Some words of a ring's memory, in a row.
pub struct Window<'a, M> {
    memory: &'a M,
    first: usize,
    words: usize,
    /// The words themselves, where the memory says that it is [plain](RingMemory::PLAIN): then their bounds are looked at once.
    plain: &'a [AtomicU64],
}

// Not derived: the memory need not be `Copy`.
impl<M> Clone for Window<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<M> Copy for Window<'_, M> {}

impl<M: RingMemory> Window<'_, M> {
    #[inline]
    pub(super) fn load(&self, index: usize, order: Ordering) -> u64 {
        if M::PLAIN { self.plain[index].load(order) } else { self.memory.load(self.first + index, order) }
    }

    #[inline]
    pub(super) fn store(&self, index: usize, value: u64, order: Ordering) {
        if M::PLAIN {
            self.plain[index].store(value, order);
        } else {
            self.memory.store(self.first + index, value, order);
        }
    }

    /// Some of them.
    ///
    /// # Panics
    /// If they are not all there.
    #[inline(always)]
    pub(super) fn part(&self, first: usize, words: usize) -> Window<'_, M> {
        let plain = if M::PLAIN { &self.plain[first..][..words] } else { &[] };
        Window { memory: self.memory, first: self.first + first, words, plain }
    }

    /// Brings the line of one of them nearer, if the processor likes to. A hint.
    #[inline(always)]
    pub(super) fn prefetch(&self, index: usize) {
        self.plain.get(index).into_iter().for_each(prefetch);
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        if M::PLAIN { self.plain.len() } else { self.words }
    }
}

/// Brings the line of a word nearer, if the processor likes to. A hint.
#[inline]
pub fn prefetch(word: &AtomicU64) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint about an address that is valid; it reads nothing.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(word).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
}

/// Ring memory at fixed addresses: heap memory, or pinned memory that a device maps.
pub struct RawMemory {
    slots: *const AtomicU64,
    words: usize,
    head: *const AtomicU64,
    _owner: Arc<dyn Any + Send + Sync>,
}

// SAFETY: the pointers are to atomics only, valid for as long as `_owner`, which is Send + Sync and moves along.
unsafe impl Send for RawMemory {}
// SAFETY: as above; every access is atomic.
unsafe impl Sync for RawMemory {}

impl RawMemory {
    /// Wraps memory owned by `owner`.
    ///
    /// # Safety
    /// `slots` must point to `words` 64-bit words and `head` to one, both 8-byte aligned, inside memory that lives as long as
    /// `owner` and that host threads access through atomics only.
    pub unsafe fn new(
        slots: *mut u64,
        words: usize,
        head: *mut u64,
        owner: Arc<dyn Any + Send + Sync>,
    ) -> Self {
        Self { slots: slots.cast(), words, head: head.cast(), _owner: owner }
    }

    /// Zeroed heap memory for a ring of `capacity` slots.
    pub fn heap(capacity: u32, shape: SlotShape) -> Self {
        let words = capacity as usize * shape.bytes() / 8;
        // One 64-byte line for the head, then the slots, all lines aligned.
        #[repr(C, align(64))]
        struct Line([AtomicU64; 8]);
        let lines: Vec<Line> =
            (0..1 + words / 8).map(|_| Line(std::array::from_fn(|_| AtomicU64::new(0)))).collect();
        let owner: Arc<Vec<Line>> = Arc::new(lines);
        let (head, slots) = (owner[0].0.as_ptr(), owner[1..].as_ptr().cast::<AtomicU64>());
        Self { slots, words, head, _owner: owner }
    }

    /// Where the first slot lies in host memory, for control blocks.
    pub fn slots_address(&self) -> u64 {
        self.slots as u64
    }

    /// Where the head word lies in host memory.
    pub fn head_address(&self) -> u64 {
        self.head as u64
    }

    #[inline]
    fn word(&self, index: usize) -> &AtomicU64 {
        if index >= self.words {
            self.no_such_word(index);
        }
        // SAFETY: the index was checked, and the constructor's contract makes the memory valid and atomic.
        unsafe { &*self.slots.add(index) }
    }

    #[cold]
    #[inline(never)]
    fn no_such_word(&self, index: usize) -> ! {
        panic!("ring word {index} of {}", self.words);
    }

    #[inline]
    fn head(&self) -> &AtomicU64 {
        // SAFETY: the constructor's contract.
        unsafe { &*self.head }
    }
}

impl RingMemory for RawMemory {
    const PLAIN: bool = true;

    #[inline]
    fn load(&self, index: usize, order: Ordering) -> u64 {
        self.word(index).load(order)
    }
    #[inline]
    fn store(&self, index: usize, value: u64, order: Ordering) {
        self.word(index).store(value, order)
    }
    #[inline]
    fn load_head(&self, order: Ordering) -> u64 {
        self.head().load(order)
    }
    #[inline]
    fn store_head(&self, value: u64, order: Ordering) {
        self.head().store(value, order)
    }

    #[inline]
    fn prefetch(&self, index: usize) {
        if index < self.words {
            prefetch(self.word(index));
        }
    }

    #[inline]
    fn window(&self, first: usize, words: usize) -> Window<'_, Self> {
        if first.checked_add(words).is_none_or(|end| end > self.words) {
            self.no_such_word(first);
        }
        // SAFETY: the bounds were checked, and the constructor's contract makes the memory valid and atomic.
        let plain = unsafe { std::slice::from_raw_parts(self.slots.add(first), words) };
        Window { memory: self, first, words, plain }
    }
}
