//! The raw parts: what callers of a C API point at, and the memory of the device.
//!
//! All `unsafe` of the driver is here, but for the promise about memory in `region`. What callers hand over is wrapped in the types below where the API's functions take it, so that
//! the functions themselves are ordinary code; only somebody who calls them from C (or transmutes) can hand over a wrong pointer.

use cudarc::driver::sys::CUresult;
use std::ffi::CStr;
use std::ffi::{c_char, c_void};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Why a call fails.
pub(crate) type Failure = CUresult;

/// Where a function puts a result: null, or a place (or several) that may be written to. Rust code makes one of a `&mut`.
#[repr(transparent)]
pub struct Out<T>(Option<NonNull<T>>);

impl<T> From<&mut T> for Out<T> {
    fn from(place: &mut T) -> Self {
        Self(Some(place.into()))
    }
}

impl<T> From<&mut [T]> for Out<T> {
    fn from(places: &mut [T]) -> Self {
        Self(NonNull::new(places.as_mut_ptr()))
    }
}

impl<T> Out<T> {
    /// A null pointer.
    pub fn null() -> Self {
        Self(None)
    }

    /// Puts it there, or fails where the caller gave no place.
    pub(crate) fn put(self, value: T) -> Result<(), Failure> {
        let place = self.0.ok_or(CUresult::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: not null, and by the API's contract (or made of a `&mut`) a place for a `T` for the length of the call.
        unsafe { place.as_ptr().write(value) };
        Ok(())
    }

    /// Puts the values there, one behind the other.
    pub(crate) fn put_all(self, values: &[T]) -> Result<(), Failure>
    where
        T: Copy,
    {
        let place = self.0.ok_or(CUresult::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: as for `put`; how many there is place for, the caller has said, and no more are given.
        unsafe { place.as_ptr().copy_from_nonoverlapping(values.as_ptr(), values.len()) };
        Ok(())
    }

    /// Whether there is a place.
    pub(crate) fn is_null(&self) -> bool {
        self.0.is_none()
    }
}

impl Out<u8> {
    /// A place that C code gave as a number.
    pub(crate) fn at(address: u64) -> Self {
        Self(NonNull::new(std::ptr::with_exposed_provenance_mut(address as usize)))
    }
}

/// What a function reads: null, or values that lie one behind the other. Rust code makes one of a slice.
#[repr(transparent)]
pub struct In<T>(Option<NonNull<T>>);

impl<T> From<&[T]> for In<T> {
    fn from(values: &[T]) -> Self {
        Self(NonNull::new(values.as_ptr().cast_mut()))
    }
}

impl<T: Copy> In<T> {
    /// A null pointer.
    pub fn null() -> Self {
        Self(None)
    }

    /// The first `count` of them; none where none are asked for, and a failure where there are none.
    pub(crate) fn all(&self, count: usize) -> Result<Vec<T>, Failure> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let first = self.0.ok_or(CUresult::CUDA_ERROR_INVALID_VALUE)?;
        // SAFETY: not null, and by the API's contract as many values as the caller says, for the length of the call.
        Ok((0..count).map(|at| unsafe { first.as_ptr().add(at).read_unaligned() }).collect())
    }

    /// Whether there is anything.
    pub(crate) fn is_null(&self) -> bool {
        self.0.is_none()
    }
}

/// Text that ends with a zero byte, or null. Rust code makes one of a `&CStr`.
#[repr(transparent)]
pub struct Text(*const c_char);

impl From<&CStr> for Text {
    fn from(text: &CStr) -> Self {
        Self(text.as_ptr())
    }
}

impl Text {
    /// A copy of it.
    pub(crate) fn get(&self) -> Result<String, Failure> {
        if self.0.is_null() {
            return Err(CUresult::CUDA_ERROR_INVALID_VALUE);
        }
        // SAFETY: not null, and by the API's contract text that ends with a zero byte, for the length of the call.
        let text = unsafe { CStr::from_ptr(self.0) };
        text.to_str().map(str::to_owned).map_err(|_| CUresult::CUDA_ERROR_INVALID_VALUE)
    }
}

/// Text that is never freed, as C reads it.
#[repr(transparent)]
pub struct Name(*const c_char);

impl Name {
    /// No text.
    pub const NONE: Self = Self(std::ptr::null());

    pub(crate) fn of(text: &'static CStr) -> Self {
        Self(text.as_ptr())
    }

    /// The text, for Rust code.
    pub fn text(&self) -> Option<&'static CStr> {
        // SAFETY: made of a `&'static CStr`, if it is not null.
        (!self.0.is_null()).then(|| unsafe { CStr::from_ptr(self.0) })
    }
}

/// Reserves so many bytes of zeroed address space, for ever. The system finds memory for a page when it is first touched.
pub(crate) fn reserve(bytes: usize) -> Option<u64> {
    // 16 is what the system's allocator aligns to by itself: asked for more, it would write all of the zeros.
    let layout = std::alloc::Layout::from_size_align(bytes, 16).ok()?;
    if bytes == 0 {
        return None;
    }
    // SAFETY: the layout's size is not 0.
    let first = unsafe { std::alloc::alloc_zeroed(layout) };
    (!first.is_null()).then(|| first.expose_provenance() as u64)
}

/// Copies memory that others may be reading and writing meanwhile, eight bytes at a time where both places allow that: what a copy
/// engine does.
///
/// # Safety
/// Both ranges must be memory of this process that may be read and written to, and nobody may hold a reference to it that says otherwise.
unsafe fn copy_words(to: u64, from: u64, bytes: usize) {
    let words = if (to | from).is_multiple_of(8) { bytes / 8 } else { 0 };
    let at =
        |address: u64, offset: usize| std::ptr::with_exposed_provenance_mut::<u8>(address as usize + offset);
    for offset in (0..words * 8).step_by(8) {
        // SAFETY: in bounds by the caller's contract, and aligned. Relaxed, here and below: who waits for the copy synchronises by the stream.
        unsafe {
            let word = AtomicU64::from_ptr(at(from, offset).cast()).load(Ordering::Relaxed);
            AtomicU64::from_ptr(at(to, offset).cast()).store(word, Ordering::Relaxed);
        }
    }
    for offset in words * 8..bytes {
        // SAFETY: in bounds by the caller's contract.
        unsafe {
            let byte = AtomicU8::from_ptr(at(from, offset)).load(Ordering::Relaxed);
            AtomicU8::from_ptr(at(to, offset)).store(byte, Ordering::Relaxed);
        }
    }
}

/// Copies between places that the caller of the API (or a [`Region`](super::region::Region)) vouches for.
pub(crate) fn copy(to: u64, from: u64, bytes: usize) {
    // SAFETY: both are vouched for: device memory was looked up, host memory is the caller's by the API's contract, until the copy is
    // done.
    unsafe { copy_words(to, from, bytes) }
}

/// Copies `data` to device memory that was looked up.
pub(crate) fn store(to: u64, data: &[u8]) {
    for (at, byte) in data.chunks(8).enumerate() {
        let to = to + at as u64 * 8;
        let place = std::ptr::with_exposed_provenance_mut::<u8>(to as usize);
        match byte.first_chunk::<8>() {
            // SAFETY: in bounds (looked up), aligned (asked).
            Some(word) if to.is_multiple_of(8) => unsafe {
                AtomicU64::from_ptr(place.cast()).store(u64::from_ne_bytes(*word), Ordering::Relaxed);
            },
            _ => {
                for (at, byte) in byte.iter().enumerate() {
                    // SAFETY: in bounds (looked up). Relaxed: as for copies.
                    unsafe { AtomicU8::from_ptr(place.add(at)).store(*byte, Ordering::Relaxed) };
                }
            }
        }
    }
}

/// A copy of host memory that the API's caller vouches for.
pub(crate) fn load(from: u64, bytes: usize) -> Vec<u8> {
    let from = std::ptr::with_exposed_provenance::<u8>(from as usize);
    let mut data = vec![0; bytes];
    // SAFETY: by the API's contract so many bytes that may be read, for the length of the call; `data` is as long, and fresh.
    unsafe { from.copy_to_nonoverlapping(data.as_mut_ptr(), bytes) };
    data
}

/// Fills memory of a region that was looked up.
pub(crate) fn fill(to: u64, byte: u8, bytes: usize) {
    let word = [byte; 8];
    let head = ((8 - to % 8) % 8).min(bytes as u64) as usize;
    store(to, &word[..head]);
    for at in (head..bytes).step_by(8) {
        store(to + at as u64, &word[..(bytes - at).min(8)]);
    }
}

/// Fills memory that nobody uses.
pub(crate) fn fill_unused(to: u64, byte: u8, bytes: usize) {
    let place = std::ptr::with_exposed_provenance_mut::<u8>(to as usize);
    // SAFETY: free memory of a region, which nobody else has.
    unsafe { place.write_bytes(byte, bytes) };
}

/// Makes the whole pages of a range inaccessible, for good: whoever touches it from now on ends the process.
#[cfg(unix)]
pub(crate) fn take_away(from: u64, bytes: u64) {
    const PAGE: u64 = 4096;
    // SAFETY: POSIX declares it so.
    unsafe extern "C" {
        fn mprotect(from: *mut c_void, bytes: usize, allowed: std::ffi::c_int) -> std::ffi::c_int;
    }
    let (first, end) = (from.next_multiple_of(PAGE), (from + bytes) / PAGE * PAGE);
    let place = std::ptr::with_exposed_provenance_mut(first as usize);
    // SAFETY: a region's memory, of which nobody has a reference, only addresses; that it is gone is what whoever still uses those is to notice.
    let _ = unsafe { mprotect(place, end.saturating_sub(first) as usize, 0) };
}

/// Has this process call `handler` when it exits.
#[cfg(unix)]
pub(crate) fn at_exit(handler: extern "C" fn()) {
    // SAFETY: C declares it so.
    unsafe extern "C" {
        safe fn atexit(handler: extern "C" fn()) -> std::ffi::c_int;
    }
    let _ = atexit(handler);
}

/// Has this process's forks call `child` first of all.
#[cfg(unix)]
pub(crate) fn at_fork(child: extern "C" fn()) {
    type Handler = Option<extern "C" fn()>;
    // SAFETY: POSIX declares it so.
    unsafe extern "C" {
        safe fn pthread_atfork(prepare: Handler, parent: Handler, child: Handler) -> std::ffi::c_int;
    }
    // It fails where memory is out: then forks do not know what they are.
    let _ = pthread_atfork(None, None, Some(child));
}
