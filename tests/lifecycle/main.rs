//! Kernels over their lives, on every backend: the three paths of the lifecycle, different kernel types resident at once, and many
//! launches and terminations in a row without a hang or a leak.
//!
//! - `RINGKERNEL_CYCLES`: launches and terminations in the endurance test (25; use 1000 on a GPU).
//! - `RINGKERNEL_REQUIRE`: backends whose absence is a failure.

#![allow(missing_docs, unreachable_pub)]

use ringkernel::prelude::*;
use ringkernel_tests::machine::{BACKENDS, Collection, Machine, Stop, backend_name, env_or};
use std::future::Future;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Add {
    pub by: u32,
}

#[ring_kernel(id = "adder")]
#[derive(Default)]
pub struct Adder {
    total: u32,
}

#[ring_kernel]
impl Adder {
    #[handler]
    fn add(&mut self, _ctx: &mut RingContext, msg: Add) -> u32 {
        self.total += msg.by;
        self.total
    }
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Append {
    pub letter: u8,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Text {
    pub letters: [u8; 12],
    pub length: u8,
}

#[ring_kernel(id = "writer")]
#[derive(Default, Debug, PartialEq)]
pub struct Writer {
    letters: [u8; 12],
    length: u8,
}

#[ring_kernel]
impl Writer {
    #[handler]
    fn append(&mut self, _ctx: &mut RingContext, msg: Append) -> Text {
        self.letters[(self.length % 12) as usize] = msg.letter;
        self.length = self.length.wrapping_add(1);
        Text { letters: self.letters, length: self.length }
    }
}

/// What a test does with a runtime.
type Outcome = Result<(), Stop>;

fn check(holds: bool, what: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(what().into()) }
}

fn stop(error: RingKernelError) -> Stop {
    Stop::Failed(error.to_string())
}

/// A step that takes longer than any device should is a hang.
async fn in_time<T>(what: &str, step: impl Future<Output = T>) -> Result<T, Stop> {
    let late = async {
        smol::Timer::after(Duration::from_secs(60)).await;
        Err(Stop::Failed(format!("{what} did not return within a minute")))
    };
    smol::future::or(async { Ok(step.await) }, late).await
}

/// Launch (active) → deactivate → activate → terminate.
async fn path_activated_at_launch(runtime: &RingKernel) -> Outcome {
    let adder = in_time("launch", Adder::launch(runtime, LaunchOptions::default())).await?.map_err(stop)?;
    check(adder.state() == KernelState::Active && adder.is_active(), || {
        format!("launched {:?}", adder.state())
    })?;
    check(adder.add(Add { by: 2 }).await.map_err(stop)? == 2, || "the first answer".into())?;
    in_time("deactivate", adder.deactivate()).await?.map_err(stop)?;
    check(adder.state() == KernelState::Deactivated, || format!("deactivated {:?}", adder.state()))?;
    adder.tell(Add { by: 3 }).await.map_err(stop)?;
    let early = adder.ask_timeout(Add { by: 5 }, Duration::from_millis(30)).await;
    check(matches!(early, Err(RingKernelError::Timeout { .. })), || {
        format!("deactivated, it answered {early:?}")
    })?;
    let state = adder.snapshot::<Adder>(0).await.map_err(stop)?;
    check(state.total == 2, || format!("deactivated, it counted to {}", state.total))?;
    in_time("activate", adder.activate()).await?.map_err(stop)?;
    check(adder.add(Add { by: 7 }).await.map_err(stop)? == 17, || {
        "what waited was not handled in order".into()
    })?;
    in_time("terminate", adder.terminate()).await?.map_err(stop)?;
    check(adder.state() == KernelState::Terminated, || format!("terminated {:?}", adder.state()))?;
    let late = adder.add(Add { by: 1 }).await;
    check(matches!(late, Err(RingKernelError::Terminated { .. })), || {
        format!("terminated, it answered {late:?}")
    })
}

/// Launch (not active) → activate → suspend → resume → terminate.
async fn path_activated_later(runtime: &RingKernel) -> Outcome {
    let options = LaunchOptions::default().without_auto_activate();
    let kernel = in_time("launch", runtime.launch("adder", options)).await?.map_err(stop)?;
    check(kernel.state() == KernelState::Launched && !kernel.is_active(), || {
        format!("launched {:?}", kernel.state())
    })?;
    kernel.send(Add { by: 4 }).await.map_err(stop)?;
    let early = kernel.receive_timeout::<u32>(Duration::from_millis(30)).await;
    check(early.is_err(), || format!("before activation it answered {early:?}"))?;
    in_time("activate", kernel.activate()).await?.map_err(stop)?;
    check(in_time("receive", kernel.receive::<u32>()).await?.map_err(stop)? == 4, || {
        "the first answer".into()
    })?;
    in_time("suspend", kernel.suspend()).await?.map_err(stop)?;
    kernel.send(Add { by: 5 }).await.map_err(stop)?;
    check(matches!(kernel.try_receive::<u32>(), Ok(None)), || "suspended, it answered".into())?;
    in_time("resume", kernel.resume()).await?.map_err(stop)?;
    check(in_time("receive", kernel.receive::<u32>()).await?.map_err(stop)? == 9, || "after resume".into())?;
    in_time("terminate", kernel.terminate()).await?.map_err(stop)
}

/// Launch → terminate, never active, and deactivated → terminate; what waits is answered with an error.
async fn path_terminated_early(runtime: &RingKernel) -> Outcome {
    let options = || LaunchOptions::default().without_auto_activate();
    let never = Adder::launch(runtime, options()).await.map_err(stop)?;
    in_time("terminate", never.terminate()).await?.map_err(stop)?;
    let adder = Adder::launch(runtime, LaunchOptions::default()).await.map_err(stop)?;
    adder.add(Add { by: 1 }).await.map_err(stop)?;
    adder.suspend().await.map_err(stop)?;
    let waiting = adder.add(Add { by: 1 });
    let ending = async {
        smol::Timer::after(Duration::from_millis(20)).await;
        adder.terminate().await
    };
    let both = in_time("terminate", futures::future::join(waiting, ending)).await?;
    both.1.map_err(stop)?;
    check(matches!(both.0, Err(RingKernelError::Terminated { .. })), || {
        format!("what waited ended in {:?}", both.0)
    })
}

/// Two actor types at once, messages interleaved; then one goes and the other stays.
async fn different_types_at_once(runtime: &RingKernel) -> Outcome {
    let adder = Adder::launch(runtime, LaunchOptions::default().instances(3)).await.map_err(stop)?;
    check(adder.add(Add { by: 1 }).await.map_err(stop)? == 1, || "alone".into())?;
    let writer = in_time("a second type's launch", Writer::launch(runtime, LaunchOptions::default()))
        .await?
        .map_err(stop)?;
    let mut text = Text { letters: [0; 12], length: 0 };
    for i in 0..100u32 {
        let letter = b'a' + (i % 26) as u8;
        text.letters[text.length as usize % 12] = letter;
        text.length += 1;
        let (sum, written) =
            futures::future::join(adder.add(Add { by: 1 }), writer.append(Append { letter })).await;
        check(sum.map_err(stop)? == i + 2, || format!("the sum after {i}"))?;
        check(written.map_err(stop)? == text, || format!("the text after {i}"))?;
    }
    in_time("terminate", writer.terminate()).await?.map_err(stop)?;
    check(adder.add(Add { by: 1 }).await.map_err(stop)? == 102, || "alone again".into())?;
    // On a GPU, counters follow the replies.
    let (mut counted, begin) = (0, Instant::now());
    while counted != 102 && begin.elapsed() < Duration::from_secs(2) {
        counted = adder.telemetry().messages_processed;
    }
    check(counted == 102, || format!("the adder counted {counted} messages of 102"))?;
    in_time("terminate", adder.terminate()).await?.map_err(stop)
}

/// States are replaced and copied out in bulk while the kernel is resident, an image outlives it, and another goes on from there.
async fn states_in_bulk(runtime: &RingKernel) -> Outcome {
    const INSTANCES: u32 = 30_001;
    let text = |i: u32| Writer { letters: [b'a' + (i % 26) as u8; 12], length: i as u8 };
    let options = LaunchOptions::default().instances(INSTANCES);
    let writers = in_time("launch", Writer::launch(runtime, options)).await?.map_err(stop)?;
    let start = Instant::now();
    in_time("restore_all", writers.restore_all((0..INSTANCES).map(text))).await?.map_err(stop)?;
    let states = in_time("snapshot_all", writers.snapshot_all::<Writer>()).await?.map_err(stop)?;
    eprintln!("{INSTANCES} states there and back on {}: {:?}", runtime.backend(), start.elapsed());
    check(states.len() == INSTANCES as usize, || format!("{} states", states.len()))?;
    let wrong = (0..INSTANCES).find(|&i| states[i as usize] != text(i));
    check(wrong.is_none(), || {
        format!("instance {wrong:?} came back as {:?}", wrong.map(|i| &states[i as usize]))
    })?;
    // The handlers see what was written, also where one had run before.
    for round in 0..2u8 {
        let last = writers.at(INSTANCES - 1).map_err(stop)?;
        let expected = text(INSTANCES - 1).length.wrapping_add(round + 1);
        let written = last.append(Append { letter: b'!' }).await.map_err(stop)?;
        check(written.length == expected, || format!("round {round} wrote {written:?}"))?;
    }
    let last = writers.at(INSTANCES - 1).map_err(stop)?;
    last.restore(INSTANCES - 1, text(3)).await.map_err(stop)?;
    let written = last.append(Append { letter: b'!' }).await.map_err(stop)?;
    check(written.length == 4, || format!("after one restore: {written:?}"))?;
    check(writers.state() == KernelState::Active, || format!("it is {}", writers.state()))?;
    in_time("terminate", writers.terminate()).await?.map_err(stop)?;
    let image = in_time("image", writers.image()).await?.map_err(stop)?;
    let image = StateImage::from_bytes(&image.to_bytes()).map_err(|error| Stop::Failed(error.to_string()))?;
    let again = runtime.launch("writer", LaunchOptions::from_image(image)).await.map_err(stop)?;
    let states = in_time("snapshot_all", again.snapshot_all::<Writer>()).await?.map_err(stop)?;
    check(states[7] == text(7) && states[INSTANCES as usize - 1].length == 4, || {
        "the image's states".into()
    })?;
    in_time("terminate", again.terminate()).await?.map_err(stop)
}

/// What was handed over before a kernel is drained has been handled when it ends, and asks have their replies.
async fn drained(runtime: &RingKernel) -> Outcome {
    for queue_capacity in [16, 1024] {
        let options = LaunchOptions::default().instances(50).queue_capacity(queue_capacity);
        let adders = Adder::launch(runtime, options).await.map_err(stop)?;
        let tellers: Vec<_> = (0..4)
            .map(|_| {
                let adders = adders.clone();
                smol::spawn(async move {
                    let mut told = 0;
                    while adders.at(told % 50)?.tell(Add { by: 1 }).await.is_ok() {
                        told += 1;
                    }
                    Ok::<u32, RingKernelError>(told)
                })
            })
            .collect();
        let askers: Vec<_> = (0..4)
            .map(|i| {
                let adder = adders.at(i);
                smol::spawn(async move {
                    let (adder, mut asked) = (adder?, 0);
                    loop {
                        match adder.add(Add { by: 1 }).await {
                            Ok(_) => asked += 1,
                            Err(RingKernelError::Terminated { .. }) => {
                                return Ok::<u32, RingKernelError>(asked);
                            }
                            Err(error) => return Err(error),
                        }
                    }
                })
            })
            .collect();
        // One at least, on a machine that has no time for the others.
        check(adders.at(7).map_err(stop)?.add(Add { by: 1 }).await.is_ok(), || "an ask in between".into())?;
        smol::Timer::after(Duration::from_millis(30)).await;
        let drain = TerminateOptions::default().drain().deadline(Duration::from_secs(30));
        in_time("draining", adders.terminate_with(drain)).await?.map_err(stop)?;
        let mut sent = 1;
        for task in tellers.into_iter().chain(askers) {
            sent += in_time("a sender", task).await?.map_err(stop)?;
        }
        let states = adders.snapshot_all::<Adder>().await.map_err(stop)?;
        let counted: u32 = states.iter().map(|adder| adder.total).sum();
        check(counted == sent, || format!("{sent} messages were taken and {counted} handled"))?;
    }
    Ok(())
}

/// Launches and terminates in a row. A leak of memory, threads or file handles shows by the thousandth time.
async fn cycles(runtime: &RingKernel) -> Outcome {
    let cycles = env_or("RINGKERNEL_CYCLES", 25);
    cycle(runtime, 0).await?;
    let (begin, host, device) = (Instant::now(), resident_bytes(), device_mebibytes(runtime));
    for i in 1..=cycles {
        cycle(runtime, i).await?;
    }
    let grown = resident_bytes().saturating_sub(host);
    let on_device = device_mebibytes(runtime).saturating_sub(device);
    eprintln!(
        "{cycles} cycles on {} took {:?}; host memory grew by {grown} bytes, device memory by {on_device} MiB",
        runtime.backend(),
        begin.elapsed()
    );
    // A kernel of 2001 instances and its rings take some 200 KiB; a leak of it would show as that much a cycle.
    check(cycles < 200 || grown < cycles * 50_000, || format!("{cycles} cycles left {grown} bytes behind"))?;
    check(on_device < 64, || format!("{cycles} cycles left {on_device} MiB behind on the device"))
}

async fn cycle(runtime: &RingKernel, i: u64) -> Outcome {
    let options = LaunchOptions::default().instances(1 + (i % 3) as u32 * 1000);
    let adder = in_time("launch", Adder::launch(runtime, options)).await?.map_err(stop)?;
    let last = adder.at(adder.instances() - 1).map_err(stop)?;
    check(in_time("ask", last.add(Add { by: 3 })).await?.map_err(stop)? == 3, || format!("cycle {i}"))?;
    match i % 3 {
        // Dropping the last handle terminates as well.
        0 => drop((adder, last)),
        _ => in_time("terminate", adder.terminate()).await?.map_err(stop)?,
    }
    Ok(())
}

/// Memory in use on an NVIDIA GPU, by whomever; 0 where the runtime is not on one.
fn device_mebibytes(runtime: &RingKernel) -> u64 {
    if runtime.backend() != Backend::Cuda {
        return 0;
    }
    let query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"];
    let output = std::process::Command::new("nvidia-smi").args(query).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.ok().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// Resident bytes of this process; 0 where the system does not say.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok()).unwrap_or(0) * 4096
}

fn main() -> ExitCode {
    let mut tests = Collection::default();
    for backend in BACKENDS {
        let name = backend_name(backend);
        let runtime = move |machine: &Machine| machine.runtime(backend);
        tests.add(format!("lifecycle::path_activated_at_launch::{name}"), move |machine| {
            smol::block_on(path_activated_at_launch(&*runtime(machine)?))
        });
        tests.add(format!("lifecycle::path_activated_later::{name}"), move |machine| {
            smol::block_on(path_activated_later(&*runtime(machine)?))
        });
        tests.add(format!("lifecycle::path_terminated_early::{name}"), move |machine| {
            smol::block_on(path_terminated_early(&*runtime(machine)?))
        });
        tests.add(format!("lifecycle::different_types_are_resident_at_once::{name}"), move |machine| {
            smol::block_on(different_types_at_once(&*runtime(machine)?))
        });
        tests.add(format!("lifecycle::states_in_bulk::{name}"), move |machine| {
            smol::block_on(states_in_bulk(&*runtime(machine)?))
        });
        tests.add(format!("lifecycle::drained::{name}"), move |machine| {
            smol::block_on(drained(&*runtime(machine)?))
        });
        tests.add(format!("lifecycle::launched_and_terminated_many_times::{name}"), move |machine| {
            smol::block_on(cycles(&*runtime(machine)?))
        });
    }
    tests.run()
}
