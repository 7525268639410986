//! Executes what [`ptx`] has read.
//!
//! [`Module::parse`] decodes a text once; a [`Launch`] names one of its entries, and each of its [`Block`]s is run, a number of
//! instructions at a time, by whoever has a thread for it. What a driver has to bring is memory: device addresses are addresses of this
//! process, and [`Memory`] says which of them exist. Globals of a module, shared and local memory are the machine's own.
//!
//! **Lanes** diverge freely. Those at the same place of a warp run together; at a branch they part, and which of them goes on first,
//! and for how long, the seed decides, so that schedules differ from run to run and a failing one can be had again (as far as blocks
//! do not talk to one another). None starves. A `.sync` instruction waits until every lane of its mask that has not ended is at
//! *this* instruction (for `bar.warp.sync`: at one with the same mask); a block in which nothing can ever go on is a [`Fault`].
//!
//! **Memory** is that of the process, with its atomics. Stores are seen late now and then, and in another order, where nothing orders them
//! (`late`), and weak loads may find what was there before (`stale`): so a missing release or acquire shows in time. Relaxed loads are made in
//! the order of the text; that others may be made ahead of them is not modelled.
//! What nobody has written (registers, shared and local memory) holds noise from the seed.
//!
//! **Windows.** The shared window's addresses begin at 0, static variables first, then the launch's own; a lane's window has its
//! locals and what its calls pass. A generic address into either is the address of the process, and is good for that block or lane alone.
//!
//! For the driver: [`Memory::range`] is asked once for a range, and the answer remembered for the rest of that call of
//! [`Block::run`], so memory may be unmapped between calls only. `%clock` counts nanoseconds, `%globaltimer` is the time of day unless told otherwise ([`set_pace`]), and
//! `%smid` is the block's number modulo [`MULTIPROCESSORS`].
//!
//! Start with `block` (what is run), then `warp` (lanes and where they are), `execute` and `access` (what operations do), and `decode`.

mod access;
mod block;
mod clock;
mod convert;
mod decode;
mod execute;
mod late;
mod memory;
mod number;
mod program;
mod random;
mod stale;
mod together;
mod warp;

pub use block::Block;
pub use clock::{Pace, set_pace};

use crate::ptx;
pub use crate::ptx::PtxError;
use program::{Program, Start};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// How many multiprocessors device code finds.
pub const MULTIPROCESSORS: u32 = 32;

/// What device code may touch. Device addresses are addresses of this process.
///
/// # Safety
/// What it allows is memory of this process that can be read and written until the call of [`Block::run`] that asked has returned, and that nobody
/// touches meanwhile but with atomic (or volatile) accesses or where the device's rules forbid device code to look.
pub unsafe trait Memory: Send + Sync {
    /// Whether these bytes are memory of the device, or of the host and visible to it.
    fn allows(&self, address: u64, bytes: u64) -> bool;

    /// The whole range, from and to, that is allowed around these bytes: so that fewer questions are asked. `None` if they are not allowed.
    fn range(&self, address: u64, bytes: u64) -> Option<(u64, u64)> {
        self.allows(address, bytes).then(|| (address, address.saturating_add(bytes)))
    }
}

/// A module: decoded, its variables in place.
#[derive(Clone, Debug)]
pub struct Module {
    program: Arc<Program>,
}

impl Module {
    /// Reads and decodes a text.
    ///
    /// # Errors
    /// The first thing in it that is not PTX, that this machine does not know, or that is used against its type, with its line.
    ///
    /// ```
    /// use softcuda::machine::{Block, Launch, Module, Progress};
    /// use std::sync::Arc;
    ///
    /// let module = Module::parse(
    ///     ".version 8.4\n.target sm_70\n.address_size 64
    ///     .global .u32 sum;
    ///     .visible .entry add(.param .u32 number) {
    ///         .reg .b32 %r;
    ///         ld.param.u32 %r, [number];
    ///         red.global.add.u32 [sum], %r;
    ///         ret;
    ///     }",
    /// )?;
    /// let entry = module.entry("add").expect("it is there");
    /// let params = 3u32.to_le_bytes().to_vec();
    /// let launch = Arc::new(Launch { entry, grid: [1, 1, 1], block: [32, 1, 1], shared_bytes: 0, params });
    /// let progress = Block::new(&launch, [0, 0, 0], 1).run(&(), 1000).expect("no fault");
    /// assert_eq!(progress, Progress::Done);
    /// # Ok::<(), softcuda::machine::PtxError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, PtxError> {
        let program = decode::decode(&ptx::parse(text)?, text)?;
        Ok(Self { program: Arc::new(program) })
    }

    /// The entry of that name.
    pub fn entry(&self, name: &str) -> Option<Entry> {
        let index = self.program.entries.iter().position(|start| start.name == name)?;
        Some(Entry { program: self.program.clone(), index })
    }

    /// The names of all entries.
    pub fn entries(&self) -> impl Iterator<Item = &str> {
        self.program.entries.iter().map(|start| start.name.as_str())
    }

    /// Address and bytes of a `.global` or `.const` variable. Device code reaches it without asking [`Memory`]; whoever copies to it has to know
    /// that it is there, and that it lives as long as a `Module`, [`Entry`] or [`Launch`] of it.
    pub fn global(&self, name: &str) -> Option<(u64, u64)> {
        self.program.globals.get(name).copied()
    }
}

/// An entry of a module, which it keeps.
#[derive(Clone, Debug)]
pub struct Entry {
    program: Arc<Program>,
    index: usize,
}

impl Entry {
    fn start(&self) -> &Start {
        &self.program.entries[self.index]
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.start().name
    }

    /// Offset and size of each parameter in [`Launch::params`].
    pub fn params(&self) -> &[(u32, u32)] {
        &self.start().params
    }

    /// Bytes of all parameters.
    pub fn param_bytes(&self) -> u32 {
        self.start().param_bytes
    }

    /// Static shared memory of a block, in bytes.
    pub fn shared_bytes(&self) -> u32 {
        self.program.shared
    }

    /// Local memory of a lane, in bytes.
    pub fn local_bytes(&self) -> u32 {
        self.program.local
    }
}

/// A launch: what its blocks have in common.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Where it begins.
    pub entry: Entry,
    /// How many blocks there are, in three directions.
    pub grid: [u32; 3],
    /// How many threads a block has; at most 1024.
    pub block: [u32; 3],
    /// Shared memory of a block beyond the entry's own, in bytes.
    pub shared_bytes: u32,
    /// The parameters, laid out as [`Entry::params`] says.
    pub params: Vec<u8>,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It has executed as many instructions as it was to.
    Ran,
    /// Every lane that could go on naps, the shortest for so long.
    Asleep(Duration),
    /// Every lane has ended.
    Done,
}

/// What went wrong in a block, which is dead then.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{kind} at {place}")]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// Where: line, function and text, lane, warp and block.
    pub place: String,
}

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FaultKind {
    /// An access to memory that is not there, or not this lane's. With the address, in a window its offset there.
    #[error("illegal address 0x{0:x}")]
    IllegalAddress(u64),
    /// An access to an address that is no multiple of its size.
    #[error("misaligned address 0x{0:x}")]
    Misaligned(u64),
    /// `trap`
    #[error("trap")]
    Trap,
    /// No lane of the block can ever go on: those that are left wait for one another at barriers or `.sync` instructions.
    #[error("deadlock: lanes wait that nobody comes to")]
    BarrierDeadlock,
    /// What PTX leaves undefined: a lane that is not in the mask of its `.sync` instruction, or threads that disagree about a barrier.
    #[error("lanes that do not fit their mask or barrier")]
    Misuse,
}
