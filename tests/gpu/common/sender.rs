//! Host threads that talk to counting actors, and know what those must have counted.

use super::counting::{Counted, Counting, NUMBERS, Totals, derived, first_word};
use ringkernel::{ActorRef, RingKernelError};
use std::marker::PhantomData;

/// One sender of a kernel's messages: every instance in turn, over and over.
pub struct Sender<A: Counting> {
    id: u32,
    instances: u32,
    /// From one instance to the next: neighbours in time are neighbours in a warp or not, depending on the sender.
    stride: u32,
    /// The next one, how many of this round there were, and which round it is.
    instance: u32,
    turn: u32,
    round: u32,
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
        // Primes: one that does not divide the number of instances comes by all of them.
        let stride = [1, 3, 5, 7, 11, 13, 17, 19][id as usize % 8];
        let stride = if instances.is_multiple_of(stride) { 1 } else { stride } % instances;
        let (instance, turn, round, sent) = (0, 0, 0, 0);
        let (checksum, wrong_replies, actor) = (0, 0, PhantomData);
        Self { id, instances, stride, instance, turn, round, sent, checksum, wrong_replies, actor }
    }

    /// Where the next message goes, and its first word.
    fn next(&mut self) -> (u32, u32) {
        let (instance, first) = (self.instance, first_word(self.id, self.round));
        self.instance += self.stride;
        if self.instance >= self.instances {
            self.instance -= self.instances;
        }
        self.turn += 1;
        if self.turn == self.instances {
            // Numbers wrap at 29 bits.
            (self.turn, self.instance, self.round) = (0, 0, self.round.wrapping_add(1) & NUMBERS);
        }
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

    /// Asks so many, and checks the replies. A few one after another, more of them with many under way.
    pub fn ask(&mut self, to: &ActorRef<A>, count: u32) -> Result<(), RingKernelError> {
        if count < 8 {
            for _ in 0..count {
                let (instance, first) = self.next();
                let reply = to.at(instance)?.ask_blocking(A::message(first))?;
                self.wrong_replies += u64::from(!A::answers(&reply, first));
            }
            return Ok(());
        }
        let asked: Vec<(u32, u32)> = (0..count).map(|_| self.next()).collect();
        let messages = asked.iter().map(|(instance, first)| (*instance, A::message(*first)));
        // More under way than a queue has slots, and less.
        let in_flight = [1024, 7, 100][(self.sent % 3) as usize];
        let mut replies = to.ask_many_at(messages).in_flight(in_flight).blocking();
        for (_, first) in &asked {
            match replies.next() {
                Some(reply) => self.wrong_replies += u64::from(!A::answers(&reply?, *first)),
                None => self.wrong_replies += 1,
            }
        }
        self.wrong_replies += u64::from(replies.next().is_some());
        Ok(())
    }
}

/// What the instances of a kernel have counted. (Itself messages: one for each instance.)
pub fn totals<A: Counting>(of: &ActorRef<A>) -> Result<Counted, RingKernelError> {
    let mut all = Counted::default();
    for counted in of.ask_many_at((0..of.instances()).map(|instance| (instance, Totals {}))).blocking() {
        all.add(counted?);
    }
    Ok(all)
}
