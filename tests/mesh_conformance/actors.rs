//! Small actors that do one thing each. Instances that keep counts by sender or receiver have room for eight of those.

use ringkernel::prelude::*;

/// How sends ended.
#[derive(RingMessage, Clone, Copy, Debug, Default, PartialEq)]
pub struct Tried {
    pub ok: u32,
    pub full: u32,
    pub gone: u32,
    pub no_instance: u32,
    /// `NoSender`, `TooLarge`.
    pub other: u32,
}

/// Send so many notes to an instance of the readers: 0 by its type, 1 by its kernel's id (which is instance 0), 2 by id and instance.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Write {
    pub to: u32,
    pub count: u32,
    pub way: u32,
    /// Whether the reader is to reply to each.
    pub echo: bool,
}

/// Numbered by sender and receiver, without gaps as long as sends are `Ok`.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Note {
    pub number: u32,
    pub echo: bool,
}

/// What a reader replies.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Echo {
    pub number: u32,
}

/// Goes to and fro, each time as a reply to the last.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Ball {
    pub left: u32,
}

/// Send the first ball to that instance.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Serve {
    pub to: u32,
    pub left: u32,
}

/// Reply to whoever sent this.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct ReplyToMe {
    pub number: u32,
}

#[ring_kernel(id = "writer")]
#[derive(Default, Debug, Clone, Copy, PartialEq)]
pub struct Writer {
    /// By receiver.
    pub next: [u32; 8],
    pub echoes: u32,
    /// By the instance that replied: what is expected.
    pub echoed: [u32; 8],
    pub disorder: u32,
    pub balls: u32,
}

#[ring_kernel]
impl Writer {
    #[handler]
    fn serve(&mut self, ctx: &mut RingContext, msg: Serve) -> bool {
        ctx.send::<Reader>(msg.to, Ball { left: msg.left }).is_ok()
    }

    #[handler]
    fn ball(&mut self, ctx: &mut RingContext, msg: Ball) {
        self.balls += 1;
        if msg.left > 0 && !ctx.reply(Ball { left: msg.left - 1 }).is_ok() {
            self.disorder += 1;
        }
    }

    #[handler]
    fn write(&mut self, ctx: &mut RingContext, msg: Write) -> Tried {
        let mut tried = Tried { ok: 0, full: 0, gone: 0, no_instance: 0, other: 0 };
        let to = (msg.to % 8) as usize;
        for _ in 0..msg.count {
            let note = Note { number: self.next[to], echo: msg.echo };
            let sent = match msg.way {
                0 => ctx.send::<Reader>(msg.to, note),
                1 => ctx.send_to_kernel("reader", note),
                _ => ctx.send_to_instance("reader", msg.to, note),
            };
            match sent {
                Sent::Ok => {
                    tried.ok += 1;
                    self.next[to] += 1;
                }
                Sent::Full => tried.full += 1,
                Sent::Gone => tried.gone += 1,
                Sent::NoInstance => tried.no_instance += 1,
                _ => tried.other += 1,
            }
        }
        tried
    }

    #[handler]
    fn echo(&mut self, ctx: &mut RingContext, msg: Echo) {
        let from = (ctx.sender_instance() % 8) as usize;
        if msg.number != self.echoed[from] {
            self.disorder += 1;
        }
        self.echoed[from] = msg.number + 1;
        self.echoes += 1;
    }

    /// The host asks this, and there is nobody to reply to.
    #[handler]
    fn reply_to_me(&mut self, ctx: &mut RingContext, msg: ReplyToMe) -> bool {
        ctx.reply(Echo { number: msg.number }) == Sent::NoSender
    }
}

#[ring_kernel(id = "reader")]
#[derive(Default, Debug, Clone, Copy, PartialEq)]
pub struct Reader {
    pub notes: u32,
    /// By sender: the number after the last.
    pub next: [u32; 8],
    /// Numbers that came again, or too late.
    pub repeated: u32,
    /// Numbers that were left out when a later one came.
    pub skipped: u32,
    /// Notes that no kernel sent.
    pub strangers: u32,
    pub unanswered: u32,
    pub balls: u32,
}

#[ring_kernel]
impl Reader {
    #[handler]
    fn ball(&mut self, ctx: &mut RingContext, msg: Ball) {
        self.balls += 1;
        if msg.left > 0 && !ctx.reply(Ball { left: msg.left - 1 }).is_ok() {
            self.unanswered += 1;
        }
    }

    #[handler]
    fn note(&mut self, ctx: &mut RingContext, msg: Note) {
        self.notes += 1;
        if !ctx.has_sender() {
            self.strangers += 1;
            return;
        }
        let from = (ctx.sender_instance() % 8) as usize;
        if msg.number < self.next[from] {
            self.repeated += 1;
        } else {
            self.skipped += msg.number - self.next[from];
            self.next[from] = msg.number + 1;
        }
        if msg.echo && !ctx.reply(Echo { number: msg.number }).is_ok() {
            self.unanswered += 1;
        }
    }
}

/// Goes down a chain of three. Whoever is `stop` answers itself.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Question {
    pub n: u32,
    pub stop: u32,
    /// Which instance of the next one.
    pub next: u32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    pub n: u32,
    pub by: u32,
    pub instance: u32,
}

macro_rules! link {
    ($name:ident, $id:literal, $number:literal, $next:ident) => {
        #[ring_kernel(id = $id)]
        #[derive(Default, Debug, Clone, Copy, PartialEq)]
        pub struct $name {
            pub asked: u32,
            /// Forwards that were not `Ok`.
            pub refused: u32,
        }

        #[ring_kernel]
        impl $name {
            #[handler]
            fn question(&mut self, ctx: &mut RingContext, msg: Question) -> Answer {
                self.asked += 1;
                if msg.stop != $number {
                    if ctx.forward::<$next>(msg.next, msg).is_ok() {
                        // Goes nowhere.
                        return Answer { n: 0, by: 0, instance: 0 };
                    }
                    self.refused += 1;
                }
                Answer { n: msg.n, by: $number, instance: ctx.instance() }
            }
        }
    };
}
link!(First, "first", 1, Second);
link!(Second, "second", 2, Third);

#[ring_kernel(id = "third")]
#[derive(Default, Debug, Clone, Copy, PartialEq)]
pub struct Third {
    pub asked: u32,
}

#[ring_kernel]
impl Third {
    #[handler]
    fn question(&mut self, ctx: &mut RingContext, msg: Question) -> Answer {
        self.asked += 1;
        assert!(msg.n != 13, "thirteen");
        Answer { n: msg.n * 2, by: 3, instance: ctx.instance() }
    }
}

/// For a kernel that has no handler for it, but takes it when it likes.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Parcel {
    pub number: u32,
    pub weight: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Pack {
    pub to: u32,
    pub count: u32,
}

#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Fetch {
    pub most: u32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct Fetched {
    pub count: u32,
    pub weight: u32,
    pub disorder: u32,
}

#[ring_kernel(id = "packer")]
#[derive(Default, Debug)]
pub struct Packer {
    next: [u32; 8],
}

#[ring_kernel]
impl Packer {
    #[handler]
    fn pack(&mut self, ctx: &mut RingContext, msg: Pack) -> u32 {
        let (mut sent, to) = (0, (msg.to % 8) as usize);
        for _ in 0..msg.count {
            let parcel = Parcel { number: self.next[to], weight: 10 + self.next[to] };
            if ctx.send_to_instance("hoarder", msg.to, parcel).is_ok() {
                sent += 1;
                self.next[to] += 1;
            }
        }
        sent
    }
}

#[ring_kernel(id = "hoarder")]
#[derive(Default, Debug)]
pub struct Hoarder {
    next: u32,
}

#[ring_kernel]
impl Hoarder {
    #[handler]
    fn fetch(&mut self, ctx: &mut RingContext, msg: Fetch) -> Fetched {
        let mut fetched = Fetched { count: 0, weight: 0, disorder: 0 };
        while fetched.count < msg.most {
            if let Some(parcel) = ctx.try_receive_from_kernel::<Parcel>("packer") {
                if parcel.number != self.next {
                    fetched.disorder += 1;
                }
                self.next = parcel.number + 1;
                fetched.count += 1;
                fetched.weight += parcel.weight;
            } else {
                break;
            }
        }
        fetched
    }
}

/// Say so much: 0 to the host, 1 on a topic, 2 on a topic and retained.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Speak {
    pub how: u32,
    pub count: u32,
}

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
pub struct News {
    pub number: u32,
}

#[ring_kernel(id = "speaker")]
#[derive(Default, Debug)]
pub struct Speaker {
    number: u32,
}

#[ring_kernel]
impl Speaker {
    /// How many were taken by everybody.
    #[handler]
    fn speak(&mut self, ctx: &mut RingContext, msg: Speak) -> u32 {
        let mut said = 0;
        for _ in 0..msg.count {
            let news = News { number: self.number };
            self.number += 1;
            let sent = match msg.how {
                0 => ctx.enqueue_output(news),
                1 => ctx.publish("talk/news", news),
                _ => ctx.publish_retained("talk/last", news),
            };
            if sent.is_ok() {
                said += 1;
            }
        }
        said
    }
}

#[ring_kernel(id = "listener")]
#[derive(Default, Debug, Clone, Copy, PartialEq)]
pub struct Listener {
    pub news: u32,
    pub last: u32,
    pub disorder: u32,
}

#[ring_kernel]
impl Listener {
    #[handler]
    fn news(&mut self, _ctx: &mut RingContext, msg: News) {
        if self.news > 0 && msg.number <= self.last {
            self.disorder += 1;
        }
        self.news += 1;
        self.last = msg.number;
    }
}

/// A message that makes more of itself: each is sent on twice, until none is left.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Spin {
    pub left: u32,
}

/// Three kernels, each of which sends to the next, and the last to the first.
macro_rules! wheel {
    ($name:ident, $id:literal, $next:ident) => {
        #[ring_kernel(id = $id)]
        #[derive(Default, Debug, Clone, Copy, PartialEq)]
        pub struct $name {
            pub got: u32,
            pub sent: u32,
            pub full: u32,
            pub lost: u32,
        }

        #[ring_kernel]
        impl $name {
            #[handler]
            fn spin(&mut self, ctx: &mut RingContext, msg: Spin) {
                self.got += 1;
                if msg.left > 0 {
                    for _ in 0..2 {
                        match ctx.send::<$next>(0, Spin { left: msg.left - 1 }) {
                            Sent::Ok => self.sent += 1,
                            Sent::Full => self.full += 1,
                            _ => self.lost += 1,
                        }
                    }
                }
            }
        }
    };
}
wheel!(Hub, "hub", Spoke);
wheel!(Spoke, "spoke", Rim);
wheel!(Rim, "rim", Hub);
