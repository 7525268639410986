//! Whether memory is flat: a line through what was measured after the first third.

use crate::common::machine::resident_kib;
use cudarc::driver::CudaContext;
use ringkernel::Backend;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What may be added between the first third and the end, and is still called flat: allocators settle, threads come and go.
const HOST_KIB: f64 = 16.0 * 1024.0;
const DEVICE_KIB: f64 = 16.0 * 1024.0;

pub struct Memory {
    device: Option<Arc<CudaContext>>,
    samples: Vec<Sample>,
}

#[derive(Clone, Copy)]
pub struct Sample {
    at: f64,
    host_kib: f64,
    device_kib: Option<f64>,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {:>8.1} MiB", self.host_kib / 1024.0)?;
        match self.device_kib {
            Some(kib) => write!(f, "  device {:>9.1} MiB", kib / 1024.0),
            None => Ok(()),
        }
    }
}

impl Memory {
    pub fn new(backend: Backend) -> Self {
        // The same primary context as the runtime's; asking it for its memory waits for nothing.
        let device = (backend == Backend::Cuda).then(|| CudaContext::new(0).ok()).flatten();
        Self { device, samples: Vec::new() }
    }

    pub fn sample(&mut self, at: Duration) -> Sample {
        let device = self.device.as_ref().and_then(|context| context.mem_get_info().ok());
        let sample = Sample {
            at: at.as_secs_f64(),
            host_kib: resident_kib() as f64,
            device_kib: device.map(|(free, total)| total.saturating_sub(free) as f64 / 1024.0),
        };
        self.samples.push(sample);
        sample
    }

    /// What memory grew by after the first third; an error when that is not next to nothing.
    pub fn is_flat(&self) -> Result<String, String> {
        let later = &self.samples[self.samples.len() / 3..];
        let host = growth(later.iter().map(|sample| (sample.at, sample.host_kib)));
        let device = growth(later.iter().filter_map(|sample| Some((sample.at, sample.device_kib?))));
        let text = format!(
            "after the first third, host memory grew by {:.1} MiB, device memory by {:.1} MiB",
            host / 1024.0,
            device / 1024.0
        );
        if host > HOST_KIB || device > DEVICE_KIB { Err(text) } else { Ok(text) }
    }
}

/// How much the line of least squares through them rises from the first to the last.
fn growth(points: impl Iterator<Item = (f64, f64)>) -> f64 {
    let points: Vec<(f64, f64)> = points.collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return 0.0 };
    let count = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / count, y + point.1 / count));
    let above: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    if below > 0.0 { above / below * (last.0 - first.0) } else { 0.0 }
}
