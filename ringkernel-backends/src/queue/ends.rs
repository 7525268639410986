//! What both ends of a queue can say of it, written once.

/// `len`, `capacity`, `is_empty` and `stats`, of the ring that an end refers to.
macro_rules! figures {
    ($($end:ident),*) => {$(
        impl<T> $end<T> {
            /// How many values are in the queue. While the other end is used, it was so a moment ago.
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// How many values it holds at most.
            pub fn capacity(&self) -> usize {
                self.0.capacity()
            }

            /// Whether nothing is in the queue.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// What happened so far.
            pub fn stats(&self) -> QueueStats {
                self.0.stats()
            }
        }
    )*};
}

/// `Debug` of queues and ends, whatever they hold: their size and what happened. `ring` is the field that knows.
macro_rules! debug {
    ($($queue:ident.$ring:tt),*) => {$(
        impl<T> fmt::Debug for $queue<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($queue))
                    .field("capacity", &self.$ring.capacity())
                    .field("stats", &self.$ring.stats())
                    .finish_non_exhaustive()
            }
        }
    )*};
}

pub(super) use {debug, figures};
