//! Handlers in unit tests: [`Recorder`].

use crate::{HlcTimestamp, RingContext, RingMessage};
use ringkernel_backends::abi::clock::{merge, stamp, time_of_day};
use ringkernel_backends::mesh::{KernelNumber, Outbox, Sent, key_of};
use std::fmt;

/// Stands in for the kernel around a handler: keeps what it sends, and provides what it is to find.
///
/// ```
/// use ringkernel::mesh::Sent;
/// use ringkernel::prelude::*;
/// use ringkernel::Recorder;
///
/// # #[ring_kernel(id = "recorded_ledger")] #[derive(Default)] pub struct Ledger { sum: i64 }
/// # #[ring_kernel] impl Ledger {
/// #     #[handler] fn enter(&mut self, _ctx: &mut RingContext, cents: i64) { self.sum += cents; }
/// # }
/// #[ring_kernel(id = "recorded_account")]
/// #[derive(Default)]
/// pub struct Account { cents: i64, lost: u32 }
///
/// #[ring_kernel]
/// impl Account {
///     #[handler]
///     fn deposit(&mut self, ctx: &mut RingContext, cents: i64) -> i64 {
///         self.cents += cents;
///         if !ctx.send::<Ledger>(2, cents).is_ok() {
///             self.lost += 1;
///         }
///         self.cents
///     }
/// }
///
/// let (mut account, mut recorder) = (Account::default(), Recorder::new());
/// assert_eq!(account.deposit(&mut recorder.context(0), 5), 5);
/// assert_eq!(recorder.sent::<i64>("recorded_ledger"), [(2, 5)]);
///
/// // What becomes of it where there is no room.
/// let mut full = Recorder::new().answer(Sent::Full);
/// account.deposit(&mut full.context(0), 5);
/// assert_eq!((account.lost, full.sent::<i64>("recorded_ledger").len()), (1, 0));
/// ```
pub struct Recorder {
    letters: Vec<Letter>,
    answer: Sent,
    sender: Option<u32>,
    sent_at: u64,
    /// The time of day, which stands still, and the clock's last timestamp.
    now: u64,
    last: u64,
    forwarded: bool,
    incoming: Vec<(u32, u32, Vec<u8>)>,
}

/// What was sent, and by which call.
struct Letter {
    by: Call,
    instance: u32,
    tag: u32,
    payload: Vec<u8>,
}

#[derive(PartialEq)]
enum Call {
    Send(u32),
    Forward(u32),
    Reply,
    Output,
    Publish(u32),
}

impl Default for Recorder {
    fn default() -> Self {
        let now = time_of_day();
        Self {
            letters: Vec::new(),
            answer: Sent::Ok,
            sender: None,
            sent_at: 0,
            now,
            last: now,
            forwarded: false,
            incoming: Vec::new(),
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("sent", &self.letters.len()).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Every send succeeds, the host sent the message that is handled, and nothing is to be received.
    pub fn new() -> Self {
        Self::default()
    }

    /// What every send says. What is not [`Sent::Ok`] is not kept.
    pub fn answer(mut self, answer: Sent) -> Self {
        self.answer = answer;
        self
    }

    /// The message that is handled came from this instance of a kernel.
    pub fn from_instance(mut self, instance: u32) -> Self {
        self.sender = Some(instance);
        self
    }

    /// The message that is handled was sent then, by its sender's clock.
    pub fn sent_at(mut self, at: HlcTimestamp) -> Self {
        self.sent_at = at.as_u64();
        self.last = merge(self.last, self.sent_at, self.now);
        self
    }

    /// A message that the kernel with this id has sent, for [`try_receive_from_kernel`](RingContext::try_receive_from_kernel).
    ///
    /// ```
    /// use ringkernel::Recorder;
    ///
    /// let mut recorder = Recorder::new().incoming("parts", 3u32).incoming("parts", 4u32);
    /// let mut ctx = recorder.context(0);
    /// assert_eq!(ctx.try_receive_from_kernel::<u32>("stores"), None);
    /// assert_eq!(ctx.try_receive_from_kernel::<u32>("parts"), Some(3));
    /// assert_eq!(ctx.try_receive_from_kernel::<u32>("parts"), Some(4));
    /// assert_eq!(ctx.try_receive_from_kernel::<u32>("parts"), None);
    /// ```
    pub fn incoming<M: RingMessage>(mut self, id: &str, message: M) -> Self {
        const { assert!(!M::VARIABLE, "a message of variable size is handled by a `#[handler]`, not received") };
        let mut bytes = vec![0; M::SIZE as usize];
        message.encode(&mut bytes);
        self.incoming.push((key_of(id), M::TAG, bytes));
        self
    }

    /// The second parameter of a handler that is called as this instance's, for one message.
    pub fn context(&mut self, instance: u32) -> RingContext<'_> {
        self.forwarded = false;
        RingContext::new(instance, self)
    }

    /// What was sent to the kernel with this id, of this type: to which instances.
    pub fn sent<M: RingMessage>(&self, id: &str) -> Vec<(u32, M)> {
        self.letters(Call::Send(key_of(id)))
    }

    /// What was forwarded to the kernel with this id.
    pub fn forwarded<M: RingMessage>(&self, id: &str) -> Vec<(u32, M)> {
        self.letters(Call::Forward(key_of(id)))
    }

    /// What was sent to the sender.
    pub fn replies<M: RingMessage>(&self) -> Vec<M> {
        self.messages(Call::Reply)
    }

    /// What was given to the host.
    pub fn outputs<M: RingMessage>(&self) -> Vec<M> {
        self.messages(Call::Output)
    }

    /// What was published on this topic, retained or not.
    pub fn published<M: RingMessage>(&self, topic: &str) -> Vec<M> {
        self.messages(Call::Publish(key_of(topic)))
    }

    fn letters<M: RingMessage>(&self, by: Call) -> Vec<(u32, M)> {
        let letters = self.letters.iter().filter(|letter| letter.by == by && letter.tag == M::TAG);
        letters.filter_map(|letter| Some((letter.instance, M::decode(&letter.payload).ok()?))).collect()
    }

    fn messages<M: RingMessage>(&self, by: Call) -> Vec<M> {
        self.letters(by).into_iter().map(|(_, message)| message).collect()
    }

    fn keep(&mut self, by: Call, instance: u32, tag: u32, payload: &[u8]) -> Sent {
        self.last = stamp(self.now, self.last);
        if self.answer.is_ok() {
            self.letters.push(Letter { by, instance, tag, payload: payload.to_vec() });
        }
        self.answer
    }
}

impl Outbox for Recorder {
    fn send(&mut self, key: u32, instance: u32, tag: u32, payload: &[u8]) -> Sent {
        self.keep(Call::Send(key), instance, tag, payload)
    }

    fn reply(&mut self, tag: u32, payload: &[u8]) -> Sent {
        match self.sender {
            Some(instance) => self.keep(Call::Reply, instance, tag, payload),
            None => Sent::NoSender,
        }
    }

    fn forward(&mut self, key: u32, instance: u32, tag: u32, payload: &[u8]) -> Sent {
        // A request that the host waits for, unless a kernel sent it.
        if self.forwarded && self.sender.is_none() {
            return Sent::NoSender;
        }
        let sent = self.keep(Call::Forward(key), instance, tag, payload);
        self.forwarded |= sent.is_ok();
        sent
    }

    fn output(&mut self, tag: u32, payload: &[u8]) -> Sent {
        self.keep(Call::Output, 0, tag, payload)
    }

    fn publish(&mut self, topic: u32, _: bool, tag: u32, payload: &[u8]) -> Sent {
        self.keep(Call::Publish(topic), 0, tag, payload)
    }

    fn receive(&mut self, key: u32, tag: u32, out: &mut [u8]) -> bool {
        let is_it =
            |(from, of, bytes): &(u32, u32, Vec<u8>)| (*from, *of, bytes.len()) == (key, tag, out.len());
        let Some(first) = self.incoming.iter().position(is_it) else { return false };
        out.copy_from_slice(&self.incoming.remove(first).2);
        true
    }

    fn sender(&self) -> Option<(KernelNumber, u32)> {
        self.sender.map(|instance| (0, instance))
    }

    fn sent_at(&self) -> u64 {
        self.sent_at
    }

    fn now(&mut self) -> u64 {
        self.last
    }

    fn tick(&mut self) -> u64 {
        self.last = stamp(self.now, self.last);
        self.last
    }

    fn update_clock(&mut self, seen: u64) -> u64 {
        self.last = merge(self.last, seen, self.now);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_handler_sends_is_kept_by_call_receiver_and_type() {
        let mut recorder = Recorder::new().from_instance(3);
        let mut ctx = recorder.context(1);
        for sent in [
            ctx.send_to_kernel("a", 1u32),
            ctx.send_to_instance("a", 5, 2u32),
            ctx.send_to_kernel("b", 3u32),
            ctx.send_to_kernel("a", 4u64),
            ctx.reply(5u32),
            ctx.enqueue_output(6u32),
            ctx.publish("t", 7u32),
            ctx.publish_retained("t", 8u32),
        ] {
            assert_eq!(sent, Sent::Ok);
        }
        assert_eq!(recorder.sent::<u32>("a"), [(0, 1), (5, 2)]);
        assert_eq!(recorder.sent::<u64>("a"), [(0, 4)]);
        assert_eq!(recorder.sent::<u32>("b"), [(0, 3)]);
        assert_eq!((recorder.replies::<u32>(), recorder.outputs::<u32>()), (vec![5], vec![6]));
        assert_eq!(recorder.published::<u32>("t"), [7, 8]);
        assert!(recorder.forwarded::<u32>("a").is_empty());
    }

    #[test]
    fn a_request_is_forwarded_once_and_each_message_anew() {
        let mut recorder = Recorder::new();
        for round in 1..3 {
            let mut ctx = recorder.context(0);
            assert_eq!(ctx.reply(1u32), Sent::NoSender);
            let forward = |ctx: &mut RingContext<'_>| {
                ctx.forward::<crate::testing::Account>(0, crate::testing::Deposit { cents: 1 })
            };
            assert_eq!((forward(&mut ctx), forward(&mut ctx)), (Sent::Ok, Sent::NoSender));
            assert_eq!(recorder.forwarded::<crate::testing::Deposit>("account").len(), round);
        }
    }
}
