//! What the tests of the CUDA device share: a device if there is one, and the least host that can talk to a kernel.
#![allow(dead_code, reason = "each test program uses its own part")]

use ringkernel_backends::abi::slot::Correlation;
use ringkernel_backends::abi::{Header, ring::Consumer};
use ringkernel_backends::cuda::CudaDevice;
use ringkernel_backends::kernel::*;
use ringkernel_backends::mesh::MeshSpec;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

pub(crate) fn no_native(_: NativeShardSpec<'_>) -> Result<Box<dyn NativeShard>, DeviceError> {
    Err(DeviceError::Terminated)
}

pub(crate) struct Quiet;
impl Progress for Quiet {
    fn progress(&self) {}
}

/// The test that fills the GPU runs alone.
pub(crate) static GPU: RwLock<()> = RwLock::new(());

pub(crate) fn device(test: &str, kernels: &[&'static KernelDescriptor]) -> Option<CudaDevice> {
    match CudaDevice::open(0, kernels) {
        Ok(device) => Some(device),
        Err(error) => {
            let required = std::env::var("RINGKERNEL_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|name| name == "cuda"), "{test}: {error}");
            eprintln!("skipped: {test}: {error}");
            None
        }
    }
}

/// How long nothing at all may happen before a test says that nothing will. However slow a machine is, it is not that slow.
const STILL: Duration = Duration::from_secs(120);
/// How long a kernel may take to end. Where it is told to, it does so at its next look.
pub(crate) const END: Duration = Duration::from_secs(60);
/// A count that moves for longer than this counts something else than it should.
const ENDLESS: Duration = Duration::from_secs(3600);

/// Waits for something that is about to happen.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < STILL, "{what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Waits until something was counted so often, however long that takes, as long as the count moves.
pub(crate) fn until_count(what: &str, wanted: u64, mut count: impl FnMut() -> u64) {
    let begin = Instant::now();
    let (mut last, mut since) = (count(), begin);
    while last < wanted {
        std::thread::sleep(Duration::from_micros(200));
        let now = count();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < STILL && begin.elapsed() < ENDLESS, "{what}: {last} of {wanted}");
    }
}

pub(crate) struct Running {
    pub(crate) kernel: Arc<dyn Kernel>,
    pub(crate) consumers: Vec<Consumer>,
}

impl Running {
    pub(crate) fn launch(
        device: &CudaDevice,
        descriptor: &'static KernelDescriptor,
        instances: u32,
        capacity: u32,
        active: bool,
    ) -> Self {
        Self::tuned(device, descriptor, instances, capacity, active, Tuning::default())
    }

    pub(crate) fn tuned(
        device: &CudaDevice,
        descriptor: &'static KernelDescriptor,
        instances: u32,
        capacity: u32,
        active: bool,
        tuning: Tuning,
    ) -> Self {
        Self::meshed(device, descriptor, instances, capacity, active, tuning, MeshSpec::default())
    }

    pub(crate) fn meshed(
        device: &CudaDevice,
        descriptor: &'static KernelDescriptor,
        instances: u32,
        capacity: u32,
        active: bool,
        tuning: Tuning,
        mesh: MeshSpec,
    ) -> Self {
        let kernel = device
            .launch(LaunchSpec {
                descriptor,
                instances,
                queue_capacity: capacity,
                active,
                initial: Arc::new(|instance, out| {
                    out.fill(0);
                    if let Some(first) = out.first_chunk_mut::<8>() {
                        *first = (instance as u64 * 1_000_000).to_le_bytes();
                    }
                }),
                idle: IdlePolicy::Backoff,
                tuning,
                mesh,
                progress: Arc::new(Quiet),
            })
            .unwrap();
        let consumers = kernel.ports().iter().map(|port| port.replies.consumer()).collect();
        Self { kernel, consumers }
    }

    pub(crate) fn push(&self, tag: u32, instance: u32, index: u32, payload: &[u8]) {
        let header =
            Header { tag, instance, correlation: Correlation { index, generation: 3 }, words: 0, hlc: 0 };
        let port = &self.kernel.ports()[instance as usize % self.kernel.ports().len()];
        let begin = Instant::now();
        while port.requests.try_push(header, payload).is_err() {
            assert!(begin.elapsed() < STILL, "the ring stays full");
            std::hint::spin_loop();
        }
    }

    pub(crate) fn pop(&mut self, shard: usize) -> (Header, Vec<u32>) {
        let mut words = vec![0; 80];
        let begin = Instant::now();
        loop {
            let port = &self.kernel.ports()[shard];
            if let Some(header) = self.consumers[shard].pop(&port.replies, &mut words) {
                self.consumers[shard].publish(&port.replies);
                words.truncate(header.words as usize);
                return (header, words);
            }
            assert!(begin.elapsed() < STILL, "no reply: {:?}", self.kernel.control());
        }
    }

    pub(crate) fn settled(&self, processed: u64) {
        let begin = Instant::now();
        while self.kernel.control().messages_processed != processed {
            assert!(begin.elapsed() < STILL, "{:?}", self.kernel.control());
        }
    }

    /// Waits until the host is told of so many faults, which it is a little later than of messages.
    pub(crate) fn faulted(&self, faults: u64) {
        let begin = Instant::now();
        while self.kernel.control().errors_encountered != faults {
            assert!(begin.elapsed() < STILL, "{:?} and not {faults}", self.kernel.control());
        }
    }

    pub(crate) fn end(self) {
        self.kernel.terminate(END).unwrap();
        self.kernel.terminate(END).unwrap();
    }
}

/// So many hops, or what `RINGKERNEL_PERCENT` leaves of them: an interpreter takes its time.
pub(crate) fn scaled(hops: u32) -> u32 {
    let percent = std::env::var("RINGKERNEL_PERCENT").map_or(100, |text| text.parse().unwrap());
    hops * percent / 100
}

pub(crate) fn as_i64(words: &[u32]) -> i64 {
    (words[0] as u64 | (words[1] as u64) << 32) as i64
}
