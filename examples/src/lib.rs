//! Lessons in RingKernel. Each is one file beside this folder and reads from top to bottom; each runs without a GPU.
//!
//! 1. `quickstart`: an actor, a typed request, the best backend there is.
//! 2. `lifecycle`: launch, activate, suspend, resume, terminate, and what happens to messages meanwhile.
//! 3. `dynamic_handle`: the same by name, where the actor's type is not known at compile time.
//! 4. `many_instances`: a hundred thousand actors of one type, and requests to many of them at once.
//! 5. `backends`: one actor on every backend present, and that they agree.
//! 6. `request_reply`: how long a request takes, on every backend present.
//! 7. `inspect`: the device code the compiler made of an actor.
//! 8. `restore`: states are kept, a kernel is ended in good order, and another goes on where it stopped.
//! 9. `batches`: many messages in one call, and a stream of their replies.
//! 10. `ping_pong`: two actors that talk.
//! 11. `pipeline`: four kernels, of which the last answers whoever asked the first.
//! 12. `ring_of_actors`: a thousand actors that send to their neighbours, and what is promised about order.
//! 13. `pub_sub`: topics, wildcards, what is retained, and subscribers that are too slow.
//! 14. `hlc_ordering`: clocks that put causes before effects.
//! 15. `variable_payloads`: messages with text and lists in them, read where they lie.
//! 16. `backpressure`: what becomes of messages that find no room.
//! 17. `cross_backend`: actors on different devices.
//!
//! ```sh
//! cargo run --release --example quickstart
//! cargo run --release --example backends --features wgpu
//! ```

use ringkernel::{Backend, RingKernel};

/// Every backend, the fastest first.
pub const BACKENDS: [Backend; 4] = [Backend::Cuda, Backend::Metal, Backend::Wgpu, Backend::Cpu];

/// The runtimes of every backend that is compiled in and present; says on stdout why the others are not.
pub async fn every_backend_present() -> Vec<RingKernel> {
    let mut present = Vec::new();
    for backend in BACKENDS {
        match RingKernel::builder().backend(backend).build().await {
            Ok(runtime) => present.push(runtime),
            Err(error) => println!("without {backend}: {error}"),
        }
    }
    present
}

/// The README's code compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
