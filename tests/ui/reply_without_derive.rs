use ringkernel::{RingContext, handler, ring_kernel};

struct Balance {
    cents: i64,
}

#[ring_kernel(id = "account")]
struct Account {
    cents: i64,
}

#[ring_kernel]
impl Account {
    #[handler]
    fn balance(&self, _ctx: &mut RingContext, _: u32) -> Balance {
        Balance { cents: self.cents }
    }
}

fn main() {}
