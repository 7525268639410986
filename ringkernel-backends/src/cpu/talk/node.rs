//! An actor for tests: its handlers do what a message tells them, and note what arrives.
//!
//! ```text
//! do(Do { op, instance, count, number }) -> Did { sent, count }    see the ops; `count` times, or until one does not succeed
//! note(Note { sender, number })                                     noted: whether it is the next of that sender's
//! pass(Pass { hops })                                               sends itself on, with one hop less
//! work(Work { number }) -> Did                                      { 7, 2 * number }
//! ```
//! and `Data { number }` is received, never handled.

use crate::abi::tag;
use crate::cpu::CpuDevice;
use crate::device_tests::*;
use crate::kernel::*;
use crate::mesh::*;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

pub(super) const DO: u32 = tag::of_definition("struct Do{op:u32,instance:u32,count:u32,number:u32}");
pub(super) const DID: u32 = tag::of_definition("struct Did{sent:u32,count:u32}");
pub(super) const NOTE: u32 = tag::of_definition("struct Note{sender:u32,number:u32}");
pub(super) const PASS: u32 = tag::of_definition("struct Pass{hops:u32}");
pub(super) const WORK: u32 = tag::of_definition("struct Work{number:u32}");
pub(super) const DATA: u32 = tag::of_definition("struct Data{number:u32}");
/// Larger than what any handler takes.
pub(super) const HUGE: u32 = tag::of_definition("struct Huge{0:[u32;100]}");

/// Sends notes along the first route, numbered from `number` on.
pub(super) const SEND: u32 = 0;
/// Sends a note and returns what `Outbox::sender` and `sent_at` said of the order to do so: the clock must be past it.
pub(super) const SEND_OTHER: u32 = 1;
/// Hands `Work { number }` on.
pub(super) const FORWARD: u32 = 2;
/// Gives notes to the host.
pub(super) const OUTPUT: u32 = 3;
/// Publishes notes; the last of them retained if `instance` is not 0.
pub(super) const PUBLISH: u32 = 4;
/// Receives data from the kernel of the first route; `sent` is the last number.
pub(super) const RECEIVE: u32 = 5;
/// Sends data along the first route.
pub(super) const SEND_DATA: u32 = 6;
/// Sends a `Do { op: REPLY }`, to which the receiver replies with notes.
pub(super) const ASK_REPLY: u32 = 7;
/// Replies to the kernel that sent this.
pub(super) const REPLY: u32 = 8;
/// Sends what no one handles and no slot holds.
pub(super) const SEND_HUGE: u32 = 9;
/// Forwards and then panics.
pub(super) const FORWARD_AND_FAIL: u32 = 10;
/// Sends notes to instances at random, each receiver's numbered apart, as many as find room.
pub(super) const SCATTER: u32 = 11;
/// Hands on a `Do { op: REPLY }` for a note each.
pub(super) const FORWARD_REPLY: u32 = 13;
/// Sleeps so many milliseconds.
pub(super) const SLEEP: u32 = 12;

/// What an instance noted.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, bytemuck::Zeroable, bytemuck::Pod)]
pub(super) struct Notes {
    /// The number after the last, by sender.
    pub(super) next: [u32; SENDERS],
    /// Numbers that were not beyond the last one: twice, or out of order.
    pub(super) misordered: u32,
    /// Numbers left out.
    pub(super) gaps: u32,
    pub(super) received: u32,
    /// By whom the last was sent: kernel and instance.
    pub(super) kernel: u32,
    pub(super) instance: u32,
    /// Whether the clock was ever not past what was handled.
    pub(super) late: u32,
}

pub(super) const SENDERS: usize = 16;

const fn message(name: &'static str, tag: u32, size: u32) -> MessageInfo {
    MessageInfo::fixed(name, tag, size)
}

const fn handler(name: &'static str, tag: u32, size: u32, reply: MessageInfo) -> HandlerInfo {
    HandlerInfo { name, message: message(name, tag, size), reply }
}

const UNIT: MessageInfo = message("()", tag::UNIT, 0);
const DID_INFO: MessageInfo = message("Did", DID, 8);

pub(super) static NODE: KernelDescriptor = KernelDescriptor {
    id: "node",
    actor: "Node",
    state_size: size_of::<Notes>() as u32,
    state_align: 4,
    handlers: &[
        handler("do", DO, 16, DID_INFO),
        handler("note", NOTE, 8, UNIT),
        handler("pass", PASS, 4, UNIT),
        handler("work", WORK, 4, DID_INFO),
    ],
    native: |spec| {
        let states = vec![Notes::default(); spec.count as usize];
        let sent = vec![Vec::new(); spec.count as usize];
        Ok(Box::new(Node { states, sent, random: spec.first as u64 + 1 }))
    },
    default_state: Some(|out| out.fill(0)),
    mesh: Mesh {
        routes: &[RouteInfo { id: "next" }, RouteInfo { id: "other" }],
        topics: &[TopicInfo { name: "notes" }],
        outgoing: &[message("Note", NOTE, 8), message("Do", DO, 16), message("Data", DATA, 4)],
        receives: &[message("Data", DATA, 4)],
    },
    ..TALLY
};

struct Node {
    states: Vec<Notes>,
    /// Numbers of the next notes, by receiver, for `SCATTER`.
    sent: Vec<Vec<u32>>,
    random: u64,
}

fn words<const N: usize>(payload: &[u8]) -> [u32; N] {
    std::array::from_fn(|k| u32::from_le_bytes(payload[4 * k..][..4].try_into().unwrap()))
}

impl Node {
    fn note(&mut self, local: usize, [sender, number]: [u32; 2], outbox: &mut dyn Outbox) {
        let notes = &mut self.states[local];
        let next = &mut notes.next[sender as usize];
        notes.misordered += (number < *next) as u32;
        notes.gaps += number.saturating_sub(*next);
        *next = number + 1;
        notes.received += 1;
        if let Some((kernel, instance)) = outbox.sender() {
            (notes.kernel, notes.instance) = (kernel as u32, instance);
        }
        notes.late += (outbox.now() < outbox.sent_at()) as u32;
    }

    fn scatter(
        &mut self,
        local: usize,
        sender: u32,
        [instances, count]: [u32; 2],
        outbox: &mut dyn Outbox,
    ) -> (Sent, u32) {
        let numbers = &mut self.sent[local];
        numbers.resize(instances as usize, 0);
        let mut went = 0;
        let mut last = Sent::Ok;
        for _ in 0..count {
            self.random = self.random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let to = (self.random >> 33) as u32 % instances;
            let number = &mut numbers[to as usize];
            last = outbox.send(key_of("next"), to, NOTE, bytemuck::cast_slice(&[sender, *number]));
            if last.is_ok() {
                (*number, went) = (*number + 1, went + 1);
            }
        }
        (last, went)
    }

    fn order(
        &mut self,
        local: usize,
        me: u32,
        [op, instance, count, number]: [u32; 4],
        outbox: &mut dyn Outbox,
    ) -> (Sent, u32) {
        match op {
            SCATTER => return self.scatter(local, number, [instance, count], outbox),
            SLEEP => thread::sleep(Duration::from_millis(count as u64)),
            _ => {}
        }
        let (next, other) = (key_of("next"), key_of("other"));
        for k in 0..count {
            let note = [number >> 24, (number & 0xff_ffff) + k];
            let note: &[u8] = bytemuck::cast_slice(&note);
            let sent = match op {
                SEND => outbox.send(next, instance, NOTE, note),
                SEND_OTHER => outbox.send(other, instance, NOTE, note),
                FORWARD | FORWARD_AND_FAIL => {
                    outbox.forward(next, instance, WORK, bytemuck::cast_slice(&[number]))
                }
                OUTPUT => outbox.output(NOTE, note),
                PUBLISH => outbox.publish(key_of("notes"), instance != 0 && k + 1 == count, NOTE, note),
                SEND_DATA => outbox.send(next, instance, DATA, bytemuck::cast_slice(&[number + k])),
                ASK_REPLY => {
                    let order = [REPLY, me, 1, number + k];
                    outbox.send(next, instance, DO, bytemuck::cast_slice(&order))
                }
                FORWARD_REPLY => {
                    let order = [REPLY, me, 1, number + k];
                    outbox.forward(next, instance, DO, bytemuck::cast_slice(&order))
                }
                REPLY => outbox.reply(NOTE, note),
                SEND_HUGE => outbox.send(next, instance, HUGE, &[1; 400]),
                _ => Sent::Ok,
            };
            if !sent.is_ok() {
                return (sent, k);
            }
        }
        if op == FORWARD_AND_FAIL {
            panic!("after it was forwarded");
        }
        (Sent::Ok, count)
    }
}

impl NativeShard for Node {
    fn handle(
        &mut self,
        local: u32,
        instance: u32,
        tag: u32,
        payload: &[u8],
        reply: &mut [u8],
        outbox: &mut dyn Outbox,
    ) -> Outcome {
        let local = local as usize;
        let did = match tag {
            DO => match words::<4>(payload) {
                [RECEIVE, _, count, _] => {
                    let (mut last, mut found) = ([0; 4], 0);
                    while found < count && outbox.receive(key_of("next"), DATA, &mut last) {
                        found += 1;
                    }
                    [u32::from_le_bytes(last), found]
                }
                order => {
                    let (sent, count) = self.order(local, instance, order, outbox);
                    [sent as u32, count]
                }
            },
            WORK => [7, 2 * words::<1>(payload)[0]],
            NOTE => {
                self.note(local, words(payload), outbox);
                return Outcome::Reply { tag: tag::UNIT, bytes: 0 };
            }
            _ => {
                self.states[local].received += 1;
                if let hops @ 1.. = words::<1>(payload)[0] {
                    let sent = outbox.send(key_of("next"), instance, PASS, bytemuck::cast_slice(&[hops - 1]));
                    assert!(sent.is_ok(), "{sent:?}");
                }
                return Outcome::Reply { tag: tag::UNIT, bytes: 0 };
            }
        };
        reply[..8].copy_from_slice(bytemuck::cast_slice(&did));
        Outcome::Reply { tag: DID, bytes: 8 }
    }

    fn read_state(&self, local: u32, out: &mut [u8]) {
        out.copy_from_slice(bytemuck::bytes_of(&self.states[local as usize]));
    }

    fn write_state(&mut self, _: u32, _: &[u8]) -> Result<(), DeviceError> {
        Ok(())
    }
}

/// How a node is launched.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) instances: u32,
    pub(super) queue: u32,
    pub(super) mailbox: u32,
    pub(super) overflow: Overflow,
    pub(super) shards: Option<u32>,
    pub(super) first_position: u64,
}

impl Default for Plan {
    fn default() -> Self {
        let overflow = Overflow::Reject;
        Self { instances: 1, queue: 64, mailbox: 64, overflow, shards: None, first_position: 0 }
    }
}

/// Launches one. `number` tells it from the others of its test.
pub(super) fn node(device: &CpuDevice, number: KernelNumber, plan: Plan) -> Host {
    let mesh = MeshSpec { number, mailbox: plan.mailbox, overflow: plan.overflow };
    let tuning = Tuning { shards: plan.shards, first_position: plan.first_position, ..Tuning::default() };
    Host::launch(device, LaunchSpec { mesh, tuning, ..spec_of(&NODE, plan.instances, plan.queue) })
}

/// Points the first route of one at another.
pub(super) fn connect(from: &Host, to: &Host) {
    from.kernel.connect(0, Target::Kernel(&to.kernel)).unwrap();
}

/// What an order came to.
pub(super) fn order(host: &mut Host, op: u32, instance: u32, count: u32, number: u32) -> (u32, u32) {
    let reply = host.round_trip(0, DO, &[op, instance, count, number]);
    assert_eq!(reply.tag, DID, "{reply:?}");
    (reply.words[0], reply.words[1])
}

/// What an instance noted so far.
pub(super) fn notes(kernel: &Arc<dyn Kernel>, instance: u32) -> Notes {
    let mut notes = Notes::default();
    kernel.read_state(instance, bytemuck::bytes_of_mut(&mut notes)).unwrap();
    notes
}

/// Waits until an instance has noted so many.
pub(super) fn wait_noted(host: &Host, instance: u32, count: u32) -> Notes {
    wait_until("notes arrive", || notes(&host.kernel, instance).received >= count);
    notes(&host.kernel, instance)
}

pub(super) const OK: u32 = Sent::Ok as u32;
pub(super) const FULL: u32 = Sent::Full as u32;
pub(super) const GONE: u32 = Sent::Gone as u32;
