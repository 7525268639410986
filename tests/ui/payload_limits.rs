use ringkernel::prelude::*;

#[derive(RingMessage)]
#[message(max_bytes = 1 << 31)]
struct TooMuch {
    text: String,
}

#[derive(RingMessage)]
#[message(max_bytes = 8)]
struct TooFew {
    a: u64,
    b: u64,
}

#[derive(RingMessage)]
struct Nothings {
    nothings: Vec<()>,
}

#[derive(RingMessage)]
#[message(bytes = 8)]
struct Misspelt {
    text: String,
}

#[derive(RingMessage)]
struct Post {
    text: String,
}

// A message of one size cannot hold one that has none.
#[derive(RingMessage)]
struct Envelope {
    post: Post,
}

fn main() {
    let _ = Envelope::SIZE;
}
