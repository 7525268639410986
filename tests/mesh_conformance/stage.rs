//! Where a case plays: a backend's runtime, on which one case at a time launches kernels, since those of one runtime find each other by id.

use ringkernel::prelude::*;
use ringkernel::runtime::launch;
use ringkernel::{Actor, ActorRef, DeviceError, Handles, KernelHandle, RingMessage};
use ringkernel_tests::machine::Stop;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What a case comes to.
pub type Outcome = Result<(), Stop>;

/// Nothing here takes longer, even where many tests share few cores.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Stage<'a> {
    pub runtime: &'a RingKernel,
    kernels: Mutex<Vec<KernelHandle>>,
}

impl<'a> Stage<'a> {
    pub fn new(runtime: &'a RingKernel) -> Self {
        Self { runtime, kernels: Mutex::default() }
    }

    /// Launches an actor, which ends with the case.
    pub async fn launch<A: Actor>(&self, options: LaunchOptions) -> Result<ActorRef<A>, Stop> {
        self.launch_on(self.runtime, options).await
    }

    /// The same on another runtime.
    pub async fn launch_on<A: Actor>(
        &self,
        runtime: &RingKernel,
        options: LaunchOptions,
    ) -> Result<ActorRef<A>, Stop> {
        let actor = in_time("launch", launch::<A>(runtime, options)).await?.map_err(stop)?;
        let mut kernels = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended give their places on the device back.
        kernels.retain(|kernel| kernel.state() != KernelState::Terminated);
        kernels.push(actor.handle().clone());
        drop(kernels);
        Ok(actor)
    }

    /// Ends whatever was launched. Called also where the case has failed.
    pub async fn end(self) -> Outcome {
        let kernels = self.kernels.into_inner().unwrap_or_else(PoisonError::into_inner);
        for kernel in kernels.into_iter().filter(|kernel| kernel.state() != KernelState::Terminated) {
            in_time("terminate", kernel.terminate()).await?.map_err(stop)?;
        }
        Ok(())
    }
}

/// An error of the library's ends a case; what the device cannot do is missing.
pub fn stop(error: RingKernelError) -> Stop {
    match error {
        RingKernelError::Device { error: error @ DeviceError::Unsupported { .. }, .. } => {
            Stop::Missing { what: "int64", why: error.to_string() }
        }
        error => Stop::Failed(error.to_string()),
    }
}

pub fn check(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(what().into()) }
}

/// Two things that are to be equal.
pub fn same<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should: T) -> Outcome {
    check(is == should, || format!("{what}: {is:?} where {should:?} was expected"))
}

pub async fn in_time<T>(what: &str, step: impl Future<Output = T>) -> Result<T, Stop> {
    let late = async {
        smol::Timer::after(PATIENCE).await;
        Err(Stop::Failed(format!("{what} did not end within {PATIENCE:?}")))
    };
    smol::future::or(async { Ok(step.await) }, late).await
}

/// Waits until a look succeeds.
pub async fn until(what: &str, mut look: impl FnMut() -> bool) -> Outcome {
    let begin = Instant::now();
    while !look() {
        check(begin.elapsed() < PATIENCE, || format!("{what}: not within {PATIENCE:?}"))?;
        smol::Timer::after(Duration::from_micros(300)).await;
    }
    Ok(())
}

/// Waits until a kernel has handled so many messages, whoever sent them.
pub async fn handled(kernel: &KernelHandle, messages: u64) -> Outcome {
    let (mut seen, mut moved) = (0, Instant::now());
    loop {
        let now = kernel.control().messages_processed;
        if now >= messages {
            return Ok(());
        }
        if now != seen {
            (seen, moved) = (now, Instant::now());
        }
        check(moved.elapsed() < PATIENCE / 3, || {
            format!("`{}` has handled {now} messages of {messages}, and no more come", kernel.id())
        })?;
        smol::Timer::after(Duration::from_micros(300)).await;
    }
}

/// Asks and waits, no longer than anything takes.
pub async fn ask<A: Handles<M>, M: RingMessage>(
    actor: &ActorRef<A>,
    message: M,
) -> Result<<A as Handles<M>>::Reply, Stop> {
    in_time("an answer", actor.ask(message)).await?.map_err(stop)
}

/// An instance's state.
pub async fn state<A: Actor>(kernel: &KernelHandle, instance: u32) -> Result<A, Stop> {
    in_time("a snapshot", kernel.snapshot::<A>(instance)).await?.map_err(stop)
}

pub fn options() -> LaunchOptions {
    LaunchOptions::default()
}
