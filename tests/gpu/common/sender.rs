//! Host threads that talk to counting actors, and know what those must have counted.

use super::counting::{Counted, Counting, NUMBERS, Totals, derived, first_word};
use ringkernel::{ActorRef, RingKernelError};
use std::marker::PhantomData;

/// One sender of a kernel's messages: every instance in turn, over and over.
pub struct Sender<A: Counting> {
    id: u32,
    instances: u32,
    /// Messages so far.
    pub sent: u64,
    /// What the instances must sum up to for them.
    pub checksum: u32,
    /// Replies that are not the reply to what was asked.
    pub wrong_replies: u64,
    actor: PhantomData<fn() -> A>,
}

impl<A: Counting> Sender<A> {
    /// Sender `id` (below [`SENDERS`](super::counting::SENDERS)) to that many instances.
    pub fn new(id: u32, instances: u32) -> Self {
        Self { id, instances, sent: 0, checksum: 0, wrong_replies: 0, actor: PhantomData }
    }

    /// Where the next message goes, and its first word.
    fn next(&mut self) -> (u32, u32) {
        let instances = self.instances as u64;
        // Neighbours in time are neighbours in a warp or not, depending on the sender.
        let stride = [1, 3, 5, 7, 11, 13, 17, 19][self.id as usize % 8];
        let (round, turn) = (self.sent / instances, self.sent % instances);
        let stride = if instances.is_multiple_of(stride) { 1 } else { stride };
        let instance = (turn * stride % instances) as u32;
        let first = first_word(self.id, (round & NUMBERS as u64) as u32);
        self.sent += 1;
        self.checksum = self.checksum.wrapping_add(derived(first, 1000));
        (instance, first)
    }

    /// Tells so many.
    pub fn tell(&mut self, to: &ActorRef<A>, count: u32) -> Result<(), RingKernelError> {
        let messages = (0..count).map(|_| {
            let (instance, first) = self.next();
            (instance, A::message(first))
        });
        Ok(to.tell_many_at_blocking(messages)?)
    }

    /// Asks so many, and checks the replies.
    pub fn ask(&mut self, to: &ActorRef<A>, count: u32) -> Result<(), RingKernelError> {
        for _ in 0..count {
            let (instance, first) = self.next();
            let reply = to.at(instance)?.ask_blocking(A::message(first))?;
            self.wrong_replies += u64::from(!A::answers(&reply, first));
        }
        Ok(())
    }
}

/// What the instances of a kernel have counted. (Itself messages: one for each instance.)
pub fn totals<A: Counting>(of: &ActorRef<A>) -> Result<Counted, RingKernelError> {
    let mut all = Counted::default();
    smol::block_on(async {
        for instance in 0..of.instances() {
            all.add(of.at(instance)?.ask(Totals {}).await?);
        }
        Ok(all)
    })
}
