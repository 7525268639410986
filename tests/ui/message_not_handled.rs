use ringkernel::{RingContext, RingMessage, handler, ring_kernel};

#[derive(RingMessage)]
struct Deposit {
    cents: i64,
}

#[derive(RingMessage)]
struct Withdraw {
    cents: i64,
}

#[derive(RingMessage)]
struct Close;

#[ring_kernel(id = "account")]
struct Account {
    cents: i64,
}

#[ring_kernel]
impl Account {
    #[handler]
    fn deposit(&mut self, _ctx: &mut RingContext, msg: Deposit) -> i64 {
        self.cents += msg.cents;
        self.cents
    }

    #[handler]
    fn withdraw(&mut self, _ctx: &mut RingContext, msg: Withdraw) -> i64 {
        self.cents -= msg.cents;
        self.cents
    }
}

async fn ask(account: AccountProxy) {
    let _ = account.ask(Close).await;
}

fn main() {
    let _ = ask;
}
