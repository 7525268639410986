use ringkernel::prelude::*;

#[derive(RingMessage)]
struct Post {
    text: String,
}

#[derive(RingMessage)]
struct Fixed {
    number: u32,
}

#[ring_kernel(id = "by-value")]
#[derive(Default)]
struct ByValue {
    posts: u32,
}

#[ring_kernel]
impl ByValue {
    #[handler]
    fn post(&mut self, _ctx: &mut RingContext, msg: Post) -> u32 {
        self.posts += 1;
        msg.text.len() as u32
    }
}

#[ring_kernel(id = "by-name")]
#[derive(Default)]
struct ByName {
    posts: u32,
}

#[ring_kernel]
impl ByName {
    #[handler]
    fn post(&mut self, _ctx: &mut RingContext, msg: &ArchivedPost) -> u32 {
        self.posts += 1;
        msg.text.len() as u32
    }
}

fn main() {}
