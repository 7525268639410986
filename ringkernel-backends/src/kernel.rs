//! What the compiler hands over, and what a device does with it.
//!
//! [`KernelDescriptor`] is a `static` that `#[ring_kernel]` emits. A [`Device`] launches one and returns a [`Kernel`]: its
//! rings, its control block, its telemetry. Nothing here knows of futures or lifecycles; `ringkernel` builds those on top.

use crate::abi::{ControlSnapshot, Correlation, FaultKind, Header, Ring, TelemetrySnapshot};
use crate::mesh::{MailboxSnapshot, Mesh, MeshSpec, Outbox, Sent, Subscriber, Target, relay_into};
use crate::payload::{PayloadArena, REFERENCE_WORDS};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// What handles one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// One GPU thread.
    Thread,
}

/// A type that crosses the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageInfo {
    /// Its name as the user wrote it.
    pub name: &'static str,
    /// Its tag.
    pub tag: u32,
    /// Bytes on the wire; of a message of variable size, the most.
    pub size: u32,
    /// Whether each takes as many as it needs, whole words up to `size`. The payload is then an rkyv archive, whose root is at its end.
    pub variable: bool,
    /// The most bytes of one that the host sends where the device has memory for what no slot carries; see [`payload`](crate::payload). At least `size`.
    pub largest: u32,
}

impl MessageInfo {
    /// Of fixed size.
    pub const fn fixed(name: &'static str, tag: u32, size: u32) -> Self {
        Self { name, tag, size, variable: false, largest: size }
    }

    /// Whether some are larger than a slot carries, so that a payload of [`REFERENCE_WORDS`] says where they lie.
    #[inline]
    pub const fn is_large(&self) -> bool {
        self.variable && self.largest > self.size
    }

    /// Whether a payload of so many words can be one of these, or say where one lies.
    #[inline]
    pub fn takes(&self, words: usize) -> bool {
        let most = self.size.div_ceil(4) as usize;
        words == most || (self.variable && words < most) || (words == REFERENCE_WORDS && self.is_large())
    }
}

/// One `#[handler]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerInfo {
    /// The method's name.
    pub name: &'static str,
    /// What it takes.
    pub message: MessageInfo,
    /// What it answers.
    pub reply: MessageInfo,
}

/// A place in the user's source that can fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site {
    /// File, as the compiler knows it.
    pub file: &'static str,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// The text of a `panic!` or `assert!`, empty for the other kinds.
    pub message: &'static str,
}

/// What a handler, or a whole actor, needs of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// 64-bit integers.
    pub int64: bool,
    /// 64-bit floats.
    pub float64: bool,
}

/// Everything a device must know of an actor type.
pub struct KernelDescriptor {
    /// `#[ring_kernel(id = "…")]`.
    pub id: &'static str,
    /// The struct's name.
    pub actor: &'static str,
    /// What handles one message.
    pub group: Group,
    /// Bytes of one instance's state on the wire and on devices.
    pub state_size: u32,
    /// Its alignment.
    pub state_align: u32,
    /// The handlers.
    pub handlers: &'static [HandlerInfo],
    /// Where faults come from; a fault's second word indexes it.
    pub sites: &'static [Site],
    /// PTX of the handlers and their dispatch; see `cuda` for what is joined to it.
    pub ptx: &'static str,
    /// WGSL of the handlers and their dispatch; see `wgpu` for what is joined to it.
    pub wgsl: &'static str,
    /// What the WGSL needs of the adapter.
    pub wgsl_needs: Needs,
    /// Why there is no code for devices, where there is none: such an actor runs on the CPU only.
    pub native_only: Option<&'static str>,
    /// Builds the native actors of one shard: the CPU backend, and the oracle of the others.
    pub native: fn(shard: NativeShardSpec<'_>) -> Result<Box<dyn NativeShard>, DeviceError>,
    /// Writes `Default::default()` of the state as bytes; `None` where the struct has no `Default`.
    pub default_state: Option<fn(&mut [u8])>,
    /// What the handlers do beside answering.
    pub mesh: Mesh,
}

impl KernelDescriptor {
    /// The handler for a tag.
    #[inline]
    pub fn handler(&self, tag: u32) -> Option<&'static HandlerInfo> {
        self.handlers.iter().find(|handler| handler.message.tag == tag)
    }

    /// For a device that runs the compiler's code.
    ///
    /// # Errors
    /// [`DeviceError::Unsupported`] where there is none.
    pub fn check_compiled(&self, device: impl FnOnce() -> String) -> Result<(), DeviceError> {
        match self.native_only {
            None => Ok(()),
            Some(reason) => Err(DeviceError::Unsupported {
                actor: self.actor,
                what: format!("the CPU backend ({reason})"),
                device: device(),
            }),
        }
    }

    /// Bytes of the largest message, of those that a handler takes and those that one receives: what slots of requests and mailboxes hold.
    pub fn message_size(&self) -> u32 {
        let received = self.mesh.receives.iter().map(|message| message.size);
        let least = if self.takes_large() { 4 * REFERENCE_WORDS as u32 } else { 0 };
        self.handlers.iter().map(|h| h.message.size).chain(received).fold(least, u32::max)
    }

    /// Whether a handler takes messages that are larger than a slot carries.
    pub fn takes_large(&self) -> bool {
        self.handlers.iter().any(|handler| handler.message.is_large())
    }

    /// Bytes of the largest reply, a fault included.
    pub fn reply_size(&self) -> u32 {
        self.handlers.iter().map(|h| h.reply.size).max().unwrap_or(0).max(crate::abi::fault::FAULT_WORDS * 4)
    }

    /// Bytes of the largest payload that leaves through the reply ring, which carries what handlers send to the host as well, with its
    /// [prefix](crate::abi::slot::PREFIX_WORDS).
    pub fn reply_payload_size(&self) -> u32 {
        match self.mesh.outgoing {
            [] => self.reply_size(),
            _ => self.reply_size().max(crate::abi::slot::PREFIX_WORDS as u32 * 4 + self.mesh.outgoing_size()),
        }
    }
}

impl std::fmt::Debug for KernelDescriptor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelDescriptor")
            .field("id", &self.id)
            .field("actor", &self.actor)
            .finish_non_exhaustive()
    }
}

/// Writes the initial state of an instance (its number is given) as bytes.
pub type InitialState = Arc<dyn Fn(u32, &mut [u8]) + Send + Sync>;

/// Which instances a native shard is to hold: `first`, `first + stride`, … `count` of them.
pub struct NativeShardSpec<'a> {
    /// The first instance's number.
    pub first: u32,
    /// The distance between two of the shard's instances.
    pub stride: u32,
    /// How many.
    pub count: u32,
    /// Their initial state.
    pub initial: &'a InitialState,
}

/// The native actors of a shard.
pub trait NativeShard: Send {
    /// Runs the handler for `tag` on the shard's `local`-th instance. `payload` and `reply` are wire bytes; the answer is
    /// how the request ended. What else the handler does goes through `outbox`.
    ///
    /// Panics of the handler come out as [`Outcome::Fault`]; they do not unwind through here.
    fn handle(
        &mut self,
        local: u32,
        instance: u32,
        tag: u32,
        payload: &[u8],
        reply: &mut [u8],
        outbox: &mut dyn Outbox,
    ) -> Outcome;
    /// Writes the state of the `local`-th instance as bytes.
    fn read_state(&self, local: u32, out: &mut [u8]);
    /// Replaces the state of the `local`-th instance by the one these bytes are. Bytes that are no state are an error, and the
    /// instance keeps the state it has.
    fn write_state(&mut self, local: u32, state: &[u8]) -> Result<(), DeviceError>;
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reply's tag and length in bytes.
    Reply {
        /// Tag of the reply's type.
        tag: u32,
        /// Its bytes, at the front of the reply buffer.
        bytes: u32,
    },
    /// A fault and the site it came from.
    Fault {
        /// What happened.
        kind: FaultKind,
        /// Where: what the device's second fault word says.
        site: FaultSite,
    },
}

/// Where a fault came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultSite {
    /// An index into [`KernelDescriptor::sites`].
    Index(u32),
    /// A native panic's own location, interned by [`intern_site`].
    Native(u32),
    /// Nowhere in the user's source.
    None,
}

impl FaultSite {
    const NATIVE: u32 = 1 << 31;
    const NONE: u32 = u32::MAX;

    /// The word that crosses the ring.
    pub fn to_word(self) -> u32 {
        match self {
            Self::Index(i) => i,
            Self::Native(i) => i | Self::NATIVE,
            Self::None => Self::NONE,
        }
    }

    /// Reads what [`to_word`](Self::to_word) wrote.
    pub fn from_word(word: u32) -> Self {
        match word {
            Self::NONE => Self::None,
            w if w & Self::NATIVE != 0 => Self::Native(w & !Self::NATIVE),
            w => Self::Index(w),
        }
    }
}

/// How a resident kernel behaves while its rings are empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IdlePolicy {
    /// Polls without a pause: the lowest latency, at the price of a busy multiprocessor or core.
    Spin,
    /// Polls, then pauses for longer and longer, up to some tens of microseconds.
    #[default]
    Backoff,
}

/// Whether a kernel stays on its device while it has nothing to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// The device chooses: persistent where nothing speaks against it (on CUDA: no watchdog on the GPU, not under WSL, and few
    /// kernels resident).
    #[default]
    Auto,
    /// It stays: the lowest latency.
    Persistent,
    /// It returns with its state kept (`has_terminated` is 2) once it has had nothing to do for `idle_after`, and the next
    /// message brings it back. Devices whose kernels take nothing while they idle (CPU, WebGPU) have no other way, and do so
    /// in every mode, at once.
    EventDriven {
        /// How long it stays with nothing to do.
        idle_after: Duration,
    },
}

/// What most launches leave as it is.
#[derive(Clone, Debug, Default)]
pub struct Tuning {
    /// Whether it stays while idle.
    pub mode: Mode,
    /// How many shards, each with its own pair of rings and, on CUDA, its own warp: a power of two. The device chooses, and no
    /// kernel has more shards than instances. On the CPU any number will do: more shards than threads take turns.
    pub shards: Option<u32>,
    /// The ring position everything starts at; 0 but in tests that want to see counters wrap.
    pub first_position: u64,
    /// Return for good after so many messages a shard: for tools that only see a kernel that ends (sanitizers, profilers).
    pub stop_after: Option<u64>,
    /// The most bytes that wait in its [`PayloadArena`], where it has one.
    pub payload_memory: Option<u64>,
}

/// Called by a device's own threads after they published replies or gave request slots back: soon where somebody may wait for
/// that (a reply is there, or the ring had been full), else when the device gets round to it, at the latest when it has
/// nothing more to do.
pub trait Progress: Send + Sync {
    /// Something moved.
    fn progress(&self);
}

/// What to launch.
pub struct LaunchSpec {
    /// The actor.
    pub descriptor: &'static KernelDescriptor,
    /// How many instances, at least 1.
    pub instances: u32,
    /// Slots of each ring, a power of two.
    pub queue_capacity: u32,
    /// Whether to process messages at once.
    pub active: bool,
    /// Initial state of each instance.
    pub initial: InitialState,
    /// What to do while idle.
    pub idle: IdlePolicy,
    /// What most launches leave as it is.
    pub tuning: Tuning,
    /// Its place among other kernels.
    pub mesh: MeshSpec,
    /// Whom to tell of progress, where the device has threads of its own; see [`Kernel::must_be_polled`].
    pub progress: Arc<dyn Progress>,
}

/// The two rings of a shard. Instance `i` belongs to shard `i % shards`.
pub struct Port {
    /// Host to device.
    pub requests: Ring,
    /// Device to host.
    pub replies: Ring,
}

/// A device that can launch actors.
pub trait Device: Send + Sync {
    /// "NVIDIA H200", "llvmpipe (LLVM 15.0.6, 256 bits)", "2 threads".
    fn name(&self) -> String;
    /// Launches an actor. Returns when its control block is live.
    fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Kernel>, DeviceError>;
}

/// A launched actor. Dropping the last handle terminates it.
pub trait Kernel: Send + Sync {
    /// Its rings, one pair a shard.
    fn ports(&self) -> &[Port];
    /// Says that a request was published in a shard's ring. Nothing to do where a resident kernel polls.
    fn doorbell(&self, shard: usize);
    /// Whether replies appear without [`Progress`] being told, so that the host must look for them.
    fn must_be_polled(&self) -> bool;
    /// Starts or stops the processing of messages; returns when the device has taken note: after `set_active(false)` no
    /// handler runs.
    fn set_active(&self, active: bool) -> Result<(), DeviceError>;
    /// The live control block, over all shards.
    fn control(&self) -> ControlSnapshot;
    /// The live telemetry, over all shards.
    fn telemetry(&self) -> TelemetrySnapshot;
    /// Ends the kernel: the message being handled is finished, what waits in the rings is not. Idempotent.
    fn terminate(&self, deadline: Duration) -> Result<(), DeviceError>;
    /// Copies the states of `count` instances from `first` on to the front of `out`, one behind another. The kernel must be
    /// inactive or terminated, else the copy may be torn: the caller sees to that.
    fn read_states(&self, first: u32, count: u32, out: &mut [u8]) -> Result<(), DeviceError>;
    /// Replaces the states of `count` instances from `first` on by those at the front of `states`. The kernel must be
    /// inactive: the caller sees to that. After an error, some may have been replaced and others not.
    fn write_states(&self, first: u32, count: u32, states: &[u8]) -> Result<(), DeviceError>;
    /// Copies one instance's state out.
    fn read_state(&self, instance: u32, out: &mut [u8]) -> Result<(), DeviceError> {
        self.read_states(instance, 1, out)
    }
    /// Replaces one instance's state.
    fn write_state(&self, instance: u32, state: &[u8]) -> Result<(), DeviceError> {
        self.write_states(instance, 1, state)
    }
    /// A count that moves while a shard is alive: every request it finishes moves it (on the CPU, every 32nd of a stream of short
    /// ones, and the last before it is idle), and on CUDA idle polling does as well. A
    /// shard whose count stands still while requests wait in its ring is stuck in a handler.
    fn heartbeat(&self, shard: usize) -> u64 {
        self.ports().get(shard).map_or(0, |port| port.requests.consumed())
    }
    /// Whether requests were taken out of the rings whose handlers still run, or whose replies wait for room. Devices that take a
    /// request only with room for its reply, and finish what they took before they end, have nothing to say here.
    fn is_busy(&self) -> bool {
        false
    }
    /// Points one of its routes (an index into [`Mesh::routes`]) somewhere else. Messages that were sent along it before stay where they are. The
    /// kernel may pause for it, and so may the target, whose mailbox is made for the first route that leads to it.
    ///
    /// # Errors
    /// [`DeviceError::NotConnected`] where the target is a kernel of another device, or one that cannot have a mailbox: a route to the
    /// host will do.
    fn connect(&self, route: usize, target: Target<'_>) -> Result<(), DeviceError> {
        let _ = route;
        alone(target)
    }
    /// Says where a kernel is that sends to this one, so that handlers can [`reply`](Outbox::reply) to it; or that it is gone.
    fn set_peer(&self, number: crate::mesh::KernelNumber, target: Target<'_>) -> Result<(), DeviceError> {
        let _ = number;
        alone(target)
    }
    /// Says who gets what is published on one of its topics (an index into [`Mesh::topics`]), and whether the host does. What a
    /// subscriber missed is counted from 0 again.
    fn set_subscribers(
        &self,
        topic: usize,
        subscribers: &[Subscriber],
        host: bool,
    ) -> Result<(), DeviceError> {
        let _ = topic;
        if subscribers.is_empty() && !host { Ok(()) } else { Err(ALONE) }
    }
    /// How many messages each of a topic's subscribers missed because its mailbox was full, in the order they were set.
    fn missed(&self, topic: usize) -> Vec<u64> {
        let _ = topic;
        Vec::new()
    }
    /// Takes a message that came out of another kernel's reply ring as [`RELAY`](crate::abi::slot::RELAY) and is for this one. The header is as it is to
    /// arrive: the prefix's words are its correlation. What one sender sent arrives in the order in which it is handed over here, and behind what
    /// that sender had put into this kernel's mailbox itself before it spilled.
    ///
    /// [`Sent::Full`]: the message is to be offered again, before any later one for that shard. There is room once this
    /// kernel's [`Progress`] is told; who relies on being told makes a `SeqCst` fence first and tries once more. Anything but `Ok` and `Full` is final.
    ///
    /// Whatever the end, [`relayed`](Self::relayed) tells the sender.
    fn relay(&self, header: Header, payload: &[u8]) -> Sent {
        relay_into(self, header, payload)
    }
    /// Says that a message which came out of the reply ring of `shard` as `RELAY` has been handed to the kernel `receiver`, or never will be
    /// because that is gone. A shard that has spilled to a receiver goes on doing so until all of that has arrived, for the sake of the order.
    fn relayed(&self, shard: usize, receiver: crate::mesh::KernelNumber) {
        let _ = (shard, receiver);
    }
    /// What it did not come to: who waits for the answers to forwarded messages ([`Origin::Forwarded`](crate::abi::Origin::Forwarded)) that
    /// still lie in its mailbox. For after [`terminate`](Self::terminate); those in its request rings the caller sees himself.
    fn unanswered(&self) -> Vec<Correlation> {
        Vec::new()
    }
    /// Its mailbox in figures; all 0 while it has none.
    fn mailbox(&self) -> MailboxSnapshot {
        MailboxSnapshot::default()
    }
    /// Where payloads wait that are too large for a slot, if the device follows references to them; see [`payload`](crate::payload).
    fn payloads(&self) -> Option<Arc<dyn PayloadArena>> {
        None
    }
    /// For its backend, which knows what it is.
    fn as_any(&self) -> &dyn Any;
    /// Why the kernel can no longer answer, if it cannot (a lost device). Cheap.
    fn failure(&self) -> Option<DeviceError>;
}

const ALONE: DeviceError =
    DeviceError::NotConnected { reason: "this device's kernels do not reach each other" };

fn alone(target: Target<'_>) -> Result<(), DeviceError> {
    match target {
        Target::Nobody => Ok(()),
        _ => Err(ALONE),
    }
}

/// Why a device could not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No such device, driver or adapter here.
    #[error("{backend} is not available: {reason}")]
    Unavailable {
        /// The backend.
        backend: &'static str,
        /// What is missing.
        reason: String,
    },
    /// The device lacks something the actor needs.
    #[error("`{actor}` needs {what}, which {device} does not have")]
    Unsupported {
        /// The actor.
        actor: &'static str,
        /// "64-bit integers (SHADER_INT64)".
        what: String,
        /// The device's name.
        device: String,
    },
    /// Memory could not be had.
    #[error("out of memory: {bytes} bytes for {what}")]
    OutOfMemory {
        /// How much was asked for.
        bytes: u64,
        /// For what.
        what: String,
    },
    /// The kernel does not fit next to what is resident.
    #[error("no room on the device: {detail}")]
    Capacity {
        /// What is resident and what was asked for.
        detail: String,
    },
    /// Generated device code was rejected: a defect of ours, reported with the compiler's words.
    #[error("the device code of `{actor}` was rejected: {log}")]
    BadCode {
        /// The actor.
        actor: &'static str,
        /// What the driver or validator said.
        log: String,
    },
    /// The device did not do it by the deadline.
    #[error("{what} took longer than {deadline:?}")]
    Deadline {
        /// What was asked.
        what: &'static str,
        /// How long it was given.
        deadline: Duration,
    },
    /// The device is lost; requests in flight may or may not have run.
    #[error("the device is lost: {reason}")]
    Lost {
        /// What the driver said.
        reason: String,
    },
    /// The kernel has been terminated.
    #[error("the kernel is terminated")]
    Terminated,
    /// A kernel cannot be reached from another without the host.
    #[error("these kernels cannot be connected on the device: {reason}")]
    NotConnected {
        /// Why.
        reason: &'static str,
    },
    /// There is no such instance.
    #[error("instance {instance} of {instances}")]
    NoSuchInstance {
        /// The one asked for.
        instance: u32,
        /// How many there are.
        instances: u32,
    },
    /// The driver reported an error that has no better name.
    #[error("{call} failed: {reason}")]
    Driver {
        /// The call.
        call: &'static str,
        /// What it said.
        reason: String,
    },
}

mod sites;
pub use sites::{intern_site, native_site};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_variable_size_has_any_length_up_to_its_most() {
        let fixed = MessageInfo::fixed("Fixed", 1000, 10);
        let variable = MessageInfo { variable: true, ..fixed };
        // One that says where it lies has three words, whatever a slot carries.
        let large = MessageInfo { size: 4, largest: 100, ..variable };
        for words in 0..5 {
            assert_eq!(
                (fixed.takes(words), variable.takes(words), large.takes(words)),
                (words == 3, words <= 3, words <= 1 || words == 3),
                "{words} words"
            );
        }
        assert_eq!([fixed, variable, large].map(|info| info.is_large()), [false, false, true]);
    }
}
