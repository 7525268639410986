//! Lesson 2: the life of a kernel.
//!
//! ```text
//! Launched ──activate──▶ Active ──deactivate, suspend──▶ Deactivated ──activate, resume──▶ Active
//! Launched, Active, Deactivated ──terminate──▶ Terminated
//! ```

use ringkernel::prelude::*;
use std::time::Duration;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Count {
    pub by: u32,
}

#[ring_kernel(id = "counter")]
#[derive(Default)]
pub struct Counter {
    total: u32,
}

#[ring_kernel]
impl Counter {
    #[handler]
    fn count(&mut self, _ctx: &mut RingContext, msg: Count) -> u32 {
        self.total += msg.by;
        self.total
    }
}

fn main() -> Result<(), RingKernelError> {
    smol::block_on(async {
        let runtime = RingKernel::builder().build().await?;
        println!("on {}", runtime.backend());

        // The usual path: a launched kernel is activated at once.
        let counter = Counter::launch(&runtime, LaunchOptions::default()).await?;
        assert!(counter.is_active());
        println!("launched:     {:?}, counts to {}", counter.state(), counter.count(Count { by: 1 }).await?);

        // Suspended, it keeps its state on the device, and messages wait in its queue.
        counter.suspend().await?;
        counter.tell(Count { by: 10 }).await?;
        counter.tell(Count { by: 100 }).await?;
        let waiting = counter.ask_timeout(Count { by: 1000 }, Duration::from_millis(50)).await;
        println!("suspended:    {:?}, an impatient ask ends in: {}", counter.state(), waiting.unwrap_err());

        // While it is not active its state can be read whole. The two waiting messages have not touched it.
        let snapshot = counter.snapshot::<Counter>(0).await?;
        println!("snapshot:     total {}", snapshot.total);
        assert_eq!(snapshot.total, 1);

        // Resumed, it first handles what waited, in order. (The impatient ask had been handed over, so it counts too.)
        counter.resume().await?;
        let total = counter.count(Count { by: 0 }).await?;
        println!("resumed:      {:?}, counts to {total}", counter.state());
        assert_eq!(total, 1111);

        // The other path: launched but not activated. Messages wait from the beginning.
        let patient = Counter::launch(&runtime, LaunchOptions::default().without_auto_activate()).await?;
        println!("not started:  {:?}", patient.state());
        patient.tell(Count { by: 5 }).await?;
        patient.activate().await?;
        println!("activated:    {:?}, counts to {}", patient.state(), patient.count(Count { by: 5 }).await?);

        // A step that the diagram does not have is an error that says so.
        println!("again:        {}", patient.activate().await.unwrap_err());

        // Terminated is the end. Whoever still sends is told.
        patient.terminate().await?;
        println!("terminated:   {:?}, {}", patient.state(), patient.tell(Count { by: 1 }).await.unwrap_err());

        // Shutting the runtime down terminates what is left. Dropping it would, too.
        runtime.shutdown().await?;
        println!("shut down:    {:?}", counter.state());
        Ok(())
    })
}
