use ringkernel::prelude::*;

#[ring_kernel(id = "account")]
struct Account {
    cents: i64,
}

impl Account {
    fn deposit(&mut self, _ctx: &mut RingContext, cents: i64) -> i64 {
        self.cents += cents;
        self.cents
    }
}

async fn launch(runtime: &RingKernel) -> Result<(), RingKernelError> {
    let account = Account::launch(runtime, LaunchOptions::default()).await?;
    account.terminate().await
}

fn main() {
    let _ = (Account::deposit, launch);
}
