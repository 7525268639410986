//! A kernel while it is launched: the request path, and what ends it.
//!
//! A request takes an entry of the slab ([`pending`](crate::pending)), goes into the ring of its instance's shard
//! ([`lane`](crate::lane)), and its reply comes back to that entry through whoever drains. Handles and proxies are thin
//! layers over [`LiveKernel`]; the runtime's registry keeps it until it is terminated.

use crate::RingKernelError;
use crate::arena::Arena;
use crate::bridge::Bridge;
use crate::flight::Flights;
use crate::hung::Watchdog;
use crate::inbox::Inbox;
use crate::lane::Lane;
use crate::lifecycle::{KernelState, Lifecycle, Transition};
use crate::mesh::{self, Backlog, Outlets, Place, Relays};
use crate::options::Checked;
use crate::pending::Slab;
use crate::pubsub::Broker;
use crate::ticket::Patience;
use ringkernel_backends::abi::SlotShape;
use ringkernel_backends::fork::forked;
use ringkernel_backends::kernel::{Device, DeviceError, Kernel, KernelDescriptor, LaunchSpec, Progress};
use ringkernel_backends::mesh::{MeshSpec, Overflow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::Waker;
use std::time::Duration;

/// The kernels of a runtime that are not terminated.
#[derive(Default)]
pub(crate) struct Registry {
    pub(crate) kernels: Mutex<Kernels>,
    pub(crate) topics: Arc<Broker>,
}

#[derive(Default)]
pub(crate) struct Kernels {
    pub(crate) live: Vec<Arc<LiveKernel>>,
    pub(crate) shut: bool,
}

impl Registry {
    pub(crate) fn lock(&self) -> std::sync::MutexGuard<'_, Kernels> {
        self.kernels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What to launch, options checked.
pub(crate) struct Launch {
    pub(crate) descriptor: &'static KernelDescriptor,
    pub(crate) active: bool,
    pub(crate) options: Checked,
    /// How long terminating may take.
    pub(crate) deadline: Duration,
}

/// Why a kernel takes no more requests.
pub(crate) enum Ended {
    Terminated,
    Lost(String),
    /// By the shard of this instance, which stood still that long.
    Hung {
        instance: u32,
        after: Duration,
    },
}

pub(crate) struct LiveKernel {
    pub(crate) descriptor: &'static KernelDescriptor,
    pub(crate) place: Place,
    pub(crate) instances: u32,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) slab: Slab,
    pub(crate) flights: Flights,
    pub(crate) inbox: Inbox,
    /// What becomes of messages that find its mailbox full.
    pub(crate) overflow: Overflow,
    pub(crate) outlets: Outlets,
    pub(crate) topics: Arc<Broker>,
    /// Messages from other kernels that wait for room in this one.
    pub(crate) backlog: Backlog,
    /// What this one sends by way of the host.
    pub(crate) relays: Relays,
    pub(crate) kernel: Arc<dyn Kernel>,
    pub(crate) lanes: Box<[Lane]>,
    /// Where payloads wait that no slot carries, if it has such memory.
    pub(crate) arena: Option<Arc<Arena>>,
    ended: OnceLock<Ended>,
    /// Why the device did not come to an end when told to, if it did not.
    pub(crate) given_up: OnceLock<RingKernelError>,
    pub(crate) registry: Weak<Registry>,
    /// How long terminating may take.
    pub(crate) deadline: Duration,
    /// Somebody wants the kernel to end without draining.
    pub(crate) hurry: AtomicBool,
    pub(crate) watchdog: Watchdog,
    /// How often the kernel was activated after it was launched.
    pub(crate) activations: AtomicU64,
    pub(crate) patience: Patience,
    /// Where the device does not tell of replies.
    pub(crate) bridge: Option<Arc<Bridge>>,
    /// Watched requests and waiting senders.
    pub(crate) work: AtomicUsize,
    /// Whether replies can come; for the bridge.
    pub(crate) active: AtomicBool,
}

/// What the device's threads call; the kernel is made before we are.
struct Hook(OnceLock<Weak<LiveKernel>>);

impl Progress for Hook {
    fn progress(&self) {
        if let Some(live) = self.0.get().and_then(Weak::upgrade) {
            live.progress();
        }
    }
}

impl LiveKernel {
    /// Launches, and waits for the device to say that it has.
    pub(crate) fn launch(
        device: &dyn Device,
        launch: Launch,
        registry: &Arc<Registry>,
        bridge: impl FnOnce() -> Result<Arc<Bridge>, DeviceError>,
    ) -> Result<Arc<Self>, RingKernelError> {
        let Launch { descriptor, active, options, deadline } = launch;
        let Checked { instances, queue_capacity, mesh, initial, idle, tuning, hung_after, image: _ } =
            options;
        let device_error = |error| RingKernelError::from_device(descriptor.id, error);
        let place = Place::new(mesh::number_for(descriptor.id)?, &descriptor.mesh);
        let mesh = MeshSpec { number: place.number.get(), ..mesh };
        let hook = Arc::new(Hook(OnceLock::new()));
        let progress = hook.clone();
        let spec = LaunchSpec {
            descriptor,
            instances,
            queue_capacity,
            active,
            initial,
            idle,
            tuning,
            mesh,
            progress,
        };
        let kernel = device.launch(spec).map_err(device_error)?;
        let bridge = if kernel.must_be_polled() { Some(bridge().map_err(device_error)?) } else { None };
        // Slots of replies may be larger, for what is sent beside them.
        let shape = SlotShape::for_payload(descriptor.reply_size() as usize);
        let reply_words = shape.map_or(0, SlotShape::payload_words);
        let live = Arc::new(Self {
            descriptor,
            place,
            instances,
            lifecycle: Lifecycle::new(if active { KernelState::Active } else { KernelState::Launched }),
            slab: Slab::new(reply_words),
            flights: Flights::new((descriptor.reply_size() as usize).div_ceil(4)),
            inbox: Inbox::default(),
            overflow: mesh.overflow,
            outlets: Outlets::new(&descriptor.mesh, kernel.ports().len()),
            topics: registry.topics.clone(),
            backlog: Backlog::new(kernel.ports().len()),
            relays: Relays::default(),
            lanes: kernel.ports().iter().map(Lane::new).collect(),
            arena: Arena::of(&*kernel),
            kernel,
            ended: OnceLock::new(),
            given_up: OnceLock::new(),
            registry: Arc::downgrade(registry),
            deadline,
            hurry: AtomicBool::new(false),
            watchdog: Watchdog::new(hung_after),
            activations: AtomicU64::new(0),
            patience: Patience::new(),
            bridge,
            work: AtomicUsize::new(0),
            active: AtomicBool::new(active),
        });
        // Nothing was sent yet, so no progress was missed.
        let _ = hook.0.set(Arc::downgrade(&live));
        live.place.number.announce(&live);
        if let Some(bridge) = &live.bridge {
            bridge.add(&live);
        }
        live.watch_over();
        Ok(live)
    }

    /// Whether replies appear without a word, so that whoever waits does well to look.
    pub(crate) fn is_polled(&self) -> bool {
        self.bridge.is_some()
    }

    pub(crate) fn id(&self) -> &'static str {
        self.descriptor.id
    }

    pub(crate) fn kernel(&self) -> &dyn Kernel {
        &*self.kernel
    }

    // Lifecycle.

    /// Takes a step other than the last ([`terminate`](Self::terminate)), and waits for the device to have taken it.
    pub(crate) fn step(&self, action: Transition) -> Result<(), RingKernelError> {
        let turn = self.lifecycle.turn(None);
        let (id, from, to) = (self.id(), turn.state(), action.target());
        if !action.allowed_from().contains(&from) {
            return Err(RingKernelError::InvalidTransition { id, action, from, to });
        }
        self.set_active(to == KernelState::Active)?;
        turn.set(to);
        Ok(())
    }

    pub(crate) fn set_active(&self, active: bool) -> Result<(), RingKernelError> {
        let result = self.kernel.set_active(active);
        if result.is_ok() {
            if !active {
                self.drain_all();
            }
            // Release pairs with the acquire in `may_answer`; a bridge that read the old value finds the token.
            self.active.store(active, Ordering::Release);
            // Relaxed: see `pulse`.
            self.activations.fetch_add(active.into(), Ordering::Relaxed);
            if let Some(bridge) = self.bridge.as_ref().filter(|_| active) {
                bridge.wake();
            }
        } else {
            // A handler that does not end, or a device that does not answer: what the state says of the processing of messages stays
            // true, also when the device answers after all.
            let _ = self.kernel.set_active(!active);
        }
        self.check_device();
        result.map_err(|error| RingKernelError::from_device(self.id(), error))
    }

    // The end.

    /// Notices a lost device: why, where it is lost to all of its kernels.
    pub(crate) fn check_device(&self) -> Option<String> {
        match self.kernel.failure()? {
            DeviceError::Lost { reason } => {
                self.device_is_lost(reason.clone());
                Some(reason)
            }
            DeviceError::Terminated => None,
            other => {
                self.end(Ended::Lost(other.to_string()));
                None
            }
        }
    }

    /// Somebody noticed that the device is lost.
    pub(crate) fn device_is_lost(&self, reason: String) {
        self.end(Ended::Lost(reason));
    }

    /// Tells everybody who waits that there is nothing to wait for.
    pub(crate) fn end(&self, why: Ended) {
        let by_itself = !matches!(why, Ended::Terminated);
        if self.ended.set(why).is_err() {
            return;
        }
        if by_itself && !forked() {
            // Nobody is to wait for the devices of others here.
            mesh::wiring::cut_later(self.number());
            self.topics.kernel_ended(self.number());
        }
        self.slab.close().into_iter().chain(self.flights.close()).for_each(wake);
        for lane in &self.lanes {
            lane.room.call(|_| true);
        }
        self.arena.iter().for_each(|arena| arena.end());
        self.inbox.arrived().notify(usize::MAX);
        self.outlets.end();
        self.close_backlog();
    }

    /// Why the kernel takes no more requests, for a request that was handed over or was not.
    pub(crate) fn ended_error(&self, may_have_run: bool) -> RingKernelError {
        if let Err(forked) = RingKernelError::check_process() {
            return forked;
        }
        let id = self.id();
        match self.ended.get() {
            Some(Ended::Lost(reason)) => {
                RingKernelError::DeviceLost { id, reason: reason.clone(), may_have_run }
            }
            Some(&Ended::Hung { instance, after }) => RingKernelError::KernelHung { id, instance, after },
            Some(Ended::Terminated) | None => RingKernelError::Terminated { id },
        }
    }

    /// Whether no reply will come any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.get().is_some() || forked()
    }
}

impl Drop for LiveKernel {
    fn drop(&mut self) {
        if self.lifecycle.state() != KernelState::Terminated {
            // Only a launch that was given up before it was registered comes here; dropping the kernel ends it.
            self.end(Ended::Terminated);
        }
    }
}

/// Wakes a task. Its panics are its own, and must not keep others from being woken.
pub(crate) fn wake(waker: Waker) {
    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
}
