//! What a resident kernel is compared with: launching an empty kernel and waiting for it, in the same process and run.

use super::driver::Function;
use super::{CudaDevice, WARP};
use crate::kernel::DeviceError;
use std::time::{Duration, Instant};

/// Times of `launch + synchronise` of an empty kernel.
#[derive(Clone, Debug)]
pub struct LaunchTimes {
    /// Sorted, shortest first.
    pub sorted: Vec<Duration>,
}

impl LaunchTimes {
    /// The `q`-quantile, `q` in 0…1.
    pub fn quantile(&self, q: f64) -> Duration {
        let last = self.sorted.len().saturating_sub(1);
        self.sorted.get((last as f64 * q.clamp(0.0, 1.0)).round() as usize).copied().unwrap_or_default()
    }
}

const EMPTY: &str = ".version 8.4\n.target sm_70\n.address_size 64\n\
    .visible .entry empty(.param .u64 shards, .param .u32 count)\n{\n    ret;\n}\n";

/// Launches an empty kernel of one warp and waits for it, `count` times after a warm-up, on GPU `ordinal`.
///
/// # Errors
/// [`DeviceError::Unavailable`] where there is no GPU; others as the driver reports them.
pub fn launch_and_synchronize(ordinal: usize, count: usize) -> Result<LaunchTimes, DeviceError> {
    let shared = CudaDevice::open(ordinal, &[])?.shared;
    let context = &shared.context;
    let text = EMPTY.replace("sm_70", &format!("sm_{}", context.cc.min(90)));
    let stream = shared.spare_stream()?;
    let function = shared
        .registry
        .quiesced(|| {
            let function = Function::load(context, &text, c"empty")?;
            // The first launch loads the code, and waits for the device to do so.
            // SAFETY: the kernel takes its parameters and returns without using them.
            unsafe { function.launch(context, &stream, 1, WARP, 0, 0) }.map_err(|e| e.to_string())?;
            stream.synchronize().map_err(|e| e.to_string())?;
            Ok(function)
        })?
        .map_err(|log: String| DeviceError::BadCode { actor: "empty kernel", log })?;
    let once = || -> Result<Duration, DeviceError> {
        let begin = Instant::now();
        // SAFETY: the kernel takes its parameters and returns without using them.
        unsafe { function.launch(context, &stream, 1, WARP, 0, 0) }?;
        stream.synchronize()?;
        Ok(begin.elapsed())
    };
    for _ in 0..count.min(500) {
        once()?;
    }
    let mut sorted = (0..count).map(|_| once()).collect::<Result<Vec<_>, _>>()?;
    sorted.sort_unstable();
    Ok(LaunchTimes { sorted })
}
