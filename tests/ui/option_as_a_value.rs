//! What is received is taken apart where it comes from; an `Option` is no value of a device.

use ringkernel::prelude::*;

#[ring_kernel(id = "teller")]
#[derive(Default)]
struct Teller {
    cents: i64,
}

#[ring_kernel]
impl Teller {
    #[handler]
    fn collect(&mut self, ctx: &mut RingContext, _all: bool) -> i64 {
        let first = ctx.try_receive_from_kernel::<i64>("ledger");
        self.cents += first.unwrap_or(0);
        self.cents
    }
}

fn main() {}
