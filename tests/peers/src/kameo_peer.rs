//! kameo, as its README shows it: an actor spawned on tokio, `ask(..).await` and `tell(..).await`.

use crate::tokio_runs;
use crate::work::{Account, Counter, Figures, Sizes};
use kameo::Actor;
use kameo::actor::{ActorRef, Spawn};
use kameo::mailbox;
use kameo::message::{Context, Message};

#[derive(Actor, Default)]
struct Counting {
    account: Account,
}

/// Tells and asks are one message: a told message's reply is dropped by kameo.
struct Add(u64);

impl Message<Add> for Counting {
    type Reply = Reply;

    async fn handle(&mut self, msg: Add, _ctx: &mut Context<Self, Self::Reply>) -> Reply {
        Reply(self.account.add(msg.0))
    }
}

#[derive(kameo::Reply)]
struct Reply(Account);

#[derive(Clone)]
struct Peer(ActorRef<Counting>);

impl Counter for Peer {
    async fn ask(&self, by: u64) -> Account {
        self.0.ask(Add(by)).await.expect("kameo answers").0
    }
    async fn tell(&self, by: u64) {
        self.0.tell(Add(by)).await.expect("kameo takes it");
    }
}

/// The default mailbox (bounded, 64) or an unbounded one; the asking task in `main`, or spawned.
pub fn run(sizes: Sizes, bounded: bool, spawned: bool) -> Figures {
    tokio_runs::figures(sizes, spawned, move || async move {
        Peer(match bounded {
            true => Counting::spawn(Counting::default()),
            false => Counting::spawn_with_mailbox(Counting::default(), mailbox::unbounded()),
        })
    })
}
