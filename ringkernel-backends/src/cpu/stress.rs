//! The device under random schedules: many shards, many senders, rings that are full, suspends in between. Nothing is lost, nothing
//! is handled twice, and what one sender sends to one instance is handled in its order.

use super::CpuDevice;
use crate::abi::{Correlation, Header, tag};
use crate::device_tests::*;
use crate::kernel::*;
use crate::mesh::Outbox;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const SENDERS: usize = 4;

/// `u64` (sender, number) → the same. Its state: for each sender the number it expects next, and how often it got another.
struct Book {
    pages: Vec<[u32; SENDERS + 1]>,
}

impl NativeShard for Book {
    fn handle(
        &mut self,
        local: u32,
        _: u32,
        _: u32,
        payload: &[u8],
        reply: &mut [u8],
        _: &mut dyn Outbox,
    ) -> Outcome {
        let page = &mut self.pages[local as usize];
        let word = |k: usize| u32::from_le_bytes(payload[4 * k..][..4].try_into().unwrap());
        let expected = std::mem::replace(&mut page[word(0) as usize], word(1) + 1);
        page[SENDERS] += (expected != word(1)) as u32;
        reply[..8].copy_from_slice(payload);
        Outcome::Reply { tag: tag::U64, bytes: 8 }
    }

    fn read_state(&self, local: u32, out: &mut [u8]) {
        out.copy_from_slice(bytemuck::cast_slice(&self.pages[local as usize]));
    }

    fn write_state(&mut self, _: u32, _: &[u8]) -> Result<(), DeviceError> {
        Ok(())
    }
}

static BOOK: KernelDescriptor = KernelDescriptor {
    id: "book",
    actor: "Book",
    state_size: 4 * (SENDERS as u32 + 1),
    state_align: 4,
    handlers: &[HandlerInfo {
        name: "note",
        message: MessageInfo::fixed("u64", tag::U64, 8),
        reply: MessageInfo::fixed("u64", tag::U64, 8),
    }],
    native: |spec| Ok(Box::new(Book { pages: vec![[0; SENDERS + 1]; spec.count as usize] })),
    ..TALLY
};

/// xorshift64*: schedules need no better.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// One schedule: a device, a kernel, its senders, who takes the replies, and who suspends it. How many messages there were.
fn schedule(seed: u64) -> u64 {
    let mut random = Random(seed | 1);
    // Rings of a few slots are full all the time, and slow.
    let (capacity, messages) = match random.one_in(4) {
        true => (1 << random.below(4), 1_000),
        false => (1 << (4 + random.below(6)), 15_000),
    };
    let threads = 1 + random.below(4) as usize;
    let instances = 1 + random.below(20) as u32;
    let tuning = Tuning {
        shards: Some(1 + random.below(12) as u32),
        first_position: [0, u32::MAX as u64 - 100, u64::MAX - 100, random.0][random.below(4) as usize],
        ..Tuning::default()
    };
    let idle = if random.one_in(2) { IdlePolicy::Spin } else { IdlePolicy::Backoff };
    let spec = LaunchSpec { tuning, idle, ..spec_of(&BOOK, instances, capacity) };
    let mut host = Host::launch(&CpuDevice::new(threads), spec);
    let kernel = host.kernel.clone();
    let (sending, asked) = (AtomicBool::new(true), AtomicU64::new(0));

    let (sent, mut replies) = thread::scope(|s| {
        let senders: Vec<_> = (0..SENDERS as u32)
            .map(|sender| {
                let (kernel, asked) = (kernel.clone(), &asked);
                let random = Random(seed.rotate_left(sender * 7 + 1) | 1);
                s.spawn(move || send(&*kernel, sender, random, instances, messages, asked))
            })
            .collect();
        let suspends = {
            let (kernel, sending, mut random) = (kernel.clone(), &sending, Random(seed.rotate_left(40) | 1));
            s.spawn(move || suspend(&*kernel, sending, &mut random))
        };
        // The replies, sometimes late, so that their rings are full as well.
        let collector = s.spawn(|| {
            let (mut random, mut replies) = (Random(seed.rotate_left(50) | 1), Vec::new());
            while sending.load(Ordering::Acquire) || (replies.len() as u64) < asked.load(Ordering::Acquire) {
                if random.one_in(500) {
                    thread::sleep(Duration::from_micros(random.below(300)));
                }
                match host.poll() {
                    Some(reply) => replies.push(reply),
                    None => thread::yield_now(),
                }
            }
            replies
        });
        let sent: Vec<Vec<u32>> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
        sending.store(false, Ordering::Release);
        suspends.join().unwrap();
        (sent, collector.join().unwrap())
    });

    let total = SENDERS as u64 * messages as u64;
    host.wait_processed(total);
    kernel.set_active(false).unwrap();
    assert!(host.poll().is_none());
    let telemetry = kernel.telemetry();
    assert_eq!((kernel.control().messages_processed, telemetry.messages_processed), (total, total));
    assert_eq!(kernel.control().errors_encountered, 0);
    assert!((0..kernel.ports().len()).map(|shard| kernel.heartbeat(shard)).sum::<u64>() == total);
    let mut pages = vec![[0u32; SENDERS + 1]; instances as usize];
    kernel.read_states(0, instances, bytemuck::cast_slice_mut(&mut pages)).unwrap();
    for (instance, page) in pages.iter().enumerate() {
        let expected: Vec<u32> = sent.iter().map(|sender| sender[instance]).chain([0]).collect();
        assert_eq!(page[..], expected, "instance {instance}: handled of each sender, and out of order");
    }
    // Each request was answered once, by the instance it went to, and an instance's replies to a sender come in its order.
    assert_eq!(replies.len() as u64, asked.load(Ordering::Relaxed));
    let mut last = vec![[None; SENDERS]; instances as usize];
    for reply in &replies {
        let last: &mut Option<u32> = &mut last[reply.instance as usize][reply.words[0] as usize];
        assert!(last.replace(reply.words[1]).is_none_or(|before| before < reply.words[1]), "{reply:?}");
    }
    replies.sort_unstable_by_key(|reply| reply.correlation.index);
    replies.dedup_by_key(|reply| reply.correlation.index);
    assert_eq!(replies.len() as u64, asked.load(Ordering::Relaxed), "requests answered twice");
    total
}

/// Sends `messages`, some of which are requests; how many to each instance.
fn send(
    kernel: &dyn Kernel,
    sender: u32,
    mut random: Random,
    instances: u32,
    messages: u32,
    asked: &AtomicU64,
) -> Vec<u32> {
    let mut numbers = vec![0; instances as usize];
    let asks = 1 + random.below(6);
    for i in 0..messages {
        let instance = random.below(instances as u64) as u32;
        let number = &mut numbers[instance as usize];
        let correlation = match random.one_in(asks) {
            true => Correlation { index: sender << 24 | i, generation: 3 },
            false => Correlation::NONE,
        };
        let header = Header { tag: tag::U64, instance, correlation, words: 0, hlc: 0 };
        let shard = instance as usize % kernel.ports().len();
        let payload = [sender, *number];
        while kernel.ports()[shard].requests.try_push(header, bytemuck::cast_slice(&payload)).is_err() {
            thread::yield_now();
        }
        kernel.doorbell(shard);
        *number += 1;
        if correlation.is_some() {
            asked.fetch_add(1, Ordering::Release);
        }
        if random.one_in(3000) {
            // Long enough for the shards to go idle, sometimes for the workers to park.
            thread::sleep(Duration::from_micros(random.below(400)));
        }
    }
    numbers
}

/// Switches the kernel off and on; while it is off, nothing is handled.
fn suspend(kernel: &dyn Kernel, sending: &AtomicBool, random: &mut Random) {
    while sending.load(Ordering::Acquire) {
        kernel.set_active(false).unwrap();
        let before = kernel.control().messages_processed;
        thread::sleep(Duration::from_micros(random.below(200)));
        assert_eq!(kernel.control().messages_processed, before);
        kernel.set_active(true).unwrap();
        thread::sleep(Duration::from_micros(random.below(3000)));
    }
}

#[test]
fn a_million_messages_under_random_schedules_are_each_handled_once_in_their_senders_order() {
    // Other schedules with every run; one that fails is repeated by its seed.
    let seeds = std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), 0u32);
    let (mut round, mut handled) = (0, 0);
    while handled < 1_000_000 {
        let seed = seeds.wrapping_add(round).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match thread::spawn(move || schedule(seed)).join() {
            Ok(messages) => handled += messages,
            Err(_) => panic!("schedule({seed:#x})"),
        }
        round += 1;
    }
}

/// What `Tuning` asks for.
fn tuned(tuning: Tuning, instances: u32, capacity: u32) -> Host {
    Host::launch(&CpuDevice::new(2), LaunchSpec { tuning, ..spec_of(&TALLY, instances, capacity) })
}

#[test]
fn a_kernel_has_the_shards_that_were_asked_for_and_never_more_than_instances() {
    for (asked, instances, shards) in [(None, 100, 2), (None, 1, 1), (Some(16), 100, 16), (Some(8), 3, 3)] {
        let mut host = tuned(Tuning { shards: asked, ..Tuning::default() }, instances, 16);
        assert_eq!(host.kernel.ports().len(), shards);
        for instance in 0..instances {
            assert_eq!(host.round_trip(instance, ADD, &[instance]).words, [instance, 1]);
        }
        assert_eq!(host.kernel.control().messages_processed, instances as u64);
    }
}

#[test]
fn a_shard_that_is_to_stop_after_so_many_messages_has_then_terminated() {
    let mut host = tuned(Tuning { shards: Some(2), stop_after: Some(5), ..Tuning::default() }, 2, 16);
    for instance in [0, 1] {
        for i in 1..=4 {
            assert_eq!(host.round_trip(instance, ADD, &[1]).words, [i, i]);
        }
    }
    use crate::abi::HasTerminated::{Done, Running};
    assert_eq!(host.kernel.control().has_terminated, Running);
    for _ in 0..3 {
        host.send(0, ADD, &[1], Correlation::NONE);
        host.send(1, ADD, &[1], Correlation::NONE);
    }
    wait_until("it has stopped", || host.kernel.control().has_terminated == Done);
    // What came behind stays where it is, whoever rings or switches.
    host.kernel.set_active(true).unwrap();
    thread::sleep(Duration::from_millis(20));
    assert_eq!(host.kernel.control().messages_processed, 10);
    assert_eq!(host.kernel.ports().iter().map(|port| port.requests.len()).sum::<u64>(), 4);
    let mut states = [0u32; 4];
    host.kernel.read_states(0, 2, bytemuck::cast_slice_mut(&mut states)).unwrap();
    assert_eq!(states, [5, 5, 5, 5]);
    host.terminate();
}

#[test]
fn the_heartbeat_moves_while_a_stream_of_messages_is_handled() {
    let host = tuned(Tuning::default(), 1, 1024);
    let stop = AtomicBool::new(false);
    thread::scope(|s| {
        s.spawn(|| {
            let header = Header { tag: ADD, instance: 0, correlation: Correlation::NONE, words: 0, hlc: 0 };
            while !stop.load(Ordering::Relaxed) {
                host.try_push(header, &[0]);
            }
        });
        for _ in 0..20 {
            let before = host.kernel.heartbeat(0);
            wait_until("it has moved", || host.kernel.heartbeat(0) != before);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let sent = host.kernel.ports()[0].requests.pushed();
    wait_until("all is handled", || host.kernel.heartbeat(0) == sent);
}

#[test]
fn telemetry_of_a_kernel_at_rest_accounts_for_every_message_of_a_stream() {
    let host = tuned(Tuning::default(), 1, 1024);
    for round in 1..=20 {
        for _ in 0..500 {
            host.send(0, ADD, &[1], Correlation::NONE);
        }
        host.wait_processed(500 * round);
        host.kernel.set_active(false).unwrap();
        let telemetry = host.kernel.telemetry();
        assert_eq!(telemetry.messages_processed, 500 * round);
        assert!(telemetry.min_latency_nanos <= telemetry.max_latency_nanos);
        assert!(telemetry.min_latency_nanos * 500 * round <= telemetry.total_latency_nanos, "{telemetry:?}");
        assert!(host.kernel.ports()[0].requests.is_empty());
        host.kernel.set_active(true).unwrap();
    }
}

#[test]
fn a_sender_that_waits_for_room_is_told_when_there_is_some() {
    struct Wakes(thread::Thread);
    impl Progress for Wakes {
        fn progress(&self) {
            std::sync::atomic::fence(Ordering::SeqCst);
            self.0.unpark();
        }
    }
    for capacity in [1, 2, 8, 64] {
        let progress = Arc::new(Wakes(thread::current()));
        let host = Host::launch(&CpuDevice::new(2), LaunchSpec { progress, ..spec_of(&TALLY, 1, capacity) });
        let header = Header { tag: ADD, instance: 0, correlation: Correlation::NONE, words: 0, hlc: 0 };
        for _ in 0..3000 {
            while !host.try_push(header, &[1]) {
                std::sync::atomic::fence(Ordering::SeqCst);
                if host.try_push(header, &[1]) {
                    break;
                }
                // Nobody else wakes this thread: were it forgotten, it would sleep for ever.
                thread::park();
            }
        }
        host.wait_processed(3000);
    }
}
