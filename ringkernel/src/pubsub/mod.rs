//! Publishing on topics, and subscribing to them.
//!
//! A message is published on a [`Topic`], by a handler (`ctx.publish("sensors/7/temperature", reading)`) or by the host
//! ([`RingKernel::topics`](crate::RingKernel::topics)). Whoever has subscribed with a [`TopicFilter`] that matches gets it: on the host as a
//! [stream](Subscription), on the device as a message to [an actor](Topics::subscribe_actor).
//!
//! ```
//! use futures::StreamExt;
//! use ringkernel::prelude::*;
//!
//! #[derive(RingMessage, Clone, Copy, Debug, PartialEq)]
//! pub struct Reading {
//!     pub celsius: f32,
//! }
//!
//! # #[ring_kernel(id = "warmest")]
//! #[derive(Default, Debug, PartialEq)]
//! pub struct Warmest {
//!     celsius: f32,
//! }
//!
//! # #[ring_kernel]
//! impl Warmest {
//!     #[handler]
//!     fn reading(&mut self, _ctx: &mut RingContext, msg: Reading) {
//!         if msg.celsius > self.celsius {
//!             self.celsius = msg.celsius;
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), RingKernelError> {
//! # smol::block_on(async {
//! # let runtime = RingKernel::builder().backend(Backend::Cpu).build().await?;
//! let topics = runtime.topics();
//! let mut readings = topics.subscribe::<Reading>("sensors/+/temperature").await?;
//!
//! // An actor of this runtime gets them too.
//! let warmest = Warmest::launch(&runtime, LaunchOptions::default()).await?;
//! topics.subscribe_actor::<Reading, _>(&warmest, "sensors/#").await?.detach();
//!
//! topics.publish("sensors/7/temperature", Reading { celsius: 21.5 }).await?;
//! let first = readings.next().await.expect("the runtime is not shut down");
//! assert_eq!((first.topic.as_str(), first.message.celsius), ("sensors/7/temperature", 21.5));
//!
//! // Whoever subscribes later begins with what was retained.
//! topics.publish_retained("sensors/8/temperature", Reading { celsius: 19.0 }).await?;
//! let mut later = topics.subscribe::<Reading>("sensors/8/#").await?;
//! assert!(later.next().await.is_some_and(|last| last.retained && last.message.celsius == 19.0));
//!
//! warmest.terminate_with(TerminateOptions::default().drain()).await?;
//! assert_eq!(warmest.snapshot::<Warmest>(0).await?, Warmest { celsius: 21.5 });
//! # runtime.shutdown().await
//! # })
//! # }
//! ```
//!
//! # What is promised
//! - **At most once**: a subscription gets a message once or not at all. (Two subscriptions whose filters both match are two, also of one actor.)
//! - **In order**: what one publisher (an instance of a kernel, or one task of the host's that awaits each `publish`) publishes on one topic or on several comes to a subscription in
//!   the order in which it was published. Nothing is promised between publishers, whose messages carry [timestamps](Published::timestamp).
//! - **What is missed is counted**, and a slow subscriber stays subscribed. Each has a bounded buffer, and [says what happens](WhenFull) when that is full: a
//!   stream tells with each message how many were missed right before it ([`Published::missed`]) and in all ([`Subscription::lagged`]), an actor's
//!   subscription in all ([`ActorSubscription::missed`]). A handler whose message did not reach every actor is told `Sent::Full`. The counts of a device begin
//!   anew when the subscribers of a topic change; what is missed in the instant of the change, by actors, is not counted.
//! - **Within one runtime.** Nothing that is published leaves it, and nothing survives its end but what is in a stream's buffer.
//! - **A retained message** is the last one that was published to be retained on its topic. Those of a topic come to a subscription in the order in which they were retained,
//!   and [`MAX_RETAINED`] topics of [`MAX_RETAINED_BYTES`] bytes together can have one: more is [an error](PubSubError::RetainedFull), or, of
//!   handlers, [counted](TopicsSnapshot::not_retained). Only these take memory; topics do not have to be made, and vanish by themselves.
//!
//! A subscription is for messages of one type. Others on its topics are skipped, and [counted](Subscription::skipped).
//!
//! - `topic`: names and filters. `index`: many filters at once.
//! - `broker`: who has subscribed to what; start at its `publish`. `inlet` and `subscription`: the buffer of a stream, from both sides. `actors`: actors that
//!   subscribe, `wiring`: what devices are told of them.

mod actors;
mod broker;
mod error;
mod index;
mod inlet;
mod message;
mod subscription;
mod topic;
mod topics;
mod wiring;

#[cfg(test)]
mod tests;

pub use actors::ActorSubscription;
pub(crate) use broker::Broker;
pub use broker::TopicsSnapshot;
pub use error::{MAX_RETAINED, MAX_RETAINED_BYTES, PubSubError};
pub use inlet::WhenFull;
pub use message::{Delivery, Published, Publisher};
pub use subscription::{SubscribeOptions, Subscription};
pub use topic::{MAX_LEVELS, MAX_TOPIC_BYTES, Topic, TopicError, TopicFilter, TopicProblem};
pub use topics::Topics;
