//! A kernel on WebGPU: what it consists of, and the thread that turns waiting messages into dispatches.

use super::batch::{Batch, Moment, Plan, Reply};
use super::gpu::{Gpu, Watcher};
use super::payloads::{Payloads, Uploads};
use super::program::{CONTROL_WORDS, COUNTER_WORDS, Program};
use super::submission::{self, Part, Readback, Varying};
use crate::abi::{Consumer, ControlBlock, Correlation, TelemetryBuffer, control, telemetry};
use crate::host::lock_by;
use crate::kernel::{DeviceError, IdlePolicy, KernelDescriptor, Port, Progress};
use crate::mesh::MeshSpec;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// A full dispatch shorter than this lets the next one be larger, and one longer than `LONG` makes it smaller.
pub(super) const SHORT: Duration = Duration::from_millis(5);
pub(super) const LONG: Duration = Duration::from_millis(50);
/// How long a full reply ring is left alone before the next try.
const RETRY: Duration = Duration::from_micros(100);

/// What the dispatcher and the kernel's handle share.
pub(super) struct Core {
    pub(super) gpu: Arc<Gpu>,
    pub(super) descriptor: &'static KernelDescriptor,
    pub(super) instances: u32,
    /// Bytes from one instance's state to the next.
    pub(super) stride: u64,
    pub(super) idle: IdlePolicy,
    pub(super) progress: Arc<dyn Progress>,
    pub(super) port: [Port; 1],
    pub(super) plan: Plan,
    /// If its actor takes messages that no slot carries.
    pub(super) payloads: Option<Payloads>,
    pub(super) mesh: MeshSpec,
    /// Whether other kernels reach it, or it them. Changed under the mesh's lock and the engine's; whoever has the engine's sees what holds.
    pub(super) is_member: AtomicBool,
    /// Who waits for answers to what lay in its mailbox when it ended.
    pub(super) unanswered: Mutex<Vec<Correlation>>,
    pub(super) control: ControlBlock,
    pub(super) telemetry: TelemetryBuffer,
    pub(super) epoch: Instant,
    /// Whether somebody else moved something that the host is to be told of; a ring follows.
    pub(super) moved: AtomicBool,
    /// The doorbell.
    pub(super) rung: AtomicBool,
    /// The dispatcher, to be unparked.
    pub(super) thread: OnceLock<Thread>,
    /// Held during a dispatch, and by whoever must know that there is none. Who needs the mesh's lock too takes that one first.
    pub(super) engine: Mutex<Engine>,
}

/// What a dispatch works on.
pub(super) struct Engine {
    pub(super) program: Arc<Program>,
    pub(super) bindings: wgpu::BindGroup,
    pub(super) state: wgpu::Buffer,
    pub(super) inbox: wgpu::Buffer,
    pub(super) outbox: wgpu::Buffer,
    /// The members' exchange, or one of its own with a box for the host.
    pub(super) exchange: wgpu::Buffer,
    /// Where in it that box is, in words.
    pub(super) host_box: u32,
    pub(super) table: wgpu::Buffer,
    pub(super) readback: [Readback; 2],
    pub(super) requests: Consumer,
    pub(super) batch: Batch,
    /// For [`Consumer::pop`].
    pub(super) payload: Vec<u32>,
    /// Replies of the last dispatch, their payloads, and how many have been pushed.
    pub(super) replies: Vec<Reply>,
    pub(super) reply_payloads: Vec<u32>,
    pub(super) sent: usize,
    /// What came back; of what there is beside replies to requests, the words.
    pub(super) counters: [u32; COUNTER_WORDS],
    pub(super) slots: [Vec<u32>; 2],
    /// The most messages of a dispatch that have been found to take a decent time.
    pub(super) limit: usize,
    /// Replies to mail, and what handlers sent to the host.
    pub(super) mailed: Varying,
    pub(super) exported: Varying,
    /// No timestamp beyond this has been given.
    pub(super) last: u64,
    /// The last submission's.
    pub(super) mark: u32,
}

/// What the dispatcher is to do after a step.
pub(super) enum Step {
    /// Another step.
    More,
    /// Wait for the doorbell.
    Idle,
    /// Wait for room in the reply ring.
    Blocked,
    /// Nothing ever again.
    End,
}

impl Core {
    pub(super) fn ring(&self) {
        // Release pairs with the acquire swap in `run`: the dispatcher that takes this ring sees what came before it. Only
        // the first ring since then has to wake it; unparking a thread that is awake makes its next `park` return at once.
        if !self.rung.swap(true, Ordering::Release)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// The dispatcher.
    pub(super) fn run(self: Arc<Self>) {
        loop {
            // Acquire pairs with the release swap in `ring`. A ring after this one sets the flag again, and unparks.
            if !self.rung.swap(false, Ordering::Acquire) {
                self.wait();
                continue;
            }
            loop {
                // Relaxed: looked at again once the engine's lock is held.
                let (step, moved) = if self.is_member.load(Ordering::Relaxed) {
                    self.step_with_others()
                } else {
                    self.step_alone()
                };
                // Without the lock, for the host may do anything here, even terminate the kernel. A panic of its is not ours.
                if moved {
                    let _ = catch_unwind(AssertUnwindSafe(|| self.progress.progress()));
                }
                match step {
                    Step::More => {}
                    Step::Idle => break,
                    Step::Blocked => thread::sleep(RETRY),
                    Step::End => {
                        let gpu = self.gpu.clone();
                        drop(self);
                        // Gives back what the kernel had, if this was its last user.
                        let _ = gpu.guarded(|| Ok(gpu.device.poll(wgpu::PollType::Poll).is_ok()));
                        return;
                    }
                }
            }
        }
    }

    /// Until the doorbell rings.
    fn wait(&self) {
        let budget = match self.idle {
            IdlePolicy::Spin => Duration::from_micros(200),
            IdlePolicy::Backoff => Duration::from_micros(10),
        };
        let start = Instant::now();
        while start.elapsed() < budget {
            // Relaxed: the caller's swap acquires.
            if self.rung.load(Ordering::Relaxed) {
                return;
            }
            std::hint::spin_loop();
        }
        thread::park();
    }

    /// Pushes replies, then dispatches what waits; also says whether replies or request slots moved.
    fn step_alone(&self) -> (Step, bool) {
        let engine = &mut *self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_member.load(Ordering::Relaxed) {
            return (Step::More, false);
        }
        let moved = match self.begin(engine) {
            Ok(moved) => moved,
            Err(end) => return end,
        };
        let start = Instant::now();
        let mut uploads = Uploads::default();
        if self.take(engine, &mut uploads) == 0 {
            return (Step::Idle, moved);
        }
        let mut readback = std::mem::take(&mut engine.readback);
        let part = Part { core: self, engine: &mut *engine, mailbox: false, requests: true };
        let run = || {
            uploads.write(&self.gpu, self.payloads.as_ref());
            submission::run(&self.gpu, &mut [part], 0, &mut readback, None).map(drop)
        };
        let answered = self.gpu.guarded(run);
        // Before the replies can be seen: who waits for one may send the next payload then.
        drop(uploads);
        engine.readback = readback;
        if answered.is_err() {
            return (Step::End, true);
        }
        self.finish(engine, start.elapsed());
        (Step::More, true)
    }

    /// Pushes replies; whether a dispatch may follow, and else what does.
    pub(super) fn begin(&self, engine: &mut Engine) -> Result<bool, (Step, bool)> {
        if self.gpu.health.failure().is_some() {
            return Err((Step::End, true));
        }
        let before = engine.sent;
        let pushed = self.push_replies(engine);
        // Relaxed: the ring that follows the store releases it.
        let moved = self.moved.swap(false, Ordering::Relaxed) || engine.sent > before || !pushed;
        // Relaxed, both flags: a caller that must know takes the engine's lock after it switched.
        if self.control.should_terminate.load(Ordering::Relaxed) != 0 {
            self.control.has_terminated.store(1, Ordering::Relaxed);
            return Err((Step::End, moved));
        }
        if !pushed {
            return Err((Step::Blocked, true));
        }
        if self.control.is_active.load(Ordering::Relaxed) == 0 {
            return Err((Step::Idle, moved));
        }
        Ok(moved)
    }

    /// Takes requests into the batch, with the payloads that they refer to; how many.
    pub(super) fn take<'a>(&'a self, engine: &mut Engine, uploads: &mut Uploads<'a>) -> usize {
        let port = &self.port[0];
        let depth = i32::try_from(port.requests.len()).unwrap_or(i32::MAX);
        let Engine { batch, requests, payload, limit, .. } = engine;
        let count = batch.take(&self.plan, requests, &port.requests, *limit, payload, |header, words| {
            if let Some(payloads) = &self.payloads {
                uploads.follow(payloads, self.descriptor, header, words);
            }
        });
        if count > 0 {
            self.telemetry.queue_depth.store(depth, Ordering::Relaxed);
            // The slots have been copied: senders need not wait for the dispatch.
            requests.publish(&port.requests);
        }
        count
    }

    /// After a submission that took so long: sets the next batch's size, shows the counters, pushes replies.
    pub(super) fn finish(&self, engine: &mut Engine, took: Duration) {
        let count = engine.batch.len();
        if took > LONG {
            engine.limit = (engine.limit / 2).max(1);
        } else if took < SHORT && count == engine.limit {
            engine.limit = (engine.limit * 2).min(self.plan.messages);
        }
        self.count(engine, took);
        self.push_replies(engine);
    }

    /// The clock's base for the next submission.
    pub(super) fn moment(&self, engine: &Engine) -> Moment {
        Moment::now(engine.last)
    }

    /// Shows the device's counters, and the host's clock around the dispatch.
    fn count(&self, engine: &Engine, took: Duration) {
        let counters = &engine.counters;
        let wide = |word: usize| counters[word] as u64 | (counters[word + 1] as u64) << 32;
        let (control, telemetry) = (&self.control, &self.telemetry);
        let now = self.epoch.elapsed().as_nanos() as i64;
        let service = took.as_nanos() as u64;
        let processed = wide(control::MESSAGES_PROCESSED / 4);
        let handled = processed.wrapping_sub(control.messages_processed.load(Ordering::Relaxed) as u64);
        if handled == 0 {
            return;
        }
        // Relaxed, and load + store: who has the engine's lock is the only writer. An asker sees the counts because the reply it waits
        // for is pushed after them, with release.
        control.errors_encountered.store(counters[control::ERRORS_ENCOUNTERED / 4] as i32, Ordering::Relaxed);
        control.messages_processed.store(processed as i64, Ordering::Relaxed);
        control.last_activity_ticks.store(now, Ordering::Relaxed);
        let word = |offset: usize| CONTROL_WORDS + offset / 4;
        telemetry.messages_processed.store(wide(word(telemetry::PROCESSED)), Ordering::Relaxed);
        telemetry.messages_dropped.store(wide(word(telemetry::DROPPED)), Ordering::Relaxed);
        telemetry.error_code.store(counters[word(telemetry::ERROR_CODE)] as i32, Ordering::Relaxed);
        telemetry.last_processed_timestamp.store(now, Ordering::Relaxed);
        let total = telemetry.total_latency_nanos.load(Ordering::Relaxed);
        let total = total.saturating_add(service.saturating_mul(handled));
        telemetry.total_latency_nanos.store(total, Ordering::Relaxed);
        let most = telemetry.max_latency_nanos.load(Ordering::Relaxed);
        telemetry.max_latency_nanos.store(most.max(service), Ordering::Relaxed);
        let least = telemetry.min_latency_nanos.load(Ordering::Relaxed);
        telemetry.min_latency_nanos.store(least.min(service), Ordering::Relaxed);
    }

    /// Pushes what the reply ring has room for; whether that was everything.
    pub(super) fn push_replies(&self, engine: &mut Engine) -> bool {
        while let Some(reply) = engine.replies.get(engine.sent) {
            let payload = bytemuck::cast_slice(&engine.reply_payloads[reply.payload.clone()]);
            if self.port[0].replies.try_push(reply.header, payload).is_err() {
                return false;
            }
            engine.sent += 1;
        }
        true
    }

    /// The engine while no dispatch runs.
    pub(super) fn quiet(&self, patience: Duration) -> Result<MutexGuard<'_, Engine>, DeviceError> {
        let late = DeviceError::Deadline { what: "the end of the running dispatch", deadline: patience };
        lock_by(&self.engine, Instant::now() + patience).ok_or(late)
    }
}

impl Watcher for Core {
    fn lost(&self) {
        self.ring();
    }
}
