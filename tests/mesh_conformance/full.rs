//! Mailboxes without room.

use crate::actors::{Hub, Reader, Rim, Spin, Spoke, Tried, Write, Writer};
use crate::stage::{
    Outcome, PATIENCE, Stage, ask, check, handled, in_time, options, same, state, stop, until,
};
use ringkernel::prelude::*;
use ringkernel::{ActorRef, MailboxSnapshot};
use ringkernel_tests::machine::Stop;
use std::time::{Duration, Instant};

/// A reader with room for 16, which is not active, a writer, and what a burst of 40 comes to.
async fn burst(
    stage: &Stage<'_>,
    overflow: Overflow,
) -> Result<(ActorRef<Writer>, ActorRef<Reader>, Tried), Stop> {
    let options = || options().shards(1);
    let reader = options().mailbox(16).overflow(overflow).without_auto_activate();
    let reader = stage.launch::<Reader>(reader).await?;
    let writer = stage.launch::<Writer>(options()).await?;
    let tried = ask(&writer, Write { to: 0, count: 40, way: 0, echo: false }).await?;
    Ok((writer, reader, tried))
}

fn figures(mailbox: MailboxSnapshot) -> (u64, u64, u64) {
    (mailbox.waiting, mailbox.full, mailbox.dropped)
}

/// `Reject`: what fits is kept and handled later, each of the others was told, and there is room again.
pub async fn a_full_mailbox_that_rejects_says_full_and_keeps_what_it_has(stage: &Stage<'_>) -> Outcome {
    let (writer, reader, tried) = burst(stage, Overflow::Reject).await?;
    same("sends", tried, Tried { ok: 16, full: 24, ..Tried::default() })?;
    same("the mailbox", figures(reader.mailbox()), (16, 24, 0))?;
    in_time("activate", reader.activate()).await?.map_err(stop)?;
    handled(&reader, 16).await?;
    let tried = ask(&writer, Write { to: 0, count: 16, way: 0, echo: false }).await?;
    same("sends", tried, Tried { ok: 16, ..Tried::default() })?;
    handled(&reader, 32).await?;
    let read = state::<Reader>(&reader, 0).await?;
    same("notes", (read.notes, read.next[0], read.repeated, read.skipped), (32, 32, 0, 0))?;
    same("the mailbox", figures(reader.mailbox()), (0, 24, 0))
}

/// `Block`: a send in vain ends at its bound (on WebGPU at once), and one that finds room meanwhile is `Ok`.
pub async fn a_sender_that_waits_for_room_gets_it_or_is_told_at_the_bound(stage: &Stage<'_>) -> Outcome {
    let at_most = Duration::from_millis(3);
    let begin = Instant::now();
    let (writer, reader, tried) = burst(stage, Overflow::Block { at_most }).await?;
    same("sends", tried, Tried { ok: 16, full: 24, ..Tried::default() })?;
    if stage.runtime.backend() != Backend::Wgpu {
        check(begin.elapsed() >= 24 * at_most, || format!("24 sends waited {:?} in all", begin.elapsed()))?;
    }
    in_time("activate", reader.activate()).await?.map_err(stop)?;
    handled(&reader, 16).await?;
    if stage.runtime.backend() == Backend::Wgpu {
        return Ok(());
    }
    // The receiver makes room while the sender waits.
    in_time("terminate", reader.terminate()).await?.map_err(stop)?;
    let patient = options().shards(1).mailbox(16).overflow(Overflow::Block { at_most: PATIENCE / 4 });
    let reader = stage.launch::<Reader>(patient).await?;
    let tried = ask(&writer, Write { to: 0, count: 400, way: 0, echo: false }).await?;
    same("sends", tried, Tried { ok: 400, ..Tried::default() })?;
    handled(&reader, 400).await
}

/// `DropOldest`: the newest are handled, in order, and the others are counted. On CUDA the receiver itself discards: one that is not active does not, and
/// its senders are told.
pub async fn a_mailbox_that_drops_the_oldest_counts_them_and_keeps_the_newest(stage: &Stage<'_>) -> Outcome {
    let (writer, reader, tried) = burst(stage, Overflow::DropOldest).await?;
    if stage.runtime.backend() == Backend::Cuda {
        same("sends", tried, Tried { ok: 16, full: 24, ..Tried::default() })?;
        same("the mailbox", figures(reader.mailbox()), (16, 24, 0))?;
    } else {
        same("sends", tried, Tried { ok: 40, ..Tried::default() })?;
        same("the mailbox", figures(reader.mailbox()), (16, 0, 24))?;
    }
    in_time("activate", reader.activate()).await?.map_err(stop)?;
    handled(&reader, 16).await?;
    let read = state::<Reader>(&reader, 0).await?;
    let dropped = tried.ok - 16;
    same("notes", (read.notes, read.next[0], read.repeated, read.skipped), (16, tried.ok, 0, dropped))?;
    // Active: whatever becomes of each, the last that was sent is handled, and all are accounted for.
    let mut sent = tried.ok;
    for _ in 0..10 {
        sent += ask(&writer, Write { to: 0, count: 200, way: 0, echo: false }).await?.ok;
    }
    let all = || reader.control().messages_processed + reader.mailbox().dropped >= u64::from(sent);
    until("handled or dropped", all).await?;
    let read = state::<Reader>(&reader, 0).await?;
    same("handled and dropped", u64::from(read.notes) + reader.mailbox().dropped, u64::from(sent))?;
    same("the last, repeated", (read.next[0], read.repeated), (sent, 0))
}

/// `Spill`: all sends are `Ok`, and all arrive, in order, those included that are sent while the host has some.
pub async fn what_spills_to_the_host_all_arrives_in_order(stage: &Stage<'_>) -> Outcome {
    let (writer, reader, tried) = burst(stage, Overflow::Spill).await?;
    same("sends", tried, Tried { ok: 40, ..Tried::default() })?;
    // Some devices keep what spilled with the mailbox, of others the host does.
    let waiting = || reader.mailbox().waiting + writer.relays().waiting;
    until("all wait", || waiting() == 40).await?;
    let backlog = 600;
    let tried = ask(&writer, Write { to: 0, count: backlog, way: 0, echo: false }).await?;
    same("sends", tried, Tried { ok: backlog, ..Tried::default() })?;
    same("full, dropped", (reader.mailbox().full, reader.mailbox().dropped), (0, 0))?;
    in_time("activate", reader.activate()).await?.map_err(stop)?;
    let mut sent = 40 + backlog;
    for _ in 0..20 {
        let tried = ask(&writer, Write { to: 0, count: 10, way: 0, echo: false }).await?;
        same("sends", tried, Tried { ok: 10, ..Tried::default() })?;
        sent += 10;
    }
    handled(&reader, u64::from(sent)).await?;
    let read = state::<Reader>(&reader, 0).await?;
    same("notes", (read.notes, read.next[0], read.repeated, read.skipped), (sent, sent, 0, 0))?;
    until("none waits", || waiting() == 0).await?;
    same("messages the host could not deliver", writer.relays().dead, 0)
}

/// Three kernels in a ring whose mailboxes are all full, and each of which sends twice what it gets: it ends, and the counts agree.
pub async fn a_cycle_of_full_mailboxes_ends_and_nothing_is_lost(stage: &Stage<'_>) -> Outcome {
    let block = Overflow::Block { at_most: Duration::from_millis(1) };
    for overflow in [Overflow::Reject, block, Overflow::DropOldest, Overflow::Spill] {
        let options = || options().mailbox(4).overflow(overflow).without_auto_activate();
        let hub = stage.launch::<Hub>(options()).await?;
        let spoke = stage.launch::<Spoke>(options()).await?;
        let rim = stage.launch::<Rim>(options()).await?;
        for _ in 0..4 {
            hub.tell(Spin { left: 6 }).await.map_err(stop)?;
            spoke.tell(Spin { left: 6 }).await.map_err(stop)?;
            rim.tell(Spin { left: 6 }).await.map_err(stop)?;
        }
        for kernel in [hub.handle(), spoke.handle(), rim.handle()] {
            in_time("activate", kernel.activate()).await?.map_err(stop)?;
        }
        let begin = Instant::now();
        let mut before = None;
        let got = loop {
            let a = state::<Hub>(&hub, 0).await?;
            let b = state::<Spoke>(&spoke, 0).await?;
            let c = state::<Rim>(&rim, 0).await?;
            same("sends to nobody", a.lost + b.lost + c.lost, 0)?;
            let now = (a.got + b.got + c.got, a.sent + b.sent + c.sent);
            let mailboxes = [hub.mailbox(), spoke.mailbox(), rim.mailbox()];
            let dropped = mailboxes.iter().map(|mailbox| mailbox.dropped as u32).sum::<u32>();
            // What is read from one after another may agree by chance, once.
            if now.0 + dropped == now.1 + 12 && before == Some(now) {
                break now.0;
            }
            before = Some(now);
            check(begin.elapsed() < PATIENCE, || {
                format!("{overflow:?}: {} came of {} and 12, and {dropped} were dropped", now.0, now.1)
            })?;
            smol::Timer::after(Duration::from_millis(2)).await;
        };
        if overflow == Overflow::Spill {
            // 12 that double six times.
            same("messages", got, 12 * 127)?;
        }
        for kernel in [hub.handle(), spoke.handle(), rim.handle()] {
            in_time("terminate", kernel.terminate()).await?.map_err(stop)?;
        }
    }
    Ok(())
}
