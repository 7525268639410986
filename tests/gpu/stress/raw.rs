//! The rings of a device without the runtime above it: every request has its own correlation, and every reply is looked at, so that
//! one that came twice, or never, or with another's correlation, is seen.

use crate::common::counting::{Counting, NUMBERS, bytes_60::Counter, first_word};
use ringkernel::{Actor, DeviceType, RingMessage};
use ringkernel::{Backend, DeviceError};
use ringkernel_backends::abi::slot::GENERATION_MASK;
use ringkernel_backends::abi::{Correlation, Header};
use ringkernel_backends::cpu::CpuDevice;
use ringkernel_backends::cuda::CudaDevice;
use ringkernel_backends::kernel::{Device, IdlePolicy, Kernel, LaunchSpec, Port, Progress};
use ringkernel_tests::machine::{Stop, backend_name};
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Quiet;

impl Progress for Quiet {
    fn progress(&self) {}
}

type Message = <Counter as Counting>::Message;

const INSTANCES: u32 = 64;

fn open(backend: Backend) -> Result<Arc<dyn Device>, Stop> {
    match backend {
        Backend::Cpu => Ok(Arc::new(CpuDevice::new(2))),
        Backend::Cuda => match CudaDevice::open(0, &[Counter::DESCRIPTOR]) {
            Ok(device) => Ok(Arc::new(device)),
            Err(error) => Err(Stop::Missing { what: backend_name(backend), why: error.to_string() }),
        },
        _ => Err(Stop::Missing { what: "rings", why: format!("{backend} is not opened by hand here") }),
    }
}

/// Sends that many messages and looks at every reply. Says how fast that was.
pub fn run(backend: Backend, messages: u64) -> Result<String, Stop> {
    let device = open(backend)?;
    let failed = |error: DeviceError| Stop::Failed(error.to_string());
    let kernel = device
        .launch(LaunchSpec {
            descriptor: Counter::DESCRIPTOR,
            instances: INSTANCES,
            queue_capacity: 1024,
            active: true,
            initial: Arc::new(|_, out: &mut [u8]| Counter::default().encode(out)),
            idle: IdlePolicy::Backoff,
            tuning: Default::default(),
            mesh: Default::default(),
            progress: Arc::new(Quiet),
        })
        .map_err(failed)?;
    let shards = kernel.ports().len();
    let each = messages / shards as u64;
    let begin = Instant::now();
    let kernel = &*kernel;
    let outcome: Result<(), String> = std::thread::scope(|scope| {
        let threads: Vec<_> = kernel
            .ports()
            .iter()
            .enumerate()
            .map(|(shard, port)| {
                scope.spawn(move || send(kernel, port, shard, shards, each));
                scope.spawn(move || receive(port, shard, shards, each))
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".into())))
    });
    outcome.map_err(Stop::Failed)?;
    let seconds = begin.elapsed().as_secs_f64();
    let sent = each * shards as u64;
    kernel.terminate(Duration::from_secs(5)).map_err(failed)?;
    let counted = kernel.control().messages_processed;
    if counted != sent {
        return Err(Stop::Failed(format!("{sent} sent, {counted} counted by the device")));
    }
    Ok(format!(
        "{sent} requests, {sent} replies, each once, {shards} shards, {:.2} M/s",
        sent as f64 / seconds / 1e6
    ))
}

/// The `i`-th request of a shard: its instance, its first word and its correlation.
fn request(shard: usize, shards: usize, i: u64) -> (u32, u32, Correlation) {
    let of_shard = INSTANCES as u64 / shards as u64;
    let instance = (i % of_shard) as u32 * shards as u32 + shard as u32;
    let number = (i / of_shard) as u32 & NUMBERS;
    let correlation =
        Correlation { index: i as u32 ^ 0x2aaa_aaaa, generation: (i * 40_503) as u16 & GENERATION_MASK };
    (instance, first_word(shard as u32 % 8, number), correlation)
}

fn send(kernel: &dyn Kernel, port: &Port, shard: usize, shards: usize, each: u64) {
    let mut bytes = vec![0; Message::SIZE as usize];
    for i in 0..each {
        let (instance, first, correlation) = request(shard, shards, i);
        Counter::message(first).encode(&mut bytes);
        let header = Header { tag: Message::TAG, instance, correlation, words: 0, hlc: 0 };
        let begin = Instant::now();
        while port.requests.try_push(header, &bytes).is_err() {
            if begin.elapsed() > Duration::from_secs(20) {
                // The receiver will say what is missing.
                return;
            }
            std::thread::yield_now();
        }
        kernel.doorbell(shard);
    }
}

fn receive(port: &Port, shard: usize, shards: usize, each: u64) -> Result<(), String> {
    let mut consumer = port.replies.consumer();
    let mut words = vec![0; port.replies.shape().payload_words()];
    // Replies keep the order of each instance's requests; in which order instances answer is the device's choice.
    let of_shard = INSTANCES as u64 / shards as u64;
    let mut next: Vec<u64> = (0..of_shard).collect();
    let mut begin = Instant::now();
    let mut left = each;
    while left > 0 {
        let Some(header) = consumer.pop(&port.replies, &mut words) else {
            consumer.publish(&port.replies);
            if begin.elapsed() > Duration::from_secs(10) {
                return Err(format!("shard {shard}: {left} of {each} replies did not come"));
            }
            std::thread::yield_now();
            continue;
        };
        begin = Instant::now();
        left -= 1;
        if left.is_multiple_of(128) {
            consumer.publish(&port.replies);
        }
        let local = header.instance as usize / shards;
        let expected =
            next.get_mut(local).ok_or_else(|| format!("a reply of instance {}", header.instance))?;
        let (instance, first, correlation) = request(shard, shards, *expected);
        *expected += of_shard;
        if (header.instance, header.correlation, header.tag) != (instance, correlation, Message::TAG) {
            return Err(format!(
                "shard {shard}: a reply of instance {} with {:?}, expected {correlation:?}",
                header.instance, header.correlation
            ));
        }
        let bytes: Vec<u8> =
            words[..header.words as usize].iter().flat_map(|word| word.to_le_bytes()).collect();
        let reply = Message::decode(&bytes).map_err(|error| error.to_string())?;
        if !Counter::answers(&reply, first) {
            return Err(format!("shard {shard}: the reply to {first:#x} is torn: {:x?}", reply.words));
        }
    }
    consumer.publish(&port.replies);
    std::thread::sleep(Duration::from_millis(20));
    match consumer.pop(&port.replies, &mut words) {
        None => Ok(()),
        Some(header) => Err(format!("shard {shard}: one reply too many, {header:?}")),
    }
}
