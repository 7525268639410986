//! The resident loop and a host that suspends and activates it, one instruction at a time: when the host is told that no handler runs, none does, and none
//! will until it says so, whatever it had taken back before.

mod support;

use ringkernel_backends::cuda::module_text;
use ringkernel_backends::kernel::{DeviceError, Group, HandlerInfo, KernelDescriptor, MessageInfo, Needs};
use ringkernel_backends::mesh::Mesh;
use softcuda::machine::{Block, Launch, Module, Progress};
use std::sync::Arc;
use support::Words;

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
    ptx: include_str!("../../../ringkernel-backends/tests/cuda/account.ptx"),
    wgsl: "",
    wgsl_needs: Needs { int64: false, float64: false },
    native_only: None,
    native: |_| Err(DeviceError::Terminated),
    default_state: None,
    mesh: Mesh::NONE,
};

// One shard's memory, as `cuda/prepare.rs` lays it out, with everything else behind it: parameters, two rings of four slots, the state of one
// instance, the save area.
const CONTROL: usize = 256;
const TELEMETRY: usize = 384;
const REQUEST_HEAD: usize = 448;
const ACK: usize = REQUEST_HEAD + 8;
const REPLY_HEAD: usize = 512;
const SWITCH: usize = REPLY_HEAD + 8;
const REQUESTS: usize = 576;
const REPLIES: usize = 832;
const STATE: usize = 1088;
const SAVED: usize = 1152;
const END: usize = 1280;

/// A kernel on the device, and its host.
struct Host {
    memory: Words,
    block: Block,
    switched: u32,
}

impl Host {
    /// An active one, which has said so.
    fn new(launch: &Arc<Launch>, seed: u64) -> Self {
        let memory = Words::new(&[0; END / 8]);
        let at = |offset: usize| memory.address() + offset as u64;
        let addresses = [CONTROL, TELEMETRY, REQUESTS, REQUEST_HEAD, REPLIES, REPLY_HEAD, STATE, SAVED, ACK];
        addresses.iter().enumerate().for_each(|(index, offset)| memory.set(index, at(*offset)));
        let pairs: [[u32; 2]; 4] = [[3, 64], [3, 64], [1, 0], [0, 0]];
        for (index, [low, high]) in (9..).zip(pairs) {
            memory.set(index, u64::from(low) | u64::from(high) << 32);
        }
        // It stays, for as many messages as there are, and keeps its state's four words on chip.
        [0, u64::MAX, 4].into_iter().zip(13..).for_each(|(value, index)| memory.set(index, value));
        let mut params = memory.address().to_le_bytes().to_vec();
        params.extend(1u32.to_le_bytes());
        let launch = Arc::new(Launch { params, ..(**launch).clone() });
        let block = Block::new(&launch, [0; 3], seed).in_order();
        let mut host = Self { memory, block, switched: 1 };
        host.set(CONTROL, 1);
        host.set(SWITCH, 1);
        host.set(ACK, !1);
        host.run_until(1);
        host
    }

    fn get(&self, offset: usize) -> u32 {
        (self.memory.get(offset / 8) >> (8 * (offset % 8))) as u32
    }

    fn set(&self, offset: usize, value: u32) {
        let (word, shift) = (self.memory.get(offset / 8), 8 * (offset % 8));
        self.memory.set(offset / 8, word & !(0xffff_ffff << shift) | u64::from(value) << shift);
    }

    fn run(&mut self, instructions: u32) {
        for _ in 0..instructions {
            match self.block.run(&self.memory, 1).unwrap() {
                Progress::Ran => {}
                Progress::Asleep(nap) => std::thread::sleep(nap),
                Progress::Done => panic!("it returned"),
            }
        }
    }

    /// Until this is what it has answered.
    fn run_until(&mut self, answer: u32) {
        for _ in 0..200_000 {
            if self.get(ACK) == answer {
                return;
            }
            self.run(1);
        }
        panic!("{:#x} is its answer, and not {answer:#x}", self.get(ACK));
    }

    /// What the host does to suspend or activate it.
    fn switch(&mut self, active: bool) -> u32 {
        self.switched = ((self.switched | 1) + 1) | u32::from(active);
        self.set(CONTROL, active.into());
        self.set(SWITCH, self.switched);
        self.switched
    }
}

fn launch() -> Arc<Launch> {
    let module = Module::parse(&module_text(&ACCOUNT, 90)).unwrap();
    let entry = module.entry("ringkernel_resident").expect("the loop");
    Arc::new(Launch { entry, grid: [1, 1, 1], block: [32, 1, 1], shared_bytes: 4096, params: Vec::new() })
}

/// A suspension that is answered late, was taken back by then, and is repeated when the kernel has executed so many instructions since. What the host writes to the
/// state when it takes the kernel to be at rest: whether that is still there a while later.
fn keeps(launch: &Arc<Launch>, instructions: u32, at_rest: impl FnOnce(&mut Host, u32)) -> bool {
    let mut host = Host::new(launch, 1);
    let first = host.switch(false);
    host.run_until(first);
    host.switch(true);
    host.run(instructions);
    let again = host.switch(false);
    at_rest(&mut host, again);
    host.set(STATE, 77);
    host.run(2000);
    host.get(STATE) == 77
}

#[test]
fn the_answer_to_a_suspension_that_was_taken_back_is_not_taken_for_that_to_the_next() {
    let launch = launch();
    let mut lost = 0;
    for instructions in 0..300 {
        assert!(keeps(&launch, instructions, Host::run_until), "{instructions}");
        // A host that asks only whether the answer says "inactive".
        let by_value = |host: &mut Host, _| {
            while host.get(ACK) & 1 == 1 {
                host.run(1);
            }
        };
        lost += u32::from(!keeps(&launch, instructions, by_value));
    }
    assert!(lost > 0, "here it does not matter");
}

#[test]
fn a_change_is_answered_when_the_host_has_said_which_it_is() {
    let launch = launch();
    for seed in 1..20 {
        let mut host = Host::new(&launch, seed);
        for (active, next) in [(false, 2), (true, 3), (false, 4), (true, 5)] {
            host.set(CONTROL, u32::from(active));
            host.run(2000);
            assert_eq!(host.get(ACK), next - 1, "before it was said");
            host.set(SWITCH, next);
            host.run_until(next);
        }
    }
}
