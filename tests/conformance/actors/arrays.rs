//! Arrays in the state, in messages, in replies and in locals; constant and computed indices; indices out of bounds.

use proptest::prelude::*;
use ringkernel::prelude::*;
use ringkernel_tests::inputs::{self, Edges, of, one, three, two};
use ringkernel_tests::suite::{Conformance, Suite};

/// A histogram, a matrix and a queue of pairs.
#[ring_kernel(id = "arrays")]
pub struct Arrays {
    histogram: [u32; 10],
    matrix: [[i16; 4]; 3],
    pairs: [Pair; 5],
    next: u8,
}

#[derive(DeviceType, Clone, Copy, Debug, Default)]
pub struct Pair {
    pub key: u16,
    pub value: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Bump {
    pub bin: u32,
    pub by: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct SetCell {
    pub row: u8,
    pub column: u8,
    pub value: i16,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Row {
    pub cells: [i16; 4],
    pub sum: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct At {
    pub items: [i32; 6],
    pub index: i32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Sort {
    pub items: [u16; 8],
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Sorted {
    pub items: [u16; 8],
    pub swaps: u8,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Push {
    pub key: u16,
    pub value: i64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Multiply {
    pub a: [[i32; 2]; 2],
    pub b: [[i32; 2]; 2],
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Product {
    pub cells: [[i32; 2]; 2],
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Copied {
    pub at: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Flags {
    pub flags: [bool; 7],
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Flipped {
    pub flags: [bool; 7],
    pub set: u8,
}

#[ring_kernel]
impl Arrays {
    #[handler]
    fn bump(&mut self, _ctx: &mut RingContext, msg: Bump) -> u32 {
        let bin = msg.bin as usize;
        self.histogram[bin] = self.histogram[bin].wrapping_add(msg.by);
        self.histogram[bin]
    }

    #[handler]
    fn set_cell(&mut self, _ctx: &mut RingContext, msg: SetCell) -> Row {
        self.matrix[msg.row as usize][msg.column as usize] = msg.value;
        self.matrix[0][3] ^= 1;
        let cells = self.matrix[msg.row as usize];
        let mut sum = 0;
        for i in 0..cells.len() {
            sum += cells[i] as i32;
        }
        Row { cells, sum }
    }

    /// An index into the message; a negative one is huge as `usize`.
    #[handler]
    fn look_up(&mut self, _ctx: &mut RingContext, msg: At) -> i32 {
        msg.items[msg.index as usize]
    }

    #[handler]
    fn sort(&mut self, _ctx: &mut RingContext, msg: Sort) -> Sorted {
        let mut items = msg.items;
        let mut swaps = 0;
        for end in (1..8).rev() {
            for i in 0..end {
                if items[i] > items[i + 1] {
                    let held = items[i];
                    items[i] = items[i + 1];
                    items[i + 1] = held;
                    swaps += 1;
                }
            }
        }
        Sorted { items, swaps }
    }

    #[handler]
    fn push(&mut self, _ctx: &mut RingContext, msg: Push) -> i64 {
        let at = self.next as usize;
        let old = self.pairs[at];
        self.pairs[at] = Pair { key: msg.key, value: msg.value };
        self.pairs[(at + 1) % 5].key += 0;
        self.next = (self.next + 1) % 5;
        old.value ^ old.key as i64
    }

    #[handler]
    fn multiply(&mut self, _ctx: &mut RingContext, msg: Multiply) -> Product {
        let mut cells = [[0i32; 2]; 2];
        for i in 0..2 {
            for j in 0..2 {
                for k in 0..2 {
                    cells[i][j] = cells[i][j].wrapping_add(msg.a[i][k].wrapping_mul(msg.b[k][j]));
                }
            }
        }
        Product { cells }
    }

    /// Whole arrays are values: the copy does not change with the original.
    #[handler]
    fn copied(&mut self, _ctx: &mut RingContext, msg: Copied) -> u32 {
        let before = self.histogram;
        let at = (msg.at % 10) as usize;
        self.histogram[at] = msg.at;
        let table = [2u32, 3, 5, 7, 11, 13, 17, 19, 23, 29];
        before[at].wrapping_mul(table[at]) ^ self.histogram[at]
    }

    #[handler]
    fn flags(&mut self, _ctx: &mut RingContext, msg: Flags) -> Flipped {
        let mut flags = [true; 7];
        let mut set = 0u8;
        for i in 0..7 {
            flags[6 - i] = !msg.flags[i];
            if msg.flags[i] {
                set |= 1 << i;
            }
        }
        Flipped { flags, set }
    }
}

/// What it is asked.
pub fn suite() -> Box<dyn Conformance> {
    let initial = |instance| Arrays {
        histogram: [instance; 10],
        matrix: [[-1, 0, 1, 2], [3; 4], [i16::MIN, i16::MAX, 0, 9]],
        pairs: [Pair { key: 7, value: -7 }; 5],
        next: 0,
    };
    let matrix = || any::<[[i32; 2]; 2]>();
    let suite = Suite::new("arrays", 5, initial)
        .case("bump", two(|bin: u32, by| Bump { bin: if bin > 1000 { bin } else { bin % 12 }, by }))
        .case(
            "set_cell",
            three(|row: u8, column: u8, value| SetCell { row: row % 4, column: column % 5, value }),
        )
        .case(
            "look_up",
            of(
                i32::edges().into_iter().map(|index| At { items: [1, -2, 3, -4, 5, -6], index }).collect(),
                (inputs::array(), -1..8i32).prop_map(|(items, index)| At { items, index }),
            ),
        )
        .case(
            "sort",
            of(
                vec![Sort { items: [8, 7, 6, 5, 4, 3, 2, 1] }],
                inputs::array().prop_map(|items| Sort { items }),
            ),
        )
        .case("push", two(|key, value| Push { key, value }))
        .case("multiply", of(vec![], (matrix(), matrix()).prop_map(|(a, b)| Multiply { a, b })))
        .case("copied", one(|at| Copied { at }))
        .case(
            "flags",
            of(vec![Flags { flags: [true; 7] }], any::<[bool; 7]>().prop_map(|flags| Flags { flags })),
        );
    Box::new(suite)
}
