//! What `stress`, `mesh`, `faults` and `soak` share. They are tests under `cargo test`, where they are small, and programs with arguments
//! on a GPU machine, where they are not (docs/testing-on-a-gpu.md).
//!
//! [`counting`] has the actors that see for themselves whether a message was lost, doubled, reordered or torn, [`sender`] the
//! threads that talk to them, [`worker`] an actor that misbehaves when told to. [`arguments`] reads command lines, [`machine`] this process and its device.

pub mod arguments;
pub mod checks;
pub mod counting;
pub mod machine;
pub mod sender;
pub mod worker;
