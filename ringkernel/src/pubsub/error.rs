//! What can go wrong beside the text of a topic.

use super::topic::Topic;

/// How many topics may have a retained message.
pub const MAX_RETAINED: usize = 1 << 16;
/// How many bytes retained messages may have together.
pub const MAX_RETAINED_BYTES: usize = 256 << 20;

/// Why a message was not published, or a subscription not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PubSubError {
    /// A message was to be retained, and too many are. It was not published at all.
    #[error(
        "nothing is published on `{topic}`, where it was to be retained: {topics} topics retain {bytes} bytes, and the most are {MAX_RETAINED} topics and \
         {MAX_RETAINED_BYTES} bytes; `Topics::clear_retained` makes room"
    )]
    RetainedFull {
        /// The topic.
        topic: Topic,
        /// How many topics have a retained message.
        topics: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// The runtime is shut down.
    #[error("this runtime is shut down: its topics have no subscribers any more, and take none")]
    Shutdown,
    /// An actor of another runtime was to subscribe.
    #[error("kernel `{id}` belongs to another runtime; it can subscribe to that runtime's topics")]
    OtherRuntime {
        /// The kernel.
        id: &'static str,
    },
}
