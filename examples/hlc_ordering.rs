//! Lesson 14: what came before what.
//!
//! Three kernels tell the host what they did, each in a stream of its own. In which order did it happen? The order of arrival does not say, and a
//! time of day does not either: clocks differ, and two events can fall into one microsecond. So every message carries a timestamp of a *hybrid
//! logical clock*: near the time of day, but past everything its sender knew. A handler's clock is past the message it handles. So
//! whatever was caused by something has the larger timestamp, and sorting by timestamps puts causes before effects, over threads, kernels and
//! devices.

use futures::StreamExt;
use ringkernel::HlcTimestamp;
use ringkernel::prelude::*;
use std::collections::HashSet;

const ORDERS: u32 = 100;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Order {
    pub number: u32,
}

/// What a kernel says of itself.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Event {
    pub order: u32,
    /// 0: ordered, 1: packed, 2: delivered.
    pub step: u32,
    pub at: HlcTimestamp,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Rumour {
    pub at: HlcTimestamp,
}

#[ring_kernel(id = "shop")]
#[derive(Default)]
pub struct Shop {
    orders: u32,
}

#[ring_kernel]
impl Shop {
    /// Says when it was ordered.
    #[handler]
    fn order(&mut self, ctx: &mut RingContext, msg: Order) -> HlcTimestamp {
        self.orders += 1;
        // A timestamp for an event of the handler's own, given to nobody else.
        let at = ctx.tick();
        let _ = ctx.enqueue_output(Event { order: msg.number, step: 0, at });
        let _ = ctx.send::<Warehouse>(msg.number % 4, msg);
        at
    }

    /// Hears of a timestamp in a message's field, and says whether its clock is past it then.
    #[handler]
    fn rumour(&mut self, ctx: &mut RingContext, msg: Rumour) -> bool {
        ctx.update_clock(msg.at);
        ctx.tick() > msg.at
    }
}

/// Four instances, which may run side by side.
#[ring_kernel(id = "warehouse")]
#[derive(Default)]
pub struct Warehouse {
    packed: u32,
}

#[ring_kernel]
impl Warehouse {
    #[handler]
    fn order(&mut self, ctx: &mut RingContext, msg: Order) {
        self.packed += 1;
        let at = ctx.tick();
        let _ = ctx.enqueue_output(Event { order: msg.number, step: 1, at });
        let _ = ctx.send::<Courier>(0, msg);
    }
}

#[ring_kernel(id = "courier")]
#[derive(Default)]
pub struct Courier {
    delivered: u32,
}

#[ring_kernel]
impl Courier {
    #[handler]
    fn order(&mut self, ctx: &mut RingContext, msg: Order) {
        self.delivered += 1;
        let at = ctx.tick();
        let _ = ctx.enqueue_output(Event { order: msg.number, step: 2, at });
    }
}

fn main() -> Result<(), RingKernelError> {
    smol::block_on(async {
        let runtime = RingKernel::builder().build().await?;
        let clock = runtime.clock();
        println!("on {}", runtime.backend());
        let shop = Shop::launch(&runtime, LaunchOptions::default()).await?;
        let warehouse = Warehouse::launch(&runtime, LaunchOptions::default().instances(4)).await?;
        let courier = Courier::launch(&runtime, LaunchOptions::default()).await?;

        // The host's clock is one of them: it is behind the shop's when it asks, and past it when it has the answer.
        let before = clock.tick();
        let ordered = shop.order(Order { number: 0 }).await?;
        let after = clock.tick();
        println!("host, shop, host: in order: {}", before < ordered && ordered < after);
        assert!(before < ordered && ordered < after);

        for number in 1..ORDERS {
            shop.tell(Order { number }).await?;
        }
        // The histories, one kernel's after the other's: first the effects, then the causes.
        let mut history = Vec::new();
        let kernels: [&KernelHandle; 3] = [&courier, &warehouse, &shop];
        for kernel in kernels {
            let mut events = kernel.outputs::<Event>()?;
            for _ in 0..ORDERS {
                let Some(event) = events.next().await else { break };
                let event = event?;
                history.push((event.message, event.instance));
            }
        }
        println!("{} events arrived, the first of step {}", history.len(), history[0].0.step);

        history.sort_by_key(|(event, _)| event.at);
        let events = || history.iter().map(|(event, _)| event);
        let steps = |order| events().filter(move |event| event.order == order).map(|event| event.step);
        let causal = (0..ORDERS).filter(|&order| steps(order).eq([0, 1, 2])).count();
        println!("sorted, {causal} of {ORDERS} orders were ordered, packed and delivered, in this order");
        assert_eq!(causal, ORDERS as usize);
        let stamps: HashSet<_> = history.iter().map(|(event, who)| (event.step, who, event.at)).collect();
        println!("no actor gave a timestamp twice: {}", stamps.len() == history.len());
        if let (Some(first), Some(last)) = (events().next(), events().next_back()) {
            println!("from the first to the last {:?}", last.at.since(first.at));
        }

        // A clock elsewhere may be ahead of ours: whoever hears of its timestamps moves on. But not for any number: what is more than half a second
        // ahead of the time of day is not believed, or one wrong clock would drag along all others.
        let ahead = |micros: u64| {
            HlcTimestamp::from_u64(clock.now().as_u64() + (micros << HlcTimestamp::COUNTER_BITS))
        };
        println!("0.1 s ahead is believed: {}", shop.rumour(Rumour { at: ahead(100_000) }).await?);
        println!("an hour ahead is believed: {}", shop.rumour(Rumour { at: ahead(3_600_000_000) }).await?);
        match clock.update(ahead(3_600_000_000)) {
            Ok(now) => println!("the host believes it: {now}"),
            Err(drift) => println!("the host says: {drift}"),
        }
        runtime.shutdown().await
    })
}
