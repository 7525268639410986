use ringkernel::{DeviceType, RingMessage};

#[derive(DeviceType, RingMessage)]
struct Deposit {
    cents: i64,
}

fn main() {}
