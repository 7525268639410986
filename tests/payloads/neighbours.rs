//! Messages that no slot carries, to a kernel that others send to meanwhile.

use crate::{check, text};
use futures::TryStreamExt;
use ringkernel::prelude::*;
use ringkernel::runtime::launch;
use ringkernel::{ActorRef, RingKernel};
use ringkernel_tests::machine::Stop;
use std::time::{Duration, Instant};

#[derive(RingMessage, Clone, Debug, PartialEq)]
#[message(max_bytes = 1 << 20, inline_bytes = 64)]
pub struct Ledger {
    pub entries: Vec<u32>,
}

/// What the vault tells its clerk of each ledger.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Noted {
    pub number: u32,
    pub entries: u32,
}

/// What the clerk answers, or sends by itself.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Stamp {
    pub number: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Work {
    pub stamps: u32,
}

#[ring_kernel(id = "vault")]
#[derive(Default, Debug, Clone, Copy, PartialEq)]
pub struct Vault {
    pub ledgers: u32,
    pub entries: u32,
    pub stamps: u32,
    pub numbers: u32,
    pub refused: u32,
}

#[ring_kernel]
impl Vault {
    /// The last entry.
    #[handler]
    fn keep(&mut self, ctx: &mut RingContext, msg: &Archived<Ledger>) -> u32 {
        let entries = msg.entries.len() as u32;
        if !ctx.send::<Clerk>(0, Noted { number: self.ledgers, entries }).is_ok() {
            self.refused += 1;
        }
        self.ledgers += 1;
        self.entries += entries;
        msg.entries[(entries - 1) as usize].to_native()
    }

    #[handler]
    fn stamp(&mut self, _ctx: &mut RingContext, msg: Stamp) {
        self.stamps += 1;
        self.numbers += msg.number;
    }
}

#[ring_kernel(id = "clerk")]
#[derive(Default, Debug, Clone, Copy, PartialEq)]
pub struct Clerk {
    pub noted: u32,
    pub entries: u32,
    pub disorder: u32,
    pub refused: u32,
}

#[ring_kernel]
impl Clerk {
    #[handler]
    fn noted(&mut self, ctx: &mut RingContext, msg: Noted) {
        // The first found nobody.
        if msg.number != self.noted + 1 {
            self.disorder += 1;
        }
        self.noted += 1;
        self.entries += msg.entries;
        if !ctx.reply(Stamp { number: msg.number }).is_ok() {
            self.refused += 1;
        }
    }

    #[handler]
    fn work(&mut self, ctx: &mut RingContext, msg: Work) {
        for number in 0..msg.stamps {
            if !ctx.send::<Vault>(0, Stamp { number }).is_ok() {
                self.refused += 1;
            }
        }
    }
}

/// Ledgers of every size, in slots and not, while the clerk and the vault send each other stamps.
pub async fn all_arrive(runtime: &RingKernel) -> Result<(), Stop> {
    let vault: ActorRef<Vault> = launch(runtime, LaunchOptions::default()).await.map_err(text)?;
    let first = |n: u32| Ledger { entries: (0..1 + n * n % 3000).map(|entry| entry ^ n).collect() };
    // By itself, then with neighbours.
    check(&vault.ask(first(50)).await.map_err(text)?, &(2500 ^ 50))?;
    let clerk: ActorRef<Clerk> = launch(runtime, LaunchOptions::default()).await.map_err(text)?;
    let sizes = || (0..120).map(first);
    clerk.tell_many((0..10).map(|_| Work { stamps: 20 })).await.map_err(text)?;
    let last: Vec<u32> = vault.ask_many(sizes()).in_flight(20).try_collect().await.map_err(text)?;
    let expected: Vec<u32> = sizes().map(|ledger| ledger.entries[ledger.entries.len() - 1]).collect();
    check(&last, &expected)?;
    let entries: usize = sizes().map(|ledger| ledger.entries.len()).sum();
    let begin = Instant::now();
    loop {
        let (kept, noted) = (vault.snapshot::<Vault>(0).await, clerk.snapshot::<Clerk>(0).await);
        let (kept, noted) = (kept.map_err(text)?, noted.map_err(text)?);
        // Ten times 0 to 19, and 1 to 120.
        let numbers = 10 * 190 + 7260;
        let all = Vault { ledgers: 121, entries: entries as u32 + 2501, stamps: 320, numbers, refused: 1 };
        if (kept.stamps, noted.noted) == (all.stamps, 120) {
            check(&kept, &all)?;
            let all = Clerk { noted: 120, entries: entries as u32, disorder: 0, refused: 0 };
            check(&noted, &all)?;
            break;
        }
        check(&(begin.elapsed() < Duration::from_secs(30)), &true)?;
        smol::Timer::after(Duration::from_millis(1)).await;
    }
    // One by one: each ledger with the stamp that answers it, and nothing else under way.
    for n in 0..40 {
        let before = vault.control().messages_processed;
        vault.ask(first(40 + n)).await.map_err(text)?;
        while vault.control().messages_processed < before + 2 {
            check(&(begin.elapsed() < Duration::from_secs(60)), &true)?;
            smol::Timer::after(Duration::from_micros(50)).await;
        }
    }
    let kept = vault.snapshot::<Vault>(0).await.map_err(text)?;
    check(&(kept.stamps, kept.numbers), &(360, 10 * 190 + 7260 + (121..=160).sum::<u32>()))?;
    clerk.terminate().await.map_err(text)?;
    vault.terminate().await.map_err(text)
}
