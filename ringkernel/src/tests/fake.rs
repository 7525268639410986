//! A device for tests: native handlers on a thread a kernel, that can be told to hold still, to fail, and to lie.

use super::fake_mesh::{FakeOutbox, Route};
use crate::RingKernel;
use crate::backend::{Backend, BackendReport};
use crate::runtime::Settings;
use crate::testing::{Account, Bare, Clerk};
use crate::{Actor, BridgePolicy, IdlePolicy};
use ringkernel_backends::abi::ring::RawMemory;
use ringkernel_backends::abi::{
    Consumer, ControlSnapshot, Correlation, Header, Origin, Ring, SlotShape, TelemetrySnapshot, tag,
};
use ringkernel_backends::kernel::*;
use ringkernel_backends::mesh::{KernelNumber, MailboxSnapshot, MeshSpec, Sent, Subscriber, Target};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

// SeqCst throughout: this is a test's device, and none of its speed matters.

/// What the tests turn.
#[derive(Default)]
pub(super) struct Knobs {
    /// Whether replies appear without a word.
    pub(super) polled: bool,
    /// How the runtime looks for them then.
    pub(super) bridge: BridgePolicy,
    /// Take nothing from the rings.
    pub(super) hold: AtomicBool,
    /// Take nothing from the rings, and show no sign of life: as if a handler did not return.
    pub(super) hang: AtomicBool,
    /// The device is lost.
    pub(super) lost: Mutex<Option<DeviceError>>,
    /// Refuse to launch, with this.
    pub(super) refuse: Mutex<Option<DeviceError>>,
    /// Hear of activations and deactivations, and do not say so in time.
    pub(super) mute: AtomicBool,
    /// Do not come to an end when told to terminate.
    pub(super) stuck: AtomicBool,
    /// Answer with this tag instead, unless it is 0.
    pub(super) lie: AtomicU32,
    /// The doorbells that were rung, and how many requests had been pushed by then.
    pub(super) rung: Mutex<Vec<(usize, u64)>>,
    /// Replies published.
    pub(super) answered: AtomicU64,
    /// Do not reach other kernels of this device: what they are sent passes the host.
    pub(super) apart: AtomicBool,
    /// Take what the host hands over through the rings of requests.
    pub(super) by_ring: AtomicBool,
    /// The number of a kernel that others do not reach to publish to it.
    pub(super) far: AtomicU32,
    /// Refuse to be told of other kernels, with this.
    pub(super) deaf: Mutex<Option<DeviceError>>,
    /// What the last kernel was launched with.
    pub(super) mesh: Mutex<Option<MeshSpec>>,
    /// What kernels were told of each other: by whose number, and what.
    pub(super) told: Mutex<Vec<(KernelNumber, Told)>>,
    /// What kernels were told of who has subscribed: by whose number, which instances, and whether the host has.
    pub(super) subscribers: Mutex<Vec<Subscribed>>,
    /// Kernels that exist.
    pub(super) kernels: AtomicU32,
    /// Looks at the rings that have ended.
    pub(super) rounds: AtomicU64,
}

impl Knobs {
    /// Turns `hold` or `hang`, and waits until a look that began before has ended: it may still take something. For one kernel, or none yet.
    pub(super) fn turn(&self, knob: &AtomicBool) {
        knob.store(true, SeqCst);
        let before = self.rounds.load(SeqCst);
        let none = || self.kernels.load(SeqCst) == 0;
        super::eventually("the device took note", || none() || self.rounds.load(SeqCst) >= before + 2);
    }
}

/// By whose number, which instances of which kernels, and whether the host.
pub(super) type Subscribed = (KernelNumber, Vec<(Option<Hop>, u32)>, bool);

/// What a kernel was told of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Where a route leads, or that it leads nowhere.
    Route(usize, Option<Hop>),
    /// Where another kernel is, or that it is gone.
    Peer(KernelNumber, Option<Hop>),
}

/// A target, without what it borrows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hop {
    Kernel(KernelNumber),
    Host(KernelNumber),
}

pub(super) struct FakeDevice(pub(super) Arc<Knobs>);

/// A runtime on a fake device.
pub(super) fn runtime(knobs: Knobs) -> (RingKernel, Arc<Knobs>) {
    let knobs = Arc::new(knobs);
    let report = BackendReport { chosen: Some((Backend::Cpu, "a fake".into())), passed_over: Vec::new() };
    let catalogue = vec![Account::DESCRIPTOR, Bare::DESCRIPTOR, Clerk::DESCRIPTOR];
    let settings = Settings { deadline: Duration::from_millis(300), bridge: knobs.bridge };
    (RingKernel::on(Arc::new(FakeDevice(knobs.clone())), report, catalogue, settings), knobs)
}

/// Which devices the same promises are tested on.
pub(super) fn polled() -> (RingKernel, Arc<Knobs>) {
    runtime(Knobs { polled: true, ..Knobs::default() })
}

pub(super) struct State {
    pub(super) number: KernelNumber,
    pub(super) descriptor: &'static KernelDescriptor,
    pub(super) routes: Mutex<Vec<Route>>,
    /// What the host says it handed on.
    pub(super) relayed: AtomicU64,
    pub(super) knobs: Arc<Knobs>,
    ports: Vec<Port>,
    /// What other kernels sent, whole slots' worth.
    pub(super) mailbox: Mutex<VecDeque<(Header, Vec<u8>)>>,
    active: AtomicBool,
    stop: AtomicBool,
    processed: AtomicU64,
    beat: AtomicU64,
    body: Mutex<Vec<(Box<dyn NativeShard>, Consumer)>>,
    pub(super) shards: u32,
}

pub(super) struct FakeKernel {
    pub(super) state: Arc<State>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Device for FakeDevice {
    fn name(&self) -> String {
        "a fake".into()
    }

    fn launch(&self, spec: LaunchSpec) -> Result<Arc<dyn Kernel>, DeviceError> {
        if let Some(error) = self.0.refuse.lock().unwrap().clone() {
            return Err(error);
        }
        assert_eq!(spec.idle, IdlePolicy::default());
        *self.0.mesh.lock().unwrap() = Some(spec.mesh);
        let shards = spec.tuning.shards.unwrap_or(2).min(spec.instances);
        let start = spec.tuning.first_position;
        let ring = |bytes: u32| {
            let shape = SlotShape::for_payload(bytes as usize).unwrap();
            Ring::new(RawMemory::heap(spec.queue_capacity, shape), spec.queue_capacity, shape, start)
        };
        let d = spec.descriptor;
        let ports: Vec<Port> = (0..shards)
            .map(|_| Port { requests: ring(d.message_size()), replies: ring(d.reply_payload_size()) })
            .collect();
        let body = (0..shards).map(|first| {
            let count = (spec.instances - first).div_ceil(shards);
            let native =
                (d.native)(NativeShardSpec { first, stride: shards, count, initial: &spec.initial })?;
            Ok((native, ports[first as usize].requests.consumer()))
        });
        let body = body.collect::<Result<Vec<_>, DeviceError>>()?;
        let state = Arc::new(State {
            number: spec.mesh.number,
            descriptor: d,
            routes: Mutex::new(d.mesh.routes.iter().map(|_| Route::Nobody).collect()),
            relayed: AtomicU64::new(0),
            mailbox: Mutex::default(),
            knobs: self.0.clone(),
            ports,
            active: AtomicBool::new(spec.active),
            stop: AtomicBool::new(false),
            processed: AtomicU64::new(0),
            beat: AtomicU64::new(0),
            body: Mutex::new(body),
            shards,
        });
        self.0.kernels.fetch_add(1, SeqCst);
        let (run, progress, polled) = (state.clone(), spec.progress, self.0.polled);
        let thread = thread::spawn(move || {
            while !run.stop.load(SeqCst) {
                let moved = run.round();
                run.knobs.rounds.fetch_add(1, SeqCst);
                if moved {
                    if !polled {
                        progress.progress();
                    }
                } else {
                    thread::sleep(Duration::from_micros(50));
                    if !polled && run.knobs.lost.lock().unwrap().is_some() {
                        progress.progress();
                    }
                }
            }
        });
        Ok(Arc::new(FakeKernel { state, thread: Mutex::new(Some(thread)) }))
    }
}

impl State {
    /// Handles a few messages. Says whether there were any.
    fn round(&self) -> bool {
        if self.knobs.hang.load(SeqCst) {
            return false;
        }
        self.beat.fetch_add(1, SeqCst);
        let mut body = self.body.lock().unwrap();
        let open = self.active.load(SeqCst)
            && !self.knobs.hold.load(SeqCst)
            && self.knobs.lost.lock().unwrap().is_none();
        if !open {
            return false;
        }
        let mut moved = false;
        for (shard, (port, (native, consumer))) in self.ports.iter().zip(body.iter_mut()).enumerate() {
            let mut words = [0u32; 64];
            // Room for a reply first: a request is taken only if it can be answered.
            while port.replies.len() < port.replies.capacity() {
                let (header, payload) = match self.next_in_mailbox(shard) {
                    Some(message) => message,
                    None => match consumer.pop(&port.requests, &mut words) {
                        Some(header) => {
                            let words = words[..header.words as usize].iter();
                            (header, words.flat_map(|w| w.to_le_bytes()).collect())
                        }
                        None => break,
                    },
                };
                moved = true;
                self.handle(native, port, header, &payload);
                consumer.publish(&port.requests);
            }
        }
        moved
    }

    fn next_in_mailbox(&self, shard: usize) -> Option<(Header, Vec<u8>)> {
        let mut mailbox = self.mailbox.lock().unwrap();
        let mine = |(header, _): &(Header, _)| header.instance as usize % self.ports.len() == shard;
        let at = mailbox.iter().position(mine)?;
        mailbox.remove(at)
    }

    fn handle(&self, native: &mut Box<dyn NativeShard>, port: &Port, header: Header, payload: &[u8]) {
        let local = header.instance / self.shards;
        let mut reply = [0u8; 256];
        let mut outbox = FakeOutbox { state: self, port, header, forwarded: false };
        let outcome = native.handle(local, header.instance, header.tag, payload, &mut reply, &mut outbox);
        self.processed.fetch_add(1, SeqCst);
        if !header.correlation.is_some() || outbox.forwarded {
            return;
        }
        let (mut tag, bytes) = match outcome {
            Outcome::Reply { tag, bytes } => (tag, bytes as usize),
            Outcome::Fault { kind, site } => {
                reply[..4].copy_from_slice(&(kind as u32).to_le_bytes());
                reply[4..8].copy_from_slice(&site.to_word().to_le_bytes());
                (tag::FAULT, 8)
            }
        };
        let lie = self.knobs.lie.load(SeqCst);
        if lie != 0 {
            tag = lie;
        }
        port.replies.try_push(Header { tag, ..header }, &reply[..bytes]).expect("room was checked");
        self.knobs.answered.fetch_add(1, SeqCst);
    }
}

impl Kernel for FakeKernel {
    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
    fn ports(&self) -> &[Port] {
        &self.state.ports
    }
    fn doorbell(&self, shard: usize) {
        assert!(shard < self.state.ports.len());
        let ring = &self.state.ports[shard].requests;
        // Sound only with one sender: between a push and its ring nobody else pushes.
        self.state.knobs.rung.lock().unwrap().push((shard, ring.pushed()));
    }
    fn must_be_polled(&self) -> bool {
        self.state.knobs.polled
    }
    fn set_active(&self, active: bool) -> Result<(), DeviceError> {
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let _body = self.state.body.lock().unwrap();
        self.state.active.store(active, SeqCst);
        if self.state.knobs.mute.load(SeqCst) {
            return Err(DeviceError::Deadline { what: "an acknowledgement", deadline: Duration::ZERO });
        }
        Ok(())
    }
    fn control(&self) -> ControlSnapshot {
        ControlSnapshot { messages_processed: self.state.processed.load(SeqCst), ..Default::default() }
    }
    fn telemetry(&self) -> TelemetrySnapshot {
        TelemetrySnapshot::default()
    }
    fn terminate(&self, deadline: Duration) -> Result<(), DeviceError> {
        if self.state.knobs.stuck.load(SeqCst) {
            thread::sleep(deadline);
            return Err(DeviceError::Deadline { what: "terminating", deadline });
        }
        self.state.stop.store(true, SeqCst);
        self.state.active.store(false, SeqCst);
        if let Some(thread) = self.thread.lock().unwrap().take() {
            thread.join().unwrap();
        }
        Ok(())
    }
    fn read_states(&self, first: u32, count: u32, out: &mut [u8]) -> Result<(), DeviceError> {
        assert!(!self.state.active.load(SeqCst), "state is read of inactive kernels only");
        let shards = self.state.shards;
        let body = self.state.body.lock().unwrap();
        let size = out.len() / count as usize;
        for (instance, out) in (first..first + count).zip(out.chunks_exact_mut(size)) {
            body[(instance % shards) as usize].0.read_state(instance / shards, out);
        }
        Ok(())
    }
    fn write_states(&self, first: u32, count: u32, states: &[u8]) -> Result<(), DeviceError> {
        assert!(!self.state.active.load(SeqCst), "state is written to inactive kernels only");
        let shards = self.state.shards;
        let mut body = self.state.body.lock().unwrap();
        let size = states.len() / count as usize;
        for (instance, state) in (first..first + count).zip(states.chunks_exact(size)) {
            body[(instance % shards) as usize].0.write_state(instance / shards, state)?;
        }
        Ok(())
    }
    fn heartbeat(&self, shard: usize) -> u64 {
        // A device that polls is alive while it idles; for one that is told, only what it finished shows.
        let idle = if self.must_be_polled() { self.state.beat.load(SeqCst) } else { 0 };
        idle + self.state.ports[shard].requests.consumed()
    }
    fn connect(&self, route: usize, target: Target<'_>) -> Result<(), DeviceError> {
        let (hop, route_to) = self.state.hop(target)?;
        self.state.routes.lock().unwrap()[route] = route_to;
        self.state.knobs.told.lock().unwrap().push((self.state.number, Told::Route(route, hop)));
        Ok(())
    }
    fn set_peer(&self, number: KernelNumber, target: Target<'_>) -> Result<(), DeviceError> {
        let (hop, _) = self.state.hop(target)?;
        self.state.knobs.told.lock().unwrap().push((self.state.number, Told::Peer(number, hop)));
        Ok(())
    }
    /// It notes them. What handlers publish goes to the host all the same.
    fn set_subscribers(
        &self,
        topic: usize,
        subscribers: &[Subscriber],
        host: bool,
    ) -> Result<(), DeviceError> {
        self.state.hop(Target::Nobody)?;
        let far = self.state.knobs.far.load(SeqCst);
        let hop = |to: &Subscriber| match self.state.hop(Target::Kernel(&to.kernel))?.0 {
            Some(Hop::Kernel(number)) if far == u32::from(number) => {
                Err(DeviceError::NotConnected { reason: "far away in a test" })
            }
            hop => Ok((hop, to.instance)),
        };
        let hops = subscribers.iter().map(hop).collect::<Result<Vec<_>, DeviceError>>()?;
        assert_eq!(topic, 0, "no test has more topics");
        self.state.knobs.subscribers.lock().unwrap().push((self.state.number, hops, host));
        Ok(())
    }
    fn relay(&self, header: Header, payload: &[u8]) -> Sent {
        if !self.state.knobs.by_ring.load(SeqCst) {
            return self.state.take_in(header, payload);
        }
        let ports = &self.state.ports;
        let ring = &ports[header.instance as usize % ports.len()].requests;
        ring.try_push(header, payload).map_or(Sent::Full, |()| Sent::Ok)
    }
    fn relayed(&self, shard: usize, _: KernelNumber) {
        assert!(shard < self.state.ports.len());
        self.state.relayed.fetch_add(1, SeqCst);
    }
    fn unanswered(&self) -> Vec<Correlation> {
        let mailbox = self.state.mailbox.lock().unwrap();
        let all = mailbox.iter().map(|(header, _)| header.correlation);
        all.filter(|correlation| matches!(correlation.origin(), Origin::Forwarded { .. })).collect()
    }
    fn mailbox(&self) -> MailboxSnapshot {
        let waiting = self.state.mailbox.lock().unwrap().len() as u64;
        MailboxSnapshot { waiting, ..Default::default() }
    }
    fn failure(&self) -> Option<DeviceError> {
        self.state.knobs.lost.lock().unwrap().clone()
    }
}

impl Drop for FakeKernel {
    fn drop(&mut self) {
        self.state.stop.store(true, SeqCst);
        self.state.knobs.kernels.fetch_sub(1, SeqCst);
    }
}
