//! Lesson 3: actors by name.
//!
//! Where the actor's type is not known at compile time (it comes from a configuration file, or from another crate), a kernel is
//! launched by its id, and its handle sends and receives messages of any type. What the compiler checked for a proxy is now
//! checked at run time.

use ringkernel::prelude::*;
use std::time::Duration;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Sample {
    pub value: f32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Mean {
    pub mean: f32,
    pub samples: u32,
}

#[ring_kernel(id = "averager")]
#[derive(Default)]
pub struct Averager {
    sum: f32,
    samples: u32,
}

#[ring_kernel]
impl Averager {
    #[handler]
    fn sample(&mut self, _ctx: &mut RingContext, msg: Sample) -> Mean {
        self.sum += msg.value;
        self.samples += 1;
        Mean { mean: self.sum / self.samples as f32, samples: self.samples }
    }
}

fn main() -> Result<(), RingKernelError> {
    smol::block_on(async {
        let runtime = RingKernel::builder().build().await?;

        // Every actor that is linked into the program registered itself.
        for kernel in runtime.list_kernels() {
            println!("kernel:  {} ({}, {} handler)", kernel.id, kernel.actor, kernel.handlers.len());
        }

        // An id that nobody has is an error that lists the ones there are.
        println!("a typo:  {}", runtime.launch("avenger", LaunchOptions::default()).await.unwrap_err());

        let kernel = runtime.launch("averager", LaunchOptions::default().without_auto_activate()).await?;
        kernel.activate().await?;

        // Requests and replies go separate ways: any number can be sent before the first reply is taken.
        for value in [1.0, 2.0, 6.0] {
            kernel.send(Sample { value }).await?;
        }
        for _ in 0..3 {
            let Mean { mean, samples } = kernel.receive().await?;
            println!("mean of {samples}: {mean}");
        }

        // With nothing under way there is nothing to receive.
        let nothing = kernel.receive_timeout::<Mean>(Duration::from_millis(20)).await;
        println!("nothing: {}", nothing.unwrap_err());

        // A message that the actor does not handle does not leave the host.
        println!("wrong:   {}", kernel.send(12u64).await.unwrap_err());

        kernel.terminate().await?;
        runtime.shutdown().await
    })
}
