use super::*;
use std::sync::Arc;
use std::sync::mpsc;
use std::task::Wake;
use std::thread;

struct Count(AtomicUsize);
impl Wake for Count {
    fn wake(self: Arc<Self>) {
        // Relaxed: the test reads it on the same thread, or after joining.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

type Taken = Result<(u32, u32, Vec<u8>), Refused>;

fn take(slab: &Slab, key: Key) -> Poll<Taken> {
    slab.take(key, None, |instance, tag, words| {
        (instance, tag, words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect())
    })
}

#[test]
fn a_reply_reaches_the_request_it_answers_and_frees_its_entry() {
    let slab = Slab::new(6);
    let keys: Vec<Key> = (0..1000).map(|i| slab.insert(Owner::Asker, i, false).unwrap()).collect();
    assert_eq!(slab.live(), 1000);
    for (i, key) in keys.iter().enumerate().rev() {
        assert_eq!(take(&slab, *key), Poll::Pending);
        let (delivered, watched) = slab.deliver(key.correlation(), 300, &[i as u32, 0x0403_0201]);
        assert!(matches!(delivered, Delivered::Asker(None)) && !watched);
        let mut bytes = (i as u32).to_le_bytes().to_vec();
        bytes.extend([1, 2, 3, 4]);
        assert_eq!(take(&slab, *key), Poll::Ready(Ok((i as u32, 300, bytes))));
    }
    assert_eq!(slab.live(), 0);
}

#[test]
fn a_late_reply_finds_another_generation_and_is_discarded() {
    let slab = Slab::new(6);
    let key = slab.insert(Owner::Asker, 0, false).unwrap();
    assert!(!slab.abandon(key, true));
    assert_eq!(slab.live(), 1, "the reply is still to come, so the entry may not be used for another");
    assert!(matches!(slab.deliver(key.correlation(), 300, &[]).0, Delivered::Discarded));
    assert_eq!(slab.live(), 0);
    let next = slab.insert(Owner::Asker, 0, false).unwrap();
    assert_eq!(next.index, key.index);
    assert!(matches!(slab.deliver(key.correlation(), 300, &[]).0, Delivered::Unknown));
    assert_eq!(take(&slab, next), Poll::Pending);
}

#[test]
fn a_request_that_was_never_sent_frees_its_entry_at_once() {
    let slab = Slab::new(6);
    let key = slab.insert(Owner::Asker, 0, true).unwrap();
    assert!(slab.abandon(key, false));
    assert_eq!(slab.live(), 0);
    assert!(!slab.abandon(key, false), "and only once");
    assert_eq!(slab.live(), 0);
}

#[test]
fn correlations_that_no_request_has_are_unknown() {
    let slab = Slab::new(6);
    let key = slab.insert(Owner::Asker, 0, false).unwrap();
    for index in [key.index + 1, 63, 64, MOST - 1, MOST, u32::MAX - 1, u32::MAX] {
        let wild = Correlation { index, generation: key.generation };
        assert!(matches!(slab.deliver(wild, 300, &[]).0, Delivered::Unknown));
    }
    let mut wild = key.correlation();
    wild.generation ^= 1;
    assert!(matches!(slab.deliver(wild, 300, &[]).0, Delivered::Unknown));
    assert!(matches!(slab.deliver(key.correlation(), 300, &[]).0, Delivered::Asker(None)));
    assert!(matches!(slab.deliver(key.correlation(), 301, &[]).0, Delivered::Unknown), "a second reply");
    assert_eq!(take(&slab, key), Poll::Ready(Ok((0, 300, vec![]))));
}

#[test]
fn the_last_waker_left_is_the_one_that_is_woken() {
    let slab = Slab::new(6);
    let counts: Vec<Arc<Count>> = (0..3).map(|_| Arc::new(Count(AtomicUsize::new(0)))).collect();
    let key = slab.insert(Owner::Asker, 0, false).unwrap();
    for count in &counts {
        assert!(slab.take(key, Some(&Waker::from(count.clone())), |_, _, _| ()).is_pending());
    }
    let (Delivered::Asker(Some(waker)), _) = slab.deliver(key.correlation(), 1, &[]) else { panic!() };
    waker.wake();
    let woken: Vec<usize> = counts.iter().map(|count| count.0.load(Ordering::Relaxed)).collect();
    assert_eq!(woken, [0, 0, 1]);
    for count in counts {
        assert_eq!(Arc::strong_count(&count), 1, "no waker is kept");
    }
}

#[test]
fn closing_tells_askers_frees_the_rest_and_lets_ready_replies_be_taken() {
    let slab = Slab::new(6);
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let asker = slab.insert(Owner::Asker, 0, false).unwrap();
    assert!(slab.take(asker, Some(&Waker::from(count.clone())), |_, _, _| ()).is_pending());
    let inbox = slab.insert(Owner::Inbox, 0, false).unwrap();
    let nobody = slab.insert(Owner::Asker, 0, false).unwrap();
    slab.abandon(nobody, true);
    let ready = slab.insert(Owner::Inbox, 7, false).unwrap();
    assert!(matches!(slab.deliver(ready.correlation(), 300, &[]).0, Delivered::Inbox(key) if key == ready));
    slab.close().into_iter().for_each(Waker::wake);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
    assert_eq!(slab.live(), 2);
    assert_eq!(take(&slab, asker), Poll::Ready(Err(Refused::Closed)));
    assert_eq!(take(&slab, ready), Poll::Ready(Ok((7, 300, vec![]))));
    assert_eq!(slab.live(), 0);
    // What was already freed stays freed, whoever still holds its key.
    slab.abandon(inbox, false);
    assert_eq!(take(&slab, asker), Poll::Ready(Err(Refused::Closed)));
    assert_eq!(slab.live(), 0);
    assert_eq!(slab.insert(Owner::Asker, 0, false), Err(Refused::Closed));
    assert_eq!(slab.live(), 0);
}

#[test]
fn a_waker_whose_drop_owns_the_entry_does_not_lock_up() {
    struct Holder {
        slab: Arc<Slab>,
        key: Key,
    }
    impl Wake for Holder {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Holder {
        fn drop(&mut self) {
            self.slab.abandon(self.key, true);
        }
    }
    let slab = Arc::new(Slab::new(6));
    for replace in [false, true] {
        let key = slab.insert(Owner::Asker, 0, false).unwrap();
        let waker = Waker::from(Arc::new(Holder { slab: slab.clone(), key }));
        assert!(slab.take(key, Some(&waker), |_, _, _| ()).is_pending());
        drop(waker);
        if replace {
            assert!(slab.take(key, Some(Waker::noop()), |_, _, _| ()).is_pending());
        } else {
            slab.abandon(key, true);
        }
        assert!(matches!(slab.deliver(key.correlation(), 1, &[]).0, Delivered::Discarded));
    }
    assert_eq!(slab.live(), 0);
}

#[test]
fn a_slab_that_is_used_up_says_so_and_tells_of_the_next_vacancy() {
    let slab = Slab::new(6);
    let keys: Vec<Key> = (0..MOST).map(|i| slab.insert(Owner::Inbox, i, false).unwrap()).collect();
    assert_eq!(slab.insert(Owner::Asker, 0, false), Err(Refused::Exhausted));
    let listener = slab.vacancy().listen();
    slab.abandon(keys[12345], false);
    event_listener::Listener::wait(listener);
    assert_eq!(slab.insert(Owner::Asker, 0, false).unwrap().index, keys[12345].index);
    let mut seen: Vec<u32> = keys.iter().map(|key| key.index).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), MOST as usize);
}

#[test]
fn many_threads_insert_deliver_take_and_abandon_without_mixing_anything_up() {
    const ASKERS: u32 = 3;
    const EACH: u32 = 20_000;
    let slab = Slab::new(6);
    let (send, receive) = mpsc::channel::<(Key, u32)>();
    thread::scope(|s| {
        let slab = &slab;
        for asker in 0..ASKERS {
            let send = send.clone();
            s.spawn(move || {
                for i in 0..EACH {
                    let mark = asker << 24 | i;
                    let key = slab.insert(Owner::Asker, mark, false).unwrap();
                    if i % 7 == 0 {
                        slab.abandon(key, false);
                        continue;
                    }
                    send.send((key, mark)).unwrap();
                    if i % 5 == 0 {
                        slab.abandon(key, true);
                        continue;
                    }
                    loop {
                        match take(slab, key) {
                            Poll::Pending => thread::yield_now(),
                            Poll::Ready(reply) => {
                                assert_eq!(reply, Ok((mark, 300, mark.to_le_bytes().to_vec())));
                                break;
                            }
                        }
                    }
                }
            });
        }
        drop(send);
        for (key, mark) in receive {
            assert!(!matches!(slab.deliver(key.correlation(), 300, &[mark]).0, Delivered::Unknown));
        }
    });
    assert_eq!(slab.live(), 0);
}
