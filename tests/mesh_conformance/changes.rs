//! Connections that begin and end.

use crate::actors::{Reader, Tried, Write, Writer};
use crate::stage::{Outcome, Stage, ask, check, handled, in_time, options, same, state, stop, until};
use ringkernel::prelude::*;
use ringkernel::{ActorRef, Via};
use ringkernel_tests::machine::Stop;
use std::time::Duration;

async fn write(writer: &ActorRef<Writer>, count: u32) -> Result<Tried, Stop> {
    ask(writer, Write { to: 0, count, way: 0, echo: false }).await
}

/// Kernels of a runtime are connected as they come, whoever comes first; by hand one takes another's place; and what was sent before is
/// handled.
pub async fn a_connection_leads_where_it_was_pointed_and_to_nobody_when_it_is_cut(
    stage: &Stage<'_>,
) -> Outcome {
    let runtime = stage.runtime;
    let writer = stage.launch::<Writer>(options()).await?;
    let one = stage.launch::<Reader>(options()).await?;
    let two = stage.launch::<Reader>(options()).await?;
    let leads = || writer.connections()[0].to;
    same("the oldest of that id", leads(), Some((one.number(), Via::Device)))?;
    same("sends", write(&writer, 3).await?.ok, 3)?;
    runtime.connect(&writer, &two).await.map_err(stop)?;
    same("connected by hand", leads(), Some((two.number(), Via::Device)))?;
    same("sends", write(&writer, 5).await?.ok, 5)?;
    runtime.disconnect(&writer, &two).await.map_err(stop)?;
    same("disconnected", write(&writer, 2).await?, Tried { gone: 2, ..Tried::default() })?;
    let again = runtime.disconnect(&writer, &two).await;
    check(matches!(again, Err(RingKernelError::NotConnected { .. })), || format!("cut twice: {again:?}"))?;
    let wrong = runtime.connect(&one, &writer).await;
    check(matches!(wrong, Err(RingKernelError::NoRoute { .. })), || {
        format!("a reader sends to none: {wrong:?}")
    })?;
    // What had been sent is handled.
    handled(&one, 3).await?;
    handled(&two, 5).await?;
    same("the first's", state::<Reader>(&one, 0).await?.notes, 3)?;
    same("the second's", state::<Reader>(&two, 0).await?.notes, 5)
}

/// A receiver that ends is gone, nobody hangs, and the next of that id takes its place.
pub async fn a_receiver_that_ends_is_gone_and_the_next_takes_its_place(stage: &Stage<'_>) -> Outcome {
    let writer = stage.launch::<Writer>(options()).await?;
    for round in 0..3 {
        let reader = stage.launch::<Reader>(options()).await?;
        same("sends", write(&writer, 4).await?, Tried { ok: 4, ..Tried::default() })?;
        if round == 1 {
            let drain = TerminateOptions::default().drain();
            in_time("draining", reader.terminate_with(drain)).await?.map_err(stop)?;
            same("drained", state::<Reader>(&reader, 0).await?.notes, 4)?;
        } else {
            in_time("terminate", reader.terminate()).await?.map_err(stop)?;
        }
        same("sends to one that has ended", write(&writer, 2).await?, Tried { gone: 2, ..Tried::default() })?;
    }
    // One that ends while it is sent to.
    let reader = stage.launch::<Reader>(options().mailbox(4096)).await?;
    let writing = async {
        let mut all = Tried::default();
        while all.gone == 0 {
            let tried = write(&writer, 20).await?;
            (all.ok, all.full, all.gone) = (all.ok + tried.ok, all.full + tried.full, tried.gone);
        }
        Ok::<Tried, Stop>(all)
    };
    let ending = async {
        handled(&reader, 200).await?;
        in_time("terminate", reader.terminate()).await?.map_err(stop)
    };
    let (all, _) = in_time("writing", futures::future::try_join(writing, ending)).await??;
    // What it handled is what was sent first, without a gap, behind the 12 of the rounds before.
    let read = state::<Reader>(&reader, 0).await?;
    check(read.notes <= all.ok, || format!("{read:?} of {all:?}"))?;
    same("in order", (read.next[0], read.repeated, read.skipped), (12 + read.notes, 0, 12))
}

/// A suspended receiver keeps what it is sent.
pub async fn messages_wait_for_a_receiver_that_is_suspended(stage: &Stage<'_>) -> Outcome {
    let writer = stage.launch::<Writer>(options()).await?;
    let reader = stage.launch::<Reader>(options()).await?;
    for round in 1..4 {
        in_time("suspend", reader.suspend()).await?.map_err(stop)?;
        same("sends", write(&writer, 50).await?.ok, 50)?;
        same("what waits", reader.mailbox().waiting, 50)?;
        same("handled meanwhile", state::<Reader>(&reader, 0).await?.notes, 50 * (round - 1))?;
        in_time("resume", reader.resume()).await?.map_err(stop)?;
        handled(&reader, u64::from(50 * round)).await?;
    }
    let read = state::<Reader>(&reader, 0).await?;
    same("notes", (read.notes, read.next[0], read.repeated, read.skipped), (150, 150, 0, 0))
}

/// `Mode::EventDriven`: what is sent to a kernel that left the device brings it back.
pub async fn a_receiver_that_leaves_its_device_when_idle_is_reached_and_keeps_the_order(
    stage: &Stage<'_>,
) -> Outcome {
    let idle_after = Duration::from_millis(1);
    let reader = stage.launch::<Reader>(options().mode(Mode::EventDriven { idle_after })).await?;
    let writer = stage.launch::<Writer>(options()).await?;
    let mut sent = 0;
    for round in 0..12 {
        same("sends", write(&writer, 10).await?.ok, 10)?;
        sent += 10;
        // Now it has long been idle, now it has not.
        if round % 3 == 0 {
            smol::Timer::after(idle_after * 5).await;
            handled(&reader, sent.into()).await?;
        }
    }
    handled(&reader, sent.into()).await?;
    let read = state::<Reader>(&reader, 0).await?;
    same("notes", (read.notes, read.next[0], read.repeated, read.skipped), (sent, sent, 0, 0))
}

/// A kernel on the CPU and one here, each way: sends, replies and their order are the same.
pub async fn kernels_of_two_runtimes_talk_both_ways(stage: &Stage<'_>) -> Outcome {
    let cpu = RingKernel::builder().backend(Backend::Cpu).build().await.map_err(stop)?;
    let via = if stage.runtime.backend() == Backend::Cpu { Via::Device } else { Via::Host };
    for (here, there) in [(stage.runtime, &cpu), (&cpu, stage.runtime)] {
        let writer = stage.launch_on::<Writer>(here, options()).await?;
        let reader =
            stage.launch_on::<Reader>(there, options().mailbox(64).overflow(Overflow::Spill)).await?;
        same("unconnected", write(&writer, 1).await?.gone, 1)?;
        here.connect(&writer, &reader).await.map_err(stop)?;
        same("connected", writer.connections()[0].to, Some((reader.number(), via)))?;
        let mut sent = 0;
        for _ in 0..20 {
            let tried = ask(&writer, Write { to: 0, count: 25, way: 0, echo: true }).await?;
            same("sends", tried.gone + tried.no_instance, 0)?;
            sent += tried.ok;
        }
        handled(&reader, u64::from(sent)).await?;
        let read = state::<Reader>(&reader, 0).await?;
        same("notes", (read.notes, read.next[0], read.repeated, read.skipped), (sent, sent, 0, 0))?;
        // The writer was asked 21 times.
        handled(&writer, u64::from(21 + sent - read.unanswered)).await?;
        let written = state::<Writer>(&writer, 0).await?;
        same("echoes", written.echoes, sent - read.unanswered)?;
        same("refused replies, disorder", (read.unanswered, written.disorder), (0, 0))?;
        // Whether there is such an instance only the host knows: it counts what it could not deliver.
        let tried = ask(&writer, Write { to: 1, count: 2, way: 0, echo: false }).await?;
        if via == Via::Host {
            same("to no instance", tried.ok, 2)?;
            until("counted as not delivered", || writer.relays().dead == 2).await?;
        } else {
            same("to no instance", tried.no_instance, 2)?;
        }
        here.disconnect(&writer, &reader).await.map_err(stop)?;
        same("disconnected", write(&writer, 1).await?.gone, 1)?;
        in_time("terminate", reader.terminate()).await?.map_err(stop)?;
        in_time("terminate", writer.terminate()).await?.map_err(stop)?;
    }
    in_time("shutdown", cpu.shutdown()).await?.map_err(stop)
}
