use ringkernel::prelude::*;

#[derive(RingMessage)]
struct Fixed {
    number: u32,
}

#[ring_kernel(id = "in-place")]
#[derive(Default)]
struct InPlace {
    posts: u32,
}

#[ring_kernel]
impl InPlace {
    #[handler]
    fn fixed(&mut self, _ctx: &mut RingContext, msg: &Archived<Fixed>) -> u32 {
        self.posts += 1;
        msg.number
    }
}

fn main() {}
