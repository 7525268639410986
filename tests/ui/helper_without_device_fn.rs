use ringkernel::{RingContext, device_const, handler, ring_kernel};

#[device_const]
const LIMIT: i64 = 100;

fn capped(cents: i64) -> i64 {
    cents.min(LIMIT)
}

#[ring_kernel(id = "account")]
struct Account {
    cents: i64,
}

#[ring_kernel]
impl Account {
    #[handler]
    fn deposit(&mut self, _ctx: &mut RingContext, cents: i64) -> i64 {
        self.cents += capped(cents) + LIMIT;
        self.cents
    }
}

fn main() {}
