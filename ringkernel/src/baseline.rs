//! What a kernel is compared with: the same work on the first GPU without RingKernel, in the same process and run.
//!
//! `dispatch_with_copies` (feature `wgpu`) is WebGPU's; the others (feature `cuda`) are an NVIDIA GPU's. All of those run on a GPU of their own accord and end by themselves; each is to be run before kernels are launched that fill the GPU.
//! What they load, they load once, and kernels that are resident go home for that moment and come back.
//!
//! ```
//! use ringkernel::baseline;
//!
//! # #[cfg(feature = "cuda")]
//! match baseline::ping_pong(1000) {
//!     Ok(times) => println!("64 bytes there and back: p50 {:?}, p99 {:?}", times.quantile(0.5), times.quantile(0.99)),
//!     Err(error) => println!("{error}"), // no GPU here
//! }
//! ```
//!
//! `cargo run --release --example report` runs all of them beside our own figures.

#[cfg(feature = "cuda")]
use ringkernel_backends::cuda;
use ringkernel_backends::kernel::DeviceError;

#[cfg(feature = "cuda")]
pub use cuda::{MOST_EVENTS, MOST_RINGS};
pub use ringkernel_backends::times::{Throughput, Times};

/// Launches an empty kernel and waits for it, `count` times after a warm-up: what a request would cost at least if its kernel were not
/// resident.
///
/// ```
/// match ringkernel::baseline::launch_and_synchronize(100) {
///     Ok(times) => println!("p50 {:?}, p99 {:?}", times.quantile(0.5), times.quantile(0.99)),
///     Err(error) => println!("{error}"), // no GPU here
/// }
/// ```
///
/// # Errors
/// [`DeviceError::Unavailable`] where there is no GPU; others as the driver reports them.
#[cfg(feature = "cuda")]
pub fn launch_and_synchronize(count: usize) -> Result<Times, DeviceError> {
    cuda::launch_and_synchronize(0, count)
}

/// Launches a graph of one empty kernel, instantiated before, and waits for it, `count` times after a warm-up.
///
/// ```
/// match ringkernel::baseline::graph_launch_and_synchronize(100) {
///     Ok(times) => println!("p50 {:?}, p99 {:?}", times.quantile(0.5), times.quantile(0.99)),
///     Err(error) => println!("{error}"), // no GPU here
/// }
/// ```
///
/// # Errors
/// As [`launch_and_synchronize`].
#[cfg(feature = "cuda")]
pub fn graph_launch_and_synchronize(count: usize) -> Result<Times, DeviceError> {
    cuda::graph_launch_and_synchronize(0, count)
}

/// Copies 64 bytes to the GPU, launches a kernel that adds them to a state there, copies 64 bytes back, and waits, as one writes it with
/// cudarc's safe API; `count` times after a warm-up. Every result is checked.
///
/// ```
/// match ringkernel::baseline::launch_with_copies(100) {
///     Ok(times) => println!("p50 {:?}, p99 {:?}", times.quantile(0.5), times.quantile(0.99)),
///     Err(error) => println!("{error}"), // no GPU here
/// }
/// ```
///
/// # Errors
/// As [`launch_and_synchronize`], and [`DeviceError::Driver`] where a result is wrong.
#[cfg(feature = "cuda")]
pub fn launch_with_copies(count: usize) -> Result<Times, DeviceError> {
    cuda::launch_with_copies(0, count)
}

/// Copies `batch` events of 8 bytes (at most [`MOST_EVENTS`]) to the GPU, launches a kernel over all of them for each of the four stages of a
/// pipeline, copies them back and waits, as one writes it with cudarc's safe API; `count` times after a warm-up. Every event is checked.
///
/// ```
/// match ringkernel::baseline::four_launches(1024, 100) {
///     Ok(times) => println!("1024 events through four stages: p50 {:?}", times.quantile(0.5)),
///     Err(error) => println!("{error}"), // no GPU here
/// }
/// ```
///
/// # Errors
/// As [`launch_and_synchronize`], [`DeviceError::Capacity`] where there cannot be such a batch, and [`DeviceError::Driver`] where an event is
/// wrong.
#[cfg(feature = "cuda")]
pub fn four_launches(batch: u32, count: usize) -> Result<Times, DeviceError> {
    cuda::four_launches(0, batch, count)
}

/// Bounces 64 bytes, with a sequence in every 16, between the host and one resident warp of hand-written PTX that does nothing else;
/// `count` times after a warm-up. Every bounce is checked. No request can be faster.
///
/// ```
/// match ringkernel::baseline::ping_pong(100) {
///     Ok(times) => println!("p50 {:?}, p99 {:?}", times.quantile(0.5), times.quantile(0.99)),
///     Err(error) => println!("{error}"), // no GPU here
/// }
/// ```
///
/// # Errors
/// As [`launch_and_synchronize`], [`DeviceError::Deadline`] where an answer does not come, and [`DeviceError::Driver`] where one is
/// wrong.
#[cfg(feature = "cuda")]
pub fn ping_pong(count: usize) -> Result<Times, DeviceError> {
    cuda::ping_pong(0, count)
}

/// Sends `per_ring` slots of 64 bytes from one host thread through each of `rings` bare rings (at most [`MOST_RINGS`]) to the GPU.
///
/// ```
/// match ringkernel::baseline::to_device(4, 10_000) {
///     Ok(result) => println!("{:.1} M slots a second", result.per_second() / 1e6),
///     Err(error) => println!("{error}"), // no GPU here
/// }
/// ```
///
/// # Errors
/// As [`ping_pong`], and [`DeviceError::Capacity`] where there cannot be such rings.
#[cfg(feature = "cuda")]
pub fn to_device(rings: u32, per_ring: u32) -> Result<Throughput, DeviceError> {
    cuda::to_device(0, rings, per_ring)
}

/// Receives `per_ring` slots of 64 bytes by one host thread through each of `rings` bare rings (at most [`MOST_RINGS`]) from the GPU.
///
/// ```
/// match ringkernel::baseline::to_host(4, 10_000) {
///     Ok(result) => println!("{:.1} M slots a second", result.per_second() / 1e6),
///     Err(error) => println!("{error}"), // no GPU here
/// }
/// ```
///
/// # Errors
/// As [`to_device`].
#[cfg(feature = "cuda")]
pub fn to_host(rings: u32, per_ring: u32) -> Result<Throughput, DeviceError> {
    cuda::to_host(0, rings, per_ring)
}

/// Sends home whatever is resident, state kept, and brings it back, `count` times: what it costs to load code or to do anything else that
/// waits for the whole GPU.
///
/// ```
/// match ringkernel::baseline::quiesce(10) {
///     Ok(times) => println!("p50 {:?}, p99 {:?}", times.quantile(0.5), times.quantile(0.99)),
///     Err(error) => println!("{error}"), // no GPU here
/// }
/// ```
///
/// # Errors
/// As [`launch_and_synchronize`], and [`DeviceError::Deadline`] where a handler does not come to its end.
#[cfg(feature = "cuda")]
pub fn quiesce(count: usize) -> Result<Times, DeviceError> {
    cuda::quiesce(0, count)
}

/// Writes 64 bytes, dispatches a shader that adds them to a state on the device, copies 64 bytes back and maps them, as one writes it with
/// wgpu, on the adapter that [`Backend::Wgpu`](crate::Backend::Wgpu) takes; `count` times after a warm-up. Every result is checked.
///
/// ```
/// match ringkernel::baseline::dispatch_with_copies(10) {
///     Ok(times) => println!("p50 {:?}, p99 {:?}", times.quantile(0.5), times.quantile(0.99)),
///     Err(error) => println!("{error}"), // no adapter here
/// }
/// ```
///
/// # Errors
/// [`DeviceError::Unavailable`] where there is no adapter, [`DeviceError::Driver`] where a result is wrong; others as wgpu reports them.
#[cfg(feature = "wgpu")]
pub fn dispatch_with_copies(count: usize) -> Result<Times, DeviceError> {
    ringkernel_backends::wgpu::dispatch_with_copies(count)
}
