use super::node::*;
use crate::abi::slot::{FORWARDED, GENERATION_MASK};
use crate::abi::{Correlation, FaultKind, Origin};
use crate::cpu::CpuDevice;
use crate::device_tests::*;
use crate::mesh::*;

fn two(plan: Plan) -> (Host, Host) {
    let device = CpuDevice::new(2);
    let (a, b) = (node(&device, 1, plan), node(&device, 2, plan));
    connect(&a, &b);
    (a, b)
}

#[test]
fn what_a_handler_sends_arrives_in_order_and_says_who_sent_it() {
    let (mut a, b) = two(Plan { instances: 3, ..Plan::default() });
    for round in 0..100 {
        assert_eq!(order(&mut a, SEND, 2, 50, 50 * round), (OK, 50));
        wait_noted(&b, 2, 50 * (round + 1));
    }
    let notes = wait_noted(&b, 2, 5000);
    assert_eq!((notes.misordered, notes.gaps, notes.late), (0, 0, 0));
    assert_eq!((notes.kernel, notes.instance), (1, 0));
    assert_eq!(b.kernel.mailbox(), MailboxSnapshot { received: 5000, ..MailboxSnapshot::default() });
    assert_eq!(a.kernel.mailbox(), MailboxSnapshot::default());
}

#[test]
fn a_send_that_leads_nowhere_says_so() {
    let device = CpuDevice::new(1);
    let (mut a, b) = (node(&device, 1, Plan::default()), node(&device, 2, Plan::default()));
    assert_eq!(order(&mut a, SEND, 0, 1, 0), (GONE, 0));
    assert_eq!(order(&mut a, FORWARD, 0, 1, 0), (GONE, 0));
    assert_eq!(order(&mut a, REPLY, 0, 1, 0), (Sent::NoSender as u32, 0));
    connect(&a, &b);
    assert_eq!(order(&mut a, SEND, 1, 1, 0), (Sent::NoInstance as u32, 0));
    assert_eq!(order(&mut a, SEND_OTHER, 0, 1, 0), (GONE, 0));
    assert_eq!(order(&mut a, SEND, 0, 1, 0), (OK, 1));
    wait_noted(&b, 0, 1);
}

#[test]
fn a_kernel_may_send_to_itself_and_to_the_shard_that_runs() {
    for threads in [1, 2] {
        let mut node =
            node(&CpuDevice::new(threads), 1, Plan { instances: 4, shards: Some(2), ..Plan::default() });
        connect(&node, &node);
        for round in 0..20 {
            for instance in 0..4 {
                assert_eq!(order(&mut node, SEND, instance, 40, 40 * round), (OK, 40));
                let notes = wait_noted(&node, instance, 40 * (round + 1));
                assert_eq!((notes.misordered, notes.gaps), (0, 0));
            }
        }
    }
}

#[test]
fn a_message_goes_round_a_ring_of_kernels() {
    for (threads, kernels) in [(1, 5), (3, 5), (2, 1)] {
        let device = CpuDevice::new(threads);
        let nodes: Vec<Host> = (0..kernels).map(|number| node(&device, number, Plan::default())).collect();
        for (k, from) in nodes.iter().enumerate() {
            connect(from, &nodes[(k + 1) % nodes.len()]);
        }
        let hops = 20_000 / kernels as u32 * kernels as u32;
        nodes[0].send(0, PASS, &[hops], Correlation::NONE);
        nodes[0].wait_processed((hops / kernels as u32 + 1) as u64);
        for node in &nodes[1..] {
            assert_eq!(notes(&node.kernel, 0).received, hops / kernels as u32);
        }
    }
}

#[test]
fn a_reply_goes_to_the_instance_that_sent() {
    let (mut a, b) = two(Plan { instances: 2, ..Plan::default() });
    // Nobody has told it where the asker is.
    assert_eq!(order(&mut a, ASK_REPLY, 1, 1, 0), (OK, 1));
    b.wait_processed(1);
    b.kernel.set_peer(1, Target::Kernel(&a.kernel)).unwrap();
    assert_eq!(order(&mut a, ASK_REPLY, 1, 20, 0), (OK, 20));
    let notes = wait_noted(&a, 0, 20);
    assert_eq!((notes.misordered, notes.gaps, notes.kernel, notes.instance), (0, 0, 2, 1));
    b.kernel.set_peer(1, Target::Nobody).unwrap();
    assert_eq!(order(&mut a, ASK_REPLY, 1, 1, 20), (OK, 1));
    b.wait_processed(22);
    assert_eq!(wait_noted(&a, 0, 20).received, 20);
}

#[test]
fn what_was_forwarded_is_answered_by_the_receiver_under_the_first_kernels_name() {
    let (a, mut b) = two(Plan::default());
    a.ask(0, DO, &[FORWARD, 0, 1, 21], 5);
    let reply = b.next_reply();
    assert_eq!((reply.tag, &reply.words[..]), (DID, &[7, 42][..]));
    assert_eq!(reply.correlation.origin(), Origin::Forwarded { kernel: 1, index: 5 });
    assert!(reply.hlc > 0);
    // On, and on: the name stays.
    let device = CpuDevice::new(1);
    let mut c = node(&device, 3, Plan::default());
    connect(&b, &c);
    let order = Correlation::from(Origin::Forwarded { kernel: 1, index: 6 });
    b.send(0, DO, &[FORWARD, 0, 1, 5], order);
    let reply = c.next_reply();
    assert_eq!((reply.correlation, &reply.words[..]), (order, &[7, 10][..]));
    assert_eq!(reply.correlation.generation & !GENERATION_MASK, FORWARDED);
}

#[test]
fn who_has_forwarded_answers_no_more_whatever_it_does_then() {
    let (mut a, mut b) = two(Plan::default());
    a.ask(0, DO, &[FORWARD_AND_FAIL, 0, 1, 1], 1);
    assert_eq!(b.next_reply().words, [7, 2]);
    wait_until("the fault is counted", || a.kernel.control().errors_encountered == 1);
    // A second answer would be one too many; the first is the receiver's.
    a.ask(0, DO, &[FORWARD, 0, 2, 1], 2);
    assert_eq!(b.next_reply().words, [7, 2]);
    b.wait_processed(2);
    // The next request is answered as ever.
    assert_eq!(a.round_trip(0, WORK, &[4]).words, [7, 8]);
    assert!(a.poll().is_none() && b.poll().is_none());
}

#[test]
fn what_nobody_waits_for_is_forwarded_as_it_is_as_often_as_one_likes() {
    let device = CpuDevice::new(2);
    let nodes: Vec<Host> =
        (0..3).map(|number| node(&device, number, Plan { instances: 2, ..Plan::default() })).collect();
    connect(&nodes[0], &nodes[1]);
    connect(&nodes[1], &nodes[2]);
    nodes[2].kernel.set_peer(0, Target::Kernel(&nodes[0].kernel)).unwrap();
    // From a kernel: the receiver replies to that one, not to who handed it on.
    nodes[1].send(1, DO, &[FORWARD_REPLY, 1, 2, 5], Origin::Kernel { kernel: 0, instance: 1 }.into());
    let noted = wait_noted(&nodes[0], 1, 2);
    assert_eq!((noted.kernel, noted.instance), (2, 1));
    // From the host: there is nobody to reply to.
    nodes[1].send(0, DO, &[FORWARD_REPLY, 0, 1, 5], Correlation::NONE);
    nodes[2].wait_processed(3);
    assert_eq!(notes(&nodes[0].kernel, 1).received, 2);
}

#[test]
fn what_nobody_handles_is_a_fault_that_is_counted() {
    let (mut a, b) = two(Plan::default());
    assert_eq!(order(&mut a, SEND_HUGE, 0, 3, 0), (OK, 3));
    wait_until("they are refused", || b.kernel.control().errors_encountered == 3);
    assert_eq!(b.kernel.telemetry().error_code, FaultKind::UnknownMessage as i32);
    assert_eq!(order(&mut a, SEND, 0, 1, 0), (OK, 1));
    wait_noted(&b, 0, 1);
}

#[test]
fn what_is_to_be_received_waits_until_a_handler_asks_for_it() {
    let (mut a, mut b) = two(Plan::default());
    connect(&b, &a);
    assert_eq!(order(&mut b, RECEIVE, 0, 1, 0), (0, 0));
    assert_eq!(order(&mut a, SEND_DATA, 0, 3, 10), (OK, 3));
    assert_eq!(order(&mut a, SEND, 0, 2, 0), (OK, 2));
    // It has been sent, so it is there, whether the shard has been at the mailbox or not.
    assert_eq!(order(&mut b, RECEIVE, 0, 1, 0), (10, 1));
    assert_eq!(order(&mut b, RECEIVE, 0, 9, 0), (12, 2));
    assert_eq!(order(&mut b, RECEIVE, 0, 9, 0), (0, 0));
    assert_eq!(wait_noted(&b, 0, 2).misordered, 0);
    // What a kernel sent is there after it is gone.
    assert_eq!(order(&mut a, SEND_DATA, 0, 1, 20), (OK, 1));
    b.kernel.connect(0, Target::Nobody).unwrap();
    a.terminate();
    assert_eq!(order(&mut b, RECEIVE, 0, 9, 0), (20, 1));
    assert_eq!(b.kernel.control().errors_encountered, 0);
}

#[test]
fn what_nobody_receives_fills_the_mailbox_and_no_more() {
    let (mut a, mut b) = two(Plan { mailbox: 8, ..Plan::default() });
    connect(&b, &a);
    let mut sent = 0;
    wait_until("it is full", || {
        let (_, count) = order(&mut a, SEND_DATA, 0, 100, sent);
        sent += count;
        count == 0
    });
    // The mailbox, and as many that have left it.
    assert_eq!(sent, 16);
    for expected in 0..sent {
        assert_eq!(order(&mut b, RECEIVE, 0, 1, 0), (expected, 1));
    }
    assert_eq!(order(&mut b, RECEIVE, 0, 1, 0), (0, 0));
    assert_eq!(order(&mut a, SEND_DATA, 0, 1, 7), (OK, 1));
    assert_eq!(order(&mut b, RECEIVE, 0, 1, 0), (7, 1));
}

#[test]
fn neither_requests_nor_mail_wait_for_the_other_to_end() {
    // Each ring of two slots, always full, of a kernel that runs on one thread.
    let device = CpuDevice::new(1);
    let plan = Plan { queue: 2, mailbox: 2, ..Plan::default() };
    let node = node(&device, 1, plan);
    connect(&node, &node);
    // One that never ends, in the mailbox.
    node.send(0, PASS, &[u32::MAX], Correlation::NONE);
    let mut node = node;
    for _ in 0..1000 {
        assert_eq!(node.round_trip(0, WORK, &[1]).words, [7, 2]);
    }
    node.terminate();
    let before = notes(&node.kernel, 0).received;
    assert!(before > 100, "{before} went round");
}

#[test]
fn a_deactivated_kernel_keeps_its_mail() {
    let (mut a, b) = two(Plan { mailbox: 8, ..Plan::default() });
    b.kernel.set_active(false).unwrap();
    assert_eq!(order(&mut a, SEND, 0, 100, 0), (FULL, 8));
    assert_eq!(notes(&b.kernel, 0).received, 0);
    b.kernel.set_active(true).unwrap();
    assert_eq!(wait_noted(&b, 0, 8).misordered, 0);
    assert_eq!(b.kernel.mailbox().full, 1);
}
