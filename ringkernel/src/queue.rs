//! Bounded queues between host threads: [`MessageQueue`], its rings for one or many at either end, and priority lanes.
//!
//! An actor has its own rings, and a program that sends and asks needs none of these. They are for what stands around actors: what a
//! thread hands to the one that feeds a kernel, or the replies that one collects and others use.
//!
//! ```
//! use ringkernel::prelude::*;
//! use ringkernel::queue::MpscQueue;
//! # #[derive(RingMessage, Clone, Copy, Debug)]
//! # pub struct Deposit { pub cents: i64 }
//! # #[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
//! # pub struct Balance { pub cents: i64 }
//! # #[ring_kernel(id = "queued_account")]
//! # #[derive(Default)]
//! # pub struct Account { cents: i64 }
//! # #[ring_kernel]
//! # impl Account {
//! #     #[handler]
//! #     fn deposit(&mut self, _ctx: &mut RingContext, msg: Deposit) -> Balance {
//! #         self.cents += msg.cents;
//! #         Balance { cents: self.cents }
//! #     }
//! # }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # smol::block_on(async {
//! # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
//! # let account = Account::launch(&runtime, LaunchOptions::default()).await?;
//! // Any number of threads bring deposits; one hands them to the actor, as many at once as there are.
//! let (producer, mut consumer) = MpscQueue::new(1024)?.split();
//! std::thread::scope(|threads| {
//!     for cents in [1, 20, 300] {
//!         let producer = producer.clone();
//!         threads.spawn(move || producer.try_enqueue(Deposit { cents }));
//!     }
//! });
//!
//! let mut batch = Vec::new();
//! consumer.dequeue_many(&mut batch, 256);
//! account.tell_many(batch).await?;
//! assert_eq!(account.deposit(Deposit { cents: 0 }).await?, Balance { cents: 321 });
//! assert_eq!(consumer.stats().dequeued, 3);
//! # account.terminate().await?;
//! # Ok(runtime.shutdown().await?)
//! # })
//! # }
//! ```

pub use ringkernel_backends::queue::*;
