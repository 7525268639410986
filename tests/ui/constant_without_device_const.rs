use ringkernel::{RingContext, handler, ring_kernel};

const LIMIT: i64 = 100;

#[ring_kernel(id = "account")]
struct Account {
    cents: i64,
}

#[ring_kernel]
impl Account {
    #[handler]
    fn deposit(&mut self, _ctx: &mut RingContext, cents: i64) -> i64 {
        assert!(cents < LIMIT);
        self.cents += cents;
        self.cents
    }
}

fn main() {}
