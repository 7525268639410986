//! What devices are told of their kernels' subscribers, so that handlers publish without the host.
//!
//! As in [`mesh::wiring`](crate::mesh), one lock orders all changes of a runtime, devices are told under it, and whoever a device was told of
//! keeps its memory until that device was told otherwise.

use super::actors::ActorInlet;
use super::broker::{Broker, Subscriber, check_topics};
use super::error::PubSubError;
use super::topic::TopicFilter;
use crate::RingKernelError;
use crate::live::LiveKernel;
use ringkernel_backends::fork::forked;
use ringkernel_backends::kernel::{DeviceError, Kernel};
use ringkernel_backends::mesh::{self, KernelNumber};
use std::sync::{Arc, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// The kernels whose handlers publish.
#[derive(Default)]
pub(super) struct Wiring {
    speakers: Vec<Speaker>,
}

struct Speaker {
    number: KernelNumber,
    live: Weak<LiveKernel>,
    /// For each of its topics, what its device was told.
    told: Box<[Told]>,
}

#[derive(Default)]
struct Told {
    actors: Vec<Link>,
    host: bool,
}

/// A subscriber that a device knows of.
struct Link {
    inlet: Arc<ActorInlet>,
    /// Not to go before the device was told so.
    kernel: Arc<dyn Kernel>,
}

impl Link {
    fn to(inlet: &Arc<ActorInlet>) -> Option<Self> {
        let live = inlet.live.upgrade().filter(|live| !live.has_ended())?;
        Some(Self { inlet: inlet.clone(), kernel: live.kernel.clone() })
    }
}

impl Speaker {
    /// Tells its device who has subscribed to one of its topics, if that has changed.
    fn tell(&mut self, broker: &Broker, topic: usize, gone: &mut Vec<Link>) -> Result<(), DeviceError> {
        // One that hangs or is lost does not listen, and keeps what it knows.
        let Some(live) = self.live.upgrade().filter(|live| !live.has_ended()) else { return Ok(()) };
        let Some(info) = live.descriptor.mesh.topics.get(topic) else { return Ok(()) };
        let told = &mut self.told[topic];
        let (mut host, mut direct) = (false, Vec::new());
        for subscriber in broker.subscribers_of(info.name) {
            match subscriber {
                Subscriber::Actor(inlet) if !inlet.is_by_host(self.number, topic) => {
                    direct.extend(Link::to(&inlet))
                }
                _ => host = true,
            }
        }
        let same = |a: &[Link], b: &[Link]| {
            a.iter().map(|link| link.inlet.id).eq(b.iter().map(|link| link.inlet.id))
        };
        if told.host == host && same(&told.actors, &direct) {
            return Ok(());
        }
        match set(&live, topic, told, direct, host, gone) {
            Err((DeviceError::NotConnected { .. }, direct))
                if direct.iter().any(|link| !told.knows(link)) =>
            {
                // The new ones are not to be reached from there: what they get, they get from the host.
                let (known, new): (Vec<_>, Vec<_>) = direct.into_iter().partition(|link| told.knows(link));
                set(&live, topic, told, known, true, gone).map_err(|(error, _)| error)?;
                new.iter().for_each(|link| link.inlet.goes_by_host(self.number, topic));
                Ok(())
            }
            result => result.map_err(|(error, _)| error),
        }
    }
}

impl Told {
    fn knows(&self, link: &Link) -> bool {
        self.actors.iter().any(|known| known.inlet.id == link.inlet.id)
    }
}

/// Tells a device, or gives back whom it was to be told of.
fn set(
    live: &LiveKernel,
    topic: usize,
    told: &mut Told,
    actors: Vec<Link>,
    host: bool,
    gone: &mut Vec<Link>,
) -> Result<(), (DeviceError, Vec<Link>)> {
    let subscribers: Vec<_> = actors
        .iter()
        .map(|link| mesh::Subscriber { kernel: link.kernel.clone(), instance: link.inlet.instance })
        .collect();
    // It counts from 0 again. What it counts between these two lines is the one thing that nobody gets to know.
    let missed = live.kernel.missed(topic);
    if let Err(error) = live.kernel.set_subscribers(topic, &subscribers, host) {
        return Err((error, actors));
    }
    told.actors.iter().zip(missed).for_each(|(link, missed)| link.inlet.has_missed(missed));
    told.host = host;
    gone.extend(std::mem::replace(&mut told.actors, actors));
    Ok(())
}

impl Wiring {
    /// Tells the devices of all kernels that publish on topics of this filter.
    fn tell(
        &mut self,
        broker: &Broker,
        filter: &TopicFilter,
        gone: &mut Vec<Link>,
    ) -> Result<(), RingKernelError> {
        let mut result = Ok(());
        for speaker in &mut self.speakers {
            let Some(live) = speaker.live.upgrade() else { continue };
            for (topic, info) in live.descriptor.mesh.topics.iter().enumerate() {
                if filter.matches(info.name)
                    && let Err(error) = speaker.tell(broker, topic, gone)
                    // A kernel that ended meanwhile publishes nothing.
                    && !live.has_ended()
                {
                    result = result.and(Err(RingKernelError::from_device(live.id(), error)));
                }
            }
        }
        result
    }
}

impl Broker {
    fn wiring(&self) -> MutexGuard<'_, Wiring> {
        self.wiring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a subscriber in: what is published after this reaches it.
    ///
    /// # Errors
    /// What a device says whose kernel publishes what it is to get; then there is no such subscriber.
    pub(super) fn enter(&self, new: &Subscriber) -> Result<(), RingKernelError> {
        let mut gone = Vec::new();
        let mut wiring = self.wiring();
        if let Subscriber::Actor(inlet) = new {
            // Under the lock: see `kernel_gone`.
            match inlet.live.upgrade() {
                Some(live) => live.check_open()?,
                None => return Err(PubSubError::Shutdown.into()),
            }
        }
        self.add(new)?;
        let told = wiring.tell(self, new.filter(), &mut gone);
        if told.is_err() {
            self.remove(new.id(), new.filter());
            // Nothing that it could say would be news.
            let _ = wiring.tell(self, new.filter(), &mut gone);
        }
        // First: dropping the last handle to a kernel is not to happen under the lock.
        drop(wiring);
        drop(gone);
        told
    }

    /// Lets a subscriber go; devices hear of it in a moment.
    pub(super) fn leave(self: &Arc<Self>, id: u64, filter: &TopicFilter) {
        if forked() || self.remove(id, filter).is_none() {
            return;
        }
        if self.wiring.try_lock().is_ok_and(|wiring| wiring.speakers.is_empty()) {
            return;
        }
        let (broker, filter) = (self.clone(), filter.clone());
        blocking::unblock(move || broker.retell(broker.wiring(), [&filter])).detach();
    }

    fn retell<'a>(
        &self,
        mut wiring: MutexGuard<'_, Wiring>,
        filters: impl IntoIterator<Item = &'a TopicFilter>,
    ) {
        let mut gone = Vec::new();
        for filter in filters {
            // A device that could not be told goes on telling the host, or one who has gone, who is kept.
            let _ = wiring.tell(self, filter, &mut gone);
        }
        // First: see `enter`.
        drop(wiring);
        drop(gone);
    }

    /// What devices counted that this subscriber missed, since they were told of it.
    pub(super) fn missed_on_devices(&self, id: u64) -> u64 {
        let wiring = self.wiring();
        let mut missed = 0;
        for speaker in &wiring.speakers {
            let Some(live) = speaker.live.upgrade() else { continue };
            for (topic, told) in speaker.told.iter().enumerate() {
                if let Some(at) = told.actors.iter().position(|link| link.inlet.id == id) {
                    missed += live.kernel.missed(topic).get(at).copied().unwrap_or(0);
                }
            }
        }
        missed
    }

    /// A kernel was launched, and nobody has sent it anything yet.
    ///
    /// # Errors
    /// Where a topic of its handlers cannot be one, or its device does not tell others what they publish, and somebody has subscribed to that.
    pub(crate) fn kernel_launched(&self, live: &Arc<LiveKernel>) -> Result<(), RingKernelError> {
        let topics = live.descriptor.mesh.topics;
        if topics.is_empty() {
            return Ok(());
        }
        check_topics(live)?;
        let told = topics.iter().map(|_| Told::default()).collect();
        let mut speaker = Speaker { number: live.number(), live: Arc::downgrade(live), told };
        let mut gone = Vec::new();
        let mut wiring = self.wiring();
        let result = (0..topics.len()).try_for_each(|topic| speaker.tell(self, topic, &mut gone));
        // Also where it failed: what its device was told of is kept until it has ended.
        wiring.speakers.push(speaker);
        drop(wiring);
        drop(gone);
        result.map_err(|error| RingKernelError::from_device(live.id(), error))
    }

    /// A kernel is about to end: nothing that is published from now on is for it. By `until`, or as soon as that is possible.
    pub(crate) fn kernel_ends(self: &Arc<Self>, number: KernelNumber, until: Instant) {
        if self.actors_of(number).is_empty() {
            return;
        }
        loop {
            match self.wiring.try_lock() {
                Ok(wiring) => return self.forget_actors_of(number, wiring),
                Err(TryLockError::Poisoned(wiring)) => {
                    return self.forget_actors_of(number, wiring.into_inner());
                }
                Err(TryLockError::WouldBlock) if Instant::now() >= until => return self.kernel_ended(number),
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_micros(200)),
            }
        }
    }

    /// [`kernel_ends`](Self::kernel_ends), on a thread that may wait.
    pub(crate) fn kernel_ended(self: &Arc<Self>, number: KernelNumber) {
        if !self.actors_of(number).is_empty() {
            let broker = self.clone();
            blocking::unblock(move || broker.forget_actors_of(number, broker.wiring())).detach();
        }
    }

    fn forget_actors_of(&self, number: KernelNumber, wiring: MutexGuard<'_, Wiring>) {
        let actors = self.actors_of(number);
        actors.iter().for_each(|inlet| drop(self.remove(inlet.id, &inlet.filter)));
        self.retell(wiring, actors.iter().map(|inlet| &inlet.filter));
    }

    /// A kernel has ended, or was given up on: whom it knew of may go, unless it may still publish.
    pub(crate) fn kernel_gone(&self, number: KernelNumber, given_up: bool) {
        let mut wiring = self.wiring();
        let at = wiring.speakers.iter().position(|speaker| speaker.number == number);
        let speaker = at.map(|at| wiring.speakers.swap_remove(at));
        if speaker.is_some() {
            self.each_actor(|inlet| inlet.forget(number));
        }
        // Those that subscribed while it ended; now that it has, no more will.
        self.forget_actors_of(number, wiring);
        if given_up {
            std::mem::forget(speaker);
        }
    }
}
