//! A submission of all members that may run.

use super::super::kernel::{Core, Engine, LONG, SHORT, Step};
use super::super::payloads::Uploads;
use super::super::submission::{self, Look, Part};
use super::{Member, Mesh};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most rounds of a submission.
const MOST_ROUNDS: usize = 64;

impl Core {
    /// Pushes replies, then hands in what waits, and has all members that may run look at their mailboxes; also says whether replies or
    /// request slots moved.
    pub(in crate::wgpu) fn step_with_others(&self) -> (Step, bool) {
        let mesh = &mut *self.gpu.mesh.after_others();
        mesh.sweep();
        let engine = &mut *self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let moved = match self.begin(engine) {
            Ok(moved) => moved,
            Err(end) => return end,
        };
        let Some(me) = mesh.index(self) else { return (Step::More, moved) };
        let start = Instant::now();
        let mut uploads = Uploads::default();
        if self.take(engine, &mut uploads) == 0 && !mesh.members[me].waits() {
            return (Step::Idle, moved);
        }
        let cores: Vec<_> = mesh.members.iter().map(|member| member.core.upgrade()).collect();
        let mut others: Vec<_> = cores
            .iter()
            .enumerate()
            .filter(|&(index, _)| index != me)
            .filter_map(|(index, core)| Some((index, core.as_ref()?)))
            .filter(|(index, core)| mesh.members[*index].mailbox.is_some() && core.may_run())
            .filter_map(|(index, core)| Some((index, core, core.ready()?)))
            .collect();

        let submitted = self.gpu.guarded(|| {
            uploads.write(&self.gpu, self.payloads.as_ref());
            mesh.submit(self, me, engine, &mut others)
        });
        // Before the replies can be seen.
        drop(uploads);
        if submitted.is_err() {
            return (Step::End, true);
        }
        let took = start.elapsed();
        self.finish(engine, took);
        for (_, core, engine) in &mut others {
            if engine.finish_for(core, took) {
                core.moved.store(true, Ordering::Relaxed);
                core.ring();
            }
        }
        let taken = |index| index == me || others.iter().any(|(other, ..)| *other == index);
        let mut is_pending = false;
        for (index, member) in mesh.members.iter_mut().enumerate() {
            let Some(mailbox) = &member.mailbox else { continue };
            member.is_pending = mailbox.ready() > 0;
            is_pending |= member.is_pending && taken(index);
            if index != me
                && member.waits()
                && let Some(core) = cores[index].as_ref().filter(|core| core.may_run())
            {
                core.ring();
            }
        }
        mesh.more_rounds = match is_pending {
            true if took < SHORT => (2 * mesh.more_rounds + 1).min(MOST_ROUNDS - 1),
            true if took < LONG => mesh.more_rounds,
            _ => mesh.more_rounds / 2,
        };
        (Step::More, true)
    }

    /// Whether its handlers may run.
    fn may_run(&self) -> bool {
        // Relaxed, both: who must know takes the engine's lock after it switched.
        self.control.is_active.load(Ordering::Relaxed) != 0
            && self.control.should_terminate.load(Ordering::Relaxed) == 0
    }

    /// The engine of another kernel, if that may run and its replies are out.
    fn ready(&self) -> Option<MutexGuard<'_, Engine>> {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at again: this is the lock that a deactivation takes.
        (self.may_run() && self.push_replies(&mut engine)).then_some(engine)
    }
}

impl Engine {
    /// After a submission that this kernel took part in on another's behalf; whether the host is to be told of it.
    fn finish_for(&mut self, core: &Core, took: Duration) -> bool {
        let before = self.sent;
        core.finish(self, took);
        self.sent > before
    }
}

impl Mesh {
    fn submit(
        &mut self,
        core: &Core,
        me: usize,
        engine: &mut Engine,
        others: &mut [(usize, &Arc<Core>, MutexGuard<'_, Engine>)],
    ) -> Result<(), crate::kernel::DeviceError> {
        let Self { exchange, members, readback, more_rounds } = self;
        let Some(exchange) = exchange else { return Ok(()) };
        let gpu = &core.gpu;
        let exchange = exchange.buffer();
        for member in members.iter_mut() {
            // Room outside is what messages of another device wait for.
            if let Some(mailbox) = &mut member.mailbox
                && mailbox.let_in(gpu, exchange) > 0
                && let Some(core) = member.core.upgrade()
            {
                // Relaxed: the ring releases it.
                core.moved.store(true, Ordering::Relaxed);
                core.ring();
            }
        }
        let refresh = |member: &mut Member, core: &Core, engine: &Engine| {
            if std::mem::take(&mut member.is_stale) {
                gpu.queue.write_buffer(&engine.table, 0, bytemuck::cast_slice(&member.table(&core.plan)));
            }
        };
        refresh(&mut members[me], core, engine);
        for (index, core, engine) in others.iter() {
            refresh(&mut members[*index], core, engine);
        }
        let words = members.iter().flat_map(|member| member.look()).collect();
        let has_part = |index| index == me || others.iter().any(|(other, ..)| *other == index);
        let prepare = members
            .iter()
            .enumerate()
            .filter(|&(index, _)| !has_part(index))
            .filter_map(|(_, member)| Some((&member.mailbox.as_ref()?.prepare, member.bindings.as_ref()?)))
            .collect();
        let look = Look { prepare, exchange, words };
        let mut parts = Vec::with_capacity(1 + others.len());
        let mailbox = members[me].mailbox.is_some();
        parts.push(Part { core, engine, mailbox, requests: true });
        parts.extend(others.iter_mut().map(|(_, core, engine)| Part {
            core,
            engine,
            mailbox: true,
            requests: false,
        }));
        let mut words = submission::run(gpu, &mut parts, 1 + *more_rounds, readback, Some(&look))?;
        members.iter_mut().for_each(|member| member.learn(&mut words));
        Ok(())
    }
}
