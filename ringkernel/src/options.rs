//! How to launch a kernel.

use crate::{Actor, RingKernelError};
use ringkernel_backends::kernel::{IdlePolicy, InitialState, KernelDescriptor};
use std::fmt;
use std::sync::Arc;

/// The largest queue: slots of each shard's ring.
pub const MAX_QUEUE_CAPACITY: u32 = 1 << 20;

/// How to launch a kernel. The default is one instance that starts from the actor's `Default` and processes messages at once.
///
/// ```
/// use ringkernel::{IdlePolicy, LaunchOptions};
///
/// let options = LaunchOptions::default().instances(1000).queue_capacity(256).idle(IdlePolicy::Spin);
/// # let _ = options;
/// ```
#[derive(Clone)]
pub struct LaunchOptions {
    auto_activate: bool,
    instances: u32,
    queue_capacity: u32,
    idle: IdlePolicy,
    initial: Option<Given>,
}

/// An initial state, and whose it is.
#[derive(Clone)]
struct Given {
    descriptor: &'static KernelDescriptor,
    write: InitialState,
}

impl Default for LaunchOptions {
    fn default() -> Self {
        Self {
            auto_activate: true,
            instances: 1,
            queue_capacity: 1024,
            idle: IdlePolicy::default(),
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
            .field("idle", &self.idle)
            .field("initial", &self.initial.as_ref().map(|given| given.descriptor.actor))
            .finish()
    }
}

impl LaunchOptions {
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

    /// What the kernel does while its queues are empty.
    pub fn idle(mut self, idle: IdlePolicy) -> Self {
        self.idle = idle;
        self
    }

    /// The state every instance starts from.
    ///
    /// Launching another actor with it is [`RingKernelError::WrongStateType`].
    pub fn initial_state<S: Actor>(mut self, state: S) -> Self {
        let mut bytes = vec![0; S::SIZE as usize];
        state.encode(&mut bytes);
        let write: InitialState = Arc::new(move |_, out| out.copy_from_slice(&bytes));
        self.initial = Some(Given { descriptor: S::DESCRIPTOR, write });
        self
    }

    /// The state each instance starts from, by its number.
    pub fn initial_state_with<S: Actor>(mut self, state: impl Fn(u32) -> S + Send + Sync + 'static) -> Self {
        let write: InitialState = Arc::new(move |instance, out| state(instance).encode(out));
        self.initial = Some(Given { descriptor: S::DESCRIPTOR, write });
        self
    }

    pub(crate) fn auto_activates(&self) -> bool {
        self.auto_activate
    }

    /// What a device needs of the options, if they can be honoured for that actor.
    pub(crate) fn check(
        self,
        descriptor: &'static KernelDescriptor,
    ) -> Result<(u32, u32, InitialState, IdlePolicy), RingKernelError> {
        let id = descriptor.id;
        let invalid = |reason| Err(RingKernelError::InvalidOptions { id, reason });
        if self.instances == 0 {
            return invalid("0 instances; the least is 1, the default".to_owned());
        }
        let capacity = self.queue_capacity;
        if capacity > MAX_QUEUE_CAPACITY {
            return invalid(format!("a queue capacity of {capacity}; the largest is {MAX_QUEUE_CAPACITY}"));
        }
        if !capacity.is_power_of_two() {
            return invalid(format!(
                "a queue capacity of {capacity}; it must be a power of two, such as {}",
                nearest_power_of_two(capacity)
            ));
        }
        let write = match (self.initial, descriptor.default_state) {
            (Some(given), _) if !same_actor(given.descriptor, descriptor) => {
                let (actor, given) = (descriptor.actor, given.descriptor.actor);
                return Err(RingKernelError::WrongStateType { id, actor, given });
            }
            (Some(given), _) => given.write,
            (None, Some(default)) => Arc::new(move |_, out: &mut [u8]| default(out)) as InitialState,
            (None, None) => return Err(RingKernelError::NoInitialState { actor: descriptor.actor }),
        };
        Ok((self.instances, capacity, write, self.idle))
    }
}

/// Whether two descriptors are of one actor. Ids are unique in a program; that was checked when the runtime was built.
pub(crate) fn same_actor(a: &KernelDescriptor, b: &KernelDescriptor) -> bool {
    (a.id, a.actor, a.state_size, a.state_align) == (b.id, b.actor, b.state_size, b.state_align)
}

fn nearest_power_of_two(n: u32) -> u32 {
    let above = n.max(1).next_power_of_two();
    let below = above / 2;
    if below > 0 && n - below < above - n { below } else { above }
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
        let (.., write, _) = options.check(Bare::DESCRIPTOR).unwrap();
        let mut bytes = [0; 4];
        write(7, &mut bytes);
        assert_eq!(bytes, 70u32.to_le_bytes());
    }
}
