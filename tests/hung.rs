//! A handler that does not return, on the CPU: who is told, and that the rest of the process goes on, and ends.
//!
//! It runs in a process of its own, for the thread that the handler has does not come back.

#![allow(missing_docs, unreachable_pub)]

use ringkernel::prelude::*;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Search {
    pub number: u64,
}

/// Looks for a number in the orbit of xorshift64, which has all but 0.
#[ring_kernel(id = "searcher")]
#[derive(Default)]
pub struct Searcher {
    steps: u64,
}

#[ring_kernel]
impl Searcher {
    #[handler]
    fn search(&mut self, _ctx: &mut RingContext, msg: Search) -> u64 {
        let mut x = 1u64;
        while x != msg.number {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            self.steps = self.steps.wrapping_add(1);
        }
        self.steps
    }
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Count {
    pub by: u32,
}

#[ring_kernel(id = "bystander")]
#[derive(Default)]
pub struct Bystander {
    total: u32,
}

#[ring_kernel]
impl Bystander {
    #[handler]
    fn count(&mut self, _ctx: &mut RingContext, msg: Count) -> u32 {
        self.total += msg.by;
        self.total
    }
}

const CHILD: &str = "RINGKERNEL_TEST_HUNG_CHILD";
const FOR_EVER: Search = Search { number: 0 };

/// What happens in the child.
async fn with_a_handler_that_does_not_return() -> Result<(), RingKernelError> {
    let builder = RingKernel::builder().backend(Backend::Cpu).terminate_deadline(Duration::from_millis(300));
    let runtime = builder.build().await?;
    let hung_after = Duration::from_millis(400);
    let searcher = Searcher::launch(&runtime, LaunchOptions::default().hung_after(hung_after)).await?;
    let bystander = Bystander::launch(&runtime, LaunchOptions::default().instances(4)).await?;
    assert_eq!(searcher.search(Search { number: 1 }).await?, 0);

    let after = Duration::from_millis(100);
    let by_deadline = searcher.ask_timeout(FOR_EVER, after).await.unwrap_err();
    assert_eq!(by_deadline, RingKernelError::KernelHung { id: "searcher", instance: 0, after });
    for i in 0..100 {
        assert_eq!(bystander.at(i % 4)?.count(Count { by: 1 }).await?, i / 4 + 1);
    }

    // Behind the one that does not return, without a deadline.
    let hung = RingKernelError::KernelHung { id: "searcher", instance: 0, after: hung_after };
    let start = Instant::now();
    assert_eq!(searcher.search(Search { number: 1 }).await, Err(hung.clone()));
    assert!(start.elapsed() < Duration::from_secs(10), "told after {:?}", start.elapsed());
    assert_eq!(searcher.tell(Search { number: 1 }).await, Err(hung));
    assert_eq!(bystander.at(0)?.count(Count { by: 1 }).await?, 26);

    let start = Instant::now();
    let error = searcher.terminate().await.unwrap_err();
    assert!(matches!(error, RingKernelError::Device { .. }), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(searcher.state(), KernelState::Terminated);
    assert_eq!(searcher.snapshot::<Searcher>(0).await.err(), Some(error), "it may still be written to");

    // Launched again, it answers: the thread was replaced.
    let again = Searcher::launch(&runtime, LaunchOptions::default()).await?;
    assert_eq!(again.search(Search { number: 1 }).await?, 0);
    // Another handler is stuck while the runtime goes.
    let waiting = again.ask_timeout(FOR_EVER, after).await;
    assert!(matches!(waiting, Err(RingKernelError::KernelHung { .. })), "{waiting:?}");
    drop(runtime);
    assert_eq!(again.state(), KernelState::Terminated);
    Ok(())
}

#[test]
fn the_child() {
    if std::env::var_os(CHILD).is_some() {
        smol::block_on(with_a_handler_that_does_not_return()).expect("no error but the expected ones");
        println!("the child came to its end");
    }
}

#[test]
fn callers_of_a_handler_that_does_not_return_are_told_others_go_on_and_the_process_ends() {
    let test = std::env::current_exe().expect("the path of this test");
    let mut command = Command::new(test);
    command.args(["--exact", "the_child", "--nocapture"]).env(CHILD, "1").stdout(Stdio::piped());
    let mut child = command.spawn().expect("this test starts");
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            break status;
        }
        if start.elapsed() > Duration::from_secs(60) {
            let _ = child.kill();
            panic!("the child did not end within a minute");
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let said = std::io::read_to_string(child.stdout.take().expect("piped")).expect("text");
    assert!(status.success() && said.contains("the child came to its end"), "{status}\n{said}");
}
