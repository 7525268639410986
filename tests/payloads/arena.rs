//! Messages that no slot carries, on the backends that have other memory for them.

use crate::depot::{Depot, DepotProxy, Freight, Look, Stored};
use crate::depot::{archive, expected, freight, native, numbers, tampered};
use crate::raw::Raw;
use crate::{check, text};
use futures::{StreamExt, TryStreamExt, poll};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestRunner};
use ringkernel::prelude::*;
use ringkernel::{DeviceError, DeviceType, Mode};
use ringkernel_backends::abi::{FaultKind, Origin};
use ringkernel_backends::payload::{PayloadArena, Reference};
use ringkernel_tests::machine::{BACKENDS, Collection, Machine, Stop, backend_name, env_or};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub fn add(tests: &mut Collection) {
    for backend in BACKENDS {
        let on = |what: &str| format!("payloads::{}::{what}", backend_name(backend));
        tests.add(
            on("messages_around_and_beyond_what_a_slot_carries_arrive_whole_and_in_order"),
            move |machine| {
                with_depot(machine, backend, LaunchOptions::default(), move |depot| sizes(backend, depot))
            },
        );
        tests.add(
            on("many_large_messages_are_under_way_and_their_memory_is_used_again_and_again"),
            move |machine| {
                let options =
                    LaunchOptions::default().instances(5).queue_capacity(16).payload_memory(48 << 10);
                with_depot(machine, backend, options, again_and_again)
            },
        );
        tests.add(
            on("who_finds_the_arena_full_waits_but_for_try_tell_and_what_never_fits_is_an_error"),
            move |machine| {
                let options = LaunchOptions::default().payload_memory(4096).without_auto_activate();
                with_depot(machine, backend, options, full)
            },
        );
        tests.add(on("senders_of_every_kind_take_turns_in_a_small_arena"), move |machine| {
            let options = LaunchOptions::default().instances(4).queue_capacity(4).payload_memory(5000);
            with_depot(machine, backend, options, turns)
        });
        tests.add(on("who_waits_for_each_reply_needs_room_for_one_payload"), move |machine| {
            let options = LaunchOptions::default().payload_memory(archive(&numbers(500)).len() as u64 + 8);
            with_depot(machine, backend, options, one_by_one)
        });
        tests.add(on("many_requests_wait_for_the_room_that_their_own_replies_make"), move |machine| {
            let options =
                LaunchOptions::default().payload_memory(3 * archive(&numbers(500)).len() as u64 + 40);
            with_depot(machine, backend, options, own_replies)
        });
        tests.add(on("a_payload_that_waits_stays_while_its_kernel_is_away"), move |machine| {
            with_depot(machine, backend, LaunchOptions::default(), move |depot| away(backend, depot))
        });
        tests.add(on("a_large_message_brings_an_event_driven_kernel_back"), move |machine| {
            let mode = Mode::EventDriven { idle_after: Duration::from_millis(1) };
            with_depot(machine, backend, LaunchOptions::default().mode(mode), brought_back)
        });
        tests.add(on("references_that_nobody_gave_are_malformed_and_take_nothing"), move |_| forged(backend));
        tests.add(on("what_another_kernel_says_lies_in_the_arena_is_not_looked_for"), move |_| {
            foreign(backend)
        });
        tests.add(on("archives_in_the_arena_are_refused_as_the_cpu_refuses_them"), move |_| refused(backend));
    }
    tests.add(
        "payloads::cuda::messages_small_and_large_beside_a_quiesce_each_keep_the_state".into(),
        |machine| with_depot(machine, Backend::Cuda, LaunchOptions::default(), beside_quiesces),
    );
    tests.add("payloads::cuda::memory_that_cannot_be_had_is_an_error_of_the_launch".into(), |machine| {
        let runtime = machine.runtime(Backend::Cuda)?;
        let launched =
            smol::block_on(Depot::launch(&runtime, LaunchOptions::default().payload_memory(1 << 60)));
        match launched {
            Err(RingKernelError::Device { error: DeviceError::OutOfMemory { bytes, what }, .. }) => {
                check(&(bytes, what.contains("payloads of `depot`")), &(1 << 60, true))
            }
            other => Err(Stop::Failed(format!("{other:?}"))),
        }
    });
}

fn with_depot(
    machine: &Machine,
    backend: Backend,
    options: LaunchOptions,
    test: impl AsyncFnOnce(DepotProxy) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let runtime = machine.runtime(backend)?;
    smol::block_on(async {
        let depot = Depot::launch(&runtime, options).await.map_err(text)?;
        test(depot.clone()).await?;
        depot.terminate().await.map_err(text)
    })
}

async fn sizes(backend: Backend, depot: DepotProxy) -> Result<(), Stop> {
    let sizes: Vec<u32> = (0..80).chain([200, 1000, 5000, 60_000]).collect();
    let is_small = |size: &u32| archive(&freight(*size)).len() <= Freight::SIZE as usize;
    let (below, above): (Vec<u32>, Vec<u32>) = sizes.iter().partition(|size| is_small(size));
    check(&(below.len() > 20 && above.len() > 20), &true)?;
    let all = expected(sizes.iter().chain(&sizes).chain(&sizes).map(|size| freight(*size)));
    let (first, rest) = all.split_at(sizes.len());
    let (told, last) = rest.split_at(sizes.len());
    for (size, stored) in sizes.iter().zip(first) {
        check(&depot.store(freight(*size)).await, &Ok(*stored))?;
    }
    for size in &sizes[..40] {
        depot.tell(freight(*size)).await.map_err(text)?;
    }
    depot.tell_many(sizes[40..].iter().map(|size| freight(*size))).await.map_err(text)?;
    let replies: Vec<Stored> =
        depot.ask_many(sizes.iter().map(|size| freight(*size))).try_collect().await.map_err(text)?;
    check(&(replies[0].number as usize, told.len()), &(2 * sizes.len() + 1, sizes.len()))?;
    check(&replies, &last.to_vec())?;
    // The largest there may be, and one more. (llvmpipe would cut its handler's loop short.)
    let most = (1 << 20) / 4 - 10;
    let most = (most..).take_while(|n| archive_length(*n) <= 1 << 20).last().unwrap_or(most);
    if backend != Backend::Wgpu {
        let stored = depot.store(numbers(most)).await.map_err(text)?;
        check(&(stored.weights, stored.sum), &(most, expected([numbers(most)])[0].sum))?;
    }
    match depot.store(numbers(most + 2)).await {
        Err(RingKernelError::PayloadTooLarge(error)) => check(&error.most, &(1 << 20)),
        other => Err(Stop::Failed(format!("{other:?}"))),
    }
}

/// Bytes of an archive of nothing but so many numbers.
fn archive_length(numbers: u32) -> u64 {
    const { assert!(Freight::LARGEST == 1 << 20) };
    (u64::from(numbers) * 4).next_multiple_of(8) + 32
}

async fn again_and_again(depot: DepotProxy) -> Result<(), Stop> {
    let count = env_or("RINGKERNEL_PAYLOADS", 2000) as u32;
    // Between 300 and 1900 bytes: at most 24 of them, of which no more are asked for at once.
    let size = |n: u32| 70 + n.wrapping_mul(2_654_435_761) % 400;
    let messages = || (0..count).map(|n| (n % 5, numbers(size(n))));
    let sums: Vec<u32> = expected(messages().map(|(_, message)| message)).iter().map(|s| s.sum).collect();
    let mut replies = depot.ask_many_at(messages()).in_flight(16);
    let mut n = 0;
    while let Some(reply) = replies.next().await {
        let stored = reply.map_err(|error| Stop::Failed(format!("message {n}: {error}")))?;
        check(&(stored.number, stored.sum), &(n / 5 + 1, sums[n as usize]))?;
        n += 1;
    }
    check(&n, &count)
}

async fn full(depot: DepotProxy) -> Result<(), Stop> {
    let fits = || numbers(600);
    depot.tell(fits()).await.map_err(text)?;
    let numbers_of = |error: RingKernelError| match error {
        RingKernelError::PayloadMemory { id: "depot", error } => Ok((error.bytes, error.most)),
        other => Err(Stop::Failed(other.to_string())),
    };
    let there_was_room = || Stop::Failed("there was room".into());
    let refused = depot.try_tell(fits()).err().ok_or_else(there_was_room)?;
    check(&numbers_of(refused.reason)?, &(archive(&fits()).len() as u64, 4096))?;
    // What never has room, full or not.
    let never = || numbers(1100);
    let known = (archive(&never()).len() as u64, 4096);
    let failed = async || {
        let told = depot.tell(never()).await.err();
        let many = depot.tell_many([never()]).await.err().map(RingKernelError::from);
        let asked = depot.store(never()).await.err();
        let tried = depot.try_tell(never()).err().map(|refused| refused.reason);
        let one_of_many = depot.ask_many([never()]).next().await.and_then(Result::err);
        [told, many, asked, tried, one_of_many]
    };
    for error in failed().await {
        check(&numbers_of(error.ok_or_else(there_was_room)?)?, &known)?;
    }
    // All else waits, until there is room; what slots carry goes on.
    let (mut told, mut many) = (pin!(depot.tell(fits())), pin!(depot.tell_many([numbers(9), fits()])));
    let (mut asked, mut replies) = (pin!(depot.store(fits())), depot.ask_many([fits(), numbers(9), fits()]));
    check(&(poll!(&mut told).is_pending() && poll!(&mut many).is_pending()), &true)?;
    check(&(poll!(&mut asked).is_pending() && poll!(replies.next()).is_pending()), &true)?;
    let dropped = depot.ask_timeout(fits(), Duration::from_millis(1)).await;
    check(&matches!(dropped, Err(RingKernelError::Timeout { may_have_run: false, .. })), &true)?;
    depot.activate().await.map_err(text)?;
    check(&depot.look(Look { words: [1, 2, 3] }).await, &Ok(6))?;
    let replies = replies.try_collect::<Vec<Stored>>();
    let (told, many, asked, replies) = futures::join!(told, many, asked, replies);
    told.map_err(text)?;
    many.map_err(text)?;
    check(&asked.map(|stored| stored.weights), &Ok(600))?;
    check(&replies.map_err(text)?.len(), &3)?;
    for error in failed().await {
        check(&numbers_of(error.ok_or_else(there_was_room)?)?, &known)?;
    }
    let stored = depot.store(numbers(1000)).await.map_err(text)?;
    // One that was there first, one told, two of many, one asked, three of many.
    check(&(stored.number, stored.weights), &(9, 1000))
}

async fn turns(depot: DepotProxy) -> Result<(), Stop> {
    let each = (env_or("RINGKERNEL_PAYLOADS", 2000) as u32 / 40).next_multiple_of(5);
    // Up to 4000 bytes: of the largest there is room for one.
    let message = |n: u32| numbers(9 + n.wrapping_mul(2_654_435_761) % 950);
    let threads: Vec<_> = (0..4)
        .map(|sender| -> Result<_, Stop> {
            let own = depot.at(sender).map_err(text)?;
            Ok(std::thread::spawn(move || -> Result<(), String> {
                for n in (0..each).step_by(5) {
                    let mut messages = (n..n + 5).map(message);
                    match sender {
                        0 => own.tell_many_blocking(messages).map_err(|error| error.to_string()),
                        1 => messages
                            .try_for_each(|message| own.tell_blocking(message))
                            .map_err(|e| e.to_string()),
                        2 => {
                            let replies: Result<Vec<_>, _> = own.ask_many(messages).blocking().collect();
                            let numbers = replies.map(|all| all.iter().map(|one| one.number).collect());
                            (numbers == Ok((n + 1..n + 6).collect::<Vec<_>>()))
                                .then_some(())
                                .ok_or_else(|| format!("{numbers:?} behind {n}"))
                        }
                        _ => smol::block_on(async {
                            for message in messages {
                                own.tell(message).await?;
                            }
                            Ok(())
                        })
                        .map_err(|error: RingKernelError| error.to_string()),
                    }?;
                }
                Ok(())
            }))
        })
        .collect::<Result<_, _>>()?;
    for thread in threads {
        smol::unblock(|| thread.join())
            .await
            .map_err(|_| "a thread panicked")
            .map_err(text)?
            .map_err(Stop::Failed)?;
    }
    // All came.
    let all = expected((0..each).chain([0]).map(message));
    for sender in 0..4 {
        let last = depot.at(sender).map_err(text)?.store(message(0)).await;
        check(&last, &Ok(all[each as usize]))?;
    }
    Ok(())
}

async fn one_by_one(depot: DepotProxy) -> Result<(), Stop> {
    for n in 1..=300 {
        check(&depot.store(numbers(500)).await.map(|stored| stored.number), &Ok(n))?;
    }
    Ok(())
}

async fn own_replies(depot: DepotProxy) -> Result<(), Stop> {
    // Every third is for the arena, every seventh for nobody, and one is larger than the arena.
    let message = |n: u32| (u32::from(n % 7 == 5), numbers(if n.is_multiple_of(3) { 500 } else { 9 }));
    let messages = || (0..400).map(message).chain([(0, numbers(2000))]).chain((401..500).map(message));
    let mut number = 0;
    let replies: Vec<_> = depot.ask_many_at(messages()).collect().await;
    check(&replies.len(), &500)?;
    for ((instance, message), reply) in messages().zip(replies) {
        match (instance, reply) {
            (1, Err(RingKernelError::NoSuchInstance { instance: 1, .. })) => {}
            (0, Err(RingKernelError::PayloadMemory { .. })) if message.weights.len() == 2000 => {}
            (_, reply) => {
                number += 1;
                let stored = reply.map_err(|error| Stop::Failed(format!("message {number}: {error}")))?;
                check(&(stored.number, stored.weights as usize), &(number, message.weights.len()))?;
            }
        }
    }
    // Dropped half way, it takes no room.
    let mut replies = depot.ask_many((0..20).map(|_| numbers(500)));
    check(&replies.next().await.is_some_and(|reply| reply.is_ok()), &true)?;
    drop(replies);
    // Behind those that were handed over.
    depot.store(numbers(9)).await.map_err(text)?;
    let stored: Vec<Stored> =
        depot.ask_many((0..20).map(|_| numbers(500))).try_collect().await.map_err(text)?;
    check(&stored.len(), &20)
}

async fn away(backend: Backend, depot: DepotProxy) -> Result<(), Stop> {
    let quiesce = || match backend {
        Backend::Cuda => ringkernel_backends::cuda::quiesce(0, 3).map(drop).map_err(text),
        _ => Ok(()),
    };
    let known = expected((0..90).map(|n| freight(n * 3)));
    for round in 0..3u32 {
        depot.deactivate().await.map_err(text)?;
        let mut replies = depot.ask_many((0..30).map(|n| freight((round * 30 + n) * 3)));
        check(&replies.hand_over(), &30)?;
        quiesce()?;
        // An image has what was handled, and not what waits.
        let image = depot.image().await.map_err(text)?;
        check(&image.instances(), &1)?;
        depot.activate().await.map_err(text)?;
        quiesce()?;
        let stored: Vec<Stored> = replies.try_collect().await.map_err(text)?;
        check(&stored, &known[round as usize * 30..][..30].to_vec())?;
    }
    Ok(())
}

async fn beside_quiesces(depot: DepotProxy) -> Result<(), Stop> {
    let over = Arc::new(AtomicBool::new(false));
    let quiesces = std::thread::spawn({
        let over = over.clone();
        move || {
            let mut outcome = Ok(());
            // Relaxed: seen a little later is soon enough.
            while outcome.is_ok() && !over.load(Ordering::Relaxed) {
                outcome =
                    ringkernel_backends::cuda::quiesce(0, 1).map(drop).map_err(|error| error.to_string());
            }
            outcome
        }
    });
    let mut outcome = Ok(());
    for n in 1..=500 {
        let stored = depot.store(numbers(if n % 2 == 0 { 9 } else { 500 })).await;
        outcome = outcome.and(check(&stored.map(|stored| stored.number), &Ok(n)));
    }
    over.store(true, Ordering::Relaxed);
    let quiesced = quiesces.join().unwrap_or_else(|_| Err("a thread panicked".into()));
    outcome.and(quiesced.map_err(Stop::Failed))
}

async fn brought_back(depot: DepotProxy) -> Result<(), Stop> {
    let known = expected((0..5).map(|n| freight(100 + n)));
    for (n, stored) in (0..).zip(known) {
        smol::Timer::after(Duration::from_millis(20)).await;
        check(&depot.store(freight(100 + n)).await, &Ok(stored))?;
    }
    Ok(())
}

fn forged(backend: Backend) -> Result<(), Stop> {
    let mut raw = Raw::launch(backend, 4096)?;
    let (tag, arena) = (Freight::TAG, raw.arena()?);
    let malformed = Err(FaultKind::Malformed);
    let none = [0; 12];
    check(&raw.ask(tag, &none)?, &malformed)?;
    let payload = archive(&numbers(100));
    let good = arena.put(&payload).map_err(text)?.to_bytes();
    let used = arena.used();
    // Index, generation and length, each of its four bytes, and pairs of them.
    for at in 0..12 {
        for value in [1, 8, 0x80, 0xff] {
            let mut bytes = good;
            bytes[at] ^= value;
            check(&raw.ask(tag, &bytes)?, &malformed)?;
            bytes[(at + 5) % 12] ^= value;
            check(&raw.ask(tag, &bytes)?, &malformed)?;
        }
    }
    // Neither one of another type nor one of another length is a reference.
    let sum = good.chunks_exact(4).map(|four| u32::from_le_bytes(four.try_into().unwrap_or_default()));
    check(&raw.ask(Look::TAG, &good)?, &Ok(vec![sum.fold(0, u32::wrapping_add)]))?;
    check(&raw.ask(tag, &good[..8])?, &malformed)?;
    check(&raw.ask(tag, &[&good[..], &[0; 8]].concat())?, &malformed)?;
    check(&arena.used(), &used)?;
    // All that time it waited. Once is once, also for two that come together.
    let first = raw.push(tag, &good)?;
    let second = raw.push(tag, &good)?;
    check(&raw.reply(first)?.map(|words| words[1]), &Ok(100))?;
    check(&raw.reply(second)?, &malformed)?;
    check(&raw.ask(tag, &good)?, &malformed)?;
    // Its place was used again since, or withdrawn.
    for _ in 0..3 {
        let next = arena.put(&payload).map_err(text)?;
        check(&raw.ask(tag, &good)?, &malformed)?;
        check(&raw.ask(tag, &next.to_bytes())?.is_ok(), &true)?;
        let withdrawn = arena.put(&payload).map_err(text)?;
        arena.withdraw(withdrawn);
        check(&raw.ask(tag, &withdrawn.to_bytes())?, &malformed)?;
    }
    check(&arena.used(), &0)?;
    raw.end()
}

fn foreign(backend: Backend) -> Result<(), Stop> {
    let mut raw = Raw::launch(backend, 4096)?;
    let (tag, arena) = (Freight::TAG, raw.arena()?);
    let good = arena.put(&archive(&numbers(100))).map_err(text)?;
    let used = arena.used();
    let forwarded = Origin::Forwarded { kernel: 5, index: 77 }.into();
    raw.push_from(forwarded, tag, &good.to_bytes())?;
    check(&raw.reply(forwarded)?, &Err(FaultKind::Malformed))?;
    raw.push_from(Origin::Kernel { kernel: 5, instance: 0 }.into(), tag, &good.to_bytes())?;
    check(&raw.ask(Look::TAG, &[0; 12])?, &Ok(vec![0]))?;
    check(&arena.used(), &used)?;
    check(&raw.ask(tag, &good.to_bytes())?.map(|words| words[..2].to_vec()), &Ok(vec![1, 100]))?;
    raw.end()
}

fn refused(backend: Backend) -> Result<(), Stop> {
    let mut raw = Raw::launch(backend, 64 << 10)?;
    let arena = raw.arena()?;
    let mut depot = Depot::default();
    let (mut sound, mut unsound) = (0, 0);
    let mut put = |arena: &dyn PayloadArena, raw: &mut Raw, bytes: &[u8]| -> Result<(), Stop> {
        let reference: Reference = arena.put(bytes).map_err(text)?;
        let found = raw.ask(Freight::TAG, &reference.to_bytes())?;
        let wanted = native(&mut depot, bytes).map(|stored| vec![stored.number, stored.weights, stored.sum]);
        *if wanted.is_some() { &mut sound } else { &mut unsound } += 1;
        check(&found, &wanted.ok_or(FaultKind::Malformed))
    };
    for length in 0..40 {
        put(&*arena, &mut raw, &vec![0xff; length])?;
        put(&*arena, &mut raw, &vec![0; length])?;
    }
    for more in 1..8 {
        put(&*arena, &mut raw, &[archive(&numbers(100)), vec![0; more]].concat())?;
    }
    let cases = env_or("RINGKERNEL_PAYLOADS", 2000) as u32 / 5;
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    for _ in 0..cases {
        let bytes = tampered().new_tree(&mut runner).map_err(text)?.current();
        put(&*arena, &mut raw, &bytes)?;
    }
    // Whatever became of them, their memory came back.
    check(&arena.used(), &0)?;
    check(&(sound > cases / 20 && unsound > cases / 20), &true)?;
    raw.end()
}
