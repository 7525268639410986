//! What starts and ends kernels: launch beside others, terminate with full rings.

use super::{Bench, Expected, Measured, series, start};
use crate::actors::{Counter, Grind, Grinder};
use crate::evidence::Unproven;
use crate::evidence::Watch;
use crate::figure::Evidence;
use ringkernel::prelude::*;
use std::time::Instant;

/// Kernels that stay while others are launched.
pub const RESIDENT: usize = 16;

/// Launches [`RESIDENT`] counters, each with its evidence.
pub async fn residents(bench: &Bench) -> Result<Vec<ringkernel::ActorRef<Counter>>, RingKernelError> {
    let mut residents = Vec::new();
    for _ in 0..RESIDENT {
        residents.push(start::<Counter>(bench, LaunchOptions::default()).await?);
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

/// `terminate` of a kernel at work whose request rings are full.
pub fn terminate(bench: &Bench) -> Measured {
    smol::block_on(async {
        const INSTANCES: u32 = 16;
        let (mut sent, mut left) = (0u64, 0u64);
        let times = series(&bench.arguments, 1000, async |_| {
            let options = LaunchOptions::default().instances(INSTANCES).queue_capacity(1024);
            let grinder = start::<Grinder>(bench, options).await?;
            let instances = (0..INSTANCES).map(|i| grinder.at(i)).collect::<Result<Vec<_>, _>>()?;
            let accepted = fill(&instances)?;
            let begin = Instant::now();
            grinder.terminate().await?;
            let took = begin.elapsed();
            let after = grinder.control();
            if after.has_terminated != ringkernel::HasTerminated::Done {
                return Err(Unproven(format!("the control block says {:?}", after.has_terminated)).into());
            }
            if after.messages_processed > accepted {
                return Err(Unproven(format!("{} of {accepted} processed", after.messages_processed)).into());
            }
            sent += accepted;
            left += accepted - after.messages_processed;
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

/// Sends until every ring refuses; how many were accepted.
fn fill(instances: &[ringkernel::ActorRef<Grinder>]) -> Result<u64, RingKernelError> {
    let mut accepted = 0;
    // The second time over, only what was taken meanwhile is filled up again.
    for instance in instances.iter().chain(instances) {
        loop {
            // Slow enough that the rings fill up while the kernel drains them.
            match instance.try_tell(Grind { rounds: 500 }) {
                Ok(()) => accepted += 1,
                Err(refused) if matches!(refused.reason, RingKernelError::QueueFull { .. }) => break,
                Err(refused) => return Err(refused.reason),
            }
        }
    }
    Ok(accepted)
}
