use ringkernel::{RingContext, handler, ring_kernel};

#[ring_kernel(id = "grid", group = "block", block_size = 256)]
struct Grid {
    cells: [f32; 4],
}

#[ring_kernel(id = "grid")]
impl Grid {
    #[handler]
    fn first(&self, _ctx: &mut RingContext, _: u32) -> f32 {
        self.cells[0]
    }
}

#[ring_kernel(id = "idle")]
struct Idle {
    count: u32,
}

#[ring_kernel]
impl Idle {
    fn count(&self) -> u32 {
        self.count
    }
}

#[ring_kernel(id = "state")]
enum State {
    On,
    Off,
}

fn main() {
    let _ = (Idle::count, State::On, State::Off);
}
