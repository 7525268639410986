//! Iterating arrays, taking values apart, and the small macros.

use proptest::prelude::*;
use ringkernel::prelude::*;
use ringkernel_tests::inputs::{array, of, one, three, two};
use ringkernel_tests::suite::{Conformance, Suite};

#[derive(DeviceType, Clone, Copy, Debug, Default)]
pub struct Sample {
    pub time: u16,
    pub value: i32,
}

#[ring_kernel(id = "patterns")]
#[derive(Default)]
pub struct Patterns {
    samples: [Sample; 4],
    grid: [[u8; 3]; 2],
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Iterate {
    pub items: [i32; 5],
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Iterated {
    pub sum: i32,
    pub weighted: i32,
    pub backward: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Touch {
    pub by: i32,
    pub cell: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct TakeApart {
    pub sample: Sample,
    pub pair: (i8, (bool, u32)),
    pub three: [u16; 3],
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Both {
    pub a: u8,
    pub b: bool,
    pub c: i8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Letters {
    pub byte: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Update {
    pub time: u16,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct AssertEqual {
    pub a: u8,
    pub b: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Exchange {
    pub a: i32,
    pub b: i32,
}

#[ring_kernel]
impl Patterns {
    #[handler]
    fn iterate(&mut self, _ctx: &mut RingContext, msg: Iterate) -> Iterated {
        let mut sum: i32 = 0;
        for item in msg.items {
            sum = sum.wrapping_add(item);
        }
        let mut weighted: i32 = 0;
        for (i, item) in msg.items.iter().enumerate() {
            weighted = weighted.wrapping_add(item.wrapping_mul(i as i32 + 1));
        }
        let mut backward: i32 = 0;
        for item in msg.items.iter().rev() {
            backward = backward.wrapping_mul(3).wrapping_add(*item);
        }
        Iterated { sum, weighted, backward }
    }

    #[handler]
    fn touch(&mut self, _ctx: &mut RingContext, msg: Touch) -> i32 {
        for sample in self.samples.iter_mut() {
            sample.value = sample.value.wrapping_add(msg.by);
            sample.time ^= 1;
        }
        for row in &mut self.grid {
            for cell in row {
                *cell = cell.wrapping_add(msg.cell);
            }
        }
        let mut total = 0;
        for sample in &self.samples {
            total ^= sample.value;
        }
        total
    }

    #[handler]
    fn take_apart(&mut self, _ctx: &mut RingContext, msg: TakeApart) -> i64 {
        let Sample { time, value } = msg.sample;
        let (small, (flag, large)) = msg.pair;
        let [first, .., last] = msg.three;
        let sign = if flag { 1 } else { -1 };
        (value as i64 + large as i64) * sign + small as i64 * time as i64 + (first ^ last) as i64
    }

    #[handler]
    fn both(&mut self, _ctx: &mut RingContext, msg: Both) -> i32 {
        match (msg.a, msg.b, msg.c) {
            (0, true, _) => 1,
            (0, false, c) => c as i32,
            (1..=9, _, c) if c < 0 => -2,
            (a, true, -1) => a as i32,
            (a, b, c) => a as i32 * 1000 + b as i32 * 500 + c as i32,
        }
    }

    #[handler]
    fn letters(&mut self, _ctx: &mut RingContext, msg: Letters) -> u8 {
        let vowel = matches!(msg.byte, b'a' | b'e' | b'i' | b'o' | b'u');
        let digit = matches!(msg.byte, d @ b'0'..=b'9' if d % 2 == 0);
        if let b'A'..=b'Z' = msg.byte {
            return 9;
        }
        vowel as u8 + 2 * digit as u8
    }

    #[handler]
    fn update(&mut self, _ctx: &mut RingContext, msg: Update) -> i32 {
        let last = Sample { time: msg.time, ..self.samples[0] };
        self.samples[3] = last;
        const FACTOR: i32 = 3;
        last.value.wrapping_mul(FACTOR) ^ last.time as i32
    }

    #[handler]
    fn assert_equal(&mut self, _ctx: &mut RingContext, msg: AssertEqual) -> bool {
        assert_ne!(msg.a, 200);
        msg.a == msg.b
    }

    #[handler]
    fn exchange(&mut self, _ctx: &mut RingContext, msg: Exchange) -> i32 {
        let (mut a, mut b) = (msg.a, msg.b);
        (a, b) = (b, a);
        let held;
        if a > b {
            held = a;
        } else {
            held = b;
        }
        a ^= held;
        b = a & b;
        a.wrapping_sub(b)
    }
}

/// What it is asked.
pub fn suite() -> Box<dyn Conformance> {
    let apart = (any::<(u16, i32)>(), any::<(i8, (bool, u32))>(), any::<[u16; 3]>());
    let apart = apart.prop_map(|((time, value), pair, three)| TakeApart {
        sample: Sample { time, value },
        pair,
        three,
    });
    let suite = Suite::new("patterns", 2, |_| Patterns::default())
        .case(
            "iterate",
            of(vec![Iterate { items: [i32::MAX; 5] }], array().prop_map(|items| Iterate { items })),
        )
        .case("touch", two(|by, cell| Touch { by, cell }))
        .case("take_apart", of(vec![], apart))
        .case("both", three(|a, b, c| Both { a, b, c }))
        .case(
            "letters",
            of(
                (0..=255).map(|byte| Letters { byte }).collect(),
                any::<u8>().prop_map(|byte| Letters { byte }),
            ),
        )
        .case("update", one(|time| Update { time }))
        .case("assert_equal", two(|a, b| AssertEqual { a, b }))
        .case("exchange", two(|a, b| Exchange { a, b }));
    Box::new(suite)
}
