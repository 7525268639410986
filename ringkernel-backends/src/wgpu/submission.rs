//! A submission: what is recorded for the kernels that take part, and what comes back.
//!
//! First the requests of the kernel that has some, then so many rounds of passes over the mailboxes, each kernel's in turn, so that
//! what one sends another handles in the same submission. Everything that is to be known on the host comes back in one buffer: each
//! kernel's counters, its replies, what else it has for the host, and the words of the exchange that are asked for.

use super::batch::{self, Batch};
use super::gpu::Gpu;
use super::kernel::{Core, Engine};
use super::mesh;
use super::program::{CLOCK, COUNTER_WORDS, MAILED, REQUESTS_DONE, WORKGROUP};
use crate::kernel::DeviceError;
use std::ops::Range;
use wgpu::BufferUsages as Usage;

/// The most messages of a mailbox that a pass handles; `mailbox.wgsl` says the same.
pub(super) const MAILBOX_PASS: u32 = 1024;

/// A kernel's part in a submission. All its replies have been pushed.
pub(super) struct Part<'a> {
    pub(super) core: &'a Core,
    pub(super) engine: &'a mut Engine,
    /// Whether it has a mailbox.
    pub(super) mailbox: bool,
    /// Whether its batch is to be handled.
    pub(super) requests: bool,
}

/// Words of the exchange that are to come back, and what is to be done before.
pub(super) struct Look<'a> {
    /// Mailboxes of kernels without a part that are to be looked at: passes and what they work on.
    pub(super) prepare: Vec<(&'a wgpu::ComputePipeline, &'a wgpu::BindGroup)>,
    pub(super) exchange: &'a wgpu::Buffer,
    pub(super) words: Vec<Range<u32>>,
}

/// A buffer for what comes back, as large as was needed once.
#[derive(Default)]
pub(super) struct Readback {
    buffer: Option<wgpu::Buffer>,
    /// What came back, in words.
    pub(super) words: Vec<u32>,
}

impl Readback {
    /// Copies these ranges of buffers (in bytes) behind the other commands, submits all, and waits for them.
    pub(super) fn submit(
        &mut self,
        gpu: &Gpu,
        mut encoder: wgpu::CommandEncoder,
        copies: &[(&wgpu::Buffer, Range<u64>)],
    ) -> Result<(), DeviceError> {
        let bytes: u64 = copies.iter().map(|(_, range)| range.end - range.start).sum();
        if self.buffer.as_ref().is_none_or(|buffer| buffer.size() < bytes) {
            let usage = Usage::MAP_READ | Usage::COPY_DST;
            self.buffer = Some(gpu.buffer("what comes back", bytes.next_power_of_two(), usage)?);
        }
        let Self { buffer: Some(buffer), words } = self else { return Ok(()) };
        let mut at = 0;
        for (from, range) in copies {
            let length = range.end - range.start;
            if length > 0 {
                encoder.copy_buffer_to_buffer(from, range.start, buffer, at, length);
            }
            at += length;
        }
        gpu.submit_and_read(encoder.finish(), buffer, bytes, |bytes| {
            words.clear();
            words.extend(bytes.chunks_exact(4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]])));
        })
    }
}

/// Runs it; afterwards every part has its replies, counters and clock. Gives the words of the exchange, one range behind the other.
/// To be called inside [`guarded`](Gpu::guarded).
///
/// # Errors
/// A lost device: also one that did not finish what it was given.
pub(super) fn run<'r>(
    gpu: &Gpu,
    parts: &mut [Part<'_>],
    rounds: usize,
    [readback, rest]: &'r mut [Readback; 2],
    look: Option<&Look<'_>>,
) -> Result<&'r [u32], DeviceError> {
    let mut bases = Vec::with_capacity(parts.len());
    for Part { core, engine, requests, .. } in parts.iter_mut() {
        if !*requests {
            engine.batch.clear();
        }
        let moment = core.moment(engine);
        engine.mark = engine.mark.wrapping_add(1);
        engine.batch.stamp(&core.plan, moment, engine.mark);
        gpu.queue.write_buffer(&engine.inbox, 0, bytemuck::cast_slice(&engine.batch.inbox));
        bases.push(moment.base);
    }
    let mut encoder = gpu.device.create_command_encoder(&Default::default());
    for Part { engine, .. } in parts.iter() {
        encoder.clear_buffer(&engine.outbox, 4 * CLOCK as u64, Some(8));
        encoder.clear_buffer(&engine.exchange, 4 * engine.host_box as u64, Some(4));
    }
    record(gpu, &mut encoder, parts, rounds, look.map_or(&[], |look| &look.prepare))?;

    let mut copies = Vec::new();
    let counters = 4 * COUNTER_WORDS as u64;
    for Part { core, engine, .. } in parts.iter() {
        let replies = 4 * (engine.batch.len() * core.plan.reply) as u64;
        copies.push((&engine.outbox, 0..counters + replies));
        copies.push((&engine.exchange, 4 * engine.host_box as u64..4 * (engine.host_box as u64 + 1)));
        copies.push((&engine.outbox, mailed_of(core, 0..engine.mailed.foreseen)));
        copies.push((&engine.exchange, exports_of(core, engine, 0..engine.exported.foreseen)));
    }
    if let Some(look) = look {
        let bytes = |range: &Range<u32>| 4 * range.start as u64..4 * range.end as u64;
        copies.extend(look.words.iter().map(|range| (look.exchange, bytes(range))));
    }
    readback.submit(gpu, encoder, &copies)?;
    drop(copies);

    // Where what lies behind the replies of each part begins, and how much of it there is.
    let mut at = 0;
    for (Part { core, engine, requests, .. }, base) in parts.iter_mut().zip(bases) {
        at = take(gpu, core, engine, *requests, base, &readback.words, at)?;
    }
    take_rest(gpu, parts, rest)?;
    Ok(&readback.words[at..])
}

fn record(
    gpu: &Gpu,
    encoder: &mut wgpu::CommandEncoder,
    parts: &[Part<'_>],
    rounds: usize,
    others: &[(&wgpu::ComputePipeline, &wgpu::BindGroup)],
) -> Result<(), DeviceError> {
    let prepare: Result<Vec<_>, _> = parts
        .iter()
        .map(|part| if part.mailbox { part.engine.program.prepare(gpu).map(Some) } else { Ok(None) })
        .collect();
    let prepare = prepare?;
    let mut pass = encoder.begin_compute_pass(&Default::default());
    for (Part { engine, requests, .. }, prepare) in parts.iter().zip(&prepare) {
        if !requests || engine.batch.rounds.is_empty() {
            continue;
        }
        if let Some(prepare) = prepare {
            // So that its handlers see what lies in the mailbox, and no more.
            pass.set_pipeline(prepare);
            pass.set_bind_group(0, &engine.bindings, &[0]);
            pass.dispatch_workgroups(1, 1, 1);
        }
        pass.set_pipeline(&engine.program.main);
        for round in &engine.batch.rounds {
            pass.set_bind_group(0, &engine.bindings, &[4 * round.start as u32]);
            pass.dispatch_workgroups(round.runs.div_ceil(WORKGROUP as usize) as u32, 1, 1);
        }
    }
    // After the last round, what is left is counted.
    for round in 0..=rounds {
        for (Part { core, engine, .. }, prepare) in parts.iter().zip(&prepare) {
            let Some(prepare) = prepare else { continue };
            pass.set_bind_group(0, &engine.bindings, &[4 * engine.batch.mail as u32]);
            pass.set_pipeline(prepare);
            pass.dispatch_workgroups(1, 1, 1);
            if round < rounds {
                pass.set_pipeline(&engine.program.main);
                let most = core.mesh.mailbox.min(MAILBOX_PASS);
                pass.dispatch_workgroups(most.div_ceil(WORKGROUP), 1, 1);
            }
        }
    }
    for (prepare, bindings) in others {
        pass.set_pipeline(prepare);
        pass.set_bind_group(0, *bindings, &[0]);
        pass.dispatch_workgroups(1, 1, 1);
    }
    Ok(())
}

/// Something of which there is more or less in each submission: how much of it is copied back unasked, and how much there was.
#[derive(Clone, Copy, Default)]
pub(super) struct Varying {
    foreseen: usize,
    count: usize,
}

impl Varying {
    fn unforeseen(self) -> Range<usize> {
        self.foreseen.min(self.count)..self.count
    }

    /// Expects as much again, and less only by and by.
    fn foresee(&mut self) {
        self.foreseen = self.count.max(self.foreseen / 2);
    }
}

/// Where these replies to mail lie in the outbox, in bytes.
fn mailed_of(core: &Core, slots: Range<usize>) -> Range<u64> {
    let at = |slot: usize| 4 * (COUNTER_WORDS + (core.plan.messages + slot) * core.plan.reply) as u64;
    at(slots.start)..at(slots.end)
}

/// Where these messages to the host lie in the exchange, in bytes.
fn exports_of(core: &Core, engine: &Engine, slots: Range<usize>) -> Range<u64> {
    let first = engine.host_box as usize + mesh::BOX_HEADER;
    let at = |slot: usize| 4 * (first + slot * core.plan.export) as u64;
    at(slots.start)..at(slots.end)
}

/// Takes a part's counters, replies and what was foreseen of the rest, from `words[at..]`; where the next part's begin.
fn take(
    gpu: &Gpu,
    core: &Core,
    engine: &mut Engine,
    requests: bool,
    base: u64,
    words: &[u32],
    at: usize,
) -> Result<usize, DeviceError> {
    let done_before = engine.counters[REQUESTS_DONE];
    let replies = at + COUNTER_WORDS..at + COUNTER_WORDS + engine.batch.len() * core.plan.reply;
    let sent = replies.end;
    let mailed = sent + 1..sent + 1 + engine.mailed.foreseen * core.plan.reply;
    let exported = mailed.end..mailed.end + engine.exported.foreseen * core.plan.export;
    engine.counters.copy_from_slice(&words[at..replies.start]);
    engine.mailed.count = (engine.counters[MAILED] as usize).min(core.plan.exports);
    engine.exported.count = (words[sent] as usize).min(core.plan.exports);
    engine.last = base.saturating_add(engine.counters[CLOCK] as u64);
    engine.sent = 0;
    let Engine { batch, replies: out, reply_payloads, slots, .. } = engine;
    let mut complete = Some(());
    out.clear();
    reply_payloads.clear();
    if requests {
        complete = batch.replies(&words[replies], core.plan.reply, out, reply_payloads);
    }
    let parts =
        [(&engine.mailed, mailed, core.plan.reply), (&engine.exported, exported.clone(), core.plan.export)];
    for (slots, (varying, there, size)) in slots.iter_mut().zip(parts) {
        slots.clear();
        slots
            .extend_from_slice(&words[there.start..there.start + varying.count.min(varying.foreseen) * size]);
    }
    // Both are what a driver that kills a dispatch half way leaves behind.
    let done = engine.counters[REQUESTS_DONE].wrapping_sub(done_before);
    if complete.is_none() || done as usize != engine.batch.len() {
        return Err(unfinished(gpu, engine, done));
    }
    Ok(exported.end)
}

/// Fetches what was not foreseen, and takes what there is beside replies to requests.
fn take_rest(gpu: &Gpu, parts: &mut [Part<'_>], readback: &mut Readback) -> Result<(), DeviceError> {
    let is_more = |engine: &Engine| {
        [engine.mailed, engine.exported].iter().any(|varying| !varying.unforeseen().is_empty())
    };
    if parts.iter().any(|part| is_more(part.engine)) {
        let copies: Vec<_> = parts
            .iter()
            .flat_map(|Part { core, engine, .. }| {
                let exports = exports_of(core, engine, engine.exported.unforeseen());
                [(&engine.outbox, mailed_of(core, engine.mailed.unforeseen())), (&engine.exchange, exports)]
            })
            .collect();
        let encoder = gpu.device.create_command_encoder(&Default::default());
        readback.submit(gpu, encoder, &copies)?;
    }
    let mut words = &readback.words[..];
    for Part { core, engine, .. } in parts.iter_mut() {
        let Engine { slots, replies, reply_payloads, mark, mailed, exported, .. } = &mut **engine;
        let sizes = [(&mut *mailed, core.plan.reply), (&mut *exported, core.plan.export)];
        for (slots, (varying, size)) in slots.iter_mut().zip(sizes) {
            let (here, rest) = words.split_at(varying.unforeseen().len() * size);
            slots.extend_from_slice(here);
            words = rest;
            varying.foresee();
        }
        let [mailed, exported] = slots;
        let complete = batch::mailed(mailed, *mark, core.plan.reply, replies, reply_payloads)
            .and_then(|()| batch::exports(exported, *mark, &core.plan, replies, reply_payloads));
        if complete.is_none() {
            return Err(unfinished(gpu, engine, 0));
        }
    }
    Ok(())
}

fn unfinished(gpu: &Gpu, engine: &mut Engine, done: u32) -> DeviceError {
    engine.replies.clear();
    gpu.health.lose(format!("a dispatch of {} messages finished {done}", Batch::len(&engine.batch)))
}
