//! actix, as its README shows it: `#[actix::main]`, `send(..).await` to ask and `do_send` to tell. `do_send` ignores the mailbox's
//! bound (16), so the mailbox is unbounded to a teller.

use crate::work::{Account, Counter, Figures, Sizes};
use actix::{Actor, Addr, Arbiter, Context, Handler, Message, MessageResult, System};

#[derive(Default)]
struct Counting {
    account: Account,
}

impl Actor for Counting {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "Account")]
struct Add(u64);

impl Handler<Add> for Counting {
    type Result = MessageResult<Add>;

    fn handle(&mut self, msg: Add, _ctx: &mut Context<Self>) -> Self::Result {
        MessageResult(self.account.add(msg.0))
    }
}

#[derive(Clone)]
struct Peer(Addr<Counting>);

impl Counter for Peer {
    async fn ask(&self, by: u64) -> Account {
        self.0.send(Add(by)).await.expect("actix answers")
    }
    async fn tell(&self, by: u64) {
        self.0.do_send(Add(by));
    }
}

/// The actor in the asker's own arbiter (one thread, as in the README), or in another.
pub fn run(sizes: Sizes, own_arbiter: bool) -> Figures {
    System::new().block_on(async move {
        let home = Arbiter::new();
        let addr = if own_arbiter {
            Counting::start_in_arbiter(&home.handle(), |_| Counting::default())
        } else {
            Counting::default().start()
        };
        let actor = Peer(addr);
        let (mut figures, mut expected) = (Figures::default(), Account::default());
        figures.ask(sizes, &actor, &mut expected).await;
        figures.tell_one(sizes, &actor, &mut expected).await;
        // Two senders, each in an arbiter of its own.
        let arbiters = [Arbiter::new(), Arbiter::new()];
        let turn = std::cell::Cell::new(0);
        let spawn = |each| {
            let (actor, (done, finished)) = (actor.clone(), tokio::sync::oneshot::channel());
            let arbiter = &arbiters[turn.replace(1 - turn.get())];
            arbiter.spawn(async move {
                actor.tell_all(each).await;
                let _ = done.send(());
            });
            finished
        };
        figures.tell_two(sizes, &actor, &mut expected, spawn).await;
        for arbiter in arbiters.into_iter().chain([home]) {
            arbiter.stop();
        }
        figures
    })
}
