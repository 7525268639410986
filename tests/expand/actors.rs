//! Whole actors: the two halves of `#[ring_kernel]` in the situations their definitions can stand in, answered on the CPU.

use ringkernel::prelude::*;
use ringkernel_tests::carried::{self, Part, Whole};
use std::time::Duration;

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
struct Deposit {
    cents: i64,
}

/// What an account answers.
#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
struct Balance {
    cents: i64,
    deposits: u32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
struct Peek;

#[ring_kernel(id = "expand.account")]
#[derive(Default, Debug, PartialEq)]
struct Account {
    cents: i64,
    history: [i64; HISTORY],
    deposits: u32,
}

#[device_const]
const HISTORY: usize = 4;

#[ring_kernel]
impl Account {
    const FIRST: u32 = 1;

    /// Puts money in.
    #[handler]
    fn deposit(&mut self, _ctx: &mut RingContext, msg: Deposit) -> Balance {
        assert!(msg.cents > LEAST, "a deposit is positive");
        self.cents += msg.cents;
        self.history[self.deposits as usize % HISTORY] = msg.cents;
        self.deposits += Self::FIRST;
        self.balance()
    }

    #[handler]
    fn peek(&self, _ctx: &mut RingContext, _: Peek) -> Balance {
        self.balance()
    }

    #[handler]
    fn forget(&mut self, _ctx: &mut RingContext, _: u32) {
        *self = Account { cents: 0, history: [0; HISTORY], deposits: 0 };
    }

    #[handler]
    fn whole(&mut self, ctx: &mut RingContext, msg: Whole) -> u32 {
        carried::sum(msg.part) + carried::sum(Part { x: [ctx.instance() as u16; carried::COUNT] })
    }

    fn balance(&self) -> Balance {
        Balance { cents: self.cents, deposits: self.deposits }
    }
}

#[device_const]
const LEAST: i64 = 0;

async fn cpu() -> Result<RingKernel, RingKernelError> {
    RingKernel::builder().backend(Backend::Cpu).build().await
}

#[test]
fn a_proxy_answers_through_its_methods_and_through_ask() -> Result<(), RingKernelError> {
    smol::block_on(async {
        let runtime = cpu().await?;
        let account = Account::launch(&runtime, LaunchOptions::default().instances(3)).await?;
        assert_eq!(account.deposit(Deposit { cents: 7 }).await?, Balance { cents: 7, deposits: 1 });
        let second = account.at(2)?;
        assert_eq!(second.ask(Deposit { cents: 5 }).await?, Balance { cents: 5, deposits: 1 });
        assert_eq!(second.whole(Whole { part: Part { x: [3, 4] } }).await?, 11);
        assert_eq!(account.ask_timeout(Peek, Duration::from_secs(5)).await?.cents, 7);
        account.tell(3u32).await?;
        assert_eq!(account.ask_blocking(Peek)?, Balance { cents: 0, deposits: 0 });
        account.terminate().await?;
        runtime.shutdown().await
    })
}

#[test]
fn a_fault_names_the_line_and_the_text_of_the_assertion() -> Result<(), RingKernelError> {
    smol::block_on(async {
        let runtime = cpu().await?;
        let account = Account::launch(&runtime, LaunchOptions::default()).await?;
        match account.deposit(Deposit { cents: -1 }).await {
            Err(RingKernelError::HandlerFault(fault)) => {
                assert_eq!(fault.kind, FaultKind::Panic);
                assert!(fault.file.ends_with("actors.rs"), "{}", fault.file);
                assert_eq!(fault.message, "a deposit is positive");
            }
            other => panic!("{other:?}"),
        }
        runtime.shutdown().await
    })
}

#[test]
fn device_code_is_there_and_knows_the_users_lines() {
    assert!(Account::PTX.contains("ringkernel_dispatch") && Account::PTX.contains("Account_deposit"));
    assert!(Account::WGSL.contains("fn ringkernel_dispatch"));
    assert!(Account::PTX.contains("self.cents += msg.cents"), "{}", Account::PTX);
    let descriptor = <Account as ringkernel::Actor>::DESCRIPTOR;
    assert_eq!(descriptor.id, "expand.account");
    assert_eq!((descriptor.state_size, descriptor.state_align), (48, 8));
    let names: Vec<_> = descriptor.handlers.iter().map(|handler| handler.name).collect();
    assert_eq!(names, ["deposit", "peek", "forget", "whole"]);
    assert!(descriptor.wgsl_needs.int64 && !descriptor.wgsl_needs.float64);
    let assertion = descriptor.sites.iter().find(|site| site.message == "a deposit is positive");
    let site = assertion.expect("the assertion's site");
    assert!(site.file.ends_with("actors.rs") && site.line > 30 && site.column > 1, "{site:?}");
    assert!(descriptor.default_state.is_some());
    assert_eq!(size_of::<AccountControlBlock>(), 128);
}

/// The halves of an actor in different modules, of different visibility, in a function, and made by a macro.
mod halves {
    use ringkernel::prelude::*;

    pub(super) mod state {
        #[ringkernel::ring_kernel(id = "expand.apart")]
        pub(in super::super) struct Apart {
            pub(in super::super) count: super::Counter,
        }
    }

    #[derive(DeviceType, Clone, Copy, Default)]
    pub(super) struct Counter(u32);

    #[ring_kernel]
    impl state::Apart {
        #[handler]
        fn add(&mut self, _ctx: &mut RingContext, by: u32) -> u32 {
            self.count.0 += by;
            self.count.0
        }
    }

    impl Counter {
        pub(super) fn new(value: u32) -> Self {
            Self(value)
        }
    }
}

/// Functions and constants of one name, told apart by their paths.
mod rates {
    pub(super) mod day {
        #[ringkernel::device_fn]
        pub(in super::super) fn rate(x: u32) -> u32 {
            x * FACTOR
        }
        #[ringkernel::device_const]
        pub(in super::super) const FACTOR: u32 = 2;
    }
    pub(super) mod night {
        #[ringkernel::device_fn]
        pub(in super::super) fn rate(x: u32) -> u32 {
            x + FACTOR
        }
        #[ringkernel::device_const]
        pub(in super::super) const FACTOR: u32 = 100;
    }
}
use rates::night::{self, rate as by_night};

#[ring_kernel(id = "expand.rates")]
#[derive(Default)]
struct Rates {
    asked: u32,
}

#[ring_kernel]
impl Rates {
    #[handler]
    fn sum(&mut self, _ctx: &mut RingContext, x: u32) -> u32 {
        self.asked += 1;
        rates::day::rate(x) + night::rate(x) + by_night(x) + rates::day::FACTOR + night::FACTOR
    }
}

macro_rules! counter {
    ($name:ident, $id:literal, $ty:ty, $by:expr) => {
        #[ring_kernel(id = $id)]
        #[derive(Default)]
        struct $name {
            value: $ty,
        }

        #[ring_kernel]
        impl $name {
            #[handler]
            fn add(&mut self, _ctx: &mut RingContext, times: u32) -> $ty {
                self.value += times as $ty * $by;
                self.value
            }
        }
    };
}
counter!(ByTwo, "expand.by_two", u64, 2);
counter!(ByHalf, "expand.by_half", f32, 0.5);

#[test]
fn halves_may_stand_apart_and_come_from_macros() -> Result<(), RingKernelError> {
    #[ring_kernel(id = "expand.inside")]
    #[derive(Default)]
    struct Inside {
        last: u32,
    }

    #[ring_kernel]
    impl Inside {
        #[handler]
        fn swap(&mut self, _ctx: &mut RingContext, value: u32) -> u32 {
            let last = self.last;
            self.last = value;
            last
        }
    }

    smol::block_on(async {
        let runtime = cpu().await?;
        let start = halves::state::Apart { count: halves::Counter::new(40) };
        let apart =
            halves::state::Apart::launch(&runtime, LaunchOptions::default().initial_state(start)).await?;
        assert_eq!(apart.add(2).await?, 42);
        assert_eq!(ByTwo::launch(&runtime, LaunchOptions::default()).await?.add(3).await?, 6);
        assert_eq!(ByHalf::launch(&runtime, LaunchOptions::default()).await?.add(3).await?, 1.5);
        let rates = Rates::launch(&runtime, LaunchOptions::default()).await?;
        assert_eq!(rates.sum(5).await?, 10 + 105 + 105 + 102);
        assert!(Rates::WGSL.contains("100u"), "{}", Rates::WGSL);
        let sums = carried::Sums::launch(&runtime, LaunchOptions::default()).await?;
        assert_eq!(sums.add(Whole { part: Part { x: [1, 2] } }).await?, 3);
        assert_eq!(sums.total(true).await?, 3);
        let inside = Inside::launch(&runtime, LaunchOptions::default()).await?;
        assert_eq!((inside.swap(1).await?, inside.swap(2).await?), (0, 1));
        let known: Vec<_> = runtime.list_kernels().iter().map(|kernel| kernel.id).collect();
        for id in [
            "expand.account",
            "expand.apart",
            "carried.sums",
            "expand.by_two",
            "expand.by_half",
            "expand.inside",
        ] {
            assert!(known.contains(&id), "{known:?}");
        }
        runtime.shutdown().await
    })
}
