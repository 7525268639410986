//! The actors of the cases, besides the counting ones.

use ringkernel::__private::{check_length, native_shard};
use ringkernel::prelude::*;
use ringkernel::{Actor, DecodeError, DeviceError, DeviceType, Handles};
use ringkernel_backends::kernel::{Group, HandlerInfo, KernelDescriptor, MessageInfo, Needs};

/// Answers with its number and one.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Echo {
    pub n: u32,
}

/// Keeps the handler busy for so many rounds.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Busy {
    pub rounds: u32,
}

/// Its handler never returns.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Forever {
    pub seed: u32,
}

/// Its handler panics.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Fail {}

/// A message of several slots; answered with itself, each word plus one.
#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Blob {
    pub words: [u32; 50],
}

#[ring_kernel(id = "worker")]
#[derive(Default, Debug, PartialEq)]
pub struct Worker {
    pub handled: u64,
    pub noise: u32,
}

#[ring_kernel]
impl Worker {
    #[handler]
    fn echo(&mut self, _ctx: &mut RingContext, msg: Echo) -> u32 {
        self.handled = self.handled.wrapping_add(1);
        msg.n.wrapping_add(1)
    }

    #[handler]
    fn busy(&mut self, _ctx: &mut RingContext, msg: Busy) -> u32 {
        let mut x = self.noise | 1;
        for _ in 0..msg.rounds {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
        }
        self.noise = x;
        self.handled = self.handled.wrapping_add(1);
        x
    }

    #[handler]
    fn forever(&mut self, _ctx: &mut RingContext, msg: Forever) -> u32 {
        // Such a generator never reaches 0 from anything else, which no compiler knows.
        let mut x = msg.seed | 1;
        while x != 0 {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
        }
        x
    }

    #[handler]
    fn fail(&mut self, _ctx: &mut RingContext, _msg: Fail) {
        self.handled = self.handled.wrapping_add(1);
        panic!("as it was told to");
    }

    #[handler]
    fn blob(&mut self, _ctx: &mut RingContext, msg: Blob) -> Blob {
        let mut words = [0u32; 50];
        for i in 0..50 {
            words[i] = msg.words[i].wrapping_add(1);
        }
        self.handled = self.handled.wrapping_add(1);
        Blob { words }
    }
}

/// Reads an address of the device's memory; 1 stands for not reading any.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Peek {
    pub address: u64,
}

/// What was there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peeked(pub u64);

/// An actor as no Rust handler can be: its device code, written by hand, reads where it is told to. To read address 0 ends
/// every kernel of the process with a sticky error.
#[derive(DeviceType, Clone, Copy, Debug, Default)]
pub struct Peeker {
    pub unused: u32,
}

static PEEKER: KernelDescriptor = KernelDescriptor {
    id: "peeker",
    actor: "Peeker",
    group: Group::Thread,
    state_size: 4,
    state_align: 4,
    handlers: &[HandlerInfo {
        name: "peek",
        message: MessageInfo { name: "Peek", tag: <Peek as RingMessage>::TAG, size: 8 },
        reply: MessageInfo { name: "Peeked", tag: Peeked::TAG, size: 8 },
    }],
    sites: &[],
    ptx: include_str!("peeker.ptx"),
    wgsl: "",
    wgsl_needs: Needs { int64: true, float64: false },
    native: |spec| native_shard::<Peeker>(spec),
    default_state: Some(|out| out.fill(0)),
};

impl DeviceType for Peeked {
    const NAME: &'static str = "Peeked";
    const SIZE: u32 = 8;
    const ALIGN: u32 = 8;
    fn encode(&self, out: &mut [u8]) {
        self.0.encode(out)
    }
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        check_length::<Self>(bytes)?;
        Ok(Self(u64::decode(bytes)?))
    }
}

impl RingMessage for Peeked {
    /// As in `peeker.ptx`.
    const TAG: u32 = 5001;
}

impl Actor for Peeker {
    const DESCRIPTOR: &'static KernelDescriptor = &PEEKER;
    fn dispatch(
        &mut self,
        _: &mut RingContext,
        _: u32,
        _: &[u8],
        _: &mut [u8],
    ) -> Result<(u32, u32), FaultKind> {
        Err(FaultKind::UnknownMessage)
    }
}

impl Handles<Peek> for Peeker {
    type Reply = Peeked;
}

/// Whether an error is the device's own word, whichever.
pub fn is_typed(error: &RingKernelError) -> bool {
    matches!(error, RingKernelError::Device { .. } | RingKernelError::DeviceLost { .. })
}

/// Whether an error says that the device had no room, and how it says so.
pub fn no_room(error: &RingKernelError) -> bool {
    matches!(
        error,
        RingKernelError::Device { error: DeviceError::Capacity { .. } | DeviceError::OutOfMemory { .. }, .. }
    )
}
