//! Kernels that talk to each other: their connections, and what they say to the host beside replies.
//!
//! A handler sends with its [`RingContext`](crate::RingContext). Between kernels of one device messages do not come this way; the host sees to
//! it that each kernel knows where the others are, as they come and go ([`RingKernel::connect`](crate::RingKernel::connect)).
//!
//! For readers of the source: `directory` gives each kernel its number, `wiring` tells the devices whose mailbox is where (start at its `join`
//! and `cut`), `connections` is what users call. `arrivals` is where what comes out of reply rings beside replies goes on from: answers to
//! forwarded requests, `outputs`, messages that pass the host (`relay`), and what is published (the broker in `pubsub`).

mod arrivals;
mod connections;
mod directory;
mod outputs;
mod relay;
pub(crate) mod wiring;

pub(crate) use connections::number_for;
pub use connections::{Connection, Via};
pub(crate) use directory::Number;
pub(crate) use outputs::Outlets;
pub use outputs::{BlockingOutputs, MOST_OUTPUTS, Output, Outputs};
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
