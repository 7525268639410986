//! Kernels that talk to each other: their connections, and what they say to the host beside replies.
//!
//! A handler sends with its [`RingContext`](crate::RingContext). Between kernels of one device messages do not come this way; the host sees to
//! it that each kernel knows where the others are, as they come and go ([`RingKernel::connect`](crate::RingKernel::connect)).
//!
//! ```
//! # use ringkernel::prelude::*;
//! # #[derive(RingMessage, Clone, Copy, Debug)] pub struct Deposit { pub cents: i64 }
//! # #[derive(RingMessage, Clone, Copy, Debug)] pub struct Entry { pub account: u32, pub cents: i64 }
//! #[ring_kernel(id = "ledger")]
//! #[derive(Default)]
//! pub struct Ledger {
//!     total: i64,
//! }
//!
//! #[ring_kernel]
//! impl Ledger {
//!     #[handler]
//!     fn entry(&mut self, _ctx: &mut RingContext, msg: Entry) -> i64 {
//!         self.total += msg.cents;
//!         self.total
//!     }
//! }
//!
//! #[ring_kernel(id = "teller")]
//! #[derive(Default)]
//! pub struct Teller {
//!     refused: u32,
//! }
//!
//! #[ring_kernel]
//! impl Teller {
//!     /// The ledger answers whoever asked.
//!     #[handler]
//!     fn deposit(&mut self, ctx: &mut RingContext, msg: Deposit) -> i64 {
//!         let entry = Entry { account: ctx.instance(), cents: msg.cents };
//!         if !ctx.forward::<Ledger>(0, entry).is_ok() {
//!             self.refused += 1;
//!         }
//!         -1
//!     }
//! }
//!
//! # fn main() -> Result<(), RingKernelError> {
//! # smol::block_on(async {
//! let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
//! let teller = Teller::launch(&runtime, LaunchOptions::default()).await?;
//! assert_eq!(teller.deposit(Deposit { cents: 5 }).await?, -1); // There is no ledger yet.
//! let options = LaunchOptions::default().mailbox(256).overflow(Overflow::Spill);
//! let ledger = Ledger::launch(&runtime, options).await?;
//! assert_eq!(teller.deposit(Deposit { cents: 5 }).await?, 5);
//!
//! // Several may have one id. What goes to which is said by hand.
//! let other = Ledger::launch(&runtime, LaunchOptions::default()).await?;
//! runtime.connect(&teller, &other).await?;
//! assert_eq!(teller.connections()[0].to.map(|(number, _)| number), Some(other.number()));
//! assert_eq!(teller.deposit(Deposit { cents: 7 }).await?, 7);
//! runtime.disconnect(&teller, &other).await?;
//! assert_eq!(teller.deposit(Deposit { cents: 7 }).await?, -1);
//! # runtime.shutdown().await
//! # })
//! # }
//! ```
//!
//! For readers of the source: `directory` gives each kernel its number, `wiring` tells the devices whose mailbox is where (start at its `join`
//! and `cut`), `connections` is what users call. `arrivals` is where what comes out of reply rings beside replies goes on from: answers to
//! forwarded requests, `outputs` (which wait in `outlet`), messages that pass the host (`relay`), and what is published (the broker in `pubsub`).

mod arrivals;
mod connections;
mod directory;
mod outlet;
mod outputs;
mod relay;
pub(crate) mod wiring;

pub(crate) use connections::number_for;
pub use connections::{Connection, Via};
pub(crate) use directory::Number;
pub use outlet::MOST_OUTPUTS;
pub(crate) use outlet::{Gathered, Outlets};
pub use outputs::{BlockingOutputs, Output, Outputs};
pub use relay::RelaySnapshot;
pub(crate) use relay::{Backlog, Relays};
use ringkernel_backends::mesh::{KernelNumber, Mesh};
pub use ringkernel_backends::mesh::{MailboxSnapshot, Overflow, Sent};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where a route of a kernel leads.
pub(crate) type Lead = Option<(KernelNumber, Via)>;

/// A kernel's place among the others.
pub(crate) struct Place {
    pub(crate) number: Number,
    /// Where its routes lead, for inspection. Written under the board's lock.
    leads: Mutex<Box<[Lead]>>,
    /// Whether it may have something to say to the host that nobody asked it for.
    speaks: AtomicBool,
}

impl Place {
    pub(crate) fn new(number: Number, mesh: &Mesh) -> Self {
        let leads = Mutex::new(vec![None; mesh.routes.len()].into());
        Self { number, leads, speaks: AtomicBool::new(!mesh.outgoing.is_empty()) }
    }

    /// Whether it may have something to say to the host that nobody asked it for.
    pub(crate) fn speaks(&self) -> bool {
        // Relaxed: whoever looks does so again and again.
        self.speaks.load(Ordering::Relaxed)
    }

    /// From now on it may.
    fn will_speak(&self) {
        // Relaxed: whoever looks does so again and again.
        self.speaks.store(true, Ordering::Relaxed);
    }

    pub(crate) fn leads(&self) -> MutexGuard<'_, Box<[Lead]>> {
        self.leads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
