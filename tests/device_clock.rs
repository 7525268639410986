//! A device whose clock is not the host's: it runs fast, or slow, or is set while kernels are resident, and their timestamps stay near the time of day.
//!
//! A driver that this process has loaded has its clock already, so each case plays in a process of its own. The interpreter of PTX
//! (`tests/softcuda`) is told by the environment how its clock goes; a real GPU's goes as it does, and has to be near all the same.
//!
//! - `RINGKERNEL_REQUIRE`: `cuda`, where its absence is a failure.

#![allow(missing_docs, unreachable_pub)]

use futures::StreamExt;
use ringkernel::Hlc;
use ringkernel::prelude::*;
use ringkernel_tests::machine::{Collection, Machine, Stop};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Look {
    pub n: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Spin {
    pub left: u32,
}

/// What a clock says that no message of the host's has moved on.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Beat {
    pub at: HlcTimestamp,
}

#[ring_kernel(id = "witness")]
#[derive(Default)]
pub struct Witness {
    last: HlcTimestamp,
    /// How often the clock went back.
    back: u32,
}

#[ring_kernel]
impl Witness {
    #[handler]
    fn look(&mut self, ctx: &mut RingContext, _msg: Look) -> HlcTimestamp {
        let now = ctx.tick();
        if now <= self.last {
            self.back += 1;
        }
        self.last = now;
        now
    }
}

/// It never has nothing to do.
#[ring_kernel(id = "spinner")]
#[derive(Default)]
pub struct Spinner {
    last: HlcTimestamp,
    back: u32,
}

#[ring_kernel]
impl Spinner {
    #[handler]
    fn spin(&mut self, ctx: &mut RingContext, msg: Spin) {
        let now = ctx.tick();
        if now <= self.last {
            self.back += 1;
        }
        self.last = now;
        if msg.left & 63 == 0 {
            let _ = ctx.enqueue_output(Beat { at: now });
        }
        let _ = ctx.send::<Self>(ctx.instance(), Spin { left: msg.left.wrapping_sub(1) });
    }
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Search {
    pub number: u64,
}

/// Looks for a number in the orbit of xorshift64, which has all but 0.
#[ring_kernel(id = "lost")]
#[derive(Default)]
pub struct Lost {
    steps: u64,
}

#[ring_kernel]
impl Lost {
    #[handler]
    fn search(&mut self, _ctx: &mut RingContext, msg: Search) {
        let mut x = 1u64;
        while x != msg.number {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            self.steps = self.steps.wrapping_add(1);
        }
    }
}

const CHILD: &str = "RINGKERNEL_TEST_CLOCK_CHILD";
const TIME: Duration = Duration::from_secs(12);

/// Milliseconds by which a clock is ahead of the time of day.
fn ahead(at: HlcTimestamp) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (at.micros() as i64 - now.as_micros() as i64) / 1000
}

/// What happens in the child: kernels of every kind are resident, and what their clocks say is compared with the time of day. From `settled` on it has to be near.
async fn witnesses(settled: Duration) -> Result<String, RingKernelError> {
    let builder = RingKernel::builder().backend(Backend::Cuda).terminate_deadline(Duration::from_millis(500));
    let runtime = builder.build().await?;
    let clock = runtime.clock();
    let options = LaunchOptions::default;
    let idle_after = Duration::from_millis(20);
    let idle = Witness::launch(&runtime, options().instances(4)).await?;
    let leaving = Witness::launch(&runtime, options().mode(Mode::EventDriven { idle_after })).await?;
    let lost = Lost::launch(&runtime, options()).await?;
    let spinner = Spinner::launch(&runtime, options()).await?;
    let mut beats = spinner.outputs::<Beat>()?;
    spinner.tell(Spin { left: 0 }).await?;
    // A handler that never returns keeps nobody from being told.
    lost.tell(Search { number: 0 }).await?;
    let begin = Instant::now();
    let most = Hlc::MAX_DRIFT.as_millis() as u64;
    let (mut worst, mut beaten, mut disbelieved) = ([0; 3], 0, 0);
    let mut n = 0;
    while begin.elapsed() < TIME {
        n += 1;
        let near = begin.elapsed() >= settled;
        if !near {
            disbelieved = clock.disbelieved();
        }
        let at = idle.at(n % 4)?.look(Look { n }).await?;
        let mut found = [Some(ahead(at)), None, None];
        if n.is_multiple_of(20) {
            found[1] = Some(ahead(leaving.look(Look { n }).await?));
        }
        // The newest of what lies there.
        while let Some(Some(beat)) = futures::FutureExt::now_or_never(beats.next()) {
            found[2] = Some(ahead(beat?.message.at));
            beaten += 1;
        }
        for (worst, found) in worst.iter_mut().zip(found) {
            let Some(found) = found.filter(|_| near) else { continue };
            assert!(found.unsigned_abs() < most, "{found} ms ahead after {:?}", begin.elapsed());
            *worst = if found.abs() > i64::abs(*worst) { found } else { *worst };
        }
        smol::Timer::after(Duration::from_millis(30)).await;
    }
    assert!(beaten > 20, "{beaten} outputs");
    assert_eq!(clock.disbelieved(), disbelieved, "replies that the host did not believe");
    // Not the lost one: it is not to be had.
    spinner.terminate().await?;
    for instance in 0..4 {
        assert_eq!(idle.snapshot::<Witness>(instance).await?.back, 0, "a clock went back");
    }
    idle.terminate().await?;
    Ok(format!("{worst:?} ms of the idle, the leaving and the busy one"))
}

/// Plays in a process of its own, where the interpreter's clock is told how to go.
fn with(machine: &Machine, clock: &[(&str, &str)], settled: Duration) -> Result<(), Stop> {
    machine.runtime(Backend::Cuda)?;
    let test = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut child = Command::new(test);
    child.env(CHILD, settled.as_millis().to_string()).envs(clock.iter().copied());
    let output = child.output().map_err(|error| error.to_string())?;
    let [said, wrong] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    println!("{clock:?}: {said}");
    if output.status.success() && said.contains("near") {
        return Ok(());
    }
    Err(Stop::Failed(format!("{}\n{said}\n{wrong}", output.status)))
}

fn main() -> ExitCode {
    if let Ok(settled) = std::env::var(CHILD) {
        let settled = settled.parse().map(Duration::from_millis).unwrap_or_default();
        match smol::block_on(witnesses(settled)) {
            Ok(found) => println!("near: {found}"),
            Err(error) => eprintln!("{error}"),
        }
        // Not back through `main`: what never returns is still there.
        std::process::exit(0);
    }
    let mut tests = Collection::default();
    tests.add("device_clock::a_clock_that_runs_fast_is_followed::cuda".into(), |machine| {
        with(machine, &[("SOFTCUDA_CLOCK_RATE", "1050000")], Duration::ZERO)
    });
    tests.add("device_clock::a_clock_that_runs_slow_is_followed::cuda".into(), |machine| {
        with(machine, &[("SOFTCUDA_CLOCK_RATE", "950000")], Duration::ZERO)
    });
    tests.add("device_clock::a_clock_that_is_set_is_followed::cuda".into(), |machine| {
        // As if the host's clock had been set back. What had the later time counts on from there until the time of day has come there.
        let set = [("SOFTCUDA_CLOCK_STEP", "3000"), ("SOFTCUDA_CLOCK_STEP_AFTER", "1000")];
        with(machine, &set, TIME * 3 / 4)
    });
    tests.run()
}
