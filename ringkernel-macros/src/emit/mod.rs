//! Emitters: one folder a device language, text out of [`crate::ir`].
//!
//! An emitter decides nothing about meaning: the IR has said what is computed, in which order and what faults. It may call
//! [`names`] and look at [`crate::ir`], nothing else. Start with [`ptx`], the shorter one; its `table.rs` is the model of both.

pub(crate) mod names;
pub(crate) mod ptx;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod wgsl;
