use ringkernel::{RingContext, handler, ring_kernel};

#[ring_kernel(id = "account")]
struct Account {
    cents: i64,
}

impl Account {
    #[handler]
    fn deposit(&mut self, _ctx: &mut RingContext, cents: i64) -> i64 {
        self.cents += cents;
        self.cents
    }
}

fn main() {
    let _ = Account::deposit;
}
