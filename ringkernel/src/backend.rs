//! Which device a runtime uses, and why.

use std::fmt;

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
