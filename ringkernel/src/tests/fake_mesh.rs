//! How kernels on the fake device reach each other: mailboxes of eight messages, or the host.

use super::fake::{FakeKernel, Hop, State};
use ringkernel_backends::abi::slot::{OUTPUT, PREFIX_WORDS, PUBLISHED, RELAY};
use ringkernel_backends::abi::{Correlation, Header, Origin};
use ringkernel_backends::kernel::{DeviceError, Port};
use ringkernel_backends::mesh::{KernelNumber, Outbox, Sent, Target, as_kernel, key_of};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;

/// Messages of a mailbox.
const MAILBOX: usize = 8;

/// Where a route leads.
#[derive(Clone)]
pub(super) enum Route {
    Nobody,
    Kernel(Arc<State>),
    Host(KernelNumber),
}

impl State {
    /// What a target is, if it may be told of.
    pub(super) fn hop(&self, target: Target<'_>) -> Result<(Option<Hop>, Route), DeviceError> {
        if let Some(error) = self.knobs.deaf.lock().unwrap().clone() {
            return Err(error);
        }
        const APART: DeviceError = DeviceError::NotConnected { reason: "kept apart by a test" };
        Ok(match target {
            Target::Nobody => (None, Route::Nobody),
            Target::Host(number) => (Some(Hop::Host(number)), Route::Host(number)),
            Target::Kernel(kernel) => match as_kernel::<FakeKernel>(kernel) {
                Some(kernel)
                    if !self.knobs.apart.load(SeqCst) && Arc::ptr_eq(&kernel.state.knobs, &self.knobs) =>
                {
                    (Some(Hop::Kernel(kernel.state.number)), Route::Kernel(kernel.state.clone()))
                }
                _ => return Err(APART),
            },
        })
    }

    /// Puts a message into the mailbox.
    pub(super) fn take_in(&self, header: Header, payload: &[u8]) -> Sent {
        let mut mailbox = self.mailbox.lock().unwrap();
        if mailbox.len() >= MAILBOX {
            return Sent::Full;
        }
        mailbox.push_back((header, payload.to_vec()));
        Sent::Ok
    }
}

pub(super) struct FakeOutbox<'a> {
    pub(super) state: &'a State,
    pub(super) port: &'a Port,
    pub(super) header: Header,
    /// Somebody else answers.
    pub(super) forwarded: bool,
}

impl FakeOutbox<'_> {
    fn pass(&mut self, key: u32, origin: Origin, instance: u32, tag: u32, payload: &[u8]) -> Sent {
        let routes = self.state.descriptor.mesh.routes;
        let Some(at) = routes.iter().position(|route| route.key() == key) else { return Sent::Gone };
        let correlation = Correlation::from(origin);
        let header = Header { tag, instance, correlation, words: 0, hlc: self.header.hlc };
        let route = self.state.routes.lock().unwrap()[at].clone();
        match route {
            Route::Nobody => Sent::Gone,
            Route::Kernel(to) => to.take_in(header, payload),
            Route::Host(number) => {
                let prefix = [number.into(), correlation.index, correlation.generation.into()];
                self.say(RELAY, Header { ..header }, prefix, payload)
            }
        }
    }

    /// Puts something into the reply ring beside the reply, for which room is left.
    fn say(&mut self, index: u32, header: Header, prefix: [u32; PREFIX_WORDS], payload: &[u8]) -> Sent {
        let replies = &self.port.replies;
        if replies.len() + 1 >= replies.capacity() {
            return Sent::Full;
        }
        let prefix = prefix.iter().filter(|_| index != OUTPUT).flat_map(|word| word.to_le_bytes());
        let bytes: Vec<u8> = prefix.chain(payload.iter().copied()).collect();
        let correlation = Correlation { index, generation: 0 };
        match replies.try_push(Header { correlation, ..header }, &bytes) {
            Ok(()) => Sent::Ok,
            Err(_) => Sent::Full,
        }
    }

    fn header_here(&self, tag: u32) -> Header {
        Header { tag, ..self.header }
    }
}

impl Outbox for FakeOutbox<'_> {
    fn send(&mut self, key: u32, instance: u32, tag: u32, payload: &[u8]) -> Sent {
        let origin = Origin::Kernel { kernel: self.state.number, instance: self.header.instance };
        self.pass(key, origin, instance, tag, payload)
    }
    fn reply(&mut self, _: u32, _: &[u8]) -> Sent {
        Sent::NoSender
    }
    fn forward(&mut self, key: u32, instance: u32, tag: u32, payload: &[u8]) -> Sent {
        let origin = match self.header.correlation.origin() {
            Origin::Asker(entry) => Origin::Forwarded { kernel: self.state.number, index: entry.index },
            origin => origin,
        };
        let sent = self.pass(key, origin, instance, tag, payload);
        self.forwarded |= sent.is_ok();
        sent
    }
    fn output(&mut self, tag: u32, payload: &[u8]) -> Sent {
        self.say(OUTPUT, self.header_here(tag), [0; PREFIX_WORDS], payload)
    }
    fn publish(&mut self, topic: u32, retain: bool, tag: u32, payload: &[u8]) -> Sent {
        assert_eq!(topic, key_of("news"));
        self.say(PUBLISHED, self.header_here(tag), [topic, retain.into(), 0], payload)
    }
    fn receive(&mut self, _: u32, _: u32, _: &mut [u8]) -> bool {
        false
    }
    fn sender(&self) -> Option<(KernelNumber, u32)> {
        match self.header.correlation.origin() {
            Origin::Kernel { kernel, instance } => Some((kernel, instance)),
            _ => None,
        }
    }
    fn sent_at(&self) -> u64 {
        self.header.hlc
    }
    fn now(&mut self) -> u64 {
        0
    }
    fn tick(&mut self) -> u64 {
        0
    }
    fn update_clock(&mut self, _: u64) -> u64 {
        0
    }
}
