//! Launches.

use crate::driver::device::{self, Multiprocessor, Need};
use crate::driver::raw::{self, In, Out};
use crate::driver::schedule;
use crate::driver::streams::{Node, Operation};
use crate::driver::system::{Function, call_in_context};
use crate::machine::Launch;
use cudarc::driver::sys::CUresult::{self, *};

/// Whether a block of so many threads and so many bytes of dynamic shared memory can be.
fn can_be(function: &Function, threads: u64, shared: u64) -> bool {
    (1..=u64::from(device::BLOCK_THREADS)).contains(&threads)
        && shared <= u64::from(function.most_dynamic_shared)
}

/// How many such blocks fit an empty multiprocessor.
#[unsafe(no_mangle)]
pub extern "C" fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
    blocks: Out<i32>,
    function: usize,
    threads: i32,
    shared: usize,
) -> CUresult {
    call_in_context(|_, _, state| {
        let function = state.functions.get(&function).ok_or(CUDA_ERROR_INVALID_HANDLE)?;
        let threads = u32::try_from(threads).map_err(|_| CUDA_ERROR_INVALID_VALUE)?;
        if !can_be(function, threads.into(), shared as u64) {
            return blocks.put(0);
        }
        let need = Need { threads, shared: function.entry.shared_bytes() + shared as u32 };
        blocks.put(Multiprocessor::EMPTY.fit(need) as i32)
    })
}

/// Launches a kernel. Its parameters come as an array of pointers; the other way, `extra`, is not supported.
#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments, reason = "the arguments are libcuda's")]
pub extern "C" fn cuLaunchKernel(
    function: usize,
    grid_x: u32,
    grid_y: u32,
    grid_z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    shared_bytes: u32,
    stream: usize,
    parameters: In<u64>,
    extra: In<u64>,
) -> CUresult {
    call_in_context(|system, device, mut state| {
        if !extra.is_null() {
            return Err(CUDA_ERROR_NOT_SUPPORTED);
        }
        let known = state.functions.get(&function).ok_or(CUDA_ERROR_INVALID_HANDLE)?;
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        let within = |sizes: [u32; 3], most: [u32; 3]| {
            sizes.iter().zip(most).all(|(size, most)| (1..=most).contains(size))
        };
        let threads = block.iter().map(|count| u64::from(*count)).product();
        if known.device != device
            || !within(grid, device::GRID)
            || !within(block, device::BLOCK)
            || !can_be(known, threads, shared_bytes.into())
        {
            return Err(CUDA_ERROR_INVALID_VALUE);
        }
        let mut params = Vec::new();
        let wanted = known.entry.params();
        for ((offset, bytes), from) in wanted.iter().zip(parameters.all(wanted.len())?) {
            if from == 0 {
                return Err(CUDA_ERROR_INVALID_VALUE);
            }
            params.resize(*offset as usize, 0);
            params.extend(raw::load(from, *bytes as usize));
        }
        let launched = known.launched;
        let kernel =
            schedule::kernel(Launch { entry: known.entry.clone(), grid, block, shared_bytes, params });
        let stream = state.stream(device, stream)?;
        if let Some(nodes) = state.streams.get_mut(&stream).and_then(|stream| stream.capture.as_mut()) {
            nodes.push(Node { function, kernel });
            return Ok(());
        }
        if !launched {
            state = system.idle(state, device, "the first launch of a function");
            if let Some(known) = state.functions.get_mut(&function) {
                known.launched = true;
            }
        }
        state.submit(system, stream, Operation::Kernel(kernel)).map(drop)
    })
}
