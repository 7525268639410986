//! [`RingKernel`]: a device, and the kernels launched on it.

use crate::__private::Registration;
use crate::actor::ActorRef;
use crate::bridge::{Bridge, BridgePolicy};
use crate::handle::KernelHandle;
use crate::live::{Launch, LiveKernel, Registry};
use crate::mesh::wiring;
use crate::options::{LaunchOptions, same_actor};
use crate::park::block_on;
use crate::pubsub::Topics;
use crate::{Actor, Backend, BackendReport, RingKernelError, backend};
use futures::future::join_all;
use ringkernel_backends::kernel::{Device, DeviceError, HandlerInfo, KernelDescriptor};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A device and the kernels launched on it. Clones are the same runtime; when the last goes, its kernels are terminated.
///
/// ```
/// use ringkernel::prelude::*;
///
/// # smol::block_on(async {
/// let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
/// println!("{}", runtime.backend_report()); // using CPU: 8 threads
/// for kernel in runtime.list_kernels() {
///     println!("{} ({}): {} handlers", kernel.id, kernel.actor, kernel.handlers.len());
/// }
/// let error = runtime.launch("nobody", LaunchOptions::default()).await.unwrap_err();
/// assert!(error.to_string().starts_with("there is no kernel `nobody` in this program"));
/// runtime.shutdown().await
/// # })?;
/// # Ok::<(), RingKernelError>(())
/// ```
#[derive(Clone)]
pub struct RingKernel {
    inner: Arc<Inner>,
}

struct Inner {
    device: Arc<dyn Device>,
    report: BackendReport,
    catalogue: Vec<&'static KernelDescriptor>,
    settings: Settings,
    registry: Arc<Registry>,
    bridge: Mutex<Option<Arc<Bridge>>>,
}

/// How to build a runtime.
#[derive(Clone, Debug)]
#[must_use = "call `build().await`"]
pub struct RingKernelBuilder {
    backend: Backend,
    device: usize,
    settings: Settings,
}

/// What holds for all kernels of a runtime.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// How long terminating may take.
    pub(crate) deadline: Duration,
    pub(crate) bridge: BridgePolicy,
}

impl Default for Settings {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10), bridge: BridgePolicy::default() }
    }
}

impl RingKernelBuilder {
    /// Which backend; [`Backend::Auto`] unless told.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = backend;
        self
    }

    /// Which of the backend's devices, counted from 0; the first unless told. CUDA counts as the driver does.
    pub fn device(mut self, device: usize) -> Self {
        self.device = device;
        self
    }

    /// How long terminating a kernel may take, 10 seconds unless told. A handler that does not end by then is given up on.
    pub fn terminate_deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// How eagerly to look for replies where the device does not tell of them; [`BridgePolicy::Adaptive`] unless told.
    ///
    /// ```
    /// use ringkernel::{BridgePolicy, RingKernel};
    ///
    /// let builder = RingKernel::builder().bridge(BridgePolicy::Park);
    /// # let _ = builder;
    /// ```
    pub fn bridge(mut self, policy: BridgePolicy) -> Self {
        self.settings.bridge = policy;
        self
    }

    /// Opens the device.
    ///
    /// # Errors
    /// [`BackendUnavailable`](RingKernelError::BackendUnavailable) says what is missing.
    /// [`DuplicateId`](RingKernelError::DuplicateId) when two actors of the program share an id.
    /// [`Forked`](RingKernelError::Forked) in a fork of a process that had built a runtime.
    pub async fn build(self) -> Result<RingKernel, RingKernelError> {
        RingKernelError::check_process()?;
        ringkernel_backends::fork::watch();
        let catalogue = catalogue(inventory::iter::<Registration>().map(|registration| registration.0))?;
        let kernels = catalogue.clone();
        let (device, report) =
            blocking::unblock(move || backend::open(self.backend, self.device, &kernels)).await?;
        Ok(RingKernel::on(device, report, catalogue, self.settings))
    }
}

/// The program's actors, sorted by id.
pub(crate) fn catalogue(
    registered: impl Iterator<Item = &'static KernelDescriptor>,
) -> Result<Vec<&'static KernelDescriptor>, RingKernelError> {
    let mut catalogue: Vec<_> = registered.collect();
    catalogue.sort_by_key(|descriptor| (descriptor.id, descriptor.actor));
    // A linker may bring one registration in twice.
    catalogue.dedup_by(|a, b| std::ptr::eq(*a, *b));
    match catalogue.windows(2).find(|pair| pair[0].id == pair[1].id) {
        Some(pair) => {
            let (first, second) = (pair[0].actor, pair[1].actor);
            Err(RingKernelError::DuplicateId { id: pair[0].id, first, second })
        }
        None => Ok(catalogue),
    }
}

/// An actor that this program can launch by its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KernelInfo {
    /// `#[ring_kernel(id = "…")]`.
    pub id: &'static str,
    /// The struct.
    pub actor: &'static str,
    /// Bytes of an instance's state.
    pub state_size: u32,
    /// What it handles.
    pub handlers: &'static [HandlerInfo],
}

impl RingKernel {
    /// Begins building a runtime.
    pub fn builder() -> RingKernelBuilder {
        RingKernelBuilder { backend: Backend::Auto, device: 0, settings: Settings::default() }
    }

    pub(crate) fn on(
        device: Arc<dyn Device>,
        report: BackendReport,
        catalogue: Vec<&'static KernelDescriptor>,
        settings: Settings,
    ) -> Self {
        let (registry, bridge) = (Arc::default(), Mutex::default());
        Self { inner: Arc::new(Inner { device, report, catalogue, settings, registry, bridge }) }
    }

    /// The backend in use; never [`Backend::Auto`].
    pub fn backend(&self) -> Backend {
        self.inner.report.chosen.as_ref().map_or(Backend::Auto, |(backend, _)| *backend)
    }

    /// Why that one, and why none of those before it.
    pub fn backend_report(&self) -> &BackendReport {
        &self.inner.report
    }

    /// What the device calls itself.
    pub fn device_name(&self) -> String {
        self.inner.device.name()
    }

    /// The actors that can be launched by id, sorted by id: those of every crate that is linked into the program.
    pub fn list_kernels(&self) -> Vec<KernelInfo> {
        let info = |d: &&'static KernelDescriptor| KernelInfo {
            id: d.id,
            actor: d.actor,
            state_size: d.state_size,
            handlers: d.handlers,
        };
        self.inner.catalogue.iter().map(info).collect()
    }

    /// Launches an actor by its id. Where its type is known, `Account::launch(&runtime, options)` gives a typed proxy.
    ///
    /// # Errors
    /// [`UnknownKernel`](RingKernelError::UnknownKernel) lists the ids there are;
    /// [`InvalidOptions`](RingKernelError::InvalidOptions), [`NoInitialState`](RingKernelError::NoInitialState),
    /// [`WrongStateType`](RingKernelError::WrongStateType), [`Shutdown`](RingKernelError::Shutdown), or
    /// [`Device`](RingKernelError::Device) with what the device lacks.
    pub async fn launch(&self, id: &str, options: LaunchOptions) -> Result<KernelHandle, RingKernelError> {
        match self.inner.catalogue.iter().find(|descriptor| descriptor.id == id) {
            Some(descriptor) => self.launch_descriptor(descriptor, options).await,
            None => {
                let known = self.inner.catalogue.iter().map(|descriptor| descriptor.id).collect();
                Err(RingKernelError::UnknownKernel { id: id.to_owned(), known })
            }
        }
    }

    async fn launch_descriptor(
        &self,
        descriptor: &'static KernelDescriptor,
        options: LaunchOptions,
    ) -> Result<KernelHandle, RingKernelError> {
        RingKernelError::check_process()?;
        let active = options.auto_activates();
        let options = options.check(descriptor)?;
        let launch = Launch { descriptor, active, options, deadline: self.inner.settings.deadline };
        let inner = self.inner.clone();
        // A launch whose future is dropped is finished, and what it launched is terminated with its handle.
        blocking::unblock(move || inner.launch(launch)).await
    }

    /// Where handlers and the host publish, and subscribe.
    pub fn topics(&self) -> Topics {
        Topics::of(&self.inner.registry)
    }

    /// Terminates every kernel and refuses further launches. Idempotent.
    ///
    /// # Errors
    /// The first kernel that could not be terminated in time; the others are terminated all the same.
    pub async fn shutdown(&self) -> Result<(), RingKernelError> {
        RingKernelError::check_process()?;
        self.inner.shutdown().await
    }
}

impl fmt::Debug for RingKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingKernel").field("chosen", &self.inner.report.chosen).finish_non_exhaustive()
    }
}

impl Inner {
    fn launch(&self, launch: Launch) -> Result<KernelHandle, RingKernelError> {
        let id = launch.descriptor.id;
        if self.registry.lock().shut {
            return Err(RingKernelError::Shutdown { id });
        }
        if let Some(image) = &launch.options.image {
            image.check_states(launch.descriptor)?;
        }
        let live = LiveKernel::launch(&*self.device, launch, &self.registry, || self.bridge())?;
        // Before anybody can end it: see `wiring::join`. And before anybody sends it something, who has subscribed to what it publishes.
        if let Err(error) = self.registry.topics.kernel_launched(&live).and_then(|()| wiring::join(&live)) {
            // What ending it may have to say is not why it was launched.
            let _ = live.terminate(Default::default());
            return Err(error);
        }
        let mut kernels = self.registry.lock();
        if kernels.shut {
            drop(kernels);
            live.terminate(Default::default())?;
            return Err(RingKernelError::Shutdown { id });
        }
        kernels.live.push(live.clone());
        Ok(KernelHandle::new(live))
    }

    /// The polling bridge, started when a device needs it.
    fn bridge(&self) -> Result<Arc<Bridge>, DeviceError> {
        let mut bridge = self.bridge.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bridge) = &*bridge {
            return Ok(bridge.clone());
        }
        let started = Bridge::start(self.settings.bridge).map_err(|error| DeviceError::Driver {
            call: "starting the bridge thread",
            reason: error.to_string(),
        })?;
        *bridge = Some(started.clone());
        Ok(started)
    }

    async fn shutdown(&self) -> Result<(), RingKernelError> {
        let kernels = {
            let mut kernels = self.registry.lock();
            kernels.shut = true;
            kernels.live.clone()
        };
        let terminate = |live: Arc<LiveKernel>| {
            blocking::unblock(move || match live.terminate(Default::default()) {
                // Somebody else got there first, and it is done.
                Err(RingKernelError::InvalidTransition { .. }) => Ok(()),
                result => result,
            })
        };
        // At once: each may have to wait for a handler to end.
        let results = join_all(kernels.into_iter().map(terminate)).await;
        if let Some(bridge) = self.bridge.lock().unwrap_or_else(PoisonError::into_inner).take() {
            bridge.stop();
        }
        self.registry.topics.close();
        results.into_iter().collect()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if RingKernelError::check_process().is_err() {
            // Nothing of it may be touched in a fork, not even to be given back.
            std::mem::forget((self.device.clone(), self.registry.clone()));
            return;
        }
        // Blocks until the kernels have ended, or were given up on: a process that exits beside a running kernel, or drops a
        // device under one, is worse than a drop that takes a moment. `shutdown().await` waits without blocking.
        // The result was to be asked for there.
        let _ = block_on(self.shutdown());
    }
}

/// Launches an actor by its type.
///
/// # Errors
/// As [`RingKernel::launch`], except for the id.
pub async fn launch<A: Actor>(
    runtime: &RingKernel,
    options: LaunchOptions,
) -> Result<ActorRef<A>, RingKernelError> {
    let registered = runtime.inner.catalogue.iter().find(|descriptor| same_actor(descriptor, A::DESCRIPTOR));
    // Devices know actors by the address of their descriptor; the registered one is what they have loaded.
    let descriptor = registered.copied().unwrap_or(A::DESCRIPTOR);
    Ok(ActorRef::new(runtime.launch_descriptor(descriptor, options).await?))
}
