//! The driver: what `libcuda.so` offers, as much of it as RingKernel, its baselines and its tests call, over the interpreter.
//!
//! A process that finds this library under that name runs the CUDA backend (its host code, the driver calls it makes, its device code) on
//! a machine without a GPU. That is for tests: of what host and device code *mean*, and of what the backend does with the driver,
//! on many schedules, in CI. What it is not:
//!
//! - It has no timings. A round trip here says nothing about a round trip on a GPU; the report refuses the device by its name.
//! - It reorders less than a GPU may: stores that nothing orders are seen late now and then, and weak loads may be old (see
//!   [`machine`](crate::machine)), but relaxed loads are made in order. Which of the fences that are missing are missed, is a matter of luck and seeds.
//! - It knows nothing that NVIDIA's compiler or driver get wrong, and only those of their ways that are written down below.
//!
//! So nothing it shows replaces a run on a GPU. Where it differs on purpose it is stricter: fresh memory is full of `0xCD`, allocations have
//! gaps between them, memory from a stream is usable from its place in the stream on and until that of its end, and whatever a kernel touches
//! besides is an illegal address, which ends the context, as it does on a GPU. Calls that are not here are missing symbols; combinations that
//! are not modelled are `CUDA_ERROR_NOT_SUPPORTED`.
//!
//! # What waits for the device
//!
//! A kernel that stays resident makes some calls of a real driver wait for ever, and it is a rule of the backend's to make none of them beside
//! one. Here such a call waits until no kernel of the device runs or is queued, and after `SOFTCUDA_PATIENCE` seconds (20) it ends the process
//! and says which call it was. Which those are was measured on an H200, or (*) is what the backend's authors take for granted.
//!
//! | waits until no kernel runs | returns at once |
//! | --- | --- |
//! | `cuModuleLoadData`, `cuModuleLoadDataEx`, `cuModuleUnload` | `cuLaunchKernel`, but for a function's first launch |
//! | `cuMemFree`, `cuMemFreeHost` | `cuMemAlloc`, `cuMemHostAlloc`, `cuMemAllocAsync`, `cuMemAllocFromPoolAsync`, `cuMemFreeAsync` |
//! | `cuCtxSynchronize`; the last `cuDevicePrimaryCtxRelease` (*) | `cuMemcpyHtoDAsync`, `cuMemcpyDtoHAsync`, `cuMemsetD8Async`, on another stream |
//! | `cuStreamCreate`: the 35th of a process did, beside a kernel; here all do | events and `cuStreamQuery`; `cuStreamSynchronize` of another stream |
//! | a function's first launch, which loads its code and may grow the local memory; a graph's first launch (*) | `cuMemPoolCreate` (*) |
//! | `cuGraphInstantiate` (*); `cuCtxEnablePeerAccess`, `cuMemPoolSetAccess` (*), for both devices | |
//!
//! # How to read it
//!
//! `api` has the functions, by what they are about; they take what C hands over as the types of `raw`, where all `unsafe` is. `system` is what
//! they work on, behind one lock. `streams` are the queues, `schedule` puts blocks on multiprocessors and runs them in slices on worker
//! threads, `region` is memory, `device` what the device says of itself, `settings` what the environment says.
//!
//! | variable | |
//! | --- | --- |
//! | `SOFTCUDA_DEVICES` | 1 or 2 devices; two reach each other's memory |
//! | `SOFTCUDA_THREADS` | worker threads, 2 unless told |
//! | `SOFTCUDA_PATIENCE` | seconds until a call that waits for ever ends the process |
//! | `SOFTCUDA_SEED` | another seed is another schedule, as far as the host's threads let it be |
//! | `SOFTCUDA_EXIT` | milliseconds for which a process that exits goes on when its pinned memory is gone, so that who still reads it is caught; it is not gone unless told |
//! | `SOFTCUDA_CLOCK_RATE` | microseconds that the devices' clock counts in a second: 1,000,000, which is right, unless told |
//! | `SOFTCUDA_CLOCK_STEP`, `SOFTCUDA_CLOCK_STEP_AFTER` | milliseconds by which it is set ahead, and after how many |

pub mod api;
mod device;
mod names;
mod raw;
mod region;
mod schedule;
mod settings;
mod streams;
mod system;

pub use device::NAME;
pub use raw::{In, Name, Out, Text};
