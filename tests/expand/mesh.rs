//! Whom an actor talks to: what its descriptor says, with device code and without.

use ringkernel::prelude::*;
use ringkernel::{Actor, MessageInfo};

#[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
struct Note {
    at: HlcTimestamp,
    on: bool,
}

#[derive(RingMessage, Clone, Debug, PartialEq)]
#[message(max_bytes = 4096)]
struct Letter {
    text: String,
}

/// A message of the user's that is called as one of the framework's types.
mod own {
    use ringkernel::prelude::*;

    #[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
    pub(crate) struct Sent {
        pub(crate) count: u32,
    }

    #[ring_kernel(id = "mesh.own")]
    #[derive(Default)]
    pub(crate) struct Counter {
        count: u32,
    }

    #[ring_kernel]
    impl Counter {
        #[handler]
        fn sent(&mut self, _ctx: &mut RingContext, sent: Sent) -> Sent {
            self.count += sent.count;
            Sent { count: self.count }
        }
    }
}

#[ring_kernel(id = "mesh.talker")]
#[derive(Default)]
struct Talker {
    refused: u32,
}

#[ring_kernel]
impl Talker {
    #[handler]
    fn note(&mut self, ctx: &mut RingContext, note: Note) -> own::Sent {
        let sent = ctx.send::<own::Counter>(1, own::Sent { count: 2 });
        self.heed(sent);
        if ctx.send_to_kernel("mesh.note", note).is_ok() {
            return own::Sent { count: 1 };
        }
        let sent = ctx.publish("mesh/notes", note);
        self.heed(sent);
        let Some(Note { on: true, .. }) = ctx.try_receive_from_kernel::<Note>("mesh.note") else {
            return own::Sent { count: 0 };
        };
        let _ = ctx.forward::<own::Counter>(0, own::Sent { count: 3 });
        own::Sent { count: self.refused }
    }

    #[handler]
    fn myself(&mut self, ctx: &mut RingContext, _: bool) -> bool {
        ctx.send::<Self>(ctx.instance() + 1, true).is_ok()
    }

    fn heed(&mut self, sent: Sent) {
        if sent.is_full() || sent == Sent::Gone {
            self.refused += 1;
        }
    }
}

/// It answers with a letter, so it has no device code.
#[ring_kernel(id = "mesh.writer")]
#[derive(Default)]
struct Writer {
    letters: u32,
}

#[ring_kernel]
impl Writer {
    #[handler]
    fn write(&mut self, ctx: &mut RingContext, count: u32) -> u32 {
        let letter = Letter { text: "a".repeat(count as usize) };
        assert!(!ctx.publish_retained("mesh/letters", letter.clone()).is_full(), "{}", self.letters);
        let _ = ctx.send::<own::Counter>(0, own::Sent { count });
        let _ = ctx.send_to_instance("mesh.reader", 3, letter);
        while let Some(note) = ctx.try_receive_from_kernel::<Note>("mesh.note") {
            self.letters += u32::from(note.on);
        }
        self.letters
    }
}

fn names(infos: &[MessageInfo]) -> Vec<&'static str> {
    infos.iter().map(|info| info.name).collect()
}

#[test]
fn a_descriptor_lists_whom_device_code_talks_to_by_number() {
    let mesh = Talker::DESCRIPTOR.mesh;
    let routes: Vec<_> = mesh.routes.iter().map(|route| route.id).collect();
    assert_eq!(routes, ["mesh.own", "mesh.note", "mesh.talker"]);
    assert_eq!(mesh.topics.iter().map(|topic| topic.name).collect::<Vec<_>>(), ["mesh/notes"]);
    assert_eq!(names(mesh.outgoing), ["Sent", "Note", "bool"]);
    assert_eq!(mesh.outgoing[0].tag, <own::Sent as RingMessage>::TAG);
    assert_eq!((mesh.outgoing[1].tag, mesh.outgoing[1].size), (Note::TAG, Note::SIZE));
    assert_eq!(names(mesh.receives), ["Note"]);
    assert_eq!((mesh.receives[0].tag, mesh.receives[0].size), (Note::TAG, 16));
    for text in ["ringkernel_send, ", "ringkernel_forward, ", "ringkernel_publish, ", "ringkernel_receive, "]
    {
        assert!(Talker::PTX.contains(text), "{text}");
    }
}

#[test]
fn an_actor_that_only_answers_talks_to_nobody() {
    let mesh = own::Counter::DESCRIPTOR.mesh;
    assert!(mesh.routes.is_empty() && mesh.topics.is_empty());
    assert!(mesh.outgoing.is_empty() && mesh.receives.is_empty());
    assert!(!own::Counter::PTX.contains(".extern") && !own::Counter::WGSL.contains("rk_out"));
}

#[test]
fn an_actor_without_device_code_lists_whom_its_tokens_name() {
    let descriptor = Writer::DESCRIPTOR;
    assert!(descriptor.native_only.is_some_and(|reason| reason.contains("`Letter`")), "{descriptor:?}");
    let mesh = descriptor.mesh;
    let routes: Vec<_> = mesh.routes.iter().map(|route| route.id).collect();
    assert_eq!(routes, ["mesh.own", "mesh.reader", "mesh.note"]);
    assert_eq!(mesh.topics.iter().map(|topic| topic.name).collect::<Vec<_>>(), ["mesh/letters"]);
    let outgoing = names(mesh.outgoing);
    for name in ["Letter", "Sent", "u32"] {
        assert!(outgoing.contains(&name), "{name} is not among {outgoing:?}");
    }
    assert!(mesh.outgoing_size() >= 4096);
    assert_eq!(names(mesh.receives), ["Note"]);
}
