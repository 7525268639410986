use ringkernel::DeviceType;

#[derive(DeviceType)]
struct Page<'a> {
    number: usize,
    title: String,
    lines: Vec<u32>,
    owner: Option<u32>,
    text: &'a [u8],
    letter: char,
}

#[derive(DeviceType)]
struct Typed {
    count: usize,
    name: [char; 4],
}

fn main() {}
