use ringkernel::{DeviceType, RingContext, RingMessage, handler, ring_kernel};

struct Deposit {
    cents: i64,
}

#[derive(RingMessage)]
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
    fn deposit(&mut self, _ctx: &mut RingContext, msg: Deposit) -> Balance {
        self.cents += msg.cents;
        Balance { cents: self.cents }
    }
}

fn main() {
    let _ = <Account as DeviceType>::SIZE;
}
