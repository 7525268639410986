//! Lesson 4: many actors of one type.
//!
//! A kernel is one launched actor *type*. It has as many *instances* as you like, each with a state of its own and nothing else: no
//! thread, no mailbox. An instance handles one message at a time, and messages from one sender arrive in the order sent; messages
//! to different instances run side by side.

use ringkernel::prelude::*;

/// A hundred thousand thermostats.
const INSTANCES: u32 = 100_000;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Reading {
    pub degrees: f32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Command {
    pub room: u32,
    pub heat: bool,
    pub switched: u32,
}

#[ring_kernel(id = "thermostat")]
pub struct Thermostat {
    target: f32,
    heating: bool,
    switched: u32,
}

#[ring_kernel]
impl Thermostat {
    /// Half a degree of hysteresis, so that the heating does not flutter.
    #[handler]
    fn read(&mut self, ctx: &mut RingContext, msg: Reading) -> Command {
        let heat =
            if self.heating { msg.degrees < self.target + 0.5 } else { msg.degrees < self.target - 0.5 };
        if heat != self.heating {
            self.heating = heat;
            self.switched += 1;
        }
        // An instance can ask which one it is.
        Command { room: ctx.instance(), heat, switched: self.switched }
    }
}

fn main() -> Result<(), RingKernelError> {
    smol::block_on(async {
        let runtime = RingKernel::builder().build().await?;

        // `Thermostat` has no `Default`: each room is given a state, by its number.
        let options =
            LaunchOptions::default().instances(INSTANCES).queue_capacity(4096).initial_state_with(|room| {
                Thermostat { target: 18.0 + (room % 5) as f32, heating: false, switched: 0 }
            });
        let rooms = Thermostat::launch(&runtime, options).await?;
        println!("{} thermostats on {}", rooms.instances(), runtime.backend());

        // `at` is the proxy of one instance.
        let attic = rooms.at(99_999)?;
        println!("{:?}", attic.read(Reading { degrees: 10.0 }).await?);
        println!("{:?}", attic.read(Reading { degrees: 30.0 }).await?);

        // There are rooms 0 to 99,999.
        println!("{}", rooms.at(INSTANCES).unwrap_err());

        // Ask two thousand rooms at once: the requests are under way together, and the device takes them in batches.
        let mut asked = Vec::new();
        for room in (0..INSTANCES).step_by(50) {
            let proxy = rooms.at(room)?;
            asked.push(async move { proxy.read(Reading { degrees: 20.0 }).await });
        }
        let mut heated = 0;
        let answered = asked.len();
        for answer in futures::future::join_all(asked).await {
            heated += answer?.heat as u32;
        }
        // Targets are 18 to 22 degrees, but every 50th room has a multiple of 5: 18. Nobody is cold at 20.
        println!("{answered} rooms answered, {heated} of them heat");
        assert_eq!(heated, 0);

        // Tell every room, without waiting for answers. Where the queue is full, `tell` waits for room in it.
        for room in 0..INSTANCES {
            rooms.at(room)?.tell(Reading { degrees: 19.0 }).await?;
        }

        // An ask that follows a tell to the same instance sees what the tell did.
        let command = rooms.at(4)?.read(Reading { degrees: 19.0 }).await?;
        println!("room 4 wants 22 degrees: {command:?}");
        assert_eq!(command, Command { room: 4, heat: true, switched: 1 });

        // A `tell` has no answer; the device's counters say when all of them have been handled.
        let sent = 2 + answered as u64 + INSTANCES as u64 + 1;
        while rooms.telemetry().messages_processed < sent {
            smol::Timer::after(std::time::Duration::from_millis(1)).await;
        }

        // Suspended, states can be read: the rooms that want 20 degrees or more heat at 19, the others do not.
        rooms.suspend().await?;
        let mut heating = 0;
        for room in 0..1000 {
            heating += rooms.snapshot::<Thermostat>(room).await?.heating as u32;
        }
        println!("{heating} of the first thousand rooms heat");
        assert_eq!(heating, 600);

        rooms.terminate().await?;
        runtime.shutdown().await
    })
}
