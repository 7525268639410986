//! The machine's accesses to the memory of this process: every one is checked, and then atomic.
//!
//! All of the machine's unsafe code is here. Other blocks and the host touch the same bytes at the same time, so a weak access is a relaxed
//! one. What a load sees is never older than what was seen before, as on x86-64: reordering is not modelled.

use super::{FaultKind, Memory};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence};

// SAFETY: it allows nothing: there is no memory but the machine's own.
unsafe impl Memory for () {
    fn allows(&self, _: u64, _: u64) -> bool {
        false
    }
}

/// 128 bytes of a [`Store`], so that variables may ask for as much alignment.
#[repr(align(128))]
#[derive(Debug, Default)]
struct Chunk([AtomicU64; 16]);

/// Memory of the machine's own: a block's shared window, its lanes' locals, a module's variables. It stays where it is.
#[derive(Debug, Default)]
pub(super) struct Store {
    chunks: Vec<Chunk>,
    start: u64,
}

impl Store {
    /// So many bytes, at least, with these words in them.
    pub(super) fn new(bytes: u64, mut words: impl FnMut() -> u64) -> Self {
        let chunks: Vec<Chunk> = (0..bytes.div_ceil(128))
            .map(|_| Chunk(std::array::from_fn(|_| AtomicU64::new(words()))))
            .collect();
        // Device code makes pointers out of it again.
        let start = chunks.as_ptr().expose_provenance() as u64;
        Self { chunks, start }
    }

    pub(super) fn start(&self) -> u64 {
        self.start
    }

    pub(super) fn bytes(&self) -> u64 {
        self.chunks.len() as u64 * 128
    }

    fn holds(&self, address: u64, bytes: u64) -> bool {
        address.wrapping_sub(self.start) <= self.bytes().wrapping_sub(bytes) && bytes <= self.bytes()
    }

    /// Puts bytes of a variable there, before anybody runs.
    pub(super) fn put(&self, at: u64, value: u64, bytes: u32) {
        for byte in 0..bytes as u64 {
            let (at, value) = (at + byte, value >> (8 * byte) & 255);
            let Some(chunk) = self.chunks.get((at / 128) as usize) else { return };
            // Nobody else has it yet.
            chunk.0[(at / 8 % 16) as usize].fetch_or(value << (8 * (at % 8)), Ordering::Relaxed);
        }
    }
}

/// How many ranges of the process's memory are remembered.
const REMEMBERED: usize = 8;

/// What one warp sees while it runs.
pub(super) struct View<'a> {
    memory: &'a dyn Memory,
    ranges: [(u64, u64); REMEMBERED],
    next: usize,
    /// The module's variables.
    pub(super) data: &'a Store,
    /// The block's shared window, and how much of it is used.
    pub(super) shared: &'a Store,
    pub(super) shared_bytes: u64,
}

impl<'a> View<'a> {
    pub(super) fn new(memory: &'a dyn Memory, data: &'a Store, shared: &'a Store, shared_bytes: u64) -> Self {
        Self { memory, ranges: [(1, 0); REMEMBERED], next: 0, data, shared, shared_bytes }
    }

    /// Whether this is memory that blocks share with one another and the host.
    fn global(&mut self, address: u64, bytes: u64) -> bool {
        let Some(end) = address.checked_add(bytes) else { return false };
        if self.ranges.iter().any(|(from, to)| address >= *from && end <= *to) {
            return true;
        }
        if self.data.holds(address, bytes) {
            return true;
        }
        let Some((from, to)) = self.memory.range(address, bytes) else { return false };
        self.ranges[self.next % REMEMBERED] = (from, to);
        self.next += 1;
        address >= from && end <= to
    }

    /// Whether the block's shared window has it.
    fn shared(&self, address: u64, bytes: u64) -> bool {
        let offset = address.wrapping_sub(self.shared.start());
        offset.checked_add(bytes).is_some_and(|end| end <= self.shared_bytes)
            && self.shared.holds(address, bytes)
    }

    /// Whether a generic address is one of the shared window's.
    pub(super) fn in_shared(&self, address: u64) -> bool {
        self.shared(address, 1)
    }

    /// Whether `.global` code may touch this.
    pub(super) fn check_global(&mut self, address: u64, bytes: u64, align: u64) -> Result<Place, FaultKind> {
        self.place(address, align, |view| view.global(address, bytes))
    }

    /// A generic address: the shared window's, the lane's own window's, or memory.
    pub(super) fn check_generic(
        &mut self,
        address: u64,
        bytes: u64,
        align: u64,
        local: &Window<'_>,
    ) -> Result<Place, FaultKind> {
        self.place(address, align, |view| {
            local.holds(address, bytes) || view.shared(address, bytes) || view.global(address, bytes)
        })
    }

    /// An offset in the shared window.
    pub(super) fn check_shared(&mut self, offset: u64, bytes: u64, align: u64) -> Result<Place, FaultKind> {
        // The window's addresses have 32 bits.
        let address = self.shared.start().wrapping_add(offset as u32 as u64);
        self.place(address, align, |view| view.shared(address, bytes))
    }

    fn place(
        &mut self,
        address: u64,
        align: u64,
        good: impl FnOnce(&mut Self) -> bool,
    ) -> Result<Place, FaultKind> {
        if address & (align - 1) != 0 {
            return Err(FaultKind::Misaligned(address));
        }
        if !good(self) {
            return Err(FaultKind::IllegalAddress(address));
        }
        Ok(Place(address))
    }
}

/// A lane's own window: `bytes` of a store, from `start` on.
pub(super) struct Window<'a> {
    pub(super) store: &'a Store,
    pub(super) start: u64,
    pub(super) bytes: u64,
}

impl Window<'_> {
    fn holds(&self, address: u64, bytes: u64) -> bool {
        let offset = address.wrapping_sub(self.start);
        offset.checked_add(bytes).is_some_and(|end| end <= self.bytes) && self.store.holds(address, bytes)
    }

    /// Whether a generic address is one of it.
    pub(super) fn contains(&self, address: u64) -> bool {
        self.holds(address, 1)
    }

    /// An offset in it.
    pub(super) fn check(&self, offset: u64, bytes: u64, align: u64) -> Result<Place, FaultKind> {
        let address = self.start.wrapping_add(offset);
        if address & (align - 1) != 0 {
            return Err(FaultKind::Misaligned(offset));
        }
        if !self.holds(address, bytes) {
            return Err(FaultKind::IllegalAddress(offset));
        }
        Ok(Place(address))
    }
}

/// An address that may be touched, as often as is done at once: made by the checks alone, of so many bytes, so aligned.
#[derive(Clone, Copy)]
pub(super) struct Place(u64);

impl Place {
    pub(super) fn address(self) -> u64 {
        self.0
    }

    /// The element behind it: for accesses of several, checked as a whole.
    pub(super) fn plus(self, bytes: u64) -> Self {
        Self(self.0 + bytes)
    }

    fn pointer<T>(self) -> *mut T {
        std::ptr::with_exposed_provenance_mut(self.0 as usize)
    }

    /// A load of 1, 2, 4 or 8 bytes. Acquire, since it may be one: it pairs with the release stores of other blocks and the host.
    pub(super) fn load(self, bytes: u8) -> u64 {
        // SAFETY: a `Place` is made by a check of address, size and alignment, by stores that live as long as the machine runs
        // or by the `Memory`, which vouches for its ranges. Everybody else uses atomics there, or the device's rules are broken.
        unsafe {
            match bytes {
                1 => AtomicU8::from_ptr(self.pointer()).load(Ordering::Acquire) as u64,
                2 => AtomicU16::from_ptr(self.pointer()).load(Ordering::Acquire) as u64,
                4 => AtomicU32::from_ptr(self.pointer()).load(Ordering::Acquire) as u64,
                _ => AtomicU64::from_ptr(self.pointer()).load(Ordering::Acquire),
            }
        }
    }

    /// A store of 1, 2, 4 or 8 bytes. Release, since it may be one: it pairs with the acquire loads of other blocks and the host.
    pub(super) fn store(self, bytes: u8, value: u64) {
        // SAFETY: as for `load`.
        unsafe {
            match bytes {
                1 => AtomicU8::from_ptr(self.pointer()).store(value as u8, Ordering::Release),
                2 => AtomicU16::from_ptr(self.pointer()).store(value as u16, Ordering::Release),
                4 => AtomicU32::from_ptr(self.pointer()).store(value as u32, Ordering::Release),
                _ => AtomicU64::from_ptr(self.pointer()).store(value, Ordering::Release),
            }
        }
    }

    /// Replaces 4 or 8 bytes by `f` of them; gives what was there. Both orders at once, since it may be either: it pairs with all of the above.
    pub(super) fn update(self, bytes: u8, mut f: impl FnMut(u64) -> u64) -> u64 {
        let order = (Ordering::AcqRel, Ordering::Acquire);
        // SAFETY: as for `load`.
        unsafe {
            let (Ok(old) | Err(old)) = match bytes {
                4 => AtomicU32::from_ptr(self.pointer())
                    .fetch_update(order.0, order.1, |old| Some(f(old as u64) as u32))
                    .map(u64::from)
                    .map_err(u64::from),
                _ => AtomicU64::from_ptr(self.pointer()).fetch_update(order.0, order.1, |old| Some(f(old))),
            };
            old
        }
    }

    /// 16 bytes in one access: low and high half.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn load128(self) -> (u64, u64) {
        let (low, high): (u64, u64);
        // SAFETY: as for `load`, with 16 bytes at a multiple of 16. A processor with AVX makes such an access in one piece (its
        // makers say so), and the others are refused when a module is loaded. The asm reads memory and writes two registers.
        unsafe {
            std::arch::asm!(
                "movdqa {x}, xmmword ptr [{p}]",
                "movq {low}, {x}",
                "punpckhqdq {x}, {x}",
                "movq {high}, {x}",
                p = in(reg) self.0,
                x = out(xmm_reg) _,
                low = lateout(reg) low,
                high = lateout(reg) high,
                options(nostack, preserves_flags, readonly)
            );
        }
        // What was loaded is not older than what is loaded after it; pairs with `store128` and the host's.
        fence(Ordering::Acquire);
        (low, high)
    }

    /// 16 bytes in one access.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn store128(self, low: u64, high: u64) {
        // What was stored before is seen before it; pairs with `load128` and the host's.
        fence(Ordering::Release);
        // SAFETY: as for `load128`; the asm writes 16 bytes and clobbers two registers.
        unsafe {
            std::arch::asm!(
                "movq {x}, {low}",
                "movq {y}, {high}",
                "punpcklqdq {x}, {y}",
                "movdqa xmmword ptr [{p}], {x}",
                p = in(reg) self.0,
                low = in(reg) low,
                high = in(reg) high,
                x = out(xmm_reg) _,
                y = out(xmm_reg) _,
                options(nostack, preserves_flags)
            );
        }
    }

    /// No such access on this processor: modules that have one are refused.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn load128(self) -> (u64, u64) {
        (self.load(8), self.plus(8).load(8))
    }

    /// No such access on this processor: modules that have one are refused.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn store128(self, low: u64, high: u64) {
        self.store(8, low);
        self.plus(8).store(8, high);
    }
}

/// Whether 16 bytes can be moved in one access here.
pub(super) fn has_128() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx");
    #[cfg(not(target_arch = "x86_64"))]
    false
}
