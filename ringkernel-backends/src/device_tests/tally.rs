//! An actor written out by hand as the compiler would: descriptor, native shard and WGSL.
//!
//! ```text
//! struct Tally { total: i32, count: u32 }
//! add(Add { by: i32 }) -> Total { total, count }      total += by (faults on overflow), count += 1
//! get(()) -> Total
//! rotate(Block([u32; 20])) -> Block                    block[k] = block[(k + 1) % 20] + instance
//! fail(Fail { code: u32 }) -> ()                       count += 1, then panics
//! ```

use crate::abi::{FaultKind, state_stride, tag};
use crate::kernel::{
    DeviceError, FaultSite, Group, HandlerInfo, KernelDescriptor, MessageInfo, NativeShard, NativeShardSpec,
    Needs, Outcome, Site,
};
use crate::mesh::Outbox;

pub(crate) const ADD: u32 = tag::of_definition("struct Add{by:i32}");
pub(crate) const TOTAL: u32 = tag::of_definition("struct Total{total:i32,count:u32}");
pub(crate) const BLOCK: u32 = tag::of_definition("struct Block{0:[u32;20]}");
pub(crate) const FAIL: u32 = tag::of_definition("struct Fail{code:u32}");
pub(crate) const BLOCK_WORDS: usize = 20;

const UNIT_INFO: MessageInfo = MessageInfo::fixed("()", tag::UNIT, 0);
const TOTAL_INFO: MessageInfo = MessageInfo::fixed("Total", TOTAL, 8);
const BLOCK_INFO: MessageInfo = MessageInfo::fixed("Block", BLOCK, 4 * BLOCK_WORDS as u32);

pub(crate) static TALLY: KernelDescriptor = KernelDescriptor {
    id: "tally",
    actor: "Tally",
    group: Group::Thread,
    state_size: 8,
    state_align: 4,
    handlers: &[
        HandlerInfo { name: "add", message: MessageInfo::fixed("Add", ADD, 4), reply: TOTAL_INFO },
        HandlerInfo { name: "get", message: UNIT_INFO, reply: TOTAL_INFO },
        HandlerInfo { name: "rotate", message: BLOCK_INFO, reply: BLOCK_INFO },
        HandlerInfo { name: "fail", message: MessageInfo::fixed("Fail", FAIL, 4), reply: UNIT_INFO },
    ],
    sites: &[
        Site { file: "tally.rs", line: 3, column: 9, message: "" },
        Site { file: "tally.rs", line: 7, column: 9, message: "asked to" },
    ],
    ptx: "",
    wgsl: WGSL,
    wgsl_needs: Needs { int64: false, float64: false },
    native_only: None,
    native: |spec| Ok(Box::new(NativeTally::new(spec))),
    default_state: Some(|out| out.fill(0)),
    mesh: crate::mesh::Mesh::NONE,
};

struct NativeTally(Vec<(i32, u32)>);

fn word(bytes: &[u8], index: usize) -> u32 {
    u32::from_le_bytes(bytes[4 * index..][..4].try_into().unwrap())
}

fn put(bytes: &mut [u8], index: usize, value: u32) {
    bytes[4 * index..][..4].copy_from_slice(&value.to_le_bytes());
}

impl NativeTally {
    fn new(spec: NativeShardSpec<'_>) -> Self {
        let state = |k| {
            let mut bytes = [0; 8];
            (spec.initial)(spec.first + k * spec.stride, &mut bytes);
            (word(&bytes, 0) as i32, word(&bytes, 1))
        };
        Self((0..spec.count).map(state).collect())
    }
}

impl NativeShard for NativeTally {
    fn handle(
        &mut self,
        local: u32,
        instance: u32,
        tag: u32,
        payload: &[u8],
        reply: &mut [u8],
        _: &mut dyn Outbox,
    ) -> Outcome {
        let (total, count) = &mut self.0[local as usize];
        let fault = |kind, site| Outcome::Fault { kind, site: FaultSite::Index(site) };
        match tag {
            ADD => {
                let Some(sum) = total.checked_add(word(payload, 0) as i32) else {
                    return fault(FaultKind::Overflow, 0);
                };
                *total = sum;
                *count += 1;
            }
            FAIL => {
                *count += 1;
                return fault(FaultKind::Panic, 1);
            }
            BLOCK => {
                for k in 0..BLOCK_WORDS {
                    put(reply, k, word(payload, (k + 1) % BLOCK_WORDS).wrapping_add(instance));
                }
                return Outcome::Reply { tag: BLOCK, bytes: 4 * BLOCK_WORDS as u32 };
            }
            tag::UNIT => {}
            _ => return Outcome::Fault { kind: FaultKind::UnknownMessage, site: FaultSite::None },
        }
        put(reply, 0, *total as u32);
        put(reply, 1, *count);
        Outcome::Reply { tag: TOTAL, bytes: 8 }
    }

    fn read_state(&self, local: u32, out: &mut [u8]) {
        let (total, count) = self.0[local as usize];
        put(out, 0, total as u32);
        put(out, 1, count);
    }

    fn write_state(&mut self, local: u32, state: &[u8]) -> Result<(), DeviceError> {
        self.0[local as usize] = (word(state, 0) as i32, word(state, 1));
        Ok(())
    }
}

const _: () = assert!(state_stride(8, 4) == 8);

/// Keeps a `native` that fails apart from one that is never called.
pub(crate) fn no_native(_: NativeShardSpec<'_>) -> Result<Box<dyn NativeShard>, DeviceError> {
    Err(DeviceError::Driver { call: "native", reason: "this actor has none".to_owned() })
}

const WGSL: &str = include_str!("tally.wgsl");

#[test]
fn the_tags_in_the_wgsl_are_the_descriptors() {
    for (name, tag) in [("ADD", ADD), ("TOTAL", TOTAL), ("BLOCK", BLOCK), ("FAIL", FAIL)] {
        let line = format!("const {name} = {tag}u;");
        assert!(WGSL.contains(&line), "tally.wgsl must say `{line}`");
    }
}
