//! The promises. Each is a function of a device; the devices' tests stamp them.

use super::*;
use crate::abi::slot::GENERATION_MASK;
use crate::abi::{Correlation, FaultKind, HasTerminated, Header, tag};
use crate::kernel::{Device, DeviceError, FaultSite, LaunchSpec};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

/// Long enough for any device to have handled something it should not.
const A_WHILE: Duration = Duration::from_millis(30);

pub(crate) fn a_request_is_answered_with_its_own_correlation(device: &dyn Device) {
    let mut host = Host::launch(device, spec_of(&TALLY, 1, 16));
    for id in 0..100 {
        host.ask(0, ADD, &[2], id);
        let reply = host.next_reply();
        assert_eq!((reply.tag, reply.instance, reply.words), (TOTAL, 0, vec![2 * (id + 1), id + 1]));
        assert_eq!(
            reply.correlation,
            Correlation { index: id, generation: (id as u16 ^ 0x5a5a) & GENERATION_MASK }
        );
    }
    host.terminate();
}

pub(crate) fn messages_larger_than_one_line_arrive_whole_both_ways(device: &dyn Device) {
    let mut host = Host::launch(device, spec_of(&TALLY, 3, 4));
    for round in 0..20 {
        for instance in 0..3 {
            let block: Vec<u32> = (0..BLOCK_WORDS as u32).map(|k| k * 0x0101_0101 + round).collect();
            let mut expected = block.clone();
            expected.rotate_left(1);
            expected.iter_mut().for_each(|word| *word += instance);
            let reply = host.round_trip(instance, BLOCK, &block);
            assert_eq!((reply.tag, reply.words), (BLOCK, expected));
        }
    }
}

pub(crate) fn one_instance_handles_its_messages_in_the_order_sent(device: &dyn Device) {
    const SENDERS: u32 = 3;
    const EACH: u32 = 400;
    let mut host = Host::launch(device, spec_of(&TALLY, 5, 1024));
    thread::scope(|s| {
        for sender in 0..SENDERS {
            let host = &host;
            s.spawn(move || {
                for i in 0..EACH {
                    let correlation = Correlation { index: sender << 16 | i, generation: 7 };
                    let header = Header { tag: ADD, instance: 2, correlation, words: 0, hlc: 0 };
                    while !host.try_push(header, &[1]) {
                        thread::yield_now();
                    }
                }
            });
        }
    });
    // Each reply's count says when its message was handled.
    let mut counts: HashMap<u32, Vec<(u32, u32)>> = HashMap::new();
    for _ in 0..SENDERS * EACH {
        let reply = host.next_reply();
        let id = reply.correlation.index;
        counts.entry(id >> 16).or_default().push((id & 0xffff, reply.words[1]));
    }
    assert!(host.poll().is_none());
    let mut all: Vec<u32> = counts.values().flatten().map(|&(_, count)| count).collect();
    all.sort_unstable();
    assert_eq!(all, (1..=SENDERS * EACH).collect::<Vec<_>>());
    for (sender, mut handled) in counts {
        handled.sort_unstable();
        assert!(
            handled.is_sorted_by_key(|&(_, count)| count),
            "messages of sender {sender} overtook each other"
        );
    }
}

pub(crate) fn every_one_of_many_instances_keeps_its_own_state(device: &dyn Device) {
    const INSTANCES: u32 = 1000;
    let mut host = Host::launch(device, spec_of(&TALLY, INSTANCES, 4096));
    for instance in 0..INSTANCES {
        for by in [instance, 1] {
            host.ask(instance, ADD, &[by], instance);
        }
    }
    let mut last = vec![0; INSTANCES as usize];
    for _ in 0..2 * INSTANCES {
        let reply = host.next_reply();
        assert_eq!((reply.tag, reply.instance), (TOTAL, reply.correlation.index));
        let total = &mut last[reply.instance as usize];
        *total = reply.words[0].max(*total);
    }
    assert!(last.iter().enumerate().all(|(i, &total)| total == i as u32 + 1), "{last:?}");
}

pub(crate) fn initial_state_is_per_instance_and_can_be_read_back(device: &dyn Device) {
    let initial = |instance: u32, out: &mut [u8]| {
        out[..4].copy_from_slice(&(instance * 10).to_le_bytes());
        out[4..].copy_from_slice(&7u32.to_le_bytes());
    };
    let mut host = Host::launch(device, LaunchSpec { initial: Arc::new(initial), ..spec_of(&TALLY, 50, 64) });
    assert_eq!(host.round_trip(49, ADD, &[1]).words, [491, 8]);
    host.kernel.set_active(false).unwrap();
    let mut state = [0u32; 2];
    for instance in 0..49 {
        host.kernel.read_state(instance, bytemuck::cast_slice_mut(&mut state)).unwrap();
        assert_eq!(state, [instance * 10, 7]);
    }
    host.terminate();
    host.kernel.read_state(49, bytemuck::cast_slice_mut(&mut state)).unwrap();
    assert_eq!(state, [491, 8], "the state outlives termination");
    let beyond = host.kernel.read_state(50, bytemuck::cast_slice_mut(&mut state));
    assert_eq!(beyond, Err(DeviceError::NoSuchInstance { instance: 50, instances: 50 }));
    assert!(host.kernel.read_state(0, &mut [0; 3]).is_err(), "a buffer that is too short");
}

pub(crate) fn states_are_copied_in_bulk_both_ways_and_go_on_from_what_was_written(device: &dyn Device) {
    const INSTANCES: u32 = 1013;
    let mut host = Host::launch(device, spec_of(&TALLY, INSTANCES, 64));
    assert_eq!(host.round_trip(1000, ADD, &[1]).words, [1, 1]);
    host.kernel.set_active(false).unwrap();
    // Instances 1 to 1001 of 0 to 1012.
    let written: Vec<u32> = (1..1002).flat_map(|i| [i * 3, i]).collect();
    host.kernel.write_states(1, 1001, bytemuck::cast_slice(&written)).unwrap();
    host.kernel.write_state(1012, bytemuck::cast_slice(&[5u32, 6])).unwrap();
    let mut all = vec![u32::MAX; 2 * INSTANCES as usize];
    host.kernel.read_states(0, INSTANCES, bytemuck::cast_slice_mut(&mut all)).unwrap();
    assert_eq!(all[..2], [0, 0]);
    assert_eq!(all[2..][..written.len()], written);
    assert_eq!(all[2 + written.len()..][..20], [0; 20]);
    assert_eq!(all[2 * 1012..], [5, 6]);
    let mut some = [0u32; 6];
    host.kernel.read_states(998, 3, bytemuck::cast_slice_mut(&mut some)).unwrap();
    assert_eq!(some, [2994, 998, 2997, 999, 3000, 1000]);
    host.kernel.set_active(true).unwrap();
    assert_eq!(host.round_trip(1000, ADD, &[1]).words, [3001, 1001]);
    assert_eq!(host.round_trip(0, ADD, &[1]).words, [1, 1]);
    host.kernel.set_active(false).unwrap();
    let none = Err(DeviceError::NoSuchInstance { instance: 1013, instances: 1013 });
    assert_eq!(host.kernel.write_states(1012, 2, &[0; 16]), none);
    assert_eq!(host.kernel.read_states(1012, 2, &mut [0; 16]), none);
    assert!(host.kernel.write_state(0, &[0; 7]).is_err(), "a state that is too short");
    assert!(host.kernel.write_states(0, 2, &[0; 15]).is_err(), "two states that are too short");
}

pub(crate) fn faults_answer_the_asker_and_roll_nothing_back(device: &dyn Device) {
    let mut host = Host::launch(device, spec_of(&TALLY, 2, 16));
    let fail = host.round_trip(1, FAIL, &[3]);
    assert_eq!(fail.fault(), Some((FaultKind::Panic, FaultSite::Index(1))));
    assert_eq!(host.round_trip(1, ADD, &[i32::MAX as u32]).words, [i32::MAX as u32, 2]);
    let overflow = host.round_trip(1, ADD, &[1]);
    assert_eq!(overflow.fault(), Some((FaultKind::Overflow, FaultSite::Index(0))));
    assert_eq!(host.round_trip(1, tag::UNIT, &[]).words, [i32::MAX as u32, 2]);
    assert_eq!(host.kernel.control().errors_encountered, 2);
    assert_eq!(host.kernel.telemetry().error_code, FaultKind::Overflow as i32);
}

pub(crate) fn slots_that_cannot_be_believed_are_refused(device: &dyn Device) {
    let mut host = Host::launch(device, spec_of(&TALLY, 1, 16));
    let mut refusal = |tag, payload: &[u32]| host.round_trip(0, tag, payload).fault();
    assert_eq!(refusal(0, &[]), Some((FaultKind::Malformed, FaultSite::None)), "no message has tag 0");
    assert_eq!(refusal(ADD, &[]), Some((FaultKind::Malformed, FaultSite::None)), "too short");
    assert_eq!(refusal(ADD, &[1, 2]), Some((FaultKind::Malformed, FaultSite::None)), "too long");
    assert_eq!(refusal(0xdead_beef, &[1]), Some((FaultKind::UnknownMessage, FaultSite::None)));
    assert_eq!(host.round_trip(0, tag::UNIT, &[]).words, [0, 0], "and the kernel goes on");
    assert_eq!(host.kernel.control().errors_encountered, 4);
    assert_eq!(host.kernel.control().messages_processed, 5);
}

pub(crate) fn an_instance_that_does_not_exist_is_refused(device: &dyn Device) {
    let mut host = Host::launch(device, spec_of(&TALLY, 3, 16));
    for instance in [3, 4, 5, 1 << 31, u32::MAX] {
        let refusal = host.round_trip(instance, ADD, &[1]);
        assert_eq!(refusal.fault(), Some((FaultKind::UnknownInstance, FaultSite::None)));
        assert_eq!(refusal.instance, instance);
    }
    for instance in 0..3 {
        assert_eq!(host.round_trip(instance, tag::UNIT, &[]).words, [0, 0]);
    }
}

pub(crate) fn tells_are_counted_and_never_answered(device: &dyn Device) {
    let mut host = Host::launch(device, spec_of(&TALLY, 1, 64));
    for _ in 0..20 {
        host.send(0, ADD, &[1], Correlation::NONE);
    }
    host.send(0, FAIL, &[1], Correlation::NONE);
    host.ask(0, tag::UNIT, &[], 5);
    let reply = host.next_reply();
    assert_eq!((reply.correlation.index, reply.words), (5, vec![20, 21]));
    assert!(host.poll().is_none());
    assert_eq!(host.kernel.control().messages_processed, 22);
    assert_eq!(host.kernel.control().errors_encountered, 1);
}

pub(crate) fn a_deactivated_kernel_keeps_messages_waiting(device: &dyn Device) {
    let mut host = Host::launch(device, spec_of(&TALLY, 1, 32));
    assert_eq!(host.round_trip(0, ADD, &[1]).words, [1, 1]);
    for round in 1..4 {
        host.kernel.set_active(false).unwrap();
        assert!(!host.kernel.control().is_active);
        for id in 0..10 {
            host.ask(0, ADD, &[1], id);
        }
        thread::sleep(A_WHILE);
        assert!(host.poll().is_none());
        let mut state = [0u32; 2];
        host.kernel.read_state(0, bytemuck::cast_slice_mut(&mut state)).unwrap();
        assert_eq!(state, [round * 10 - 9, round * 10 - 9]);
        host.kernel.set_active(true).unwrap();
        assert!(host.kernel.control().is_active);
        for id in 0..10 {
            let reply = host.next_reply();
            assert_eq!((reply.correlation.index, reply.words[1]), (id, round * 10 - 8 + id));
        }
    }
}

pub(crate) fn a_kernel_launched_inactive_waits_for_activation(device: &dyn Device) {
    let mut host = Host::launch(device, LaunchSpec { active: false, ..spec_of(&TALLY, 1, 16) });
    host.ask(0, ADD, &[4], 9);
    thread::sleep(A_WHILE);
    assert!(host.poll().is_none() && !host.kernel.control().is_active);
    host.kernel.set_active(true).unwrap();
    assert_eq!(host.next_reply().words, [4, 1]);
}

pub(crate) fn termination_is_idempotent_and_final(device: &dyn Device) {
    let mut host = Host::launch(device, spec_of(&TALLY, 4, 16));
    host.round_trip(3, ADD, &[1]);
    assert_eq!(host.kernel.control().has_terminated, HasTerminated::Running);
    for _ in 0..3 {
        host.terminate();
        let control = host.kernel.control();
        assert_eq!(control.has_terminated, HasTerminated::Done);
        assert!(control.should_terminate);
    }
    host.ask(3, ADD, &[1], 1);
    thread::sleep(A_WHILE);
    assert!(host.poll().is_none());
    assert_eq!(host.kernel.set_active(true), Err(DeviceError::Terminated));
    assert_eq!(host.kernel.control().messages_processed, 1);
}

pub(crate) fn termination_works_while_both_rings_are_full(device: &dyn Device) {
    let host = Host::launch(device, spec_of(&TALLY, 1, 4));
    let correlation = Correlation { index: 0, generation: 0 };
    let header = Header { tag: ADD, instance: 0, correlation, words: 0, hlc: 0 };
    // Nobody takes the replies: at some point neither ring moves.
    let mut refused = 0;
    while refused < 20 || host.kernel.ports()[0].requests.len() < 4 {
        refused = if host.try_push(header, &[1]) { 0 } else { refused + 1 };
        thread::sleep(Duration::from_millis(1));
    }
    host.terminate();
    assert_eq!(host.kernel.control().has_terminated, HasTerminated::Done);
}

pub(crate) fn a_full_reply_ring_holds_replies_back_and_loses_none(device: &dyn Device) {
    let mut host = Host::launch(device, spec_of(&TALLY, 1, 8));
    let (mut sent, mut received) = (0, 0);
    while received < 500 {
        while sent < 500 {
            let correlation = Correlation { index: sent, generation: 1 };
            if !host.try_push(Header { tag: ADD, instance: 0, correlation, words: 0, hlc: 0 }, &[1]) {
                break;
            }
            sent += 1;
        }
        // Slower than the device: its replies pile up.
        thread::sleep(Duration::from_micros(300));
        for _ in 0..8.min(sent - received) {
            let reply = host.next_reply();
            assert_eq!((reply.correlation.index, reply.words[1]), (received, received + 1));
            received += 1;
        }
    }
    assert_eq!(host.kernel.control().messages_processed, 500);
}

pub(crate) fn counters_equal_the_messages_sent(device: &dyn Device) {
    let mut host = Host::launch(device, spec_of(&TALLY, 7, 256));
    let before = host.kernel.telemetry();
    assert_eq!((before.messages_processed, before.min_latency_nanos), (0, u64::MAX));
    for i in 0..210 {
        host.ask(i % 7, if i % 10 == 9 { FAIL } else { ADD }, &[1], i);
    }
    for _ in 0..210 {
        host.next_reply();
    }
    let (control, telemetry) = (host.kernel.control(), host.kernel.telemetry());
    assert_eq!((control.messages_processed, control.errors_encountered), (210, 21));
    assert_eq!((telemetry.messages_processed, telemetry.messages_dropped), (210, 0));
    assert!(control.last_activity_ticks > 0 && telemetry.last_processed_timestamp > 0);
    let (least, most) = (telemetry.min_latency_nanos, telemetry.max_latency_nanos);
    assert!(least <= most && most <= telemetry.total_latency_nanos, "{telemetry:?}");
    assert!(least * 210 <= telemetry.total_latency_nanos, "{telemetry:?}");
    assert_eq!(telemetry.error_code, FaultKind::Panic as i32);
}

pub(crate) fn two_kernels_run_side_by_side(device: &dyn Device) {
    let mut hosts = [(), ()].map(|()| Host::launch(device, spec_of(&TALLY, 2, 16)));
    for i in 1..50 {
        for (k, host) in hosts.iter_mut().enumerate() {
            assert_eq!(host.round_trip(1, ADD, &[k as u32 + 1]).words, [i * (k as u32 + 1), i]);
        }
    }
    hosts[0].terminate();
    assert_eq!(hosts[1].round_trip(1, tag::UNIT, &[]).words, [98, 49]);
}

pub(crate) fn a_dropped_kernel_lets_go_of_its_host(device: &dyn Device) {
    for waiting in [0, 40] {
        let spec = spec_of(&TALLY, 3, 32);
        let progress: Weak<_> = Arc::downgrade(&spec.progress);
        let host = Host::launch(device, spec);
        for i in 0..waiting {
            host.try_push(
                Header { tag: ADD, instance: i % 3, correlation: Correlation::NONE, words: 0, hlc: 0 },
                &[1],
            );
        }
        drop(host);
        wait_until("the kernel has let go", || progress.strong_count() == 0);
    }
}

pub(crate) fn a_launch_that_makes_no_sense_is_an_error(device: &dyn Device) {
    for (instances, capacity) in [(0, 16), (1, 0), (1, 12)] {
        assert!(matches!(
            device.launch(spec_of(&TALLY, instances, capacity)),
            Err(DeviceError::Capacity { .. })
        ));
    }
    match device.launch(spec_of(&TALLY, 1, 1 << 31)).err() {
        Some(DeviceError::OutOfMemory { .. } | DeviceError::Capacity { .. }) => {}
        other => panic!("2^31 slots a queue: {other:?}"),
    }
}
