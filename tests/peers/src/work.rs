//! The work, the same for everybody: one request at a time, and many messages until the actor has handled the last.

use std::future::Future;
use std::time::{Duration, Instant};

/// How much of it.
#[derive(Clone, Copy)]
pub struct Sizes {
    /// Requests, after a tenth as many to warm up.
    pub asks: usize,
    /// Messages of one run, over all senders.
    pub tells: u64,
    /// Runs.
    pub runs: usize,
}

/// A reference to a counting actor, whoever runs it.
///
/// Every message carries a number; the actor adds it up and counts. So its own account says what it handled.
pub trait Counter: Clone + Send + Sync + 'static {
    /// Adds, and waits for the count.
    fn ask(&self, by: u64) -> impl Future<Output = Account> + Send;
    /// Adds, and does not wait for it to be done (for room in the mailbox, where that is how the crate tells).
    fn tell(&self, by: u64) -> impl Future<Output = ()> + Send;
    /// Tells so many, one after another or however they are told fastest; each carries a 3.
    fn tell_all(&self, count: u64) -> impl Future<Output = ()> + Send {
        async move {
            for _ in 0..count {
                self.tell(3).await;
            }
        }
    }
}

/// The actor's own account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Messages handled.
    pub count: u64,
    /// Sum of what they carried.
    pub total: u64,
}

impl Account {
    /// Takes a message's number to account.
    pub fn add(&mut self, by: u64) -> Account {
        self.count += 1;
        self.total = self.total.wrapping_add(by);
        *self
    }
}

/// What was measured of one crate in one arrangement.
#[derive(Debug, Default)]
pub struct Figures {
    /// Time of each request, sorted.
    pub asks: Vec<Duration>,
    /// Messages per second with one sender, sorted; one for each run.
    pub one: Vec<f64>,
    /// The same, from two senders.
    pub two: Vec<f64>,
    /// Counts that were not what had been sent.
    pub wrong: Vec<String>,
}

impl Figures {
    fn check(&mut self, what: &str, got: Account, expected: Account) {
        if got != expected {
            self.wrong.push(format!("{what}: the actor says {got:?}, sent was {expected:?}"));
        }
    }

    /// Asks, one at a time. `expected` is what the actor's account should be, and goes on.
    pub async fn ask(&mut self, sizes: Sizes, actor: &impl Counter, expected: &mut Account) {
        let warm_up = sizes.asks / 10;
        for i in 0..sizes.asks + warm_up {
            let by = i as u64 % 7;
            let begin = Instant::now();
            let got = actor.ask(by).await;
            let took = begin.elapsed();
            self.check("ask", got, expected.add(by));
            if i >= warm_up {
                self.asks.push(took);
            }
        }
        self.asks.sort_unstable();
    }

    /// Tells from this task. The last message is asked, which every mailbox hands out last.
    pub async fn tell_one(&mut self, sizes: Sizes, actor: &impl Counter, expected: &mut Account) {
        for run in 0..sizes.runs + 1 {
            let begin = Instant::now();
            actor.tell_all(sizes.tells).await;
            let got = actor.ask(1).await;
            let took = begin.elapsed();
            self.check("tell", got, tell_account(expected, sizes.tells));
            if run > 0 {
                self.one.push((sizes.tells + 1) as f64 / took.as_secs_f64());
            }
        }
        self.one.sort_by(f64::total_cmp);
    }

    /// Tells from two tasks at once; `spawn` starts one that sends so many, and gives what waits for it.
    pub async fn tell_two<F: Future>(
        &mut self,
        sizes: Sizes,
        actor: &impl Counter,
        expected: &mut Account,
        spawn: impl Fn(u64) -> F,
    ) {
        let each = sizes.tells / 2;
        for run in 0..sizes.runs + 1 {
            let begin = Instant::now();
            let senders = [spawn(each), spawn(each)];
            for sender in senders {
                sender.await;
            }
            let got = actor.ask(1).await;
            let took = begin.elapsed();
            self.check("tell from two", got, tell_account(expected, 2 * each));
            if run > 0 {
                self.two.push((2 * each + 1) as f64 / took.as_secs_f64());
            }
        }
        self.two.sort_by(f64::total_cmp);
    }
}

/// `expected` after so many tells and the ask that ends a run.
fn tell_account(expected: &mut Account, tells: u64) -> Account {
    expected.count += tells;
    expected.total += 3 * tells;
    expected.add(1)
}
