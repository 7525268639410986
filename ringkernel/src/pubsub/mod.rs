//! Publishing on topics, and subscribing to them.

#[allow(dead_code)]
mod index;
mod topic;

pub use topic::{MAX_LEVELS, MAX_TOPIC_BYTES, Topic, TopicError, TopicFilter, TopicProblem};
