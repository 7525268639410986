//! The runtime over the CPU device and over a [device made for misbehaving](fake). Actors: [`testing`](crate::testing).

mod batches;
mod bridge;
mod connections;
mod draining;
mod fake;
mod fake_mesh;
mod handles;
mod hung;
mod lifecycle;
mod neighbours;
mod outputs;
mod relays;
mod replies;
mod requests;
mod runtimes;
mod states;
mod subscribers;
mod waiting;

use crate::testing::Account;
use crate::{ActorRef, Backend, LaunchOptions, RingKernel};
use fake::{Knobs, polled};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

/// A runtime on the CPU.
async fn cpu() -> RingKernel {
    RingKernel::builder().backend(Backend::Cpu).build().await.expect("the CPU is always there")
}

async fn account(runtime: &RingKernel, options: LaunchOptions) -> ActorRef<Account> {
    crate::runtime::launch(runtime, options).await.expect("launched")
}

/// Waits until something is so, for what happens on other threads after the fact.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what} did not come true in 20 s");
        std::thread::sleep(Duration::from_millis(1));
    }
}
