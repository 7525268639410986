//! Where a kernel's neighbours are: its own mailbox, its routes, its peers, and who subscribes to its topics.
//!
//! All of it lies in device memory and is read by the loop when the kernel is activated (`runtime/idle.ptx`, behind MOVED), so it changes only
//! while no handler runs: [`Core::at_rest`]. Tables keep the mailboxes they lead to, so a late send to a kernel that has ended writes to
//! memory that is still there.

use super::driver::{DeviceMemory, Pinned};
use super::prepare::{PARAMS, SHARD_PARAMS};
use super::resident::Core;
use crate::abi::SlotShape;
use crate::kernel::DeviceError;
use crate::mesh::{KernelNumber, MailboxSnapshot, MeshSpec, Overflow};
use bytemuck::{Pod, Zeroable};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a sender tries for a mailbox whose oldest messages are to be discarded.
const DISCARDING: Duration = Duration::from_micros(200);

/// The longest that a sender waits for room, and with it a warp: it looks for what it is told no sooner.
const LONGEST_BLOCK: Duration = Duration::from_millis(1);

/// One line of a table; `runtime/calls/deliver.ptx` knows these offsets.
#[repr(C, align(64))]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
struct Entry {
    heads: u64,
    slots: u64,
    mask: u32,
    slot_bytes: u32,
    shift: u32,
    instances: u32,
    kind: u32,
    number: u32,
    policy: u32,
    block: u32,
    most_words: u32,
    instance: u32,
    /// Which pair of counts says whether what was spilled to it has arrived.
    spill: u32,
    pad: u32,
}

/// What `Entry::kind` says; 0 is nobody.
const ON_DEVICE: u32 = 1;
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
    returned: u64,
    stash: u64,
    stash_mask: u32,
    stash_bytes: u32,
}

/// Receivers that a kernel can spill to; a send to a further one is refused while its mailbox is full.
const SPILLS: usize = 64;
/// Bytes of a kept message in front of its payload.
const STASH_HEAD: u32 = 16;

/// A kernel's mailbox: a ring a shard.
struct Mailbox {
    heads: DeviceMemory,
    slots: DeviceMemory,
    entry: Entry,
}

/// Bytes of a shard's line of counters: the next position, room, how often there was none, how many are to be discarded.
const HEAD_BYTES: usize = 128;
const ROOM: usize = 4;
const FULL: usize = 8;

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
    /// Receivers that spill, each in the place of its counts; how much was spilled to each by each shard, and how much of that has arrived.
    spills: Vec<u32>,
    spilled: Option<DeviceMemory>,
    returned: Option<Pinned>,
    /// Messages that wait for a handler to ask for them.
    stash: Option<DeviceMemory>,
}

/// A kernel's neighbours.
pub(super) struct Links {
    spec: MeshSpec,
    shape: SlotShape,
    instances: u32,
    first_position: u64,
    tables: Mutex<Tables>,
}

impl Links {
    pub(super) fn new(spec: MeshSpec, shape: SlotShape, instances: u32, first_position: u64) -> Self {
        Self { spec, shape, instances, first_position, tables: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a shard's parameters say before there is any neighbour.
    pub(super) fn first_params(&self, clock_offset: i64) -> Vec<u8> {
        let params = LinkParams { number: self.spec.number.into(), clock_offset, ..LinkParams::default() };
        bytemuck::bytes_of(&params).to_vec()
    }
}

impl Core {
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

    fn make_mailbox(&self) -> Result<Mailbox, DeviceError> {
        let Links { spec, shape, instances, first_position, .. } = &self.links;
        let (shards, capacity) = (self.shards as usize, spec.mailbox as usize);
        let what = || format!("mailboxes of {capacity} slots");
        let bytes = (shape.bytes() * capacity)
            .checked_mul(shards)
            .ok_or_else(|| DeviceError::OutOfMemory { bytes: u64::MAX, what: what() })?;
        let pool = &self.shared.pool;
        let heads = DeviceMemory::zeroed(pool, HEAD_BYTES * shards, "mailbox counters")?;
        let slots = DeviceMemory::zeroed(pool, bytes, &what())?;
        let start = *first_position as u32;
        if start != 0 {
            // No word of an unwritten slot may look like a sequence that is waited for: they are those of the lap before.
            slots.write(0, bytemuck::cast_slice(&vec![start; bytes / 4]))?;
        }
        let mut lines = vec![[0u32; HEAD_BYTES / 4]; shards];
        for line in &mut lines {
            line[0] = start;
            line[ROOM / 4] = spec.mailbox;
        }
        heads.write(0, bytemuck::cast_slice(&lines))?;
        let (policy, block) = match spec.overflow {
            Overflow::Reject => (0, Duration::ZERO),
            Overflow::Block { at_most } => (1, at_most),
            Overflow::DropOldest => (DROP_OLDEST, DISCARDING),
            Overflow::Spill => (SPILL, Duration::ZERO),
        };
        let entry = Entry {
            heads: heads.address,
            slots: slots.address,
            mask: spec.mailbox - 1,
            slot_bytes: shape.bytes() as u32,
            shift: self.shards.ilog2(),
            instances: *instances,
            kind: ON_DEVICE,
            number: spec.number.into(),
            policy,
            block: block.min(LONGEST_BLOCK).as_nanos() as u32,
            most_words: shape.payload_words() as u32,
            ..Entry::default()
        };
        Ok(Mailbox { heads, slots, entry })
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
        let shards = self.shards as usize;
        if tables.spilled.is_none() {
            tables.returned = Some(self.shared.arena.take(4 * SPILLS * shards)?);
            tables.spilled =
                Some(DeviceMemory::zeroed(&self.shared.pool, 8 * SPILLS * shards, "counts of spills")?);
        }
        let number = to.entry.number;
        let place = tables.spills.iter().position(|known| *known == number).unwrap_or_else(|| {
            tables.spills.push(number);
            tables.spills.len() - 1
        });
        if place >= SPILLS {
            tables.spills.pop();
            return Ok(to.refusing());
        }
        to.entry.spill = place as u32;
        Ok(to)
    }

    /// What a shard spilled to a receiver has been handed over: one message more.
    pub(super) fn count_returned(&self, shard: usize, receiver: KernelNumber) {
        let tables = self.links.lock();
        let place = tables.spills.iter().position(|known| *known == u32::from(receiver));
        let returned = tables.returned.as_ref().filter(|_| shard < self.shards as usize);
        if let (Some(place), Some(returned)) = (place, returned) {
            // SAFETY: in bounds of the block, which is alive while the tables are locked, and reached through atomics only.
            let count = unsafe { &*returned.host(4 * (SPILLS * shard + place)).cast::<AtomicU32>() };
            // Release: a shard that sees the count sends directly again, behind the message that was handed over before.
            count.fetch_add(1, Ordering::Release);
        }
    }

    /// Says where a kernel is that sends here, or that it is gone.
    pub(super) fn set_neighbour(&self, number: KernelNumber, to: Neighbour) -> Result<(), DeviceError> {
        let mut tables = self.links.lock();
        let before = tables.peers.clone();
        tables.peers.retain(|peer| peer.entry.number != u32::from(number));
        if to.is_somebody() {
            tables.peers.push(to.refusing());
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

    /// The mailbox in figures.
    pub(super) fn mailbox_figures(&self) -> MailboxSnapshot {
        let Some(mailbox) = self.links.lock().mailbox.clone() else { return MailboxSnapshot::default() };
        let mut heads = vec![0u8; HEAD_BYTES * self.shards as usize];
        let _ = mailbox.heads.read(0, &mut heads);
        let full = heads
            .chunks_exact(HEAD_BYTES)
            .map(|line| bytemuck::pod_read_unaligned::<u64>(&line[FULL..FULL + 8]))
            .sum();
        let figures = (0..self.shards)
            .map(|shard| (self.received(shard), self.telemetry(shard).snapshot().messages_dropped));
        figures.fold(MailboxSnapshot { full, ..MailboxSnapshot::default() }, |all, (received, dropped)| {
            MailboxSnapshot { received: all.received + received, dropped: all.dropped + dropped, ..all }
        })
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
        let receives = self.descriptor.mesh.receives;
        let kept = receives.iter().map(|message| message.size.div_ceil(16) * 16).max();
        let stash_bytes = kept.map_or(0, |bytes| STASH_HEAD + bytes);
        let capacity = self.links.spec.mailbox;
        if tables.stash.is_none() && tables.mailbox.is_some() && stash_bytes > 0 {
            let bytes = stash_bytes as usize * capacity as usize * self.shards as usize;
            tables.stash = Some(DeviceMemory::zeroed(pool, bytes, "messages that wait to be asked for")?);
        }
        let stash = tables.stash.as_ref().map_or(0, |stash| stash.address);
        let spilled = tables.spilled.as_ref().map_or(0, |spilled| spilled.address);
        let returned = tables.returned.as_ref().map_or(0, |returned| returned.device(0));
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
            returned: returned + 4 * SPILLS as u64 * u64::from(shard),
            stash: stash + u64::from(stash_bytes) * u64::from(capacity) * u64::from(shard),
            stash_mask: capacity - 1,
            stash_bytes,
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
    assert!(
        offset_of!(LinkParams, topics) == 176 - PARAMS
            && offset_of!(LinkParams, clock_offset) == 184 - PARAMS
    );
    assert!(
        offset_of!(LinkParams, spills) == 200 - PARAMS && offset_of!(LinkParams, stash_bytes) == 228 - PARAMS
    );
    assert!(
        offset_of!(LinkParams, discards) == 192 - PARAMS && PARAMS + size_of::<LinkParams>() <= SHARD_PARAMS
    );
};
