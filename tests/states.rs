//! States in bulk through the public API, on the CPU: images with values that are none, and a million instances.

#![allow(missing_docs, unreachable_pub)]

use ringkernel::prelude::*;
use ringkernel::{IdlePolicy, ImageError};
use std::time::{Duration, Instant};

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Flip {
    pub times: u32,
}

#[ring_kernel(id = "switch")]
#[derive(Default, Debug, PartialEq)]
pub struct Switch {
    on: bool,
    flips: u32,
}

#[ring_kernel]
impl Switch {
    #[handler]
    fn flip(&mut self, _ctx: &mut RingContext, msg: Flip) -> bool {
        self.on ^= msg.times % 2 == 1;
        self.flips += msg.times;
        self.on
    }
}

async fn cpu() -> RingKernel {
    RingKernel::builder().backend(Backend::Cpu).build().await.expect("the CPU is always there")
}

/// The checksum as the format's description gives it.
fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let mut sum = 0xcbf2_9ce4_8422_2325u64;
    let length = body.len() as u64;
    let mut padded = body.clone();
    padded.resize(body.len() / 8 * 8 + 8, 0);
    let words = padded.chunks(8).map(|word| u64::from_le_bytes(word.try_into().expect("8 bytes")));
    for word in words.chain([length]) {
        sum = (sum ^ word).wrapping_mul(0x0000_0100_0000_01b3);
    }
    body.extend(sum.to_le_bytes());
    body
}

#[test]
fn an_image_with_a_bool_of_two_is_an_error_that_says_where_and_no_panic() {
    smol::block_on(async {
        let runtime = cpu().await;
        let switches = Switch::launch(&runtime, LaunchOptions::default().instances(10_000)).await.unwrap();
        switches.at(7).unwrap().flip(Flip { times: 3 }).await.unwrap();
        let bytes = switches.image().await.unwrap().to_bytes();
        let mut body = bytes[..bytes.len() - 8].to_vec();
        assert_eq!(sealed(body.clone()), bytes, "the checksum is the described one");
        let state = body.len() - (10_000 - 8192) * 8;
        body[state] = 2;
        let image = StateImage::from_bytes(&sealed(body)).unwrap();
        let error = Switch::launch(&runtime, LaunchOptions::from_image(image.clone())).await.err().unwrap();
        let RingKernelError::Image(ImageError::State { id: "switch", instances, .. }) = &error else {
            panic!("{error}")
        };
        assert!(instances.contains(&8192), "{error}");
        assert!(error.to_string().contains("`bool`") || error.to_string().contains("bool"), "{error}");
        assert!(runtime.launch("switch", LaunchOptions::from_image(image.clone())).await.is_err());
        assert!(image.state::<Switch>(8192).is_err());
        assert_eq!(image.state::<Switch>(7), Ok(Switch { on: true, flips: 3 }));
    });
}

#[test]
fn the_states_of_a_million_instances_are_copied_in_well_under_a_second() {
    const MILLION: u32 = 1_000_000;
    // Unoptimised code takes ten times as long.
    let limit = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 1 });
    smol::block_on(async {
        let runtime = cpu().await;
        let options = LaunchOptions::default().instances(MILLION).idle(IdlePolicy::Backoff);
        let switches = Switch::launch(&runtime, options).await.unwrap();
        let timed = |what: &str, start: Instant| {
            println!("{what}: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
            assert!(start.elapsed() < limit, "{what} took {:?}", start.elapsed());
        };
        let start = Instant::now();
        let given = (0..MILLION).map(|i| Switch { on: i % 2 == 0, flips: i });
        switches.restore_all(given).await.unwrap();
        timed("restore_all", start);
        let start = Instant::now();
        let states = switches.snapshot_all::<Switch>().await.unwrap();
        timed("snapshot_all", start);
        assert!((0..).zip(&states).all(|(i, state)| state.flips == i && state.on == (i % 2 == 0)));
        let start = Instant::now();
        let image = switches.image().await.unwrap();
        timed("image", start);
        let start = Instant::now();
        let image = StateImage::from_bytes(&image.to_bytes()).unwrap();
        timed("to bytes and back", start);
        let start = Instant::now();
        let again = Switch::launch(&runtime, LaunchOptions::from_image(image)).await.unwrap();
        timed("launch from the image", start);
        assert!(!again.at(999_999).unwrap().flip(Flip { times: 0 }).await.unwrap());
        assert!(again.at(999_998).unwrap().flip(Flip { times: 0 }).await.unwrap());
    });
}
