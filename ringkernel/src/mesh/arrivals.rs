//! What comes out of reply rings and is no reply to one of the kernel's own requests.

use super::directory;
use crate::live::{LiveKernel, wake};
use crate::message::with_buffer;
use crate::pending::Delivered;
use crate::{flight, mesh::relay};
use ringkernel_backends::abi::slot::{PREFIX_WORDS, PUBLISHED, RELAY};
use ringkernel_backends::abi::{Consumer, Correlation, FaultKind, Header, Origin, tag};
use ringkernel_backends::kernel::{FaultSite, intern_site};
use ringkernel_backends::mesh::KernelNumber;
use std::sync::atomic::Ordering;

impl LiveKernel {
    /// Takes something that is no reply to a request of this kernel's own, from the reply ring of `shard`.
    #[cold]
    pub(crate) fn arrived(&self, shard: usize, header: Header, words: &[u32]) {
        if let Origin::Forwarded { kernel, index } = header.correlation.origin() {
            let mut fault = [0; 2];
            let words = self.placed_fault(header.tag, words, &mut fault);
            answer_forwarded(kernel, index, header.tag, words);
            return;
        }
        match (header.correlation.index, words) {
            (RELAY, [number, index, generation, payload @ ..]) => {
                let correlation = Correlation { index: *index, generation: *generation as u16 };
                let header = Header { correlation, ..header };
                relay::relay(self, shard, *number, header, payload);
            }
            (PUBLISHED, [topic, retain, _, payload @ ..]) => {
                const { assert!(PREFIX_WORDS == 3) };
                with_buffer(4 * payload.len(), |bytes| {
                    bytes
                        .chunks_exact_mut(4)
                        .zip(payload)
                        .for_each(|(four, word)| four.copy_from_slice(&word.to_le_bytes()));
                    self.topics.published(self, &header, *topic, *retain != 0, bytes);
                });
            }
            // A reply that nobody waits for, or a device that errs.
            _ => {}
        }
    }

    /// A fault's words as they mean the same to another kernel's askers, whose table of sites is another.
    pub(crate) fn placed_fault<'a>(&self, tag: u32, words: &'a [u32], fault: &'a mut [u32; 2]) -> &'a [u32] {
        let (tag::FAULT, &[kind, site, ..]) = (tag, words) else { return words };
        let FaultSite::Index(index) = FaultSite::from_word(site) else { return words };
        let site = self.descriptor.sites.get(index as usize).map_or(FaultSite::None, |site| {
            let message = match site.message {
                "" => format!("in `{}`", self.descriptor.actor),
                message => format!("in `{}`: {message}", self.descriptor.actor),
            };
            FaultSite::Native(intern_site(site.file, site.line, site.column, &message))
        });
        *fault = [kind, site.to_word()];
        fault
    }

    /// Completes a request of this kernel's that was forwarded. It was answered once, so its entry is still the one: generations do not
    /// cross devices with it.
    fn answer(&self, index: u32, tag: u32, words: &[u32]) {
        if let Some((flight, cell)) = flight::named(Correlation { index, generation: 0 }) {
            let Some(cells) = self.flights.cells(flight) else { return };
            let Some(lap) = cells.lap(cell) else { return };
            let delivered = cells.deliver(cell, lap, flight::shape(tag, words.len()), |pairs| {
                for (pair, two) in pairs.iter().zip(words.chunks(2)) {
                    let high = two.get(1).copied().unwrap_or(0);
                    // Relaxed: see `Cells::deliver`.
                    pair.store(two[0] as u64 | (high as u64) << 32, Ordering::Relaxed);
                }
            });
            if delivered {
                self.settled(cells.settle(1));
            }
            return;
        }
        let Some(generation) = self.slab.generation(index) else { return };
        self.answer_one(Correlation { index, generation }, tag, words);
    }

    /// Completes a single request.
    pub(crate) fn answer_one(&self, correlation: Correlation, tag: u32, words: &[u32]) {
        let (delivered, watched) = self.slab.deliver(correlation, tag, words);
        if watched {
            self.lower_work();
        }
        match delivered {
            Delivered::Asker(waker) => waker.into_iter().for_each(wake),
            Delivered::Inbox(key) => self.inbox.push(key),
            Delivered::Discarded | Delivered::Unknown => {}
        }
    }

    /// Tells those who wait for an answer to what was forwarded to this kernel, which has ended and did not come to it.
    pub(crate) fn fail_forwarded(&self) {
        self.kernel.unanswered().into_iter().for_each(fail_if_forwarded);
        // What the host handed over may still lie in the rings.
        for port in self.kernel.ports() {
            let requests = &port.requests;
            let mut next = Consumer::at(requests.consumer().position().wrapping_add(requests.consumed()));
            while let Some((header, _)) = next.peek(requests) {
                fail_if_forwarded(header.correlation);
                next.advance();
            }
        }
    }
}

/// Completes another kernel's request.
fn answer_forwarded(kernel: KernelNumber, index: u32, tag: u32, words: &[u32]) {
    if let Some(asked) = directory::find(kernel) {
        asked.answer(index, tag, words);
    }
}

/// A message will not be handled: if somebody waits for the answer, he is told.
pub(crate) fn fail_if_forwarded(correlation: Correlation) {
    if let Origin::Forwarded { kernel, index } = correlation.origin() {
        let words = [FaultKind::NotDelivered as u32, FaultSite::None.to_word()];
        answer_forwarded(kernel, index, tag::FAULT, &words);
    }
}
