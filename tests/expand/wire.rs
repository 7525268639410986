//! The wire layout of derived types, against a `#[repr(C)]` struct of the same fields.

use proptest::prelude::*;
use ringkernel::{DeviceType, RingMessage, device_const};
use std::mem::{align_of, offset_of, size_of};

#[device_const]
const LANES: usize = 3;

#[derive(DeviceType, Clone, Copy, Debug, PartialEq)]
struct Point {
    x: f32,
    on: bool,
    y: f64,
}

#[derive(DeviceType, Clone, Copy, Debug, PartialEq)]
struct Pair(u8, Point);

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
struct Everything {
    a: u8,
    b: i64,
    pair: Pair,
    lanes: [(bool, u16); LANES],
    nested: [[i16; 2]; 2],
    r#type: i8,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
struct Ping;

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
struct Empty {}

mod twin {
    #[repr(C)]
    pub(super) struct Point {
        pub(super) x: f32,
        pub(super) on: bool,
        pub(super) y: f64,
    }
    #[repr(C)]
    pub(super) struct Pair(u8, pub(super) Point);
    #[repr(C)]
    pub(super) struct Lane(bool, u16);
    #[repr(C)]
    pub(super) struct Everything {
        pub(super) a: u8,
        pub(super) b: i64,
        pub(super) pair: Pair,
        pub(super) lanes: [Lane; 3],
        pub(super) nested: [[i16; 2]; 2],
        pub(super) r#type: i8,
    }
}

#[test]
fn sizes_and_alignments_are_those_of_c() {
    assert_eq!(
        (Everything::SIZE as usize, Everything::ALIGN as usize),
        (size_of::<twin::Everything>(), align_of::<twin::Everything>())
    );
    assert_eq!(
        (Pair::SIZE as usize, Pair::ALIGN as usize),
        (size_of::<twin::Pair>(), align_of::<twin::Pair>())
    );
    assert_eq!((Ping::SIZE, Ping::ALIGN, Empty::SIZE, Empty::ALIGN), (0, 1, 0, 1));
    assert_eq!((Everything::NAME, Pair::NAME), ("Everything", "Pair"));
}

#[test]
fn tags_follow_names_and_fields_and_nothing_else() {
    mod elsewhere {
        #[derive(ringkernel::RingMessage)]
        pub(super) struct Ping;
        #[derive(ringkernel::RingMessage)]
        pub(super) struct Empty {
            pub(super) x: u8,
        }
    }
    let _ = elsewhere::Empty { x: 0 }.x;
    assert_eq!(Ping::TAG, elsewhere::Ping::TAG);
    assert_ne!(Empty::TAG, elsewhere::Empty::TAG);
    assert_eq!(Ping::TAG, fnv("Ping{}"));
    assert_eq!(
        Everything::TAG,
        fnv(
            "Everything{a:u8,b:i64,pair:Pair{0:u8,1:Point{x:f32,on:bool,y:f64}},lanes:[(bool,u16);3],nested:[[i16;2];2],type:i8}"
        )
    );
}

/// FNV-1a, 32 bit, written down a second time.
fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

prop_compose! {
    fn everything()(
        a: u8, b: i64, c: u8, x: f32, on: bool, y: f64,
        lanes: [(bool, u16); LANES], nested: [[i16; 2]; 2], r#type: i8,
    ) -> Everything {
        Everything { a, b, pair: Pair(c, Point { x, on, y }), lanes, nested, r#type }
    }
}

proptest! {
    #[test]
    fn every_value_survives_the_wire_and_its_fields_lie_where_c_puts_them(value in everything()) {
        let mut wire = vec![0xa5; Everything::SIZE as usize];
        value.encode(&mut wire);
        prop_assert_eq!(Everything::decode(&wire), Ok(value));
        let at = |offset: usize, bytes: &[u8]| wire[offset..offset + bytes.len()] == *bytes;
        prop_assert!(at(offset_of!(twin::Everything, b), &value.b.to_le_bytes()));
        let point = offset_of!(twin::Everything, pair) + offset_of!(twin::Pair, 1);
        prop_assert!(at(point + offset_of!(twin::Point, x), &value.pair.1.x.to_le_bytes()));
        prop_assert!(at(point + offset_of!(twin::Point, on), &[u8::from(value.pair.1.on)]));
        prop_assert!(at(point + offset_of!(twin::Point, y), &value.pair.1.y.to_le_bytes()));
        prop_assert!(at(offset_of!(twin::Everything, lanes) + 4, &[u8::from(value.lanes[1].0), 0]));
        prop_assert!(at(offset_of!(twin::Everything, nested) + 6, &value.nested[1][1].to_le_bytes()));
        prop_assert!(at(offset_of!(twin::Everything, r#type), &value.r#type.to_le_bytes()));
        let padding: Vec<usize> = (1..8).chain(offset_of!(twin::Everything, r#type) + 1..wire.len()).collect();
        prop_assert!(padding.into_iter().all(|i| wire[i] == 0));
    }

    #[test]
    fn bytes_of_a_wrong_length_or_with_a_bad_bool_are_refused(value in everything(), cut in 0usize..64, byte in 2u8..) {
        let mut wire = vec![0; Everything::SIZE as usize];
        value.encode(&mut wire);
        let cut = cut.min(wire.len() - 1);
        let error = Everything::decode(&wire[..cut]).expect_err("a wrong length");
        prop_assert_eq!(error.type_name, "Everything");
        wire[offset_of!(twin::Everything, pair) + offset_of!(twin::Pair, 1) + offset_of!(twin::Point, on)] = byte;
        prop_assert!(Everything::decode(&wire).is_err());
    }
}
