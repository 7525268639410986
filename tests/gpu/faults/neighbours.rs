//! Another user of the GPU in the same process: a cudarc stream that copies, clears, waits for events and launches, beside 16
//! resident kernels. No call of it may be held up, and its rate may not fall below half.
//!
//! Calls that wait until the device is idle never return beside a resident kernel, whoever makes them; they are printed and not made.

use super::case::{Ground, Outcome, ensure, text};
use super::hung::latencies;
use crate::common::machine::quantile;
use crate::common::worker::{Echo, Worker};
use cudarc::driver::{CudaContext, CudaFunction, CudaSlice, CudaStream, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;
use ringkernel::ActorRef;
use ringkernel::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const FLOATS: usize = 16 * 1024;
const KERNELS: usize = 16;
/// A call that takes longer is taken to hang.
const PATIENCE: Duration = Duration::from_secs(3);

const PTX: &str = "
.version 6.0
.target sm_70
.address_size 64
.visible .entry add_one(.param .u64 data, .param .u32 count)
{
    .reg .pred %p;
    .reg .b32 %r<6>;
    .reg .f32 %f<2>;
    .reg .b64 %rd<4>;
    ld.param.u64 %rd0, [data];
    ld.param.u32 %r0, [count];
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %ntid.x;
    mov.u32 %r3, %tid.x;
    mad.lo.u32 %r4, %r1, %r2, %r3;
    setp.ge.u32 %p, %r4, %r0;
    @%p bra DONE;
    mul.wide.u32 %rd1, %r4, 4;
    add.u64 %rd2, %rd0, %rd1;
    ld.global.f32 %f0, [%rd2];
    add.rn.f32 %f0, %f0, 0f3F800000;
    st.global.f32 [%rd2], %f0;
DONE:
    ret;
}
";

/// Which call is being made, and since when, for the watchdog; and how long each took at worst.
struct Calls {
    begin: Instant,
    /// Nanoseconds since `begin`, 0 between calls.
    since: AtomicU64,
    name: Mutex<&'static str>,
    worst: Mutex<BTreeMap<&'static str, Duration>>,
}

impl Calls {
    fn watched() -> Arc<Self> {
        let calls = Arc::new(Self {
            begin: Instant::now(),
            since: AtomicU64::new(0),
            name: Mutex::new(""),
            worst: Mutex::default(),
        });
        let watched = calls.clone();
        std::thread::spawn(move || {
            loop {
                std::thread::sleep(Duration::from_millis(100));
                // Relaxed: seen a little later is soon enough.
                let since = watched.since.load(Ordering::Relaxed);
                let now = watched.begin.elapsed();
                if since > 0 && now > Duration::from_nanos(since) + PATIENCE {
                    let name = *watched.name.lock().unwrap_or_else(PoisonError::into_inner);
                    println!("SAW: `{name}` did not return within {PATIENCE:?}");
                    std::process::exit(1);
                }
            }
        });
        calls
    }

    fn make<T, E: std::fmt::Debug>(
        &self,
        name: &'static str,
        call: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, String> {
        *self.name.lock().unwrap_or_else(PoisonError::into_inner) = name;
        self.since.store(self.begin.elapsed().as_nanos() as u64 + 1, Ordering::Relaxed);
        let begin = Instant::now();
        let result = call();
        let took = begin.elapsed();
        self.since.store(0, Ordering::Relaxed);
        let mut worst = self.worst.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = worst.entry(name).or_default();
        *entry = took.max(*entry);
        result.map_err(|error| format!("{name}: {error:?}"))
    }

    fn forget(&self) {
        self.worst.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn print(&self) {
        for (name, worst) in self.worst.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            println!("{name:<22} at worst {worst:>10.1?}");
        }
    }
}

/// What the other user has.
struct Neighbour {
    calls: Arc<Calls>,
    stream: Arc<CudaStream>,
    second: Arc<CudaStream>,
    add_one: CudaFunction,
    data: CudaSlice<f32>,
    cleared: CudaSlice<f32>,
    host: Vec<f32>,
    back: Vec<f32>,
}

impl Neighbour {
    fn move_in() -> Result<Self, String> {
        let calls = Calls::watched();
        let context = calls.make("cuDevicePrimaryCtxRetain", || CudaContext::new(0))?;
        let stream = calls.make("cuStreamCreate", || context.new_stream())?;
        let second = calls.make("cuStreamCreate", || context.new_stream())?;
        let module = calls.make("cuModuleLoadData", || context.load_module(Ptx::from_src(PTX)))?;
        let add_one = module.load_function("add_one").map_err(|error| format!("{error:?}"))?;
        let host: Vec<f32> = (0..FLOATS).map(|i| i as f32).collect();
        let data = calls.make("cuMemAllocAsync", || stream.alloc_zeros::<f32>(FLOATS))?;
        let cleared = calls.make("cuMemAllocAsync", || stream.alloc_zeros::<f32>(FLOATS))?;
        let mut neighbour =
            Self { calls, stream, second, add_one, data, cleared, back: vec![0.0; FLOATS], host };
        // The first launch loads code, which waits for the device as well.
        neighbour.turn()?;
        neighbour.calls.forget();
        Ok(neighbour)
    }

    /// One of everything, and a look at the result.
    fn turn(&mut self) -> Result<(), String> {
        let Self { calls, stream, second, add_one, data, cleared, host, back } = self;
        calls.make("cuMemcpyHtoDAsync", || stream.memcpy_htod(&host[..], data))?;
        calls.make("cuMemsetD8Async", || stream.memset_zeros(cleared))?;
        let config = LaunchConfig::for_num_elems(FLOATS as u32);
        let count = FLOATS as u32;
        calls.make("cuLaunchKernel", || {
            let mut launch = stream.launch_builder(add_one);
            launch.arg(&mut *data).arg(&count);
            // SAFETY: the kernel's parameters are these two, and it stays within `count` floats of `data`.
            unsafe { launch.launch(config) }
        })?;
        let event = calls.make("cuEventRecord", || stream.record_event(None))?;
        calls.make("cuStreamWaitEvent", || second.wait(&event))?;
        calls.make("cuMemcpyDtoHAsync", || stream.memcpy_dtoh(data, &mut back[..]))?;
        calls.make("cuEventSynchronize", || event.synchronize())?;
        calls.make("cuStreamSynchronize", || stream.synchronize())?;
        let wrong = host.iter().zip(&*back).filter(|(sent, got)| **sent + 1.0 != **got).count();
        ensure(wrong == 0, || format!("{wrong} floats came back wrong"))
    }

    /// Turns in a second, over so long.
    fn rate(&mut self, span: Duration) -> Result<f64, String> {
        let begin = Instant::now();
        let mut turns = 0u64;
        while begin.elapsed() < span {
            self.turn()?;
            turns += 1;
        }
        Ok(turns as f64 / begin.elapsed().as_secs_f64())
    }

    /// Allocates and frees, in stream order.
    fn allocate(&mut self) -> Result<(), String> {
        let Self { calls, stream, .. } = self;
        for _ in 0..200 {
            let slice = calls.make("cuMemAllocAsync", || stream.alloc_zeros::<f32>(4 * FLOATS))?;
            calls.make("cuMemFreeAsync", || {
                drop(slice);
                Ok::<_, String>(())
            })?;
        }
        calls.make("cuStreamSynchronize", || stream.synchronize())
    }
}

pub fn another_user_of_the_gpu(ground: &Ground) -> Outcome {
    let span = Duration::from_millis(ground.number("--span-ms", 500, 3000)?);
    println!(
        "not called beside resident kernels, since they wait for an idle device: cuModuleLoadData, cuModuleUnload, cuMemFree,"
    );
    println!(
        "cuMemFreeHost, cuCtxSynchronize, now and then cuStreamCreate, and the first launch of a function"
    );
    let runtime = ground.runtime()?;
    let mut neighbour = Neighbour::move_in()?;
    let alone = neighbour.rate(span)?;
    let workers: Vec<ActorRef<Worker>> = (0..KERNELS)
        .map(|_| smol::block_on(ringkernel::__private::launch::<Worker>(&runtime, LaunchOptions::default())))
        .collect::<Result<_, _>>()
        .map_err(text)?;
    let mut asked_alone = latencies(&workers[0], 10_000)?;
    let resident = neighbour.rate(span)?;
    // Now with asks.
    let stop = AtomicBool::new(false);
    let (busy, mut asked) = std::thread::scope(|scope| -> Result<_, String> {
        let asker = scope.spawn(|| {
            let mut times = Vec::new();
            // Relaxed: it only has to be seen some time.
            for (n, worker) in (0..).zip(workers.iter().cycle()) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let begin = Instant::now();
                let answer = worker.ask_blocking(Echo { n }).map_err(text)?;
                times.push(begin.elapsed());
                ensure(answer == n + 1, || format!("{n} was answered with {answer}"))?;
            }
            Ok::<_, String>(times)
        });
        let busy = neighbour.rate(span);
        stop.store(true, Ordering::Relaxed);
        let times = asker.join().map_err(|_| "the asker panicked")??;
        Ok((busy?, times))
    })?;
    println!(
        "turns a second: alone {alone:.0}, beside {KERNELS} resident kernels {resident:.0}, with asks {busy:.0}"
    );
    neighbour.calls.print();
    for rate in [resident, busy] {
        ensure(rate >= alone / 2.0, || {
            format!("the neighbour makes {rate:.0} turns a second instead of {alone:.0}")
        })?;
    }
    neighbour.calls.forget();
    neighbour.allocate()?;
    println!("and allocating:");
    neighbour.calls.print();
    latencies(&workers[KERNELS - 1], 1000)?;
    // The module goes with the neighbour, and unloading it waits: so after the kernels.
    workers.iter().try_for_each(|worker| smol::block_on(worker.terminate())).map_err(text)?;
    drop(neighbour);
    Ok(format!(
        "the neighbour at {:.2} of its rate, {:.2} with asks; asks p50 {:?} p99 {:?} alone, {:?} {:?} beside it",
        resident / alone,
        busy / alone,
        quantile(&mut asked_alone, 0.5),
        quantile(&mut asked_alone, 0.99),
        quantile(&mut asked, 0.5),
        quantile(&mut asked, 0.99)
    ))
}
