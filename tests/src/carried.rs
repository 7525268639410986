//! Definitions that another crate's messages and functions name, under the strictest lints a library may have.

#![deny(warnings, missing_docs, unreachable_pub)]

use ringkernel::{DeviceType, RingContext, RingMessage, device_const, device_fn, handler, ring_kernel};

/// Public.
#[derive(DeviceType, Clone, Copy, Debug, PartialEq)]
pub struct Part {
    /// A field.
    pub x: [u16; COUNT],
}

/// Public.
#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Whole {
    /// A field.
    pub part: Part,
}

/// Public.
#[device_const]
pub const COUNT: usize = 2;

/// Public.
#[device_fn]
pub fn sum(part: Part) -> u32 {
    let mut total = 0;
    for i in 0..COUNT {
        total += part.x[i] as u32;
    }
    total
}

/// Public.
#[ring_kernel(id = "carried.sums")]
#[derive(Default, Debug)]
pub struct Sums {
    total: u32,
}

#[ring_kernel]
impl Sums {
    /// Adds up.
    #[handler]
    fn add(&mut self, _ctx: &mut RingContext, whole: Whole) -> u32 {
        self.total += sum(whole.part);
        self.total
    }

    #[handler]
    fn total(&self, _ctx: &mut RingContext, _: bool) -> u32 {
        self.total
    }
}
