//! What a handler is told besides its message.

/// The second parameter of every handler.
///
/// ```
/// use ringkernel::RingContext;
///
/// // Handlers are ordinary methods; a unit test can call them with a context of its own.
/// let ctx = RingContext::detached(3);
/// assert_eq!(ctx.instance(), 3);
/// ```
#[derive(Debug)]
pub struct RingContext {
    instance: u32,
}

impl RingContext {
    /// A context that belongs to no kernel, for calling handlers directly (in a unit test, say).
    pub fn detached(instance: u32) -> Self {
        Self { instance }
    }

    /// Which instance of the kernel handles the message, from 0.
    pub fn instance(&self) -> u32 {
        self.instance
    }
}
