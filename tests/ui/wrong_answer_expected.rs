use ringkernel::{RingContext, RingKernelError, RingMessage, handler, ring_kernel};

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
    fn deposit(&mut self, _ctx: &mut RingContext, cents: i64) -> Balance {
        self.cents += cents;
        Balance { cents: self.cents }
    }
}

async fn ask(account: AccountProxy) -> Result<i64, RingKernelError> {
    account.deposit(5).await
}

fn main() {
    let _ = ask;
}
