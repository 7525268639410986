//! Joins an actor's PTX (its handlers and `ringkernel_dispatch`) with the resident loop, for the device at hand.

use crate::abi::{FaultKind, fault, slot, state_stride, tag};
use crate::kernel::KernelDescriptor;
use std::fmt::Write;

/// The entry point the joined module has.
pub(super) const ENTRY: &std::ffi::CStr = c"ringkernel_resident";

const RUNTIME: &str = include_str!("runtime.ptx");

/// The PTX version the resident loop needs: 8.4 brought 128-bit relaxed accesses at system scope.
const RUNTIME_VERSION: (u32, u32) = (8, 4);
/// The newest target PTX 8.4 knows; later devices run code for it.
const NEWEST_TARGET: u32 = 90;
/// The oldest device: 128-bit relaxed accesses and independent thread scheduling need compute capability 7.0.
pub(super) const OLDEST_TARGET: u32 = 70;

/// The text to load on a device of compute capability `cc` (90 for 9.0).
pub(super) fn module_text(descriptor: &KernelDescriptor, cc: u32) -> String {
    let (version, handlers) = split_header(descriptor.ptx);
    let (major, minor) = version.max(RUNTIME_VERSION);
    let mut text =
        format!(".version {major}.{minor}\n.target sm_{}\n.address_size 64\n", cc.min(NEWEST_TARGET));
    text.push_str(&handlers);
    text.push('\n');

    let mut expect = String::new();
    for handler in descriptor.handlers {
        let words = handler.message.size.div_ceil(4);
        // Writing to a String cannot fail.
        let _ = writeln!(expect, "    setp.eq.u32         %p, %h0, {};", handler.message.tag);
        let _ = writeln!(expect, "    @%p mov.u32         %expect, {words};");
        let _ = writeln!(expect, "    @%p mov.u32         %kind, 0;");
    }
    let padded = |bytes: u32| (bytes.next_multiple_of(12) + 12).max(24);
    let constants = [
        ("{MESSAGE_BYTES}", padded(descriptor.message_size()).to_string()),
        ("{REPLY_BYTES}", padded(descriptor.reply_size()).to_string()),
        ("{STATE_STRIDE}", state_stride(descriptor.state_size, descriptor.state_align).to_string()),
        ("{UNKNOWN_MESSAGE}", (FaultKind::UnknownMessage as u32).to_string()),
        ("{UNKNOWN_INSTANCE}", (FaultKind::UnknownInstance as u32).to_string()),
        ("{MALFORMED}", (FaultKind::Malformed as u32).to_string()),
        ("{FAULT}", tag::FAULT.to_string()),
        ("{FAULT_WORDS}", fault::FAULT_WORDS.to_string()),
        ("{NO_CORRELATION}", slot::NO_CORRELATION.to_string()),
        ("{EXPECT}\n", expect),
    ];
    let mut runtime = RUNTIME.to_owned();
    for (name, value) in constants {
        runtime = runtime.replace(name, &value);
    }
    text.push_str(&runtime);
    text
}

/// Takes the module directives off an actor's PTX: its version, and the rest.
fn split_header(ptx: &str) -> ((u32, u32), String) {
    let mut version = (0, 0);
    let mut rest = String::with_capacity(ptx.len());
    for line in ptx.lines() {
        let word = line.trim_start();
        if let Some(number) = word.strip_prefix(".version") {
            let mut parts = number.trim().split('.').map(|part| part.trim().parse().unwrap_or(0));
            version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        } else if !word.starts_with(".target") && !word.starts_with(".address_size") {
            rest.push_str(line);
            rest.push('\n');
        }
    }
    (version, rest)
}
