//! [`Topics`]: publishing and subscribing.

use super::actors::{ActorInlet, ActorSubscription};
use super::broker::{Broker, Handed, Subscriber, TopicsSnapshot};
use super::error::PubSubError;
use super::inlet::Inlet;
use super::message::{Delivery, Stored};
use super::subscription::{SubscribeOptions, Subscription};
use super::topic::TopicFilter;
use crate::live::Registry;
use crate::{ActorRef, Handles, RingKernelError, RingMessage};
use std::fmt;
use std::sync::{Arc, Weak};

/// The topics of a runtime, from [`RingKernel::topics`](crate::RingKernel::topics); see the [module](super) for what they promise. Clones are the same.
#[derive(Clone)]
pub struct Topics {
    broker: Arc<Broker>,
    /// Whose.
    registry: Weak<Registry>,
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").field("snapshot", &self.snapshot()).finish()
    }
}

impl Topics {
    pub(crate) fn of(registry: &Arc<Registry>) -> Self {
        Self { broker: registry.topics.clone(), registry: Arc::downgrade(registry) }
    }

    // Publishing.

    /// Publishes a message: hands it to all subscribers of the topic, and says how many had room. Waits for those that asked for that
    /// ([`WhenFull::Wait`](super::WhenFull::Wait)) and have none, and for nobody else. Dropped while it waits, it has handed the message to the others, and
    /// those it waited for count that they missed it.
    ///
    /// # Errors
    /// [`Topic`](RingKernelError::Topic) where this is not the name of a topic, [`PubSub`](RingKernelError::PubSub) when the runtime is shut down,
    /// [`PayloadTooLarge`](RingKernelError::PayloadTooLarge).
    pub async fn publish<M: RingMessage>(
        &self,
        topic: &str,
        message: M,
    ) -> Result<Delivery, RingKernelError> {
        self.publish_patiently(topic, false, message).await
    }

    /// [`publish`](Self::publish), and the message is kept as the topic's: whoever subscribes later gets it first. It replaces the one that was kept before.
    ///
    /// # Errors
    /// As `publish`; and [`RetainedFull`](PubSubError::RetainedFull) where too many are kept, in which case nothing was published.
    pub async fn publish_retained<M: RingMessage>(
        &self,
        topic: &str,
        message: M,
    ) -> Result<Delivery, RingKernelError> {
        self.publish_patiently(topic, true, message).await
    }

    /// [`publish`](Self::publish), but waits for nobody: who has no room misses it.
    ///
    /// # Errors
    /// As `publish`.
    pub fn try_publish<M: RingMessage>(&self, topic: &str, message: M) -> Result<Delivery, RingKernelError> {
        Ok(self.hand_out(topic, false, false, &message)?.0.delivery)
    }

    /// [`publish_retained`](Self::publish_retained), but waits for nobody.
    ///
    /// # Errors
    /// As `publish_retained`.
    pub fn try_publish_retained<M: RingMessage>(
        &self,
        topic: &str,
        message: M,
    ) -> Result<Delivery, RingKernelError> {
        Ok(self.hand_out(topic, true, false, &message)?.0.delivery)
    }

    /// Forgets what is kept on the topics that a filter matches. Says on how many something was.
    ///
    /// # Errors
    /// [`Topic`](RingKernelError::Topic).
    pub fn clear_retained(&self, filter: &str) -> Result<usize, RingKernelError> {
        RingKernelError::check_process()?;
        Ok(self.broker.clear_retained(&TopicFilter::new(filter)?))
    }

    async fn publish_patiently<M: RingMessage>(
        &self,
        topic: &str,
        retain: bool,
        message: M,
    ) -> Result<Delivery, RingKernelError> {
        let (handed, stored) = self.hand_out(topic, retain, true, &message)?;
        // Not kept while we wait.
        drop(message);
        let Some(stored) = stored else { return Ok(handed.delivery) };
        let mut waiting = Waiting { handed };
        while let Some(inlet) = waiting.handed.waiting.last().cloned() {
            let offer = inlet.put(&stored).await;
            waiting.handed.waiting.pop();
            waiting.handed.count(offer);
        }
        Ok(waiting.handed.delivery)
    }

    fn hand_out<M: RingMessage>(
        &self,
        topic: &str,
        retain: bool,
        patient: bool,
        message: &M,
    ) -> Result<(Handed, Option<Stored>), RingKernelError> {
        RingKernelError::check_process()?;
        message.with_bytes(|bytes| self.broker.publish(topic, retain, patient, (M::TAG, bytes)))?
    }

    // Subscribing.

    /// Subscribes to the messages of type `T` on the topics that a filter matches. First come those that were retained, the oldest first; when this returns,
    /// what is published after, by the host or by a handler, will come.
    ///
    /// # Errors
    /// [`Topic`](RingKernelError::Topic) where this is not a filter, [`PubSub`](RingKernelError::PubSub) when the runtime is shut down, and
    /// [`Device`](RingKernelError::Device) where a device cannot tell the host what its kernel publishes there.
    pub async fn subscribe<T: RingMessage>(&self, filter: &str) -> Result<Subscription<T>, RingKernelError> {
        self.subscribe_with(filter, SubscribeOptions::default()).await
    }

    /// [`subscribe`](Self::subscribe), with a say in how large the buffer is, and what becomes of messages that find it full.
    ///
    /// # Errors
    /// As `subscribe`.
    pub async fn subscribe_with<T: RingMessage>(
        &self,
        filter: &str,
        options: SubscribeOptions,
    ) -> Result<Subscription<T>, RingKernelError> {
        RingKernelError::check_process()?;
        let (id, filter) = (self.broker.next_id(), TopicFilter::new(filter)?);
        let SubscribeOptions { capacity, when_full } = options;
        let inlet = Arc::new(Inlet::new(id, filter, T::TAG, capacity, when_full));
        // Made first: if the future is dropped, so is what was begun.
        let subscription = Subscription::new(self.broker.clone(), inlet.clone());
        self.enter(Subscriber::Host(inlet)).await?;
        Ok(subscription)
    }

    /// Subscribes an instance of an actor: its handler for `T` gets the messages of that type on the topics that a filter matches, as if it were told them.
    /// First comes what was retained.
    ///
    /// What the host publishes goes into its kernel's queue; what handlers of the same runtime publish goes from kernel to kernel, where the device can do
    /// that, and takes the way over the host where it cannot. A handler that publishes on a topic on which messages of several types are published
    /// sends the actor those as well; if it has no handler for one, that is a fault, which is counted.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe); [`Terminated`](RingKernelError::Terminated), and [`OtherRuntime`](PubSubError::OtherRuntime).
    pub async fn subscribe_actor<T: RingMessage, A: Handles<T>>(
        &self,
        actor: &ActorRef<A>,
        filter: &str,
    ) -> Result<ActorSubscription, RingKernelError> {
        RingKernelError::check_process()?;
        let live = actor.handle().live();
        live.check_open()?;
        if !Weak::ptr_eq(&live.registry, &self.registry) {
            return Err(PubSubError::OtherRuntime { id: live.id() }.into());
        }
        let name = (self.broker.next_id(), TopicFilter::new(filter)?);
        let words = (T::SIZE as usize).div_ceil(4);
        let inlet = Arc::new(ActorInlet::new(name, (T::TAG, words), live, actor.instance()));
        let subscription = ActorSubscription::new(self.broker.clone(), inlet.clone());
        self.enter(Subscriber::Actor(inlet)).await?;
        Ok(subscription)
    }

    async fn enter(&self, new: Subscriber) -> Result<(), RingKernelError> {
        let broker = self.broker.clone();
        // Devices may take a moment.
        blocking::unblock(move || broker.enter(&new)).await
    }

    /// Topics in figures.
    pub fn snapshot(&self) -> TopicsSnapshot {
        self.broker.snapshot()
    }
}

/// Those who are waited for have missed the message if nobody waits any more.
struct Waiting {
    handed: Handed,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.handed.waiting.drain(..).for_each(|inlet| inlet.gave_up());
    }
}
