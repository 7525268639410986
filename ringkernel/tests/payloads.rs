//! Messages of variable size through a launched kernel: every way to send one, what becomes of those that are too large, and of bytes that
//! are no message.

use futures::{StreamExt, TryStreamExt};
use ringkernel::payload::access;
use ringkernel::prelude::*;
use ringkernel::{DeviceError, Sent};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

#[derive(RingMessage, Clone, Debug, PartialEq)]
#[message(max_bytes = 2048)]
struct Post {
    author: u64,
    title: String,
    tags: Vec<u32>,
    at: Option<Place>,
    comments: Vec<Comment>,
}

#[derive(Payload, Clone, Debug, PartialEq)]
struct Place {
    x: f32,
    y: f32,
}

#[derive(Payload, Clone, Debug, PartialEq)]
struct Comment {
    author: u64,
    text: String,
    likes: Option<Vec<u64>>,
}

/// A message of fixed size beside it.
#[derive(RingMessage, Clone, Copy, Debug)]
struct Find {
    tag: u32,
}

/// An answer of variable size.
#[derive(RingMessage, Clone, Debug, PartialEq)]
#[message(max_bytes = 1024)]
struct Found {
    title: String,
    tags: Vec<u32>,
    of: Option<u64>,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
struct Sum {
    sum: u64,
    posts: u32,
}

#[ring_kernel(id = "wall")]
#[derive(Default)]
struct Wall {
    posts: u32,
    sum: u64,
}

#[ring_kernel]
impl Wall {
    #[handler]
    fn post(&mut self, _ctx: &mut RingContext, msg: &Archived<Post>) -> Sum {
        self.posts += 1;
        self.sum = self.sum.wrapping_mul(31).wrapping_add(Self::sum(msg));
        Sum { sum: self.sum, posts: self.posts }
    }

    #[handler]
    fn find(&mut self, _ctx: &mut RingContext, msg: Find) -> Found {
        Found { title: "x".repeat(msg.tag as usize), tags: vec![msg.tag; 3], of: Some(self.sum) }
    }

    /// Reads every part of a message where it lies.
    fn sum(msg: &Archived<Post>) -> u64 {
        let mut sum = msg.author.to_native() + msg.title.len() as u64;
        for tag in msg.tags.iter() {
            sum += tag.to_native() as u64;
        }
        if let Some(place) = msg.at.as_ref() {
            sum += (place.x.to_native() + place.y.to_native()) as u64;
        }
        for comment in msg.comments.iter() {
            sum +=
                comment.author.to_native() + comment.text.as_bytes().iter().map(|b| *b as u64).sum::<u64>();
            if let Some(likes) = comment.likes.as_ref() {
                sum += likes.iter().map(|like| like.to_native()).sum::<u64>();
            }
        }
        sum
    }
}

fn post(n: u64) -> Post {
    let comment = |i: u64| Comment {
        author: i,
        text: "well said".repeat(i as usize % 3),
        likes: i.is_multiple_of(2).then(|| (0..i).collect()),
    };
    Post {
        author: n,
        title: "a title".repeat((n % 30) as usize),
        tags: (0..(n % 60) as u32).collect(),
        at: n.is_multiple_of(3).then_some(Place { x: n as f32, y: 0.5 }),
        comments: (0..n % 7).map(comment).collect(),
    }
}

fn expected(posts: impl Iterator<Item = Post>) -> Sum {
    let of = |post: &Post| post.with_bytes(|bytes| access::<Post, _>(bytes, Wall::sum).unwrap()).unwrap();
    let (mut total, mut count) = (0u64, 0);
    for post in posts {
        total = total.wrapping_mul(31).wrapping_add(of(&post));
        count += 1;
    }
    Sum { sum: total, posts: count }
}

async fn wall(capacity: u32) -> (RingKernel, WallProxy) {
    let runtime = RingKernel::builder().backend(Backend::Cpu).build().await.unwrap();
    let options = LaunchOptions::default().instances(3).queue_capacity(capacity);
    let wall = Wall::launch(&runtime, options).await.unwrap();
    (runtime, wall)
}

fn too_large() -> (Post, PayloadTooLarge) {
    let post = Post { title: "x".repeat(5000), ..post(1) };
    let error = post.with_bytes(|_| ()).unwrap_err();
    assert!(error.message == "Post" && error.bytes > 5000 && error.most == 2048);
    (post, error)
}

#[test]
fn every_way_to_send_carries_messages_of_every_length_in_order() {
    smol::block_on(async {
        for capacity in [1, 16, 256] {
            let (_runtime, wall) = wall(capacity).await;
            let mut sent = Vec::new();
            let mut take = |n: std::ops::Range<u64>| {
                sent.extend(n.clone());
                n.map(post).collect::<Vec<_>>()
            };
            for post in take(0..50) {
                wall.post(post).await.unwrap();
            }
            for post in take(50..100) {
                wall.ask_blocking(post).unwrap();
            }
            for post in take(100..150) {
                wall.tell(post).await.unwrap();
            }
            for post in take(150..200) {
                wall.tell_blocking(post).unwrap();
            }
            wall.tell_many(take(200..900)).await.unwrap();
            let replies: Vec<Sum> = wall.ask_many(take(900..1500)).try_collect().await.unwrap();
            assert_eq!(replies.last(), Some(&expected((0..1500).map(post))));
            assert_eq!(replies[0], expected((0..901).map(post)));
            wall.send(post(1500)).await.unwrap();
            assert_eq!(wall.receive::<Sum>().await.unwrap(), expected((0..1501).map(post)));
            let asked = wall.ask_timeout(post(1501), std::time::Duration::from_secs(20)).await;
            assert_eq!(asked.unwrap(), expected((0..1502).map(post)));
        }
    });
}

#[test]
fn an_answer_takes_as_many_bytes_as_it_needs_too() {
    smol::block_on(async {
        let (_runtime, wall) = wall(16).await;
        for tag in [0, 1, 8, 9, 500] {
            let found = Found { title: "x".repeat(tag as usize), tags: vec![tag; 3], of: Some(0) };
            assert_eq!(wall.find(Find { tag }).await.unwrap(), found);
            assert_eq!(wall.ask_blocking(Find { tag }).unwrap(), found);
        }
        let replies: Vec<Found> =
            wall.ask_many((0..200).map(|tag| Find { tag })).try_collect().await.unwrap();
        assert!(
            replies
                .iter()
                .enumerate()
                .all(|(i, found)| found.title.len() == i && found.tags == [i as u32; 3])
        );
        // One that does not fit is a fault with the numbers.
        let error = wall.find(Find { tag: 2000 }).await.unwrap_err().to_string();
        assert!(error.contains("this `Found` takes 20") && error.contains("and 1024 are allowed"), "{error}");
    });
}

#[test]
fn a_message_that_is_too_large_is_an_error_of_its_own_request_and_nothing_else() {
    smol::block_on(async {
        let (_runtime, wall) = wall(16).await;
        let (large, error) = too_large();
        let error = RingKernelError::PayloadTooLarge(error);
        assert_eq!(wall.post(large.clone()).await, Err(error.clone()));
        assert_eq!(wall.tell(large.clone()).await, Err(error.clone()));
        assert_eq!(wall.ask_blocking(large.clone()), Err(error.clone()));
        assert_eq!(wall.tell_blocking(large.clone()), Err(error.clone()));
        assert_eq!(wall.send(large.clone()).await, Err(error.clone()));
        let refused = wall.try_tell(large.clone()).unwrap_err();
        assert_eq!((refused.message, refused.reason), (large.clone(), error.clone()));
        let stopped = wall.tell_many([post(0), large.clone(), post(1)]).await.unwrap_err();
        assert_eq!((stopped.sent, stopped.reason), (1, error.clone()));
        let (at, outside) = (|post| (0, post), (3, post(2)));
        let messages = [at(post(1)), at(large.clone()), outside, at(large), at(post(2))];
        let replies: Vec<_> = wall.ask_many_at(messages).collect().await;
        assert_eq!(replies[0], Ok(expected((0..2).map(post))));
        assert_eq!((&replies[1], &replies[3]), (&Err(error.clone()), &Err(error)));
        assert!(matches!(replies[2], Err(RingKernelError::NoSuchInstance { instance: 3, .. })));
        assert_eq!(replies[4], Ok(expected((0..3).map(post))));
        assert_eq!(wall.control().messages_processed, 3);
        assert_eq!(wall.pending(), 0);
    });
}

#[test]
fn a_context_says_that_a_message_is_too_large() {
    let mut ctx = RingContext::detached(0);
    assert_eq!(ctx.send::<Wall>(0, too_large().0), Sent::TooLarge);
    assert_eq!(ctx.send::<Wall>(0, post(1)), Sent::Gone);
}

#[test]
fn devices_that_have_no_code_for_an_actor_say_why() {
    let descriptor = <Wall as ringkernel::Actor>::DESCRIPTOR;
    let handler = descriptor.handlers[0];
    assert!(handler.message.variable && handler.message.size == 2048);
    match descriptor.check_compiled(|| "a GPU".into()) {
        Ok(()) => assert!(!Wall::PTX.is_empty()),
        Err(DeviceError::Unsupported { actor, what, .. }) => {
            assert_eq!(actor, "Wall");
            assert!(what.starts_with("the CPU backend (its handler `"), "{what}");
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn malformed_archives_fault_before_the_handler_runs() {
    let descriptor = <Wall as ringkernel::Actor>::DESCRIPTOR;
    let tag = Post::TAG;
    let mut wall = Wall::default();
    let mut dispatch = |bytes: &[u8]| {
        let mut ctx = RingContext::detached(0);
        let mut reply = vec![0; descriptor.reply_size() as usize];
        let result = ringkernel::Actor::dispatch(&mut wall, &mut ctx, tag, bytes, &mut reply);
        (result, wall.posts)
    };
    let good = post(4).with_bytes(<[u8]>::to_vec).unwrap();
    assert_eq!(dispatch(&good).1, 1);
    for bytes in [&good[..good.len() - 8], &good[8..], &good[..4], &[], &vec![0xff; 2048]] {
        // Without its first bytes, offsets lead out of it; without its last, its root is something else.
        assert_eq!(dispatch(bytes), (Err(FaultKind::Malformed), 1));
    }
}

/// Larger than any slot.
#[derive(RingMessage, Clone, Debug, PartialEq)]
#[message(max_bytes = 4 << 20, inline_bytes = 512)]
struct Image {
    name: String,
    pixels: Vec<u32>,
}

#[ring_kernel(id = "gallery")]
#[derive(Default)]
struct Gallery {
    images: u32,
    sum: u64,
}

#[ring_kernel]
impl Gallery {
    #[handler]
    fn hang(&mut self, _ctx: &mut RingContext, msg: &Archived<Image>) -> u64 {
        self.images += 1;
        for pixel in msg.pixels.iter() {
            self.sum = self.sum.wrapping_mul(31).wrapping_add(pixel.to_native() as u64);
        }
        self.sum = self.sum.wrapping_add(msg.name.len() as u64);
        self.sum
    }
}

fn image(n: u32) -> Image {
    // Every third fits a slot, the others take up to 200 KiB.
    let pixels = if n.is_multiple_of(3) { n % 100 } else { 200 + n * 997 % 50_000 };
    Image { name: "x".repeat(n as usize % 20), pixels: (n..n + pixels).collect() }
}

fn sums(images: impl Iterator<Item = u32>) -> Vec<u64> {
    let mut sum = 0u64;
    images
        .map(|n| {
            let Image { name, pixels } = image(n);
            sum = pixels.iter().fold(sum, |sum, pixel| sum.wrapping_mul(31).wrapping_add(*pixel as u64));
            sum = sum.wrapping_add(name.len() as u64);
            sum
        })
        .collect()
}

#[test]
fn messages_that_no_slot_carries_are_read_in_place_and_their_memory_is_given_back() {
    smol::block_on(async {
        let runtime = RingKernel::builder().backend(Backend::Cpu).build().await.unwrap();
        for capacity in [1, 4, 256] {
            // Room for a few at a time.
            let options = LaunchOptions::default().queue_capacity(capacity).payload_memory(64 << 20);
            let gallery = Gallery::launch(&runtime, options).await.unwrap();
            let expected = sums(0..240);
            for n in 0..40 {
                assert_eq!(gallery.hang(image(n)).await, Ok(expected[n as usize]));
            }
            for n in 40..80 {
                assert_eq!(gallery.ask_blocking(image(n)), Ok(expected[n as usize]));
            }
            for n in 80..120 {
                gallery.tell(image(n)).await.unwrap();
            }
            for n in 120..160 {
                gallery.tell_blocking(image(n)).unwrap();
            }
            gallery.tell_many((160..200).map(image)).await.unwrap();
            let replies: Vec<u64> = gallery.ask_many((200..240).map(image)).try_collect().await.unwrap();
            assert_eq!(replies, expected[200..]);
            gallery.terminate().await.unwrap();
        }
    });
}

/// As many pixels, of which 10,000 take 40,016 bytes.
fn pixels(count: u32) -> Image {
    Image { name: String::new(), pixels: (0..count).collect() }
}

/// What an error says of an arena: how much was asked for, and how much there may be.
fn full(error: RingKernelError) -> (u64, u64) {
    match error {
        RingKernelError::PayloadMemory { id: "gallery", error } => (error.bytes, error.most),
        other => panic!("{other}"),
    }
}

#[test]
fn a_payload_that_the_arena_has_no_room_for_waits_and_try_tell_says_so() {
    smol::block_on(async {
        let runtime = RingKernel::builder().backend(Backend::Cpu).build().await.unwrap();
        let options = LaunchOptions::default().payload_memory(50_000).without_auto_activate();
        let gallery = Gallery::launch(&runtime, options).await.unwrap();
        gallery.tell(pixels(10_000)).await.unwrap();
        let big = || pixels(10_000);
        let (mut told, mut sent) = (pin!(gallery.tell(big())), pin!(gallery.send(big())));
        let mut many = pin!(gallery.tell_many([big(), pixels(10), big()]));
        let mut asked = pin!(gallery.hang(big()));
        let mut replies = gallery.ask_many([big(), pixels(10), big()]);
        assert!(futures::poll!(&mut told).is_pending() && futures::poll!(&mut many).is_pending());
        assert!(futures::poll!(&mut sent).is_pending() && futures::poll!(&mut asked).is_pending());
        assert!(futures::poll!(replies.next()).is_pending());
        let threads = [
            std::thread::spawn({
                let gallery = gallery.clone();
                move || gallery.tell_blocking(pixels(10_000)).unwrap()
            }),
            std::thread::spawn({
                let gallery = gallery.clone();
                move || assert!(gallery.ask_blocking(pixels(10_000)).is_ok())
            }),
            std::thread::spawn({
                let gallery = gallery.clone();
                move || gallery.tell_many_blocking([pixels(10_000), pixels(10_000)]).unwrap()
            }),
        ];
        let refused = gallery.try_tell(big()).unwrap_err();
        assert_eq!((full(refused.reason), refused.message), ((40_016, 50_000), big()));
        let late = gallery.ask_timeout(big(), Duration::from_millis(1)).await.unwrap_err();
        assert!(matches!(late, RingKernelError::Timeout { may_have_run: false, .. }), "{late}");
        // What slots carry goes on, and so does the rest once there is room.
        gallery.tell(pixels(10)).await.unwrap();
        gallery.activate().await.unwrap();
        let answered = replies.by_ref().map(|reply| reply.is_ok()).collect::<Vec<_>>();
        let done = futures::join!(told, sent, many, asked, answered);
        assert!(done.0.is_ok() && done.1.is_ok() && done.2.is_ok() && done.3.is_ok());
        assert_eq!(done.4, [true; 3]);
        smol::unblock(|| threads.into_iter().for_each(|thread| thread.join().unwrap())).await;
        gallery.receive::<u64>().await.unwrap();
        gallery.hang(pixels(10)).await.unwrap();
        assert_eq!((gallery.control().messages_processed, gallery.pending()), (16, 0));
    });
}

#[test]
fn a_payload_that_is_larger_than_the_arena_is_an_error_at_once() {
    smol::block_on(async {
        let runtime = RingKernel::builder().backend(Backend::Cpu).build().await.unwrap();
        let options = LaunchOptions::default().payload_memory(50_000).without_auto_activate();
        let gallery = Gallery::launch(&runtime, options).await.unwrap();
        // Full or not.
        for _ in 0..2 {
            let numbers = (52_016, 50_000);
            let more = || pixels(13_000);
            assert_eq!(full(gallery.tell(more()).await.unwrap_err()), numbers);
            assert_eq!(full(gallery.tell_blocking(more()).unwrap_err()), numbers);
            assert_eq!(full(gallery.try_tell(more()).unwrap_err().reason), numbers);
            assert_eq!(full(gallery.send(more()).await.unwrap_err()), numbers);
            assert_eq!(full(gallery.hang(more()).await.unwrap_err()), numbers);
            assert_eq!(full(gallery.ask_blocking(more()).unwrap_err()), numbers);
            let error = gallery.tell_many([pixels(10), more(), pixels(10)]).await.unwrap_err();
            assert_eq!((error.sent, full(error.reason)), (1, numbers));
            let mut replies = gallery.ask_many([more()]);
            assert_eq!(replies.next().await.map(|reply| full(reply.unwrap_err())), Some(numbers));
            gallery.try_tell(pixels(10_000)).ok();
        }
        gallery.activate().await.unwrap();
        gallery.hang(pixels(12_000)).await.unwrap();
        match gallery.hang(pixels(2 << 20)).await {
            Err(RingKernelError::PayloadTooLarge(error)) => {
                assert_eq!((error.bytes, error.most), (8_388_624, 4 << 20));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((gallery.control().messages_processed, gallery.pending()), (4, 0));
    });
}

struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn who_waits_for_the_arena_sleeps_until_there_is_room_and_gives_its_turn_back_when_dropped() {
    smol::block_on(async {
        let runtime = RingKernel::builder().backend(Backend::Cpu).build().await.unwrap();
        // Room for one in the ring, and for two in the arena.
        let options = LaunchOptions::default().instances(2).queue_capacity(1).payload_memory(90_000);
        let gallery = Gallery::launch(&runtime, options.shards(2).without_auto_activate()).await.unwrap();
        let wakes: [_; 3] = std::array::from_fn(|_| Arc::new(Wakes(AtomicUsize::new(0))));
        let woken = || wakes.each_ref().map(|wakes| wakes.0.load(Ordering::Relaxed));
        let wakers = wakes.each_ref().map(|wakes| Waker::from(wakes.clone()));
        // One is handed over, the other waits for the ring, in the arena.
        let mut holding = Box::pin(gallery.tell_many([pixels(10_000), pixels(10_000)]));
        assert!(holding.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let other = gallery.at(1).unwrap();
        let waits = |count| Box::pin(other.tell(pixels(count)));
        let mut waiting = [waits(11_000), waits(20_000), waits(12_000)];
        for (future, waker) in waiting.iter_mut().zip(&wakers) {
            assert!(future.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        }
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(woken(), [0; 3], "nothing has moved");
        let [first, second, third] = waiting;
        drop(holding);
        assert_eq!(woken(), [1, 0, 0], "44,016 bytes have room beside 40,016");
        drop(first);
        assert_eq!(woken(), [1, 0, 0], "and 80,016 have none");
        drop(second);
        assert_eq!(woken(), [1, 0, 1]);
        gallery.activate().await.unwrap();
        third.await.unwrap();
        other.hang(pixels(20_000)).await.unwrap();
        assert_eq!((gallery.control().messages_processed, gallery.pending()), (3, 0));
    });
}

#[test]
fn senders_that_share_a_small_arena_all_get_their_turns_in_their_own_order() {
    const SENDERS: u32 = 8;
    const EACH: u32 = 150;
    smol::block_on(async {
        let runtime = RingKernel::builder().backend(Backend::Cpu).build().await.unwrap();
        // The largest need most of it.
        let options = LaunchOptions::default().instances(SENDERS).queue_capacity(4).payload_memory(220_000);
        let gallery = Gallery::launch(&runtime, options).await.unwrap();
        let threads: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let own = gallery.at(sender).unwrap();
                std::thread::spawn(move || {
                    for n in (0..EACH).step_by(10) {
                        let images = (n..n + 10).map(image);
                        match sender % 4 {
                            0 => smol::block_on(own.tell_many(images)).unwrap(),
                            1 => images.for_each(|image| own.tell_blocking(image).unwrap()),
                            2 => {
                                assert_eq!(own.ask_many(images).blocking().filter(Result::is_ok).count(), 10)
                            }
                            _ => images.for_each(|image| smol::block_on(own.tell(image)).unwrap()),
                        }
                    }
                })
            })
            .collect();
        smol::unblock(|| threads.into_iter().for_each(|thread| thread.join().unwrap())).await;
        let expected = sums(0..EACH);
        for sender in 0..SENDERS {
            let empty = Image { name: String::new(), pixels: Vec::new() };
            assert_eq!(
                gallery.at(sender).unwrap().hang(empty).await.as_ref(),
                Ok(&expected[EACH as usize - 1])
            );
        }
    });
}

#[test]
fn who_waits_for_the_arena_of_a_kernel_that_ends_is_told() {
    smol::block_on(async {
        let runtime = RingKernel::builder().backend(Backend::Cpu).build().await.unwrap();
        let options = LaunchOptions::default().payload_memory(50_000).without_auto_activate();
        let gallery = Gallery::launch(&runtime, options).await.unwrap();
        gallery.tell(pixels(10_000)).await.unwrap();
        let told = smol::spawn({
            let gallery = gallery.clone();
            async move { gallery.tell(pixels(10_000)).await }
        });
        let many = smol::spawn({
            let gallery = gallery.clone();
            async move { gallery.tell_many([pixels(10_000)]).await.map_err(|error| error.reason) }
        });
        let asked = smol::spawn({
            let gallery = gallery.clone();
            async move { gallery.ask_many([pixels(10_000)]).next().await.unwrap().map(drop) }
        });
        smol::Timer::after(Duration::from_millis(20)).await;
        gallery.terminate().await.unwrap();
        for outcome in [told.await, many.await, asked.await] {
            assert_eq!(outcome, Err(RingKernelError::Terminated { id: "gallery" }));
        }
    });
}

#[test]
fn what_a_batch_put_into_the_arena_and_did_not_hand_over_makes_room_again() {
    smol::block_on(async {
        let runtime = RingKernel::builder().backend(Backend::Cpu).build().await.unwrap();
        // Room for two in each ring, and for four in the arena.
        let options = LaunchOptions::default().instances(2).queue_capacity(2).payload_memory(200_000);
        let gallery = Gallery::launch(&runtime, options.shards(2).without_auto_activate()).await.unwrap();
        let big = || pixels(10_000);
        let four = || std::iter::repeat_with(big).take(4);
        let mut sending = Box::pin(gallery.tell_many(four()));
        assert!(futures::poll!(&mut sending).is_pending());
        drop(sending);
        for _ in 0..3 {
            let mut replies = gallery.ask_many(four().take(2));
            assert!(futures::poll!(replies.next()).is_pending());
        }
        let panics = || -> Image { panic!("no third message") };
        let three = std::iter::repeat_with(big).take(2).chain(std::iter::once_with(panics));
        let mut sending = Box::pin(gallery.tell_many(three));
        let poll = || sending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(poll)).is_err());
        drop(sending);
        // Two are there, and nothing else.
        gallery.at(1).unwrap().try_tell(big()).unwrap();
        gallery.at(1).unwrap().try_tell(big()).unwrap();
        gallery.activate().await.unwrap();
        gallery.hang(big()).await.unwrap();
        gallery.at(1).unwrap().hang(big()).await.unwrap();
        assert_eq!(gallery.control().messages_processed, 6);
    });
}

#[test]
fn what_a_slot_carries_is_the_limit_where_no_arena_is() {
    // Between kernels, and of answers.
    let mut ctx = RingContext::detached(0);
    let large = Image { name: String::new(), pixels: vec![0; 1000] };
    assert_eq!(ctx.send::<Gallery>(0, large.clone()), Sent::TooLarge);
    assert_eq!(ctx.send::<Gallery>(0, Image { pixels: vec![0; 10], ..large }), Sent::Gone);
    assert_eq!((Image::SIZE, Post::SIZE), (512, 2048));
}
