//! Streams: what is submitted to one is done in its order.

use super::check;
use super::context::Context;
use crate::kernel::DeviceError;
use cudarc::driver::{result, sys};
use std::sync::{Arc, Mutex, PoisonError};

/// A stream that does not synchronise with the legacy default stream. It lives as long as the process.
#[derive(Clone, Debug)]
pub(in crate::cuda) struct Stream {
    pub(in crate::cuda) raw: sys::CUstream,
    context: Arc<Context>,
}

// SAFETY: streams may be used from any thread; the driver does its own locking.
unsafe impl Send for Stream {}
// SAFETY: as above.
unsafe impl Sync for Stream {}

impl Stream {
    pub(in crate::cuda) fn new(context: &Arc<Context>) -> Result<Self, DeviceError> {
        let _bound = context.bind()?;
        let raw = check("cuStreamCreate", result::stream::create(result::stream::StreamKind::NonBlocking))?;
        Ok(Self { raw, context: context.clone() })
    }

    /// The context that it belongs to.
    pub(in crate::cuda) fn context(&self) -> &Context {
        &self.context
    }

    /// Whether everything submitted has finished.
    pub(in crate::cuda) fn is_idle(&self) -> Result<bool, DeviceError> {
        let _bound = self.context.bind()?;
        // SAFETY: the stream lives as long as `self`.
        match unsafe { sys::cuStreamQuery(self.raw) } {
            sys::CUresult::CUDA_ERROR_NOT_READY => Ok(false),
            other => check("cuStreamQuery", other.result()).map(|()| true),
        }
    }

    /// Waits until everything submitted has finished. Only for streams that no resident kernel runs on.
    pub(in crate::cuda) fn synchronize(&self) -> Result<(), DeviceError> {
        let _bound = self.context.bind()?;
        // SAFETY: the stream lives as long as `self`.
        check("cuStreamSynchronize", unsafe { result::stream::synchronize(self.raw) })
    }
}

/// Streams made before anything is resident, for as many kernels as can be resident.
///
/// Making a stream beside resident kernels looks harmless and is, until the driver wants a new channel for it: measured on an
/// H200, the 35th `cuStreamCreate` of a process waited for the device for ever. Streams are never destroyed.
#[derive(Debug)]
pub(in crate::cuda) struct StreamPool {
    free: Mutex<Vec<Stream>>,
}

/// A stream lent by a [`StreamPool`]; the pool has it back when this is dropped.
#[derive(Debug)]
pub(in crate::cuda) struct LentStream {
    stream: Stream,
    home: Arc<StreamPool>,
}

impl StreamPool {
    /// `count` streams.
    pub(in crate::cuda) fn new(context: &Arc<Context>, count: usize) -> Result<Arc<Self>, DeviceError> {
        let free = (0..count).map(|_| Stream::new(context)).collect::<Result<_, _>>()?;
        Ok(Arc::new(Self { free: Mutex::new(free) }))
    }

    /// Takes one, if one is left.
    pub(in crate::cuda) fn take(self: &Arc<Self>) -> Option<LentStream> {
        let stream = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
        Some(LentStream { stream, home: self.clone() })
    }
}

impl std::ops::Deref for LentStream {
    type Target = Stream;
    fn deref(&self) -> &Stream {
        &self.stream
    }
}

impl Drop for LentStream {
    fn drop(&mut self) {
        self.home.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.stream.clone());
    }
}
