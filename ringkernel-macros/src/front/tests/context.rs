//! What handlers do through their context: the same messages to the same receivers in the same order, whoever compiles them.

use super::harness::{actor, kernel, program};
use crate::front::Options;
use crate::ir::{Parcel, Route};
use ringkernel_backends::abi::tag;

actor! {
    talks: 400 rounds;
    types {
        struct Talker { refused: u32, last: HlcTimestamp, table: Table, on: bool }
        struct Order { id: u64, urgent: bool, cents: i32, at: HlcTimestamp, kind: u8 }
        struct Row { small: u8, big: u32 }
        struct Table { rows: [Row; 20], end: u16 }
        struct Small { a: u8, b: u16 }
        struct Ledger { cents: i64 }
    }
    handlers {
        forward(Order) -> u32;
        speak(u32) -> u64;
        collect(u8) -> i64;
        publish(Table) -> bool;
        choose(Small) -> u32;
        late(u32) -> u32;
    }
    code {
        fn neighbour(ctx: &RingContext, by: u32) -> u32 {
            ctx.instance() ^ by
        }

        fn spared(ctx: &mut RingContext, order: Order, kind: u32) -> Sent {
            let sent: Sent = ctx.send_to_instance("spare", kind, order);
            if sent == Sent::NoInstance { Sent::Ok } else { sent }
        }

        fn twice(ctx: &mut RingContext, order: Order) -> bool {
            let first = ctx.send_to_kernel("spare", order);
            if first == Sent::Gone {
                return false;
            }
            spared(ctx, order, order.kind as u32).is_ok() && first.is_ok()
        }

        impl Talker {
            #[inline]
            fn report(&mut self, ctx: &mut RingContext, sent: bool) {
                if !sent {
                    self.refused = self.refused.wrapping_add(1);
                    let _ = ctx.enqueue_output(self.refused);
                }
            }

            fn forward(&mut self, ctx: &mut RingContext, mut order: Order) -> u32 {
                order.at = ctx.tick();
                if ctx.forward::<Ledger>(neighbour(ctx, 5), order).is_ok() {
                    return 1;
                }
                let sent = twice(ctx, order);
                self.report(ctx, sent);
                match ctx.reply(Order { id: order.id, urgent: !order.urgent, ..order }) {
                    Sent::Ok => 2,
                    Sent::Full | Sent::Gone => 3,
                    other => if other.is_gone() { 4 } else { 5 },
                }
            }

            fn speak(&mut self, ctx: &mut RingContext, n: u32) -> u64 {
                let _ = ctx.send::<Self>(n, n.wrapping_mul(7));
                let mut i = 0;
                while i < n % 5 && !ctx.send::<Ledger>(i, Small { a: n as u8, b: (n >> 8) as u16 }).is_full() {
                    i += 1;
                }
                if ctx.has_sender() {
                    let _ = ctx.reply(ctx.sender_instance());
                }
                let seen = HlcTimestamp::from_u64(u64::from(n) << HlcTimestamp::COUNTER_BITS);
                let moved = ctx.update_clock(seen.max(ctx.sent_at()));
                if moved > self.last {
                    self.last = ctx.now();
                }
                let at = ctx.now();
                self.last.micros() ^ at.counter() ^ at.as_u64()
            }

            fn collect(&mut self, ctx: &mut RingContext, most: u8) -> i64 {
                let mut cents = 0;
                let mut left = most % 6;
                while let Some(order) = ctx.try_receive_from_kernel::<Order>("spare") {
                    if order.urgent {
                        self.last = order.at;
                    }
                    cents += order.cents as i64 + i64::from(order.kind);
                    if left == 0 {
                        break;
                    }
                    left -= 1;
                }
                if let Some(Small { a: 1, b }) = ctx.try_receive_from_kernel::<Small>("counter") {
                    cents += i64::from(b);
                }
                cents += match ctx.try_receive_from_kernel::<i64>("counter") {
                    Some(0) => 1,
                    Some(n) if n < 0 => -1,
                    Some(n) => n,
                    None => 2,
                };
                let Some(more) = ctx.try_receive_from_kernel::<Order>("spare") else {
                    return cents;
                };
                cents += more.cents as i64;
                if matches!(ctx.try_receive_from_kernel::<bool>("counter"), Some(true)) {
                    cents += 100;
                }
                cents
            }

            fn publish(&mut self, ctx: &mut RingContext, table: Table) -> bool {
                self.table = table;
                let kept = ctx.publish_retained("talk/table", self.table);
                let sent = ctx.publish("talk/row", table.rows[(self.refused % 20) as usize]);
                let _ = ctx.publish("talk/table", ());
                kept != Sent::Ok || sent.is_full()
            }

            fn choose(&mut self, ctx: &mut RingContext, small: Small) -> u32 {
                let sent = if small.a > 100 { ctx.enqueue_output(small) } else { Sent::Full };
                let table = [small, Small { a: 1, b: 2 }];
                let again = ctx.enqueue_output(table[(small.a & 1) as usize]);
                if sent == again { 1 } else { 2 }
            }

            fn late(&mut self, ctx: &mut RingContext, n: u32) -> u32 {
                let _ = ctx.enqueue_output(n);
                // What was said stays said.
                assert!(n % 3 != 0);
                let _ = ctx.enqueue_output(100 / (n % 4));
                n
            }
        }
    }
}

#[test]
fn an_actor_says_whom_it_talks_to_and_what_it_says() {
    let program = program(
        "struct Actor { n: u32 } struct Big { a: [u64; 4] }",
        "impl Actor {
            fn one(&mut self, ctx: &mut RingContext, m: u32) -> bool {
                let _ = ctx.send_to_kernel(\"b\", m);
                let _ = ctx.publish(\"t/1\", true);
                ctx.send::<m::Other>(1, Big { a: [1; 4] }).is_ok()
            }
            fn two(&mut self, ctx: &mut RingContext, m: i64) -> bool {
                if let Some(n) = ctx.try_receive_from_kernel::<u8>(\"b\") { return n > 1; }
                let _ = ctx.publish_retained(\"t/2\", m as u32);
                let _ = ctx.send::<Self>(0, m) == ctx.forward::<m::Other>(0, m);
                ctx.send::<Actor>(1, HlcTimestamp::default()).is_ok()
            }
        }",
    );
    for usize_is_32 in [false, true] {
        let mesh = kernel(&program, Options { checked: true, usize_is_32 }).mesh;
        let routes = mesh.routes.iter().map(|Route { name, path }| (name.as_str(), path.is_some()));
        assert_eq!(routes.collect::<Vec<_>>(), [("b", false), ("m::Other", true), ("test", false)]);
        assert_eq!(mesh.topics, ["t/1", "t/2"]);
        let parcel = |name: &str, tag, size| Parcel { name: name.into(), tag, size };
        let time = parcel("HlcTimestamp", tag::of_definition("HlcTimestamp"), 8);
        assert_eq!(
            mesh.outgoing,
            [
                parcel("u32", tag::U32, 4),
                parcel("bool", tag::BOOL, 1),
                parcel("Big", tag::of_definition("Big"), 32),
                parcel("i64", tag::I64, 8),
                time,
            ]
        );
        assert_eq!(mesh.receives, [parcel("u8", tag::U8, 1)]);
        assert_eq!(mesh.forwards.len(), 1);
        assert_eq!(mesh.forwards[0].message, ("i64".into(), tag::I64));
        assert_eq!(mesh.forwards[0].reply, ("bool".into(), tag::BOOL));
    }
}
