//! What a request costs without a resident kernel: an empty launch, a graph's launch, a launch with copies in and out.

use super::{STEP, Times, for_device, load};
use crate::cuda::driver::{Function, LentStream, Stream, check};
use crate::cuda::{CudaDevice, Shared};
use crate::kernel::DeviceError;
use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DriverError, LaunchConfig, PushKernelArg,
};
use cudarc::driver::{result, sys};
use cudarc::nvrtc::Ptx;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Bytes of a message and of a reply: a slot's.
const BYTES: usize = 64;

/// Does `once` a few times to warm up, then `count` times with the clock running.
fn timed(count: usize, mut once: impl FnMut() -> Result<(), DeviceError>) -> Result<Times, DeviceError> {
    for _ in 0..count.min(500) {
        once()?;
    }
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let begin = Instant::now();
        once()?;
        times.push(begin.elapsed());
    }
    Ok(Times::of(times))
}

/// Waits for the stream as long as a step may take: what is queued behind a full GPU would never start, and
/// `cuStreamSynchronize` would wait with it.
fn starts(stream: LentStream, what: &'static str) -> Result<LentStream, DeviceError> {
    let begin = Instant::now();
    while !stream.is_idle()? {
        if begin.elapsed() > STEP {
            // Something is still queued on it: nobody else may have it.
            std::mem::forget(stream);
            return Err(DeviceError::Deadline { what, deadline: STEP });
        }
        std::thread::yield_now();
    }
    Ok(stream)
}

/// Launches an empty kernel of one warp and waits for it, `count` times after a warm-up, on GPU `ordinal`.
///
/// # Errors
/// [`DeviceError::Unavailable`] where there is no GPU; others as the driver reports them.
pub fn launch_and_synchronize(ordinal: usize, count: usize) -> Result<Times, DeviceError> {
    let shared = CudaDevice::open(ordinal, &[])?.shared;
    let function = load(&shared, ordinal, include_str!("empty.ptx"), c"empty")?;
    let stream = shared.spare_stream()?;
    launch_empty(function, &stream)?;
    let stream = starts(stream, "an empty kernel")?;
    // Around all, as a program has it that uses one context.
    let _bound = shared.context.bind()?;
    timed(count, || {
        launch_empty(function, &stream)?;
        stream.synchronize()
    })
}

fn launch_empty(function: Function, stream: &Stream) -> Result<(), DeviceError> {
    // SAFETY: the kernel takes its parameters and returns without using them.
    unsafe { function.launch(stream, 1, 32, 0, 0) }
}

/// A graph that was made ready; never destroyed.
#[derive(Clone, Copy)]
struct Graph(sys::CUgraphExec);

// SAFETY: a handle; calls with it are made by one thread at a time, as the lock below sees to.
unsafe impl Send for Graph {}

/// By GPU. The lock is held while a graph is launched: graphs are not the driver's to lock.
static GRAPHS: Mutex<Vec<(usize, Graph)>> = Mutex::new(Vec::new());

/// Launches a graph of one empty kernel and waits for it, `count` times after a warm-up, on GPU `ordinal`. The graph is captured and
/// instantiated before.
///
/// # Errors
/// [`DeviceError::Unavailable`] where there is no GPU; others as the driver reports them.
pub fn graph_launch_and_synchronize(ordinal: usize, count: usize) -> Result<Times, DeviceError> {
    let shared = CudaDevice::open(ordinal, &[])?.shared;
    let function = load(&shared, ordinal, include_str!("empty.ptx"), c"empty")?;
    let stream = shared.spare_stream()?;
    let mut graphs = GRAPHS.lock().unwrap_or_else(PoisonError::into_inner);
    let graph = match graphs.iter().find(|(gpu, _)| *gpu == ordinal) {
        Some((_, graph)) => *graph,
        None => {
            let graph = shared.registry.quiesced(|| capture(&shared, function, &stream))??;
            graphs.push((ordinal, graph));
            graph
        }
    };
    let once = |stream: &Stream| {
        // SAFETY: graph and stream are of this context and live for ever; nobody else launches the graph (the lock).
        check("cuGraphLaunch", unsafe { result::graph::launch(graph.0, stream.raw) })
    };
    let _bound = shared.context.bind()?;
    once(&stream)?;
    let stream = starts(stream, "a graph of an empty kernel")?;
    timed(count, || {
        once(&stream)?;
        stream.synchronize()
    })
}

/// A graph of one launch, with its first launch done: that one uploads it. Call it quiesced.
fn capture(shared: &Shared, function: Function, stream: &Stream) -> Result<Graph, DeviceError> {
    let _bound = shared.context.bind()?;
    let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
    // SAFETY: the stream lives for ever, and nothing else uses it: it is lent to us.
    check("cuStreamBeginCapture", unsafe { result::stream::begin_capture(stream.raw, mode) })?;
    let launched = launch_empty(function, stream);
    // SAFETY: as above; a capture that was begun is ended, whatever came between.
    let graph = check("cuStreamEndCapture", unsafe { result::stream::end_capture(stream.raw) });
    launched?;
    let flags = sys::CUgraphInstantiate_flags(0);
    // SAFETY: the graph was just captured.
    let graph = check("cuGraphInstantiate", unsafe { result::graph::instantiate(graph?, flags) })?;
    // SAFETY: as in `graph_launch_and_synchronize`, whose lock is held.
    check("cuGraphLaunch", unsafe { result::graph::launch(graph, stream.raw) })?;
    stream.synchronize()?;
    Ok(Graph(graph))
}

/// What a program without resident kernels keeps to answer requests, in cudarc's own types.
///
/// Never dropped: unloading a module and giving memory back would wait for whatever is resident.
struct Copies {
    stream: Arc<CudaStream>,
    add: CudaFunction,
    state: CudaSlice<u64>,
    message: CudaSlice<u8>,
    reply: CudaSlice<u8>,
    total: u64,
    messages: u64,
}

static COPIES: Mutex<Vec<(usize, Copies)>> = Mutex::new(Vec::new());

/// What a request costs that launches its handler: 64 bytes copied to the device, a kernel that adds to a state there, 64 bytes copied
/// back, and the wait for them, as one writes it with cudarc's safe API; `count` times after a warm-up, on GPU `ordinal`. Every result is
/// checked.
///
/// It runs on the default stream. Nothing may be resident that fills the GPU: this waits as long as the driver does.
///
/// # Errors
/// [`DeviceError::Unavailable`] where there is no GPU; others as the driver reports them.
pub fn launch_with_copies(ordinal: usize, count: usize) -> Result<Times, DeviceError> {
    let shared = CudaDevice::open(ordinal, &[])?.shared;
    // cudarc makes the same context current and leaves it so; behind a guard it finds it there.
    let _bound = shared.context.bind()?;
    let mut all = COPIES.lock().unwrap_or_else(PoisonError::into_inner);
    let at = match all.iter().position(|(gpu, _)| *gpu == ordinal) {
        Some(at) => at,
        None => {
            let text = for_device(include_str!("add.ptx"), shared.context.cc);
            let made = shared.registry.quiesced(|| {
                let mut copies = Copies::new(ordinal, text)?;
                // The first launch loads the code.
                copies.request(1)?;
                Ok(copies)
            })?;
            all.push((ordinal, check("cudarc", made)?));
            all.len() - 1
        }
    };
    let copies = &mut all[at].1;
    let mut amount = 0;
    timed(count, || {
        amount += 1;
        let reply = check("cudarc", copies.request(amount))?;
        let must_be = (copies.total, copies.messages);
        if reply == must_be {
            Ok(())
        } else {
            let reason = format!("the reply is {reply:?} and must be {must_be:?}");
            Err(DeviceError::Driver { call: "launch with copies", reason })
        }
    })
}

impl Copies {
    fn new(ordinal: usize, text: String) -> Result<Self, DriverError> {
        let context = CudaContext::new(ordinal)?;
        let stream = context.default_stream();
        let add = context.load_module(Ptx::from_src(text))?.load_function("add")?;
        Ok(Self {
            add,
            state: stream.alloc_zeros(2)?,
            message: stream.alloc_zeros(BYTES)?,
            reply: stream.alloc_zeros(BYTES)?,
            stream,
            total: 0,
            messages: 0,
        })
    }

    /// One request: the total and the count of messages that the device replies.
    fn request(&mut self, amount: u64) -> Result<(u64, u64), DriverError> {
        let mut message = [0; BYTES];
        message[..8].copy_from_slice(&amount.to_le_bytes());
        let mut reply = [0; BYTES];

        self.stream.memcpy_htod(&message, &mut self.message)?;
        let mut launch = self.stream.launch_builder(&self.add);
        launch.arg(&mut self.state).arg(&self.message).arg(&mut self.reply);
        let shape = LaunchConfig { grid_dim: (1, 1, 1), block_dim: (32, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the three arguments are the kernel's, in order, and larger than what it touches.
        unsafe { launch.launch(shape) }?;
        self.stream.memcpy_dtoh(&self.reply, &mut reply)?;
        self.stream.synchronize()?;

        self.total = self.total.wrapping_add(amount);
        self.messages += 1;
        let word = |at: usize| reply[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Ok((word(0), word(8)))
    }
}
