use super::*;
use crate::testing::{Account, Balance, Deposit, Misbehave, Stranger};
use crate::{DeviceType, RingMessage};
use ringkernel_backends::kernel::{InitialState, native_site};
use ringkernel_backends::mesh::NoOutbox;
use std::sync::Arc;

fn shard(first: u32, stride: u32, count: u32) -> Box<dyn NativeShard> {
    let initial: InitialState =
        Arc::new(|instance, out| Account { cents: instance as i64 * 100, deposits: 0 }.encode(out));
    (Account::DESCRIPTOR.native)(NativeShardSpec { first, stride, count, initial: &initial }).unwrap()
}

fn send<M: RingMessage>(shard: &mut dyn NativeShard, local: u32, message: M) -> (Outcome, Vec<u8>) {
    let mut payload = vec![0; M::SIZE.next_multiple_of(4) as usize];
    message.encode(&mut payload);
    let mut reply = vec![0; 16];
    let outcome = shard.handle(local, local, M::TAG, &payload, &mut reply, &mut NoOutbox);
    (outcome, reply)
}

fn misbehave(case: u32) -> (FaultKind, Option<(String, String)>) {
    match send(&mut *shard(0, 1, 1), 0, Misbehave(case)).0 {
        Outcome::Fault { kind, site: FaultSite::Native(site) } => {
            let site = native_site(site).unwrap();
            assert!(site.line > 0 && site.column > 0);
            (kind, Some((site.file.to_owned(), site.message.to_owned())))
        }
        Outcome::Fault { kind, site } => {
            assert_eq!(site, FaultSite::None);
            (kind, None)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_instance_starts_from_its_own_state_and_keeps_it() {
    let mut shard = shard(1, 4, 3);
    for local in 0..3 {
        let (outcome, reply) = send(&mut *shard, local, Deposit { cents: 5 });
        assert_eq!(outcome, Outcome::Reply { tag: Balance::TAG, bytes: 16 });
        let balance = Balance::decode(&reply).unwrap();
        assert_eq!(balance, Balance { cents: (1 + 4 * local as i64) * 100 + 5, deposits: 1 });
    }
    let mut state = [0; 16];
    shard.read_state(2, &mut state);
    assert_eq!(Account::decode(&state), Ok(Account { cents: 905, deposits: 1 }));
}

#[test]
fn panics_become_faults_of_the_kind_that_devices_report() {
    use FaultKind::*;
    for (case, kind) in [
        (2, DivisionByZero),
        (3, DivisionOverflow),
        (5, IndexOutOfBounds),
        (7, InvalidArgument),
        (70, InvalidArgument),
    ] {
        let (got, site) = misbehave(case);
        assert_eq!(got, kind, "case {case}");
        assert_eq!(site.unwrap().1, "", "std's texts hold run-time values and are not kept");
    }
    for (case, kind) in [(71, InvalidArgument), (72, InvalidArgument), (6, Panic), (60, Panic)] {
        assert_eq!(misbehave(case).0, kind, "case {case}");
    }
    if cfg!(debug_assertions) {
        assert_eq!(misbehave(1).0, Overflow);
        assert_eq!(misbehave(4).0, ShiftOverflow);
    }
}

#[test]
fn a_fault_says_where_it_was_and_what_the_panic_said() {
    let (file, message) = misbehave(6).1.unwrap();
    assert!(file.ends_with("testing.rs"), "{file}");
    assert_eq!(message, "case 6");
    assert_eq!(misbehave(60).1.unwrap().1, "one is not two");
}

#[test]
fn a_payload_that_panics_when_dropped_is_still_one_fault() {
    assert_eq!(misbehave(61).0, FaultKind::Panic);
}

#[test]
fn a_panic_that_goes_around_the_hook_is_a_fault_without_a_place() {
    assert_eq!(misbehave(62), (FaultKind::Panic, None));
}

#[test]
fn a_panic_that_the_handler_catches_is_its_own_affair() {
    let (outcome, _) = send(&mut *shard(0, 1, 1), 0, Misbehave(63));
    assert_eq!(outcome, Outcome::Reply { tag: <()>::TAG, bytes: 0 });
}

#[test]
fn what_a_handler_wrote_before_it_panicked_stays_written() {
    let mut shard = shard(0, 1, 1);
    assert!(matches!(send(&mut *shard, 0, Misbehave(2)).0, Outcome::Fault { .. }));
    let (_, reply) = send(&mut *shard, 0, Deposit { cents: 1 });
    assert_eq!(Balance::decode(&reply).unwrap().deposits, 2);
}

#[test]
fn slots_that_are_no_message_of_the_actor_are_faults_without_a_place() {
    let mut shard = shard(0, 1, 2);
    let fault = |kind| Outcome::Fault { kind, site: FaultSite::None };
    assert_eq!(send(&mut *shard, 0, Stranger(1)).0, fault(FaultKind::UnknownMessage));
    assert_eq!(send(&mut *shard, 2, Deposit { cents: 1 }).0, fault(FaultKind::UnknownInstance));
    let mut reply = [0; 16];
    for wrong in [0usize, 4, 12] {
        let outcome = shard.handle(0, 0, Deposit::TAG, &vec![0; wrong], &mut reply, &mut NoOutbox);
        assert_eq!(outcome, fault(FaultKind::Malformed), "{wrong} bytes");
    }
    assert_eq!(
        shard.handle(0, 0, bool::TAG, &[2, 0, 0, 0], &mut reply, &mut NoOutbox),
        fault(FaultKind::Malformed)
    );
}

#[test]
fn panics_outside_handlers_still_reach_the_hook_that_was_there() {
    use std::sync::atomic::{AtomicU32, Ordering};
    static SEEN: AtomicU32 = AtomicU32::new(0);
    misbehave(6);
    // Ours is installed by now, so what is taken here is ours in front of the test harness's.
    let ours = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload_as_str() == Some("outside any handler") {
            // Relaxed: the same thread reads it.
            SEEN.fetch_add(1, Ordering::Relaxed);
        } else {
            ours(info);
        }
    }));
    let _ = panic::catch_unwind(|| panic!("outside any handler"));
    assert_eq!(SEEN.load(Ordering::Relaxed), 1);
    assert_eq!(misbehave(60).1.unwrap().1, "one is not two", "and ours still works behind another");
}
