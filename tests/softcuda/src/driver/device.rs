//! What the device says of itself: a small GPU of compute capability 9.0.

use cudarc::driver::sys::{CUdevice_P2PAttribute_enum as Between, CUdevice_attribute_enum as Attribute};

/// The device's name, by which whoever prints measurements refuses it.
pub const NAME: &str = "PTX interpreter (no GPU)";

/// CUDA 12.8.
pub(crate) const DRIVER_VERSION: i32 = 12_080;
/// Bytes of device memory.
pub(crate) const MEMORY: u64 = 3 << 30;
/// Bytes of host memory that can be pinned.
pub(crate) const PINNED: u64 = 4 << 30;
/// Grids that are resident at once.
pub(crate) const MOST_GRIDS: usize = 128;

pub(crate) const MULTIPROCESSORS: usize = crate::machine::MULTIPROCESSORS as usize;
/// Of a multiprocessor.
pub(crate) const MOST_THREADS: u32 = 2048;
pub(crate) const MOST_BLOCKS: u32 = 32;
pub(crate) const SHARED: u32 = 228 << 10;
/// Of a block: threads, and bytes of shared memory unless more is asked for.
pub(crate) const BLOCK_THREADS: u32 = 1024;
pub(crate) const BLOCK_SHARED: u32 = 48 << 10;
pub(crate) const BLOCK_SHARED_OPTIN: u32 = 227 << 10;
/// Bytes of it that the system takes of every block.
pub(crate) const RESERVED_SHARED: u32 = 1 << 10;
/// Most threads of a block, by dimension, and most blocks of a grid.
pub(crate) const BLOCK: [u32; 3] = [1024, 1024, 64];
pub(crate) const GRID: [u32; 3] = [i32::MAX as u32, 65_535, 65_535];

const ATTRIBUTES: &[(Attribute, i32)] = &[
    (Attribute::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, BLOCK_THREADS as i32),
    (Attribute::CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, BLOCK[0] as i32),
    (Attribute::CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, BLOCK[1] as i32),
    (Attribute::CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, BLOCK[2] as i32),
    (Attribute::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, GRID[0] as i32),
    (Attribute::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, GRID[1] as i32),
    (Attribute::CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, GRID[2] as i32),
    (Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, BLOCK_SHARED as i32),
    (Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, BLOCK_SHARED_OPTIN as i32),
    (Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, SHARED as i32),
    (Attribute::CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK, RESERVED_SHARED as i32),
    (Attribute::CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, MOST_THREADS as i32),
    (Attribute::CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, MOST_BLOCKS as i32),
    (Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, MULTIPROCESSORS as i32),
    (Attribute::CU_DEVICE_ATTRIBUTE_WARP_SIZE, 32),
    (Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 9),
    (Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0),
    (Attribute::CU_DEVICE_ATTRIBUTE_KERNEL_EXEC_TIMEOUT, 0),
    (Attribute::CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1),
    (Attribute::CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1),
    (Attribute::CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1),
    (Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1),
    (Attribute::CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 0),
    (Attribute::CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 0),
    (Attribute::CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED, 0),
];

/// An attribute by its number, if the device has an answer.
pub(crate) fn attribute(number: u32) -> Option<i32> {
    ATTRIBUTES.iter().find(|(which, _)| *which as u32 == number).map(|(_, value)| *value)
}

/// What two different devices can do with each other's memory.
pub(crate) fn between(number: u32) -> Option<i32> {
    const ATTRIBUTES: [(Between, i32); 3] = [
        (Between::CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK, 0),
        (Between::CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED, 1),
        (Between::CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED, 1),
    ];
    ATTRIBUTES.iter().find(|(which, _)| *which as u32 == number).map(|(_, value)| *value)
}

/// What a block takes of a multiprocessor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) threads: u32,
    pub(crate) shared: u32,
}

/// What is free of a multiprocessor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Multiprocessor {
    threads: u32,
    shared: u32,
    blocks: u32,
}

impl Multiprocessor {
    /// One with nothing on it.
    pub(crate) const EMPTY: Self = Self { threads: MOST_THREADS, shared: SHARED, blocks: MOST_BLOCKS };

    /// How many more such blocks fit.
    pub(crate) fn fit(&self, need: Need) -> u32 {
        let shared = self.shared / (need.shared + RESERVED_SHARED);
        self.blocks.min(shared).min(self.threads / need.warps())
    }

    pub(crate) fn take(&mut self, need: Need) {
        self.threads -= need.warps();
        self.shared -= need.shared + RESERVED_SHARED;
        self.blocks -= 1;
    }

    pub(crate) fn give_back(&mut self, need: Need) {
        self.threads += need.warps();
        self.shared += need.shared + RESERVED_SHARED;
        self.blocks += 1;
    }
}

impl Need {
    /// Threads of its warps.
    fn warps(&self) -> u32 {
        self.threads.max(1).next_multiple_of(32)
    }
}
