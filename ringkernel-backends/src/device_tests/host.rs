//! The least host that can talk to a kernel: pushes requests, collects replies.

use crate::abi::slot::GENERATION_MASK;
use crate::abi::{Consumer, Correlation, FaultKind, Header, tag};
use crate::kernel::{Device, FaultSite, IdlePolicy, Kernel, KernelDescriptor, LaunchSpec, Progress};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Far more than any device needs.
const LONG: Duration = Duration::from_secs(20);

/// A spec for `instances` zeroed instances.
pub(crate) fn spec_of(
    descriptor: &'static KernelDescriptor,
    instances: u32,
    queue_capacity: u32,
) -> LaunchSpec {
    LaunchSpec {
        descriptor,
        instances,
        queue_capacity,
        active: true,
        initial: Arc::new(|_, out| out.fill(0)),
        idle: IdlePolicy::Backoff,
        tuning: Default::default(),
        mesh: Default::default(),
        progress: Arc::new(Calls::default()),
    }
}

/// Counts calls.
#[derive(Default)]
pub(crate) struct Calls(pub(crate) AtomicU64);

impl Progress for Calls {
    fn progress(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A reply as it came out of the ring.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reply {
    pub(crate) tag: u32,
    pub(crate) instance: u32,
    pub(crate) correlation: Correlation,
    pub(crate) words: Vec<u32>,
    pub(crate) hlc: u64,
    /// Whose ring it came out of.
    pub(crate) shard: usize,
}

impl Reply {
    /// What it says if it is a fault.
    pub(crate) fn fault(&self) -> Option<(FaultKind, FaultSite)> {
        if self.tag != tag::FAULT {
            return None;
        }
        assert_eq!(self.words.len(), 2, "a fault is two words");
        Some((FaultKind::from_code(self.words[0]).unwrap(), FaultSite::from_word(self.words[1])))
    }
}

pub(crate) struct Host {
    pub(crate) kernel: Arc<dyn Kernel>,
    consumers: Vec<Consumer>,
    words: Vec<u32>,
}

impl Host {
    pub(crate) fn launch(device: &dyn Device, spec: LaunchSpec) -> Self {
        let kernel = device.launch(spec).unwrap();
        let consumers = kernel.ports().iter().map(|port| port.replies.consumer()).collect();
        let most = kernel.ports().iter().map(|port| port.replies.shape().payload_words()).max();
        Self { kernel, consumers, words: vec![0; most.unwrap_or(0)] }
    }

    pub(crate) fn shard_of(&self, instance: u32) -> usize {
        instance as usize % self.consumers.len()
    }

    pub(crate) fn try_push(&self, header: Header, payload: &[u32]) -> bool {
        let shard = self.shard_of(header.instance);
        let pushed =
            self.kernel.ports()[shard].requests.try_push(header, bytemuck::cast_slice(payload)).is_ok();
        self.kernel.doorbell(shard);
        pushed
    }

    /// Sends without waiting for room: the caller knows that there is.
    pub(crate) fn send(&self, instance: u32, tag: u32, payload: &[u32], correlation: Correlation) {
        assert!(
            self.try_push(Header { tag, instance, correlation, words: 0, hlc: 0 }, payload),
            "the ring is full"
        );
    }

    /// Sends with a correlation of index `id`.
    pub(crate) fn ask(&self, instance: u32, tag: u32, payload: &[u32], id: u32) {
        self.send(
            instance,
            tag,
            payload,
            Correlation { index: id, generation: (id as u16 ^ 0x5a5a) & GENERATION_MASK },
        );
    }

    /// Asks and waits for the answer.
    pub(crate) fn round_trip(&mut self, instance: u32, tag: u32, payload: &[u32]) -> Reply {
        self.ask(instance, tag, payload, 1);
        self.next_reply()
    }

    /// A reply, if one is there now.
    pub(crate) fn poll(&mut self) -> Option<Reply> {
        for (shard, (port, consumer)) in self.kernel.ports().iter().zip(&mut self.consumers).enumerate() {
            if let Some(header) = consumer.pop(&port.replies, &mut self.words) {
                consumer.publish(&port.replies);
                let words = self.words[..header.words as usize].to_vec();
                let Header { tag, instance, correlation, hlc, .. } = header;
                return Some(Reply { tag, instance, correlation, words, hlc, shard });
            }
        }
        None
    }

    pub(crate) fn next_reply(&mut self) -> Reply {
        let start = Instant::now();
        loop {
            if let Some(reply) = self.poll() {
                return reply;
            }
            assert_eq!(self.kernel.failure(), None);
            assert!(
                start.elapsed() < LONG,
                "no reply; {:?} {:?}",
                self.kernel.control(),
                self.kernel.telemetry()
            );
            thread::yield_now();
        }
    }

    /// Waits until the kernel's own counter says that it finished `count` messages.
    pub(crate) fn wait_processed(&self, count: u64) {
        wait_until("messages are processed", || self.kernel.control().messages_processed >= count);
    }

    pub(crate) fn terminate(&self) {
        self.kernel.terminate(Duration::from_secs(5)).unwrap();
    }
}

/// Waits for something that must come about.
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < LONG, "waited too long until {what}");
        thread::sleep(Duration::from_micros(200));
    }
}
