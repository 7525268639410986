//! Reading and replacing what the instances of a kernel hold: one, all, or as an image.
//!
//! The kernel is brought to rest for it: messages wait meanwhile, and none is lost. States cross in bulk; a million instances are
//! a few calls of the driver.

use crate::image::StateImage;
use crate::lifecycle::KernelState;
use crate::live::LiveKernel;
use crate::options::same_actor;
use crate::{Actor, KernelHandle, RingKernelError};
use ringkernel_backends::kernel::{DeviceError, Kernel};

impl LiveKernel {
    /// Runs `copy` while no handler runs.
    fn at_rest<T>(
        &self,
        copy: impl FnOnce(&dyn Kernel, KernelState) -> Result<T, RingKernelError>,
    ) -> Result<T, RingKernelError> {
        let turn = self.lifecycle.turn(None);
        let state = turn.state();
        if state == KernelState::Active {
            self.set_active(false)?;
        }
        let copied = copy(self.kernel(), state);
        if state == KernelState::Active {
            self.set_active(true).inspect_err(|_| turn.set(KernelState::Deactivated))?;
        }
        copied
    }

    fn read_states(&self, first: u32, count: u32) -> Result<Vec<u8>, RingKernelError> {
        let device_error = |error| RingKernelError::from_device(self.id(), error);
        let mut bytes = buffer(count, self.descriptor.state_size).map_err(device_error)?;
        self.at_rest(|kernel, state| {
            // A handler that was given up on may still be writing.
            if let (KernelState::Terminated, Some(error)) = (state, self.given_up.get()) {
                return Err(error.clone());
            }
            kernel.read_states(first, count, &mut bytes).map_err(device_error)
        })?;
        Ok(bytes)
    }

    fn write_states(&self, first: u32, count: u32, bytes: &[u8]) -> Result<(), RingKernelError> {
        let id = self.id();
        self.at_rest(|kernel, state| match state {
            KernelState::Terminated => Err(self.ended_error(false)),
            _ => kernel
                .write_states(first, count, bytes)
                .map_err(|error| RingKernelError::from_device(id, error)),
        })
    }
}

/// Zeros for `count` states.
fn buffer(count: u32, size: u32) -> Result<Vec<u8>, DeviceError> {
    let wanted = u64::from(count) * u64::from(size);
    let mut bytes = Vec::new();
    match usize::try_from(wanted).map(|length| bytes.try_reserve_exact(length).map(|()| length)) {
        Ok(Ok(length)) => bytes.resize(length, 0),
        _ => return Err(DeviceError::OutOfMemory { bytes: wanted, what: format!("{count} states") }),
    }
    Ok(bytes)
}

/// # State
///
/// An active kernel is paused while its states are copied: messages wait meanwhile, none is lost. Launched and deactivated ones
/// can be asked as well, and a terminated one can be read for as long as a handle to it is there, unless the device was lost or a
/// handler had to be given up on.
impl KernelHandle {
    /// Copies an instance's state out.
    ///
    /// # Errors
    /// [`WrongStateType`](RingKernelError::WrongStateType), [`NoSuchInstance`](RingKernelError::NoSuchInstance), or what
    /// the device reports.
    pub async fn snapshot<S: Actor>(&self, instance: u32) -> Result<S, RingKernelError> {
        self.check_state::<S>()?;
        self.check_instance(instance)?;
        RingKernelError::check_process()?;
        let live = self.live().clone();
        let bytes = blocking::unblock(move || live.read_states(instance, 1)).await?;
        decode(self.id(), &bytes)
    }

    /// Copies the states of all instances out, at one point in time: `snapshot_all()[i]` is instance `i`'s.
    ///
    /// ```
    /// # use ringkernel::prelude::*;
    /// # #[derive(RingMessage, Clone, Copy, Debug)] pub struct Add { pub n: u32 }
    /// # #[ring_kernel(id = "meter")] #[derive(Default, Debug, PartialEq)] pub struct Counter { n: u32 }
    /// # #[ring_kernel] impl Counter {
    /// #     #[handler] fn add(&mut self, _ctx: &mut RingContext, msg: Add) -> u32 { self.n += msg.n; self.n }
    /// # }
    /// # smol::block_on(async {
    /// # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
    /// let counters = Counter::launch(&runtime, LaunchOptions::default().instances(1000)).await?;
    /// let mut states = counters.snapshot_all::<Counter>().await?;
    /// states.iter_mut().zip(0..).for_each(|(counter, i)| counter.n += i);
    /// counters.restore_all(states).await?;
    /// assert_eq!(counters.at(999)?.add(Add { n: 1 }).await?, 1000);
    /// # runtime.shutdown().await
    /// # })?;
    /// # Ok::<(), RingKernelError>(())
    /// ```
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot).
    pub async fn snapshot_all<S: Actor>(&self) -> Result<Vec<S>, RingKernelError> {
        self.check_state::<S>()?;
        RingKernelError::check_process()?;
        let live = self.live().clone();
        blocking::unblock(move || {
            let bytes = live.read_states(0, live.instances)?;
            match S::SIZE as usize {
                0 => (0..live.instances).map(|_| decode(live.id(), &[])).collect(),
                size => bytes.chunks_exact(size).map(|state| decode(live.id(), state)).collect(),
            }
        })
        .await
    }

    /// Replaces an instance's state. Messages that wait find the new one.
    ///
    /// # Errors
    /// As [`snapshot`](Self::snapshot), and [`Terminated`](RingKernelError::Terminated).
    pub async fn restore<S: Actor>(&self, instance: u32, state: S) -> Result<(), RingKernelError> {
        self.check_state::<S>()?;
        self.check_instance(instance)?;
        RingKernelError::check_process()?;
        let live = self.live().clone();
        let mut bytes = vec![0; S::SIZE as usize];
        state.encode(&mut bytes);
        blocking::unblock(move || live.write_states(instance, 1, &bytes)).await
    }

    /// Replaces the states of all instances, at one point in time: the first is instance 0's.
    ///
    /// # Errors
    /// As [`restore`](Self::restore), and [`StateCount`](RingKernelError::StateCount) when there are not as many states as
    /// instances; then none is replaced.
    pub async fn restore_all<S: Actor>(
        &self,
        states: impl IntoIterator<Item = S>,
    ) -> Result<(), RingKernelError> {
        self.check_state::<S>()?;
        RingKernelError::check_process()?;
        let live = self.live().clone();
        let bytes = self.encode_all(states)?;
        blocking::unblock(move || live.write_states(0, live.instances, &bytes)).await
    }

    fn encode_all<S: Actor>(&self, states: impl IntoIterator<Item = S>) -> Result<Vec<u8>, RingKernelError> {
        let (id, instances, size) = (self.id(), self.instances(), S::SIZE as usize);
        let mut bytes =
            buffer(instances, S::SIZE).map_err(|error| RingKernelError::from_device(id, error))?;
        let mut given = 0;
        for state in states {
            if given == instances {
                return Err(RingKernelError::StateCount { id, instances, given: None });
            }
            state.encode(&mut bytes[given as usize * size..][..size]);
            given += 1;
        }
        if given < instances {
            return Err(RingKernelError::StateCount { id, instances, given: Some(given) });
        }
        Ok(bytes)
    }

    /// Takes an image of all instances' states, at one point in time, without knowing the actor's type: to be kept, and to
    /// [launch from](crate::LaunchOptions::from_image).
    ///
    /// # Errors
    /// What the device reports.
    pub async fn image(&self) -> Result<StateImage, RingKernelError> {
        RingKernelError::check_process()?;
        let live = self.live().clone();
        let states = {
            let live = live.clone();
            blocking::unblock(move || live.read_states(0, live.instances)).await?
        };
        Ok(StateImage::new(live.descriptor, live.instances, states))
    }

    fn check_state<S: Actor>(&self) -> Result<(), RingKernelError> {
        let (id, descriptor) = (self.id(), self.live().descriptor);
        if same_actor(S::DESCRIPTOR, descriptor) {
            return Ok(());
        }
        Err(RingKernelError::WrongStateType { id, actor: descriptor.actor, given: S::NAME })
    }
}

fn decode<S: Actor>(id: &'static str, bytes: &[u8]) -> Result<S, RingKernelError> {
    S::decode(bytes).map_err(|error| RingKernelError::MalformedReply { id, error })
}
