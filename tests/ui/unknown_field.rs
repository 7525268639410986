use ringkernel::{RingContext, RingMessage, handler, ring_kernel};

#[derive(RingMessage)]
struct Deposit {
    cents: i64,
}

#[ring_kernel(id = "account")]
struct Account {
    cents: i64,
}

#[ring_kernel]
impl Account {
    #[handler]
    fn deposit(&mut self, _ctx: &mut RingContext, msg: Deposit) -> i64 {
        self.cents += msg.dollars;
        self.cents
    }
}

fn main() {}
