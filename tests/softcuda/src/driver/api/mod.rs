//! The functions, with the names and arguments of libcuda's. NVIDIA's documentation of the driver API says what each does; here is only
//! said what is not done.
//!
//! Enums come as numbers, since C code may hand over any; handles are numbers that nobody dereferences.

#![allow(non_snake_case, reason = "the names are libcuda's")]

pub mod context;
pub mod device;
pub mod event;
pub mod graph;
pub mod launch;
pub mod memory;
pub mod module;
pub mod pool;
pub mod stream;
