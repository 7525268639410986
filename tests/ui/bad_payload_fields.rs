use ringkernel::prelude::*;
use std::collections::HashMap;

#[derive(RingMessage)]
struct Page {
    number: usize,
    lines: Vec<&'static str>,
    index: HashMap<u32, u32>,
    next: Option<Box<u32>>,
    kind: Kind<u8>,
}

#[derive(Payload)]
enum Kind<T> {
    One(T),
}

#[derive(Payload)]
#[derive(DeviceType, RingMessage)]
struct All {
    text: String,
}

fn main() {}
