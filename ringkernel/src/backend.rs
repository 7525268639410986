//! Which device a runtime uses, and why.

use crate::RingKernelError;
use ringkernel_backends::kernel::{Device, DeviceError, KernelDescriptor};
use std::fmt;
use std::sync::Arc;

/// Where actors run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// The first of CUDA, Metal, WebGPU and CPU that is compiled in and present.
    #[default]
    Auto,
    /// Native code on a pool of threads. Always there.
    Cpu,
    /// Kernels resident on an NVIDIA GPU (feature `cuda`, on by default).
    Cuda,
    /// WebGPU's Metal, on macOS (feature `metal`).
    Metal,
    /// Bounded dispatches through WebGPU: Vulkan, DX12 or Metal (feature `wgpu`).
    Wgpu,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "automatic",
            Self::Cpu => "CPU",
            Self::Cuda => "CUDA",
            Self::Metal => "Metal",
            Self::Wgpu => "WebGPU",
        })
    }
}

/// A backend that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassedOver {
    /// The backend.
    pub backend: Backend,
    /// What it lacks.
    pub reason: String,
}

/// Which backend was taken, and why those before it were not. Its `Display` is one line a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendReport {
    /// The backend and its device's name; `None` when none could be used.
    pub chosen: Option<(Backend, String)>,
    /// Those that were tried before it.
    pub passed_over: Vec<PassedOver>,
}

impl fmt::Display for BackendReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, PassedOver { backend, reason }) in self.passed_over.iter().enumerate() {
            let newline = if i > 0 { "\n" } else { "" };
            write!(f, "{newline}not {backend}: {reason}")?;
        }
        if let Some((backend, device)) = &self.chosen {
            let newline = if self.passed_over.is_empty() { "" } else { "\n" };
            write!(f, "{newline}using {backend}: {device}")?;
        }
        Ok(())
    }
}

/// Opens a backend's device of this number. All actors of the program are given, so that their modules can be loaded before anything runs.
type Opener = fn(usize, &[&'static KernelDescriptor]) -> Result<Arc<dyn Device>, DeviceError>;

/// The backends, in the order in which `Auto` tries them.
const ORDER: [(Backend, Opener); 4] = [
    (Backend::Cuda, open_cuda),
    (Backend::Metal, open_metal),
    (Backend::Wgpu, open_wgpu),
    (Backend::Cpu, open_cpu),
];

/// Opens the device of `wanted`; may take a while.
pub(crate) fn open(
    wanted: Backend,
    device: usize,
    kernels: &[&'static KernelDescriptor],
) -> Result<(Arc<dyn Device>, BackendReport), RingKernelError> {
    choose(wanted, device, &ORDER, kernels)
}

fn choose(
    wanted: Backend,
    device: usize,
    order: &[(Backend, Opener)],
    kernels: &[&'static KernelDescriptor],
) -> Result<(Arc<dyn Device>, BackendReport), RingKernelError> {
    let mut report = BackendReport::default();
    for &(backend, open) in order.iter().filter(|(backend, _)| wanted == Backend::Auto || wanted == *backend)
    {
        match open(device, kernels) {
            Ok(device) => {
                report.chosen = Some((backend, device.name()));
                return Ok((device, report));
            }
            Err(DeviceError::Unavailable { reason, .. }) => {
                report.passed_over.push(PassedOver { backend, reason });
            }
            Err(error) => report.passed_over.push(PassedOver { backend, reason: error.to_string() }),
        }
    }
    let reason = match &report.passed_over[..] {
        [only] => only.reason.clone(),
        _ => report.to_string(),
    };
    Err(RingKernelError::BackendUnavailable { backend: wanted, reason })
}

#[allow(dead_code)] // With every feature on there is nothing to say it of.
fn not_compiled_in(backend: &'static str, feature: &str) -> Result<Arc<dyn Device>, DeviceError> {
    let reason = format!("not compiled in: enable the feature `{feature}` of `ringkernel`");
    Err(DeviceError::Unavailable { backend, reason })
}

/// For the backends that have one device.
fn only_the_first(backend: &'static str, device: usize) -> Result<(), DeviceError> {
    match device {
        0 => Ok(()),
        _ => Err(DeviceError::Unavailable {
            backend,
            reason: format!("device {device} was asked for, 1 present"),
        }),
    }
}

fn open_cpu(device: usize, _: &[&'static KernelDescriptor]) -> Result<Arc<dyn Device>, DeviceError> {
    only_the_first("CPU", device)?;
    Ok(Arc::new(ringkernel_backends::cpu::CpuDevice::shared()))
}

#[cfg(feature = "cuda")]
fn open_cuda(device: usize, kernels: &[&'static KernelDescriptor]) -> Result<Arc<dyn Device>, DeviceError> {
    Ok(Arc::new(ringkernel_backends::cuda::CudaDevice::open(device, kernels)?))
}

#[cfg(not(feature = "cuda"))]
fn open_cuda(_: usize, _: &[&'static KernelDescriptor]) -> Result<Arc<dyn Device>, DeviceError> {
    not_compiled_in("CUDA", "cuda")
}

#[cfg(feature = "wgpu")]
fn open_wgpu(device: usize, _: &[&'static KernelDescriptor]) -> Result<Arc<dyn Device>, DeviceError> {
    only_the_first("WebGPU", device)?;
    use ringkernel_backends::wgpu::{AdapterKind, WgpuDevice};
    Ok(Arc::new(WgpuDevice::open(AdapterKind::Any)?))
}

#[cfg(not(feature = "wgpu"))]
fn open_wgpu(_: usize, _: &[&'static KernelDescriptor]) -> Result<Arc<dyn Device>, DeviceError> {
    not_compiled_in("WebGPU", "wgpu")
}

#[cfg(feature = "metal")]
fn open_metal(device: usize, _: &[&'static KernelDescriptor]) -> Result<Arc<dyn Device>, DeviceError> {
    only_the_first("Metal", device)?;
    use ringkernel_backends::wgpu::{AdapterKind, WgpuDevice};
    Ok(Arc::new(WgpuDevice::open(AdapterKind::Metal)?))
}

#[cfg(not(feature = "metal"))]
fn open_metal(_: usize, _: &[&'static KernelDescriptor]) -> Result<Arc<dyn Device>, DeviceError> {
    not_compiled_in("Metal", "metal")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn absent(_: usize, _: &[&'static KernelDescriptor]) -> Result<Arc<dyn Device>, DeviceError> {
        Err(DeviceError::Unavailable { backend: "CUDA", reason: "libcuda.so.1 is not installed".into() })
    }

    fn broken(_: usize, _: &[&'static KernelDescriptor]) -> Result<Arc<dyn Device>, DeviceError> {
        Err(DeviceError::Driver { call: "cuInit", reason: "no".into() })
    }

    const HERE: [(Backend, Opener); 3] =
        [(Backend::Cuda, absent), (Backend::Wgpu, broken), (Backend::Cpu, open_cpu)];

    #[test]
    fn auto_takes_the_first_that_is_there_and_says_why_it_passed_the_others_over() {
        let (_, report) = choose(Backend::Auto, 0, &HERE, &[]).unwrap();
        let (backend, name) = report.chosen.clone().unwrap();
        assert_eq!(backend, Backend::Cpu);
        assert_eq!(
            report.to_string(),
            format!(
                "not CUDA: libcuda.so.1 is not installed\nnot WebGPU: cuInit failed: no\nusing CPU: {name}"
            )
        );
    }

    #[test]
    fn a_forced_backend_is_the_only_one_tried_and_its_absence_says_what_is_missing() {
        let (_, report) = choose(Backend::Cpu, 0, &HERE, &[]).unwrap();
        assert_eq!(report.passed_over, []);
        let error = choose(Backend::Cuda, 0, &HERE, &[]).err().unwrap();
        assert_eq!(error.to_string(), "the CUDA backend cannot be used: libcuda.so.1 is not installed");
    }

    #[test]
    fn a_device_that_is_not_there_is_named() {
        let error = choose(Backend::Cpu, 3, &HERE, &[]).err().unwrap();
        assert_eq!(error.to_string(), "the CPU backend cannot be used: device 3 was asked for, 1 present");
    }

    #[test]
    fn when_there_is_none_at_all_every_reason_is_given() {
        let error = choose(Backend::Auto, 0, &HERE[..2], &[]).err().unwrap().to_string();
        assert!(error.contains("not CUDA: libcuda.so.1") && error.contains("not WebGPU: cuInit"), "{error}");
    }

    #[test]
    fn a_backend_that_was_not_compiled_in_names_its_feature() {
        let Err(DeviceError::Unavailable { reason, .. }) = not_compiled_in("Metal", "metal") else {
            panic!()
        };
        assert_eq!(reason, "not compiled in: enable the feature `metal` of `ringkernel`");
    }
}
