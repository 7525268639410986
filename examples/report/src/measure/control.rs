//! What starts and ends kernels: launch beside others; terminate, suspend and snapshot with full rings.

use super::{Bench, Expected, Measured, series, series_within, start};
use crate::actors::{Counter, Grind, Grinder};
use crate::evidence::{Unproven, Watch};
use crate::figure::Evidence;
use ringkernel::prelude::*;
use ringkernel::{ActorRef, HasTerminated};
use std::time::{Duration, Instant};

/// Kernels that stay while others are launched.
pub const RESIDENT: usize = 16;

/// Launches [`RESIDENT`] counters, each with its evidence.
pub async fn residents(bench: &Bench) -> Result<Vec<ActorRef<Counter>>, RingKernelError> {
    let mut residents = Vec::new();
    for _ in 0..RESIDENT {
        let options = LaunchOptions::default().mode(Mode::Persistent);
        residents.push(start::<Counter>(bench, options).await?);
    }
    Ok(residents)
}

/// The launch of an actor whose code is loaded, beside 16 that are resident, until its first request can be sent.
pub fn launch(bench: &Bench) -> Measured {
    smol::block_on(async {
        let residents = residents(bench).await?;
        let mut launched = 0u64;
        let times = series(&bench.arguments, 500, async |_| {
            let begin = Instant::now();
            let counter = start::<Counter>(bench, LaunchOptions::default()).await?;
            let took = begin.elapsed();
            let watch = Watch::begin(&counter);
            Expected::default().ask(&counter).await?;
            watch.end(1, 1, "")?;
            counter.terminate().await?;
            launched += 1;
            Ok(took)
        })
        .await?;
        for counter in &residents {
            let watch = Watch::begin(counter);
            Expected::default().ask(counter).await?;
            watch.end(1, 1, "")?;
            counter.terminate().await?;
        }
        let asked = launched + RESIDENT as u64;
        let evidence = Evidence {
            sent: asked,
            counted_by_control_block: asked,
            counted_by_telemetry: asked,
            replies_checked: asked,
            checked:
                "every launched kernel, and the 16 beside it at the end, answered and counted one request"
                    .into(),
        };
        bench.latency(
            "launch",
            format!("launch of a loaded kernel beside {RESIDENT} resident ones"),
            &times,
            evidence,
        )
    })
}

/// A kernel of grinders, and its instances, with which its rings are filled.
struct Mill {
    kernel: ActorRef<Grinder>,
    instances: Vec<ActorRef<Grinder>>,
    /// Messages accepted, of which instance 0's.
    accepted: u64,
    first: u32,
}

impl Mill {
    async fn start(bench: &Bench) -> Result<Self, RingKernelError> {
        // More than shards, so that no ring is left out.
        const INSTANCES: u32 = 16;
        let options = LaunchOptions::default().instances(INSTANCES).queue_capacity(1024);
        let kernel = start::<Grinder>(bench, options).await?;
        let instances = (0..INSTANCES).map(|i| kernel.at(i)).collect::<Result<_, _>>()?;
        Ok(Self { kernel, instances, accepted: 0, first: 0 })
    }

    /// Sends until every ring refuses.
    fn fill(&mut self) -> Result<(), RingKernelError> {
        // The second time over, only what was taken meanwhile is filled up again.
        for instance in self.instances.iter().chain(&self.instances) {
            loop {
                // Slow enough that the rings fill up while the kernel drains them.
                match instance.try_tell(Grind { rounds: 500 }) {
                    Ok(()) => {
                        self.accepted += 1;
                        self.first += u32::from(instance.instance() == 0);
                    }
                    Err(refused) if matches!(refused.reason, RingKernelError::QueueFull { .. }) => break,
                    Err(refused) => return Err(refused.reason),
                }
            }
        }
        Ok(())
    }
}

/// `terminate` of a kernel at work whose request rings are full.
pub fn terminate(bench: &Bench) -> Measured {
    smol::block_on(async {
        let (mut sent, mut left) = (0u64, 0u64);
        let budget = bench.arguments.budget() * 3;
        let times = series_within(&bench.arguments, 1000, budget, async |_| {
            let mut mill = Mill::start(bench).await?;
            mill.fill()?;
            let begin = Instant::now();
            mill.kernel.terminate().await?;
            let took = begin.elapsed();
            let after = mill.kernel.control();
            if after.has_terminated != HasTerminated::Done {
                return Err(Unproven(format!("the control block says {:?}", after.has_terminated)).into());
            }
            if after.messages_processed > mill.accepted {
                let problem = format!("{} of {} processed", after.messages_processed, mill.accepted);
                return Err(Unproven(problem).into());
            }
            sent += mill.accepted;
            left += mill.accepted - after.messages_processed;
            Ok(took)
        })
        .await?;
        let evidence = Evidence {
            sent,
            counted_by_control_block: sent - left,
            counted_by_telemetry: sent - left,
            replies_checked: 0,
            checked: format!(
                "every ring had just refused a message; {left} messages had not been begun at the end; the control block says done"
            ),
        };
        bench.latency("terminate", "`terminate` of a busy kernel with full request rings", &times, evidence)
    })
}

/// `suspend` of a kernel at work whose request rings are full: when it returns, no handler runs.
pub fn suspend(bench: &Bench) -> Measured {
    smol::block_on(async {
        let mut mill = Mill::start(bench).await?;
        let kernel = mill.kernel.clone();
        let watch = Watch::begin(&kernel);
        let times = series(&bench.arguments, 500, async |_| {
            mill.fill()?;
            let begin = Instant::now();
            kernel.suspend().await?;
            let took = begin.elapsed();
            let (stands, then) = (kernel.control(), Instant::now());
            while then.elapsed() < Duration::from_micros(200) {
                std::hint::spin_loop();
            }
            let moved = kernel.control().messages_processed != stands.messages_processed;
            if stands.is_active || moved {
                return Err(Unproven(format!("suspended, and yet {:?}", kernel.control())).into());
            }
            kernel.resume().await?;
            Ok(took)
        })
        .await?;
        let checked = "the counters stood still after each; resumed, nothing was lost";
        let evidence = watch.end(mill.accepted, 0, checked)?;
        kernel.terminate().await?;
        bench.latency("suspend", "`suspend` of a busy kernel with full request rings", &times, evidence)
    })
}

/// `snapshot` of one state of a kernel at work whose request rings are full.
pub fn snapshot(bench: &Bench) -> Measured {
    smol::block_on(async {
        let mut mill = Mill::start(bench).await?;
        let kernel = mill.kernel.clone();
        let watch = Watch::begin(&kernel);
        let mut last = 0;
        let mut taken = 0;
        let times = series(&bench.arguments, 500, async |_| {
            mill.fill()?;
            let begin = Instant::now();
            let state = kernel.snapshot::<Grinder>(0).await?;
            let took = begin.elapsed();
            if state.count < last || state.count > mill.first {
                let problem = format!("{} after {last}, of {} sent", state.count, mill.first);
                return Err(Unproven(problem).into());
            }
            last = state.count;
            taken += 1;
            Ok(took)
        })
        .await?;
        watch.settled(mill.accepted)?;
        let end = kernel.snapshot::<Grinder>(0).await?.count;
        if end != mill.first {
            return Err(Unproven(format!("the state counts {end} messages, {} were sent", mill.first)).into());
        }
        let checked = "the state's own count, never going back and complete at the end; nothing was lost";
        let evidence = watch.end(mill.accepted, taken + 1, checked)?;
        kernel.terminate().await?;
        bench.latency("snapshot", "`snapshot` of a busy kernel with full request rings", &times, evidence)
    })
}
