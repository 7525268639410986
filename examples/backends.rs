//! Lesson 5: the same actor on every backend present, and the same answers.
//!
//! Integers, faults and their places are the same everywhere. Floats are bit for bit the same on the CPU and on CUDA; WGSL grants a few
//! units in the last place for some operations (this lesson uses none of those).
//!
//! ```sh
//! cargo run --release --example backends --features wgpu
//! ```

use ringkernel::prelude::*;
use ringkernel_examples::every_backend_present;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Roll {
    pub sides: u32,
    pub times: u32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Rolled {
    pub sum: u32,
    pub highest: u32,
    pub mean: f32,
}

// A helper that handlers call is marked too, so that its body reaches the compiler.
#[device_fn]
fn next(seed: &mut u32) -> u32 {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    *seed
}

#[ring_kernel(id = "dice")]
pub struct Dice {
    seed: u32,
}

#[ring_kernel]
impl Dice {
    /// A die without sides is a division by zero: a fault, answered to whoever asked.
    #[handler]
    fn roll(&mut self, _ctx: &mut RingContext, msg: Roll) -> Rolled {
        let mut sum = 0;
        let mut highest = 0;
        for _ in 0..msg.times {
            let face = next(&mut self.seed) % msg.sides + 1;
            sum += face;
            highest = highest.max(face);
        }
        Rolled { sum, highest, mean: sum as f32 * 0.125 }
    }
}

/// Everything the actor said, in order, as text.
async fn play(runtime: &RingKernel) -> Result<Vec<String>, RingKernelError> {
    let dice =
        Dice::launch(runtime, LaunchOptions::default().initial_state(Dice { seed: 2_463_534_242 })).await?;
    let mut said = Vec::new();
    for (sides, times) in [(6, 8), (20, 1), (100, 500), (0, 3), (6, 8), (2, 10_000)] {
        said.push(match dice.roll(Roll { sides, times }).await {
            Ok(rolled) => format!("{times} x d{sides}: {rolled:?}"),
            // A fault takes no actor down: the next request is answered as ever.
            Err(RingKernelError::HandlerFault(fault)) => {
                format!("{times} x d{sides}: {}, line {}", fault.kind, fault.line)
            }
            Err(other) => return Err(other),
        });
    }
    dice.terminate().await?;
    Ok(said)
}

fn main() -> Result<(), RingKernelError> {
    smol::block_on(async {
        let mut first: Option<Vec<String>> = None;
        for runtime in every_backend_present().await {
            let said = play(&runtime).await?;
            println!("on {} ({}):", runtime.backend(), runtime.device_name());
            match &first {
                None => said.iter().for_each(|line| println!("  {line}")),
                Some(first) => {
                    assert_eq!(first, &said, "{} disagrees", runtime.backend());
                    println!("  the same {} answers", said.len());
                }
            }
            first.get_or_insert(said);
            runtime.shutdown().await?;
        }
        Ok(())
    })
}
