//! RingKernel on its CPU backend: a proxy's `ask(..).await` and `tell(..).await` for each message, and what it has for threads that
//! do nothing else (`ask_blocking`) and for many messages (`tell_many`).

use crate::tokio_runs;
use crate::work::{Account, Counter, Figures, Sizes};
use ringkernel::prelude::*;

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Add {
    pub by: u64,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Sum {
    pub count: u64,
    pub total: u64,
}

#[ring_kernel(id = "counting")]
#[derive(Default)]
pub struct Counting {
    count: u64,
    total: u64,
}

#[ring_kernel]
impl Counting {
    #[handler]
    fn add(&mut self, _ctx: &mut RingContext, msg: Add) -> Sum {
        self.count += 1;
        self.total = self.total.wrapping_add(msg.by);
        Sum { count: self.count, total: self.total }
    }
}

impl From<Sum> for Account {
    fn from(sum: Sum) -> Account {
        Account { count: sum.count, total: sum.total }
    }
}

/// The actor, and the runtime that keeps it.
#[derive(Clone)]
struct Peer {
    actor: CountingProxy,
    _runtime: RingKernel,
}

impl Counter for Peer {
    async fn ask(&self, by: u64) -> Account {
        self.actor.add(Add { by }).await.expect("the actor answers").into()
    }
    async fn tell(&self, by: u64) {
        self.actor.tell(Add { by }).await.expect("the actor takes it");
    }
}

/// The same, for a thread that has nothing else to do, and messages that are told in one call.
#[derive(Clone)]
struct Many(Peer);

impl Counter for Many {
    async fn ask(&self, by: u64) -> Account {
        self.0.actor.ask_blocking(Add { by }).expect("the actor answers").into()
    }
    async fn tell(&self, by: u64) {
        self.0.tell(by).await;
    }
    async fn tell_all(&self, count: u64) {
        self.0.actor.tell_many((0..count).map(|_| Add { by: 3 })).await.expect("the actor takes them");
    }
}

async fn launch() -> Peer {
    let launched = async {
        let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
        let actor = Counting::launch(&runtime, LaunchOptions::default()).await?;
        Ok::<_, RingKernelError>(Peer { actor, _runtime: runtime })
    };
    launched.await.expect("the actor is launched")
}

/// On a thread of the program's own, without an executor's workers.
pub fn on_a_thread(sizes: Sizes, many: bool) -> Figures {
    smol::block_on(async {
        let peer = launch().await;
        if many { figures(sizes, &Many(peer)).await } else { figures(sizes, &peer).await }
    })
}

async fn figures(sizes: Sizes, actor: &impl Counter) -> Figures {
    let (mut figures, mut expected) = (Figures::default(), Account::default());
    figures.ask(sizes, actor, &mut expected).await;
    figures.tell_one(sizes, actor, &mut expected).await;
    let spawn = |each| {
        let actor = actor.clone();
        let thread = std::thread::spawn(move || smol::block_on(actor.tell_all(each)));
        async { thread.join().expect("the sender ends") }
    };
    figures.tell_two(sizes, actor, &mut expected, spawn).await;
    figures
}

/// In a tokio program, as the others.
pub fn on_tokio(sizes: Sizes, spawned: bool) -> Figures {
    tokio_runs::figures(sizes, spawned, launch)
}
