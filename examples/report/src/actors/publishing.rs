//! An actor that publishes, and one that subscribes.

use ringkernel::prelude::*;

/// Asks for some publications, numbered from `first` on.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Announce {
    pub first: u32,
    pub count: u32,
}

/// One of them.
#[derive(RingMessage, Clone, Copy, Debug)]
pub struct Item {
    pub number: u32,
}

#[ring_kernel(id = "report.publisher")]
#[derive(Default, Debug)]
pub struct Publisher {
    pub refused: u32,
}

#[ring_kernel]
impl Publisher {
    #[handler]
    fn announce(&mut self, ctx: &mut RingContext, msg: Announce) {
        for k in 0..msg.count {
            if !ctx.publish("report/items", Item { number: msg.first.wrapping_add(k) }).is_ok() {
                self.refused = self.refused.wrapping_add(1);
            }
        }
    }
}

#[ring_kernel(id = "report.subscriber")]
#[derive(Default, Debug)]
pub struct Subscriber {
    pub items: u32,
    pub sum: u32,
}

#[ring_kernel]
impl Subscriber {
    #[handler]
    fn item(&mut self, _ctx: &mut RingContext, item: Item) {
        self.items = self.items.wrapping_add(1);
        self.sum = self.sum.wrapping_add(item.number);
    }
}
