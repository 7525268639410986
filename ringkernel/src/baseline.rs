//! What a resident kernel is compared with.

use ringkernel_backends::cuda;
use ringkernel_backends::kernel::DeviceError;

pub use cuda::LaunchTimes;

/// Launches an empty kernel on the first GPU and waits for it, `count` times after a warm-up: what a request would cost at least
/// if its kernel were not resident.
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
pub fn launch_and_synchronize(count: usize) -> Result<LaunchTimes, DeviceError> {
    cuda::launch_and_synchronize(0, count)
}
