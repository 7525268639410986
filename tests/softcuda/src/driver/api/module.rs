//! Modules and their functions.

use crate::driver::device;
use crate::driver::raw::{In, Out, Text};
use crate::driver::system::{Function, Loaded, call, call_in_context};
use crate::machine::Module;
use cudarc::driver::sys::CUfunction_attribute_enum::*;
use cudarc::driver::sys::CUjit_option_enum::{CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
use cudarc::driver::sys::CUresult::{self, *};
use std::sync::Arc;

/// Loads PTX.
#[unsafe(no_mangle)]
pub extern "C" fn cuModuleLoadData(module: Out<usize>, image: Text) -> CUresult {
    load("cuModuleLoadData", module, image, None)
}

/// Loads PTX; of the options, those for a log of errors.
#[unsafe(no_mangle)]
pub extern "C" fn cuModuleLoadDataEx(
    module: Out<usize>,
    image: Text,
    count: u32,
    options: In<u32>,
    values: In<u64>,
) -> CUresult {
    let mut log = None;
    let read = call(|_| {
        let (options, values) = (options.all(count as usize)?, values.all(count as usize)?);
        let value = |option: u32| {
            options.iter().zip(&values).find(|(known, _)| **known == option).map(|(_, value)| *value)
        };
        let known = [CU_JIT_ERROR_LOG_BUFFER as u32, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES as u32];
        if options.iter().any(|option| !known.contains(option)) {
            return Err(CUDA_ERROR_NOT_SUPPORTED);
        }
        log = value(known[0]).zip(value(known[1]));
        Ok(())
    });
    if read != CUDA_SUCCESS {
        return read;
    }
    load("cuModuleLoadDataEx", module, image, log)
}

/// Loads a module; what is wrong with it goes to the log, an address and how many bytes there are.
fn load(name: &str, to: Out<usize>, image: Text, log: Option<(u64, u64)>) -> CUresult {
    // Without the lock: it is as long as the text.
    let mut module = None;
    let parsed = call(|_| {
        match Module::parse(&image.get()?) {
            Ok(parsed) => module = Some(parsed),
            Err(error) => {
                let Some((address, room)) = log.filter(|(_, room)| *room > 0) else {
                    return Err(CUDA_ERROR_INVALID_PTX);
                };
                let mut text = error.to_string().into_bytes();
                text.truncate(room as usize - 1);
                text.push(0);
                Out::at(address).put_all(&text)?;
                return Err(CUDA_ERROR_INVALID_PTX);
            }
        }
        Ok(())
    });
    let Some(module) = module else { return parsed };
    call_in_context(|system, device, state| {
        let mut state = system.idle(state, device, name);
        let handle = state.new_handle();
        to.put(handle)?;
        state.modules.insert(handle, Loaded { device, module: Arc::new(module) });
        Ok(())
    })
}

/// Unloads a module, once nothing runs.
#[unsafe(no_mangle)]
pub extern "C" fn cuModuleUnload(module: usize) -> CUresult {
    call_in_context(|system, device, mut state| {
        if state.modules.get(&module).is_none_or(|known| known.device != device) {
            return Err(CUDA_ERROR_INVALID_HANDLE);
        }
        state = system.idle(state, device, "cuModuleUnload");
        state.modules.remove(&module);
        state.functions.retain(|_, function| function.module != module);
        Ok(())
    })
}

/// A function of a module by its name.
#[unsafe(no_mangle)]
pub extern "C" fn cuModuleGetFunction(function: Out<usize>, module: usize, name: Text) -> CUresult {
    call_in_context(|_, device, mut state| {
        let name = name.get()?;
        let known = state.modules.get(&module).filter(|known| known.device == device);
        let loaded = known.ok_or(CUDA_ERROR_INVALID_HANDLE)?.module.clone();
        let same = |known: &Function| known.module == module && known.name == name;
        if let Some((handle, _)) = state.functions.iter().find(|(_, known)| same(known)) {
            return function.put(*handle);
        }
        let entry = loaded.entry(&name).ok_or(CUDA_ERROR_NOT_FOUND)?;
        let handle = state.new_handle();
        function.put(handle)?;
        let most_dynamic_shared = device::BLOCK_SHARED.saturating_sub(entry.shared_bytes());
        let found =
            Function { device, module, name, entry, most_dynamic_shared, carveout: -1, launched: false };
        state.functions.insert(handle, found);
        Ok(())
    })
}

/// What a function takes. How many registers, nobody knows.
#[unsafe(no_mangle)]
pub extern "C" fn cuFuncGetAttribute(value: Out<i32>, attribute: u32, function: usize) -> CUresult {
    call_in_context(|_, _, state| {
        let function = state.functions.get(&function).ok_or(CUDA_ERROR_INVALID_HANDLE)?;
        let known = [
            (CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK, device::BLOCK_THREADS as i32),
            (CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, function.entry.shared_bytes() as i32),
            (CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES, function.entry.local_bytes() as i32),
            (CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, function.most_dynamic_shared as i32),
            (CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT, function.carveout),
        ];
        let found = known.iter().find(|(which, _)| *which as u32 == attribute);
        value.put(found.ok_or(CUDA_ERROR_NOT_SUPPORTED)?.1)
    })
}

/// How much dynamic shared memory a function may be given, and its wish for the division of a multiprocessor's memory, which is only kept.
#[unsafe(no_mangle)]
pub extern "C" fn cuFuncSetAttribute(function: usize, attribute: u32, value: i32) -> CUresult {
    call_in_context(|_, _, mut state| {
        let function = state.functions.get_mut(&function).ok_or(CUDA_ERROR_INVALID_HANDLE)?;
        if attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as u32 {
            let most = device::BLOCK_SHARED_OPTIN.saturating_sub(function.entry.shared_bytes());
            let value = u32::try_from(value).ok().filter(|value| *value <= most);
            function.most_dynamic_shared = value.ok_or(CUDA_ERROR_INVALID_VALUE)?;
        } else if attribute == CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT as u32 {
            function.carveout =
                Some(value).filter(|v| (-1..=100).contains(v)).ok_or(CUDA_ERROR_INVALID_VALUE)?;
        } else {
            return Err(CUDA_ERROR_NOT_SUPPORTED);
        }
        Ok(())
    })
}
