//! ractor, as its documentation shows it: `Actor::spawn`, `cast` to tell and `call` to ask. Its mailboxes are unbounded.

use crate::tokio_runs;
use crate::work::{Account, Counter, Figures, Sizes};
use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

struct Counting;

enum Message {
    Tell(u64),
    Ask(u64, RpcReplyPort<Account>),
}

impl Actor for Counting {
    type Msg = Message;
    type State = Account;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Message>, (): ()) -> Result<Account, ActorProcessingErr> {
        Ok(Account::default())
    }

    async fn handle(
        &self,
        _: ActorRef<Message>,
        message: Message,
        account: &mut Account,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Tell(by) => {
                account.add(by);
            }
            Message::Ask(by, reply) => reply.send(account.add(by))?,
        }
        Ok(())
    }
}

#[derive(Clone)]
struct Peer(ActorRef<Message>);

impl Counter for Peer {
    async fn ask(&self, by: u64) -> Account {
        match self.0.call(|reply| Message::Ask(by, reply), None).await {
            Ok(CallResult::Success(account)) => account,
            other => panic!("ractor answers: {other:?}"),
        }
    }
    async fn tell(&self, by: u64) {
        self.0.cast(Message::Tell(by)).expect("ractor takes it");
    }
}

/// The asking task in `main`, or spawned.
pub fn run(sizes: Sizes, spawned: bool) -> Figures {
    tokio_runs::figures(sizes, spawned, || async {
        Peer(Actor::spawn(None, Counting, ()).await.expect("ractor spawns").0)
    })
}
