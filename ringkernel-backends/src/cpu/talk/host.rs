use super::node::*;
use crate::abi::slot::{OUTPUT as OUTPUT_INDEX, PUBLISHED, RELAY};
use crate::abi::{Correlation, Header};
use crate::cpu::CpuDevice;
use crate::device_tests::*;
use crate::mesh::*;
use std::collections::VecDeque;

/// Which kernel's, from which shard, and what is to arrive.
type Letter = (usize, usize, Header, Vec<u32>);

/// What a host does for kernels that talk: hands relayed messages on, in order.
#[derive(Default)]
pub(super) struct Post {
    /// Messages on their way, by receiver.
    waiting: Vec<VecDeque<Letter>>,
    pub(super) relayed: u64,
}

impl Post {
    /// Collects from each kernel, whose numbers are their places. Other replies are returned.
    pub(super) fn round(&mut self, nodes: &mut [Host]) -> Vec<(usize, Reply)> {
        self.waiting.resize_with(nodes.len(), VecDeque::new);
        let mut others = Vec::new();
        for (from, node) in nodes.iter_mut().enumerate() {
            while let Some(reply) = node.poll() {
                if reply.correlation.index != RELAY {
                    others.push((from, reply));
                    continue;
                }
                let &[to, index, generation, ref payload @ ..] = &reply.words[..] else {
                    panic!("{reply:?}")
                };
                let Reply { tag, instance, hlc, shard, .. } = reply;
                let correlation = Correlation { index, generation: generation as u16 };
                let header = Header { tag, instance, correlation, words: 0, hlc };
                self.waiting[to as usize].push_back((from, shard, header, payload.to_vec()));
            }
        }
        for (to, queue) in self.waiting.iter_mut().enumerate() {
            while let Some((from, shard, header, payload)) = queue.front() {
                let sent = nodes[to].kernel.relay(*header, bytemuck::cast_slice(payload));
                if sent.is_full() {
                    break;
                }
                nodes[*from].kernel.relayed(*shard, to as KernelNumber);
                self.relayed += 1;
                queue.pop_front();
            }
        }
        others
    }
}

#[test]
fn an_output_comes_out_beside_the_replies() {
    let mut a = node(&CpuDevice::new(1), 1, Plan { instances: 2, ..Plan::default() });
    a.ask(1, DO, &[OUTPUT, 0, 3, 0], 9);
    for number in 0..3 {
        let reply = a.next_reply();
        assert_eq!((reply.correlation.index, reply.tag, reply.instance), (OUTPUT_INDEX, NOTE, 1));
        assert_eq!(reply.words, [0, number]);
        assert!(reply.hlc > 0);
    }
    let reply = a.next_reply();
    assert_eq!((reply.correlation.index, &reply.words[..]), (9, &[OK, 3][..]));
}

#[test]
fn outputs_that_find_no_room_say_so_and_leave_room_for_the_reply() {
    let mut a = node(&CpuDevice::new(1), 1, Plan { queue: 8, ..Plan::default() });
    for round in 0..5 {
        a.ask(0, DO, &[OUTPUT, 0, 100, 0], round);
        a.wait_processed(round as u64 + 1);
        let replies: Vec<Reply> = (0..8).map(|_| a.next_reply()).collect();
        assert!(replies[..7].iter().all(|reply| reply.correlation.index == OUTPUT_INDEX));
        assert_eq!((replies[7].correlation.index, &replies[7].words[..]), (round, &[FULL, 7][..]));
    }
    assert!(a.poll().is_none());
}

#[test]
fn a_publication_reaches_subscribers_and_the_host() {
    let device = CpuDevice::new(2);
    let mut nodes: Vec<Host> = (0..3)
        .map(|number| node(&device, number, Plan { instances: 2, mailbox: 4, ..Plan::default() }))
        .collect();
    // To nobody.
    assert_eq!(order(&mut nodes[0], PUBLISH, 0, 2, 0), (OK, 2));
    assert!(nodes[0].poll().is_none() && nodes[0].kernel.missed(0).is_empty());
    // A retained one is the host's to keep, whoever listens.
    assert_eq!(nodes[0].round_trip(0, DO, &[PUBLISH, 1, 1, 0]).words, [key_of("notes"), 1, 0, 0, 0]);
    assert_eq!(nodes[0].next_reply().words, [OK, 1]);
    let subscribers = [(1, 0), (1, 1), (2, 0)]
        .map(|(k, instance)| Subscriber { kernel: nodes[k].kernel.clone(), instance });
    nodes[0].kernel.set_subscribers(0, &subscribers, true).unwrap();
    nodes[0].ask(0, DO, &[PUBLISH, 0, 1, 1 << 24], 3);
    let reply = nodes[0].next_reply();
    assert_eq!((reply.correlation.index, reply.tag), (PUBLISHED, NOTE));
    assert_eq!(reply.words, [key_of("notes"), 0, 0, 1, 0]);
    assert_eq!(nodes[0].next_reply().words, [OK, 1]);
    for (k, instance) in [(1, 0), (1, 1), (2, 0)] {
        let noted = wait_noted(&nodes[k], instance, 1);
        assert_eq!((noted.kernel, noted.instance, noted.next[1]), (0, 0, 1));
    }
    // One that does not keep up misses some, and they are counted; the others get theirs.
    nodes[1].kernel.set_active(false).unwrap();
    nodes[0].kernel.set_subscribers(0, &subscribers, false).unwrap();
    for number in 1..=6 {
        let expected = if number <= 4 { OK } else { FULL };
        assert_eq!(order(&mut nodes[0], PUBLISH, 0, 1, 1 << 24 | number).0, expected, "number {number}");
        wait_noted(&nodes[2], 0, number + 1);
    }
    assert_eq!(nodes[0].kernel.missed(0), [2, 2, 0]);
    let nobody = Subscriber { kernel: nodes[1].kernel.clone(), instance: 2 };
    assert!(nodes[0].kernel.set_subscribers(0, &[nobody], false).is_err());
    nodes[0].kernel.set_subscribers(0, &[], false).unwrap();
    assert!(nodes[0].kernel.missed(0).is_empty());
}

#[test]
fn a_route_to_the_host_carries_what_the_receiver_is_to_get() {
    let device = CpuDevice::new(1);
    let mut nodes: Vec<Host> = (0..2).map(|number| node(&device, number, Plan::default())).collect();
    nodes[0].kernel.connect(0, Target::Host(1)).unwrap();
    assert_eq!(nodes[0].round_trip(0, DO, &[SEND, 0, 1, 0]).correlation.index, RELAY);
    let mut post = Post::default();
    nodes[0].ask(0, DO, &[SEND, 0, 20, 1], 2);
    nodes[0].ask(0, DO, &[FORWARD, 0, 1, 4], 77);
    let mut others = Vec::new();
    wait_until("all is answered", || {
        others.extend(post.round(&mut nodes));
        others.len() == 3
    });
    let noted = wait_noted(&nodes[1], 0, 20);
    // The first was taken out by hand.
    assert_eq!((noted.gaps, noted.misordered, noted.kernel), (1, 0, 0));
    let (_, reply) = others.iter().find(|(from, _)| *from == 1).unwrap();
    assert_eq!((reply.correlation.index, &reply.words[..]), (77, &[7, 8][..]));
}

#[test]
fn what_spills_is_full_where_the_senders_way_to_the_host_is_and_the_reply_has_room() {
    let device = CpuDevice::new(2);
    let plan = Plan { queue: 8, mailbox: 4, overflow: Overflow::Spill, ..Plan::default() };
    let (mut a, b) = (node(&device, 0, plan), node(&device, 1, plan));
    connect(&a, &b);
    b.kernel.set_active(false).unwrap();
    for (round, in_mailbox) in [(0, 4), (1, 0)] {
        a.ask(0, DO, &[SEND, 0, 100, 0], round);
        a.wait_processed(u64::from(round) + 1);
        for _ in 0..7 {
            assert_eq!(a.next_reply().correlation.index, RELAY);
        }
        let reply = a.next_reply();
        assert_eq!((reply.correlation.index, &reply.words[..]), (round, &[FULL, in_mailbox + 7][..]));
    }
    assert_eq!(b.kernel.mailbox().waiting, 4);
}

#[test]
fn what_spills_arrives_behind_what_did_not_and_ahead_of_what_comes_later() {
    let device = CpuDevice::new(2);
    let plan = Plan { mailbox: 4, overflow: Overflow::Spill, ..Plan::default() };
    let mut nodes: Vec<Host> = (0..2).map(|number| node(&device, number, plan)).collect();
    connect(&nodes[0], &nodes[1]);
    nodes[1].kernel.set_active(false).unwrap();
    let mut post = Post::default();
    let mut answered = 0;
    // More than the mailbox holds, and the reply ring.
    for round in 0..50 {
        nodes[0].ask(0, DO, &[SEND, 0, 10, 10 * round], round);
        wait_until("it is answered", || {
            for (_, reply) in post.round(&mut nodes) {
                assert_eq!(reply.words, [OK, 10]);
                answered += 1;
            }
            answered == round + 1
        });
    }
    nodes[1].kernel.set_active(true).unwrap();
    wait_until("all has arrived", || {
        assert!(post.round(&mut nodes).is_empty());
        notes(&nodes[1].kernel, 0).received == 500
    });
    let noted = notes(&nodes[1].kernel, 0);
    assert_eq!((noted.misordered, noted.gaps), (0, 0));
    assert_eq!(post.relayed, 496);
    // With all of it handed over, messages take the short way again.
    assert_eq!(order(&mut nodes[0], SEND, 0, 4, 500), (OK, 4));
    assert_eq!(wait_noted(&nodes[1], 0, 504).gaps, 0);
    assert_eq!(post.relayed, 496);
}
