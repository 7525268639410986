//! Lesson 11: a pipeline of four kernels, of which the last answers.
//!
//! The host asks the first. Each stage does its part and *forwards* the rest: `ctx.forward::<Pricing>(0, ..)` hands over the message and the
//! duty to answer it. So nobody in the middle waits for anybody, and the reply of the last stage goes to the host's `.await` directly. The
//! compiler checks that the next stage's handler returns what this one returns, since that is what the asker waits for.
//!
//! Every request is answered exactly once: by whoever has the duty. A stage that cannot forward has it still.

use futures::TryStreamExt;
use ringkernel::prelude::*;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Order {
    pub item: u32,
    pub count: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Priced {
    pub count: u32,
    pub cents: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Taxed {
    pub cents: u32,
    pub tax: u32,
}

/// What the asker gets, from whichever stage.
#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Invoice {
    pub number: u32,
    pub cents: u32,
    /// 0, or the stage that could not hand the order on.
    pub stopped_at: u32,
}

#[device_fn]
fn stopped(stage: u32) -> Invoice {
    Invoice { number: 0, cents: 0, stopped_at: stage }
}

#[ring_kernel(id = "intake")]
#[derive(Default)]
pub struct Intake {
    refused: u32,
}

#[ring_kernel]
impl Intake {
    #[handler]
    fn order(&mut self, ctx: &mut RingContext, msg: Order) -> Invoice {
        if msg.count == 0 || msg.count > 1000 {
            self.refused += 1;
            // Not forwarded: this is the answer.
            return stopped(1);
        }
        if !ctx.forward::<Pricing>(0, msg).is_ok() {
            return stopped(1);
        }
        // Forwarded: what is returned here goes nowhere.
        stopped(0)
    }
}

#[ring_kernel(id = "pricing")]
#[derive(Default)]
pub struct Pricing {
    pieces: u32,
}

#[ring_kernel]
impl Pricing {
    #[handler]
    fn order(&mut self, ctx: &mut RingContext, msg: Order) -> Invoice {
        self.pieces += msg.count;
        let cents = msg.count * (250 + msg.item % 7 * 100);
        if ctx.forward::<Tax>(0, Priced { count: msg.count, cents }).is_ok() {
            stopped(0)
        } else {
            stopped(2)
        }
    }
}

#[ring_kernel(id = "tax")]
pub struct Tax {
    percent: u32,
}

#[ring_kernel]
impl Tax {
    #[handler]
    fn priced(&mut self, ctx: &mut RingContext, msg: Priced) -> Invoice {
        let taxed = Taxed { cents: msg.cents, tax: msg.cents * self.percent / 100 };
        if ctx.forward::<Billing>(0, taxed).is_ok() { stopped(0) } else { stopped(3) }
    }
}

#[ring_kernel(id = "billing")]
#[derive(Default)]
pub struct Billing {
    invoices: u32,
    cents: u32,
}

#[ring_kernel]
impl Billing {
    #[handler]
    fn taxed(&mut self, _ctx: &mut RingContext, msg: Taxed) -> Invoice {
        self.invoices += 1;
        self.cents += msg.cents + msg.tax;
        Invoice { number: self.invoices, cents: msg.cents + msg.tax, stopped_at: 0 }
    }
}

fn main() -> Result<(), RingKernelError> {
    smol::block_on(async {
        let runtime = RingKernel::builder().build().await?;
        let options = LaunchOptions::default;
        let intake = Intake::launch(&runtime, options()).await?;
        let pricing = Pricing::launch(&runtime, options()).await?;
        let tax = Tax::launch(&runtime, options().initial_state(Tax { percent: 20 })).await?;
        let billing = Billing::launch(&runtime, options()).await?;
        println!("intake, pricing, tax and billing on {}", runtime.backend());

        // 3 pieces at 3.50, and 20% tax.
        println!("{:?}", intake.order(Order { item: 1, count: 3 }).await?);
        // The first stage's own answer.
        println!("{:?}", intake.order(Order { item: 1, count: 0 }).await?);

        // Many under way at once: all stages are at work at the same time, on different orders. Up to 256, so that no mailbox (of
        // 1024) is ever full.
        let orders = (0..500).map(|i| Order { item: i, count: 1 + i % 3 });
        let invoices: Vec<Invoice> = intake.ask_many(orders).in_flight(256).try_collect().await?;
        let in_order = invoices.iter().zip(2..).all(|(invoice, number)| invoice.number == number);
        println!("{} invoices, numbered in the order of the orders: {in_order}", invoices.len());
        assert!(in_order);

        // Where the work went, from each kernel's own counters.
        let stages: [&KernelHandle; 4] = [&intake, &pricing, &tax, &billing];
        for stage in stages {
            println!("`{}` handled {} messages", stage.id(), stage.telemetry().messages_processed);
        }

        // Without a stage the one before it knows, and answers.
        tax.terminate().await?;
        println!("{:?}", intake.order(Order { item: 1, count: 3 }).await?);
        // Another of that type takes the place: the pipeline is whole again.
        let _tax = Tax::launch(&runtime, options().initial_state(Tax { percent: 10 })).await?;
        println!("{:?}", intake.order(Order { item: 1, count: 3 }).await?);
        runtime.shutdown().await
    })
}
