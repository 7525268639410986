//! Where a kernel's neighbours are: its own mailbox, its routes, its peers, and who subscribes to its topics.
//!
//! All of it lies in device memory and is read by the loop when the kernel is activated (`runtime/idle.ptx`, behind MOVED), so it changes only
//! while no handler runs: `Core::at_rest`. Tables keep the mailboxes they lead to, so a late send to a kernel that has ended writes to
//! memory that is still there.

use super::driver::DeviceMemory;
use super::lobby::StashShape;
use super::mailbox::{HEAD_BYTES, Mailbox};
use super::phase::Phase;
use super::prepare::{PARAMS, SHARD_PARAMS};
use super::resident::Core;
use crate::abi::{Correlation, SlotShape};
use crate::kernel::DeviceError;
use crate::mesh::{KernelNumber, MeshSpec};
use bytemuck::{Pod, Zeroable};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One line of a table; `runtime/calls/deliver.ptx` knows these offsets.
#[repr(C, align(64))]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct Entry {
    pub(super) heads: u64,
    pub(super) slots: u64,
    pub(super) mask: u32,
    pub(super) slot_bytes: u32,
    pub(super) shift: u32,
    pub(super) instances: u32,
    pub(super) kind: u32,
    pub(super) number: u32,
    pub(super) policy: u32,
    pub(super) block: u32,
    pub(super) most_words: u32,
    pub(super) instance: u32,
    /// Which pair of counts says whether what was spilled to it has arrived.
    pub(super) spill: u32,
    pub(super) pad: u32,
}

/// What `Entry::kind` says; 0 is nobody.
pub(super) const ON_DEVICE: u32 = 1;
const BY_HOST: u32 = 2;
/// What `Entry::policy` says of those that device code must tell apart.
pub(super) const DROP_OLDEST: u32 = 2;
pub(super) const SPILL: u32 = 3;

const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Entry>() == 64 && offset_of!(Entry, mask) == 16 && offset_of!(Entry, kind) == 32);
    assert!(
        offset_of!(Entry, spill) == 56
            && offset_of!(Entry, number) == 36
            && offset_of!(Entry, most_words) == 48
            && offset_of!(Entry, instance) == 52
    );
};

/// A topic's line; `runtime/calls/publish.ptx` knows these offsets.
#[repr(C, align(32))]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
struct Topic {
    subscribers: u64,
    missed: u64,
    count: u32,
    host: u32,
    key: u32,
    pad: u32,
}

/// The part of a shard's parameters that changes; the offset is [`PARAMS`].
#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
struct LinkParams {
    mailbox: u64,
    slots: u64,
    mask: u32,
    slot_bytes: u32,
    routes: u64,
    peers: u64,
    peer_count: u32,
    number: u32,
    topics: u64,
    clock_offset: i64,
    discards: u32,
    pad: u32,
    spills: u64,
    stash: u64,
    stash_mask: u32,
    stash_bytes: u32,
}

/// Where in a shard's parameters the offset of the device's clock is.
pub(super) const CLOCK_OFFSET: usize = PARAMS + std::mem::offset_of!(LinkParams, clock_offset);
/// Bytes of that part.
pub(super) const LINK_PARAMS: usize = size_of::<LinkParams>();

/// Receivers that a kernel can spill to; a send to a further one is refused while its mailbox is full.
pub(super) const SPILLS: usize = 64;

/// Whom something is sent to.
#[derive(Clone, Default)]
pub(super) struct Neighbour {
    entry: Entry,
    /// Held as long as there is a line that leads there.
    _mailbox: Option<Arc<Mailbox>>,
}

impl Neighbour {
    /// A kernel that the host hands messages on to.
    pub(super) fn by_host(number: KernelNumber) -> Self {
        let entry = Entry {
            kind: BY_HOST,
            number: number.into(),
            instances: u32::MAX,
            most_words: u32::MAX,
            ..Entry::default()
        };
        Self { entry, _mailbox: None }
    }

    /// The same kernel, one of its instances.
    pub(super) fn at(mut self, instance: u32) -> Self {
        self.entry.instance = instance;
        self
    }

    /// The same kernel, which is told nothing by way of the host: that is for routes.
    fn refusing(mut self) -> Self {
        if self.entry.policy == SPILL {
            self.entry.policy = 0;
        }
        self
    }

    /// The same kernel, among those that send here.
    fn counting(mut self, counts: u64) -> Self {
        (self.entry.spill, self.entry.pad) = (counts as u32, (counts >> 32) as u32);
        self
    }

    fn is_somebody(&self) -> bool {
        self.entry.kind != 0
    }
}

struct Subscribers {
    who: Vec<Neighbour>,
    host: bool,
    lines: DeviceMemory,
    missed: DeviceMemory,
}

#[derive(Default)]
struct Tables {
    mailbox: Option<Arc<Mailbox>>,
    routes: Vec<Neighbour>,
    peers: Vec<Neighbour>,
    topics: Vec<Option<Subscribers>>,
    /// What the device reads; replaced as a whole.
    memory: Vec<DeviceMemory>,
    /// How much was spilled to each receiver by each shard, and how much of that the receiver has handled; and who is in which place.
    spilled: Option<DeviceMemory>,
    spills: Vec<u32>,
    /// Messages that wait for a handler to ask for them, and the lobby.
    stash: Option<DeviceMemory>,
}

/// A kernel's neighbours.
pub(super) struct Links {
    pub(super) spec: MeshSpec,
    pub(super) shape: SlotShape,
    pub(super) instances: u32,
    pub(super) first_position: u64,
    tables: Mutex<Tables>,
}

impl Links {
    pub(super) fn new(spec: MeshSpec, shape: SlotShape, instances: u32, first_position: u64) -> Self {
        Self { spec, shape, instances, first_position, tables: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mailbox, if there is one.
    pub(super) fn mailbox(&self) -> Option<Arc<Mailbox>> {
        self.lock().mailbox.clone()
    }

    /// Who waits for answers to forwarded messages in the lobbies of a kernel that has returned for good.
    pub(super) fn unanswered_in_lobbies(&self, core: &Core, waiting: &mut Vec<Correlation>) {
        if let Some(stash) = &self.lock().stash {
            for shard in 0..core.shards {
                // What cannot be read because the device is lost has been told to those who wait.
                let _ = core.unanswered_in_lobby(stash, shard, waiting);
            }
        }
    }

    /// What a shard's parameters say before there is any neighbour.
    pub(super) fn first_params(&self, clock_offset: i64) -> Vec<u8> {
        let params = LinkParams { number: self.spec.number.into(), clock_offset, ..LinkParams::default() };
        bytemuck::bytes_of(&params).to_vec()
    }
}

impl Core {
    /// Tables for handlers that send before there is anybody: every route leads nowhere. And memory for what waits to be asked for, which may come by
    /// way of the host while there is no mailbox.
    pub(super) fn write_first_links(&self) -> Result<(), DeviceError> {
        let mesh = &self.descriptor.mesh;
        let sends = !(mesh.routes.is_empty() && mesh.topics.is_empty() && mesh.outgoing.is_empty());
        if !sends && mesh.receives.is_empty() {
            return Ok(());
        }
        self.write_links(&mut self.links.lock())
    }

    /// This kernel as somebody to send to. Its mailbox is made when this is first asked.
    pub(super) fn neighbour(&self) -> Result<Neighbour, DeviceError> {
        if self.event_driven {
            let reason =
                "the receiver is event-driven, and a message from the device could not bring it back";
            return Err(DeviceError::NotConnected { reason });
        }
        let mut tables = self.links.lock();
        let mailbox = match &tables.mailbox {
            Some(mailbox) => mailbox.clone(),
            None => {
                let mailbox = Arc::new(self.make_mailbox()?);
                tables.mailbox = Some(mailbox.clone());
                self.write_links(&mut tables).inspect_err(|_| tables.mailbox = None)?;
                mailbox
            }
        };
        Ok(Neighbour { entry: mailbox.entry, _mailbox: Some(mailbox) })
    }

    /// Points a route somewhere else.
    pub(super) fn set_route(&self, route: usize, to: Neighbour) -> Result<(), DeviceError> {
        let mut tables = self.links.lock();
        let routes = self.descriptor.mesh.routes.len();
        if route >= routes {
            return Err(DeviceError::NotConnected { reason: "it has no such route" });
        }
        tables.routes.resize(routes, Neighbour::default());
        let to = self.with_counts(&mut tables, to)?;
        let before = std::mem::replace(&mut tables.routes[route], to);
        self.write_links(&mut tables).inspect_err(|_| tables.routes[route] = before)
    }

    /// Gives a receiver that spills its counts.
    fn with_counts(&self, tables: &mut Tables, mut to: Neighbour) -> Result<Neighbour, DeviceError> {
        if to.entry.policy != SPILL {
            return Ok(to);
        }
        let Some(place) = self.place_of(tables, to.entry.number)? else { return Ok(to.refusing()) };
        to.entry.spill = place as u32;
        Ok(to)
    }

    /// The place of a receiver's counts; none if all are in use.
    fn place_of(&self, tables: &mut Tables, number: u32) -> Result<Option<usize>, DeviceError> {
        if tables.spilled.is_none() {
            let bytes = 8 * SPILLS * self.shards as usize;
            tables.spilled = Some(DeviceMemory::zeroed(&self.shared.pool, bytes, "counts of spills")?);
        }
        if let Some(place) = tables.spills.iter().position(|known| *known == number) {
            return Ok(Some(place));
        }
        if tables.spills.len() < SPILLS {
            tables.spills.push(number);
            return Ok(Some(tables.spills.len() - 1));
        }
        // Of one that no route leads to any more, if it has handled all that was spilled to it.
        let mut counts = vec![[0u32; 2]; SPILLS * self.shards as usize];
        if let Some(spilled) = &tables.spilled {
            spilled.read(0, bytemuck::cast_slice_mut(&mut counts))?;
        }
        let place = (0..SPILLS).find(|&place| {
            tables.routes.iter().all(|route| route.entry.number != tables.spills[place])
                && counts.iter().skip(place).step_by(SPILLS).all(|[spilled, handled]| spilled == handled)
        });
        if let Some(place) = place {
            tables.spills[place] = number;
        }
        Ok(place)
    }

    /// Where the receiver of this number counts what it has handled of what was spilled to it from here: for its line of this kernel.
    pub(super) fn counts_for(&self, receiver: KernelNumber) -> Result<u64, DeviceError> {
        let mut tables = self.links.lock();
        let place = self.place_of(&mut tables, receiver.into())?;
        let spilled = tables.spilled.as_ref().map_or(0, |spilled| spilled.address);
        Ok(place.map_or(0, |place| spilled + 8 * place as u64))
    }

    /// Says where a kernel is that sends here, or that it is gone.
    ///
    /// `counts`: where that kernel wants to read how much this one has handled of what it spilled here; 0 if it never does.
    pub(super) fn set_neighbour(
        &self,
        number: KernelNumber,
        to: Neighbour,
        counts: u64,
    ) -> Result<(), DeviceError> {
        let mut tables = self.links.lock();
        let before = tables.peers.clone();
        tables.peers.retain(|peer| peer.entry.number != u32::from(number));
        if to.is_somebody() {
            tables.peers.push(to.refusing().counting(counts));
        }
        self.write_links(&mut tables).inspect_err(|_| tables.peers = before)
    }

    /// Says who gets what is published on a topic.
    pub(super) fn set_topic(&self, topic: usize, who: Vec<Neighbour>, host: bool) -> Result<(), DeviceError> {
        let mut tables = self.links.lock();
        let topics = self.descriptor.mesh.topics.len();
        if topic >= topics {
            return Err(DeviceError::NotConnected { reason: "it has no such topic" });
        }
        let who: Vec<_> = who.into_iter().map(Neighbour::refusing).collect();
        let entries: Vec<Entry> = who.iter().map(|one| one.entry).collect();
        let lines = DeviceMemory::zeroed(&self.shared.pool, 64 * entries.len(), "subscribers")?;
        lines.write(0, bytemuck::cast_slice(&entries))?;
        let missed = DeviceMemory::zeroed(&self.shared.pool, 8 * entries.len(), "subscribers")?;
        tables.topics.resize_with(topics, || None);
        let before = tables.topics[topic].replace(Subscribers { who, host, lines, missed });
        self.write_links(&mut tables).inspect_err(|_| tables.topics[topic] = before)
    }

    /// How many messages each of a topic's subscribers missed.
    pub(super) fn missed_of(&self, topic: usize) -> Vec<u64> {
        let tables = self.links.lock();
        let Some(Some(subscribers)) = tables.topics.get(topic) else { return Vec::new() };
        let mut missed = vec![0; subscribers.who.len()];
        // What cannot be read because the device is lost is told by whoever waits for it.
        let _ = subscribers.missed.read(0, bytemuck::cast_slice_mut(&mut missed));
        missed
    }

    /// Runs `change` on the parameters while no handler runs; the kernel reads them before one does again.
    fn at_rest(
        &self,
        change: impl FnOnce(&DeviceMemory) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        let phase = self.phase();
        match *phase {
            Phase::Prepared => return change(&self.params),
            Phase::Resident => {}
            Phase::Ended | Phase::Stuck => return Err(DeviceError::Terminated),
        }
        // Relaxed: written with the phase's lock held.
        let active = self.control(0).is_active.load(Ordering::Relaxed) != 0;
        if !active {
            return change(&self.params);
        }
        let outcome = self.switch(false).and_then(|()| change(&self.params));
        self.switch(true).and(outcome)
    }

    /// Writes the tables to fresh memory and points the kernel at them, while no handler runs.
    fn write_links(&self, tables: &mut Tables) -> Result<(), DeviceError> {
        let pool = &self.shared.pool;
        let table = |neighbours: &[Neighbour]| {
            let entries: Vec<Entry> = neighbours.iter().map(|neighbour| neighbour.entry).collect();
            let memory = DeviceMemory::zeroed(pool, 64 * entries.len(), "routes")?;
            memory.write(0, bytemuck::cast_slice(&entries)).map(|()| memory)
        };
        tables.routes.resize(self.descriptor.mesh.routes.len(), Neighbour::default());
        let (routes, peers) = (table(&tables.routes)?, table(&tables.peers)?);
        let lines: Vec<Topic> = (0..self.descriptor.mesh.topics.len())
            .map(|topic| {
                let key = self.descriptor.mesh.topics[topic].key();
                match tables.topics.get(topic).and_then(Option::as_ref) {
                    Some(all) => Topic {
                        subscribers: all.lines.address,
                        missed: all.missed.address,
                        count: all.who.len() as u32,
                        host: all.host.into(),
                        key,
                        pad: 0,
                    },
                    None => Topic { key, ..Topic::default() },
                }
            })
            .collect();
        let topics = DeviceMemory::zeroed(pool, 32 * lines.len(), "topics")?;
        topics.write(0, bytemuck::cast_slice(&lines))?;
        let kept = StashShape::of(self.descriptor, &self.links, self.shards)?;
        if tables.stash.is_none() && kept.all > 0 {
            tables.stash = Some(DeviceMemory::zeroed(pool, kept.all, "messages that wait to be asked for")?);
        }
        let stash = tables.stash.as_ref().map_or(0, |stash| stash.address);
        let spilled = tables.spilled.as_ref().map_or(0, |spilled| spilled.address);
        let mailbox = tables.mailbox.as_ref();
        let entry = mailbox.map_or(Entry::default(), |mailbox| mailbox.entry);
        let shard = |shard: u32| LinkParams {
            mailbox: mailbox
                .map_or(0, |mailbox| mailbox.heads.address + HEAD_BYTES as u64 * u64::from(shard)),
            slots: mailbox.map_or(0, |mailbox| {
                mailbox.slots.address
                    + u64::from(shard) * u64::from(entry.mask + 1) * u64::from(entry.slot_bytes)
            }),
            mask: entry.mask,
            slot_bytes: entry.slot_bytes,
            routes: routes.address,
            peers: peers.address,
            peer_count: tables.peers.len() as u32,
            number: self.links.spec.number.into(),
            topics: topics.address,
            clock_offset: self.shared.clock_offset(),
            discards: (entry.policy == DROP_OLDEST).into(),
            pad: 0,
            spills: spilled + 8 * SPILLS as u64 * u64::from(shard),
            stash: stash + kept.bytes as u64 * u64::from(shard),
            stash_mask: kept.slots.wrapping_sub(1),
            stash_bytes: kept.slot_bytes,
        };
        self.at_rest(|params| {
            // One copy for all: what lies between is read back first.
            let mut all = vec![0; SHARD_PARAMS * self.shards as usize];
            params.read(0, &mut all)?;
            for (number, bytes) in (0..self.shards).zip(all.chunks_exact_mut(SHARD_PARAMS)) {
                bytes[PARAMS..PARAMS + size_of::<LinkParams>()]
                    .copy_from_slice(bytemuck::bytes_of(&shard(number)));
            }
            params.write(0, &all)
        })?;
        // The kernel has taken the new ones, or will before it runs again; nobody reads the old ones any more.
        tables.memory = vec![routes, peers, topics];
        Ok(())
    }
}

const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(LinkParams, routes) == 152 - PARAMS && offset_of!(LinkParams, peers) == 160 - PARAMS);
    assert!(offset_of!(LinkParams, topics) == 176 - PARAMS && CLOCK_OFFSET == 184);
    assert!(
        offset_of!(LinkParams, spills) == 200 - PARAMS && offset_of!(LinkParams, stash_bytes) == 220 - PARAMS
    );
    assert!(
        offset_of!(LinkParams, discards) == 192 - PARAMS && PARAMS + size_of::<LinkParams>() <= SHARD_PARAMS
    );
};
