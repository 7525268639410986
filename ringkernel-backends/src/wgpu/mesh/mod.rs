//! Kernels of one device that reach each other: who they are, where their mailboxes lie, and the submissions they share.
//!
//! A kernel that is connected becomes a *member* of the device's mesh. Members share one buffer, the [exchange](exchange), in which each has a
//! [mailbox] and a desk (counters of its own), and each has a table that says where everything is ([place]). A member's dispatcher
//! works under the mesh's lock: it hands its requests in, lets all members that may run make passes over their mailboxes,
//! and deals out what came back. Whoever then still has something to do is rung. So nothing runs while somebody has the lock,
//! and a place is changed under it.
//!
//! Reading order: `wgpu/mesh.wgsl` and `wgpu/mailbox.wgsl`, then `step.rs`, then `connect.rs`.

mod connect;
mod exchange;
mod mailbox;
mod place;
mod step;
#[cfg(test)]
mod tests;

use super::batch::Plan;
use super::gpu::Gpu;
use super::kernel::Core;
use super::launch::bind;
use super::submission::Readback;
use crate::host::lock_by;
use crate::kernel::{DeviceError, KernelDescriptor};
use crate::mesh::MeshSpec;
use exchange::Exchange;
use mailbox::Mailbox;
use place::{Around, Entry, Place, Receiver};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};
use wgpu::BufferUsages as Usage;

/// How long a dispatcher lets others go first.
const COURTESY: Duration = Duration::from_millis(2);

/// The mesh of a device, behind its lock.
#[derive(Default)]
pub(super) struct SharedMesh {
    mesh: Mutex<Mesh>,
    /// How many wait that are no dispatchers: those take the lock again as soon as they have let go of it.
    waiting: AtomicUsize,
}

impl SharedMesh {
    /// For a dispatcher.
    fn after_others(&self) -> MutexGuard<'_, Mesh> {
        let start = Instant::now();
        // Relaxed: a hint.
        while self.waiting.load(Ordering::Relaxed) > 0 && start.elapsed() < COURTESY {
            thread::yield_now();
        }
        self.mesh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For everybody else.
    fn lock(&self) -> MutexGuard<'_, Mesh> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let mesh = self.mesh.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        mesh
    }

    /// The same, for whoever does not wait for ever.
    fn lock_by(&self, deadline: Instant) -> Option<MutexGuard<'_, Mesh>> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let mesh = lock_by(&self.mesh, deadline);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        mesh
    }
}

/// The members, and what they share.
#[derive(Default)]
struct Mesh {
    exchange: Option<Exchange>,
    members: Vec<Member>,
    readback: [Readback; 2],
    /// Rounds of passes over the mailboxes in the next submission, less one.
    more_rounds: usize,
}

/// A kernel that is reached, or reaches others.
struct Member {
    core: Weak<Core>,
    place: Place,
    mailbox: Option<Mailbox>,
    /// What its passes work on.
    bindings: Option<wgpu::BindGroup>,
    /// Where in the exchange it puts what is for the host.
    host: Range<u32>,
    /// Its counters in the exchange.
    desk: Range<u32>,
    /// Whether its table is not what its place says.
    is_stale: bool,
    /// Whether its mailbox holds something to do.
    is_pending: bool,
}

impl Member {
    fn is(&self, core: &Core) -> bool {
        std::ptr::eq(self.core.as_ptr(), core)
    }

    /// Whether a submission would do something for it.
    fn waits(&self) -> bool {
        self.is_pending || self.mailbox.as_ref().is_some_and(Mailbox::can_let_in)
    }

    fn table(&self, plan: &Plan) -> Vec<Entry> {
        let mailbox = self.mailbox.as_ref().map(|mailbox| mailbox.receiver);
        let host = host_box(self.host.start, plan);
        self.place.table(plan, &Around { mailbox, host, desk: self.desk.start })
    }

    /// The words of the exchange that say how it is.
    fn look(&self) -> impl Iterator<Item = Range<u32>> {
        self.mailbox.as_ref().map(Mailbox::look).into_iter().chain([self.desk.clone()])
    }

    /// Takes these words as they are now, from the front.
    fn learn(&mut self, words: &mut &[u32]) {
        let mut take = |count: usize| {
            let (first, rest) = words.split_at(count);
            *words = rest;
            first
        };
        if let Some(mailbox) = &mut self.mailbox {
            mailbox.learn(take(mailbox::HEADER));
        }
        self.place.learn(take(self.desk.len()));
    }
}

/// What a kernel has that is no member.
pub(super) struct Surroundings {
    pub(super) exchange: wgpu::Buffer,
    pub(super) table: wgpu::Buffer,
}

/// Where its box for the host lies in its exchange, in words.
pub(super) const ALONE: u32 = exchange::RESERVED;
/// Words in front of a box.
pub(super) const BOX_HEADER: usize = 16;

/// Makes an exchange for one, and the table that goes with it.
pub(super) fn alone(
    gpu: &Gpu,
    descriptor: &KernelDescriptor,
    spec: &MeshSpec,
    plan: &Plan,
) -> Result<Surroundings, DeviceError> {
    let around = Around { mailbox: None, host: host_box(ALONE, plan), desk: 0 };
    let table = Place::new(descriptor, spec.number).table(plan, &around);
    let exchange = exchange::buffer(gpu, ALONE + host_words(plan))?;
    let buffer = table_buffer(gpu, table.len())?;
    gpu.guarded(|| {
        gpu.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&table));
        open_host_box(gpu, &exchange, ALONE, plan);
        Ok(())
    })?;
    Ok(Surroundings { exchange, table: buffer })
}

fn table_buffer(gpu: &Gpu, entries: usize) -> Result<wgpu::Buffer, DeviceError> {
    gpu.buffer("a table of routes", 16 * entries.next_power_of_two() as u64, Usage::STORAGE | Usage::COPY_DST)
}

/// The words of a box for the host.
fn host_words(plan: &Plan) -> u32 {
    (BOX_HEADER + plan.exports * plan.export) as u32
}

/// One at this place of an exchange.
fn host_box(at: u32, plan: &Plan) -> Receiver {
    let slots = at + BOX_HEADER as u32;
    Receiver {
        policy: 0,
        at,
        instances: plan.exports as u32,
        slot: plan.export as u32,
        mask: u32::MAX,
        slots,
    }
}

/// Says how much goes into it. Its tail is cleared at each submission.
fn open_host_box(gpu: &Gpu, exchange: &wgpu::Buffer, at: u32, plan: &Plan) {
    gpu.queue.write_buffer(exchange, 4 * (at as u64 + 1), bytemuck::bytes_of(&(plan.exports as u32)));
}

/// The exchange, which is made when it is first needed.
fn exchange<'a>(place: &'a mut Option<Exchange>, gpu: &Gpu) -> Result<&'a mut Exchange, DeviceError> {
    match place {
        Some(exchange) => Ok(exchange),
        none => Ok(none.insert(Exchange::new(gpu)?)),
    }
}

impl Mesh {
    fn index(&self, core: &Core) -> Option<usize> {
        self.members.iter().position(|member| member.is(core))
    }

    /// Makes a kernel a member; where it stands among them.
    fn join(&mut self, core: &Arc<Core>) -> Result<usize, DeviceError> {
        if let Some(index) = self.index(core) {
            return Ok(index);
        }
        let host = self.allocate(&core.gpu, host_words(&core.plan))?;
        self.members.push(Member {
            core: Arc::downgrade(core),
            place: Place::new(core.descriptor, core.mesh.number),
            mailbox: None,
            bindings: None,
            host,
            desk: 0..0,
            is_stale: false,
            is_pending: false,
        });
        let index = self.members.len() - 1;
        self.bind(core)?;
        self.refresh(index)?;
        Ok(index)
    }

    /// Binds the exchange, and the table, to a kernel's passes. From then on it works under the mesh's lock.
    fn bind(&mut self, core: &Core) -> Result<(), DeviceError> {
        let (Some(exchange), Some(index)) = (&self.exchange, self.index(core)) else { return Ok(()) };
        let engine = &mut *core.quiet(core.gpu.patience() * 2)?;
        engine.exchange = exchange.buffer().clone();
        engine.host_box = self.members[index].host.start;
        core.gpu.guarded(|| {
            open_host_box(&core.gpu, &engine.exchange, engine.host_box, &core.plan);
            Ok(())
        })?;
        let buffers = [&engine.state, &engine.inbox, &engine.outbox, &engine.exchange, &engine.table];
        let layout = core.gpu.layout(core.descriptor)?;
        engine.bindings = bind(&core.gpu, buffers, core.payloads.as_ref(), layout, &core.plan)?;
        self.members[index].bindings = Some(engine.bindings.clone());
        // Relaxed: whoever must know has the engine's lock.
        core.is_member.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Words of the exchange; it may move for it.
    fn allocate(&mut self, gpu: &Gpu, words: u32) -> Result<Range<u32>, DeviceError> {
        let exchange = exchange(&mut self.exchange, gpu)?;
        if let Some(words) = exchange.allocate(words) {
            return Ok(words);
        }
        exchange.grow(gpu, words)?;
        let cores: Vec<_> = self.members.iter().filter_map(|member| member.core.upgrade()).collect();
        for core in cores {
            self.bind(&core)?;
        }
        let found = self.exchange.as_mut().and_then(|exchange| exchange.allocate(words));
        found.ok_or(DeviceError::OutOfMemory { bytes: 4 * words as u64, what: "mailboxes".to_owned() })
    }

    fn give_back(&mut self, words: Range<u32>) {
        if let Some(exchange) = &mut self.exchange {
            exchange.give_back(words);
        }
    }

    /// Where a kernel's mailbox is, which is made if need be.
    fn mailbox(&mut self, core: &Arc<Core>) -> Result<Receiver, DeviceError> {
        let index = self.join(core)?;
        if let Some(mailbox) = &self.members[index].mailbox {
            return Ok(mailbox.receiver);
        }
        let gpu = &core.gpu;
        let prepare = gpu.program(core.descriptor)?.prepare(gpu)?.clone();
        let needed = Mailbox::words_for(core).ok_or_else(|| DeviceError::OutOfMemory {
            bytes: u32::MAX as u64 * 4,
            what: format!("the mailbox of `{}`", core.descriptor.id),
        })?;
        Mailbox::check_iterations(core)?;
        let words = self.allocate(gpu, needed)?;
        let exchange = exchange(&mut self.exchange, gpu)?;
        let mailbox = Mailbox::new(core, prepare, exchange.buffer(), words)?;
        let receiver = mailbox.receiver;
        self.members[index].mailbox = Some(mailbox);
        self.refresh(index)?;
        Ok(receiver)
    }

    /// Tells a member's device code what its place is now.
    fn refresh(&mut self, index: usize) -> Result<(), DeviceError> {
        let Some(core) = self.members[index].core.upgrade() else { return Ok(()) };
        let gpu = &core.gpu;
        let desk = self.members[index].place.desk();
        if desk.len() != self.members[index].desk.len() {
            let words = self.allocate(gpu, desk.len() as u32)?;
            let before = std::mem::replace(&mut self.members[index].desk, words);
            self.give_back(before);
        }
        let member = &mut self.members[index];
        let table = member.table(&core.plan);
        member.is_stale = false;
        let at = 4 * member.desk.start as u64;
        let mut engine = core.quiet(gpu.patience() * 2)?;
        let grown = 16 * table.len() as u64 > engine.table.size();
        if grown {
            engine.table = table_buffer(gpu, table.len())?;
        }
        gpu.guarded(|| {
            gpu.queue.write_buffer(&engine.table, 0, bytemuck::cast_slice(&table));
            if let Some(exchange) = &self.exchange
                && !desk.is_empty()
            {
                gpu.queue.write_buffer(exchange.buffer(), at, bytemuck::cast_slice(&desk));
            }
            Ok(())
        })?;
        drop(engine);
        if grown { self.bind(&core) } else { Ok(()) }
    }

    /// Leaves out those whose kernels are gone.
    fn sweep(&mut self) {
        while let Some(index) = self.members.iter().position(|member| member.core.strong_count() == 0) {
            self.remove(index);
        }
    }

    /// A member leaves: nobody reaches it any more, and its part of the exchange is given back.
    fn remove(&mut self, index: usize) {
        let Member { core, mailbox, host, desk, .. } = self.members.swap_remove(index);
        self.give_back(desk);
        self.give_back(host);
        if let Some(core) = core.upgrade() {
            let _engine = core.engine.lock().unwrap_or_else(PoisonError::into_inner);
            core.is_member.store(false, Ordering::Relaxed);
        }
        let Some(mailbox) = mailbox else { return };
        for other in 0..self.members.len() {
            if self.members[other].place.forget(mailbox.words.start) {
                // What fails here is a lost device, where nothing will be sent.
                let _ = self.refresh(other);
            }
        }
        self.give_back(mailbox.words);
    }
}
