//! What can go wrong, each with what, where, and what to do about it.

use crate::image::ImageError;
use crate::lifecycle::{KernelState, Transition};
use crate::message::DecodeError;
use crate::pubsub::{PubSubError, TopicError};
use crate::{Backend, PayloadTooLarge};
use ringkernel_backends::abi::FaultKind;
use ringkernel_backends::fork::{forked, watched_process};
use ringkernel_backends::kernel::{DeviceError, FaultSite, KernelDescriptor, native_site};
use ringkernel_backends::payload::ArenaFull;
use std::fmt;
use std::time::Duration;

/// Everything the runtime reports.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RingKernelError {
    /// No actor was compiled into this program under that id.
    #[error("there is no kernel `{id}` in this program; {}", known_kernels(known))]
    UnknownKernel {
        /// The id that was asked for.
        id: String,
        /// The ids there are, sorted.
        known: Vec<&'static str>,
    },
    /// Two actors of the program share an id. (Since edition 2024 the examples of a crate's documentation are one program, unless
    /// marked `standalone_crate`.)
    #[error(
        "`{first}` and `{second}` both have the id `{id}`; give one of them another: #[ring_kernel(id = \"…\")]"
    )]
    DuplicateId {
        /// The id.
        id: &'static str,
        /// One of the two structs.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// The actor has no `Default`, and the launch options give no state.
    #[error(
        "`{actor}` has no `Default`, so its first state must be given: LaunchOptions::default().initial_state({actor} {{ … }})"
    )]
    NoInitialState {
        /// The actor.
        actor: &'static str,
    },
    /// A state of another type was given for, or asked of, a kernel.
    #[error("the state of kernel `{id}` is a `{actor}`, not a `{given}`")]
    WrongStateType {
        /// The kernel.
        id: &'static str,
        /// What its state is.
        actor: &'static str,
        /// What it was taken for.
        given: &'static str,
    },
    /// Not as many states as instances were given.
    #[error("kernel `{id}` has {instances} instances, and {} given", match given {
        Some(1) => "1 state was".to_owned(),
        Some(given) => format!("{given} states were"),
        None => "more states were".to_owned(),
    })]
    StateCount {
        /// The kernel.
        id: &'static str,
        /// How many instances it has.
        instances: u32,
        /// How many states were given; `None`: more than instances.
        given: Option<u32>,
    },
    /// A state image that cannot be read, or that is of another actor.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Launch options that no device can honour.
    #[error("cannot launch `{id}`: {reason}")]
    InvalidOptions {
        /// The kernel.
        id: &'static str,
        /// Which option, and what would do.
        reason: String,
    },
    /// The lifecycle has no such step.
    #[error(
        "cannot {action} kernel `{id}`: it is {from}, and only a kernel that is {} can become {} that way",
        one_of(action.allowed_from()),
        action.target()
    )]
    InvalidTransition {
        /// The kernel.
        id: &'static str,
        /// What was asked.
        action: Transition,
        /// The state it is in.
        from: KernelState,
        /// The state it would have been brought to.
        to: KernelState,
    },
    /// The kernel is terminated; what it had not answered by then stays unanswered.
    #[error("kernel `{id}` is terminated; launch it again to send it more")]
    Terminated {
        /// The kernel.
        id: &'static str,
    },
    /// The kernel was to end once what waited was answered, and that took too long (or somebody was in a hurry).
    #[error(
        "kernel `{id}` was not drained within {deadline:?} and is terminated: at least {left} of its requests {} not answered",
        if *.left == 1 { "was" } else { "were" }
    )]
    NotDrained {
        /// The kernel.
        id: &'static str,
        /// How many were left.
        left: u64,
        /// How long it was given.
        deadline: Duration,
    },
    /// A message was sent to an actor that has no handler for it.
    #[error("`{actor}` does not handle `{message}`; it handles {}", list(handled))]
    NotHandled {
        /// The actor.
        actor: &'static str,
        /// The message.
        message: &'static str,
        /// What it does handle.
        handled: Vec<&'static str>,
    },
    /// Two kernels cannot be connected: no handler of the one names the other's id.
    #[error("`{from}` has no handler that sends to `{to}`: it sends to {}", list(routes))]
    NoRoute {
        /// The kernel that was to send.
        from: &'static str,
        /// The kernel that was to receive.
        to: &'static str,
        /// The ids that it does send to.
        routes: Vec<&'static str>,
    },
    /// Two kernels are not connected, so they cannot be disconnected.
    #[error(
        "`{from}` is not connected to `{to}`: what its handlers send to that id goes elsewhere, or nowhere"
    )]
    NotConnected {
        /// The kernel that sends.
        from: &'static str,
        /// The kernel that was to receive no more.
        to: &'static str,
    },
    /// A device could not connect two kernels, or part them.
    #[error("`{from}` and `{to}`: {error}")]
    CannotConnect {
        /// The kernel that sends.
        from: &'static str,
        /// The kernel that receives.
        to: &'static str,
        /// What the device said.
        error: DeviceError,
    },
    /// A text is not the name of a topic, or not a filter.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// A message was not published, or a subscription not begun.
    #[error(transparent)]
    PubSub(#[from] PubSubError),
    /// No handler gives out messages of that type.
    #[error(
        "`{actor}` gives out no `{message}`; what its handlers send, publish or give out is {}",
        list(given)
    )]
    NotGivenOut {
        /// The actor.
        actor: &'static str,
        /// The message.
        message: &'static str,
        /// What does leave it.
        given: Vec<&'static str>,
    },
    /// The reply is of another type than the one asked for.
    #[error("the reply is a `{got}`, not a `{expected}`")]
    UnexpectedReply {
        /// The type asked for.
        expected: &'static str,
        /// The type of the reply.
        got: String,
    },
    /// The reply's bytes are not a value of its type. The device or its code is defective.
    #[error("kernel `{id}` answered with bytes that cannot be read: {error}")]
    MalformedReply {
        /// The kernel.
        id: &'static str,
        /// What is wrong with them.
        error: DecodeError,
    },
    /// There is no such instance.
    #[error("kernel `{id}` has no instance {instance}: it was launched with {instances}, numbered from 0")]
    NoSuchInstance {
        /// The kernel.
        id: &'static str,
        /// The one asked for.
        instance: u32,
        /// How many there are.
        instances: u32,
    },
    /// The handler faulted instead of answering.
    #[error(transparent)]
    HandlerFault(#[from] HandlerFault),
    /// No reply came in time.
    #[error("kernel `{id}` did not answer within {after:?}{}", if *.may_have_run {
        "; the request was handed over, and its handler may still run"
    } else {
        "; the request was still waiting for room in the queue and was withdrawn"
    })]
    Timeout {
        /// The kernel.
        id: &'static str,
        /// How long was waited.
        after: Duration,
        /// Whether the handler may run, or have run.
        may_have_run: bool,
    },
    /// Nothing has moved on the shard that the request was sent to: a handler does not return. Other kernels are not affected.
    ///
    /// Whoever waits with a deadline (`ask_timeout`, `receive_timeout`) is told by it, if the shard stood still from the moment
    /// the request was handed over (and for 20 ms at least: shorter deadlines prove nothing), and the kernel goes on. For everybody else the
    /// kernel ends like this after [`LaunchOptions::hung_after`](crate::LaunchOptions::hung_after).
    #[error(
        "kernel `{id}` hangs: for {after:?} nothing has moved on the shard of instance {instance}, so a handler there does not return; the \
         request may have run. Terminate the kernel, which gives its state up, and launch it again"
    )]
    KernelHung {
        /// The kernel.
        id: &'static str,
        /// The instance that was asked, whose shard it is; where none in particular was asked, the shard's first.
        instance: u32,
        /// For how long, at least as far as the caller is concerned.
        after: Duration,
    },
    /// The request queue has no room; `tell` and `ask` would have waited.
    #[error(
        "the queue of kernel `{id}` is full ({capacity} slots): use `tell`, which waits, or LaunchOptions::queue_capacity"
    )]
    QueueFull {
        /// The kernel.
        id: &'static str,
        /// Slots of the queue.
        capacity: u64,
    },
    /// A message of variable size takes more bytes than it may; it was not sent.
    #[error(transparent)]
    PayloadTooLarge(#[from] PayloadTooLarge),
    /// A message is too large for a slot, and its kernel's payload arena has no room for it: ever, or only now, where `try_tell` sent it. It was
    /// not sent.
    #[error("kernel `{id}` has no room for a payload: {error}; {} LaunchOptions::payload_memory", if .error.bytes > .error.most {
        "raise"
    } else {
        "use `tell`, which waits, or"
    })]
    PayloadMemory {
        /// The kernel.
        id: &'static str,
        /// How much was asked for, and how much there is.
        error: ArenaFull,
    },
    /// The backend asked for is not here.
    #[error("the {backend} backend cannot be used: {reason}")]
    BackendUnavailable {
        /// The backend.
        backend: Backend,
        /// What is missing.
        reason: String,
    },
    /// The device is lost.
    #[error("kernel `{id}` lost its device: {reason}{}", if *.may_have_run {
        "; the request was handed over, and its handler may have run"
    } else {
        "; the request was not handed over"
    })]
    DeviceLost {
        /// The kernel.
        id: &'static str,
        /// What the driver said.
        reason: String,
        /// Whether the handler of this request may have run.
        may_have_run: bool,
    },
    /// The device could not do what it was asked.
    #[error("kernel `{id}`: {error}")]
    Device {
        /// The kernel.
        id: &'static str,
        /// What the device said.
        error: DeviceError,
    },
    /// This process is a fork of the one that built the runtime. What runs kernels and looks for replies did not come along.
    #[error(
        "process {process} is a fork of process {built_in}, which had built a runtime: devices and threads do not come along; start a program \
         of its own (std::process::Command), or fork before the first runtime is built"
    )]
    Forked {
        /// The process that built a runtime.
        built_in: u32,
        /// This one.
        process: u32,
    },
    /// The runtime was shut down.
    #[error("this runtime is shut down; build another to launch `{id}`")]
    Shutdown {
        /// The kernel that was to be launched.
        id: &'static str,
    },
}

impl RingKernelError {
    /// An error in a fork of a process that had built a runtime.
    #[inline]
    pub(crate) fn check_process() -> Result<(), Self> {
        if forked() { Err(Self::forked()) } else { Ok(()) }
    }

    #[cold]
    fn forked() -> Self {
        Self::Forked { built_in: watched_process(), process: std::process::id() }
    }

    /// What a device said about kernel `id`, in the runtime's terms.
    pub(crate) fn from_device(id: &'static str, error: DeviceError) -> Self {
        match error {
            DeviceError::Terminated => Self::Terminated { id },
            DeviceError::NoSuchInstance { instance, instances } => {
                Self::NoSuchInstance { id, instance, instances }
            }
            DeviceError::Lost { reason } => Self::DeviceLost { id, reason, may_have_run: false },
            error => Self::Device { id, error },
        }
    }
}

/// A handler ended in a fault instead of an answer. What it had written to its state before stays written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerFault {
    /// What happened.
    pub kind: FaultKind,
    /// The source file, as the compiler knows it; empty when the fault has no place in the source.
    pub file: &'static str,
    /// The line, from 1; 0 when there is no place.
    pub line: u32,
    /// The column, from 1; 0 when there is no place.
    pub column: u32,
    /// The actor.
    pub actor: &'static str,
    /// The instance that was handling the message.
    pub instance: u32,
    /// The text of the `panic!` or `assert!`, empty for other kinds.
    pub message: &'static str,
}

impl HandlerFault {
    /// Looks the words of a fault reply up in the actor's table, or in the table of native panics.
    pub(crate) fn from_words(
        descriptor: &'static KernelDescriptor,
        instance: u32,
        kind: FaultKind,
        site: u32,
    ) -> Self {
        let site = match FaultSite::from_word(site) {
            FaultSite::Index(index) => descriptor.sites.get(index as usize).copied(),
            FaultSite::Native(index) => native_site(index),
            FaultSite::None => None,
        };
        let actor = descriptor.actor;
        match site {
            Some(site) => {
                let (file, line, column, message) = (site.file, site.line, site.column, site.message);
                Self { kind, file, line, column, actor, instance, message }
            }
            None => Self { kind, file: "", line: 0, column: 0, actor, instance, message: "" },
        }
    }
}

impl fmt::Display for HandlerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` (instance {}) faulted: {}", self.actor, self.instance, self.kind)?;
        if !self.file.is_empty() {
            write!(f, " at {}:{}:{}", self.file, self.line, self.column)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for HandlerFault {}

/// `try_tell` did not send; here is the message back.
#[derive(Clone, PartialEq)]
pub struct TrySendError<M> {
    /// The message.
    pub message: M,
    /// Why: [`RingKernelError::QueueFull`], or what any send can fail with.
    pub reason: RingKernelError,
}

// By hand, so that no message need be `Debug`.
impl<M> fmt::Debug for TrySendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrySendError").field("reason", &self.reason).finish_non_exhaustive()
    }
}

impl<M> fmt::Display for TrySendError<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl<M> std::error::Error for TrySendError<M> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.reason)
    }
}

impl<M> From<TrySendError<M>> for RingKernelError {
    fn from(error: TrySendError<M>) -> Self {
        error.reason
    }
}

fn known_kernels(known: &[&str]) -> String {
    if known.is_empty() {
        return "there are none: is the crate that holds the `#[ring_kernel]` actors linked in?".to_owned();
    }
    format!("there are {}", list(known))
}

fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() { "nothing".to_owned() } else { quoted.join(", ") }
}

fn one_of(states: &[KernelState]) -> String {
    let names: Vec<String> = states.iter().map(KernelState::to_string).collect();
    names.join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Actor;
    use crate::testing::Account;

    #[test]
    fn each_error_says_what_and_what_to_do() {
        use RingKernelError::*;
        let id = "account";
        let cases: Vec<(RingKernelError, &str)> = vec![
            (
                UnknownKernel { id: "acount".into(), known: vec!["account", "audit"] },
                "there is no kernel `acount` in this program; there are `account`, `audit`",
            ),
            (
                UnknownKernel { id: "x".into(), known: vec![] },
                "there is no kernel `x` in this program; there are none: is the crate that holds the `#[ring_kernel]` actors linked in?",
            ),
            (
                DuplicateId { id, first: "Account", second: "Ledger" },
                "`Account` and `Ledger` both have the id `account`; give one of them another: #[ring_kernel(id = \"…\")]",
            ),
            (
                NoInitialState { actor: "Account" },
                "`Account` has no `Default`, so its first state must be given: LaunchOptions::default().initial_state(Account { … })",
            ),
            (
                WrongStateType { id, actor: "Account", given: "Ledger" },
                "the state of kernel `account` is a `Account`, not a `Ledger`",
            ),
            (
                InvalidTransition {
                    id,
                    action: Transition::Resume,
                    from: KernelState::Launched,
                    to: KernelState::Active,
                },
                "cannot resume kernel `account`: it is launched, and only a kernel that is deactivated can become active that way",
            ),
            (Terminated { id }, "kernel `account` is terminated; launch it again to send it more"),
            (
                NotHandled { actor: "Account", message: "Ping", handled: vec!["Deposit", "()"] },
                "`Account` does not handle `Ping`; it handles `Deposit`, `()`",
            ),
            (
                UnexpectedReply { expected: "u32", got: "Balance".into() },
                "the reply is a `Balance`, not a `u32`",
            ),
            (
                NoSuchInstance { id, instance: 4, instances: 4 },
                "kernel `account` has no instance 4: it was launched with 4, numbered from 0",
            ),
            (
                KernelHung { id, instance: 3, after: Duration::from_secs(2) },
                "kernel `account` hangs: for 2s nothing has moved on the shard of instance 3, so a handler there does not return; the \
                 request may have run. Terminate the kernel, which gives its state up, and launch it again",
            ),
            (
                Timeout { id, after: Duration::from_millis(5), may_have_run: false },
                "kernel `account` did not answer within 5ms; the request was still waiting for room in the queue and was withdrawn",
            ),
            (
                QueueFull { id, capacity: 8 },
                "the queue of kernel `account` is full (8 slots): use `tell`, which waits, or LaunchOptions::queue_capacity",
            ),
            (
                DeviceLost { id, reason: "unplugged".into(), may_have_run: true },
                "kernel `account` lost its device: unplugged; the request was handed over, and its handler may have run",
            ),
            (Shutdown { id }, "this runtime is shut down; build another to launch `account`"),
            (
                NoRoute { from: id, to: "audit", routes: vec!["ledger", "vault"] },
                "`account` has no handler that sends to `audit`: it sends to `ledger`, `vault`",
            ),
            (
                NoRoute { from: id, to: "audit", routes: vec![] },
                "`account` has no handler that sends to `audit`: it sends to nothing",
            ),
            (
                NotConnected { from: id, to: "audit" },
                "`account` is not connected to `audit`: what its handlers send to that id goes elsewhere, or nowhere",
            ),
            (
                CannotConnect {
                    from: id,
                    to: "audit",
                    error: DeviceError::NotConnected { reason: "because" },
                },
                "`account` and `audit`: these kernels cannot be connected on the device: because",
            ),
        ];
        for (error, text) in cases {
            assert_eq!(error.to_string(), text);
        }
    }

    #[test]
    fn a_fault_names_its_place_from_the_actors_table_or_from_the_native_panic() {
        let fault = |site| HandlerFault::from_words(Account::DESCRIPTOR, 3, FaultKind::Panic, site);
        assert_eq!(
            fault(0).to_string(),
            "`Account` (instance 3) faulted: panic at src/account.rs:12:9: from the table"
        );
        let native = FaultSite::Native(ringkernel_backends::kernel::intern_site("a.rs", 1, 2, "boom"));
        assert_eq!(
            fault(native.to_word()).to_string(),
            "`Account` (instance 3) faulted: panic at a.rs:1:2: boom"
        );
        // No place, and places that no table has.
        for word in [u32::MAX, 1, u32::MAX - 1] {
            assert_eq!(fault(word).to_string(), "`Account` (instance 3) faulted: panic");
        }
    }

    #[test]
    fn what_a_device_says_is_put_in_the_runtimes_terms() {
        let from = |error| RingKernelError::from_device("account", error);
        assert_eq!(from(DeviceError::Terminated), RingKernelError::Terminated { id: "account" });
        assert_eq!(
            from(DeviceError::NoSuchInstance { instance: 9, instances: 2 }),
            RingKernelError::NoSuchInstance { id: "account", instance: 9, instances: 2 }
        );
        assert_eq!(
            from(DeviceError::OutOfMemory { bytes: 7, what: "instances".into() }).to_string(),
            "kernel `account`: out of memory: 7 bytes for instances"
        );
        assert!(matches!(from(DeviceError::Lost { reason: "x".into() }), RingKernelError::DeviceLost { .. }));
    }

    #[test]
    fn a_refused_message_comes_back_with_the_reason_and_needs_no_debug() {
        struct Opaque;
        let refused = TrySendError {
            message: Opaque,
            reason: RingKernelError::QueueFull { id: "account", capacity: 2 },
        };
        assert!(refused.to_string().contains("is full (2 slots)"));
        assert!(format!("{refused:?}").contains("QueueFull"));
        assert!(matches!(RingKernelError::from(refused), RingKernelError::QueueFull { .. }));
    }

    #[test]
    fn errors_stay_small_enough_to_return() {
        assert!(size_of::<RingKernelError>() <= 128, "{}", size_of::<RingKernelError>());
    }
}
