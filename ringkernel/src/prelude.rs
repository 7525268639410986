//! What a program with actors needs, in one `use ringkernel::prelude::*`.

pub use crate::{
    Archived, Backend, BridgePolicy, DeviceType, FaultKind, HandlerFault, HlcTimestamp, IdlePolicy,
    KernelHandle, KernelState, LaunchOptions, Mode, Overflow, Payload, PayloadTooLarge, RingContext,
    RingKernel, RingKernelError, RingMessage, Sent, StateImage, TerminateOptions, TrySendError, device_const,
    device_fn, handler, ring_kernel,
};
