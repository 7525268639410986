//! Kernels and topics are named by literals: devices know them by numbers that are given out when the handler is compiled.

use ringkernel::prelude::*;

const LEDGER: &str = "ledger";

#[ring_kernel(id = "teller")]
#[derive(Default)]
struct Teller {
    refused: u32,
}

#[ring_kernel]
impl Teller {
    #[handler]
    fn pay(&mut self, ctx: &mut RingContext, cents: i64) -> bool {
        let sent = ctx.send_to_kernel(LEDGER, cents);
        if !sent.is_ok() {
            self.refused += 1;
        }
        sent.is_ok()
    }
}

fn main() {}
