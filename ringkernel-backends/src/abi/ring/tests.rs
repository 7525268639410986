use super::*;
use std::thread;

fn header(instance: u32) -> Header {
    Header { tag: 300, instance, correlation: Correlation::NONE, words: 0, hlc: 0 }
}

fn ring(capacity: u32, payload: usize, start: u64) -> Ring {
    let shape = SlotShape::for_payload(payload).unwrap();
    Ring::new(RawMemory::heap(capacity, shape), capacity, shape, start)
}

#[test]
fn messages_come_out_in_order_with_their_payload_at_every_size_and_across_the_counter_wrap() {
    for start in [0, u32::MAX as u64 - 5, u64::MAX - 5, u64::MAX] {
        for payload in 0..100usize {
            let ring = ring(4, 100, start);
            let mut consumer = ring.consumer();
            let mut out = [0u32; 64];
            for i in 0..20u32 {
                let bytes: Vec<u8> = (0..payload).map(|k| (k as u32 * 7 + i) as u8).collect();
                ring.try_push(header(i), &bytes).unwrap();
                let got = consumer.pop(&ring, &mut out).unwrap();
                assert_eq!((got.instance, got.words as usize), (i, payload.div_ceil(4)));
                let raw: Vec<u8> = out.iter().flat_map(|w| w.to_le_bytes()).take(payload).collect();
                assert_eq!(raw, bytes);
                assert!(consumer.pop(&ring, &mut out).is_none());
                consumer.publish(&ring);
            }
        }
    }
}

#[test]
fn a_full_ring_says_so_until_the_consumer_publishes() {
    let ring = ring(2, 8, 0);
    let mut consumer = ring.consumer();
    let mut out = [0; 6];
    assert_eq!(ring.try_push(header(0), &[]), Ok(()));
    assert_eq!(ring.try_push(header(1), &[]), Ok(()));
    assert_eq!(ring.try_push(header(2), &[]), Err(Full));
    assert!(consumer.pop(&ring, &mut out).is_some());
    assert_eq!(ring.try_push(header(2), &[]), Err(Full));
    consumer.publish(&ring);
    assert_eq!(ring.try_push(header(2), &[]), Ok(()));
    assert_eq!(ring.len(), 2);
}

#[test]
fn a_batch_takes_what_room_there_is_in_one_piece_wherever_the_counters_stand() {
    for start in [0, u32::MAX as u64 - 2, u64::MAX - 2] {
        let ring = ring(4, 12, start);
        let mut consumer = ring.consumer();
        let mut out = [0; 6];
        for lap in 0..5u32 {
            assert_eq!(ring.try_push(header(100 + lap), &lap.to_le_bytes()), Ok(()));
            let mut batch = ring.reserve(10).unwrap();
            assert_eq!(batch.left(), 3);
            (0..3u32).for_each(|i| batch.push(header(i), &[(lap * 3 + i) as u8; 9]));
            drop(batch);
            assert!(ring.reserve(1).is_err());
            assert_eq!(consumer.pop(&ring, &mut out).unwrap().instance, 100 + lap);
            assert_eq!(out[0], lap);
            for i in 0..3 {
                assert_eq!(consumer.pop(&ring, &mut out).unwrap().instance, i);
                assert_eq!(out[..3], [(lap * 3 + i) * 0x0101_0101, (lap * 3 + i) * 0x0101_0101, lap * 3 + i]);
            }
            assert!(consumer.pop(&ring, &mut out).is_none());
            consumer.publish(&ring);
        }
        assert_eq!((ring.pushed(), ring.consumed(), ring.len()), (20, 20, 0));
    }
}

#[test]
fn what_a_batch_reserved_and_did_not_write_is_published_as_messages_for_nobody() {
    let ring = ring(8, 8, 0);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut batch = ring.reserve(3).unwrap();
        batch.push(header(7), &[1]);
        batch.push(header(8), &[0; 1000]);
    }));
    assert!(panicked.is_err());
    ring.try_push(header(9), &[]).unwrap();
    let mut consumer = ring.consumer();
    let got: Vec<_> = std::iter::from_fn(|| consumer.pop(&ring, &mut [0; 6])).collect();
    let seen: Vec<_> = got.iter().map(|h| (h.tag, h.instance, h.correlation.is_some())).collect();
    assert_eq!(seen, [(300, 7, false), (0, 0, false), (0, 0, false), (300, 9, false)]);
}

#[test]
fn many_producers_lose_nothing_duplicate_nothing_and_keep_each_senders_order() {
    const PRODUCERS: u32 = 4;
    const EACH: u32 = if cfg!(miri) { 50 } else { 20_000 };
    let ring = ring(64, 40, 0);
    thread::scope(|s| {
        for p in 0..PRODUCERS {
            let ring = &ring;
            s.spawn(move || {
                let bytes =
                    |i: u32| -> Vec<u8> { (0..10u32).flat_map(|k| (i * 31 + k).to_le_bytes()).collect() };
                let mut i = 0;
                while i < EACH {
                    // One at a time, or as many as there is room for.
                    let want = if (i / 7 + p) % 2 == 0 { 1 } else { (EACH - i).min(50) };
                    let Ok(mut batch) = ring.reserve(want as usize) else {
                        thread::yield_now();
                        continue;
                    };
                    while batch.left() > 0 {
                        batch.push(Header { hlc: i as u64, ..header(p) }, &bytes(i));
                        i += 1;
                    }
                }
            });
        }
        let mut consumer = ring.consumer();
        let mut next = [0u64; PRODUCERS as usize];
        let mut out = [0u32; 16];
        let mut left = PRODUCERS * EACH;
        while left > 0 {
            let Some(got) = consumer.pop(&ring, &mut out) else {
                consumer.publish(&ring);
                thread::yield_now();
                continue;
            };
            assert_eq!(got.hlc, next[got.instance as usize]);
            assert!((0..10).all(|k| out[k as usize] == got.hlc as u32 * 31 + k), "torn payload");
            next[got.instance as usize] += 1;
            left -= 1;
        }
    });
}

#[test]
fn a_closed_ring_takes_nothing_more_and_gives_out_what_it_took() {
    for start in [0, u64::MAX - 1] {
        let ring = ring(4, 8, start);
        let mut consumer = ring.consumer();
        for i in 0..3 {
            ring.try_push(header(i), &[]).unwrap();
        }
        assert_eq!(ring.close(), 3);
        assert_eq!((ring.pushed(), ring.len()), (3, 3));
        assert_eq!(ring.try_push(header(3), &[]), Err(Full));
        for i in 0..3 {
            assert_eq!(consumer.pop(&ring, &mut [0; 6]).map(|header| header.instance), Some(i));
            consumer.publish(&ring);
            assert_eq!(ring.try_push(header(3), &[]), Err(Full));
        }
        assert!(ring.reserve(2).is_err() && consumer.pop(&ring, &mut [0; 6]).is_none());
        assert_eq!((ring.pushed(), ring.consumed(), ring.len()), (3, 3, 0));
    }
}

#[test]
fn a_header_that_claims_more_than_a_slot_is_not_believed() {
    let ring = ring(2, 24, 0);
    let mut consumer = ring.consumer();
    ring.try_push(header(0), &[1, 2, 3]).unwrap();
    let word = ring.word_of(0, 1);
    ring.memory.store(word, u64::MAX, Ordering::Relaxed);
    assert_eq!(consumer.peek(&ring).map(|(header, payload)| (header.tag, payload.words())), Some((0, 0)));
    let got = consumer.pop(&ring, &mut [0; 6]).unwrap();
    assert_eq!((got.tag, got.words), (0, 0));
}

#[test]
fn a_message_that_is_looked_at_stays_until_it_is_taken_and_is_whole_or_not_there() {
    let ring = ring(4, 40, 0);
    let mut consumer = ring.consumer();
    ring.try_push(header(5), &(0..40).collect::<Vec<u8>>()).unwrap();
    // Its last chunk is not there yet.
    let last = ring.word_of(0, 5) + 1;
    let word = ring.memory.load(last, Ordering::Relaxed);
    ring.memory.store(last, 0, Ordering::Relaxed);
    assert!(consumer.is_ready(&ring) && consumer.peek(&ring).is_none());
    ring.memory.store(last, word, Ordering::Relaxed);
    for _ in 0..2 {
        let (seen, payload) = consumer.peek(&ring).unwrap();
        assert_eq!((seen.instance, payload.words(), payload.six(1)[0] as u32), (5, 10, 0x1b1a_1918));
    }
    consumer.advance();
    assert!(consumer.peek(&ring).is_none());
}
