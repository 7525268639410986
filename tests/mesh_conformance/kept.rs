//! Messages that no handler takes, more of them than there is room for: they wait for `try_receive_from_kernel`, and no request waits for them.

use crate::bursts::{Bin, Burst, Gather, Mill, Sown};
use crate::stage::{Outcome, PATIENCE, Stage, ask, check, in_time, options, same, state, stop, until};
use ringkernel::ActorRef;
use ringkernel::prelude::*;
use ringkernel_tests::machine::Stop;
use std::time::{Duration, Instant};

/// Has the mill send seeds, which wait, or grains, which a handler takes.
async fn sow(mill: &ActorRef<Mill>, to: u32, count: u32, seeds: bool) -> Result<Sown, Stop> {
    ask(mill, Burst { to, count, seeds }).await
}

/// Has an instance take so many seeds, one a request.
async fn gather(bin: &ActorRef<Bin>, instance: u32, count: u32) -> Outcome {
    let (bin, begin, mut got) = (bin.at(instance).map_err(stop)?, Instant::now(), 0);
    while got < count {
        check(begin.elapsed() < PATIENCE / 2, || format!("{got} seeds came of {count}"))?;
        got += u32::from(ask(&bin, Gather {}).await?);
    }
    Ok(())
}

/// What an instance has: seeds, grains, and how many of them came out of order.
async fn has(bin: &ActorRef<Bin>, instance: u32) -> Result<(u32, u32, u32), Stop> {
    let bin = state::<Bin>(bin, instance).await?;
    Ok((bin.seeds, bin.grains, bin.late + bin.skipped))
}

fn spilling(mailbox: u32) -> LaunchOptions {
    options().shards(1).instances(2).mailbox(mailbox).overflow(Overflow::Spill)
}

/// What spilled comes back and finds no room, for its like fill all there is: the request that makes room for it is not behind it.
pub async fn what_spilled_and_only_a_handler_can_take_waits_and_requests_go_by_it(
    stage: &Stage<'_>,
) -> Outcome {
    let bin: ActorRef<Bin> = stage.launch(spilling(4).without_auto_activate()).await?;
    let mill: ActorRef<Mill> = stage.launch(options().shards(1)).await?;
    same("sown", sow(&mill, 1, 100, true).await?, Sown { ok: 100, full: 0 })?;
    in_time("activate", bin.activate()).await?.map_err(stop)?;
    let other = bin.at(0).map_err(stop)?;
    for _ in 0..8 {
        smol::Timer::after(Duration::from_millis(1)).await;
        same("seeds of the other", ask(&other, Gather {}).await?, false)?;
    }
    gather(&bin, 1, 100).await?;
    same("seeds, grains, disorder", has(&bin, 1).await?, (100, 0, 0))?;
    // And once more, where what spilled goes behind what was sent before, and is all followed by what is sent next.
    sow(&mill, 1, 50, true).await?;
    gather(&bin, 1, 30).await?;
    sow(&mill, 1, 50, true).await?;
    gather(&bin, 1, 70).await?;
    same("seeds, grains, disorder", has(&bin, 1).await?, (200, 0, 0))?;
    until("none waits", || bin.mailbox().waiting + mill.relays().waiting == 0).await?;
    same("faults", bin.control().errors_encountered, 0)
}

/// What spilled and any handler would take comes behind a mailbox whose first message waits to be asked for: no request waits for that either.
pub async fn what_spilled_comes_behind_a_mailbox_that_waits_and_requests_go_by_it(
    stage: &Stage<'_>,
) -> Outcome {
    let bin: ActorRef<Bin> = stage.launch(spilling(4)).await?;
    let mill: ActorRef<Mill> = stage.launch(options().shards(1)).await?;
    for _ in 0..8 {
        same("sown", sow(&mill, 1, 1, true).await?, Sown { ok: 1, full: 0 })?;
        smol::Timer::after(Duration::from_millis(1)).await;
    }
    same("sown", sow(&mill, 1, 60, false).await?, Sown { ok: 60, full: 0 })?;
    let other = bin.at(0).map_err(stop)?;
    for _ in 0..8 {
        smol::Timer::after(Duration::from_millis(1)).await;
        same("seeds of the other", ask(&other, Gather {}).await?, false)?;
    }
    gather(&bin, 1, 8).await?;
    let begin = Instant::now();
    while has(&bin, 1).await?.1 < 60 {
        check(begin.elapsed() < PATIENCE / 2, || "grains do not come".to_owned())?;
        smol::Timer::after(Duration::from_millis(1)).await;
    }
    same("seeds, grains, disorder", has(&bin, 1).await?, (8, 60, 0))?;
    until("none waits", || bin.mailbox().waiting + mill.relays().waiting == 0).await
}

/// The same where the host carries them because the devices do not reach each other; also to a kernel that leaves its device in between.
pub async fn what_a_kernel_of_another_device_sends_in_excess_waits_and_requests_go_by_it(
    stage: &Stage<'_>,
) -> Outcome {
    let idle_after = Duration::from_millis(1);
    let cpu = RingKernel::builder().backend(Backend::Cpu).build().await.map_err(stop)?;
    for mode in [Mode::Auto, Mode::EventDriven { idle_after }] {
        let bin = options().shards(1).instances(2).mailbox(8).overflow(Overflow::Spill).mode(mode);
        let bin: ActorRef<Bin> = stage.launch(bin).await?;
        let mill: ActorRef<Mill> = stage.launch_on(&cpu, options().shards(1)).await?;
        cpu.connect(&mill, &bin).await.map_err(stop)?;
        stage.runtime.connect(&bin, &mill).await.map_err(stop)?;
        let other = bin.at(0).map_err(stop)?;
        same("sown", sow(&mill, 1, 150, true).await?, Sown { ok: 150, full: 0 })?;
        same("sown", sow(&mill, 1, 50, false).await?, Sown { ok: 50, full: 0 })?;
        for _ in 0..5 {
            smol::Timer::after(idle_after * 3).await;
            same("seeds of the other", ask(&other, Gather {}).await?, false)?;
            gather(&bin, 1, 10).await?;
        }
        gather(&bin, 1, 100).await?;
        let begin = Instant::now();
        while has(&bin, 1).await?.1 < 50 {
            check(begin.elapsed() < PATIENCE / 2, || "grains do not come".to_owned())?;
            smol::Timer::after(Duration::from_millis(1)).await;
        }
        same("seeds, grains, disorder", has(&bin, 1).await?, (150, 50, 0))?;
        until("none waits", || bin.mailbox().waiting + mill.relays().waiting == 0).await?;
        in_time("terminate", bin.terminate()).await?.map_err(stop)?;
        in_time("terminate", mill.terminate()).await?.map_err(stop)?;
    }
    in_time("shutdown", cpu.shutdown()).await?.map_err(stop)
}

/// One that nobody takes for long does not take the room of those that came and were taken after it.
pub async fn one_that_waits_for_long_takes_the_room_of_one(stage: &Stage<'_>) -> Outcome {
    let bin: ActorRef<Bin> =
        stage.launch(options().shards(1).instances(4).mailbox(16).overflow(Overflow::Reject)).await?;
    let mill: ActorRef<Mill> = stage.launch(options().shards(1)).await?;
    same("sown", sow(&mill, 0, 1, true).await?, Sown { ok: 1, full: 0 })?;
    let mut all = [1, 0, 0, 0];
    for round in 0..60 {
        // What is left over of two instances lies between what is taken of the third.
        for (to, count) in [(2, 1), (1, 3), (3, u32::from(round % 9 == 0))] {
            all[to as usize] += count;
            same("sown", sow(&mill, to, count, true).await?, Sown { ok: count, full: 0 })?;
        }
        gather(&bin, 1, 3).await?;
        if round % 2 == 1 {
            gather(&bin, 2, 2).await?;
        }
        if round % 18 == 17 {
            gather(&bin, 3, 2).await?;
        }
    }
    for (instance, count) in [(3, 1), (0, 1)] {
        gather(&bin, instance, count).await?;
    }
    for (instance, count) in (0..).zip(all) {
        same("seeds, grains, disorder", has(&bin, instance).await?, (count, 0, 0))?;
    }
    Ok(())
}
