use ringkernel::{DeviceType, RingMessage};

#[derive(RingMessage)]
enum Command {
    Start,
    Stop,
}

#[derive(RingMessage)]
struct Envelope<T> {
    content: T,
}

#[derive(DeviceType, Clone, Copy)]
union Bits {
    float: f32,
    bits: u32,
}

fn main() {}
