//! Tests of kernels that talk to each other. `node.rs` is an actor whose handlers do what they are told, `sends.rs` the plain promises, `full.rs` what
//! becomes of messages that find no room, `host.rs` what goes by way of the host, `changes.rs` routes that change and kernels that end,
//! and `stress.rs` random schedules.

mod changes;
mod full;
mod host;
mod node;
mod sends;
mod stress;
