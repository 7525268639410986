//! Sends, replies, and what they say.

use crate::actors::{Note, Reader, ReplyToMe, Serve, Tried, Write, Writer};
use crate::stage::{Outcome, Stage, ask, check, handled, options, same, state, stop};

const READERS: u32 = 5;

/// Several writers at once, to several readers, by type and by id: each pair's notes come once and in order, and nothing is lost.
pub async fn what_one_instance_sends_another_arrives_once_and_in_order(stage: &Stage<'_>) -> Outcome {
    const ROUNDS: u32 = 12;
    const COUNT: u32 = 17;
    let reader = stage.launch::<Reader>(options().instances(READERS).mailbox(4096)).await?;
    let writer = stage.launch::<Writer>(options().instances(8)).await?;
    for round in 0..ROUNDS {
        let asks = (0..8).map(|w| {
            let writer = writer.at(w);
            async move {
                let (to, way) = ((w + round) % READERS, round % 3);
                let to = if way == 1 { 0 } else { to };
                ask(&writer.map_err(stop)?, Write { to, count: COUNT, way, echo: false }).await
            }
        });
        for tried in futures::future::join_all(asks).await {
            same("sends", tried?, Tried { ok: COUNT, ..Tried::default() })?;
        }
    }
    handled(&reader, u64::from(8 * ROUNDS * COUNT)).await?;
    let mut notes = 0;
    for r in 0..READERS {
        let read = state::<Reader>(&reader, r).await?;
        for w in 0..8 {
            let written = state::<Writer>(&writer, w).await?;
            same("notes from one to another", read.next[w as usize], written.next[r as usize])?;
        }
        same("repeated, skipped, strangers", (read.repeated, read.skipped, read.strangers), (0, 0, 0))?;
        notes += read.notes;
    }
    same("notes", notes, 8 * ROUNDS * COUNT)?;
    same("faults", reader.control().errors_encountered + writer.control().errors_encountered, 0)
}

/// A reply goes to the instance that sent, and so in order; asked by the host a handler has nobody to reply to.
pub async fn a_reply_goes_to_the_instance_that_sent_and_to_nobody_where_the_host_did(
    stage: &Stage<'_>,
) -> Outcome {
    let reader = stage.launch::<Reader>(options().instances(3)).await?;
    let writer = stage.launch::<Writer>(options().instances(4)).await?;
    for w in 0..4 {
        for to in 0..3 {
            let tried =
                ask(&writer.at(w).map_err(stop)?, Write { to, count: 10 + w, way: 2, echo: true }).await?;
            same("sends", tried, Tried { ok: 10 + w, ..Tried::default() })?;
        }
    }
    // 4 asks, and the echoes.
    let notes = 3 * (10 + 11 + 12 + 13);
    handled(&reader, notes).await?;
    handled(&writer, 12 + notes).await?;
    for w in 0..4 {
        let written = state::<Writer>(&writer, w).await?;
        same("echoes", (written.echoes, written.disorder), (3 * (10 + w), 0))?;
        same("by reader", written.echoed[..3].to_vec(), vec![10 + w; 3])?;
    }
    check(ask(&writer, ReplyToMe { number: 1 }).await?, || "a reply to the host was sent somewhere".into())?;
    // A note of the host's has no sender.
    reader.tell(Note { number: 0, echo: true }).await.map_err(stop)?;
    handled(&reader, notes + 1).await?;
    same("strangers", state::<Reader>(&reader, 0).await?.strangers, 1)
}

/// A reply is a message like any other: it can be replied to, and so on.
pub async fn a_reply_to_a_reply_goes_to_who_sent_that(stage: &Stage<'_>) -> Outcome {
    let writer = stage.launch::<Writer>(options().instances(3)).await?;
    let reader = stage.launch::<Reader>(options().instances(3)).await?;
    for w in 0..3 {
        let served = ask(&writer.at(w).map_err(stop)?, Serve { to: 2 - w, left: 19 + 10 * w }).await?;
        check(served, || "there is nobody to play with".into())?;
    }
    // Half of 20, 30 and 40 each, and the serves.
    handled(&reader, 45).await?;
    handled(&writer, 45 + 3).await?;
    for w in 0..3 {
        let (writer, reader) = (state::<Writer>(&writer, w).await?, state::<Reader>(&reader, 2 - w).await?);
        same("balls", (writer.balls, reader.balls), (10 + 5 * w, 10 + 5 * w))?;
        same("refused", (writer.disorder, reader.unanswered), (0, 0))?;
    }
    Ok(())
}

/// A send says what became of it: nobody is connected, no such instance.
pub async fn a_send_that_reaches_nobody_says_why(stage: &Stage<'_>) -> Outcome {
    let writer = stage.launch::<Writer>(options()).await?;
    for way in 0..3 {
        let tried = ask(&writer, Write { to: 0, count: 2, way, echo: false }).await?;
        same("nobody is there", tried, Tried { gone: 2, ..Tried::default() })?;
    }
    let reader = stage.launch::<Reader>(options().instances(READERS)).await?;
    for to in [READERS, READERS + 1, u32::MAX] {
        let tried = ask(&writer, Write { to, count: 2, way: 0, echo: false }).await?;
        same("no such instance", tried, Tried { no_instance: 2, ..Tried::default() })?;
    }
    let tried = ask(&writer, Write { to: READERS - 1, count: 2, way: 0, echo: false }).await?;
    same("the last instance", tried, Tried { ok: 2, ..Tried::default() })?;
    handled(&reader, 2).await?;
    same("what was refused is not handled", state::<Reader>(&reader, READERS - 1).await?.notes, 2)
}
