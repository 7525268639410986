//! Messages of variable size: the same handler run by rustc on rkyv's archive and by the interpreter on its bytes, sound or tampered with.

use super::harness::context::RingContext;
use super::harness::{Random, accepted, kernel, native, program};
use crate::front::Options;
use crate::ir_interp::{End, Machine};
use crate::program::{Program, TypeRole};
use crate::{ir_print, passes};
use ringkernel::payload::access;
use ringkernel::{Archived, Payload, RingMessage};
use ringkernel_backends::abi::FaultKind;

/// Items that are compiled here, and their source.
macro_rules! twice {
    ($name:ident: $($code:tt)*) => {
        $($code)*
        const $name: &str = stringify!($($code)*);
    };
}

#[derive(Clone, Debug, Default, PartialEq)]
struct State {
    sum: u64,
    posts: u32,
}

#[derive(RingMessage, Clone, Debug)]
#[message(max_bytes = 4096)]
struct Post {
    id: u64,
    title: String,
    tags: Vec<u32>,
    at: Option<Point>,
    small: Vec<u8>,
    sections: Vec<Section>,
    flags: [Option<bool>; 3],
    pair: (u8, Vec<i64>),
    on: bool,
    names: Vec<String>,
    weight: Option<f64>,
}

#[derive(Payload, Clone, Debug)]
struct Point {
    x: i16,
    y: i64,
}

#[derive(Payload, Clone, Debug)]
struct Section {
    heading: Option<String>,
    on: bool,
    numbers: Vec<u16>,
}

const TYPES: &str = "struct State { sum: u64, posts: u32 }
    struct Post { id: u64, title: String, tags: Vec<u32>, at: Option<Point>, small: Vec<u8>, sections: Vec<Section>, flags: [Option<bool>; 3],
        pair: (u8, Vec<i64>), on: bool, names: Vec<String>, weight: Option<f64> }
    struct Point { x: i16, y: i64 }
    struct Section { heading: Option<String>, on: bool, numbers: Vec<u16> }";

twice! { CODE:
    impl State {
        fn post(&mut self, _ctx: &mut RingContext, msg: &Archived<Post>) -> u64 {
            self.posts = self.posts.wrapping_add(1);
            let mut sum = msg.id.to_native();
            if msg.on {
                sum = sum.wrapping_mul(3);
            }
            for tag in msg.tags.iter() {
                sum = sum.wrapping_mul(31).wrapping_add(tag.to_native() as u64);
            }
            for i in 0..msg.title.len() {
                sum = sum.wrapping_mul(31).wrapping_add(msg.title.as_bytes()[i] as u64);
            }
            if let Some(point) = msg.at.as_ref() {
                sum = sum.wrapping_add(point.x.to_native() as u64).wrapping_mul(7).wrapping_add(point.y.to_native() as u64);
            }
            for (i, byte) in msg.small.iter().enumerate() {
                sum = sum.wrapping_mul(31).wrapping_add((*byte as u64) << (i % 8));
            }
            for section in msg.sections.iter() {
                sum = sum.wrapping_mul(5).wrapping_add(Self::section(section));
            }
            for flag in msg.flags.iter() {
                sum = sum.wrapping_mul(3);
                match flag.as_ref() {
                    Some(on) => {
                        if *on {
                            sum = sum.wrapping_add(2);
                        } else {
                            sum = sum.wrapping_add(1);
                        }
                    }
                    None => sum = sum.wrapping_add(5),
                }
            }
            sum = sum.wrapping_add(msg.pair.0 as u64);
            for number in msg.pair.1.iter().rev() {
                sum = sum.wrapping_mul(31).wrapping_add(number.to_native() as u64);
            }
            let first = &msg.names;
            if !first.is_empty() {
                let bytes = first[first.len() - 1].as_bytes();
                for byte in bytes.iter() {
                    sum = sum.wrapping_mul(31).wrapping_add(*byte as u64);
                }
            }
            if msg.weight.is_some() && msg.tags.len() > 2 && msg.tags[2] == 7 {
                sum = sum.wrapping_add(msg.tags[0].to_native() as u64);
            }
            if let Some(weight) = msg.weight.as_ref() {
                sum = sum.wrapping_add(weight.to_native().to_bits());
            }
            self.sum = self.sum.wrapping_add(sum);
            sum
        }

        fn section(section: &Archived<Section>) -> u64 {
            let mut sum = section.numbers.len() as u64;
            if section.on {
                sum += 100;
            }
            for number in section.numbers.iter() {
                sum = sum.wrapping_mul(31).wrapping_add(number.to_native() as u64);
            }
            if let Some(heading) = section.heading.as_ref() {
                for i in 0..heading.len() {
                    sum = sum.wrapping_mul(31).wrapping_add(heading.as_bytes()[i] as u64);
                }
            }
            sum
        }

        // Faults where an index is out of bounds, after it has changed the state.
        fn third(&mut self, _ctx: &mut RingContext, msg: &Archived<Post>) -> u32 {
            self.posts = self.posts.wrapping_add(1);
            msg.tags[2].to_native()
        }
    }
}

fn source() -> Program {
    let mut program = program(TYPES, CODE);
    for def in program.types.values_mut() {
        if def.name == "Post" {
            def.role = TypeRole::Variable { tag: Post::TAG, most: 4096 };
        }
    }
    program
}

fn text(random: &mut Random) -> String {
    let length = random.next() % 14;
    (0..length)
        .map(|_| ['a', 'z', 'ß', '€', '🦀', '\0', '\u{7ff}', '\u{d7ff}'][random.next() as usize % 8])
        .collect()
}

fn vec<T>(random: &mut Random, most: u64, mut item: impl FnMut(&mut Random) -> T) -> Vec<T> {
    let length = random.next() % (most + 1);
    (0..length).map(|_| item(random)).collect()
}

fn option<T>(random: &mut Random, item: impl FnOnce(&mut Random) -> T) -> Option<T> {
    random.next().is_multiple_of(2).then(|| item(random))
}

fn post(random: &mut Random) -> Post {
    Post {
        id: random.next(),
        title: text(random),
        tags: vec(random, 5, |random| [7, random.next() as u32][random.next() as usize % 2]),
        at: option(random, |random| Point { x: random.next() as i16, y: random.next() as i64 }),
        small: vec(random, 9, |random| random.next() as u8),
        sections: vec(random, 3, |random| Section {
            heading: option(random, text),
            on: random.next().is_multiple_of(2),
            numbers: vec(random, 3, |random| random.next() as u16),
        }),
        flags: std::array::from_fn(|_| option(random, |random| random.next().is_multiple_of(2))),
        pair: (random.next() as u8, vec(random, 3, |random| random.next() as i64)),
        on: random.next().is_multiple_of(2),
        names: vec(random, 3, text),
        weight: option(random, |random| random.next() as i32 as f64),
    }
}

struct Variant {
    what: String,
    kernel: crate::ir::Kernel,
}

fn variants() -> Vec<Variant> {
    let program = source();
    let mut variants = Vec::new();
    for (checked, usize_is_32) in [(true, false), (false, false), (true, true), (false, true)] {
        let options = Options { checked, usize_is_32 };
        let plain = kernel(&program, options);
        let mut passed = plain.clone();
        passes::run(&mut passed);
        variants.push(Variant { what: format!("{options:?}"), kernel: plain });
        variants.push(Variant { what: format!("{options:?}, passes"), kernel: passed });
    }
    variants
}

/// What became of a message: the state behind it, and the answer.
type Outcome = (State, Result<u64, FaultKind>);

fn natively(handler: usize, bytes: &[u8]) -> Outcome {
    let mut state = State { sum: 5, posts: 6 };
    let ran = access::<Post, _>(bytes, |message| {
        native(|| match handler {
            0 => state.post(&mut RingContext::default(), message),
            _ => state.third(&mut RingContext::default(), message) as u64,
        })
    });
    let answer = ran.unwrap_or(Err(FaultKind::Malformed));
    (state, answer)
}

fn interpreted(variant: &Variant, handler: usize, bytes: &[u8]) -> Option<Outcome> {
    let handler = &variant.kernel.handlers[handler];
    let mut state = 5u64.to_le_bytes().to_vec();
    state.extend([6, 0, 0, 0, 0, 0, 0, 0]);
    let mut machine = Machine::new(&handler.body, &state, bytes);
    let end = machine.run();
    let word = |bytes: &[u8], n: usize| {
        let mut word = [0; 8];
        word[..n].copy_from_slice(&bytes[..n]);
        u64::from_le_bytes(word)
    };
    let state = State { sum: word(&machine.state, 8), posts: word(&machine.state[8..], 4) as u32 };
    let answer = match end {
        End::Finished => Ok(word(&machine.reply, handler.reply_layout.size as usize)),
        End::Fault(kind, _) => Err(kind),
        End::Exhausted => return None,
    };
    Some((state, answer))
}

fn compare(variants: &[Variant], bytes: &[u8]) -> bool {
    let mut malformed = false;
    for handler in [0, 1] {
        let expected = natively(handler, bytes);
        malformed |= expected.1 == Err(FaultKind::Malformed);
        for variant in variants {
            if let Some(found) = interpreted(variant, handler, bytes) {
                assert_eq!(
                    expected,
                    found,
                    "{}: {bytes:?}\n{}",
                    variant.what,
                    ir_print::body(&variant.kernel.handlers[handler].body)
                );
            }
        }
    }
    malformed
}

#[test]
fn device_code_reads_in_place_what_the_native_handler_reads() {
    let variants = variants();
    let mut random = Random::new(11);
    for _ in 0..300 {
        let bytes = post(&mut random).with_bytes(<[u8]>::to_vec).unwrap();
        assert!(!compare(&variants, &bytes));
    }
}

#[test]
fn device_code_refuses_exactly_the_archives_that_rkyv_refuses() {
    let variants = variants();
    let mut random = Random::new(12);
    let (mut refused, mut taken) = (0, 0);
    for round in 0..2500 {
        let mut bytes = post(&mut random).with_bytes(<[u8]>::to_vec).unwrap();
        let root = bytes.len() - size_of::<Archived<Post>>();
        for _ in 0..1 + random.next() % 2 {
            // The root holds most of what can be wrong.
            let from = if random.next().is_multiple_of(3) { 0 } else { root };
            let at = from + random.next() as usize % (bytes.len() - from);
            let change = random.next();
            bytes[at] = match change % 4 {
                0 => bytes[at].wrapping_add(1 << (change >> 8 & 3)),
                1 => bytes[at].wrapping_sub(1 << (change >> 8 & 3)),
                2 => bytes[at] ^ 1 << (change >> 8 & 7),
                _ => (change >> 8) as u8,
            };
        }
        match round % 10 {
            0 => bytes.truncate(bytes.len() / 2 / 4 * 4),
            1 => drop(bytes.drain(..8)),
            _ => {}
        }
        if compare(&variants, &bytes) {
            refused += 1;
        } else {
            taken += 1;
        }
    }
    assert!(refused > 500 && taken > 500, "{refused} were refused, {taken} were not");
}

#[test]
fn bytes_that_were_never_an_archive_are_read_within_the_message_or_refused() {
    let variants = variants();
    let mut random = Random::new(13);
    for _ in 0..500 {
        let words = random.next() as usize % 80;
        let bytes: Vec<u8> =
            (0..4 * words).map(|_| [0, random.next() as u8][random.next() as usize % 2]).collect();
        compare(&variants, &bytes);
    }
}

#[test]
fn device_compilers_accept_the_code() {
    accepted("archived", &source());
}
