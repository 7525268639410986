//! Whoever a message is forwarded to answers in the handler's place, so both answer with the same type.

use ringkernel::prelude::*;

#[ring_kernel(id = "ledger")]
#[derive(Default)]
struct Ledger {
    cents: i64,
}

#[ring_kernel]
impl Ledger {
    #[handler]
    fn deposit(&mut self, _ctx: &mut RingContext, cents: i64) -> i64 {
        self.cents += cents;
        self.cents
    }
}

#[ring_kernel(id = "teller")]
#[derive(Default)]
struct Teller {
    refused: u32,
}

#[ring_kernel]
impl Teller {
    #[handler]
    fn pay(&mut self, ctx: &mut RingContext, cents: u32) -> bool {
        let sent = ctx.forward::<Ledger>(0, cents as i64);
        if !sent.is_ok() {
            self.refused += 1;
        }
        sent.is_ok()
    }
}

fn main() {}
