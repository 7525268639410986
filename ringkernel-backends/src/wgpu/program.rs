//! Joins an actor's WGSL with the device runtime, and keeps the pipelines made of it.

use super::gpu::Gpu;
use crate::abi::{SlotShape, control, state_stride, tag, telemetry};
use crate::kernel::{DeviceError, KernelDescriptor};
use std::fmt::Write;

/// What `runtime.wgsl` says in numbers; checked here against the one source.
const _: () = {
    assert!(tag::FAULT == 2);
    assert!(control::ERRORS_ENCOUNTERED == 3 * 4 && control::MESSAGES_PROCESSED == 4 * 4);
    assert!(CONTROL_WORDS * 4 == size_of::<crate::abi::ControlBlock>());
    assert!(telemetry::PROCESSED == 0 && telemetry::DROPPED == (34 - CONTROL_WORDS) * 4);
    assert!(telemetry::ERROR_CODE == (46 - CONTROL_WORDS) * 4);
    assert!(crate::abi::slot::NO_CORRELATION == u32::MAX);
    assert!(crate::abi::slot::HEADER_CHUNKS == 2 && crate::abi::slot::CHUNK_DATA_WORDS == 3);
};

/// Words of a control block, before the telemetry's.
pub(super) const CONTROL_WORDS: usize = 32;
/// Words of the counters in front of the reply slots.
pub(super) const COUNTER_WORDS: usize = CONTROL_WORDS + 16;
/// Invocations of a workgroup.
pub(super) const WORKGROUP: u32 = 64;

/// The whole WGSL module that a launch of the actor loads: its handlers, the constants of its slots, and the device runtime.
///
/// ```
/// # use ringkernel_backends::kernel::KernelDescriptor;
/// fn print(descriptor: &KernelDescriptor) {
///     println!("{}", ringkernel_backends::wgpu::program_text(descriptor).unwrap());
/// }
/// ```
///
/// # Errors
/// [`DeviceError::Unsupported`] if a message is larger than any slot.
pub fn program_text(descriptor: &KernelDescriptor) -> Result<String, DeviceError> {
    let shape = |bytes: u32| {
        SlotShape::for_payload(bytes as usize).ok_or_else(|| DeviceError::Unsupported {
            actor: descriptor.actor,
            what: format!("messages of {bytes} bytes"),
            device: "WebGPU".to_owned(),
        })
    };
    let (request, reply) = (shape(descriptor.message_size())?, shape(descriptor.reply_size())?);
    let stride = state_stride(descriptor.state_size, descriptor.state_align);
    let mut text = String::from(descriptor.wgsl);
    let constants = [
        ("request_words", request.bytes() as u32 / 4),
        ("reply_words", reply.bytes() as u32 / 4),
        ("reply_payload", descriptor.reply_size().div_ceil(4)),
        ("stride", stride / 4),
    ];
    text.push_str("\n\n");
    for (name, value) in constants {
        // Writing to a string does not fail.
        let _ = writeln!(text, "const rk_rt_{name} = {value}u;");
    }
    text.push_str("\nfn rk_rt_message_words(tag: u32, words: u32) -> u32 {\n    switch tag {\n");
    for (i, handler) in descriptor.handlers.iter().enumerate() {
        let message = handler.message;
        // Two handlers of one message are the compiler's to refuse; the module would not load.
        if descriptor.handlers[..i].iter().all(|earlier| earlier.message.tag != message.tag) {
            let words = message.size.div_ceil(4);
            let expected =
                if message.variable { format!("min(words, {words}u)") } else { format!("{words}u") };
            let _ =
                writeln!(text, "        case {}u: {{ return {expected}; }} // {}", message.tag, message.name);
        }
    }
    text.push_str("        default: { return 0xffffffffu; }\n    }\n}\n\n");
    text.push_str(include_str!("runtime.wgsl"));
    Ok(text)
}

/// Whether the actor's WGSL may loop: whether one of the words that loops are written with occurs in it.
pub(super) fn may_loop(wgsl: &str) -> bool {
    let mut words = wgsl.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.any(|word| matches!(word, "loop" | "for" | "while"))
}

/// The layout of every kernel's bindings: state, inbox (a round's, hence the offset), outbox.
pub(super) fn layout(device: &wgpu::Device) -> wgpu::BindGroupLayout {
    let entry = |binding, read_only, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Storage { read_only },
            has_dynamic_offset,
            min_binding_size: None,
        },
        count: None,
    };
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some("ringkernel"),
        entries: &[entry(0, false, false), entry(1, true, true), entry(2, false, false)],
    })
}

/// Compiles the actor for the adapter, with the driver's words on failure.
pub(super) fn compile(
    gpu: &Gpu,
    descriptor: &KernelDescriptor,
) -> Result<wgpu::ComputePipeline, DeviceError> {
    let text = program_text(descriptor)?;
    let made = gpu.scoped(|| {
        let module = gpu.device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some(descriptor.id),
            source: wgpu::ShaderSource::Wgsl(text.into()),
        });
        let layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some("ringkernel"),
            bind_group_layouts: &[Some(&gpu.layout)],
            ..Default::default()
        });
        gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(descriptor.id),
            layout: Some(&layout),
            module: &module,
            entry_point: Some("ringkernel_main"),
            compilation_options: Default::default(),
            cache: None,
        })
    })?;
    made.map_err(|error| match error {
        wgpu::Error::OutOfMemory { .. } => {
            DeviceError::OutOfMemory { bytes: 0, what: format!("the device code of `{}`", descriptor.id) }
        }
        error => DeviceError::BadCode { actor: descriptor.actor, log: error.to_string() },
    })
}
