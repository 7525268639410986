//! Lesson 1: an actor, and a request to it.
//!
//! An *actor* is a struct with handlers. `#[ring_kernel]` compiles the handlers for GPUs and leaves the Rust as it is, so that
//! the same code runs on the best device this machine has: in a kernel that stays resident on an NVIDIA GPU, in WebGPU
//! dispatches, or natively.
//!
//! ```sh
//! cargo run --release --example quickstart
//! ```

use ringkernel::prelude::*;

// What crosses to the device is plain data with a fixed layout. `RingMessage` checks that.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Deposit {
    pub cents: i64,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Balance {
    pub cents: i64,
    pub deposits: u32,
}

// The struct is the actor's state. It lives on the device.
#[ring_kernel(id = "account")]
#[derive(Default)]
pub struct Account {
    cents: i64,
    deposits: u32,
}

// Handlers are ordinary methods. One message is handled at a time, so `&mut self` means what it says.
#[ring_kernel]
impl Account {
    #[handler]
    fn deposit(&mut self, _ctx: &mut RingContext, msg: Deposit) -> Balance {
        self.cents += msg.cents;
        self.deposits += 1;
        Balance { cents: self.cents, deposits: self.deposits }
    }
}

fn main() -> Result<(), RingKernelError> {
    smol::block_on(async {
        // `Auto` takes the first of CUDA, Metal, WebGPU and CPU that is compiled in and present, and says why.
        let runtime = RingKernel::builder().backend(Backend::Auto).build().await?;
        println!("{}", runtime.backend_report());

        // `launch` came from `#[ring_kernel]`, and so did the proxy's method for each handler.
        let account = Account::launch(&runtime, LaunchOptions::default()).await?;
        let balance = account.deposit(Deposit { cents: 1250 }).await?;
        println!("{} cents after {} deposit, on {}", balance.cents, balance.deposits, runtime.backend());

        // Every message finds the state that the one before left, and many requests can be under way at once.
        let deposits = (1..=100).map(|cents| account.deposit(Deposit { cents }));
        for balance in futures::future::join_all(deposits).await {
            assert!(balance?.cents > 1250);
        }
        let balance = account.deposit(Deposit { cents: 0 }).await?;
        println!("{} cents after {} deposits", balance.cents, balance.deposits);
        assert_eq!(balance, Balance { cents: 1250 + 5050, deposits: 102 });

        // The device counts what it handles; the counters are read while it runs.
        println!("the device has processed {} messages", account.telemetry().messages_processed);

        account.terminate().await?;
        runtime.shutdown().await
    })
}
