//! WGSL as Metal would see it, for people to read.

use crate::kernel::DeviceError;
use naga::back::msl;
use naga::valid::{ValidationFlags, Validator};

/// Translates WGSL (an actor's, or the whole of [`program_text`](super::program_text)) to the Metal Shading Language.
///
/// It is what wgpu does with it on macOS, for inspection anywhere; nothing is run.
///
/// ```
/// let msl = ringkernel_backends::wgpu::msl_of("fn twice(x: u32) -> u32 { return 2u * x; }").unwrap();
/// assert!(msl.contains("uint twice("));
/// ```
///
/// # Errors
/// [`DeviceError::BadCode`] with the complaint if the WGSL is not valid, or uses what Metal does not have (64-bit floats).
pub fn msl_of(wgsl: &str) -> Result<String, DeviceError> {
    let rejected = |log: String| DeviceError::BadCode { actor: "WGSL", log };
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|e| rejected(e.emit_to_string(wgsl)))?;
    // What naga's Metal writer knows: it must not see the rest.
    let info = Validator::new(ValidationFlags::all(), msl::supported_capabilities())
        .validate(&module)
        .map_err(|e| rejected(e.emit_to_string(wgsl)))?;
    let options = msl::Options { lang_version: (2, 4), ..Default::default() };
    let (text, _) = msl::write_string(&module, &info, &options, &msl::PipelineOptions::default())
        .map_err(|e| rejected(e.to_string()))?;
    Ok(text)
}
