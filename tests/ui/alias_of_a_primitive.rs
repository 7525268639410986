use ringkernel::DeviceType;

#[allow(non_camel_case_types)]
type f32 = f64;

#[derive(DeviceType)]
struct Point {
    x: f32,
}

fn main() {}
