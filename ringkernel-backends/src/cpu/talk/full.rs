use super::node::*;
use crate::abi::{Correlation, FaultKind, Origin};
use crate::cpu::CpuDevice;
use crate::device_tests::*;
use crate::mesh::*;
use std::time::{Duration, Instant};

/// A sender and a receiver that does not run, with this policy and a mailbox of four.
fn jammed(threads: usize, overflow: Overflow) -> (Host, Host) {
    let device = CpuDevice::new(threads);
    let (a, b) = (
        node(&device, 1, Plan::default()),
        node(&device, 2, Plan { mailbox: 4, overflow, ..Plan::default() }),
    );
    connect(&a, &b);
    b.kernel.set_active(false).unwrap();
    (a, b)
}

#[test]
fn a_full_mailbox_rejects_and_counts_and_loses_nothing() {
    let (mut a, b) = jammed(1, Overflow::Reject);
    for _ in 0..3 {
        assert_eq!(order(&mut a, SEND, 0, 10, 0).0, FULL);
    }
    assert_eq!(b.kernel.mailbox().full, 3);
    b.kernel.set_active(true).unwrap();
    let notes = wait_noted(&b, 0, 4);
    assert_eq!((notes.misordered, notes.gaps, notes.next[0]), (0, 0, 4));
}

#[test]
fn a_send_that_blocks_is_done_when_there_is_room() {
    let (mut a, b) = jammed(2, Overflow::Block { at_most: Duration::from_secs(20) });
    std::thread::scope(|s| {
        let sent = s.spawn(|| order(&mut a, SEND, 0, 1000, 0));
        std::thread::sleep(Duration::from_millis(20));
        assert!(!sent.is_finished());
        b.kernel.set_active(true).unwrap();
        assert_eq!(sent.join().unwrap(), (OK, 1000));
    });
    assert_eq!(wait_noted(&b, 0, 1000).misordered, 0);
    assert_eq!(b.kernel.mailbox(), MailboxSnapshot { received: 1000, ..MailboxSnapshot::default() });
}

#[test]
fn a_send_that_blocks_ends_at_its_bound() {
    let (mut a, b) = jammed(1, Overflow::Block { at_most: Duration::from_millis(30) });
    let start = Instant::now();
    assert_eq!(order(&mut a, SEND, 0, 5, 0), (FULL, 4));
    assert!(start.elapsed() >= Duration::from_millis(30) && start.elapsed() < Duration::from_secs(10));
    assert_eq!(b.kernel.mailbox().full, 1);
}

#[test]
fn a_send_that_blocks_the_only_thread_goes_on_when_another_has_run_the_receiver() {
    let device = CpuDevice::new(1);
    let overflow = Overflow::Block { at_most: Duration::from_secs(20) };
    let plan = Plan { mailbox: 4, overflow, ..Plan::default() };
    let (mut a, b) = (node(&device, 1, plan), node(&device, 2, plan));
    connect(&a, &b);
    assert_eq!(order(&mut a, SEND, 0, 12, 0), (OK, 12));
    assert_eq!(wait_noted(&b, 0, 12).misordered, 0);
}

#[test]
fn nobody_waits_for_himself_nor_longer_than_he_is_wanted() {
    let overflow = Overflow::Block { at_most: Duration::from_secs(600) };
    let mut alone = node(&CpuDevice::new(1), 1, Plan { mailbox: 4, overflow, ..Plan::default() });
    connect(&alone, &alone);
    assert_eq!(order(&mut alone, SEND, 0, 5, 0), (FULL, 4));
    // A deactivation, or the end, of the sender or of the receiver.
    for end in 0..3 {
        let (mut a, b) = jammed(1, overflow);
        let (sender, receiver) = (a.kernel.clone(), b.kernel.clone());
        std::thread::scope(|s| {
            let sent = s.spawn(move || {
                a.ask(0, DO, &[SEND, 0, 5, 0], 1);
                if end == 1 { Vec::new() } else { a.next_reply().words }
            });
            wait_until("the sender waits", || receiver.mailbox().waiting == 4);
            match end {
                0 => {
                    sender.set_active(false).unwrap();
                    assert_eq!(sent.join().unwrap(), [FULL, 4]);
                }
                1 => sender.terminate(Duration::from_secs(10)).unwrap(),
                _ => {
                    receiver.terminate(Duration::from_secs(10)).unwrap();
                    assert_eq!(sent.join().unwrap(), [GONE, 4]);
                }
            }
        });
    }
}

#[test]
fn where_the_oldest_are_dropped_the_newest_arrive() {
    let (mut a, b) = jammed(1, Overflow::DropOldest);
    assert_eq!(order(&mut a, SEND, 0, 100, 0), (OK, 100));
    assert_eq!(b.kernel.mailbox(), MailboxSnapshot { waiting: 4, received: 0, full: 0, dropped: 96 });
    assert_eq!(b.kernel.telemetry().messages_dropped, 96);
    b.kernel.set_active(true).unwrap();
    let notes = wait_noted(&b, 0, 4);
    assert_eq!((notes.next[0], notes.gaps, notes.misordered), (100, 96, 0));
    assert_eq!(b.kernel.mailbox().received, 4);
}

#[test]
fn who_waits_for_the_answer_to_a_dropped_message_is_told() {
    let (a, mut b) = jammed(1, Overflow::DropOldest);
    for id in 0..6 {
        a.ask(0, DO, &[FORWARD, 0, 1, id], id);
    }
    a.wait_processed(6);
    b.kernel.set_active(true).unwrap();
    let mut answers: Vec<(u32, bool)> = (0..6)
        .map(|_| {
            let reply = b.next_reply();
            let Origin::Forwarded { kernel: 1, index } = reply.correlation.origin() else {
                panic!("{reply:?}");
            };
            (
                index,
                reply.tag == crate::abi::tag::FAULT && reply.fault().unwrap().0 == FaultKind::NotDelivered,
            )
        })
        .collect();
    answers.sort();
    assert_eq!(answers, [(0, true), (1, true), (2, false), (3, false), (4, false), (5, false)]);
}

#[test]
fn where_the_oldest_are_dropped_so_are_those_that_nobody_receives() {
    let device = CpuDevice::new(1);
    let plan = Plan { mailbox: 4, overflow: Overflow::DropOldest, ..Plan::default() };
    let (mut a, mut b) = (node(&device, 1, plan), node(&device, 2, plan));
    connect(&a, &b);
    connect(&b, &a);
    for number in 0..50 {
        assert_eq!(order(&mut a, SEND_DATA, 0, 1, number), (OK, 1));
        // So that it leaves the ring.
        wait_until("it is kept", || b.kernel.mailbox().received + b.kernel.mailbox().dropped > number as u64);
    }
    assert_eq!(order(&mut b, RECEIVE, 0, 1, 0), (46, 1));
    assert_eq!(order(&mut b, RECEIVE, 0, 9, 0), (49, 3));
}

/// Kernels each of which sends to the next, all mailboxes full.
fn cycle(threads: usize, overflow: Overflow) {
    let device = CpuDevice::new(threads);
    let plan = Plan { mailbox: 2, overflow, ..Plan::default() };
    let mut nodes: Vec<Host> = (0..4).map(|number| node(&device, number, plan)).collect();
    for (k, from) in nodes.iter().enumerate() {
        connect(from, &nodes[(k + 1) % nodes.len()]);
    }
    // Orders that travel round the ring themselves, so that those who find no room are being handled from a full mailbox.
    for round in 0..200 {
        for (k, node) in nodes.iter().enumerate() {
            node.ask(0, DO, &[SEND, 0, 5, ((k as u32) << 24) + 5 * round], round);
        }
        for node in &mut nodes {
            let reply = node.next_reply();
            assert!(reply.words[0] == OK || reply.words[0] == FULL, "{reply:?}");
        }
    }
    for node in &nodes {
        node.terminate();
    }
}

#[test]
fn a_cycle_of_full_mailboxes_is_no_deadlock() {
    for threads in [1, 3] {
        cycle(threads, Overflow::Reject);
        cycle(threads, Overflow::DropOldest);
        cycle(threads, Overflow::Block { at_most: Duration::from_micros(300) });
    }
}

#[test]
fn kernels_that_all_wait_for_each_other_end_at_the_bound() {
    // Each handles an order out of its mailbox, which is full, and waits for room in the next one's, which is full as well.
    let device = CpuDevice::new(3);
    let overflow = Overflow::Block { at_most: Duration::from_millis(100) };
    let nodes: Vec<Host> = (0..3)
        .map(|number| node(&device, number, Plan { mailbox: 1, overflow, ..Plan::default() }))
        .collect();
    for (k, from) in nodes.iter().enumerate() {
        connect(from, &nodes[(k + 1) % nodes.len()]);
    }
    for node in &nodes {
        node.send(0, DO, &[SLEEP, 0, 50, 0], Correlation::NONE);
        node.send(0, DO, &[SEND, 0, 100, 0], Correlation::NONE);
    }
    let start = Instant::now();
    for node in &nodes {
        node.wait_processed(2);
    }
    assert!(start.elapsed() < Duration::from_secs(10));
    let full: u64 = nodes.iter().map(|node| node.kernel.mailbox().full).sum();
    assert!(full >= 1, "somebody gave way");
    // And all of them go on.
    for node in &nodes {
        node.send(0, PASS, &[0], Correlation::NONE);
        let before = node.kernel.control().messages_processed;
        wait_until("it goes on", || {
            node.kernel.control().messages_processed > before || notes(&node.kernel, 0).received > 0
        });
    }
}
