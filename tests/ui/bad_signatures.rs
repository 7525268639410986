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
    fn no_context(&mut self, msg: Deposit) {
        self.cents += msg.cents;
    }

    #[handler]
    fn by_value(self, _ctx: &mut RingContext, _msg: Deposit) {}

    #[handler]
    async fn waits(&mut self, _ctx: &mut RingContext, _msg: Deposit) {}

    #[handler]
    fn two_messages(&mut self, _ctx: &mut RingContext, _first: Deposit, _second: Deposit) {}

    #[handler]
    fn by_reference(&mut self, _ctx: &mut RingContext, _msg: &Deposit) {}

    #[handler]
    fn generic<T>(&mut self, _ctx: &mut RingContext, _msg: u32) {}

    #[handler]
    fn maybe(&mut self, _ctx: &mut RingContext, cents: i64) -> Option<i64> {
        Some(cents)
    }

    #[handler]
    fn terminate(&mut self, _ctx: &mut RingContext, _msg: u8) {}
}

fn main() {}
