use ringkernel::{RingContext, handler, ring_kernel};

struct Account {
    cents: i64,
}

#[ring_kernel]
impl Account {
    #[handler]
    fn deposit(&mut self, _ctx: &mut RingContext, cents: i64) -> i64 {
        self.cents += cents;
        self.cents
    }
}

fn main() {}
