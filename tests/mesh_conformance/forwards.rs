//! Requests that are handed on.

use crate::actors::{Answer, First, Question, Second, Third};
use crate::stage::{Outcome, Stage, ask, check, handled, in_time, options, same, state, stop};
use futures::TryStreamExt;
use ringkernel::prelude::*;
use ringkernel_tests::machine::Stop;
use std::pin::pin;

/// Through a chain of three kernels, by one asker and by many at once.
pub async fn a_request_that_is_handed_on_is_answered_once_by_whoever_has_the_duty(
    stage: &Stage<'_>,
) -> Outcome {
    let first = stage.launch::<First>(options().instances(4)).await?;
    let second = stage.launch::<Second>(options().instances(4)).await?;
    let third = stage.launch::<Third>(options().instances(4)).await?;
    for (stop_at, n) in [(1, 7), (2, 7), (3, 14)] {
        let answer = ask(&first, Question { n: 7, stop: stop_at, next: 3 }).await?;
        let instance = if stop_at == 1 { 0 } else { 3 };
        same("the answer", answer, Answer { n, by: stop_at, instance })?;
    }
    // One that cannot be handed on is answered by who was to do it.
    let answer = ask(&first, Question { n: 7, stop: 3, next: 4 }).await?;
    same("the answer", answer, Answer { n: 7, by: 1, instance: 0 })?;
    same("refused", state::<First>(&first, 0).await?.refused, 1)?;

    // Many under way: each asker gets its own answer, in the order of the questions.
    let questions = |from: u32| {
        (0..400).map(move |n| Question { n: 100 + from * 1000 + n, stop: 1 + n % 3, next: n % 4 })
    };
    let asks = (0..4u32).map(|from| {
        let first = first.at(from);
        async move {
            let first = first.map_err(stop)?;
            let answers = first.ask_many(questions(from)).in_flight(64).try_collect();
            let answers: Vec<Answer> = in_time("answers", answers).await?.map_err(stop)?;
            for (question, answer) in questions(from).zip(answers) {
                let n = if question.stop == 3 { question.n * 2 } else { question.n };
                same("an answer", (answer.n, answer.by), (n, question.stop))?;
            }
            Ok::<(), Stop>(())
        }
    });
    futures::future::try_join_all(asks).await?;
    // They are counted when a drain of the ring ends, and who takes the last answer may be there before.
    crate::stage::until("no request that still waits", || first.pending() == 0).await?;
    // How many of the 400 got as far as a stage, and of those before them.
    let reached = |stage: u32| 4 * questions(0).filter(|question| question.stop >= stage).count() as u64;
    handled(&first, 4 + reached(1)).await?;
    handled(&second, 2 + reached(2)).await?;
    handled(&third, 1 + reached(3)).await
}

/// A fault in the last handler is the asker's.
pub async fn a_fault_of_the_handler_that_a_request_was_handed_to_reaches_the_asker(
    stage: &Stage<'_>,
) -> Outcome {
    let first = stage.launch::<First>(options()).await?;
    let _second = stage.launch::<Second>(options()).await?;
    let third = stage.launch::<Third>(options()).await?;
    let fault = in_time("an answer", first.ask(Question { n: 13, stop: 3, next: 0 })).await?;
    let told =
        matches!(&fault, Err(RingKernelError::HandlerFault(fault)) if fault.file.ends_with("actors.rs"));
    check(told, || format!("the asker was told {fault:?}"))?;
    let answer = ask(&first, Question { n: 12, stop: 3, next: 0 }).await?;
    same("the next is answered", answer, Answer { n: 24, by: 3, instance: 0 })?;
    handled(&third, 2).await?;
    same("faults of the third", third.control().errors_encountered, 1)
}

/// The asker of a request that lies in the mailbox of a kernel that ends is told that it was not delivered.
pub async fn a_request_that_waits_with_a_kernel_that_ends_is_failed(stage: &Stage<'_>) -> Outcome {
    let first = stage.launch::<First>(options()).await?;
    let second = stage.launch::<Second>(options()).await?;
    second.suspend().await.map_err(stop)?;
    let mut waiting = pin!(first.ask(Question { n: 1, stop: 2, next: 0 }));
    let at_once = futures::poll!(&mut waiting);
    check(at_once.is_pending(), || format!("answered at once: {at_once:?}"))?;
    crate::stage::until("handed on", || second.mailbox().waiting == 1).await?;
    in_time("terminate", second.terminate()).await?.map_err(stop)?;
    let answer = in_time("an answer", waiting).await?;
    let told =
        matches!(&answer, Err(RingKernelError::HandlerFault(fault)) if fault.kind == FaultKind::NotDelivered);
    check(told, || format!("the asker was told {answer:?}"))?;
    let answer = ask(&first, Question { n: 1, stop: 2, next: 0 }).await?;
    same("then the first answers itself", answer, Answer { n: 1, by: 1, instance: 0 })
}
