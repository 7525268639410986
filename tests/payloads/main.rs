//! Messages of variable size on every backend: handlers read them where they lie, and every device refuses what the CPU refuses.

#![allow(missing_docs, unreachable_pub)]
// Handlers' bytes are read by their index, which devices understand.
#![allow(clippy::needless_range_loop)]

mod arena;
mod depot;
mod neighbours;
mod raw;

use futures::TryStreamExt;
use ringkernel::prelude::*;
use ringkernel::{Actor, DeviceError};
use ringkernel_backends::cuda::module_text;
use ringkernel_tests::machine::{BACKENDS, Collection, Machine, Stop, assemble, backend_name, validate_wgsl};
use std::process::ExitCode;

#[derive(RingMessage, Clone, Debug, PartialEq)]
#[message(max_bytes = 4096)]
pub struct Order {
    pub customer: u32,
    pub note: String,
    pub lines: Vec<Line>,
    pub address: Option<Address>,
    pub gift: bool,
}

#[derive(Payload, Clone, Debug, PartialEq)]
pub struct Line {
    pub article: String,
    pub count: u16,
    pub options: Vec<u8>,
    pub discount: Option<i32>,
}

/// In messages of both kinds.
#[derive(DeviceType, Payload, Clone, Copy, Debug, PartialEq)]
pub struct Address {
    pub zip: u32,
    pub floor: i8,
}

/// A message of fixed size beside it.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Ask {
    pub address: Address,
}

#[derive(RingMessage, Clone, Debug, PartialEq)]
#[message(max_bytes = 256)]
pub struct Numbers {
    pub numbers: Vec<u64>,
}

/// More than a slot carries, where the device has other memory for it.
#[derive(RingMessage, Clone, Debug, PartialEq)]
#[message(max_bytes = 1 << 20, inline_bytes = 256)]
pub struct Bulk {
    pub items: Vec<u32>,
}

/// An actor that only the CPU can run.
#[ring_kernel(id = "echo")]
#[derive(Default)]
pub struct Echo {
    calls: u32,
}

#[ring_kernel]
impl Echo {
    #[handler]
    fn echo(&mut self, _ctx: &mut RingContext, msg: &Archived<Numbers>) -> Numbers {
        self.calls += 1;
        Numbers { numbers: msg.numbers.iter().rev().map(|number| number.to_native()).collect() }
    }
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Receipt {
    pub number: u32,
    pub articles: u32,
    pub checksum: u32,
    pub address: Address,
}

#[ring_kernel(id = "shop")]
#[derive(Default)]
pub struct Shop {
    orders: u32,
    checksum: u32,
}

#[ring_kernel]
impl Shop {
    #[handler]
    fn order(&mut self, _ctx: &mut RingContext, msg: &Archived<Order>) -> Receipt {
        self.orders += 1;
        let mut articles = 0;
        let mut sum = Self::text(17, &msg.note).wrapping_add(msg.customer.to_native());
        for line in msg.lines.iter() {
            articles += line.count.to_native() as u32;
            sum = Self::text(sum, &line.article);
            for option in line.options.iter() {
                sum = sum.wrapping_mul(31).wrapping_add(*option as u32);
            }
            if let Some(discount) = line.discount.as_ref() {
                sum = sum.wrapping_sub(discount.to_native() as u32);
            }
        }
        let mut address = Address { zip: 0, floor: 0 };
        if let Some(given) = msg.address.as_ref() {
            address.zip = given.zip.to_native();
            address.floor = given.floor;
        }
        if msg.gift {
            sum = !sum;
        }
        self.checksum = self.checksum.wrapping_mul(33).wrapping_add(sum);
        Receipt { number: self.orders, articles, checksum: self.checksum, address }
    }

    /// Of fixed size.
    #[handler]
    fn find(&mut self, _ctx: &mut RingContext, msg: Ask) -> Receipt {
        Receipt { number: self.orders, articles: 0, checksum: self.checksum, address: msg.address }
    }

    /// Faults where there is no second number.
    #[handler]
    fn second(&mut self, _ctx: &mut RingContext, msg: &Archived<Numbers>) -> u64 {
        self.orders += 1;
        msg.numbers[1].to_native()
    }

    #[handler]
    fn count(&mut self, _ctx: &mut RingContext, msg: &Archived<Bulk>) -> u32 {
        self.orders += 1;
        msg.items.len() as u32
    }

    fn text(mut sum: u32, text: &Archived<String>) -> u32 {
        let bytes = text.as_bytes();
        for i in 0..bytes.len() {
            sum = sum.wrapping_mul(31).wrapping_add(bytes[i] as u32);
        }
        sum
    }
}

fn order(n: u32) -> Order {
    let line = |i: u32| Line {
        article: "Schraubenschlüssel".chars().take((n + i) as usize % 20).collect(),
        count: (n * i) as u16,
        options: (0..(n + i) % 12).map(|o| (o * 7) as u8).collect(),
        discount: (i % 2 == 1).then_some(-(n as i32)),
    };
    Order {
        customer: n.wrapping_mul(0x9e37_79b9),
        note: "bitte klingeln 🔔 ".repeat(n as usize % 5),
        lines: (0..n % 6).map(line).collect(),
        address: (!n.is_multiple_of(3)).then_some(Address { zip: 10_000 + n, floor: -(n as i8 % 5) }),
        gift: n.is_multiple_of(7),
    }
}

fn expected(orders: impl Iterator<Item = Order>) -> Vec<Receipt> {
    let mut shop = Shop::default();
    let mut ctx = RingContext::detached(0);
    orders
        .map(|order| {
            let read = |bytes: &[u8]| {
                ringkernel::payload::access::<Order, _>(bytes, |order| shop.order(&mut ctx, order))
            };
            order.with_bytes(read).expect("small enough").expect("an archive")
        })
        .collect()
}

fn main() -> ExitCode {
    let mut tests = Collection::default();
    for backend in BACKENDS {
        let on = |what: &str| format!("payloads::{}::{what}", backend_name(backend));
        tests.add(on("handlers_read_messages_of_every_length_in_place"), move |machine| {
            with_shop(machine, backend, async |shop| {
                let receipts: Vec<Receipt> =
                    shop.ask_many((0..400).map(order)).try_collect().await.map_err(text)?;
                check(&receipts, &expected((0..400).map(order)))?;
                // A message of fixed size beside them.
                let address = Address { zip: 7, floor: -1 };
                let receipt = shop.find(Ask { address }).await.map_err(text)?;
                check(&(receipt.number, receipt.address), &(400, address))?;
                shop.tell_many((0..10).map(order)).await.map_err(text)?;
                let receipt = shop.order(order(1)).await.map_err(text)?;
                check(&receipt.number, &411)
            })
        });
        tests.add(on("an_index_beyond_a_vector_is_a_fault_at_its_place"), move |machine| {
            with_shop(machine, backend, async |shop| {
                check(&shop.second(Numbers { numbers: vec![1, u64::MAX, 3] }).await, &Ok(u64::MAX))?;
                for numbers in [vec![], vec![5]] {
                    match shop.second(Numbers { numbers }).await {
                        Err(RingKernelError::HandlerFault(fault)) => {
                            check(&fault.kind, &FaultKind::IndexOutOfBounds)?;
                        }
                        other => return Err(Stop::Failed(format!("{other:?}"))),
                    }
                }
                // What the handler had done before stays.
                let address = Address { zip: 0, floor: 0 };
                check(&shop.find(Ask { address }).await.map_err(text)?.number, &3)
            })
        });
        tests.add(on("a_message_that_is_too_large_is_not_sent"), move |machine| {
            with_shop(machine, backend, async |shop| {
                let large = Order { note: "x".repeat(5000), ..order(0) };
                match shop.order(large).await {
                    Err(RingKernelError::PayloadTooLarge(error)) => check(&error.most, &4096)?,
                    other => return Err(Stop::Failed(format!("{other:?}"))),
                }
                check(&shop.order(order(0)).await.map_err(text)?.number, &1)
            })
        });
        tests.add(on("what_no_slot_carries_arrives_up_to_what_it_may_be"), move |machine| {
            with_shop(machine, backend, async |shop| {
                check(&shop.count(Bulk { items: vec![1; 20] }).await, &Ok(20))?;
                check(&shop.count(Bulk { items: vec![1; 100_000] }).await, &Ok(100_000))?;
                match shop.count(Bulk { items: vec![1; 1 << 18] }).await {
                    Err(RingKernelError::PayloadTooLarge(error)) => {
                        check(&(error.bytes, error.most), &((1 << 20) + 8, 1 << 20))
                    }
                    other => Err(Stop::Failed(format!("{other:?}"))),
                }
            })
        });
        tests.add(on("an_actor_that_devices_cannot_run_says_why_when_it_is_launched"), move |machine| {
            let runtime = machine.runtime(backend)?;
            let launched = smol::block_on(Echo::launch(&runtime, LaunchOptions::default()));
            match (backend, launched) {
                (Backend::Cpu, Ok(echo)) => check(
                    &smol::block_on(echo.echo(Numbers { numbers: vec![1, 2] })),
                    &Ok(Numbers { numbers: vec![2, 1] }),
                ),
                (
                    _,
                    Err(RingKernelError::Device {
                        error: DeviceError::Unsupported { actor, what, .. }, ..
                    }),
                ) => {
                    check(&actor, &"Echo")?;
                    check(&what.contains("`echo` answers with a message of variable size"), &true)
                }
                (_, other) => Err(Stop::Failed(format!("{other:?}"))),
            }
        });
    }
    arena::add(&mut tests);
    for (cc, arch) in [(75, "sm_75"), (80, "sm_80"), (90, "sm_90")] {
        tests.add(format!("payloads::the_loop_assembles_for_{arch}"), move |machine| {
            let text = module_text(Shop::DESCRIPTOR, cc);
            // It takes messages that no slot carries.
            check(&text.contains("%refers"), &true)?;
            Ok(assemble(&machine.ptxas()?, "shop", &text, arch)?)
        });
    }
    for backend in BACKENDS {
        let name = format!(
            "payloads::{}::large_messages_arrive_at_a_kernel_that_others_send_to",
            backend_name(backend)
        );
        tests.add(name, move |machine| {
            let runtime = machine.runtime(backend)?;
            smol::block_on(neighbours::all_arrive(&runtime))
        });
    }
    tests.add(
        "payloads::wgpu::a_buffer_larger_than_the_adapter_binds_is_an_error_of_the_launch".into(),
        |machine| {
            let runtime = machine.runtime(Backend::Wgpu)?;
            let options = LaunchOptions::default().payload_memory(1 << 60);
            match smol::block_on(Shop::launch(&runtime, options)) {
                Err(RingKernelError::Device { error: DeviceError::OutOfMemory { bytes, what }, .. }) => {
                    let named = what.contains("large payloads of `shop`") && what.contains("hold at most");
                    check(&(bytes, named), &(1 << 60, true))
                }
                other => Err(Stop::Failed(format!("{other:?}"))),
            }
        },
    );
    #[cfg(feature = "wgpu")]
    tests.add("payloads::what_reads_the_arena_on_webgpu_is_valid_and_becomes_msl".into(), |_| {
        use ringkernel_backends::wgpu::{msl_of, program_text};
        let program = program_text(Shop::DESCRIPTOR).map_err(text)?;
        validate_wgsl(&program)?;
        check(&msl_of(&program).map_err(text)?.contains("rk_rt_payloads"), &true)?;
        // Who has no such messages has nothing of it.
        check(&program_text(neighbours::Clerk::DESCRIPTOR).map_err(text)?.contains("rk_rt_payloads"), &false)
    });
    tests.add("payloads::wgsl_validates".into(), |_| validate_wgsl(Shop::WGSL));
    tests.run()
}

fn with_shop(
    machine: &Machine,
    backend: Backend,
    test: impl AsyncFnOnce(ShopProxy) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let runtime = machine.runtime(backend)?;
    smol::block_on(async {
        let shop = Shop::launch(&runtime, LaunchOptions::default()).await.map_err(text)?;
        test(shop.clone()).await?;
        shop.terminate().await.map_err(text)
    })
}

fn text(error: impl std::fmt::Display) -> Stop {
    Stop::Failed(error.to_string())
}

fn check<T: PartialEq + std::fmt::Debug>(found: &T, expected: &T) -> Result<(), Stop> {
    if found == expected {
        Ok(())
    } else {
        Err(Stop::Failed(format!("{found:?} where {expected:?} was expected")))
    }
}
