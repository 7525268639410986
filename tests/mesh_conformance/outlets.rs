//! What handlers say other than by sending: outputs, publications, and messages that lie until they are asked for.

use crate::actors::{Fetch, Fetched, Hoarder, Listener, News, Pack, Packer, Speak, Speaker};
use crate::stage::{Outcome, PATIENCE, Stage, ask, check, handled, in_time, options, same, state, stop};
use futures::StreamExt;
use ringkernel::ActorRef;
use ringkernel::pubsub::Publisher;
use ringkernel_tests::machine::Stop;
use std::time::{Duration, Instant};

/// Outputs come as a stream, each instance's in order, and say when; the stream ends with the kernel.
pub async fn outputs_come_in_their_instances_order_and_end_with_the_kernel(stage: &Stage<'_>) -> Outcome {
    const COUNT: u32 = 40;
    let speaker = stage.launch::<Speaker>(options().instances(3)).await?;
    let mut outputs = speaker.outputs::<News>().map_err(stop)?;
    for round in 0..5 {
        for instance in 0..3 {
            let said = ask(&speaker.at(instance).map_err(stop)?, Speak { how: 0, count: COUNT }).await?;
            same("taken by the host", said, COUNT)?;
        }
        let mut next = [round * COUNT; 3];
        let mut last = None;
        for _ in 0..3 * COUNT {
            let output = in_time("an output", outputs.next()).await?;
            let output = output.ok_or("the stream ended".to_owned())?.map_err(stop)?;
            let of = &mut next[output.instance as usize];
            same("an instance's output", output.message.number, *of)?;
            *of += 1;
            check(
                last < Some((output.instance, output.at))
                    || last.is_some_and(|(of, _)| of != output.instance),
                || format!("{output:?} after {last:?}"),
            )?;
            last = Some((output.instance, output.at));
        }
    }
    same("missed", outputs.missed(), 0)?;
    in_time("terminate", speaker.terminate()).await?.map_err(stop)?;
    let end = in_time("the end", outputs.next()).await?;
    check(end.is_none(), || format!("after the end: {end:?}"))
}

/// What is published reaches handlers and the host, at most once and in order; what was retained comes first to who subscribes later.
pub async fn what_a_handler_publishes_reaches_handlers_and_the_host_in_order(stage: &Stage<'_>) -> Outcome {
    const COUNT: u32 = 60;
    let topics = stage.runtime.topics();
    let speaker = stage.launch::<Speaker>(options()).await?;
    let listener = stage.launch::<Listener>(options().instances(2)).await?;
    let mut host = topics.subscribe::<News>("talk/+").await.map_err(stop)?;
    let second = listener.at(1).map_err(stop)?;
    let actor = topics.subscribe_actor::<News, _>(&second, "talk/news").await.map_err(stop)?;
    same("reached all", ask(&speaker, Speak { how: 1, count: COUNT }).await?, COUNT)?;
    for number in 0..COUNT {
        let published = in_time("a message", host.next()).await?.ok_or("the stream ended".to_owned())?;
        same("news", (published.message.number, published.missed, published.retained), (number, 0, false))?;
        same("its topic", published.topic.as_str(), "talk/news")?;
        let expected = Publisher::Kernel { id: "speaker", number: speaker.number(), instance: 0 };
        same("its publisher", published.publisher, expected)?;
    }
    handled(&listener, u64::from(COUNT)).await?;
    let expected = Listener { news: COUNT, last: COUNT - 1, disorder: 0 };
    same("the listener", state::<Listener>(&listener, 1).await?, expected)?;
    same("who has not subscribed", state::<Listener>(&listener, 0).await?, Listener::default())?;
    same("missed", actor.missed(), 0)?;

    // The last of three is retained, and the host has all three.
    same("reached all", ask(&speaker, Speak { how: 2, count: 3 }).await?, 3)?;
    for number in COUNT..COUNT + 3 {
        let published = in_time("a message", host.next()).await?.ok_or("the stream ended".to_owned())?;
        same("news", (published.message.number, published.retained), (number, false))?;
    }
    let mut later = topics.subscribe::<News>("talk/last").await.map_err(stop)?;
    let first = in_time("what is retained", later.next()).await?.ok_or("the stream ended".to_owned())?;
    same("retained", (first.message.number, first.retained), (COUNT + 2, true))?;

    // Without the subscription the handler is soon not called any more, and the host still hears everything.
    drop(actor);
    let (mut said, mut heard) = (0, COUNT);
    loop {
        same("reached all", ask(&speaker, Speak { how: 1, count: 1 }).await?, 1)?;
        let published = in_time("a message", host.next()).await?.ok_or("the stream ended".to_owned())?;
        same("the host's", published.message.number, COUNT + 3 + said)?;
        smol::Timer::after(Duration::from_millis(10)).await;
        let news = state::<Listener>(&listener, 1).await?.news;
        if news == heard {
            break;
        }
        (heard, said) = (news, said + 1);
        check(said < 1000, || "the handler is still called".into())?;
    }
    topics.clear_retained("talk/#").map_err(stop)?;
    Ok(())
}

/// An actor that has no room misses messages, which is counted, and the publisher is told.
pub async fn an_actor_without_room_misses_publications_and_they_are_counted(stage: &Stage<'_>) -> Outcome {
    let topics = stage.runtime.topics();
    let speaker = stage.launch::<Speaker>(options()).await?;
    let small = options().mailbox(8).without_auto_activate();
    let listener = stage.launch::<Listener>(small).await?;
    let actor = topics.subscribe_actor::<News, _>(&listener, "talk/news").await.map_err(stop)?;
    same("reached all", ask(&speaker, Speak { how: 1, count: 20 }).await?, 8)?;
    same("missed", actor.missed(), 12)?;
    in_time("activate", listener.activate()).await?.map_err(stop)?;
    handled(&listener, 8).await?;
    same("the listener", state::<Listener>(&listener, 0).await?, Listener { news: 8, last: 7, disorder: 0 })?;
    same("reached all", ask(&speaker, Speak { how: 1, count: 4 }).await?, 4)?;
    handled(&listener, 12).await?;
    same("missed", actor.missed(), 12)
}

/// Fetches so many. What the host asks is not ordered with what kernels send, so the first may come up short.
async fn fetch(from: &ActorRef<Hoarder>, count: u32) -> Result<Fetched, Stop> {
    let mut all = Fetched { count: 0, weight: 0, disorder: 0 };
    let begin = Instant::now();
    while all.count < count {
        check(begin.elapsed() < PATIENCE, || format!("only {all:?}, and no more come"))?;
        let some = ask(from, Fetch { most: count - all.count }).await?;
        all.count += some.count;
        all.weight += some.weight;
        all.disorder += some.disorder;
    }
    Ok(all)
}

/// A message without a handler waits, in order, until a handler asks for it; other messages go by meanwhile.
pub async fn a_message_without_a_handler_waits_until_it_is_asked_for(stage: &Stage<'_>) -> Outcome {
    let hoarder = stage.launch::<Hoarder>(options().instances(2)).await?;
    let packer = stage.launch::<Packer>(options()).await?;
    let nothing = Fetched { count: 0, weight: 0, disorder: 0 };
    same("nothing yet", ask(&hoarder, Fetch { most: 5 }).await?, nothing)?;
    for to in [0, 1] {
        same("packed", ask(&packer, Pack { to, count: 20 }).await?, 20)?;
    }
    let second = hoarder.at(1).map_err(stop)?;
    same("some", fetch(&second, 6).await?, Fetched { count: 6, weight: 60 + 15, disorder: 0 })?;
    let rest = (6..20).map(|n| n + 10).sum::<u32>();
    same("the rest", fetch(&second, 14).await?, Fetched { count: 14, weight: rest, disorder: 0 })?;
    same("no more", ask(&second, Fetch { most: 100 }).await?, nothing)?;
    let all = (0..20).map(|n| n + 10).sum::<u32>();
    same("the other's", fetch(&hoarder, 20).await?, Fetched { count: 20, weight: all, disorder: 0 })?;
    same("no more of the other's", ask(&hoarder, Fetch { most: 100 }).await?, nothing)?;
    same("faults", hoarder.control().errors_encountered, 0)
}
