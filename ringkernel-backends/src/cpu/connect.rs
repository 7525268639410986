//! What the host does with a kernel's connections: routes, peers and subscribers, and the messages that it hands on.

use super::kernel::CpuKernel;
use super::mailbox::Mailbox;
use super::shard::Core;
use super::table::{Subscribed, To};
use crate::abi::{Correlation, Header};
use crate::host::check_memory;
use crate::kernel::{DeviceError, Kernel, LaunchSpec};
use crate::mesh::{
    KernelNumber, MOST_KERNELS, MailboxSnapshot, Overflow, Sent, Subscriber, Target, as_kernel,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a handler is waited for whose kernel has ended.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whether a launch's place among other kernels makes sense.
pub(super) fn check(spec: &LaunchSpec) -> Result<(), DeviceError> {
    let mesh = spec.mesh;
    if mesh.mailbox.is_power_of_two() && (mesh.number as u32) < MOST_KERNELS {
        return Ok(());
    }
    let detail = format!(
        "`{}` was to be launched as kernel {} with mailboxes of {} slots; numbers are below {MOST_KERNELS}, and the slots must \
         be a power of two",
        spec.descriptor.id, mesh.number, mesh.mailbox
    );
    Err(DeviceError::Capacity { detail })
}

/// Makes a kernel's mailboxes, where that has not been done.
fn open(kernel: &CpuKernel) -> Result<(), DeviceError> {
    let (core, shape) = (&kernel.core, kernel.shape);
    if core.shards.iter().all(|shard| shard.mailbox.get().is_some()) {
        return Ok(());
    }
    let bytes = core.shards.len() as u64 * core.mesh.mailbox as u64 * shape.bytes() as u64;
    check_memory(bytes, &format!("the mailboxes of `{}`", core.descriptor.id))?;
    for (index, shard) in core.shards.iter().enumerate() {
        shard.mailbox.get_or_init(|| Mailbox::new(shape, core.mesh, kernel.first_position));
        // A shard that is on its way to idle may have looked for it already: it sees it now, or runs again.
        core.ring_after(index);
    }
    Ok(())
}

/// Another kernel's core, with mailboxes.
fn reach(kernel: &Arc<dyn Kernel>) -> Result<Arc<Core>, DeviceError> {
    let reason = "one of them is not on the CPU device";
    let kernel = as_kernel::<CpuKernel>(kernel).ok_or(DeviceError::NotConnected { reason })?;
    open(kernel)?;
    Ok(kernel.core.clone())
}

fn target(target: Target<'_>) -> Result<To, DeviceError> {
    Ok(match target {
        Target::Nobody => To::Nobody,
        Target::Kernel(kernel) => To::Kernel(reach(kernel)?),
        Target::Host(number) => To::Host(number),
    })
}

/// Refuses what the actor does not have. A kernel that has ended keeps nobody.
fn check_index(kernel: &CpuKernel, index: usize, count: usize) -> Result<(), DeviceError> {
    if index >= count {
        let reason = "the actor names no such route or topic";
        return Err(DeviceError::NotConnected { reason });
    }
    if kernel.core.is_gone() { Err(DeviceError::Terminated) } else { Ok(()) }
}

pub(super) fn connect(kernel: &CpuKernel, route: usize, to: Target<'_>) -> Result<(), DeviceError> {
    if matches!(to, Target::Nobody) && kernel.core.is_gone() {
        return Ok(());
    }
    check_index(kernel, route, kernel.core.descriptor.mesh.routes.len())?;
    let to = target(to)?;
    change(kernel, |table| table.connect(route, to));
    Ok(())
}

pub(super) fn set_peer(kernel: &CpuKernel, number: KernelNumber, to: Target<'_>) -> Result<(), DeviceError> {
    let to = target(to)?;
    change(kernel, |table| match to {
        To::Nobody => drop(table.peers.remove(&number)),
        to => drop(table.peers.insert(number, to)),
    });
    Ok(())
}

pub(super) fn set_subscribers(
    kernel: &CpuKernel,
    topic: usize,
    subscribers: &[Subscriber],
    host: bool,
) -> Result<(), DeviceError> {
    if subscribers.is_empty() && !host && kernel.core.is_gone() {
        return Ok(());
    }
    check_index(kernel, topic, kernel.core.descriptor.mesh.topics.len())?;
    let subscribed = |subscriber: &Subscriber| {
        let core = reach(&subscriber.kernel)?;
        let instances = core.instances;
        match subscriber.instance {
            instance if instance < instances => Ok(Subscribed { core, instance, missed: AtomicU64::new(0) }),
            instance => Err(DeviceError::NoSuchInstance { instance, instances }),
        }
    };
    let subscribers = subscribers.iter().map(subscribed).collect::<Result<_, _>>()?;
    change(kernel, |table| {
        if let Some(topic) = table.topics.get_mut(topic) {
            (topic.subscribers, topic.host) = (subscribers, host);
        }
    });
    Ok(())
}

/// Changes a kernel's table, unless it has ended: then nobody would clear that again.
fn change(kernel: &CpuKernel, change: impl FnOnce(&mut super::table::Table)) {
    kernel.core.tables.change(|table| {
        // `gone` is set before the table is cleared, which takes the same lock.
        if !kernel.core.is_gone() {
            change(table);
        }
    });
}

pub(super) fn missed(kernel: &CpuKernel, topic: usize) -> Vec<u64> {
    let table = kernel.core.tables.current();
    let topic = table.topics.get(topic);
    let counts = topic.into_iter().flat_map(|topic| &topic.subscribers[..]);
    // Relaxed: a figure.
    counts.map(|subscribed| subscribed.missed.load(Ordering::Relaxed)).collect()
}

/// Hands a message over: through the mailbox, where it is behind what its sender put there itself.
pub(super) fn relay(kernel: &CpuKernel, header: Header, payload: &[u8]) -> Sent {
    let core = &kernel.core;
    if core.is_gone() {
        return Sent::Gone;
    }
    if header.instance >= core.instances {
        return Sent::NoInstance;
    }
    if open(kernel).is_err() {
        // No memory at the moment.
        return Sent::Full;
    }
    let index = core.shard_of(header.instance);
    let Some(mailbox) = core.shards[index].mailbox.get() else { return Sent::Full };
    let payload = mailbox.fitting(payload);
    let placed = match core.mesh.overflow {
        Overflow::DropOldest => mailbox.push_over(header, payload),
        _ => mailbox.try_push(header, payload),
    };
    if !placed {
        return Sent::Full;
    }
    core.ring(index);
    Sent::Ok
}

/// Who waits for the answers to what lies in the mailboxes of a kernel that has ended. A shard whose handler has not is passed over.
pub(super) fn unanswered(kernel: &CpuKernel) -> Vec<Correlation> {
    let (core, deadline) = (&kernel.core, Instant::now() + PATIENCE);
    if !core.is_gone() {
        return Vec::new();
    }
    let bodies = core.shards.iter().enumerate().filter_map(|(index, shard)| {
        let mailbox = shard.mailbox.get()?;
        Some(core.quiet(index, deadline)?.talk.mail.abandon(mailbox, core.descriptor, deadline))
    });
    bodies.flatten().collect()
}

pub(super) fn snapshot(kernel: &CpuKernel) -> MailboxSnapshot {
    let mut all = MailboxSnapshot::default();
    for mailbox in kernel.core.shards.iter().filter_map(|shard| shard.mailbox.get()) {
        // Relaxed: figures. What was dropped left the ring before it was counted.
        let dropped = mailbox.dropped.load(Ordering::Relaxed);
        all.waiting += mailbox.waiting();
        all.received += mailbox.ring.consumed().saturating_sub(dropped);
        all.full += mailbox.full.load(Ordering::Relaxed);
        all.dropped += dropped;
    }
    all
}
