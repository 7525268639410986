//! Messages cost no allocation once a kernel has run for a while: counted over all threads, those of the device included.

use futures::{StreamExt, TryStreamExt};
use ringkernel::prelude::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
/// Tests count what everybody allocates, so there is one at a time.
static ALONE: Mutex<()> = Mutex::new(());

// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

#[derive(RingMessage, Clone, Copy, Debug)]
struct Add {
    n: u64,
}

/// A reply larger than a slot of 64 bytes, and than what is decoded on the stack without ado.
#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
struct Sums {
    sums: [u64; 20],
}

#[derive(RingMessage, Clone, Copy, Debug)]
struct Spread {
    n: u64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
struct Give {
    outputs: u64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
struct Announce {
    sums: u64,
}

/// More than is encoded on the stack.
#[derive(RingMessage, Clone, Copy, Debug)]
struct Wide {
    n: u64,
    rest: [u64; 63],
}

/// Of variable size, and more than a hundred bytes without anything that the sender would have to allocate.
#[derive(RingMessage, Clone, Debug, Default)]
struct Many {
    numbers: Vec<u64>,
    text: Option<String>,
    rest: [u64; 30],
}

#[ring_kernel(id = "allocations")]
#[derive(Default)]
struct Adder {
    sum: u64,
}

#[ring_kernel]
impl Adder {
    #[handler]
    fn add(&mut self, _ctx: &mut RingContext, msg: Add) -> u64 {
        self.sum += msg.n;
        self.sum
    }

    #[handler]
    fn spread(&mut self, _ctx: &mut RingContext, msg: Spread) -> Sums {
        let mut sums = [msg.n; 20];
        sums[19] += 19;
        Sums { sums }
    }

    #[handler]
    fn give(&mut self, ctx: &mut RingContext, msg: Give) {
        for n in 0..msg.outputs {
            if !ctx.enqueue_output(Add { n }).is_ok() {
                self.sum += 1;
            }
        }
    }

    #[handler]
    fn announce(&mut self, ctx: &mut RingContext, msg: Announce) -> u64 {
        let mut sent = 0;
        for n in 0..msg.sums {
            let mut sums = [n; 20];
            sums[0] = msg.sums;
            if ctx.publish("allocations/sums", Sums { sums }).is_ok() {
                sent += 1;
            }
        }
        sent
    }

    #[handler]
    fn wide(&mut self, _ctx: &mut RingContext, msg: Wide) -> u64 {
        self.sum += msg.n + msg.rest[62];
        self.sum
    }

    #[handler]
    fn many(&mut self, _ctx: &mut RingContext, msg: &Archived<Many>) -> u64 {
        self.sum += msg.rest[0].to_native() + msg.numbers.len() as u64;
        self.sum
    }
}

const MESSAGES: u64 = 12_000;
/// What an executor, a thread that blocks for the first time, or a growing queue may take, whatever the number of messages.
const FEW: u64 = 60;

/// Runs `work` twice, and counts the second time.
fn counted(what: &str, mut work: impl FnMut(u64)) {
    work(MESSAGES / 4);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    work(MESSAGES);
    let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
    println!("{what}: {count} allocations for {MESSAGES} messages");
    assert!(count <= FEW, "{what}: {count} allocations for {MESSAGES} messages");
}

#[test]
fn messages_of_every_kind_allocate_nothing_in_steady_state() {
    let _alone = ALONE.lock().expect("the other test passes");
    let runtime =
        smol::block_on(RingKernel::builder().backend(Backend::Cpu).build()).expect("the CPU is always there");
    for capacity in [16, 1024] {
        let options = LaunchOptions::default().instances(8).queue_capacity(capacity);
        let adder = smol::block_on(Adder::launch(&runtime, options)).expect("launched");
        let adder = &adder;
        counted("ask", |count| {
            smol::block_on(async {
                for n in 0..count {
                    adder.ask(Add { n }).await.expect("answered");
                }
            })
        });
        counted("a proxy's method", |count| {
            smol::block_on(async {
                for n in 0..count {
                    adder.add(Add { n }).await.expect("answered");
                }
            })
        });
        counted("ask_blocking", |count| {
            (0..count).for_each(|n| assert!(adder.ask_blocking(Add { n }).is_ok()));
        });
        counted("ask, large replies", |count| {
            smol::block_on(async {
                for n in 0..count {
                    assert_eq!(adder.ask(Spread { n }).await.expect("answered").sums[19], n + 19);
                }
            })
        });
        counted("tell", |count| {
            smol::block_on(async {
                for n in 0..count {
                    adder.tell(Add { n }).await.expect("handed over");
                }
            })
        });
        let mut outputs = adder.outputs::<Add>().expect("it gives them out");
        counted("outputs, one by one", |count| {
            smol::block_on(async {
                for _ in 0..count {
                    adder.tell(Give { outputs: 1 }).await.expect("handed over");
                    assert_eq!(outputs.next().await.expect("there").expect("an output").message.n, 0);
                }
            })
        });
        counted("outputs, many", |count| {
            smol::block_on(async {
                for _ in 0..count / 8 {
                    adder.tell(Give { outputs: 8 }).await.expect("handed over");
                    for n in 0..8 {
                        assert_eq!(outputs.next().await.expect("there").expect("an output").message.n, n);
                    }
                }
            })
        });
        drop(outputs);
        counted("tell_blocking", |count| {
            (0..count).for_each(|n| adder.tell_blocking(Add { n }).expect("handed over"));
        });
        counted("ask_blocking and tell_blocking, of variable size", |count| {
            (0..count / 2).for_each(|_| {
                adder.ask_blocking(Many::default()).expect("answered");
                adder.tell_blocking(Many::default()).expect("handed over");
            });
        });
        counted("tell_many and ask_many, of variable size", |count| {
            smol::block_on(async {
                adder.tell_many((0..count / 2).map(|_| Many::default())).await.expect("handed over");
                let replies = adder
                    .ask_many((0..count / 2).map(|_| Many::default()))
                    .try_fold(0, async |answered, _| Ok(answered + 1));
                assert_eq!(replies.await.expect("answered"), count / 2);
            });
        });
        counted("tell_many", |count| {
            smol::block_on(adder.tell_many((0..count).map(|n| Add { n }))).expect("handed over");
        });
        counted("tell_many_at_blocking, some at a time", |count| {
            for first in (0..count).step_by(100) {
                let some = (first..first + 100).map(|n| ((n % 8) as u32, Add { n }));
                adder.tell_many_at_blocking(some).expect("handed over");
            }
        });
        counted("ask_many", |count| {
            let replies = adder
                .ask_many((0..count).map(|n| Add { n }))
                .try_fold(0, async |answered, _| Ok(answered + 1));
            assert_eq!(smol::block_on(replies).expect("answered"), count);
        });
        counted("ask_many_at, some at a time, large replies", |count| {
            smol::block_on(async {
                for first in (0..count).step_by(100) {
                    let some = (first..first + 100).map(|n| ((n % 8) as u32, Spread { n }));
                    let mut replies = adder.ask_many_at(some).in_flight(10);
                    let mut n = first;
                    while let Some(reply) = replies.next().await {
                        assert_eq!(reply.expect("answered").sums[19], n + 19);
                        n += 1;
                    }
                }
            })
        });
        counted("ask_many, blocking", |count| {
            let replies = adder.ask_many((0..count).map(|n| Add { n })).in_flight(3).blocking();
            assert_eq!(replies.filter(Result::is_ok).count() as u64, count);
        });
        smol::block_on(adder.terminate()).expect("terminated");
    }
    smol::block_on(runtime.shutdown()).expect("shut down");
}

#[test]
fn publications_allocate_nothing_in_steady_state() {
    let _alone = ALONE.lock().expect("the other test passes");
    let runtime =
        smol::block_on(RingKernel::builder().backend(Backend::Cpu).build()).expect("the CPU is always there");
    let options = LaunchOptions::default().instances(8);
    let adder = smol::block_on(Adder::launch(&runtime, options)).expect("launched");
    let topics = runtime.topics();
    for streams in [1, 8] {
        let subscribe = |_| smol::block_on(topics.subscribe::<Sums>("allocations/+")).expect("subscribed");
        let mut all: Vec<_> = (0..streams).map(subscribe).collect();
        let what = format!("handler to {streams} streams, some at a time");
        counted(&what, |count| {
            smol::block_on(async {
                for _ in 0..count / 8 {
                    assert_eq!(adder.announce(Announce { sums: 8 }).await.expect("answered"), 8);
                    for stream in &mut all {
                        for n in 1..=8 {
                            let sums = stream.next().await.expect("there").message.sums;
                            assert_eq!((sums[0], sums[1] + 1), (8, n));
                        }
                    }
                }
            })
        });
        let what = format!("handler to {streams} streams that wait for each");
        counted(&what, |count| {
            smol::block_on(async {
                for _ in 0..count / 8 {
                    adder.tell(Announce { sums: 1 }).await.expect("handed over");
                    for stream in &mut all {
                        assert_eq!(stream.next().await.expect("there").message.sums[0], 1);
                    }
                }
            })
        });
        let what = format!("host to {streams} streams, retained or not");
        counted(&what, |count| {
            smol::block_on(async {
                for n in 0..count {
                    let sums = Sums { sums: [n; 20] };
                    let delivery = match n % 3 {
                        0 => topics.publish("allocations/sums", sums).await,
                        1 => topics.publish_retained("allocations/retained", sums).await,
                        _ => topics.try_publish("allocations/sums", sums),
                    };
                    assert_eq!(delivery.expect("published").reached, streams);
                    for stream in &mut all {
                        assert_eq!(stream.next().await.expect("there").message, sums);
                    }
                }
            })
        });
        // Who does not read misses the oldest.
        counted("host to streams that nobody reads", |count| {
            (0..count).for_each(|n| {
                topics.try_publish("allocations/sums", Sums { sums: [n; 20] }).expect("published");
            });
        });
        assert_eq!(topics.clear_retained("#").expect("a filter"), 1);
    }
    let mut wide = smol::block_on(topics.subscribe::<Wide>("wide")).expect("subscribed");
    counted("host to a stream, large", |count| {
        smol::block_on(async {
            for n in 0..count {
                topics.publish("wide", Wide { n, rest: [n; 63] }).await.expect("published");
                assert_eq!(wide.next().await.expect("there").message.n, n);
            }
        })
    });
    let subscription = smol::block_on(topics.subscribe_actor::<Wide, _>(&adder, "wide")).expect("subscribed");
    counted("host to an actor and a stream, large", |count| {
        for n in 0..count {
            topics.try_publish("wide", Wide { n, rest: [n; 63] }).expect("published");
            assert_eq!(wide.try_receive().expect("there").message.n, n);
            // So that its queue is never full.
            if n % 64 == 0 {
                adder.ask_blocking(Add { n: 0 }).expect("answered");
            }
        }
    });
    assert_eq!(subscription.missed(), 0);
    drop((subscription, wide));
    let subscription = smol::block_on(topics.subscribe_actor::<Add, _>(&adder, "add")).expect("subscribed");
    counted("host to an actor", |count| {
        for n in 0..count {
            topics.try_publish("add", Add { n }).expect("published");
            if n % 64 == 0 {
                adder.ask_blocking(Add { n: 0 }).expect("answered");
            }
        }
    });
    assert_eq!(subscription.missed(), 0);
    drop(subscription);
    smol::block_on(adder.terminate()).expect("terminated");
    smol::block_on(runtime.shutdown()).expect("shut down");
}
