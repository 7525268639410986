//! What a pipeline of four stages costs without resident kernels: a batch of events copied in, four launches, and copied out.

use super::{Times, for_device};
use crate::cuda::CudaDevice;
use crate::cuda::driver::check;
use crate::kernel::DeviceError;
use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DriverError, LaunchConfig, PushKernelArg,
};
use cudarc::nvrtc::Ptx;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The most events of a batch.
pub const MOST_EVENTS: u32 = 1 << 16;
/// How many stages there are.
const STAGES: u32 = 4;
/// Threads of a block.
const THREADS: u32 = 256;

/// In cudarc's own types. Never dropped: unloading a module and giving memory back would wait for whatever is resident.
struct Line {
    stream: Arc<CudaStream>,
    stage: CudaFunction,
    events: CudaSlice<u64>,
}

static LINES: Mutex<Vec<(usize, Line)>> = Mutex::new(Vec::new());

/// Copies `batch` events of 8 bytes to GPU `ordinal`, launches a kernel over all of them for each of four stages, copies them back and waits, as
/// one writes it with cudarc's safe API; `count` times after a warm-up. Every event is checked, outside the time.
///
/// It runs on the default stream. Nothing may be resident that fills the GPU: this waits as long as the driver does.
///
/// # Errors
/// [`DeviceError::Capacity`] where there cannot be such a batch, [`DeviceError::Unavailable`] where there is no GPU,
/// [`DeviceError::Driver`] where an event is wrong; others as the driver reports them.
pub fn four_launches(ordinal: usize, batch: u32, count: usize) -> Result<Times, DeviceError> {
    if !(1..=MOST_EVENTS).contains(&batch) {
        let detail = format!("a batch of {batch} events: it takes from 1 to {MOST_EVENTS}");
        return Err(DeviceError::Capacity { detail });
    }
    let shared = CudaDevice::open(ordinal, &[])?.shared;
    // cudarc makes the same context current and leaves it so; behind a guard it finds it there.
    let _bound = shared.context.bind()?;
    let mut all = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let at = match all.iter().position(|(gpu, _)| *gpu == ordinal) {
        Some(at) => at,
        None => {
            let text = for_device(include_str!("stage.ptx"), shared.context.cc);
            let made = shared.registry.quiesced(|| {
                let mut line = Line::new(ordinal, text)?;
                // The first launch loads the code.
                line.pass(&mut [0])?;
                Ok(line)
            })?;
            all.push((ordinal, check("cudarc", made)?));
            all.len() - 1
        }
    };
    let line = &mut all[at].1;
    let mut events = vec![0u64; batch as usize];
    let mut times = Vec::with_capacity(count);
    let warm_up = count.min(100);
    for round in 0..warm_up + count {
        let value = |index: usize| (round as u32).wrapping_add(index as u32);
        events.iter_mut().enumerate().for_each(|(index, event)| *event = u64::from(value(index)));
        let begin = Instant::now();
        check("cudarc", line.pass(&mut events))?;
        if round >= warm_up {
            times.push(begin.elapsed());
        }
        let wrong =
            events.iter().enumerate().find(|(index, event)| **event != u64::from(through(value(*index))));
        if let Some((index, event)) = wrong {
            let reason = format!("event {index} is {event} and must be {}", through(value(index)));
            return Err(DeviceError::Driver { call: "four launches", reason });
        }
    }
    Ok(Times::of(times))
}

/// What the stages make of a value.
fn through(value: u32) -> u32 {
    (1..=STAGES).fold(value, |value, stage| value.wrapping_mul(1_664_525).wrapping_add(stage))
}

impl Line {
    fn new(ordinal: usize, text: String) -> Result<Self, DriverError> {
        let context = CudaContext::new(ordinal)?;
        let stream = context.default_stream();
        let stage = context.load_module(Ptx::from_src(text))?.load_function("stage")?;
        Ok(Self { stage, events: stream.alloc_zeros(MOST_EVENTS as usize)?, stream })
    }

    /// One batch, at most [`MOST_EVENTS`].
    fn pass(&mut self, events: &mut [u64]) -> Result<(), DriverError> {
        let count = events.len() as u32;
        let mut there = self.events.slice_mut(..events.len());
        self.stream.memcpy_htod(events, &mut there)?;
        let grid = (count.div_ceil(THREADS), 1, 1);
        let shape = LaunchConfig { grid_dim: grid, block_dim: (THREADS, 1, 1), shared_mem_bytes: 0 };
        for number in 1..=STAGES {
            let mut launch = self.stream.launch_builder(&self.stage);
            launch.arg(&mut there).arg(&count).arg(&number);
            // SAFETY: the three arguments are the kernel's, in order, and it touches `count` events of 8 bytes, which there are.
            unsafe { launch.launch(shape) }?;
        }
        self.stream.memcpy_dtoh(&there, events)?;
        self.stream.synchronize()
    }
}
