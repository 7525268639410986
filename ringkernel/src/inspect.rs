//! Device code for people to read. An actor's PTX and WGSL are its consts; MSL is made of the WGSL.

use ringkernel_backends::kernel::DeviceError;

/// WGSL as the Metal shading language, by naga: what wgpu hands to Metal on macOS.
///
/// # Errors
/// [`DeviceError::BadCode`] where it is not valid WGSL, with naga's words.
pub fn msl(wgsl: &str) -> Result<String, DeviceError> {
    ringkernel_backends::wgpu::msl_of(wgsl)
}
