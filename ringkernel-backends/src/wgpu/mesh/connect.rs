//! What the host asks of the mesh.

use super::super::handle::WgpuKernel;
use super::super::kernel::Core;
use super::Mesh;
use crate::abi::{Correlation, Header};
use crate::kernel::{DeviceError, Kernel};
use crate::mesh::{KernelNumber, MailboxSnapshot, Sent, Subscriber, Target, as_kernel};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

impl Core {
    /// See [`Kernel::connect`].
    pub(in crate::wgpu) fn connect(
        self: &Arc<Self>,
        route: usize,
        target: Target<'_>,
    ) -> Result<(), DeviceError> {
        if route >= self.descriptor.mesh.routes.len() {
            return Err(DeviceError::NotConnected { reason: "there is no such route" });
        }
        self.change(target, |mesh, me, number| {
            mesh.members[me].place.set_route(route, number);
        })
    }

    /// See [`Kernel::set_peer`].
    pub(in crate::wgpu) fn set_peer(
        self: &Arc<Self>,
        number: KernelNumber,
        target: Target<'_>,
    ) -> Result<(), DeviceError> {
        self.change(target, |mesh, me, to| {
            let place = &mut mesh.members[me].place;
            place.set_peer(number, to.is_some());
        })
    }

    /// Makes the target a neighbour, and has the place changed.
    fn change(
        self: &Arc<Self>,
        target: Target<'_>,
        change: impl FnOnce(&mut Mesh, usize, Option<KernelNumber>),
    ) -> Result<(), DeviceError> {
        self.check_alive()?;
        let mesh = &mut *self.gpu.mesh.lock();
        mesh.sweep();
        let me = match target {
            // Who is no member reaches nobody.
            Target::Nobody => match mesh.index(self) {
                Some(me) => me,
                None => return Ok(()),
            },
            _ => mesh.join(self)?,
        };
        let number = match target {
            Target::Nobody => None,
            Target::Kernel(kernel) => Some(mesh.introduce(self, me, kernel)?),
            Target::Host(number) => {
                mesh.members[me].place.meet(number, None);
                Some(number)
            }
        };
        change(mesh, me, number);
        mesh.refresh(me)
    }

    /// See [`Kernel::set_subscribers`].
    pub(in crate::wgpu) fn set_subscribers(
        self: &Arc<Self>,
        topic: usize,
        subscribers: &[Subscriber],
        host: bool,
    ) -> Result<(), DeviceError> {
        if topic >= self.descriptor.mesh.topics.len() {
            return Err(DeviceError::NotConnected { reason: "there is no such topic" });
        }
        self.check_alive()?;
        let mesh = &mut *self.gpu.mesh.lock();
        mesh.sweep();
        let me = mesh.join(self)?;
        let mut numbers = Vec::with_capacity(subscribers.len());
        for Subscriber { kernel, instance } in subscribers {
            numbers.push((mesh.introduce(self, me, kernel)?, *instance));
        }
        mesh.members[me].place.set_subscribers(topic, numbers.into_iter(), host);
        mesh.refresh(me)
    }

    /// Gives the kernel its mailbox before anybody has met it: one whose handlers ask for messages gets them there, also what comes by way of the
    /// host.
    pub(in crate::wgpu) fn open_mailbox(self: &Arc<Self>) -> Result<(), DeviceError> {
        let mesh = &mut *self.gpu.mesh.lock();
        mesh.sweep();
        mesh.mailbox(self).map(drop)
    }

    /// See [`Kernel::missed`].
    pub(in crate::wgpu) fn missed(&self, topic: usize) -> Vec<u64> {
        let mesh = self.gpu.mesh.lock();
        mesh.index(self).map_or_else(Vec::new, |me| mesh.members[me].place.missed(topic))
    }

    /// See [`Kernel::mailbox`].
    pub(in crate::wgpu) fn mailbox(&self) -> MailboxSnapshot {
        let mesh = self.gpu.mesh.lock();
        let mailbox = mesh.index(self).and_then(|me| mesh.members[me].mailbox.as_ref());
        mailbox.map_or_else(MailboxSnapshot::default, |mailbox| mailbox.snapshot())
    }

    /// See [`Kernel::relay`]. What is relayed goes into the mailbox, behind what is there. Who has none gets it as a request: its
    /// handlers ask for nothing.
    pub(in crate::wgpu) fn relay(&self, header: Header, payload: &[u8]) -> Sent {
        if self.check_alive().is_err() || payload.len().div_ceil(4) > self.plan.request.payload_words() {
            return Sent::Gone;
        }
        if header.instance >= self.instances {
            return Sent::NoInstance;
        }
        let mesh = &mut *self.gpu.mesh.lock();
        let mailbox = mesh.index(self).and_then(|me| mesh.members[me].mailbox.as_mut());
        let taken = match mailbox {
            Some(mailbox) => mailbox.keep_outside(header, payload),
            None => self.port[0].requests.try_push(header, payload).is_ok(),
        };
        if !taken {
            return Sent::Full;
        }
        self.ring();
        Sent::Ok
    }

    /// See [`Kernel::relayed`].
    pub(in crate::wgpu) fn relayed(&self, receiver: KernelNumber) {
        let mesh = &mut *self.gpu.mesh.lock();
        if let Some(me) = mesh.index(self) {
            let member = &mut mesh.members[me];
            member.is_stale |= member.place.arrived(receiver);
        }
    }

    /// Nobody reaches this kernel from here on, nor it others; whether that could be had in time. Who waits for an answer from it is remembered.
    pub(in crate::wgpu) fn leave_mesh(&self, patience: Duration) -> bool {
        // Relaxed: it became a member on behalf of whoever has its handle.
        if !self.is_member.load(Ordering::Relaxed) {
            return true;
        }
        let Some(mut mesh) = self.gpu.mesh.lock_by(Instant::now() + patience) else { return false };
        let Some(me) = mesh.index(self) else { return true };
        let Mesh { exchange, members, .. } = &mut *mesh;
        if let (Some(exchange), Some(mailbox)) = (exchange, &mut members[me].mailbox)
            && let Ok(unanswered) = mailbox.unanswered(&self.gpu, exchange.buffer())
        {
            self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).extend(unanswered);
        }
        mesh.remove(me);
        true
    }

    /// See [`Kernel::unanswered`].
    pub(in crate::wgpu) fn unanswered(&self) -> Vec<Correlation> {
        std::mem::take(&mut *self.unanswered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn check_alive(&self) -> Result<(), DeviceError> {
        self.gpu.health.check()?;
        // Relaxed: who terminates it meanwhile takes it out of the mesh afterwards.
        if self.control.should_terminate.load(Ordering::Relaxed) != 0 {
            return Err(DeviceError::Terminated);
        }
        Ok(())
    }
}

impl Mesh {
    /// Makes a kernel the neighbour of a member; its number.
    fn introduce(
        &mut self,
        core: &Core,
        me: usize,
        kernel: &Arc<dyn Kernel>,
    ) -> Result<KernelNumber, DeviceError> {
        let elsewhere = DeviceError::NotConnected { reason: "it is on another device" };
        let other = as_kernel::<WgpuKernel>(kernel).ok_or_else(|| elsewhere.clone())?;
        if !Arc::ptr_eq(&other.core.gpu, &core.gpu) {
            return Err(elsewhere);
        }
        other.core.check_alive()?;
        let mailbox = self.mailbox(&other.core)?;
        // Nobody leaves while this holds the lock, so the member is where it was.
        self.members[me].place.meet(other.core.mesh.number, Some(mailbox));
        Ok(other.core.mesh.number)
    }
}
