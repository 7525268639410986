//! Kernels of one device that talk, their handlers written by hand (`node.wgsl`).

use super::super::{AdapterKind, WgpuDevice};
use crate::abi::slot::{FROM_KERNEL, OUTPUT, PUBLISHED, RELAY};
use crate::abi::{Correlation, Header, Origin, clock, tag};
use crate::device_tests::*;
use crate::kernel::*;
use crate::mesh::*;
use std::sync::OnceLock;

const HOP: u32 = 2001;
const FLOOD: u32 = 2002;
const GET: u32 = 2003;
const BALL: u32 = 2004;
const NOTE: u32 = 2005;
const HAND_ON: u32 = 2006;
const HANDED: u32 = 2007;
const PUBLISH: u32 = 2008;
const TAKE: u32 = 2009;
const LETTER: u32 = 2010;
const TIME: u32 = 2011;
const STATE: u32 = 3001;
const DONE: u32 = 3002;
const ANSWER: u32 = 3003;

const fn handler(name: &'static str, tag: u32, words: u32, reply: u32, reply_words: u32) -> HandlerInfo {
    HandlerInfo {
        name,
        message: MessageInfo::fixed(name, tag, 4 * words),
        reply: MessageInfo::fixed("Reply", reply, 4 * reply_words),
    }
}

static NODE: KernelDescriptor = KernelDescriptor {
    id: "node",
    actor: "Node",
    state_size: 20,
    state_align: 4,
    handlers: &[
        handler("hop", HOP, 2, tag::UNIT, 0),
        handler("flood", FLOOD, 3, STATE, 5),
        handler("get", GET, 0, STATE, 5),
        handler("ball", BALL, 2, tag::UNIT, 0),
        handler("note", NOTE, 2, tag::UNIT, 0),
        handler("hand_on", HAND_ON, 2, ANSWER, 1),
        handler("handed", HANDED, 2, ANSWER, 1),
        handler("publish", PUBLISH, 2, ANSWER, 1),
        handler("take", TAKE, 0, 3004, 2),
        handler("time", TIME, 0, 3005, 6),
    ],
    sites: &[],
    wgsl: include_str!("node.wgsl"),
    mesh: Mesh {
        routes: &[RouteInfo { id: "node" }],
        topics: &[TopicInfo { name: "news/today" }],
        outgoing: &[MessageInfo::fixed("Note", NOTE, 8)],
        receives: &[MessageInfo::fixed("Letter", LETTER, 8)],
    },
    ..TALLY
};

/// The same, whose handlers ask for no messages: it has no mailbox before somebody is connected to it.
static DEAF: KernelDescriptor =
    KernelDescriptor { id: "deaf", mesh: Mesh { receives: &[], ..NODE.mesh }, ..NODE };

fn device(test: &str) -> Option<WgpuDevice> {
    static DEVICE: OnceLock<Result<WgpuDevice, DeviceError>> = OnceLock::new();
    match DEVICE.get_or_init(|| WgpuDevice::open(AdapterKind::Any)) {
        Ok(device) => Some(device.clone()),
        Err(error) => {
            let required = std::env::var("RINGKERNEL_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|name| name.trim() == "wgpu"), "{test}: {error}");
            println!("skipped: {test}: no WebGPU adapter ({error})");
            None
        }
    }
}

/// Launches a node, which has this number.
fn node(device: &WgpuDevice, number: KernelNumber, instances: u32, mailbox: u32, overflow: Overflow) -> Host {
    let mesh = MeshSpec { number, mailbox, overflow };
    Host::launch(device, LaunchSpec { mesh, ..spec_of(&NODE, instances, 1024) })
}

fn connect(from: &Host, to: &Host) {
    from.kernel.connect(0, Target::Kernel(&to.kernel)).unwrap();
}

fn state(host: &mut Host, instance: u32) -> Vec<u32> {
    host.round_trip(instance, GET, &[]).words
}

/// Sends so many, and says how they fared: ok, full, gone, no instance, no sender.
fn flood(host: &mut Host, count: u32, to: u32, what: u32) -> Vec<u32> {
    host.round_trip(0, FLOOD, &[count, to, what]).words
}

#[test]
fn two_kernels_play_until_nothing_is_left_and_the_host_hears_of_it() {
    let Some(device) = device("two_kernels_play_until_nothing_is_left_and_the_host_hears_of_it") else {
        return;
    };
    let (mut a, mut b) =
        (node(&device, 1, 3, 64, Overflow::Reject), node(&device, 2, 3, 64, Overflow::Reject));
    connect(&a, &b);
    a.kernel.set_peer(2, Target::Kernel(&b.kernel)).unwrap();
    b.kernel.set_peer(1, Target::Kernel(&a.kernel)).unwrap();
    // The left half of the second word is what the ball carries: 200 times back and forth.
    assert_eq!(a.round_trip(2, FLOOD, &[1, 200 << 16 | 1, BALL]).words, [1, 0, 0, 0, 0]);
    let done = b.next_reply();
    assert_eq!((done.tag, done.correlation.index, done.instance), (DONE, OUTPUT, 1));
    // The ball came 101 times, the last time from instance 2.
    assert_eq!(done.words, [101, 2]);
    assert_eq!(state(&mut a, 2), [100, 0, 0, 0, 1]);
    assert_eq!(b.kernel.mailbox().received, 101);
    assert_eq!(b.kernel.control().messages_processed, 101);
    // One request, and what came by mail: a watchdog sees both.
    assert!(b.kernel.heartbeat(0) >= 101);
}

#[test]
fn a_hundred_thousand_messages_around_a_ring_arrive_once_and_in_order() {
    let test = "a_hundred_thousand_messages_around_a_ring_arrive_once_and_in_order";
    let Some(device) = device(test) else { return };
    const INSTANCES: u32 = 64;
    let mut ring: Vec<_> = (0..4).map(|k| node(&device, 10 + k, INSTANCES, 1024, Overflow::Reject)).collect();
    for k in 0..4 {
        connect(&ring[k], &ring[(k + 1) % 4]);
    }
    for instance in 0..INSTANCES {
        let fared = ring[0].round_trip(instance, FLOOD, &[4, 399 << 16 | instance, HOP]).words;
        assert_eq!(fared, [4, 0, 0, 0, 0]);
    }
    let all = 4 * 400 * INSTANCES as u64;
    wait_until("all have arrived", || {
        ring.iter().map(|host| host.kernel.mailbox().received).sum::<u64>() == all
    });
    for host in &mut ring {
        for instance in 0..INSTANCES {
            let state = state(host, instance);
            assert_eq!((state[0], state[2], state[3]), (400, 0, 0), "messages, out of order, not sent");
        }
        assert_eq!(
            host.kernel.mailbox(),
            MailboxSnapshot { waiting: 0, received: 400 * INSTANCES as u64, full: 0, dropped: 0 }
        );
        assert!(host.poll().is_none());
    }
}

#[test]
fn a_full_mailbox_says_so_and_keeps_what_it_has() {
    let Some(device) = device("a_full_mailbox_says_so_and_keeps_what_it_has") else { return };
    let (mut a, mut b) = (node(&device, 1, 2, 8, Overflow::Reject), node(&device, 2, 2, 8, Overflow::Reject));
    connect(&a, &b);
    b.kernel.set_active(false).unwrap();
    assert_eq!(flood(&mut a, 5, 1, NOTE), [5, 0, 0, 0, 0]);
    assert_eq!(flood(&mut a, 5, 1, NOTE), [3, 2, 0, 0, 0]);
    assert_eq!(flood(&mut a, 5, 7, NOTE), [0, 0, 0, 5, 0]);
    let MailboxSnapshot { received, full, dropped, .. } = b.kernel.mailbox();
    assert_eq!((received, full, dropped), (0, 2, 0));
    b.kernel.set_active(true).unwrap();
    wait_until("all have arrived", || b.kernel.mailbox().received == 8);
    assert_eq!(state(&mut b, 1), [8, 8, 0, 0, 0]);
    assert_eq!(flood(&mut a, 5, 1, NOTE), [5, 0, 0, 0, 0]);
    wait_until("all have arrived", || b.kernel.mailbox().received == 13);
    assert_eq!(state(&mut b, 1)[2], 0);
}

#[test]
fn a_mailbox_that_drops_the_oldest_keeps_the_newest() {
    let Some(device) = device("a_mailbox_that_drops_the_oldest_keeps_the_newest") else { return };
    let (mut a, mut b) =
        (node(&device, 1, 2, 4, Overflow::Reject), node(&device, 2, 2, 4, Overflow::DropOldest));
    connect(&a, &b);
    b.kernel.set_active(false).unwrap();
    assert_eq!(flood(&mut a, 3, 1, NOTE), [3, 0, 0, 0, 0]);
    assert_eq!(flood(&mut a, 10, 1, NOTE), [10, 0, 0, 0, 0]);
    b.kernel.set_active(true).unwrap();
    wait_until("all have arrived", || b.kernel.mailbox().received == 4);
    assert_eq!(b.kernel.mailbox(), MailboxSnapshot { waiting: 0, received: 4, full: 0, dropped: 9 });
    // The first of them was not the one expected, then all were.
    assert_eq!(state(&mut b, 1), [4, 13, 1, 0, 0]);
}

#[test]
fn a_mailbox_that_drops_the_oldest_refuses_what_its_own_kernel_sends_and_counts_that_as_full() {
    let test = "a_mailbox_that_drops_the_oldest_refuses_what_its_own_kernel_sends_and_counts_that_as_full";
    let Some(device) = device(test) else { return };
    let mut a = node(&device, 1, 2, 4, Overflow::DropOldest);
    connect(&a, &a);
    for round in 1..4 {
        assert_eq!(flood(&mut a, 9, 1, NOTE), [4, 5, 0, 0, 0]);
        wait_until("all have arrived", || a.kernel.mailbox().received == 4 * round);
        let expected = MailboxSnapshot { waiting: 0, received: 4 * round, full: 5 * round, dropped: 0 };
        assert_eq!(a.kernel.mailbox(), expected);
    }
}

#[test]
fn the_figures_of_a_mailbox_that_is_larger_than_a_pass_are_exact() {
    let Some(device) = device("the_figures_of_a_mailbox_that_is_larger_than_a_pass_are_exact") else {
        return;
    };
    for (overflow, full, dropped) in [(Overflow::Reject, 304, 0), (Overflow::DropOldest, 0, 304)] {
        // Many instances: where loops are rationed, a pass handles one message of each.
        let (mut a, b) = (node(&device, 1, 2, 64, Overflow::Reject), node(&device, 2, 88, 4096, overflow));
        connect(&a, &b);
        b.kernel.set_active(false).unwrap();
        let mut fared = [0, 0];
        for to in 0..88 {
            let [ok, full, ..] = flood(&mut a, 50, to, NOTE)[..] else { panic!("five figures") };
            fared = [fared[0] + ok, fared[1] + full];
        }
        assert_eq!(fared, [4400 - full as u32, full as u32]);
        assert_eq!(b.kernel.mailbox(), MailboxSnapshot { waiting: 4096, received: 0, full, dropped });
        b.kernel.set_active(true).unwrap();
        wait_until("all have arrived", || b.kernel.mailbox().received == 4096);
        assert_eq!(b.kernel.mailbox(), MailboxSnapshot { waiting: 0, received: 4096, full, dropped });
    }
}

#[test]
fn a_cycle_of_full_mailboxes_comes_to_an_end() {
    let Some(device) = device("a_cycle_of_full_mailboxes_comes_to_an_end") else { return };
    let mut ring: Vec<_> = (0..3).map(|k| node(&device, 10 + k, 4, 4, Overflow::Reject)).collect();
    for k in 0..3 {
        connect(&ring[k], &ring[(k + 1) % 3]);
        ring[k].kernel.set_active(false).unwrap();
    }
    for host in &mut ring {
        for id in 0..4 {
            host.ask(id, FLOOD, &[6, 50 << 16 | id, HOP], id);
        }
    }
    ring.iter().for_each(|host| host.kernel.set_active(true).unwrap());
    let mut full = 0;
    for host in &mut ring {
        for _ in 0..4 {
            full += host.next_reply().words[1];
        }
    }
    assert!(full > 0);
    let lost = |ring: &mut Vec<Host>| {
        let states = ring.iter_mut().flat_map(|host| (0..4).map(|i| state(host, i)).collect::<Vec<_>>());
        states
            .fold((0, 0, 0), |(got, wrong, sent), state| (got + state[0], wrong + state[2], sent + state[4]))
    };
    wait_until("what was sent has arrived", || {
        let (got, _, sent) = lost(&mut ring);
        got == sent
    });
    assert_eq!(lost(&mut ring).1, 0, "out of order");
}

#[test]
fn a_request_that_is_handed_on_is_answered_by_who_got_it() {
    let Some(device) = device("a_request_that_is_handed_on_is_answered_by_who_got_it") else { return };
    let (mut a, mut b) =
        (node(&device, 5, 2, 64, Overflow::Reject), node(&device, 6, 4, 64, Overflow::Reject));
    assert_eq!(a.round_trip(0, HAND_ON, &[20, 3]).words, [Sent::Gone as u32]);
    connect(&a, &b);
    a.ask(0, HAND_ON, &[20, 3], 77);
    let reply = b.next_reply();
    assert_eq!((reply.tag, reply.instance, &reply.words[..]), (ANSWER, 3, &[42][..]));
    assert_eq!(reply.correlation.origin(), Origin::Forwarded { kernel: 5, index: 77 });
    // The first has nothing more to say, and says what it says itself.
    assert_eq!(state(&mut a, 0), [0; 5]);
    assert_eq!(a.round_trip(0, HAND_ON, &[20, 9]).words, [Sent::NoInstance as u32]);
}

#[test]
fn who_waits_for_an_answer_is_neither_dropped_nor_forgotten() {
    let Some(device) = device("who_waits_for_an_answer_is_neither_dropped_nor_forgotten") else { return };
    let mut a = node(&device, 5, 2, 64, Overflow::Reject);
    let mut b = node(&device, 6, 4, 4, Overflow::DropOldest);
    connect(&a, &b);
    b.kernel.set_active(false).unwrap();
    a.ask(0, HAND_ON, &[20, 3], 77);
    a.ask(0, HAND_ON, &[30, 2], 78);
    assert_eq!(flood(&mut a, 9, 1, NOTE), [5, 4, 0, 0, 0]);
    assert_eq!(b.kernel.mailbox(), MailboxSnapshot { waiting: 4, received: 0, full: 4, dropped: 3 });
    b.kernel.set_active(true).unwrap();
    let mut answers = [b.next_reply(), b.next_reply()].map(|reply| (reply.correlation.index, reply.words));
    answers.sort();
    assert_eq!(answers, [(77, vec![42]), (78, vec![62])]);
    wait_until("the notes are handled", || b.kernel.mailbox().waiting == 0);
    assert_eq!(b.kernel.mailbox(), MailboxSnapshot { waiting: 0, received: 4, full: 4, dropped: 3 });
    b.kernel.set_active(false).unwrap();
    a.ask(0, HAND_ON, &[20, 3], 79);
    assert_eq!(flood(&mut a, 1, 1, NOTE), [1, 0, 0, 0, 0]);
    b.terminate();
    let unanswered = b.kernel.unanswered();
    assert_eq!(
        unanswered.iter().map(|who| who.origin()).collect::<Vec<_>>(),
        [Origin::Forwarded { kernel: 5, index: 79 }]
    );
}

#[test]
fn what_is_published_reaches_subscribers_and_the_host_and_what_was_missed_is_counted() {
    let test = "what_is_published_reaches_subscribers_and_the_host_and_what_was_missed_is_counted";
    let Some(device) = device(test) else { return };
    let mut a = node(&device, 1, 1, 8, Overflow::Reject);
    let mut b = node(&device, 2, 4, 2, Overflow::Reject);
    assert_eq!(a.round_trip(0, PUBLISH, &[0, 0]).words, [0]);
    let subscriber = |instance| Subscriber { kernel: b.kernel.clone(), instance };
    a.kernel.set_subscribers(0, &[subscriber(1), subscriber(3)], true).unwrap();
    b.kernel.set_active(false).unwrap();
    for (round, sent) in [(0, 0), (1, 1)] {
        a.ask(0, PUBLISH, &[round, 0], 1);
        let (mut answers, mut news) = (0, 0);
        for _ in 0..2 {
            let reply = a.next_reply();
            match reply.correlation.index {
                PUBLISHED => {
                    news += 1;
                    assert_eq!(reply.words, [key_of("news/today"), 0, 0, round, 0]);
                    assert_eq!(reply.tag, NOTE);
                }
                _ => {
                    answers += 1;
                    assert_eq!(reply.words, [sent]);
                }
            }
        }
        assert_eq!((answers, news), (1, 1));
    }
    assert_eq!(a.kernel.missed(0), [1, 1]);
    b.kernel.set_active(true).unwrap();
    wait_until("both got theirs", || b.kernel.mailbox().received == 2);
    assert_eq!([1, 3].map(|instance| state(&mut b, instance)[0]), [1, 1]);
}

#[test]
fn a_letter_waits_in_the_mailbox_until_it_is_taken() {
    let Some(device) = device("a_letter_waits_in_the_mailbox_until_it_is_taken") else { return };
    let (mut a, mut b) = (node(&device, 1, 1, 8, Overflow::Reject), node(&device, 2, 2, 8, Overflow::Reject));
    connect(&a, &b);
    connect(&b, &a);
    assert_eq!(b.round_trip(1, TAKE, &[]).words[0], 0);
    assert_eq!(flood(&mut a, 2, 1, LETTER), [2, 0, 0, 0, 0]);
    assert_eq!(flood(&mut a, 3, 1, NOTE), [3, 0, 0, 0, 0]);
    wait_until("the notes are handled", || b.kernel.mailbox().received == 3);
    assert_eq!(b.round_trip(0, TAKE, &[]).words[0], 0, "another instance's");
    for number in 0..2 {
        assert_eq!(b.round_trip(1, TAKE, &[]).words, [1, number]);
    }
    assert_eq!(b.round_trip(1, TAKE, &[]).words[0], 0);
    // There is room for eight again.
    assert_eq!(flood(&mut a, 9, 1, LETTER), [8, 1, 0, 0, 0]);
    for _ in 0..3 {
        b.round_trip(1, TAKE, &[]);
    }
    // What stays does not keep others from passing by.
    for round in 1..30 {
        assert_eq!(flood(&mut a, 4, 0, NOTE), [3, 1, 0, 0, 0], "{round}");
        wait_until("the notes are handled", || b.kernel.mailbox().received == 8 + 3 * round);
    }
    for number in 0..5 {
        assert_eq!(b.round_trip(1, TAKE, &[]).words, [1, 8 + number]);
    }
    assert_eq!(b.round_trip(1, TAKE, &[]).words[0], 0);
}

#[test]
fn timestamps_grow_and_are_past_those_that_were_seen() {
    let Some(device) = device("timestamps_grow_and_are_past_those_that_were_seen") else { return };
    let mut a = node(&device, 1, 1, 8, Overflow::Reject);
    let mut last = clock::time_of_day();
    for round in 0..20 {
        let near = clock::time_of_day() + clock::DRIFT / 2 + round;
        for (seen, is_believed) in [(near, true), (near + clock::DRIFT, false)] {
            let correlation = Correlation { index: 1, generation: 1 };
            a.try_push(Header { tag: TIME, instance: 0, correlation, words: 0, hlc: seen }, &[]);
            let words = a.next_reply().words;
            let time = |at: usize| words[at] as u64 | (words[at + 1] as u64) << 32;
            assert!(time(0) > last && time(2) > time(0));
            assert_eq!(time(0) > seen, is_believed);
            assert_eq!(time(4), seen);
            last = time(2);
        }
    }
}

#[test]
fn a_kernel_that_ends_is_gone_and_one_that_is_disconnected_too() {
    let Some(device) = device("a_kernel_that_ends_is_gone_and_one_that_is_disconnected_too") else { return };
    let (mut a, b) = (node(&device, 1, 1, 8, Overflow::Reject), node(&device, 2, 1, 8, Overflow::Reject));
    assert_eq!(flood(&mut a, 1, 0, NOTE), [0, 0, 1, 0, 0]);
    connect(&a, &b);
    assert_eq!(flood(&mut a, 1, 0, NOTE), [1, 0, 0, 0, 0]);
    a.kernel.connect(0, Target::Nobody).unwrap();
    assert_eq!(flood(&mut a, 1, 0, NOTE), [0, 0, 1, 0, 0]);
    connect(&a, &b);
    b.terminate();
    assert_eq!(flood(&mut a, 1, 0, NOTE), [0, 0, 1, 0, 0]);
    assert_eq!(a.kernel.connect(0, Target::Kernel(&b.kernel)), Err(DeviceError::Terminated));
    assert!(matches!(a.kernel.connect(1, Target::Nobody), Err(DeviceError::NotConnected { .. })));
    drop(b);
    // Itself will do.
    connect(&a, &a);
    assert_eq!(flood(&mut a, 9, 0, NOTE), [8, 1, 0, 0, 0]);
    wait_until("all have arrived", || a.kernel.mailbox().received == 8);
}

#[test]
fn kernels_of_two_adapters_are_not_connected_and_the_host_hands_on() {
    let test = "kernels_of_two_adapters_are_not_connected_and_the_host_hands_on";
    let (Some(device), Ok(other)) = (device(test), WgpuDevice::open(AdapterKind::Any)) else { return };
    let (mut a, b) = (node(&device, 1, 2, 8, Overflow::Reject), node(&other, 2, 2, 8, Overflow::Reject));
    let refused = a.kernel.connect(0, Target::Kernel(&b.kernel));
    assert!(matches!(refused, Err(DeviceError::NotConnected { .. })), "{refused:?}");
    a.kernel.connect(0, Target::Host(2)).unwrap();
    a.ask(1, FLOOD, &[2, 1, NOTE], 1);
    let (mut relayed, mut answered) = (0, false);
    while relayed < 2 || !answered {
        let reply = a.next_reply();
        if reply.correlation.index != RELAY {
            assert_eq!(reply.words, [2, 0, 0, 0, 0]);
            answered = true;
            continue;
        }
        assert_eq!((reply.tag, reply.instance), (NOTE, 1));
        assert_eq!(reply.words, [2, 1, (FROM_KERNEL | 1) as u32, relayed, 0]);
        relayed += 1;
    }
}

#[test]
fn what_is_spilled_arrives_behind_what_was_sent_before_it_and_before_what_came_later() {
    let test = "what_is_spilled_arrives_behind_what_was_sent_before_it_and_before_what_came_later";
    let Some(device) = device(test) else { return };
    let (mut a, mut b) = (node(&device, 1, 2, 8, Overflow::Reject), node(&device, 2, 2, 4, Overflow::Spill));
    connect(&a, &b);
    b.kernel.set_active(false).unwrap();
    a.ask(0, FLOOD, &[10, 1, NOTE], 1);
    let spilled: Vec<_> =
        (0..7).map(|_| a.next_reply()).filter(|reply| reply.correlation.index == RELAY).collect();
    assert_eq!(spilled.len(), 6);
    b.kernel.set_active(true).unwrap();
    wait_until("the first have arrived", || b.kernel.mailbox().received == 4);
    // There is room, but what was spilled is not there yet.
    a.ask(0, FLOOD, &[1, 1, NOTE], 1);
    let late: Vec<_> =
        (0..2).map(|_| a.next_reply()).filter(|reply| reply.correlation.index == RELAY).collect();
    for reply in spilled.iter().chain(&late) {
        let correlation = Correlation { index: reply.words[1], generation: reply.words[2] as u16 };
        let header = Header { tag: reply.tag, instance: reply.instance, correlation, words: 0, hlc: 0 };
        let payload: Vec<u8> = reply.words[3..].iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(b.kernel.relay(header, &payload), Sent::Ok);
        a.kernel.relayed(0, 2);
    }
    wait_until("all have arrived", || b.kernel.mailbox().received == 11);
    assert_eq!(flood(&mut a, 2, 1, NOTE), [2, 0, 0, 0, 0]);
    wait_until("all have arrived", || b.kernel.mailbox().received == 13);
    assert_eq!(state(&mut b, 1), [13, 13, 0, 0, 0]);
    assert!(a.poll().is_none(), "nothing is spilled any more");
}

#[test]
fn mailboxes_come_and_go_and_the_exchange_grows() {
    let Some(device) = device("mailboxes_come_and_go_and_the_exchange_grows") else { return };
    let mut a = node(&device, 1, 1, 8, Overflow::Reject);
    for round in 0..20u32 {
        let mut b = node(&device, 2, 1, 4096 << (round % 3), Overflow::Reject);
        connect(&a, &b);
        assert_eq!(flood(&mut a, 50, 0, NOTE), [50, 0, 0, 0, 0]);
        wait_until("all have arrived", || b.kernel.mailbox().received == 50);
        assert_eq!(state(&mut b, 0), [50, 50 * round + 50, (round > 0) as u32, 0, 0]);
    }
    let large = |of, mailbox, overflow| LaunchSpec {
        mesh: MeshSpec { number: 2, mailbox, overflow },
        ..spec_of(of, 1, 1024)
    };
    if let Some(ration) = device.gpu.loop_ration {
        let b = Host::launch(&device, large(&DEAF, 1 << 22, Overflow::DropOldest));
        let connected = a.kernel.connect(0, Target::Kernel(&b.kernel));
        let launched = device.launch(large(&NODE, 1 << 22, Overflow::DropOldest)).map(drop);
        for refused in [connected, launched] {
            let why = refused.expect_err("more iterations than there are").to_string();
            assert!(
                why.contains(&format!("the driver gives {ration}, for its mailbox of 4194304 messages")),
                "{why}"
            );
        }
    }
    let mut b = Host::launch(&device, large(&DEAF, 1 << 31, Overflow::Reject));
    let connected = a.kernel.connect(0, Target::Kernel(&b.kernel));
    let launched = device.launch(large(&NODE, 1 << 31, Overflow::Reject)).map(drop);
    for refused in [connected, launched] {
        assert!(matches!(refused, Err(DeviceError::OutOfMemory { .. })), "{refused:?}");
    }
    assert_eq!(state(&mut b, 0), [0; 5], "and is none the worse");
}
