//! Lesson 17: actors on different devices.
//!
//! Kernels of one runtime find each other by themselves. Those of different runtimes are connected by hand, `runtime.connect(&from, &to)`, be their
//! devices two of a kind or not of a kind at all. The handlers do not change: `ctx.send`, `ctx.reply` and `ctx.forward` lead where the
//! connection leads. Where the devices reach each other the message goes directly; where they do not, the host carries it, in order,
//! and keeps it while the receiver has no room.
//!
//! ```sh
//! cargo run --release --example cross_backend --features wgpu
//! ```

use futures::StreamExt;
use ringkernel::Via;
use ringkernel::prelude::*;
use ringkernel_examples::every_backend_present;

const SAMPLES: u32 = 1000;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Measure {
    pub samples: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Sample {
    pub number: u32,
    pub value: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Enough {
    pub samples: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Sum {
    pub round: u32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Total {
    pub samples: u32,
    pub sum: u32,
    pub in_order: bool,
}

/// Near the source of the data: one of many, say on a GPU.
#[ring_kernel(id = "sensor")]
#[derive(Default)]
pub struct Sensor {
    sent: u32,
    acknowledged: u32,
}

#[ring_kernel]
impl Sensor {
    /// Says how many were sent.
    #[handler]
    fn measure(&mut self, ctx: &mut RingContext, msg: Measure) -> u32 {
        let before = self.sent;
        for i in 0..msg.samples {
            let sample = Sample { number: self.sent, value: i % 10 };
            if !ctx.send::<Collector>(0, sample).is_ok() {
                break;
            }
            self.sent += 1;
        }
        self.sent - before
    }

    /// The collector's reply, which comes back the same way.
    #[handler]
    fn enough(&mut self, ctx: &mut RingContext, msg: Enough) {
        self.acknowledged = msg.samples;
        let _ = ctx.enqueue_output(msg);
    }

    /// The collector answers whoever asked, as if it had been asked itself.
    #[handler]
    fn sum(&mut self, ctx: &mut RingContext, msg: Sum) -> Total {
        let _ = ctx.forward::<Collector>(0, msg);
        Total { samples: 0, sum: 0, in_order: false }
    }
}

/// Where the data goes.
#[ring_kernel(id = "collector")]
#[derive(Default)]
pub struct Collector {
    samples: u32,
    sum: u32,
    disorder: u32,
}

#[ring_kernel]
impl Collector {
    #[handler]
    fn sample(&mut self, ctx: &mut RingContext, msg: Sample) {
        if msg.number != self.samples {
            self.disorder += 1;
        }
        self.samples += 1;
        self.sum += msg.value;
        if self.samples == 1000 {
            let _ = ctx.reply(Enough { samples: self.samples });
        }
    }

    #[handler]
    fn sum(&mut self, _ctx: &mut RingContext, _msg: Sum) -> Total {
        Total { samples: self.samples, sum: self.sum, in_order: self.disorder == 0 }
    }
}

fn main() -> Result<(), RingKernelError> {
    smol::block_on(async {
        // The fastest device and the CPU; on a machine with nothing else, two runtimes on the CPU.
        let mut runtimes = every_backend_present().await;
        let here = runtimes.remove(0);
        let there = match runtimes.pop() {
            Some(last) => last,
            None => RingKernel::builder().backend(Backend::Cpu).build().await?,
        };
        let sensor = Sensor::launch(&here, LaunchOptions::default()).await?;
        let collector = Collector::launch(&there, LaunchOptions::default()).await?;
        println!("a sensor on {}, a collector on {}", here.backend(), there.backend());

        println!("not connected, {} samples are sent", sensor.measure(Measure { samples: SAMPLES }).await?);
        here.connect(&sensor, &collector).await?;
        if let Some((number, via)) = sensor.connections()[0].to {
            assert_eq!(number, collector.number());
            println!(
                "connected, messages go {}",
                if via == Via::Host { "by way of the host" } else { "directly" }
            );
        }

        // A thousand at once, and the collector's reply on its way back: also for a sensor that does not know the collector's number.
        let mut enough = sensor.outputs::<Enough>()?;
        let mut sent = 0;
        while sent < SAMPLES {
            // Fewer than asked for where there was no room.
            sent += sensor.measure(Measure { samples: SAMPLES - sent }).await?;
        }
        if let Some(enough) = enough.next().await {
            println!("the collector has {} samples", enough?.message.samples);
        }

        // A request that is asked on one device and answered on another.
        let total = sensor.sum(Sum { round: 1 }).await?;
        println!("{total:?}");
        assert!(total.in_order && total.samples == SAMPLES);
        println!("the host carried {} messages of the sensor's", sensor.relays().delivered);

        // Connections end by hand, or when one of the two does.
        here.disconnect(&sensor, &collector).await?;
        println!("disconnected, {} samples are sent", sensor.measure(Measure { samples: 1 }).await?);
        there.shutdown().await?;
        here.shutdown().await
    })
}
