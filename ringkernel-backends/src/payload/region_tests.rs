use super::super::memory::device::Claims;
use super::*;
use proptest::prelude::*;
use std::sync::mpsc;

fn arena(bytes: usize, entries: u32) -> (RegionArena, Claims) {
    (RegionArena::new(RegionMemory::heap(bytes, entries)), Claims::new(entries))
}

fn with(reference: Reference, at: usize, value: u8) -> Reference {
    let mut bytes = reference.to_bytes();
    bytes[at] = value;
    Reference::from_bytes(&bytes).unwrap()
}

#[test]
fn a_payload_arrives_once_and_its_memory_is_given_back_when_the_device_says_so() {
    let (arena, claims) = arena(160, 16);
    let references: Vec<_> = (0..5).map(|n| arena.put(&[n; 20]).unwrap()).collect();
    let full = |bytes| Err(ArenaFull { bytes, used: 160, most: 160 });
    assert_eq!((arena.put(&[0]), arena.put(&[0; 1000])), (full(1), full(1000)));
    for (n, reference) in references.iter().enumerate().rev() {
        assert_eq!(claims.take(&arena.memory, *reference), Some(vec![n as u8; 20]));
        assert_eq!(claims.take(&arena.memory, *reference), None, "it was taken");
    }
    // All are being read.
    assert_eq!(arena.put(&[0]), full(1));
    // The last but one, whose place is not at the front.
    arena.memory.finish(references[3]);
    let again = arena.put(&[7; 32]).unwrap();
    assert_eq!(arena.put(&[0]), full(1));
    assert_eq!(claims.take(&arena.memory, references[3]), None);
    assert_eq!(claims.take(&arena.memory, again), Some(vec![7; 32]));
    references.iter().for_each(|reference| arena.memory.finish(*reference));
    arena.memory.finish(again);
    assert_eq!(arena.used(), 0);
    assert!(arena.put(&[1; 160]).is_ok());
}

#[test]
fn references_that_nobody_gave_lead_nowhere() {
    let (arena, claims) = arena(160, 4);
    let good = arena.put(&[1; 16]).unwrap();
    for (at, value) in [(0, 1), (0, 4), (3, 0xff), (4, 0), (4, 2), (8, 8), (8, 17), (11, 0xff)] {
        assert_eq!(claims.take(&arena.memory, with(good, at, value)), None, "{at}");
    }
    assert!(claims.take(&arena.memory, good).is_some());
}

#[test]
fn what_is_withdrawn_leads_nowhere_and_makes_room() {
    let (arena, claims) = arena(64, 4);
    let reference = arena.put(&[1; 64]).unwrap();
    arena.withdraw(with(reference, 8, 16));
    assert_eq!(arena.used(), 64, "it was another");
    arena.withdraw(reference);
    arena.withdraw(reference);
    assert_eq!((arena.used(), claims.take(&arena.memory, reference)), (0, None));
    let next = arena.put(&[2; 48]).unwrap();
    arena.withdraw(reference);
    assert_eq!(claims.take(&arena.memory, next), Some(vec![2; 48]));
}

#[test]
fn where_the_table_is_full_there_is_no_room_and_where_nothing_fits_none_ever() {
    let (few, _) = arena(1 << 10, 2);
    let first = few.put(&[0; 8]).unwrap();
    few.put(&[0; 8]).unwrap();
    assert_eq!(few.put(&[0; 8]), Err(ArenaFull { bytes: 8, used: 32, most: 1 << 10 }));
    few.withdraw(first);
    assert!(few.put(&[0; 8]).is_ok());
    // Pieces are as long as a multiple of 16, and so is the most there may be.
    let (odd, _) = arena(40, 2);
    assert_eq!((odd.most(), odd.has_room(32), odd.has_room(33)), (32, true, false));
    assert!(odd.put(&[0; 33]).is_err() && odd.put(&[0; 32]).is_ok() && !odd.has_room(1));
    let (none, _) = arena(0, 0);
    assert_eq!(none.put(&[0; 8]), Err(ArenaFull { bytes: 8, used: 0, most: 0 }));
}

proptest! {
    /// Whatever is put, withdrawn, taken and finished in whatever order: what waits is what was put, and what is gone makes room.
    #[test]
    fn every_payload_is_what_was_put_until_the_device_is_through_with_it(
        steps in proptest::collection::vec((0u8..6, 0usize..300, any::<prop::sample::Index>()), 0..300),
    ) {
        let (arena, claims) = arena(1 << 10, 8);
        let (mut waiting, mut reading, mut gone) = (Vec::new(), Vec::new(), Vec::new());
        let rounded = |pieces: &[(Reference, Vec<u8>)]| {
            pieces.iter().map(|(_, bytes)| bytes.len().max(1).next_multiple_of(16)).sum::<usize>()
        };
        for (n, (what, length, which)) in steps.into_iter().enumerate() {
            match what {
                0..3 => {
                    let (payload, has_room) = (vec![n as u8; length], arena.has_room(length as u64));
                    let put = arena.put(&payload);
                    prop_assert_eq!(put.is_ok(), has_room);
                    match put {
                        Ok(reference) => waiting.push((reference, payload)),
                        Err(full) => {
                            let used = rounded(&waiting) + rounded(&reading);
                            prop_assert_eq!(full, ArenaFull { bytes: length as u64, used: used as u64, most: 1 << 10 });
                        }
                    }
                }
                3 if !waiting.is_empty() => {
                    let (reference, _) = waiting.swap_remove(which.index(waiting.len()));
                    arena.withdraw(reference);
                    gone.push(reference);
                }
                4 if !waiting.is_empty() => {
                    let (reference, payload) = waiting.swap_remove(which.index(waiting.len()));
                    let found = claims.take(&arena.memory, reference);
                    prop_assert_eq!(found.as_ref(), Some(&payload));
                    reading.push((reference, payload));
                }
                5 if !reading.is_empty() => {
                    let (reference, _) = reading.swap_remove(which.index(reading.len()));
                    arena.memory.finish(reference);
                    gone.push(reference);
                }
                _ => {}
            }
            for reference in gone.iter().chain(reading.iter().map(|(reference, _)| reference)) {
                prop_assert_eq!(claims.take(&arena.memory, *reference), None);
            }
        }
        prop_assert_eq!(arena.used() as usize, rounded(&waiting) + rounded(&reading));
    }
}

#[test]
fn payloads_of_many_threads_arrive_whole_and_leave_nothing_behind() {
    let (arena, claims) = arena(16 << 10, 64);
    let threads = 4;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (sender, receiver) = mpsc::sync_channel::<(Reference, u8)>(16);
            let (arena, claims) = (&arena, &claims);
            scope.spawn(move || {
                for n in 0..20_000usize {
                    let (value, length) = ((n + thread) as u8, n % 700);
                    let reference = loop {
                        match arena.put(&vec![value; length]) {
                            Ok(reference) => break reference,
                            Err(_) => std::thread::yield_now(),
                        }
                    };
                    if n % 16 == 0 {
                        arena.withdraw(reference);
                    } else {
                        sender.send((reference, value)).unwrap();
                    }
                }
            });
            scope.spawn(move || {
                for (reference, value) in receiver {
                    let payload = claims.take(&arena.memory, reference).unwrap();
                    assert!(payload.iter().all(|byte| *byte == value));
                    arena.memory.finish(reference);
                }
            });
        }
    });
    assert_eq!(arena.used(), 0);
}
