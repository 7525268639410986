//! Pools of device memory.

use super::memory::{ALIGN, not_captured};
use crate::driver::raw::{In, Out};
use crate::driver::streams::Operation;
use crate::driver::system::{Handle, Pool, State, System, call_in_context};
use cudarc::driver::sys::CUresult::{self, *};
use cudarc::driver::sys::{
    CUmemAccess_flags_enum, CUmemAccessDesc, CUmemAllocationHandleType_enum, CUmemAllocationType_enum,
    CUmemLocation, CUmemLocationType_enum, CUmemPool_attribute_enum, CUmemPoolProps,
};

/// Takes memory from the device's default pool; usable from this place of the stream on.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemAllocAsync(address: Out<u64>, bytes: usize, stream: usize) -> CUresult {
    call_in_context(|system, device, mut state| {
        let pool = state.contexts[device].default_pool;
        take(system, device, &mut state, address, bytes, pool, stream)
    })
}

/// Takes memory from a pool of the current device's; usable from this place of the stream on.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemAllocFromPoolAsync(
    address: Out<u64>,
    bytes: usize,
    pool: usize,
    stream: usize,
) -> CUresult {
    call_in_context(|system, device, mut state| {
        take(system, device, &mut state, address, bytes, pool, stream)
    })
}

fn take(
    system: &System,
    device: usize,
    state: &mut State,
    to: Out<u64>,
    bytes: usize,
    handle: Handle,
    stream: usize,
) -> Result<(), CUresult> {
    let stream = not_captured(state, state.stream(device, stream)?)?;
    let pool = state.pools.get(&handle).ok_or(CUDA_ERROR_INVALID_HANDLE)?;
    if pool.device != device {
        return Err(CUDA_ERROR_NOT_SUPPORTED);
    }
    if bytes == 0 || to.is_null() {
        return Err(CUDA_ERROR_INVALID_VALUE);
    }
    let taken = system.memory[device].take(bytes as u64, ALIGN, Some((handle, pool.shared)));
    let taken = taken.ok_or(CUDA_ERROR_OUT_OF_MEMORY)?;
    state.submit(system, stream, Operation::Open(taken))?;
    to.put(taken)
}

fn on_device(system: &System, location: &CUmemLocation) -> Result<usize, CUresult> {
    if location.type_ != CUmemLocationType_enum::CU_MEM_LOCATION_TYPE_DEVICE {
        return Err(CUDA_ERROR_NOT_SUPPORTED);
    }
    let device = usize::try_from(location.id).ok().filter(|device| *device < system.memory.len());
    device.ok_or(CUDA_ERROR_INVALID_DEVICE)
}

/// Makes a pool of device memory that this process keeps to itself.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemPoolCreate(pool: Out<usize>, properties: In<CUmemPoolProps>) -> CUresult {
    call_in_context(|system, _, mut state| {
        let properties = properties.all(1)?[0];
        let device = on_device(system, &properties.location)?;
        if properties.allocType != CUmemAllocationType_enum::CU_MEM_ALLOCATION_TYPE_PINNED
            || properties.handleTypes != CUmemAllocationHandleType_enum::CU_MEM_HANDLE_TYPE_NONE
            || properties.maxSize != 0
            || properties.usage != 0
        {
            return Err(CUDA_ERROR_NOT_SUPPORTED);
        }
        let handle = state.new_handle();
        pool.put(handle)?;
        state.pools.insert(handle, Pool { device, shared: false });
        Ok(())
    })
}

/// How much a pool keeps when it is not used: it may be said, and changes nothing here. No other attribute.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemPoolSetAttribute(pool: usize, attribute: u32, value: In<u64>) -> CUresult {
    call_in_context(|_, _, state| {
        if !state.pools.contains_key(&pool) {
            return Err(CUDA_ERROR_INVALID_HANDLE);
        }
        if attribute != CUmemPool_attribute_enum::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD as u32 {
            return Err(CUDA_ERROR_NOT_SUPPORTED);
        }
        value.all(1).map(drop)
    })
}

/// Says which devices may read and write a pool's memory.
#[unsafe(no_mangle)]
pub extern "C" fn cuMemPoolSetAccess(pool: usize, access: In<CUmemAccessDesc>, count: usize) -> CUresult {
    use CUmemAccess_flags_enum::*;
    call_in_context(|system, _, mut state| {
        let home = state.pools.get(&pool).ok_or(CUDA_ERROR_INVALID_HANDLE)?.device;
        let mut changes = Vec::new();
        for access in access.all(count)? {
            let device = on_device(system, &access.location)?;
            match access.flags {
                CU_MEM_ACCESS_FLAGS_PROT_READWRITE if device == home => {}
                _ if device == home => return Err(CUDA_ERROR_INVALID_VALUE),
                CU_MEM_ACCESS_FLAGS_PROT_READWRITE => changes.push(true),
                CU_MEM_ACCESS_FLAGS_PROT_NONE => changes.push(false),
                _ => return Err(CUDA_ERROR_NOT_SUPPORTED),
            }
        }
        for device in 0..system.memory.len() {
            state = system.idle(state, device, "cuMemPoolSetAccess");
        }
        for shared in changes {
            if let Some(known) = state.pools.get_mut(&pool) {
                known.shared = shared;
            }
            system.memory[home].share(Some(pool), shared);
        }
        Ok(())
    })
}
