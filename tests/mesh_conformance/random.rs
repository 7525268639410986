//! Random programs of sends: against a model that knows every state there must be, and in parallel, where only what is promised is known.

use crate::actors::{Reader, Tried, Write, Writer};
use crate::stage::{
    Outcome, PATIENCE, Stage, ask, check, handled, in_time, options, same, state, stop, until,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use ringkernel::ActorRef;
use ringkernel::prelude::*;
use ringkernel_tests::machine::{Stop, env_or};
use std::time::Duration;

const WRITERS: u32 = 4;
const READERS: u32 = 3;
const MAILBOX: u32 = 16;

#[derive(Clone, Copy, Debug)]
enum Step {
    Write(u32, Write),
    Suspend,
    Resume,
    Cut,
    Connect,
}

fn step() -> impl Strategy<Value = Step> {
    // One instance more than there is; and no more than the mailbox has room for at once, while it is empty.
    let write = (0..WRITERS, 0..=READERS, 1..=MAILBOX / 2, 0..3u32, any::<bool>());
    prop_oneof![
        10 => write.prop_map(|(writer, to, count, way, echo)| {
            let to = if way == 1 { 0 } else { to };
            Step::Write(writer, Write { to, count, way, echo })
        }),
        2 => Just(Step::Suspend),
        2 => Just(Step::Resume),
        1 => Just(Step::Cut),
        2 => Just(Step::Connect),
    ]
}

/// What a program comes to: how each write ended, and all states.
#[derive(Clone, Debug, Default, PartialEq)]
struct Played {
    tried: Vec<Tried>,
    writers: Vec<Writer>,
    readers: Vec<Reader>,
}

/// What must come of it.
#[derive(Default)]
struct Model {
    played: Played,
    /// Notes in the mailbox: writer, reader, number, echo.
    waiting: Vec<(usize, usize, u32, bool)>,
    suspended: bool,
    cut: bool,
}

impl Model {
    fn play(program: &[Step]) -> Played {
        let mut model = Self::default();
        model.played.writers.resize(WRITERS as usize, Writer::default());
        model.played.readers.resize(READERS as usize, Reader::default());
        for &step in program {
            match step {
                Step::Write(writer, write) => model.write(writer as usize, write),
                Step::Suspend => model.suspended = true,
                Step::Resume => model.suspended = false,
                Step::Cut => model.cut = true,
                Step::Connect => model.cut = false,
            }
            if !model.suspended {
                model.handle();
            }
        }
        model.handle();
        model.played
    }

    fn write(&mut self, writer: usize, write: Write) {
        let (to, mut tried) = (write.to as usize, Tried::default());
        for _ in 0..write.count {
            if self.cut {
                tried.gone += 1;
            } else if write.to >= READERS {
                tried.no_instance += 1;
            } else if self.waiting.len() == MAILBOX as usize {
                tried.full += 1;
            } else {
                let next = &mut self.played.writers[writer].next[to];
                self.waiting.push((writer, to, *next, write.echo));
                *next += 1;
                tried.ok += 1;
            }
        }
        self.played.tried.push(tried);
    }

    fn handle(&mut self) {
        for (writer, to, number, echo) in self.waiting.drain(..) {
            let (reader, back) = (&mut self.played.readers[to], &mut self.played.writers[writer]);
            reader.notes += 1;
            reader.next[writer] = number + 1;
            if echo {
                back.disorder += u32::from(back.echoed[to] != number);
                back.echoed[to] = number + 1;
                back.echoes += 1;
            }
        }
    }
}

async fn play(stage: &Stage<'_>, program: &[Step]) -> Result<Played, Stop> {
    // One mailbox each, so that it is known when it is full.
    let options = || options().shards(1);
    let reader: ActorRef<Reader> = stage.launch(options().instances(READERS).mailbox(MAILBOX)).await?;
    let writer: ActorRef<Writer> = stage.launch(options().instances(WRITERS)).await?;
    let mut played = Played::default();
    // What each is to have handled when all is quiet.
    let (mut read, mut written) = (0, 0);
    let (mut suspended, mut cut) = (false, false);
    for &step in program {
        match step {
            Step::Write(of, write) => {
                let tried = ask(&writer.at(of).map_err(stop)?, write).await?;
                read += u64::from(tried.ok);
                written += 1 + if write.echo { u64::from(tried.ok) } else { 0 };
                played.tried.push(tried);
            }
            Step::Suspend if !suspended => in_time("suspend", reader.suspend()).await?.map_err(stop)?,
            Step::Resume if suspended => in_time("resume", reader.resume()).await?.map_err(stop)?,
            Step::Cut if !cut => stage.runtime.disconnect(&writer, &reader).await.map_err(stop)?,
            Step::Connect if cut => stage.runtime.connect(&writer, &reader).await.map_err(stop)?,
            _ => {}
        }
        match step {
            Step::Suspend | Step::Resume => suspended = matches!(step, Step::Suspend),
            Step::Cut | Step::Connect => cut = matches!(step, Step::Cut),
            Step::Write(..) => {}
        }
        if suspended {
            // On CUDA a sender keeps room in hand for what it sends next, and gives it back when it is idle.
            smol::Timer::after(Duration::from_millis(1)).await;
        } else {
            quiet(&reader, read, &writer, written).await?;
        }
    }
    if suspended {
        in_time("resume", reader.resume()).await?.map_err(stop)?;
    }
    quiet(&reader, read, &writer, written).await?;
    for instance in 0..WRITERS {
        played.writers.push(state(&writer, instance).await?);
    }
    for instance in 0..READERS {
        played.readers.push(state(&reader, instance).await?);
    }
    in_time("terminate", writer.terminate()).await?.map_err(stop)?;
    in_time("terminate", reader.terminate()).await?.map_err(stop)?;
    Ok(played)
}

async fn quiet(reader: &ActorRef<Reader>, read: u64, writer: &ActorRef<Writer>, written: u64) -> Outcome {
    handled(reader, read).await?;
    handled(writer, written).await?;
    until("the mailbox is empty", || reader.mailbox().waiting == 0).await
}

/// Writes of several instances to several, some in vain, suspended readers, connections that are cut and made: every answer and every
/// state is what the model says, so it is the same on every backend.
pub async fn random_programs_leave_the_states_that_the_model_says(stage: &Stage<'_>) -> Outcome {
    let cases = env_or("RINGKERNEL_PROGRAMS", 12) as u32;
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 60, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let program = proptest::collection::vec(step(), 1..25);
    let outcome = runner.run(&program, |program| {
        let stage = Stage::new(stage.runtime);
        let played = smol::block_on(play(&stage, &program));
        let ended = smol::block_on(stage.end());
        let failed = |why| TestCaseError::fail(format!("{why:?}"));
        let played = played.map_err(failed)?;
        ended.map_err(failed)?;
        prop_assert_eq!(played, Model::play(&program));
        Ok(())
    });
    outcome.map_err(|error| Stop::Failed(error.to_string()))
}

/// Eight writers at once into small mailboxes, under each policy. How often there is no room nobody knows; but what was `Ok` comes once and in order,
/// and all of it, or it is counted as dropped.
pub async fn what_is_sent_in_parallel_is_handled_once_in_order_or_counted(stage: &Stage<'_>) -> Outcome {
    let block = Overflow::Block { at_most: Duration::from_millis(1) };
    for overflow in [Overflow::Reject, block, Overflow::DropOldest, Overflow::Spill] {
        let reader: ActorRef<Reader> =
            stage.launch(options().instances(READERS).mailbox(MAILBOX).overflow(overflow)).await?;
        let writer: ActorRef<Writer> = stage.launch(options().instances(8)).await?;
        let mut random = 1u32;
        let (mut ok, mut refused) = (0, 0);
        for _ in 0..10 {
            let asks: Vec<_> = (0..8)
                .map(|w| {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let (to, count) = ((random >> 20) % READERS, 1 + (random >> 8) % 40);
                    let writer = writer.at(w);
                    async move { ask(&writer.map_err(stop)?, Write { to, count, way: 2, echo: false }).await }
                })
                .collect();
            for tried in futures::future::join_all(asks).await {
                let tried = tried?;
                (ok, refused) = (ok + tried.ok, refused + tried.full);
                same("sends to nobody", tried.gone + tried.no_instance + tried.other, 0)?;
            }
        }
        let (begin, mut dropped) = (std::time::Instant::now(), 0);
        while reader.control().messages_processed + dropped < u64::from(ok) {
            check(begin.elapsed() < PATIENCE, || {
                let processed = reader.control().messages_processed;
                format!("{overflow:?}: {processed} handled and {dropped} dropped of {ok}")
            })?;
            smol::Timer::after(Duration::from_millis(1)).await;
            dropped = reader.mailbox().dropped;
        }
        let mut notes = 0;
        for r in 0..READERS {
            let read = state::<Reader>(&reader, r).await?;
            same("repeated", read.repeated, 0)?;
            notes += read.notes;
            for w in 0..8 {
                let written = state::<Writer>(&writer, w).await?;
                let (sent, got) = (written.next[r as usize], read.next[w as usize]);
                let as_promised = if overflow == Overflow::DropOldest { got <= sent } else { got == sent };
                check(as_promised, || format!("{overflow:?}: {w} sent {sent} to {r}, which got {got}"))?;
            }
            if overflow != Overflow::DropOldest {
                same("skipped", read.skipped, 0)?;
            }
        }
        same("handled and dropped", u64::from(notes) + dropped, u64::from(ok))?;
        // Discarding may come too late for a sender.
        if overflow == Overflow::Spill {
            same("refused", refused, 0)?;
        }
        if overflow != Overflow::DropOldest {
            same("dropped", dropped, 0)?;
        }
        in_time("terminate", writer.terminate()).await?.map_err(stop)?;
        in_time("terminate", reader.terminate()).await?.map_err(stop)?;
    }
    Ok(())
}
