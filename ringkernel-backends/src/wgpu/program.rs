//! Joins an actor's WGSL with the device runtime, and keeps the pipelines made of it.

use super::gpu::Gpu;
use crate::abi::{SlotShape, control, slot, state_stride, tag, telemetry};
use crate::kernel::{DeviceError, KernelDescriptor, MessageInfo};
use crate::mesh::Sent;
use crate::payload::REFERENCE_WORDS;
use std::fmt::Write;
use std::sync::OnceLock;

/// What `runtime.wgsl` says in numbers; checked here against the one source.
const _: () = {
    assert!(tag::FAULT == 2);
    assert!(control::ERRORS_ENCOUNTERED == 3 * 4 && control::MESSAGES_PROCESSED == 4 * 4);
    assert!(CONTROL_WORDS * 4 == size_of::<crate::abi::ControlBlock>());
    assert!(telemetry::PROCESSED == 0 && telemetry::DROPPED == (34 - CONTROL_WORDS) * 4);
    assert!(telemetry::ERROR_CODE == (46 - CONTROL_WORDS) * 4);
    assert!(slot::NO_CORRELATION == u32::MAX && slot::OUTPUT == 0xffff_fffe);
    assert!(slot::RELAY == 0xffff_fffd && slot::PUBLISHED == 0xffff_fffc && slot::PREFIX_WORDS == 3);
    assert!(slot::GENERATION_MASK == 0x3fff && slot::FROM_KERNEL == 0x4000 && slot::FORWARDED == 0x8000);
    assert!(Sent::Full as u32 == 1 && Sent::Gone as u32 == 2);
    assert!(Sent::NoInstance as u32 == 3 && Sent::NoSender as u32 == 4);
    assert!(slot::HEADER_CHUNKS == 2 && slot::CHUNK_DATA_WORDS == 3);
    assert!(REFERENCE_WORDS == 3);
};

/// Words of a control block, before the telemetry's.
pub(super) const CONTROL_WORDS: usize = 32;
/// Words of the counters in front of the replies: the two live blocks', and what a submission says of itself.
pub(super) const COUNTER_WORDS: usize = 64;
/// Of these: requests finished.
pub(super) const REQUESTS_DONE: usize = 48;
/// How far the clock has come beyond the base; 0 when a submission begins.
pub(super) const CLOCK: usize = 49;
/// Replies to mail, or as many as would have been written had there been room; 0 when a submission begins, like the one before.
pub(super) const MAILED: usize = 50;
/// Words in front of the payload of whatever leaves the device.
pub(super) const HEADER: usize = 8;
/// Words in front of the payload of what leaves the device beside replies.
pub(super) const EXPORT_HEADER: usize = HEADER + slot::PREFIX_WORDS;
/// Invocations of a workgroup.
pub(super) const WORKGROUP: u32 = 64;
/// Invocations that put a mailbox in order; `mailbox.wgsl` says the same.
const LANES: u32 = 256;

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
    let bytes = descriptor.message_size();
    let request = SlotShape::for_payload(bytes as usize).ok_or_else(|| DeviceError::Unsupported {
        actor: descriptor.actor,
        what: format!("messages of {bytes} bytes"),
        device: "WebGPU".to_owned(),
    })?;
    let stride = state_stride(descriptor.state_size, descriptor.state_align);
    let mut text = String::from(descriptor.wgsl);
    let constants = [
        ("request_words", request.bytes() as u32 / 4),
        ("reply_words", reply_words(descriptor) as u32),
        ("reply_payload", descriptor.reply_size().div_ceil(4)),
        ("stride", stride / 4),
        ("routes", descriptor.mesh.routes.len() as u32),
        ("topics", descriptor.mesh.topics.len() as u32),
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
            let expected = match (message.variable, message.is_large()) {
                (false, _) => format!("{words}u"),
                (true, false) => format!("min(words, {words}u)"),
                // What says where a payload lies.
                (true, true) => format!("min(words, {}u)", words.max(REFERENCE_WORDS as u32)),
            };
            let _ =
                writeln!(text, "        case {}u: {{ return {expected}; }} // {}", message.tag, message.name);
        }
    }
    text.push_str("        default: { return 0xffffffffu; }\n    }\n}\n\n");
    // Handlers that ask how long their message is read it where it lies.
    let variable: Vec<_> = descriptor.handlers.iter().map(|h| h.message).filter(|m| m.variable).collect();
    let told = if words_of(descriptor.wgsl).any(|word| word == "rk_message_words") {
        "    rk_message_words = words;\n"
    } else {
        ""
    };
    text.push_str("// How many words of a message are copied for its handler.\n");
    let _ = write!(
        text,
        "fn rk_rt_copied(tag: u32, words: u32) -> u32 {{\n{told}    return select(words, 0u, false"
    );
    for message in variable {
        let _ = write!(text, " || tag == {}u", message.tag);
    }
    text.push_str(");\n}\n\n");
    if descriptor.takes_large() {
        text.push_str("// Whether its payload may lie outside its slot.\nfn rk_rt_is_large(tag: u32) -> bool {\n    return false");
        for message in descriptor.handlers.iter().map(|h| h.message).filter(|m| m.is_large()) {
            let _ = write!(text, " || tag == {}u", message.tag);
        }
        text.push_str(";\n}\n\n");
    }
    text.push_str("// Whether it stays in the mailbox until a handler asks for it.\nfn rk_rt_is_kept(tag: u32) -> bool {\n    return false");
    for message in kept(descriptor) {
        let _ = write!(text, " || tag == {}u", message.tag);
    }
    text.push_str(";\n}\n\n");
    if !words_of(descriptor.wgsl).any(|word| word == "rk_out") {
        text.push_str("var<private> rk_out: array<u32, 3>;\n\n");
    }
    if descriptor.wgsl_needs.int64 {
        text.push_str(CLOCK_IN_64_BITS);
    }
    text.push_str(if descriptor.takes_large() {
        include_str!("payloads.wgsl")
    } else {
        include_str!("slots.wgsl")
    });
    text.push_str(include_str!("runtime.wgsl"));
    text.push_str(include_str!("mesh.wgsl"));
    text.push_str(include_str!("mailbox.wgsl"));
    Ok(text)
}

/// Words of a reply.
pub(super) fn reply_words(descriptor: &KernelDescriptor) -> usize {
    (HEADER + descriptor.reply_size().div_ceil(4) as usize).next_multiple_of(4)
}

/// Words of what handlers send to the host.
pub(super) fn export_words(descriptor: &KernelDescriptor) -> usize {
    EXPORT_HEADER + descriptor.mesh.outgoing_size().div_ceil(4) as usize
}

/// The clock as handlers see it, for those who have 64-bit integers.
const CLOCK_IN_64_BITS: &str = "\
fn rk_clock(what: u32, seen: u64) -> u64 {
    let time = rk_rt_time(what, vec2<u32>(u32(seen & 0xfffffffflu), u32(seen >> 32u)));
    return u64(time.x) | (u64(time.y) << 32u);
}

";

/// What stays in the mailbox until a handler asks for it: what no handler takes by itself.
fn kept(descriptor: &KernelDescriptor) -> impl Iterator<Item = &'static MessageInfo> {
    let handlers = descriptor.handlers;
    let handled = move |tag| handlers.iter().any(|handler| handler.message.tag == tag);
    descriptor.mesh.receives.iter().filter(move |message| !handled(message.tag))
}

/// The words of the code, without its comments (which quote the user, and explain).
fn words_of(wgsl: &str) -> impl Iterator<Item = &str> {
    let code = wgsl.lines().filter_map(|line| line.split("//").next());
    code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'))
}

/// Whether the actor's WGSL may loop: whether one of the words that loops are written with occurs in it.
pub(super) fn may_loop(wgsl: &str) -> bool {
    words_of(wgsl).any(|word| matches!(word, "loop" | "for" | "while"))
}

/// Loop iterations of the runtime for one message, generously, where the handlers have none: copying it and its reply, and what
/// the handlers' sends copy. A send may have to look for its peer and to wait at a slot.
pub(super) fn iterations(descriptor: &KernelDescriptor, mailbox: u32) -> u32 {
    let words = |bytes: u32| bytes.div_ceil(4);
    let count = |names: &[&str]| words_of(descriptor.wgsl).filter(|word| names.contains(word)).count() as u32;
    let sends = count(&["rk_send", "rk_send_reply", "rk_forward", "rk_output", "rk_publish"]);
    let each = 64 + words(descriptor.mesh.outgoing_size());
    let received = count(&["rk_receive"]).saturating_mul(mailbox + words(descriptor.message_size()));
    16 + words(descriptor.message_size().max(descriptor.reply_size()))
        + sends.saturating_mul(each).saturating_add(received).min(u32::MAX / 2)
}

/// Loop iterations of the pass that puts a mailbox of so many slots in order, at most. Sums over whole slots are made where the oldest are dropped or
/// loops are rationed.
pub(super) fn sorting_iterations(mailbox: u32, slot_words: u32, drops: bool) -> u64 {
    let chunks = u64::from(mailbox.div_ceil(LANES));
    // Each slot is summed over; where nothing is dropped, the ranks are closed too, word by word.
    let words = u64::from(slot_words) * if drops { 1 } else { 2 };
    // Five looks at each; the digits of a bound, the bits of a chunk, and what is sorted.
    chunks * (words + 5 + 8) + 4 * 256 + 55 * 4
}

/// The layout of a kernel's bindings: state, inbox (a round's, hence the offset), outbox, exchange, table, and for some the large payloads.
pub(super) fn layout(device: &wgpu::Device, large: bool) -> wgpu::BindGroupLayout {
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
    let entries = [
        entry(0, false, false),
        entry(1, true, true),
        entry(2, false, false),
        entry(3, false, false),
        entry(4, true, false),
        entry(5, true, false),
    ];
    let entries = &entries[..if large { 6 } else { 5 }];
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some("ringkernel"), entries })
}

/// An actor's code on a device.
pub(super) struct Program {
    descriptor: &'static KernelDescriptor,
    module: wgpu::ShaderModule,
    layout: wgpu::PipelineLayout,
    /// Handles messages.
    pub(super) main: wgpu::ComputePipeline,
    prepare: OnceLock<wgpu::ComputePipeline>,
}

impl Program {
    /// Compiles the actor for the adapter, with the driver's words on failure.
    pub(super) fn compile(gpu: &Gpu, descriptor: &'static KernelDescriptor) -> Result<Self, DeviceError> {
        let text = program_text(descriptor)?;
        let bindings = gpu.layout(descriptor)?;
        let made = gpu.scoped(|| {
            let module = gpu.device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some(descriptor.id),
                source: wgpu::ShaderSource::Wgsl(text.into()),
            });
            let layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some("ringkernel"),
                bind_group_layouts: &[Some(bindings)],
                ..Default::default()
            });
            let main = pipeline(gpu, descriptor, &module, &layout, "ringkernel_main");
            Self { descriptor, module, layout, main, prepare: OnceLock::new() }
        })?;
        made.map_err(|error| rejected(descriptor, error))
    }

    /// Puts a mailbox in order; compiled when the actor first gets one.
    pub(super) fn prepare(&self, gpu: &Gpu) -> Result<&wgpu::ComputePipeline, DeviceError> {
        if let Some(pipeline) = self.prepare.get() {
            return Ok(pipeline);
        }
        let made =
            gpu.scoped(|| pipeline(gpu, self.descriptor, &self.module, &self.layout, "ringkernel_prepare"))?;
        let made = made.map_err(|error| rejected(self.descriptor, error))?;
        // Of two first ones at once, one was compiled in vain.
        Ok(self.prepare.get_or_init(|| made))
    }
}

fn pipeline(
    gpu: &Gpu,
    descriptor: &KernelDescriptor,
    module: &wgpu::ShaderModule,
    layout: &wgpu::PipelineLayout,
    entry: &str,
) -> wgpu::ComputePipeline {
    gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(descriptor.id),
        layout: Some(layout),
        module,
        entry_point: Some(entry),
        compilation_options: Default::default(),
        cache: None,
    })
}

fn rejected(descriptor: &KernelDescriptor, error: wgpu::Error) -> DeviceError {
    match error {
        wgpu::Error::OutOfMemory { .. } => {
            DeviceError::OutOfMemory { bytes: 0, what: format!("the device code of `{}`", descriptor.id) }
        }
        error => DeviceError::BadCode { actor: descriptor.actor, log: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comments_say_is_no_loop() {
        let straight = "fn f() -> u32 {\n    // 12: for what it is worth\n    return 1u; // no handler for this, while it lasts\n}\n";
        assert!(!may_loop(straight));
        for text in ["loop { break; }", "for (var i = 0u; i < 2u; i++) {}", "while (x) {} // as ever"] {
            assert!(may_loop(&format!("{straight}fn g() {{ {text} }}")), "{text}");
        }
    }
}
