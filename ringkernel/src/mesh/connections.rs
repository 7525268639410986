//! What users see of the connections between kernels, and do about them by hand.

use super::{Number, RelaySnapshot, wiring};
use crate::live::LiveKernel;
use crate::{KernelHandle, RingKernel, RingKernelError};
use ringkernel_backends::fork::forked;
use ringkernel_backends::mesh::{KernelNumber, MailboxSnapshot};

/// How a message gets from one kernel to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Via {
    /// The sender puts it into the receiver's mailbox.
    Device,
    /// The sender gives it to the host, which hands it on: the receiver is on another device, or one that its senders cannot reach.
    Host,
}

/// Where the sends of a kernel that name one id go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// The id that handlers send to.
    pub id: &'static str,
    /// The kernel of that id which gets it, by its [number](KernelHandle::number), and how. `None`: none does, and a send says
    /// [`Sent::Gone`](crate::Sent::Gone).
    pub to: Option<(KernelNumber, Via)>,
}

/// # Kernels that send to each other
///
/// When a kernel is launched, each id that its handlers send to is connected to the kernel of the same runtime that was launched under that
/// id (the oldest, if there are several; the kernel itself, if it is its own), and those handlers of other kernels that send to its id and
/// reached nobody now reach it. When a kernel ends, whoever sent to it is told [`Sent::Gone`](crate::Sent::Gone).
impl RingKernel {
    /// Lets what the handlers of `from` send to the id of `to` go to this very kernel: where several have that id, or where `to` belongs to
    /// another runtime, be its device the same or another. Where the devices do not reach each other, messages pass through the host.
    ///
    /// What was sent before stays where it is. An active kernel may pause for a moment. See [`mesh`](crate::mesh) for an example.
    ///
    /// # Errors
    /// [`NoRoute`](RingKernelError::NoRoute) where no handler of `from` names that id,
    /// [`CannotConnect`](RingKernelError::CannotConnect) with what a device says, [`Terminated`](RingKernelError::Terminated).
    pub async fn connect(&self, from: &KernelHandle, to: &KernelHandle) -> Result<(), RingKernelError> {
        RingKernelError::check_process()?;
        let (from, to) = (from.live().clone(), to.live().clone());
        blocking::unblock(move || wiring::connect(&from, &to)).await
    }

    /// Ends that: what the handlers of `from` send to that id says [`Sent::Gone`](crate::Sent::Gone), until they are connected again, which
    /// the next launch of a kernel with that id does as well. What was sent before is handled.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and [`NotConnected`](RingKernelError::NotConnected) where they go elsewhere or nowhere.
    pub async fn disconnect(&self, from: &KernelHandle, to: &KernelHandle) -> Result<(), RingKernelError> {
        RingKernelError::check_process()?;
        let (from, to) = (from.live().clone(), to.live().clone());
        blocking::unblock(move || wiring::disconnect(&from, &to)).await
    }
}

/// # Kernels that send to each other
impl KernelHandle {
    /// Its number among the kernels of this process.
    pub fn number(&self) -> KernelNumber {
        self.live().number()
    }

    /// Where what its handlers send goes: one for each id they name.
    pub fn connections(&self) -> Vec<Connection> {
        let live = self.live();
        let routes = live.descriptor.mesh.routes.iter();
        if forked() {
            return routes.map(|route| Connection { id: route.id, to: None }).collect();
        }
        routes.zip(live.place.leads().iter()).map(|(route, &to)| Connection { id: route.id, to }).collect()
    }

    /// What its handlers sent by way of the host, in figures.
    pub fn relays(&self) -> RelaySnapshot {
        self.live().relays.snapshot()
    }

    /// What other kernels send to it, in figures.
    pub fn mailbox(&self) -> MailboxSnapshot {
        if forked() { MailboxSnapshot::default() } else { self.live().kernel().mailbox() }
    }
}

impl LiveKernel {
    pub(crate) fn number(&self) -> KernelNumber {
        self.place.number.get()
    }

    /// Whether both belong to one runtime.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        std::sync::Weak::ptr_eq(&self.registry, &other.registry)
    }
}

/// A number for a kernel that is about to be launched.
pub(crate) fn number_for(id: &'static str) -> Result<Number, RingKernelError> {
    use ringkernel_backends::kernel::DeviceError;
    let detail = || "this process has 16,383 kernels whose handles are still there".to_owned();
    Number::take()
        .ok_or_else(|| RingKernelError::Device { id, error: DeviceError::Capacity { detail: detail() } })
}
