//! Lesson 7: what the compiler makes of an actor.
//!
//! The device code is in the program as text, in the consts `PTX` and `WGSL` of the actor (`cargo expand` shows it as well). It is meant to be
//! read: it keeps the names of the source, and quotes each statement above its instructions.
//!
//! ```sh
//! cargo run --example inspect                     # PTX and WGSL
//! cargo run --example inspect -- ptx              # one of them
//! cargo run --example inspect --features wgpu     # MSL too, made of the WGSL by naga
//! ```

use ringkernel::prelude::*;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Push {
    pub value: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Window {
    pub sum: i32,
    pub largest: i32,
}

/// The last four values.
#[ring_kernel(id = "window")]
#[derive(Default)]
pub struct Windowed {
    values: [i32; 4],
    next: u32,
}

#[ring_kernel]
impl Windowed {
    #[handler]
    fn push(&mut self, _ctx: &mut RingContext, msg: Push) -> Window {
        self.values[(self.next % 4) as usize] = msg.value;
        self.next = self.next.wrapping_add(1);
        let mut sum: i32 = 0;
        let mut largest = i32::MIN;
        for i in 0..4 {
            sum = sum.saturating_add(self.values[i]);
            largest = largest.max(self.values[i]);
        }
        Window { sum, largest }
    }
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let show = |name: &str, text: Result<String, String>| {
        if !wanted.is_empty() && !wanted.iter().any(|one| one.eq_ignore_ascii_case(name)) {
            return;
        }
        println!("==== {name} of `{}` ====", Windowed::ID);
        match text {
            Ok(text) => println!("{text}"),
            Err(why) => println!("not available: {why}\n"),
        }
    };
    show("PTX", Ok(Windowed::PTX.to_owned()));
    show("WGSL", Ok(Windowed::WGSL.to_owned()));
    show("MSL", msl());
}

/// Metal's language, which naga translates the WGSL to; on macOS wgpu does the same when the kernel is launched.
#[cfg(feature = "wgpu")]
fn msl() -> Result<String, String> {
    ringkernel::inspect::msl(Windowed::WGSL).map_err(|error| error.to_string())
}

#[cfg(not(feature = "wgpu"))]
fn msl() -> Result<String, String> {
    Err("naga comes with the feature `wgpu`".into())
}
