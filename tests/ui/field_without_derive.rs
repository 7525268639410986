use ringkernel::RingMessage;

struct Point {
    x: f32,
}

#[derive(RingMessage)]
struct Move {
    to: Point,
}

fn main() {
    let _ = Move { to: Point { x: 1.0 } }.to.x;
}
