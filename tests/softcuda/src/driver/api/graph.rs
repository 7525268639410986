//! Graphs: launches that were captured.

use crate::driver::raw::Out;
use crate::driver::streams::Operation;
use crate::driver::system::call_in_context;
use cudarc::driver::sys::CUresult::{self, *};

/// Makes a graph launchable.
#[unsafe(no_mangle)]
pub extern "C" fn cuGraphInstantiateWithFlags(exec: Out<usize>, graph: usize, flags: u64) -> CUresult {
    call_in_context(|system, device, state| {
        if flags != 0 {
            return Err(CUDA_ERROR_NOT_SUPPORTED);
        }
        let graph = state.graphs.get(&graph).ok_or(CUDA_ERROR_INVALID_HANDLE)?.clone();
        let mut state = system.idle(state, device, "cuGraphInstantiate");
        let handle = state.new_handle();
        exec.put(handle)?;
        state.execs.insert(handle, graph);
        Ok(())
    })
}

/// Launches a graph: its nodes, one after the other.
#[unsafe(no_mangle)]
pub extern "C" fn cuGraphLaunch(exec: usize, stream: usize) -> CUresult {
    call_in_context(|system, device, mut state| {
        let stream = state.stream(device, stream)?;
        let graph = state.execs.get(&exec).ok_or(CUDA_ERROR_INVALID_HANDLE)?;
        if graph.device != device {
            return Err(CUDA_ERROR_NOT_SUPPORTED);
        }
        let gone = |function| !state.functions.contains_key(function);
        if graph.nodes.iter().any(|node| gone(&node.function)) {
            return Err(CUDA_ERROR_INVALID_HANDLE);
        }
        let (nodes, launched) = (graph.nodes.clone(), graph.launched);
        if !launched {
            state = system.idle(state, device, "the first launch of a graph");
            if let Some(graph) = state.execs.get_mut(&exec) {
                graph.launched = true;
            }
        }
        for node in nodes {
            state.submit(system, stream, Operation::Kernel(node.kernel))?;
        }
        Ok(())
    })
}
