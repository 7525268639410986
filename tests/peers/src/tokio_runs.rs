//! Work on tokio's multi-thread runtime with two workers.

use crate::work::{Account, Counter, Figures, Sizes};
use std::future::Future;

/// What a tokio program measures with the actor that `start` gives, from the body of `#[tokio::main]` (which runs on the thread
/// of `main`, no worker), or from a task of its own (on a worker, which the actor may share).
pub fn figures<C: Counter, F: Future<Output = C> + Send + 'static>(
    sizes: Sizes,
    spawned: bool,
    start: impl FnOnce() -> F + Send + 'static,
) -> Figures {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("tokio starts");
    let body = async move {
        let actor = start().await;
        let (mut figures, mut expected) = (Figures::default(), Account::default());
        figures.ask(sizes, &actor, &mut expected).await;
        figures.tell_one(sizes, &actor, &mut expected).await;
        let spawn = |each| {
            let actor = actor.clone();
            tokio::spawn(async move { actor.tell_all(each).await })
        };
        figures.tell_two(sizes, &actor, &mut expected, spawn).await;
        figures
    };
    runtime.block_on(async {
        if spawned { tokio::spawn(body).await.expect("the task ends") } else { body.await }
    })
}
