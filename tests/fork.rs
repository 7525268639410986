//! A process that forks while it runs kernels: the child is told that it cannot use them, nothing hangs, and the parent goes on.

#![cfg(unix)]
#![allow(missing_docs, unreachable_pub)]

use futures::FutureExt;
use ringkernel::prelude::*;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Add {
    pub n: u32,
}

#[ring_kernel(id = "forked_counter")]
#[derive(Default, Debug, PartialEq)]
pub struct Counter {
    n: u32,
}

#[ring_kernel]
impl Counter {
    #[handler]
    fn add(&mut self, _ctx: &mut RingContext, msg: Add) -> u32 {
        self.n = self.n.wrapping_add(msg.n);
        self.n
    }
}

async fn cpu() -> Result<RingKernel, RingKernelError> {
    RingKernel::builder().backend(Backend::Cpu).build().await
}

fn is_forked<T>(result: Result<T, RingKernelError>) -> bool {
    matches!(result, Err(RingKernelError::Forked { built_in, process }) if built_in != process && process == std::process::id())
}

/// A call that has to fail, at once.
fn refused<T>(call: impl Future<Output = Result<T, RingKernelError>>) -> bool {
    call.now_or_never().is_some_and(is_forked)
}

/// What the child finds; the number of the first thing that is not so, or 0. It neither prints nor panics: the locks of those
/// who did in the parent may be held for ever.
fn in_the_child(runtime: RingKernel, counter: CounterProxy) -> i32 {
    let dropped_late = counter.clone();
    let holds = [
        refused(cpu()),
        refused(Counter::launch(&runtime, LaunchOptions::default())),
        refused(runtime.launch("forked_counter", LaunchOptions::default())),
        refused(counter.add(Add { n: 1 })),
        refused(counter.ask(Add { n: 1 })),
        refused(counter.ask_timeout(Add { n: 1 }, Duration::from_secs(1))),
        is_forked(counter.ask_blocking(Add { n: 1 })),
        refused(counter.tell(Add { n: 1 })),
        is_forked(counter.try_tell(Add { n: 1 }).map_err(RingKernelError::from)),
        counter
            .tell_many([Add { n: 1 }; 3])
            .now_or_never()
            .is_some_and(|told| is_forked(told.map_err(|e| e.reason))),
        refused(counter.send(Add { n: 1 })),
        refused(counter.receive::<u32>()),
        refused(counter.receive_timeout::<u32>(Duration::from_secs(1))),
        is_forked(counter.try_receive::<u32>()),
        refused(counter.deactivate()),
        refused(counter.terminate()),
        refused(counter.snapshot::<Counter>(0)),
        refused(counter.restore(0, Counter::default())),
        refused(counter.image()),
        refused(runtime.shutdown()),
    ];
    // Dropping them neither hangs nor touches anything.
    drop(counter);
    drop(runtime);
    drop(dropped_late);
    holds.iter().position(|holds| !holds).map_or(0, |at| at as i32 + 1)
}

/// Forks, and says what the child found; an error where it did not come back.
fn fork(runtime: RingKernel, counter: CounterProxy) -> i32 {
    // Numbers that the system has no error for; `spawn` brings them over.
    const FOUND: i32 = 4000;
    let mut owned = Some((runtime, counter));
    let mut command = Command::new("true");
    let check = move || match owned.take() {
        Some((runtime, counter)) => {
            Err(std::io::Error::from_raw_os_error(FOUND + in_the_child(runtime, counter)))
        }
        None => Ok(()),
    };
    // SAFETY: what runs in the child is what this test is about. It allocates, which the C library allows after a fork, and
    // takes no lock that another thread of the parent can have held when it forked, or so this test is to show.
    unsafe { command.pre_exec(check) };
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        send.send(command.spawn().map(|_| ()).err().and_then(|error| error.raw_os_error()))
    });
    let found = receive.recv_timeout(Duration::from_secs(60)).expect("the child hangs");
    found.expect("the child found something") - FOUND
}

#[test]
fn a_fork_is_told_and_does_not_hang_and_its_parent_goes_on() {
    smol::block_on(async {
        let runtime = cpu().await.unwrap();
        let counter = Counter::launch(&runtime, LaunchOptions::default()).await.unwrap();
        assert_eq!(counter.add(Add { n: 1 }).await, Ok(1));
        assert_eq!(fork(runtime.clone(), counter.clone()), 0, "see `in_the_child`");
        assert_eq!(counter.add(Add { n: 1 }).await, Ok(2));
        runtime.shutdown().await.unwrap();
    });
}

#[test]
fn a_fork_in_the_middle_of_everything_does_not_hang() {
    let stop = Arc::new(AtomicBool::new(false));
    smol::block_on(async {
        let runtime = cpu().await.unwrap();
        let options = LaunchOptions::default().instances(4).queue_capacity(8);
        let busy = Counter::launch(&runtime, options).await.unwrap();
        let threads: Vec<_> = (0..3)
            .map(|i| {
                let (busy, stop) = (busy.at(i).unwrap(), stop.clone());
                thread::spawn(move || {
                    let mut asked = 0;
                    while !stop.load(Ordering::Relaxed) {
                        asked += 1;
                        assert_eq!(busy.ask_blocking(Add { n: 1 }), Ok(asked));
                    }
                })
            })
            .collect();
        for _ in 0..20 {
            let own = cpu().await.unwrap();
            let counter = Counter::launch(&own, LaunchOptions::default()).await.unwrap();
            // The child has the last references to these.
            assert_eq!(fork(own, counter), 0, "see `in_the_child`");
        }
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}
