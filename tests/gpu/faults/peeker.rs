//! An actor with hand-written device code, which can do what no Rust handler can.

use ringkernel::__private::{check_length, native_shard};
use ringkernel::prelude::*;
use ringkernel::{Actor, DecodeError, DeviceType, Handles};
use ringkernel_backends::kernel::{Group, HandlerInfo, KernelDescriptor, MessageInfo, Needs};

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
        message: MessageInfo::fixed("Peek", <Peek as RingMessage>::TAG, 8),
        reply: MessageInfo::fixed("Peeked", Peeked::TAG, 8),
    }],
    sites: &[],
    ptx: include_str!("peeker.ptx"),
    wgsl: "",
    wgsl_needs: Needs { int64: true, float64: false },
    native_only: None,
    native: |spec| native_shard::<Peeker>(spec),
    default_state: Some(|out| out.fill(0)),
    mesh: ringkernel_backends::mesh::Mesh::NONE,
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
