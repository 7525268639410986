//! Whom a kernel's handlers reach: its routes, its peers, its topics. The host changes the table while shards use it.
//!
//! A table is never changed once it is published. A change makes another, under a lock, and then moves the version; a shard keeps the table it
//! has and looks at the version before each send: one load of a word that is hardly ever written. So a send that begins after a change was
//! made sees it. A send under way meanwhile finds the old receiver, which the old table keeps, and which says whether it is gone.
//!
//! Tables keep cores and cores keep tables: a kernel that ends lets go of its own ([`Tables::clear`], [`InUse::clear`]).

use super::shard::Core;
use crate::kernel::KernelDescriptor;
use crate::mesh::KernelNumber;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Where something leads.
#[derive(Clone)]
pub(super) enum To {
    Nobody,
    Kernel(Arc<Core>),
    Host(KernelNumber),
}

impl To {
    fn number(&self) -> Option<KernelNumber> {
        match self {
            Self::Nobody => None,
            Self::Kernel(core) => Some(core.mesh.number),
            Self::Host(number) => Some(*number),
        }
    }
}

/// A route.
#[derive(Clone)]
pub(super) struct Route {
    pub(super) key: u32,
    pub(super) to: To,
    /// The kernel it leads to, or did until it was cut: what that sent can still be received.
    pub(super) number: Option<KernelNumber>,
}

/// A topic.
#[derive(Clone)]
pub(super) struct Topic {
    pub(super) key: u32,
    pub(super) host: bool,
    pub(super) subscribers: Arc<[Subscribed]>,
}

/// Who gets what is published on a topic.
pub(super) struct Subscribed {
    pub(super) core: Arc<Core>,
    pub(super) instance: u32,
    pub(super) missed: AtomicU64,
}

/// Whom handlers reach.
#[derive(Clone, Default)]
pub(super) struct Table {
    pub(super) routes: Vec<Route>,
    pub(super) peers: HashMap<KernelNumber, To>,
    pub(super) topics: Vec<Topic>,
}

impl Table {
    #[inline]
    pub(super) fn route(&self, key: u32) -> Option<&Route> {
        self.routes.iter().find(|route| route.key == key)
    }

    /// Points a route somewhere else.
    pub(super) fn connect(&mut self, route: usize, to: To) {
        if let Some(route) = self.routes.get_mut(route) {
            route.number = to.number().or(route.number);
            route.to = to;
        }
    }
}

/// A kernel's table, as those who change it see it.
pub(super) struct Tables {
    version: AtomicU64,
    current: Mutex<Arc<Table>>,
}

impl Tables {
    pub(super) fn new(descriptor: &KernelDescriptor) -> Self {
        let route = |key| Route { key, to: To::Nobody, number: None };
        let topic = |key| Topic { key, host: false, subscribers: Arc::new([]) };
        let table = Table {
            routes: descriptor.mesh.routes.iter().map(|info| route(info.key())).collect(),
            peers: HashMap::new(),
            topics: descriptor.mesh.topics.iter().map(|info| topic(info.key())).collect(),
        };
        Self { version: AtomicU64::new(0), current: Mutex::new(Arc::new(table)) }
    }

    pub(super) fn current(&self) -> Arc<Table> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Publishes another table.
    pub(super) fn change(&self, change: impl FnOnce(&mut Table)) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = Table::clone(&current);
        change(&mut table);
        let old = std::mem::replace(&mut *current, Arc::new(table));
        // Release pairs with the acquire in `InUse::table`. Under the lock: whoever reads the version there finds this table or a later one.
        self.version.fetch_add(1, Ordering::Release);
        drop(current);
        // Without the lock: this may be the last of a kernel, and so run the drop of a user's actors.
        drop(old);
    }

    /// Lets go of everybody.
    pub(super) fn clear(&self) {
        self.change(|table| {
            table.peers.clear();
            table.routes.iter_mut().for_each(|route| route.to = To::Nobody);
            table.topics.iter_mut().for_each(|topic| topic.subscribers = Arc::new([]));
        });
    }
}

/// The table a shard uses.
pub(super) struct InUse {
    version: u64,
    table: Arc<Table>,
}

impl Default for InUse {
    fn default() -> Self {
        // Of no version, so that it is replaced at the first use.
        Self { version: u64::MAX, table: Arc::default() }
    }
}

impl InUse {
    /// The newest table.
    #[inline]
    pub(super) fn table(&mut self, tables: &Tables) -> &Table {
        // Acquire pairs with the release in `change`: the kernels that the table names have their mailboxes.
        let version = tables.version.load(Ordering::Acquire);
        if version != self.version {
            *self = Self { version, table: tables.current() };
        }
        &self.table
    }

    /// Lets go of it.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
