//! Lesson 13: topics.
//!
//! Who publishes does not know who listens. A message is published on a *topic*, whose levels are divided by slashes, by a handler or by the
//! host; whoever has subscribed with a *filter* that matches gets it. In a filter `+` stands for one level, whichever, and `#` at the end for
//! all that follow. A subscriber is a stream on the host, or an actor, whose handler is called.
//!
//! A message comes at most once, in its publisher's order. A subscriber that is too slow stays subscribed, misses messages, and
//! is told how many.

use futures::StreamExt;
use ringkernel::prelude::*;
use ringkernel::pubsub::{SubscribeOptions, WhenFull};

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Sample {
    pub celsius: f32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    pub room: u32,
    pub celsius: f32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    pub target: f32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Switched {
    pub room: u32,
    pub heats: bool,
}

/// One for each room.
#[ring_kernel(id = "thermometer")]
#[derive(Default)]
pub struct Thermometer {
    samples: u32,
}

#[ring_kernel]
impl Thermometer {
    /// Topics are literals here: the device knows them by number, and has a table of who gets what.
    #[handler]
    fn sample(&mut self, ctx: &mut RingContext, msg: Sample) -> bool {
        self.samples += 1;
        let reading = Reading { room: ctx.instance(), celsius: msg.celsius };
        let sent = if ctx.instance() == 0 {
            ctx.publish("house/kitchen/temperature", reading)
        } else {
            ctx.publish("house/cellar/temperature", reading)
        };
        sent.is_ok()
    }
}

/// Listens to all rooms.
#[ring_kernel(id = "heating")]
#[derive(Default)]
pub struct Heating {
    target: f32,
    heats: [bool; 4],
}

#[ring_kernel]
impl Heating {
    #[handler]
    fn setting(&mut self, _ctx: &mut RingContext, msg: Setting) {
        self.target = msg.target;
    }

    #[handler]
    fn asked(&mut self, _ctx: &mut RingContext, _msg: ()) -> Setting {
        Setting { target: self.target }
    }

    #[handler]
    fn reading(&mut self, ctx: &mut RingContext, msg: Reading) {
        let heats = msg.celsius < self.target;
        if heats != self.heats[msg.room as usize] {
            self.heats[msg.room as usize] = heats;
            let _ = ctx.enqueue_output(Switched { room: msg.room, heats });
        }
    }
}

fn main() -> Result<(), RingKernelError> {
    smol::block_on(async {
        let runtime = RingKernel::builder().build().await?;
        let topics = runtime.topics();
        println!("on {}", runtime.backend());

        // Retained: the last message is kept, and whoever subscribes later begins with it.
        topics.publish_retained("house/setting", Setting { target: 20.0 }).await?;

        let rooms = Thermometer::launch(&runtime, LaunchOptions::default().instances(2)).await?;
        let heating = Heating::launch(&runtime, LaunchOptions::default()).await?;
        topics.subscribe_actor::<Setting, _>(&heating, "house/setting").await?.detach();
        topics.subscribe_actor::<Reading, _>(&heating, "house/+/temperature").await?.detach();
        println!("the heating knows from before it subscribed: {:?}", heating.asked(()).await?);

        // The host listens too: to one room, and to the whole house.
        let mut cellar = topics.subscribe::<Reading>("house/cellar/#").await?;
        let mut house = topics.subscribe::<Reading>("#").await?;
        let mut switched = heating.outputs::<Switched>()?;

        for (room, celsius) in [(0, 18.5), (1, 12.0), (0, 21.0)] {
            assert!(rooms.at(room)?.sample(Sample { celsius }).await?);
        }
        for _ in 0..3 {
            if let Some(published) = house.next().await {
                println!("{}: {:?}", published.topic, published.message);
            }
        }
        if let Some(published) = cellar.next().await {
            println!(
                "in the cellar {} degrees; another: {:?}",
                published.message.celsius,
                cellar.try_receive()
            );
        }
        // What the handler made of it.
        for _ in 0..3 {
            if let Some(switched) = switched.next().await {
                println!("{:?}", switched?.message);
            }
        }

        // A slow subscriber, with room for two: the oldest messages make room, and are counted.
        let options = SubscribeOptions::default().capacity(2).when_full(WhenFull::DropOldest);
        let mut slow = topics.subscribe_with::<Reading>("house/+/temperature", options).await?;
        for n in 0..10u8 {
            rooms.sample(Sample { celsius: 20.0 + f32::from(n) }).await?;
        }
        // The last has come to another subscriber: so it has to this one.
        while house.next().await.is_some_and(|published| published.message.celsius != 29.0) {}
        if let Some(published) = slow.next().await {
            println!("{} degrees, after {} that it missed", published.message.celsius, published.missed);
        }
        println!("{} missed in all, and it is still subscribed", slow.lagged());
        runtime.shutdown().await?;
        // A stream ends when the runtime is shut down, after what it has.
        println!("then {:?}", slow.next().await.map(|published| published.message.celsius));
        println!("then {:?}", slow.next().await.map(|published| published.message.celsius));
        Ok(())
    })
}
