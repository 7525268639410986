//! A conformance suite: one actor, what its handlers are asked, and how a device's answers are checked.
//!
//! A suite is written once and stamped over the backends. A run launches the actor once, with several instances, sends every edge
//! value and the random messages in one fixed shuffled order (some of them as `tell`), in waves that fill the device's batches,
//! and compares each reply with the native one, then each instance's state, then the device's counters.

use crate::compare::{self, Answer, Fault, Lane};
use crate::inputs::Inputs;
use crate::machine::{Stop, backend_name, env_or};
use crate::oracle;
use crate::wgsl::Bound;
use proptest::arbitrary::any;
use proptest::strategy::{Just, Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use ringkernel::__private::{Actor, ActorRef, Handles, KernelDescriptor, launch};
use ringkernel::message::RingMessage;
use ringkernel::{Backend, DeviceError, LaunchOptions, RingKernel, RingKernelError};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

/// How long a device may take to answer: the first answer waits for the driver to compile the kernel.
const PATIENCE: Duration = Duration::from_secs(120);
/// Requests in flight at once.
const WAVE: usize = 256;

type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// One message, with its type erased.
trait Ask<A: Actor>: fmt::Debug {
    fn native(&self, actor: &mut A, instance: u32) -> Answer;
    /// The other native answers that WGSL allows: with subnormal operands replaced by zero, and by another formula.
    fn native_on_wgsl(&self, actor: &mut A, instance: u32) -> Vec<Answer>;
    fn ask<'a>(&'a self, to: &'a ActorRef<A>, actor: &'a str) -> Pending<'a, Answer>;
    fn tell<'a>(&'a self, to: &'a ActorRef<A>) -> Pending<'a, Result<(), RingKernelError>>;
}

struct Message<M, R> {
    message: M,
    /// Byte offsets of the message's `f32`s.
    floats: &'static [usize],
    /// What WGSL allows the handler to answer instead.
    formula: Option<fn(&M) -> R>,
}

impl<M: fmt::Debug, R> fmt::Debug for Message<M, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.fmt(f)
    }
}

impl<A, M, R> Ask<A> for Message<M, R>
where
    A: Actor + Handles<M, Reply = R>,
    M: RingMessage + Clone + fmt::Debug,
    R: RingMessage + fmt::Debug,
{
    fn native(&self, actor: &mut A, instance: u32) -> Answer {
        oracle::answer::<A, M, R>(actor, instance, &self.message)
    }

    fn native_on_wgsl(&self, actor: &mut A, instance: u32) -> Vec<Answer> {
        let mut bytes = vec![0; M::SIZE as usize];
        self.message.encode(&mut bytes);
        let mut flushes = false;
        for at in self.floats.iter().copied() {
            let Some(word) = bytes[at..].first_chunk_mut::<4>() else { continue };
            let value = f32::from_le_bytes(*word);
            if value.is_subnormal() {
                *word = 0f32.copysign(value).to_le_bytes();
                flushes = true;
            }
        }
        let flushed = flushes.then(|| M::decode(&bytes).ok()).flatten();
        let mut answers = Vec::new();
        for message in [Some(&self.message), flushed.as_ref()].into_iter().flatten() {
            answers.push(oracle::answer::<A, M, R>(actor, instance, message));
            answers.extend(self.formula.map(|formula| {
                let mut bytes = vec![0; R::SIZE as usize];
                formula(message).encode(&mut bytes);
                oracle::reply_answer::<R>(bytes)
            }));
        }
        answers
    }

    fn ask<'a>(&'a self, to: &'a ActorRef<A>, actor: &'a str) -> Pending<'a, Answer> {
        Box::pin(async move {
            match to.ask_timeout(self.message.clone(), PATIENCE).await {
                Ok(reply) => {
                    let mut bytes = vec![0; R::SIZE as usize];
                    reply.encode(&mut bytes);
                    Answer::Reply { bytes, text: format!("{reply:?}") }
                }
                Err(RingKernelError::HandlerFault(fault)) if fault.actor == actor => Answer::Fault(Fault {
                    kind: fault.kind,
                    file: fault.file.to_string(),
                    line: fault.line,
                    column: fault.column,
                    message: fault.message.to_string(),
                }),
                Err(error) => Answer::Error(error.to_string()),
            }
        })
    }

    fn tell<'a>(&'a self, to: &'a ActorRef<A>) -> Pending<'a, Result<(), RingKernelError>> {
        Box::pin(to.tell(self.message.clone()))
    }
}

/// Makes a handler's messages: the edges, and as many random ones as told.
type MakeAsks<A> = dyn Fn(&mut TestRunner, u64) -> Vec<Box<dyn Ask<A>>>;

/// What one handler is asked, and how exact its floats are.
struct Case<A: Actor> {
    handler: &'static str,
    make: Box<MakeAsks<A>>,
    floats: Vec<(Lane, Bound)>,
}

/// A suite: an actor, its initial state, and what its handlers are asked.
pub struct Suite<A: Actor> {
    name: &'static str,
    initial: fn(u32) -> A,
    instances: u32,
    cases: Vec<Case<A>>,
    ieee: bool,
}

/// How a suite asks a handler, and how the reply's floats are compared.
pub struct Floats {
    /// Byte offsets of the message's `f32`s (for devices that flush subnormals).
    pub message: &'static [usize],
    /// The reply's floats.
    pub reply: Vec<(Lane, Bound)>,
}

impl Floats {
    /// A reply that is `f32`s only, with a bound each; the message's `f32`s are at these byte offsets.
    pub fn f32(message: &'static [usize], bounds: &[Bound]) -> Self {
        let reply = bounds.iter().enumerate().map(|(i, &bound)| (Lane::F32(i * 4), bound)).collect();
        Self { message, reply }
    }

    /// A reply that is `f64`s only, with a bound each.
    pub fn f64(bounds: &[Bound]) -> Self {
        let reply = bounds.iter().enumerate().map(|(i, &bound)| (Lane::F64(i * 8), bound)).collect();
        Self { message: &[], reply }
    }

    /// A reply with floats at certain places.
    pub fn at(message: &'static [usize], reply: &[(Lane, Bound)]) -> Self {
        Self { message, reply: reply.to_vec() }
    }
}

impl<A: Actor> Suite<A> {
    /// A suite over `instances` instances of an actor.
    pub fn new(name: &'static str, instances: u32, initial: fn(u32) -> A) -> Self {
        Self { name, initial, instances, cases: Vec::new(), ieee: false }
    }

    /// Asks for IEEE 754 to the bit: subnormals, NaNs, no contraction. WGSL promises none of them, so on a WebGPU adapter whose
    /// driver makes use of that, the suite is not run. lavapipe does not, nor do the CPU and CUDA.
    pub fn ieee(mut self) -> Self {
        self.ieee = true;
        self
    }

    /// Adds a handler whose message and reply hold no floats that are computed with.
    pub fn case<M>(self, handler: &'static str, inputs: Inputs<M>) -> Self
    where
        A: Handles<M>,
        A::Reply: fmt::Debug,
        M: RingMessage + Clone + fmt::Debug,
    {
        self.any_case(handler, inputs, Floats { message: &[], reply: Vec::new() }, None)
    }

    /// Adds a handler that computes with floats.
    pub fn float_case<M>(self, handler: &'static str, inputs: Inputs<M>, floats: Floats) -> Self
    where
        A: Handles<M>,
        A::Reply: fmt::Debug,
        M: RingMessage + Clone + fmt::Debug,
    {
        self.any_case(handler, inputs, floats, None)
    }

    /// Adds a handler that computes with floats, and that WebGPU may answer as `formula` says: where WGSL's accuracy of an
    /// operation is "inherited from" one.
    pub fn inherited_case<M>(
        self,
        handler: &'static str,
        inputs: Inputs<M>,
        floats: Floats,
        formula: fn(&M) -> A::Reply,
    ) -> Self
    where
        A: Handles<M>,
        A::Reply: fmt::Debug,
        M: RingMessage + Clone + fmt::Debug,
    {
        self.any_case(handler, inputs, floats, Some(formula))
    }

    fn any_case<M>(
        mut self,
        handler: &'static str,
        inputs: Inputs<M>,
        floats: Floats,
        formula: Option<fn(&M) -> A::Reply>,
    ) -> Self
    where
        A: Handles<M>,
        A::Reply: fmt::Debug,
        M: RingMessage + Clone + fmt::Debug,
    {
        let Floats { message: floats, reply } = floats;
        let make = move |runner: &mut TestRunner, count: u64| {
            let mut all: Vec<Box<dyn Ask<A>>> = Vec::new();
            for message in inputs.edges.iter().cloned() {
                all.push(Box::new(Message { message, floats, formula }));
            }
            for _ in 0..count {
                if let Ok(tree) = inputs.random.new_tree(runner) {
                    all.push(Box::new(Message { message: tree.current(), floats, formula }));
                }
            }
            all
        };
        self.cases.push(Case { handler, make: Box::new(make), floats: reply });
        self
    }
}

/// A suite, with its actor's type erased.
pub trait Conformance {
    /// Its name in test names.
    fn name(&self) -> &'static str;
    /// The actor's descriptor.
    fn descriptor(&self) -> &'static KernelDescriptor;
    /// Runs it on a backend.
    fn run(&self, runtime: &RingKernel) -> Result<(), Stop>;
}

/// A message with its place in the plan.
struct Planned<'a, A: Actor> {
    case: &'a Case<A>,
    message: Box<dyn Ask<A>>,
    instance: u32,
    tell: bool,
}

impl<A: Actor> Conformance for Suite<A> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn descriptor(&self) -> &'static KernelDescriptor {
        A::DESCRIPTOR
    }

    fn run(&self, runtime: &RingKernel) -> Result<(), Stop> {
        let asked: Vec<_> = self.cases.iter().map(|case| case.handler).collect();
        let there: Vec<_> = A::DESCRIPTOR.handlers.iter().map(|handler| handler.name).collect();
        if asked != there {
            return Err(format!("the suite asks {asked:?}, the actor handles {there:?}").into());
        }
        smol::block_on(self.run_async(runtime))
    }
}

impl<A: Actor> Suite<A> {
    async fn run_async(&self, runtime: &RingKernel) -> Result<(), Stop> {
        let on_wgsl = matches!(runtime.backend(), Backend::Wgpu | Backend::Metal);
        if self.ieee && on_wgsl && !runtime.device_name().contains("llvmpipe") {
            return Err(Stop::Missing {
                what: "ieee",
                why: format!(
                    "WGSL lets {} flush subnormals, assume no NaN, and contract",
                    runtime.device_name()
                ),
            });
        }
        let seed = env_or("RINGKERNEL_SEED", 20_260_101);
        let config =
            Config { rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
        let plan = self.plan(&mut TestRunner::new(config));

        let initial = self.initial;
        let options = LaunchOptions::default()
            .instances(self.instances)
            .queue_capacity(2 * WAVE as u32)
            .initial_state_with(initial);
        let kernel = launch::<A>(runtime, options).await.map_err(|error| match error {
            RingKernelError::Device { error: DeviceError::Unsupported { what, device, .. }, .. } => {
                Stop::Missing {
                    what: backend_name(runtime.backend()),
                    why: format!("{device} has no {what}"),
                }
            }
            error => Stop::Failed(format!("launch: {error}")),
        })?;
        let mut run = Run {
            on_wgsl,
            instances: (0..self.instances).map(|i| kernel.at(i)).collect::<Result<_, _>>().map_err(text)?,
            native: (0..self.instances).map(initial).collect(),
            lost: vec![false; self.instances as usize],
            sent: 0,
            faults: 0,
            failures: BTreeMap::new(),
        };
        for wave in plan.chunks(WAVE) {
            run.wave(wave).await?;
        }
        run.check_counters(&kernel).await?;
        run.check_states(&kernel).await?;
        kernel.terminate().await.map_err(text)?;
        run.verdict(seed)
    }

    /// Every message of the run, in order.
    fn plan(&self, runner: &mut TestRunner) -> Vec<Planned<'_, A>> {
        let cases = env_or("RINGKERNEL_CASES", 64);
        let mut plan = Vec::new();
        for case in &self.cases {
            for message in (case.make)(runner, cases) {
                let dice = draw(runner, any::<u32>());
                let instance = (dice >> 4) % self.instances;
                // Only where there is a state to see its effect in, is a `tell` a test.
                plan.push(Planned { case, message, instance, tell: dice.is_multiple_of(16) && A::SIZE > 0 });
            }
        }
        let order = draw(runner, Just((0..plan.len()).collect::<Vec<_>>()).prop_shuffle());
        let mut plan: Vec<_> = plan.into_iter().map(Some).collect();
        order.into_iter().filter_map(|i| plan[i].take()).collect()
    }
}

fn draw<S: Strategy>(runner: &mut TestRunner, strategy: S) -> S::Value {
    strategy
        .new_tree(runner)
        .map(|tree| tree.current())
        .expect("a strategy without a filter always has a value")
}

fn text(error: RingKernelError) -> String {
    error.to_string()
}

/// A run under way.
struct Run<A: Actor> {
    on_wgsl: bool,
    instances: Vec<ActorRef<A>>,
    native: Vec<A>,
    /// Instances whose state the device has and the oracle no longer knows, after a wrong answer.
    lost: Vec<bool>,
    sent: u64,
    faults: u64,
    /// By handler: how many wrong answers, and the first.
    failures: BTreeMap<&'static str, (usize, String)>,
}

impl<A: Actor> Run<A> {
    /// Sends a wave of messages at once, and checks the answers.
    async fn wave(&mut self, wave: &[Planned<'_, A>]) -> Result<(), Stop> {
        let mut pending: Vec<Pending<'_, Option<Answer>>> = Vec::new();
        for planned in wave {
            let to = &self.instances[planned.instance as usize];
            pending.push(if planned.tell {
                let sent = planned.message.tell(to);
                Box::pin(async { sent.await.err().map(|error| Answer::Error(error.to_string())) })
            } else {
                let asked = planned.message.ask(to, A::DESCRIPTOR.actor);
                Box::pin(async { Some(asked.await) })
            });
        }
        let answers = all(pending).await;
        for (planned, got) in wave.iter().zip(answers) {
            self.check(planned, got);
        }
        Ok(())
    }

    fn check(&mut self, planned: &Planned<'_, A>, got: Option<Answer>) {
        let i = planned.instance;
        let mut before = vec![0; A::SIZE as usize];
        self.native[i as usize].encode(&mut before);
        let expected = planned.message.native(&mut self.native[i as usize], i);
        self.sent += 1;
        self.faults += matches!(expected, Answer::Fault(_)) as u64;
        if self.lost[i as usize] || (planned.tell && got.is_none()) {
            return;
        }
        let got = got.unwrap_or_else(|| Answer::Error("no answer".into()));
        let same = |expected: &Answer| compare::same(expected, &got, &planned.case.floats, self.on_wgsl);
        let Err(why) = same(&expected) else {
            // A fault that WGSL is granted where the native handler answers is one that the device counts.
            self.faults += (matches!(got, Answer::Fault(_)) && !matches!(expected, Answer::Fault(_))) as u64;
            return;
        };
        if self.on_wgsl && A::SIZE == 0 {
            let allowed = planned.message.native_on_wgsl(&mut self.native[i as usize], i);
            if allowed.iter().any(|answer| same(answer).is_ok()) {
                return;
            }
        }
        // Where there is no state, a wrong answer does no harm to those after it.
        self.lost[i as usize] = A::SIZE > 0;
        let (count, _) = self.failures.entry(planned.case.handler).or_insert_with(|| {
            let first = format!(
                "{why}\n    message  {:?}\n    state    {before:02x?}\n    native   {expected:?}\n    device   {got:?}",
                planned.message
            );
            (0, first)
        });
        *count += 1;
    }

    /// The device has counted what it was sent.
    async fn check_counters(&mut self, kernel: &ActorRef<A>) -> Result<(), Stop> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let telemetry = kernel.telemetry().messages_processed;
            let (control, errors) =
                (kernel.control().messages_processed, kernel.control().errors_encountered);
            if (telemetry, control, errors) == (self.sent, self.sent, self.faults) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let counted = format!(
                    "{} messages sent, {} faults; telemetry counts {telemetry}, the control block {control} and {errors} errors",
                    self.sent, self.faults
                );
                self.failures.insert("(counters)", (1, counted));
                return Ok(());
            }
            smol::Timer::after(Duration::from_millis(2)).await;
        }
    }

    /// Each instance's state is what the native actor's is.
    async fn check_states(&mut self, kernel: &ActorRef<A>) -> Result<(), Stop> {
        kernel.deactivate().await.map_err(text)?;
        for (i, native) in self.native.iter().enumerate().filter(|(i, _)| !self.lost[*i]) {
            let snapshot = kernel.snapshot::<A>(i as u32).await.map_err(text)?;
            let (mut expected, mut got) = (vec![0; A::SIZE as usize], vec![0; A::SIZE as usize]);
            native.encode(&mut expected);
            snapshot.encode(&mut got);
            if expected != got {
                let states =
                    format!("of instance {i}\n    native   {expected:02x?}\n    device   {got:02x?}");
                self.failures.entry("(state)").or_insert((0, states)).0 += 1;
            }
        }
        Ok(())
    }

    fn verdict(self, seed: u64) -> Result<(), Stop> {
        if self.failures.is_empty() {
            return Ok(());
        }
        let mut report = format!("{} messages, RINGKERNEL_SEED={seed}", self.sent);
        for (handler, (count, first)) in self.failures {
            report += &format!("\n  {handler}: {count} wrong; the first: {first}");
        }
        Err(Stop::Failed(report))
    }
}

/// Drives futures together, starting them in order.
async fn all<T>(mut pending: Vec<Pending<'_, T>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = pending.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut left = false;
        for (slot, future) in done.iter_mut().zip(&mut pending) {
            if slot.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *slot = Some(value),
                    Poll::Pending => left = true,
                }
            }
        }
        if left { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    done.into_iter().flatten().collect()
}
