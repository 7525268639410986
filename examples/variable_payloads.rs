//! Lesson 15: messages of variable size.
//!
//! A message with a `Vec`, a `String` or an `Option` in it takes as many bytes as it needs. The handler reads it where it lies: it takes
//! `&Archived<Trip>`, whose fields are those of `Trip`, and nothing is unpacked or copied. Before that the bytes are checked as a whole, lengths, offsets and
//! text, whoever sent them.
//!
//! Slots have room for the largest message that is allowed, so there is a limit, `max_bytes`; a message beyond it is an error that names both
//! numbers, and not one that arrives in part.

use ringkernel::DeviceError;
use ringkernel::prelude::*;

#[derive(RingMessage, Clone, Debug)]
#[message(max_bytes = 1024)]
pub struct Trip {
    pub driver: u32,
    pub note: String,
    /// Metres from one stop to the next.
    pub legs: Vec<u32>,
    pub toll: Option<Toll>,
}

/// Part of a message, and none itself.
#[derive(Payload, Clone, Debug)]
pub struct Toll {
    pub cents: u32,
}

/// Of a fixed size, like all replies of this actor.
#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Logged {
    pub metres: u32,
    pub longest: u32,
    pub note_bytes: u32,
    pub cents: u32,
}

#[ring_kernel(id = "logbook")]
#[derive(Default, Debug)]
pub struct Logbook {
    trips: u32,
    metres: u32,
    cents: u32,
}

#[ring_kernel]
impl Logbook {
    #[handler]
    fn trip(&mut self, _ctx: &mut RingContext, msg: &Archived<Trip>) -> Logged {
        let mut logged = Logged { metres: 0, longest: 0, note_bytes: msg.note.len() as u32, cents: 0 };
        for leg in msg.legs.iter() {
            // Numbers in an archive are little endian, on whatever machine it is read.
            let metres = leg.to_native();
            logged.metres += metres;
            if metres > logged.longest {
                logged.longest = metres;
            }
        }
        if let Some(toll) = msg.toll.as_ref() {
            logged.cents = toll.cents.to_native();
        }
        self.trips += 1;
        self.metres += logged.metres;
        self.cents += logged.cents;
        logged
    }
}

/// On the best backend that has code for the actor.
async fn launch() -> Result<(RingKernel, LogbookProxy), RingKernelError> {
    let best = RingKernel::builder().build().await?;
    match Logbook::launch(&best, LaunchOptions::default()).await {
        Err(RingKernelError::Device { error: error @ DeviceError::Unsupported { .. }, .. }) => {
            println!("not on {}: {error}", best.backend());
            let cpu = RingKernel::builder().backend(Backend::Cpu).build().await?;
            let logbook = Logbook::launch(&cpu, LaunchOptions::default()).await?;
            Ok((cpu, logbook))
        }
        logbook => Ok((best, logbook?)),
    }
}

fn main() -> Result<(), RingKernelError> {
    smol::block_on(async {
        let (runtime, logbook) = launch().await?;
        println!("on {}", runtime.backend());
        let trip = |note: &str, legs: Vec<u32>, toll| Trip { driver: 7, note: note.to_owned(), legs, toll };

        println!("{:?}", logbook.trip(trip("to the mill", vec![1200, 300, 40], None)).await?);
        println!("{:?}", logbook.trip(trip("", vec![], Some(Toll { cents: 450 }))).await?);
        // 200 legs are 800 bytes.
        println!("{:?}", logbook.trip(trip("über die Brücke", (1..=200).collect(), None)).await?);

        // 300 would be 1200, and 1024 are allowed.
        match logbook.trip(trip("", vec![1; 300], None)).await {
            Err(RingKernelError::PayloadTooLarge(too)) => {
                println!("refused: a `{}` of {} bytes, and {} are allowed", too.message, too.bytes, too.most);
            }
            other => println!("{other:?}"),
        }

        // Many, each of another size, in one call.
        let trips = (0..500).map(|i| trip("again", vec![10; i % 150], None));
        logbook.tell_many(trips).await?;
        logbook.terminate_with(TerminateOptions::default().drain()).await?;
        let Logbook { trips, metres, cents } = logbook.snapshot::<Logbook>(0).await?;
        println!("{trips} trips, {metres} metres, {cents} cents");
        runtime.shutdown().await
    })
}
