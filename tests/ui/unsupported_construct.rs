use ringkernel::{RingContext, handler, ring_kernel};

#[ring_kernel(id = "sum")]
struct Sum {
    values: [u32; 8],
}

#[ring_kernel]
impl Sum {
    #[handler]
    fn sum(&self, _ctx: &mut RingContext, _: u32) -> u32 {
        self.values.iter().sum()
    }
}

fn main() {}
