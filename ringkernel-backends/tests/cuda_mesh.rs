//! Kernels that talk on the CUDA device, with a hand-written actor (`cuda/courier.ptx`): mailboxes, order, forwards, outputs, topics, and what
//! happens when there is no room. Skipped by name where there is no NVIDIA GPU, failed instead if RINGKERNEL_REQUIRE names `cuda`.
#![cfg(feature = "cuda")]

#[path = "cuda/mod.rs"]
mod common;

use common::*;
use ringkernel_backends::abi::slot::{Correlation, OUTPUT, Origin, PUBLISHED, RELAY};
use ringkernel_backends::abi::{Header, clock, tag};
use ringkernel_backends::cuda::CudaDevice;
use ringkernel_backends::kernel::*;
use ringkernel_backends::mesh::*;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

const HOP: MessageInfo = MessageInfo::fixed("Hop", 3000, 12);
const PASS: MessageInfo = MessageInfo::fixed("Pass", 3001, 8);
const SAY: MessageInfo = MessageInfo::fixed("Say", 3002, 4);
const NOTE: MessageInfo = MessageInfo::fixed("Note", 3010, 4);
const TAKE: MessageInfo = MessageInfo::fixed("Take", 3003, 0);
const SHIP: MessageInfo = MessageInfo::fixed("Ship", 3004, 8);
const PARCEL: MessageInfo = MessageInfo::fixed("Parcel", 3011, 4);
const WORD: MessageInfo = MessageInfo::fixed("u32", tag::U32, 4);
const UNIT: MessageInfo = MessageInfo::fixed("()", tag::UNIT, 0);

static COURIER: KernelDescriptor = KernelDescriptor {
    id: "courier",
    actor: "Courier",
    group: Group::Thread,
    state_size: 16,
    state_align: 8,
    handlers: &[
        HandlerInfo { name: "hop", message: HOP, reply: WORD },
        HandlerInfo { name: "pass", message: PASS, reply: WORD },
        HandlerInfo { name: "say", message: SAY, reply: WORD },
        HandlerInfo { name: "take", message: TAKE, reply: WORD },
        HandlerInfo { name: "ship", message: SHIP, reply: WORD },
        HandlerInfo { name: "note", message: NOTE, reply: UNIT },
    ],
    sites: &[],
    ptx: include_str!("cuda/courier.ptx"),
    wgsl: "",
    wgsl_needs: Needs { int64: false, float64: false },
    native_only: None,
    native: no_native,
    default_state: None,
    mesh: Mesh {
        routes: &[RouteInfo { id: "courier" }],
        topics: &[TopicInfo { name: "notes" }],
        outgoing: &[HOP, PASS, NOTE, PARCEL],
        receives: &[PARCEL],
    },
};

fn courier(device: &CudaDevice, number: u16, instances: u32, shards: u32, mesh: MeshSpec) -> Running {
    let tuning = Tuning { shards: Some(shards), ..Tuning::default() };
    let run = Running::meshed(device, &COURIER, instances, 256, true, tuning, MeshSpec { number, ..mesh });
    // The harness starts states at 1,000,000 an instance; these count from 0.
    run.kernel.set_active(false).unwrap();
    run.kernel.write_states(0, instances, &vec![0; 16 * instances as usize]).unwrap();
    run.kernel.set_active(true).unwrap();
    run
}

fn connect(from: &Running, from_number: u16, to: &Running) {
    from.kernel.connect(0, Target::Kernel(&to.kernel)).unwrap();
    to.kernel.set_peer(from_number, Target::Kernel(&from.kernel)).unwrap();
}

/// `got`, `last`, `gaps` of each instance.
fn states(run: &Running, instances: u32) -> Vec<(u64, u32, u32)> {
    let mut bytes = vec![0; 16 * instances as usize];
    run.kernel.set_active(false).unwrap();
    run.kernel.read_states(0, instances, &mut bytes).unwrap();
    run.kernel.set_active(true).unwrap();
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    bytes
        .chunks_exact(16)
        .map(|state| (u64::from_le_bytes(state[..8].try_into().unwrap()), word(state, 8), word(state, 12)))
        .collect()
}

/// Messages that these have handled.
fn handled(runs: &[&Running]) -> u64 {
    runs.iter().map(|run| run.kernel.control().messages_processed).sum()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn two_kernels_play_ping_pong_and_count_every_bounce() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("two_kernels_play_ping_pong_and_count_every_bounce", &[&COURIER]) else {
        return;
    };
    let (a, mut b) =
        (courier(&device, 1, 1, 1, MeshSpec::default()), courier(&device, 2, 1, 1, MeshSpec::default()));
    connect(&a, 1, &b);
    connect(&b, 2, &a);
    for hops in [1, 10, scaled(10_000) + 1, scaled(200_000)] {
        let (before_a, before_b) = (states(&a, 1)[0].0, states(&b, 1)[0].0);
        let begin = Instant::now();
        a.push(HOP.tag, 0, u32::MAX, &words(&[hops, 0, 7]));
        // The first is a's, then they take turns.
        let total = |run: &Running| run.kernel.mailbox().received;
        let (want_b, want_a) = (u64::from(hops.div_ceil(2)), u64::from(hops / 2));
        until_count("the ball is lost", before_a + 1 + want_a + before_b + want_b, || handled(&[&a, &b]));
        let took = begin.elapsed();
        assert_eq!((states(&a, 1)[0].0, states(&b, 1)[0].0), (before_a + 1 + want_a, before_b + want_b));
        println!(
            "{hops} hops in {took:?}: {:.0} ns each; taken from mailboxes {} and {}",
            took.as_nanos() as f64 / f64::from(hops),
            total(&a),
            total(&b)
        );
    }
    // A request between is still answered.
    b.push(SAY.tag, 0, 9, &words(&[1]));
    let (output, said) = b.pop(0);
    assert_eq!((output.correlation.index, output.tag, said), (OUTPUT, NOTE.tag, vec![1]));
    let (answer, sents) = b.pop(0);
    assert_eq!(
        (answer.correlation, sents[0] >> 8),
        (Correlation { index: 9, generation: 3 }, Sent::NoSender as u32)
    );
    a.end();
    b.end();
}

#[test]
fn many_instances_of_one_kernel_send_to_each_other_and_nothing_is_lost() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) =
        device("many_instances_of_one_kernel_send_to_each_other_and_nothing_is_lost", &[&COURIER])
    else {
        return;
    };
    for (instances, shards, hops) in [(64u32, 1u32, 2000u32), (1000, 8, 2000), (4096, 256, 2000)] {
        let run = courier(&device, 3, instances, shards, MeshSpec { mailbox: 4096, ..MeshSpec::default() });
        connect(&run, 3, &run);
        let hops = scaled(hops);
        let begin = Instant::now();
        for instance in 0..instances {
            // To a partner in another shard, mostly.
            let partner = (instance * 7 + 3) % instances;
            run.push(HOP.tag, instance, u32::MAX, &words(&[hops, partner, instance]));
        }
        let expected = u64::from(instances) * u64::from(hops + 1);
        until_count("messages were lost", expected, || handled(&[&run]));
        let took = begin.elapsed();
        let got: u64 = states(&run, instances).iter().map(|state| state.0).sum();
        assert_eq!(got, expected, "{instances} instances in {shards} shards");
        let mail = run.kernel.mailbox();
        assert_eq!((mail.received, mail.full, mail.dropped), (expected - u64::from(instances), 0, 0));
        println!(
            "{instances} instances, {shards} shards: {:.1} M/s",
            expected as f64 / took.as_secs_f64() / 1e6
        );
        run.end();
    }
}

#[test]
fn a_forwarded_request_is_answered_by_who_it_was_handed_to() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("a_forwarded_request_is_answered_by_who_it_was_handed_to", &[&COURIER]) else {
        return;
    };
    let (mut a, mut b) =
        (courier(&device, 5, 2, 1, MeshSpec::default()), courier(&device, 6, 2, 1, MeshSpec::default()));
    connect(&a, 5, &b);
    connect(&b, 6, &a);
    for (left, index) in [(0u32, 40u32), (1, 41), (2, 42), (5, 43)] {
        a.push(PASS.tag, 0, index, &words(&[left, 1]));
        let run = if left % 2 == 0 { &mut a } else { &mut b };
        let (header, answer) = run.pop(0);
        let expected = if left == 0 {
            Origin::Asker(Correlation { index, generation: 3 })
        } else {
            Origin::Forwarded { kernel: 5, index }
        };
        assert_eq!(
            (header.correlation.origin(), header.tag, answer.len()),
            (expected, tag::U32, 1),
            "{left}"
        );
    }
    a.end();
    b.end();
}

#[test]
fn what_is_published_reaches_subscribers_on_the_device_and_the_host() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) =
        device("what_is_published_reaches_subscribers_on_the_device_and_the_host", &[&COURIER])
    else {
        return;
    };
    let mut a = courier(&device, 7, 1, 1, MeshSpec::default());
    let b = courier(&device, 8, 4, 2, MeshSpec { mailbox: 8, ..MeshSpec::default() });
    let subscribers: Vec<Subscriber> =
        [0u32, 3, 3].map(|instance| Subscriber { kernel: b.kernel.clone(), instance }).into();
    a.kernel.set_subscribers(0, &subscribers, true).unwrap();
    let say = |a: &mut Running, n: u32| {
        a.push(SAY.tag, 0, n, &words(&[n]));
        let (output, _) = a.pop(0);
        assert_eq!(output.correlation.index, OUTPUT);
        let (published, said) = a.pop(0);
        assert_eq!(published.correlation.index, PUBLISHED);
        assert_eq!((published.tag, said), (NOTE.tag, vec![key_of("notes"), 0, 0, n]));
        let (answer, sents) = a.pop(0);
        assert!(answer.hlc > published.hlc && published.hlc > output.hlc, "clocks go forward");
        let now = clock::time_of_day();
        assert!(answer.hlc.abs_diff(now) < clock::physical(100_000), "{} against {now}", answer.hlc);
        (sents[0] >> 4) & 15
    };
    for n in 1..=4 {
        assert_eq!(say(&mut a, n), Sent::Ok as u32);
        until("a subscriber got nothing", || b.kernel.control().messages_processed >= 3 * u64::from(n));
    }
    assert_eq!(states(&b, 4).iter().map(|state| state.0).collect::<Vec<_>>(), [4, 0, 0, 8]);
    assert_eq!(a.kernel.missed(0), [0, 0, 0]);
    // While they are not looking, eight find room in each shard's mailbox.
    b.kernel.set_active(false).unwrap();
    let sents: Vec<u32> = (5..=16).map(|n| say(&mut a, n)).collect();
    assert_eq!(sents[..4], [0; 4]);
    assert_eq!(sents[11], Sent::Full as u32);
    assert_eq!(a.kernel.missed(0), [4, 8, 8]);
    b.kernel.set_active(true).unwrap();
    until("what waited was lost", || b.kernel.mailbox().received == 12 + 16);
    assert_eq!(b.kernel.mailbox().full, 20);
    a.end();
    b.end();
}

#[test]
fn a_full_mailbox_refuses_exactly_and_a_route_that_ends_says_gone() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("a_full_mailbox_refuses_exactly_and_a_route_that_ends_says_gone", &[&COURIER])
    else {
        return;
    };
    let block = Overflow::Block { at_most: Duration::from_micros(300) };
    for (overflow, capacity) in [(Overflow::Reject, 16u32), (block, 64), (Overflow::DropOldest, 16)] {
        let mut a = courier(&device, 9, 8, 4, MeshSpec::default());
        let b = courier(&device, 10, 1, 1, MeshSpec { mailbox: capacity, overflow, ..MeshSpec::default() });
        connect(&a, 9, &b);
        let ask = |a: &mut Running, k: u32, to: u32| {
            a.push(HOP.tag, k % 8, k, &words(&[1, to, k]));
            a.pop((k % 8) as usize % a.kernel.ports().len()).1[0]
        };
        assert_eq!(ask(&mut a, 0, 1), Sent::NoInstance as u32);
        b.kernel.set_active(false).unwrap();
        let sents: Vec<u32> = (0..100).map(|k| ask(&mut a, k, 0)).collect();
        let ok = sents.iter().filter(|sent| **sent == 0).count() as u32;
        let full = sents.iter().filter(|sent| **sent == Sent::Full as u32).count() as u32;
        assert_eq!((ok, full), (capacity, 100 - capacity), "{overflow:?}");
        b.kernel.set_active(true).unwrap();
        // Who asked for the oldest to go while nobody was there gets it when there is: some are dropped, the others handled.
        until("what waited was lost", || {
            let mail = b.kernel.mailbox();
            mail.received + mail.dropped == u64::from(capacity)
        });
        let mail = b.kernel.mailbox();
        assert_eq!(mail.full, u64::from(full), "{overflow:?}");
        assert!(mail.dropped == 0 || overflow == Overflow::DropOldest);
        assert_eq!(ask(&mut a, 200, 0), 0, "there is room again");
        a.kernel.connect(0, Target::Nobody).unwrap();
        assert_eq!(ask(&mut a, 201, 0), Sent::Gone as u32);
        a.kernel.connect(0, Target::Host(77)).unwrap();
        a.push(HOP.tag, 3, 202, &words(&[1, 5, 11]));
        let shard = 3 % a.kernel.ports().len();
        let (relay, payload) = a.pop(shard);
        assert_eq!((relay.correlation.index, relay.tag, relay.instance), (RELAY, HOP.tag, 5));
        let origin = Correlation { index: payload[1], generation: payload[2] as u16 }.origin();
        assert_eq!((payload[0], origin), (77, Origin::Kernel { kernel: 9, instance: 3 }));
        assert_eq!(payload[3..], [0, 3, 11]);
        assert_eq!(a.pop(shard).1, [0]);
        a.end();
        b.end();
    }
}

#[test]
fn kernels_that_talk_are_paused_sent_home_connected_and_ended_without_a_loss() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) =
        device("kernels_that_talk_are_paused_sent_home_connected_and_ended_without_a_loss", &[&COURIER])
    else {
        return;
    };
    let first_position = u64::from(u32::MAX) - 300;
    let tuning = Tuning { shards: Some(8), first_position, ..Tuning::default() };
    let mesh = |number| MeshSpec { number, mailbox: 1024, ..MeshSpec::default() };
    let launch = |number| {
        let run = Running::meshed(&device, &COURIER, 64, 256, true, tuning.clone(), mesh(number));
        run.kernel.set_active(false).unwrap();
        run.kernel.write_states(0, 64, &vec![0; 16 * 64]).unwrap();
        run.kernel.set_active(true).unwrap();
        run
    };
    let (a, b) = (launch(11), launch(12));
    connect(&a, 11, &b);
    connect(&b, 12, &a);
    let hops = scaled(20_000);
    for instance in 0..64 {
        a.push(HOP.tag, instance, u32::MAX, &words(&[hops, (instance * 5) % 64, instance]));
    }
    for round in 0..20 {
        std::thread::sleep(Duration::from_millis(1));
        match round % 4 {
            0 => {
                a.kernel.set_active(false).unwrap();
                a.kernel.set_active(true).unwrap();
            }
            1 => ringkernel_backends::cuda::quiesce(0, 1).map(drop).unwrap(),
            2 => b.kernel.set_peer(11, Target::Kernel(&a.kernel)).unwrap(),
            _ => {
                let other = courier(&device, 13, 1, 1, MeshSpec::default());
                connect(&other, 13, &a);
                other.push(HOP.tag, 0, u32::MAX, &words(&[1, 9, 0]));
                until("a late comer got nothing", || other.kernel.control().messages_processed >= 1);
                other.end();
            }
        }
    }
    let expected = 64 * u64::from(hops + 1) + 5;
    until_count("messages were lost", expected, || handled(&[&a, &b]));
    let got: u64 = states(&a, 64).iter().chain(&states(&b, 64)).map(|state| state.0).sum();
    assert_eq!(got, expected);
    // A receiver that ends while it is sent to: what comes later says so, or lies in a mailbox nobody empties.
    for instance in 0..64 {
        a.push(HOP.tag, instance, u32::MAX, &words(&[u32::MAX, instance, instance]));
    }
    b.kernel.terminate(END).unwrap();
    a.kernel.connect(0, Target::Nobody).unwrap();
    drop(b);
    a.end();
}

#[test]
fn a_message_that_no_handler_takes_waits_until_a_handler_asks_for_it() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) =
        device("a_message_that_no_handler_takes_waits_until_a_handler_asks_for_it", &[&COURIER])
    else {
        return;
    };
    let mut a = courier(&device, 21, 1, 1, MeshSpec::default());
    let mut b = courier(&device, 22, 3, 1, MeshSpec { mailbox: 4, ..MeshSpec::default() });
    connect(&a, 21, &b);
    connect(&b, 22, &a);
    let ask = |run: &mut Running, message: MessageInfo, instance: u32, payload: &[u32]| {
        run.push(message.tag, instance, 1, &words(payload));
        run.pop(0).1[0]
    };
    assert_eq!(ask(&mut b, TAKE, 1, &[]), u32::MAX, "nothing yet");
    for n in 0..3 {
        assert_eq!(ask(&mut a, SHIP, 0, &[100 + n, 1]), 0);
    }
    assert_eq!(ask(&mut a, SHIP, 0, &[200, 2]), 0);
    until("parcels did not arrive", || b.kernel.mailbox().received == 4);
    // Four are kept, four more lie in the mailbox, and then it is full.
    let sents: Vec<u32> = (0..6).map(|n| ask(&mut a, SHIP, 0, &[300 + n, 1])).collect();
    assert_eq!(sents, [0, 0, 0, 0, 1, 1]);
    assert_eq!(ask(&mut b, TAKE, 0, &[]), u32::MAX, "none for this instance");
    assert_eq!([0, 1, 2].map(|_| ask(&mut b, TAKE, 1, &[])), [100, 101, 102]);
    assert_eq!(ask(&mut b, TAKE, 2, &[]), 200);
    until("what lay in the mailbox did not follow", || b.kernel.mailbox().received == 8);
    assert_eq!([0, 1, 2, 3, 4].map(|_| ask(&mut b, TAKE, 1, &[])), [300, 301, 302, 303, u32::MAX]);
    a.end();
    b.end();
}

#[test]
fn a_sender_that_has_spilled_goes_on_until_all_of_it_was_handed_over() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let Some(device) =
        device("a_sender_that_has_spilled_goes_on_until_all_of_it_was_handed_over", &[&COURIER])
    else {
        return;
    };
    let mut a = courier(&device, 23, 1, 1, MeshSpec::default());
    let b =
        courier(&device, 24, 1, 1, MeshSpec { mailbox: 4, overflow: Overflow::Spill, ..MeshSpec::default() });
    connect(&a, 23, &b);
    // Hops with nothing left to do, each with its number as its key; what comes out as a relay.
    let say = |a: &mut Running, n: u32| {
        a.push(HOP.tag, 0, n, &words(&[1, 0, n]));
        let first = a.pop(0);
        if first.0.correlation.index == RELAY {
            assert_eq!((first.1[0], first.1[5], a.pop(0).1), (24, n, vec![0]));
            return Some(first);
        }
        assert_eq!(first.1, [0]);
        None
    };
    let hand_over = |a: &Running, (header, payload): (Header, Vec<u32>)| {
        let correlation = Correlation { index: payload[1], generation: payload[2] as u16 };
        assert_eq!(
            b.kernel.relay(Header { correlation, words: 0, ..header }, &words(&payload[3..])),
            Sent::Ok
        );
        a.kernel.relayed(0, 24);
    };
    b.kernel.set_active(false).unwrap();
    let said: Vec<_> = (1..=10).map(|n| say(&mut a, n)).collect();
    assert_eq!(
        said.iter().map(Option::is_some).collect::<Vec<_>>(),
        [vec![false; 4], vec![true; 6]].concat()
    );
    let mut relays: Vec<_> = said.into_iter().flatten().collect();
    let rest = relays.split_off(3);
    relays.into_iter().for_each(|relay| hand_over(&a, relay));
    b.kernel.set_active(true).unwrap();
    until("the mailbox was not emptied", || b.kernel.control().messages_processed == 7);
    // Half of it has arrived, and there is room: what is sent now would overtake the rest.
    let late = say(&mut a, 11).expect("a relay");
    rest.into_iter().chain([late]).for_each(|relay| hand_over(&a, relay));
    until("what was relayed did not arrive", || b.kernel.control().messages_processed == 11);
    // All has arrived: the next goes directly.
    // Of the eleven, four went directly: the host is told of those a little later than of messages.
    until("what went directly is not counted", || b.kernel.mailbox().received == 11);
    assert!(say(&mut a, 12).is_none());
    until("the direct way was not taken again", || b.kernel.mailbox().received == 12);
    assert_eq!(states(&b, 1)[0].0, 12);
    a.end();
    b.end();
}

/// A message of another kernel, by way of the host, for instance 1.
fn hand_over(to: &Running, message: MessageInfo, origin: Origin, payload: &[u32]) -> Sent {
    let header = Header { tag: message.tag, instance: 1, correlation: origin.into(), words: 0, hlc: 0 };
    to.kernel.relay(header, &words(payload))
}

/// Kept are as many as the mailbox has slots, aside wait as many as a warp takes at once, and the rest is the host's.
#[test]
fn what_the_host_hands_over_waits_aside_in_order_and_requests_go_by_it_over_pauses() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let test = "what_the_host_hands_over_waits_aside_in_order_and_requests_go_by_it_over_pauses";
    let Some(device) = device(test, &[&COURIER]) else { return };
    let from_a = Origin::Kernel { kernel: 25, instance: 0 };
    // Without a mailbox too: all that is sent comes by way of the host then.
    for direct in [true, false] {
        let mut a = courier(&device, 25, 1, 1, MeshSpec::default());
        let mut b = courier(&device, 26, 3, 1, MeshSpec { mailbox: 4, ..MeshSpec::default() });
        connect(&b, 26, &a);
        let (mut next, mut places) = (0, 4 + 32);
        if direct {
            connect(&a, 25, &b);
            for n in 0..8 {
                a.push(SHIP.tag, 0, 1, &words(&[n, 1]));
                assert_eq!(a.pop(0).1, [0]);
                until("what was sent did not arrive", || {
                    b.kernel.mailbox().received == u64::from(n + 1).min(4)
                });
            }
            // Some lie in the mailbox, and what any handler takes waits for those.
            assert_eq!(hand_over(&b, HOP, from_a, &[0, 0, 1]), Sent::Ok);
            (next, places) = (8, 8 + 31);
        }
        until("there is no room for so many", || {
            while hand_over(&b, PARCEL, from_a, &[next]) == Sent::Ok {
                next += 1;
            }
            next == places
        });
        until("they wait among the requests", || b.kernel.ports()[0].requests.is_empty());
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(hand_over(&b, PARCEL, from_a, &[next]), Sent::Full);
        let take = |b: &mut Running, instance: u32| {
            b.push(TAKE.tag, instance, 1, &[]);
            b.pop(0).1[0]
        };
        for _ in 0..3 {
            assert_eq!(take(&mut b, 0), u32::MAX, "none for this instance");
            ringkernel_backends::cuda::quiesce(0, 1).map(drop).unwrap();
            b.kernel.set_active(false).unwrap();
            b.kernel.set_active(true).unwrap();
        }
        let (mut got, mut asked) = (Vec::new(), 0);
        until("some were lost", || {
            asked += 1;
            got.extend(Some(take(&mut b, 1)).filter(|&number| number != u32::MAX));
            if got.len() % 7 == 3 {
                ringkernel_backends::cuda::quiesce(0, 1).map(drop).unwrap();
            }
            got.len() == places as usize
        });
        assert_eq!(got, (0..places).collect::<Vec<_>>());
        until("some still wait", || b.kernel.mailbox().waiting == 0);
        assert_eq!(states(&b, 3)[1].0, asked + u64::from(direct), "what it was asked, and the hop");
        a.end();
        b.end();
    }
}

#[test]
fn who_waits_for_what_waited_aside_when_its_kernel_ended_is_told() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let test = "who_waits_for_what_waited_aside_when_its_kernel_ended_is_told";
    let Some(device) = device(test, &[&COURIER]) else { return };
    let b = courier(&device, 27, 2, 1, MeshSpec { mailbox: 4, ..MeshSpec::default() });
    for n in 0..6 {
        assert_eq!(hand_over(&b, PARCEL, Origin::Kernel { kernel: 25, instance: 0 }, &[n]), Sent::Ok);
    }
    let waits = Origin::Forwarded { kernel: 25, index: 77 };
    assert_eq!(hand_over(&b, HOP, waits, &[0, 0, 1]), Sent::Ok);
    until("it waits among the requests", || b.kernel.ports()[0].requests.is_empty());
    assert_eq!(b.kernel.unanswered(), [], "before its end");
    b.kernel.terminate(END).unwrap();
    assert_eq!(b.kernel.unanswered(), [waits.into()]);
    b.end();
}

#[test]
fn kernels_on_two_gpus_of_one_host_send_to_each_other_without_it() {
    let _beside = GPU.read().unwrap_or_else(PoisonError::into_inner);
    let test = "kernels_on_two_gpus_of_one_host_send_to_each_other_without_it";
    let Some(device) = device(test, &[&COURIER]) else { return };
    let other = match CudaDevice::open(1, &[&COURIER]) {
        Ok(other) => other,
        Err(error) => {
            let required = std::env::var("RINGKERNEL_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|name| name == "two-gpus"), "{test}: {error}");
            return eprintln!("skipped: {test}: {error}");
        }
    };
    let (a, b) =
        (courier(&device, 31, 64, 8, MeshSpec::default()), courier(&other, 32, 64, 8, MeshSpec::default()));
    connect(&a, 31, &b);
    connect(&b, 32, &a);
    for (balls, hops) in [(1u32, scaled(100_000)), (64, scaled(20_000))] {
        let before = handled(&[&a, &b]);
        let begin = Instant::now();
        for instance in 0..balls {
            a.push(HOP.tag, instance, u32::MAX, &words(&[hops, instance, instance]));
        }
        let expected = before + u64::from(balls) * u64::from(hops + 1);
        until_count("a ball was lost between the GPUs", expected, || handled(&[&a, &b]));
        let took = begin.elapsed().as_nanos() as f64;
        let got: u64 = states(&a, 64).iter().chain(&states(&b, 64)).map(|state| state.0).sum();
        assert_eq!(got, expected);
        println!("{balls} balls between two GPUs: {:.0} ns a hop of each", took / f64::from(hops));
    }
    // Each is forwarded to the other GPU, and answered from there.
    let mut b = b;
    a.push(PASS.tag, 0, 77, &words(&[1, 1]));
    assert_eq!(b.pop(1).0.correlation.origin(), Origin::Forwarded { kernel: 31, index: 77 });
    a.end();
    b.end();
}
