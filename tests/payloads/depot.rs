//! An actor whose messages may be larger than a slot carries, and what it is to answer.

use proptest::prelude::*;
use ringkernel::prelude::*;

#[derive(RingMessage, Clone, Debug, PartialEq)]
#[message(max_bytes = 1 << 20, inline_bytes = 256)]
pub struct Freight {
    pub label: String,
    pub sealed: Vec<bool>,
    pub weights: Vec<u32>,
    pub crates: Vec<Crate>,
}

#[derive(Payload, Clone, Debug, PartialEq)]
pub struct Crate {
    pub content: Option<String>,
    pub value: u64,
}

/// Three words, like a reference, and none.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Look {
    pub words: [u32; 3],
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Stored {
    pub number: u32,
    pub weights: u32,
    pub sum: u32,
}

#[ring_kernel(id = "depot")]
#[derive(Default)]
pub struct Depot {
    taken: u32,
}

#[ring_kernel]
impl Depot {
    #[handler]
    fn store(&mut self, _ctx: &mut RingContext, msg: &Archived<Freight>) -> Stored {
        self.taken += 1;
        let mut sum = Self::text(7, &msg.label);
        for sealed in msg.sealed.iter() {
            sum = sum.wrapping_mul(3);
            if *sealed {
                sum = sum.wrapping_add(1);
            }
        }
        for weight in msg.weights.iter() {
            sum = sum.wrapping_mul(31).wrapping_add(weight.to_native());
        }
        for one in msg.crates.iter() {
            if let Some(content) = one.content.as_ref() {
                sum = Self::text(sum, content);
            }
            sum = sum.wrapping_add(one.value.to_native() as u32);
        }
        Stored { number: self.taken, weights: msg.weights.len() as u32, sum }
    }

    #[handler]
    fn look(&mut self, _ctx: &mut RingContext, msg: Look) -> u32 {
        msg.words[0].wrapping_add(msg.words[1]).wrapping_add(msg.words[2])
    }

    fn text(mut sum: u32, text: &Archived<String>) -> u32 {
        let bytes = text.as_bytes();
        for i in 0..bytes.len() {
            sum = sum.wrapping_mul(31).wrapping_add(bytes[i] as u32);
        }
        sum
    }
}

/// With so many numbers, and some of the rest.
pub fn freight(weights: u32) -> Freight {
    let one = |n: u32| Crate {
        content: (n % 2 == 1).then(|| "Gläser".repeat(n as usize % 4)),
        value: u64::from(n) << 33 | u64::from(n),
    };
    Freight {
        label: "Hafen ⚓ ".repeat(weights as usize % 3),
        sealed: (0..weights % 9).map(|n| n % 2 == 0).collect(),
        weights: (0..weights).map(|n| n.wrapping_mul(0x9e37_79b9).wrapping_add(weights)).collect(),
        crates: (0..weights % 5).map(one).collect(),
    }
}

/// With nothing but numbers.
pub fn numbers(weights: u32) -> Freight {
    Freight { label: String::new(), sealed: vec![], weights: (0..weights).collect(), crates: vec![] }
}

/// What the handler makes of an archive natively, if it is one.
pub fn native(depot: &mut Depot, archive: &[u8]) -> Option<Stored> {
    let mut ctx = RingContext::detached(0);
    ringkernel::payload::access::<Freight, _>(archive, |freight| depot.store(&mut ctx, freight)).ok()
}

/// What a new instance is to answer to these.
pub fn expected(freights: impl IntoIterator<Item = Freight>) -> Vec<Stored> {
    let mut depot = Depot::default();
    let mut one = |freight: Freight| native(&mut depot, &archive(&freight)).expect("an archive");
    freights.into_iter().map(&mut one).collect()
}

pub fn archive(freight: &Freight) -> Vec<u8> {
    freight.with_large_bytes(<[u8]>::to_vec).expect("no larger than it may be")
}

/// Archives with some bytes changed, moved or cut off.
pub fn tampered() -> impl Strategy<Value = Vec<u8>> {
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    // At the end are the root, its offsets and lengths.
    let at_the_end = proptest::collection::vec((0usize..96, any::<u8>()), 0..2);
    (40u32..90, changes, at_the_end, 0usize..12).prop_map(|(weights, changes, at_the_end, cut)| {
        let mut bytes = archive(&freight(weights));
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        for (back, value) in at_the_end {
            let at = bytes.len() - 1 - back;
            bytes[at] ^= value;
        }
        // Most stay as long as they were.
        let cut = cut.saturating_sub(8) * 4;
        bytes.truncate(bytes.len() - cut);
        bytes
    })
}
