//! Lesson 6: how long a request takes.
//!
//! Asks an actor 100,000 times, one request after another, on every backend present, and prints the median and the 99th percentile of
//! the time from the call to the reply in hand. Where there is an NVIDIA GPU it prints, from the same run, what an empty kernel takes to be
//! launched and waited for: that is what a request would cost at least if the kernel were not resident.
//!
//! ```sh
//! cargo run --release --example request_reply --features wgpu
//! cargo run --release --example request_reply -- --quick      # a hundredth of it
//! ```

use ringkernel::prelude::*;
use ringkernel_examples::every_backend_present;
use std::time::{Duration, Instant};

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Ping {
    pub number: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Pong {
    pub number: u32,
    pub pings: u32,
}

#[ring_kernel(id = "ponger")]
#[derive(Default)]
pub struct Ponger {
    pings: u32,
}

#[ring_kernel]
impl Ponger {
    #[handler]
    fn ping(&mut self, _ctx: &mut RingContext, msg: Ping) -> Pong {
        self.pings += 1;
        Pong { number: msg.number, pings: self.pings }
    }
}

/// The `q`-quantile of sorted times.
fn quantile(sorted: &[Duration], q: f64) -> Duration {
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((last * q).round() as usize).copied().unwrap_or_default()
}

fn row(what: &str, count: usize, p50: Duration, p99: Duration) {
    let micros = |time: Duration| format!("{:.2}", time.as_secs_f64() * 1e6);
    println!("{what:<44} {count:>8} {:>12} {:>12}", micros(p50), micros(p99));
}

/// Asks and waits, `asks` times, after a warm-up. `blocking` spins on its own reply instead of waiting to be woken.
async fn measure(
    ponger: &PongerProxy,
    asks: usize,
    blocking: bool,
) -> Result<Vec<Duration>, RingKernelError> {
    let mut times = Vec::with_capacity(asks);
    for i in 0..asks + asks / 10 {
        let number = i as u32;
        let begin = Instant::now();
        let pong = if blocking {
            ponger.ask_blocking(Ping { number })?
        } else {
            ponger.ask(Ping { number }).await?
        };
        let took = begin.elapsed();
        assert_eq!(pong.number, number);
        if i >= asks / 10 {
            times.push(took);
        }
    }
    times.sort_unstable();
    Ok(times)
}

/// What an empty kernel takes that is launched anew for each request.
#[cfg(feature = "cuda")]
fn beside(asks: usize) {
    match ringkernel::baseline::launch_and_synchronize(asks) {
        Ok(times) => {
            row("empty kernel, launch + synchronise", asks, times.quantile(0.5), times.quantile(0.99))
        }
        Err(error) => println!("empty kernel: {error}"),
    }
}

#[cfg(not(feature = "cuda"))]
fn beside(_: usize) {}

fn main() -> Result<(), RingKernelError> {
    let asks = if std::env::args().any(|flag| flag == "--quick") { 1_000 } else { 100_000 };
    smol::block_on(async {
        let runtimes = every_backend_present().await;
        println!("{:<44} {:>8} {:>12} {:>12}", "", "asks", "p50, us", "p99, us");
        for runtime in runtimes {
            // A resident kernel that polls without a pause answers fastest.
            let options = LaunchOptions::default().idle(IdlePolicy::Spin);
            let ponger = Ponger::launch(&runtime, options).await?;
            for (how, blocking) in [("ask", false), ("ask_blocking", true)] {
                let times = measure(&ponger, asks, blocking).await?;
                let what = format!("{} {how} ({})", runtime.backend(), runtime.device_name());
                row(&what, times.len(), quantile(&times, 0.5), quantile(&times, 0.99));
            }
            ponger.terminate().await?;
            if runtime.backend() == Backend::Cuda {
                beside(asks);
            }
            runtime.shutdown().await?;
        }
        Ok(())
    })
}
