//! How to launch a kernel.

use crate::image::StateImage;
use crate::{Actor, RingKernelError};
use ringkernel_backends::kernel::{IdlePolicy, InitialState, KernelDescriptor, Mode, Tuning};
use ringkernel_backends::mesh::{MeshSpec, Overflow};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The largest queue and the largest mailbox: slots of each shard's ring.
pub const MAX_QUEUE_CAPACITY: u32 = 1 << 20;
/// The most shards of a kernel.
pub const MAX_SHARDS: u32 = 1024;

/// How to launch a kernel. The default is one instance that starts from the actor's `Default` and processes messages at once.
///
/// ```
/// use ringkernel::{IdlePolicy, LaunchOptions, Mode};
/// use std::time::Duration;
///
/// let eager = LaunchOptions::default().instances(1000).queue_capacity(256).shards(4).idle(IdlePolicy::Spin);
/// let modest = LaunchOptions::default().mode(Mode::EventDriven { idle_after: Duration::from_millis(5) });
/// # let _ = (eager, modest);
/// ```
#[derive(Clone)]
pub struct LaunchOptions {
    auto_activate: bool,
    instances: u32,
    queue_capacity: u32,
    mailbox: u32,
    overflow: Overflow,
    idle: IdlePolicy,
    tuning: Tuning,
    hung_after: Duration,
    initial: Option<Initial>,
}

/// Options that can be honoured for an actor.
pub(crate) struct Checked {
    pub(crate) instances: u32,
    pub(crate) queue_capacity: u32,
    /// Its number is still to be given.
    pub(crate) mesh: MeshSpec,
    pub(crate) initial: InitialState,
    pub(crate) idle: IdlePolicy,
    pub(crate) tuning: Tuning,
    pub(crate) hung_after: Duration,
    /// Where the initial states come from; whether they are such is still to be checked.
    pub(crate) image: Option<StateImage>,
}

/// What the instances start from.
#[derive(Clone)]
enum Initial {
    /// A state, and whose it is.
    State {
        descriptor: &'static KernelDescriptor,
        write: InitialState,
    },
    Image(StateImage),
}

impl Default for LaunchOptions {
    fn default() -> Self {
        Self {
            auto_activate: true,
            instances: 1,
            queue_capacity: 1024,
            mailbox: MeshSpec::default().mailbox,
            overflow: Overflow::default(),
            idle: IdlePolicy::default(),
            tuning: Tuning::default(),
            hung_after: Duration::from_secs(60),
            initial: None,
        }
    }
}

impl fmt::Debug for LaunchOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaunchOptions")
            .field("auto_activate", &self.auto_activate)
            .field("instances", &self.instances)
            .field("queue_capacity", &self.queue_capacity)
            .field("mailbox", &self.mailbox)
            .field("overflow", &self.overflow)
            .field("idle", &self.idle)
            .field("tuning", &self.tuning)
            .field("hung_after", &self.hung_after)
            .field("initial", &self.initial.as_ref().map(Initial::actor))
            .finish()
    }
}

impl Initial {
    fn actor(&self) -> &str {
        match self {
            Self::State { descriptor, .. } => descriptor.actor,
            Self::Image(image) => image.actor(),
        }
    }
}

impl LaunchOptions {
    /// As many instances as the image holds, each of which starts from its state there.
    ///
    /// Launching another actor with it, or one whose fields have changed so that its states have another size, is
    /// [`RingKernelError::Image`]. See [`StateImage`] for an example.
    pub fn from_image(image: StateImage) -> Self {
        Self { instances: image.instances(), initial: Some(Initial::Image(image)), ..Self::default() }
    }

    /// Launches without processing messages until [`activate`](crate::KernelHandle::activate) is called.
    pub fn without_auto_activate(mut self) -> Self {
        self.auto_activate = false;
        self
    }

    /// How many instances, each with its own state; at least 1.
    pub fn instances(mut self, instances: u32) -> Self {
        self.instances = instances;
        self
    }

    /// Slots of each shard's request and reply rings: a power of two, at most [`MAX_QUEUE_CAPACITY`].
    pub fn queue_capacity(mut self, slots: u32) -> Self {
        self.queue_capacity = slots;
        self
    }

    /// Slots of each shard's mailbox, where messages from other kernels wait: a power of two, at most [`MAX_QUEUE_CAPACITY`]; 1024 unless told. It
    /// lies in the device's memory, and is made when the first kernel is connected that sends to this one.
    pub fn mailbox(mut self, slots: u32) -> Self {
        self.mailbox = slots;
        self
    }

    /// What becomes of a message from another kernel that finds the mailbox full; [`Overflow::Reject`] unless told.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// What the kernel does while its queues are empty.
    pub fn idle(mut self, idle: IdlePolicy) -> Self {
        self.idle = idle;
        self
    }

    /// Whether the kernel stays on its device while it has nothing to do; [`Mode::Auto`] unless told.
    ///
    /// An event-driven kernel leaves the device once it has been idle for as long as it was told (more than nothing), keeps its state,
    /// and is brought back by the next message, which takes some 40 us instead of 2 on an H200. Nothing else tells the difference: it
    /// stays [`Active`](crate::KernelState::Active), and one that was suspended stays suspended, whatever is sent to it. On CUDA it has
    /// one shard, and its room on the GPU stays reserved: it counts as resident.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.tuning.mode = mode;
        self
    }

    /// Into how many shards the instances are divided, each with its own pair of rings (and, on CUDA, its own warp): a power of
    /// two, at most [`MAX_SHARDS`]. Instance `i` belongs to shard `i % shards`. Unless told, the device chooses.
    ///
    /// No kernel has more shards than instances: asked for more, it has as many as the largest power of two that fits. WebGPU has
    /// one shard, whatever is asked for.
    pub fn shards(mut self, shards: u32) -> Self {
        self.tuning.shards = Some(shards);
        self
    }

    /// After how long without a sign of life from a shard, while requests wait for it, the kernel ends as
    /// [hung](RingKernelError::KernelHung): everybody who waits is told, and whoever sends after that. 60 seconds unless told;
    /// `Duration::MAX` for handlers that may take any time. It is noticed within half as long again, and within
    /// 30 seconds more.
    ///
    /// Callers with a deadline of their own are told by that. A kernel that ended like this has still to be terminated.
    pub fn hung_after(mut self, after: Duration) -> Self {
        self.hung_after = after;
        self
    }

    /// The most bytes of payloads that are too large for a slot and wait for their handlers; 256 MiB unless told. Senders wait while there is no room, and
    /// a payload that is larger is refused. On WebGPU that much memory of the
    /// device's is taken at the launch of an actor that takes such messages, 64 MiB or as much as the adapter binds; on CUDA 64 MiB are pinned
    /// then (as a power of two, and kept for the process' next kernel). See [`payload`](crate::payload).
    pub fn payload_memory(mut self, bytes: u64) -> Self {
        self.tuning.payload_memory = Some(bytes);
        self
    }

    /// The position at which every ring starts: for tests that see counters wrap.
    #[doc(hidden)]
    pub fn first_position(mut self, position: u64) -> Self {
        self.tuning.first_position = position;
        self
    }

    /// After how many messages a shard returns for good: for tools that only see a kernel that ends.
    #[doc(hidden)]
    pub fn stop_after(mut self, messages: u64) -> Self {
        self.tuning.stop_after = Some(messages);
        self
    }

    /// The state every instance starts from.
    ///
    /// Launching another actor with it is [`RingKernelError::WrongStateType`].
    pub fn initial_state<S: Actor>(mut self, state: S) -> Self {
        let mut bytes = vec![0; S::SIZE as usize];
        state.encode(&mut bytes);
        let write: InitialState = Arc::new(move |_, out| out.copy_from_slice(&bytes));
        self.initial = Some(Initial::State { descriptor: S::DESCRIPTOR, write });
        self
    }

    /// The state each instance starts from, by its number.
    pub fn initial_state_with<S: Actor>(mut self, state: impl Fn(u32) -> S + Send + Sync + 'static) -> Self {
        let write: InitialState = Arc::new(move |instance, out| state(instance).encode(out));
        self.initial = Some(Initial::State { descriptor: S::DESCRIPTOR, write });
        self
    }

    pub(crate) fn auto_activates(&self) -> bool {
        self.auto_activate
    }

    /// What a device needs of the options, if they can be honoured for that actor.
    pub(crate) fn check(self, descriptor: &'static KernelDescriptor) -> Result<Checked, RingKernelError> {
        let id = descriptor.id;
        let invalid = |reason| Err(RingKernelError::InvalidOptions { id, reason });
        if self.instances == 0 {
            return invalid("0 instances; the least is 1, the default".to_owned());
        }
        let capacity = self.queue_capacity;
        for (what, slots) in [("a queue capacity", capacity), ("a mailbox", self.mailbox)] {
            if slots > MAX_QUEUE_CAPACITY {
                return invalid(format!("{what} of {slots}; the largest is {MAX_QUEUE_CAPACITY}"));
            }
            if !slots.is_power_of_two() {
                return invalid(format!(
                    "{what} of {slots}; it must be a power of two, such as {}",
                    nearest_power_of_two(slots)
                ));
            }
        }
        let mut tuning = self.tuning;
        if let Some(shards) = tuning.shards {
            if !shards.is_power_of_two() || shards > MAX_SHARDS {
                return invalid(format!(
                    "{shards} shards; it must be a power of two, such as {}, and at most {MAX_SHARDS}",
                    nearest_power_of_two(shards).min(MAX_SHARDS)
                ));
            }
            tuning.shards = Some(shards.min(1 << self.instances.ilog2()));
        }
        if tuning.mode == (Mode::EventDriven { idle_after: Duration::ZERO }) {
            return invalid(
                "an event-driven kernel that is idle after 0 ns would never stay; give it a millisecond"
                    .to_owned(),
            );
        }
        let mut image = None;
        let initial = match (self.initial, descriptor.default_state) {
            (Some(Initial::Image(given)), _) => {
                given.check(descriptor)?;
                let (held, asked) = (given.instances(), self.instances);
                if held != asked {
                    return invalid(format!(
                        "{asked} instances, from an image of {held}; leave `instances` away"
                    ));
                }
                image.insert(given).initial()
            }
            (Some(Initial::State { descriptor: given, .. }), _) if !same_actor(given, descriptor) => {
                let (actor, given) = (descriptor.actor, given.actor);
                return Err(RingKernelError::WrongStateType { id, actor, given });
            }
            (Some(Initial::State { write, .. }), _) => write,
            (None, Some(default)) => Arc::new(move |_, out: &mut [u8]| default(out)) as InitialState,
            (None, None) => return Err(RingKernelError::NoInitialState { actor: descriptor.actor }),
        };
        let (instances, queue_capacity, idle) = (self.instances, capacity, self.idle);
        if self.hung_after.is_zero() {
            return invalid(
                "a kernel that hangs after 0 ns would never run; Duration::MAX means never".to_owned(),
            );
        }
        let hung_after = self.hung_after;
        let mesh = MeshSpec { mailbox: self.mailbox, overflow: self.overflow, ..MeshSpec::default() };
        Ok(Checked { instances, queue_capacity, mesh, initial, idle, tuning, hung_after, image })
    }
}

/// Whether two descriptors are of one actor. Ids are unique in a program; that was checked when the runtime was built.
pub(crate) fn same_actor(a: &KernelDescriptor, b: &KernelDescriptor) -> bool {
    (a.id, a.actor, a.state_size, a.state_align) == (b.id, b.actor, b.state_size, b.state_align)
}

fn nearest_power_of_two(n: u32) -> u32 {
    let above = n.max(1).checked_next_power_of_two().unwrap_or(1 << 31);
    let below = above / 2;
    if below > 0 && n - below < above.saturating_sub(n) { below } else { above }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Account, Bare};

    fn refusal(options: LaunchOptions) -> RingKernelError {
        options.check(Account::DESCRIPTOR).err().expect("refused")
    }

    #[test]
    fn options_that_no_device_can_honour_are_refused_with_what_would_do() {
        let text = |options| refusal(options).to_string();
        let default = LaunchOptions::default;
        assert_eq!(
            text(default().instances(0)),
            "cannot launch `account`: 0 instances; the least is 1, the default"
        );
        for (capacity, nearest) in [(0, 1), (3, 4), (5, 4), (6, 8), (1000, 1024), (700, 512)] {
            assert_eq!(
                text(default().queue_capacity(capacity)),
                format!(
                    "cannot launch `account`: a queue capacity of {capacity}; it must be a power of two, such as {nearest}"
                )
            );
        }
        for capacity in [MAX_QUEUE_CAPACITY * 2, u32::MAX] {
            assert!(text(default().queue_capacity(capacity)).ends_with("the largest is 1048576"));
        }
        assert!(default().queue_capacity(MAX_QUEUE_CAPACITY).check(Account::DESCRIPTOR).is_ok());
        assert!(default().queue_capacity(1).check(Account::DESCRIPTOR).is_ok());
        assert_eq!(
            text(default().mailbox(48)),
            "cannot launch `account`: a mailbox of 48; it must be a power of two, such as 64"
        );
        assert!(text(default().mailbox(MAX_QUEUE_CAPACITY * 2)).ends_with("the largest is 1048576"));
        let spec = default().mailbox(8).overflow(Overflow::Spill).check(Account::DESCRIPTOR).unwrap().mesh;
        assert_eq!((spec.mailbox, spec.overflow), (8, Overflow::Spill));
    }

    #[test]
    fn shards_are_powers_of_two_and_never_more_than_instances() {
        let default = LaunchOptions::default;
        for (shards, nearest) in [(0, 1), (3, 4), (1025, 1024), (2048, 1024), (u32::MAX, 1024)] {
            assert_eq!(
                refusal(default().instances(10_000).shards(shards)).to_string(),
                format!(
                    "cannot launch `account`: {shards} shards; it must be a power of two, such as {nearest}, and at most 1024"
                )
            );
        }
        let given = |shards, instances| {
            let options = default().shards(shards).instances(instances);
            options.check(Account::DESCRIPTOR).unwrap().tuning.shards
        };
        assert_eq!([given(1, 1), given(64, 64), given(4, u32::MAX)], [Some(1), Some(64), Some(4)]);
        assert_eq!([given(64, 1), given(64, 63), given(8, 5)], [Some(1), Some(32), Some(4)]);
        assert_eq!(given(1024, 1024), Some(1024));
        assert_eq!(default().check(Account::DESCRIPTOR).unwrap().tuning.shards, None);
    }

    #[test]
    fn a_mode_and_the_knobs_of_tests_reach_the_device() {
        let mode = Mode::EventDriven { idle_after: Duration::from_micros(1) };
        let options = LaunchOptions::default().mode(mode).first_position(u64::MAX - 3).stop_after(7);
        let tuning = options.check(Account::DESCRIPTOR).unwrap().tuning;
        assert_eq!((tuning.mode, tuning.first_position, tuning.stop_after), (mode, u64::MAX - 3, Some(7)));
        let never = LaunchOptions::default().mode(Mode::EventDriven { idle_after: Duration::ZERO });
        assert!(refusal(never).to_string().contains("give it a millisecond"));
    }

    #[test]
    fn an_actor_without_default_needs_a_state_and_each_only_takes_its_own() {
        assert_eq!(
            LaunchOptions::default().check(Bare::DESCRIPTOR).err(),
            Some(RingKernelError::NoInitialState { actor: "Bare" })
        );
        assert!(LaunchOptions::default().initial_state(Bare { unit: 1 }).check(Bare::DESCRIPTOR).is_ok());
        assert_eq!(
            refusal(LaunchOptions::default().initial_state(Bare { unit: 1 })),
            RingKernelError::WrongStateType { id: "account", actor: "Account", given: "Bare" }
        );
    }

    #[test]
    fn initial_states_are_written_for_each_instance() {
        let options = LaunchOptions::default().initial_state_with(|i| Bare { unit: i * 10 });
        let checked = options.check(Bare::DESCRIPTOR).unwrap();
        let mut bytes = [0; 4];
        (checked.initial)(7, &mut bytes);
        assert_eq!(bytes, 70u32.to_le_bytes());
    }
}
