//! One request at a time, from the call to the reply in hand.

use super::{Bench, Expected, Measured, series, start};
use crate::actors::{Count, Counter};
use crate::evidence::Watch;
use std::time::Instant;

/// `ask_blocking`: looks for its reply itself.
pub fn ask_blocking(bench: &Bench) -> Measured {
    asks(bench, true, "ask_blocking", "`ask_blocking`, one at a time")
}

/// `ask(…).await` on smol's `block_on`.
pub fn ask(bench: &Bench) -> Measured {
    asks(bench, false, "ask", "`ask().await` on smol, one at a time")
}

fn asks(bench: &Bench, blocking: bool, id: &'static str, title: &str) -> Measured {
    smol::block_on(async {
        let counter = start::<Counter>(bench, bench.for_latency()).await?;
        let watch = Watch::begin(&counter);
        let mut expected = Expected::default();
        let times = series(&bench.arguments, 100_000, async |number| {
            let begin = Instant::now();
            let reply = if blocking {
                counter.ask_blocking(Count { number })?
            } else {
                counter.ask(Count { number }).await?
            };
            let took = begin.elapsed();
            expected.sent(number);
            expected.check(number, reply)?;
            Ok(took)
        })
        .await?;
        let asked = u64::from(expected.count);
        let evidence = watch.end(asked, asked, "every reply: number, running count, running sum")?;
        counter.terminate().await?;
        bench.latency(id, title, &times, evidence)
    })
}
