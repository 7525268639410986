//! Tests of the front end: handlers that are both compiled by rustc and run as IR ([`harness`]), and the messages for what cannot be compiled.

mod archived;
mod casts;
mod context;
mod control;
mod harness;
mod memory;
mod messages;
mod methods;
mod narrow;
mod numbers;
mod odds;
