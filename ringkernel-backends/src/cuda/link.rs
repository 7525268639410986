//! Joins an actor's PTX (its handlers and `ringkernel_dispatch`) with the resident loop, for the device at hand.

use super::links::{DROP_OLDEST, SPILL, SPILLS};
use super::lobby::LOBBY;
use super::paste::{Calls, paste};
use crate::abi::{FaultKind, clock, fault, slot, state_stride, tag};
use crate::kernel::KernelDescriptor;
use crate::mesh::Sent;
use crate::payload::REFERENCE_WORDS;
use std::fmt::Write;

/// The entry point the joined module has.
pub(super) const ENTRY: &std::ffi::CStr = c"ringkernel_resident";

/// The resident loop, in the order in which a message goes through it.
const RUNTIME: &str = concat!(
    include_str!("runtime/entry.ptx"),
    include_str!("runtime/look.ptx"),
    include_str!("runtime/mail.ptx"),
    include_str!("runtime/handle.ptx"),
    include_str!("runtime/answer.ptx"),
    include_str!("runtime/idle.ptx"),
);

/// The PTX version the resident loop needs: 8.4 brought 128-bit relaxed accesses at system scope.
const RUNTIME_VERSION: (u32, u32) = (8, 4);
/// The newest target PTX 8.4 knows; later devices run code for it.
const NEWEST_TARGET: u32 = 90;
/// The oldest device: 128-bit relaxed accesses and independent thread scheduling need compute capability 7.0.
pub(super) const OLDEST_TARGET: u32 = 70;

/// The longest pause between looks while nobody waits for what is sent, in nanoseconds.
const NAP: u32 = 16_000;

/// The text to load on a device of compute capability `cc` (90 for 9.0).
pub(super) fn module_text(descriptor: &KernelDescriptor, cc: u32) -> String {
    let (version, handlers) = split_header(descriptor.ptx);
    let (major, minor) = version.max(RUNTIME_VERSION);
    let mut text =
        format!(".version {major}.{minor}\n.target sm_{}\n.address_size 64\n", cc.min(NEWEST_TARGET));
    let mut calls = Calls::new(call_text);
    let pasted = paste(&handlers, &mut calls);
    let meshed = calls.used();
    text.push_str(&pasted.outside);
    text.push('\n');

    let mut expect = String::new();
    for handler in descriptor.handlers {
        let words = handler.message.size.div_ceil(4);
        // Writing to a String cannot fail.
        let _ = writeln!(expect, "    setp.eq.u32         %p, %h0, {};", handler.message.tag);
        let large = handler.message.is_large();
        let words = if large { words.max(REFERENCE_WORDS as u32) } else { words };
        let _ = match handler.message.variable {
            false => writeln!(expect, "    @%p mov.u32         %expect, {words};"),
            true => writeln!(expect, "    @%p min.u32         %expect, %words, {words};"),
        };
        if large {
            let _ = writeln!(expect, "    @%p setp.eq.u32     %refers, %words, {REFERENCE_WORDS};");
        }
        let _ = writeln!(expect, "    @%p mov.u32         %kind, 0;");
    }
    let receives = descriptor.mesh.receives;
    for message in receives.iter().filter(|message| descriptor.handler(message.tag).is_none()) {
        let words = message.size.div_ceil(4);
        let _ = writeln!(expect, "    setp.eq.u32         %p, %h0, {};", message.tag);
        let _ = writeln!(expect, "    @%p mov.u32         %expect, {words};");
        let _ = writeln!(expect, "    @%p mov.u32         %kind, {KEEP};");
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
        ("{NAP}", NAP.to_string()),
        ("{KEEP}", KEEP.to_string()),
        ("{FROM_KERNEL}", slot::FROM_KERNEL.to_string()),
        ("{FORWARDED}", slot::FORWARDED.to_string()),
        ("{LOBBY}", LOBBY.to_string()),
        ("{LOBBY_MASK}", (LOBBY - 1).to_string()),
        ("{SPILL_BYTES}", (8 * SPILLS).to_string()),
        ("{COUNTER_BITS}", clock::COUNTER_BITS.to_string()),
        ("{DRIFT}", clock::DRIFT.to_string()),
        ("{EXPECT}\n", expect),
        ("{DISPATCH}\n", pasted.dispatch),
    ];
    let mut runtime = loop_text(&|part| match part {
        "mesh" => meshed,
        "payloads" => descriptor.takes_large(),
        "takes_all" => receives.is_empty(),
        _ => !receives.is_empty(),
    });
    runtime =
        runtime.replace("{CLOCK}\n", if cc >= 80 { REDUCED } else { SHUFFLED }).replace("{TIME}\n", TIME);
    let mut copies = runtime.split("{COUNTERS}\n").enumerate();
    let first = copies.next().map_or(String::new(), |(_, text)| text.to_owned());
    runtime = copies.fold(first, |all, (n, text)| all + &COUNTERS.replace("{N}", &n.to_string()) + text);
    for (name, value) in constants {
        runtime = runtime.replace(name, &value);
    }
    text.push_str(&runtime);
    text
}

/// Says of a message in the loop that no handler takes it and one may ask for it. No fault's number.
const KEEP: u32 = 255;

/// The figures that go across the bus.
const COUNTERS: &str = include_str!("runtime/counters.ptx");
/// The time of day of `%begin`.
const TIME: &str = include_str!("runtime/time.ptx");
/// The shard's clock is the largest of its lanes': with an instruction for it, and without.
const REDUCED: &str = include_str!("runtime/clock_reduced.ptx");
const SHUFFLED: &str = include_str!("runtime/clock_shuffled.ptx");

/// The loop; what stands between the marks `//{part` and `//}part` is for kernels that have that part.
fn loop_text(has: &dyn Fn(&str) -> bool) -> String {
    let mut keep = true;
    let mut kept = String::with_capacity(RUNTIME.len());
    for line in RUNTIME.lines() {
        if let Some(part) = line.strip_prefix("//{") {
            keep = has(part);
        } else if line.starts_with("//}") {
            keep = true;
        } else if keep {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// What stands where a handler calls the function of this name, if it is one of the loop's.
fn call_text(name: &str) -> Option<String> {
    let text = match name {
        "ringkernel_send" => include_str!("runtime/calls/send.ptx"),
        "ringkernel_forward" => include_str!("runtime/calls/forward.ptx"),
        "ringkernel_reply" => include_str!("runtime/calls/reply.ptx"),
        "ringkernel_output" => include_str!("runtime/calls/output.ptx"),
        "ringkernel_receive" => include_str!("runtime/calls/receive.ptx"),
        "ringkernel_publish" => include_str!("runtime/calls/publish.ptx"),
        "ringkernel_clock" => include_str!("runtime/calls/clock.ptx"),
        "ringkernel_sender" => include_str!("runtime/calls/sender.ptx"),
        _ => return None,
    };
    let mut text = text
        .replace("{DELIVER}\n", include_str!("runtime/calls/deliver.ptx"))
        .replace("{OUT}\n", include_str!("runtime/calls/out.ptx"));
    for (name, value) in [
        ("{SENT_FULL}", Sent::Full as u32),
        ("{SENT_GONE}", Sent::Gone as u32),
        ("{SENT_NO_INSTANCE}", Sent::NoInstance as u32),
        ("{SENT_NO_SENDER}", Sent::NoSender as u32),
        ("{FROM_KERNEL}", slot::FROM_KERNEL.into()),
        ("{FORWARDED}", slot::FORWARDED.into()),
        ("{NO_CORRELATION}", slot::NO_CORRELATION),
        ("{OUTPUT}", slot::OUTPUT),
        ("{RELAY}", slot::RELAY),
        ("{PUBLISHED}", slot::PUBLISHED),
        ("{SPILL}", SPILL),
        ("{DROP_OLDEST}", DROP_OLDEST),
    ] {
        text = text.replace(name, &value.to_string());
    }
    Some(text)
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

#[cfg(test)]
mod tests {
    use super::super::assembling::assembles;
    use super::*;
    use crate::kernel::{Group, HandlerInfo, MessageInfo, Needs};
    use crate::mesh::Mesh;

    static ACCOUNT: KernelDescriptor = KernelDescriptor {
        id: "account",
        actor: "Account",
        group: Group::Thread,
        state_size: 16,
        state_align: 8,
        handlers: &[HandlerInfo {
            name: "deposit",
            message: MessageInfo::fixed("Deposit", 1000, 8),
            reply: MessageInfo::fixed("Balance", 1001, 16),
        }],
        sites: &[],
        ptx: include_str!("../../tests/cuda/account.ptx"),
        wgsl: "",
        wgsl_needs: Needs { int64: false, float64: false },
        native_only: None,
        native: |_| Err(crate::kernel::DeviceError::Terminated),
        default_state: None,
        mesh: crate::mesh::Mesh::NONE,
    };

    #[test]
    fn the_joined_module_is_ascii_has_one_header_and_no_name_left_to_fill_in() {
        let text = module_text(&ACCOUNT, 120);
        assert!(text.is_ascii(), "ptxas takes nothing else");
        assert!(text.starts_with(".version 8.4\n.target sm_90\n"));
        for directive in [".version", ".target", ".address_size"] {
            assert_eq!(text.lines().filter(|line| line.starts_with(directive)).count(), 1, "{directive}");
        }
        for name in [
            "{MESSAGE",
            "{REPLY",
            "{STATE",
            "{UNKNOWN",
            "{MALFORMED",
            "{FAULT",
            "{NO_",
            "{EXPECT",
            "{DISPATCH",
            "{NAP",
            "{LOBBY",
        ] {
            assert!(!text.contains(name), "{name} is left");
        }
    }

    static COURIER: KernelDescriptor =
        KernelDescriptor { ptx: include_str!("../../tests/cuda/courier.ptx"), mesh: RECEIVES, ..ACCOUNT };
    const RECEIVES: Mesh = Mesh { receives: &[MessageInfo::fixed("Parcel", 3011, 4)], ..Mesh::NONE };

    #[test]
    fn what_handlers_call_is_pasted_and_assembles_for_every_target() {
        let text = module_text(&COURIER, 90);
        assert!(!text.contains("ringkernel_send") && !text.contains("//{mesh"), "{text}");
        assert!(!text.contains("{DELIVER}") && !text.contains("{OUT") && !text.contains("{LOBBY"));
        assembles("what_handlers_call_is_pasted", |cc| module_text(&COURIER, cc));
    }

    static LARGE: KernelDescriptor = KernelDescriptor {
        handlers: &[HandlerInfo {
            message: MessageInfo { variable: true, largest: 1 << 20, ..ACCOUNT.handlers[0].message },
            ..ACCOUNT.handlers[0]
        }],
        ..ACCOUNT
    };

    #[test]
    fn only_a_kernel_that_takes_what_no_slot_carries_follows_references() {
        assert!(module_text(&LARGE, 90).contains("%refers") && LARGE.message_size() == 12);
        for descriptor in [&ACCOUNT, &COURIER] {
            let text = module_text(descriptor, 90);
            assert!(!["%refers", "%large", "%given", "[%sp+224]"].iter().any(|name| text.contains(name)));
        }
        assembles("only_a_kernel_follows_references", |cc| module_text(&LARGE, cc));
    }

    #[test]
    fn only_a_kernel_that_receives_keeps_messages_and_has_a_lobby() {
        assert!(module_text(&COURIER, 90).contains("%lobby"));
        for descriptor in [&ACCOUNT, &LARGE] {
            let text = module_text(descriptor, 90);
            assert!(
                !["%lobby", "%from_lobby", "%rk_taken", "stash_live"].iter().any(|name| text.contains(name))
            );
        }
    }

    /// With a second one ptxas does not bring the warp together behind it, and every message takes twice as long.
    #[test]
    fn what_one_lane_does_alone_has_one_way_in() {
        let (_, inside) =
            RUNTIME.split_once("    @!%p bra            HANDLED;\n").expect("the branch around it");
        let (inside, _) = inside.split_once("HANDLED:\n").expect("where the warp meets");
        assert!(inside.contains("{DISPATCH}"), "{inside}");
        assert!(!inside.lines().any(|line| line.trim_end().ends_with(':')), "{inside}");
    }

    #[test]
    fn the_joined_module_assembles_for_every_target() {
        assembles("the_joined_module_assembles_for_every_target", |cc| module_text(&ACCOUNT, cc));
    }
}
