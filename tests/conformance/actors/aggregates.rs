//! Nested structs, tuples and tuple structs, as values and in place; shadowing.

use proptest::prelude::*;
use ringkernel::prelude::*;
use ringkernel_tests::inputs::{Edges, of, one, three, two};
use ringkernel_tests::suite::{Conformance, Suite};

#[derive(DeviceType, Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    pub x: i32,
    pub y: i32,
}

#[derive(DeviceType, Clone, Copy, Debug, Default)]
pub struct Segment {
    pub from: Point,
    pub to: Point,
    pub tagged: bool,
}

/// A tuple struct.
#[derive(DeviceType, Clone, Copy, Debug, Default)]
pub struct Meters(pub u16, pub u8);

/// Fields of every alignment, out of order, so that padding must be right.
#[ring_kernel(id = "aggregates")]
#[derive(Default)]
pub struct Aggregates {
    flag: bool,
    segment: Segment,
    wide: u64,
    length: Meters,
    pair: (u8, i64),
    last: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Move {
    pub by: Point,
    pub end: bool,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Moved {
    pub segment: Segment,
    pub squared: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Swap {
    pub a: u8,
    pub b: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Swapped {
    pub before: (u8, i64),
    pub nested: ((u8, bool), [u16; 3]),
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Lengthen {
    pub by: u16,
    pub centimeters: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Padded {
    pub a: u8,
    pub b: u64,
    pub c: u8,
    pub d: u16,
    pub e: bool,
    pub f: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Shadow {
    pub value: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Replace {
    pub segment: Segment,
}

#[ring_kernel]
impl Aggregates {
    #[handler]
    fn shift(&mut self, _ctx: &mut RingContext, msg: Move) -> Moved {
        let by = msg.by;
        if msg.end {
            self.segment.to.x = self.segment.to.x.wrapping_add(by.x);
            self.segment.to.y = self.segment.to.y.wrapping_add(by.y);
        } else {
            self.segment.from = Point { x: self.segment.from.x.wrapping_add(by.x), y: by.y };
        }
        let Point { x, y } = self.segment.to;
        let (dx, dy) = (x as i64 - self.segment.from.x as i64, y as i64 - self.segment.from.y as i64);
        Moved { segment: self.segment, squared: dx.wrapping_mul(dx).wrapping_add(dy.wrapping_mul(dy)) }
    }

    #[handler]
    fn swap(&mut self, _ctx: &mut RingContext, msg: Swap) -> Swapped {
        let before = self.pair;
        let fresh = (msg.a, msg.b);
        self.pair = fresh;
        self.pair.0 ^= 0x0f;
        let nested = ((self.pair.0, fresh.1 > 0), [1, before.0 as u16, 3]);
        Swapped { before, nested }
    }

    #[handler]
    fn lengthen(&mut self, _ctx: &mut RingContext, msg: Lengthen) -> u32 {
        let mut length = self.length;
        length.0 = length.0.wrapping_add(msg.by);
        length.1 = (length.1 + msg.centimeters % 100) % 100;
        self.length = length;
        let Meters(meters, centimeters) = self.length;
        meters as u32 * 100 + centimeters as u32
    }

    /// Every field goes where it came from.
    #[handler]
    fn padded(&mut self, _ctx: &mut RingContext, msg: Padded) -> Padded {
        self.flag = msg.e;
        self.wide = msg.b;
        self.last = msg.c;
        Padded { a: msg.c, b: !msg.b, c: msg.a, d: msg.d.swap_bytes(), e: !msg.e, f: msg.f ^ msg.d as u32 }
    }

    #[handler]
    fn shadow(&mut self, _ctx: &mut RingContext, msg: Shadow) -> u64 {
        let value = msg.value;
        let value = value as u64 + 1;
        let mut total = value;
        for value in 0..3u64 {
            let value = value * 10;
            total += value;
        }
        let value = (value, total);
        value.0.wrapping_mul(value.1)
    }

    #[handler]
    fn replace(&mut self, _ctx: &mut RingContext, msg: Replace) -> bool {
        let mut segment = msg.segment;
        segment.from.x = segment.from.x.wrapping_neg();
        let same = segment.to.x == self.segment.to.x && segment.to.y == self.segment.to.y;
        self.segment = Segment { tagged: !msg.segment.tagged, from: segment.from, to: segment.to };
        same
    }
}

fn point() -> impl Strategy<Value = Point> {
    (i32::random(), i32::random()).prop_map(|(x, y)| Point { x, y })
}

/// What it is asked.
pub fn suite() -> Box<dyn Conformance> {
    let segment =
        (point(), point(), any::<bool>()).prop_map(|(from, to, tagged)| Segment { from, to, tagged });
    let padded = (any::<u8>(), u64::random(), any::<u8>(), any::<u16>(), any::<bool>(), u32::random());
    let suite = Suite::new("aggregates", 3, |_| Aggregates::default())
        .case("shift", three(|x, y, end| Move { by: Point { x, y }, end }))
        .case("swap", two(|a, b| Swap { a, b }))
        .case("lengthen", two(|by, centimeters| Lengthen { by, centimeters }))
        .case("padded", of(vec![], padded.prop_map(|(a, b, c, d, e, f)| Padded { a, b, c, d, e, f })))
        .case("shadow", one(|value| Shadow { value }))
        .case("replace", of(vec![], segment.prop_map(|segment| Replace { segment })));
    Box::new(suite)
}
