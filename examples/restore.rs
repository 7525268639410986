//! Lesson 8: states are kept, a kernel is ended in good order, and another goes on where it stopped.

use ringkernel::prelude::*;
use std::time::Duration;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Read {
    pub watt_hours: u32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Bill {
    pub watt_hours: u64,
    pub readings: u32,
}

/// An electricity meter.
#[ring_kernel(id = "electricity_meter")]
#[derive(Default, Debug, PartialEq)]
pub struct Meter {
    watt_hours: u64,
    readings: u32,
    peak: u32,
}

#[ring_kernel]
impl Meter {
    #[handler]
    fn read(&mut self, _ctx: &mut RingContext, msg: Read) -> Bill {
        self.watt_hours += msg.watt_hours as u64;
        self.readings += 1;
        if msg.watt_hours > self.peak {
            self.peak = msg.watt_hours;
        }
        Bill { watt_hours: self.watt_hours, readings: self.readings }
    }
}

const METERS: u32 = 10_000;

fn main() -> Result<(), RingKernelError> {
    smol::block_on(async {
        let runtime = RingKernel::builder().build().await?;
        println!("on {}", runtime.backend());
        let meters = Meter::launch(&runtime, LaunchOptions::default().instances(METERS)).await?;

        // Thirty thousand readings are handed over and not waited for.
        meters
            .tell_many_at((0..3 * METERS).map(|i| (i % METERS, Read { watt_hours: i / METERS + 1 })))
            .await?;

        // Drained: nothing new is taken, what waits is handled, and then the kernel ends. The plain `terminate` would have failed
        // what waits. The deadline is for the case that it cannot be done: then an error says how many were left.
        let drain = TerminateOptions::default().drain().deadline(Duration::from_secs(10));
        meters.terminate_with(drain).await?;
        println!(
            "ended:     {:?}, then {}",
            meters.state(),
            meters.tell(Read { watt_hours: 1 }).await.unwrap_err()
        );

        // Its states can still be read, as long as there is a handle. An image is all of them, and says of which actor.
        let image = meters.image().await?;
        println!("image:     {} meters of {} bytes", image.instances(), image.state_size());
        println!("meter 7:   {:?}", image.state::<Meter>(7)?);
        let file = std::env::temp_dir().join(format!("ringkernel-meters-{}", std::process::id()));
        std::fs::write(&file, image.to_bytes()).expect("the directory for temporary files can be written to");

        // Some other day, in some other program, on some other device.
        let bytes = std::fs::read(&file).expect("it was just written");
        std::fs::remove_file(&file).expect("it was just read");
        let image = StateImage::from_bytes(&bytes)?;
        let meters = Meter::launch(&runtime, LaunchOptions::from_image(image)).await?;
        let bill = meters.at(7)?.read(Read { watt_hours: 100 }).await?;
        println!("goes on:   {bill:?}");
        assert_eq!(bill, Bill { watt_hours: 106, readings: 4 });

        // What is in memory only can be replaced too: one state, or all at once.
        meters.restore(7, Meter::default()).await?;
        let mut states = meters.snapshot_all::<Meter>().await?;
        states.iter_mut().for_each(|meter| meter.peak = 0);
        meters.restore_all(states).await?;
        let seventh = meters.snapshot::<Meter>(7).await?;
        println!("replaced:  {seventh:?}");
        assert_eq!(seventh, Meter::default());

        // An image that was damaged on the way says so.
        let mut damaged = bytes.clone();
        damaged[1000] ^= 1;
        println!("damaged:   {}", StateImage::from_bytes(&damaged).unwrap_err());
        println!("cut short: {}", StateImage::from_bytes(&bytes[..1000]).unwrap_err());
        runtime.shutdown().await
    })
}
