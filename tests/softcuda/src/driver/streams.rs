//! Streams: queues of operations, each of which begins when the one before it is over.
//!
//! Copies and kernels are done by the workers; the rest (events, memory that comes and goes) is done by whoever finds it at the head of its
//! queue, with the lock held.

use super::device::Need;
use super::raw;
use super::raw::Failure;
use super::schedule::Task;
use super::system::{Handle, State, System};
use crate::machine::Launch;
use cudarc::driver::sys::CUresult::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A stream.
pub(crate) struct Stream {
    pub(crate) device: usize,
    queue: VecDeque<Operation>,
    /// A worker has what was at the head.
    busy: bool,
    /// How many were submitted, and how many are over.
    submitted: u64,
    over: u64,
    /// What is submitted is written down instead, and not done.
    pub(crate) capture: Option<Vec<Node>>,
    /// It was destroyed, and goes when it is idle.
    pub(crate) doomed: bool,
}

/// What is in a stream.
pub(crate) enum Operation {
    Kernel(Kernel),
    Transfer(Transfer),
    /// From here on kernels may use the memory, or no longer.
    Open(u64),
    Close(u64),
    Record(Arc<Mark>),
    Wait(Arc<Mark>),
}

/// A launch.
#[derive(Clone)]
pub(crate) struct Kernel {
    pub(crate) launch: Arc<Launch>,
    pub(crate) need: Need,
}

/// What moves bytes. Addresses of device memory were looked up when it was submitted.
pub(crate) enum Transfer {
    /// Host memory that was copied when it was submitted.
    Store {
        to: u64,
        data: Vec<u8>,
    },
    /// Pinned host memory to the device.
    ToDevice {
        to: u64,
        from: u64,
        bytes: usize,
    },
    ToHost {
        to: u64,
        from: u64,
        bytes: usize,
    },
    Fill {
        to: u64,
        byte: u8,
        bytes: usize,
    },
}

/// A place in a stream, and whether it was reached.
#[derive(Default)]
pub(crate) struct Mark(AtomicBool);

impl Mark {
    fn is_reached(&self) -> bool {
        // Relaxed, and where it is written: with the lock held.
        self.0.load(Ordering::Relaxed)
    }
}

/// An event: the place it was last recorded at.
pub(crate) struct Event {
    pub(crate) device: usize,
    pub(crate) last: Option<Arc<Mark>>,
}

impl Event {
    /// Whether it was never recorded, or its place was reached.
    pub(crate) fn is_over(&self) -> bool {
        self.last.as_ref().is_none_or(|mark| mark.is_reached())
    }
}

/// What can be captured.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) function: Handle,
    pub(crate) kernel: Kernel,
}

/// A captured graph: its nodes in order.
#[derive(Clone)]
pub(crate) struct Graph {
    pub(crate) device: usize,
    pub(crate) nodes: Vec<Node>,
    pub(crate) launched: bool,
}

impl Stream {
    pub(crate) fn new(device: usize) -> Self {
        Self {
            device,
            queue: VecDeque::new(),
            busy: false,
            submitted: 0,
            over: 0,
            capture: None,
            doomed: false,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.submitted == self.over
    }

    /// The number of what was submitted last.
    pub(crate) fn last(&self) -> u64 {
        self.submitted
    }
}

impl State {
    /// The stream of a handle (0 is the default one), which must be of that device.
    pub(crate) fn stream(&self, device: usize, handle: Handle) -> Result<Handle, Failure> {
        match handle {
            // The legacy one, by either name.
            0 | 1 => Ok(self.contexts[device].default_stream),
            2 => Err(CUDA_ERROR_NOT_SUPPORTED),
            handle => match self.streams.get(&handle) {
                Some(stream) if stream.device == device => Ok(handle),
                Some(_) => Err(CUDA_ERROR_INVALID_CONTEXT),
                None => Err(CUDA_ERROR_INVALID_HANDLE),
            },
        }
    }

    /// Submits an operation; the number it has in its stream.
    pub(crate) fn submit(
        &mut self,
        system: &System,
        handle: Handle,
        operation: Operation,
    ) -> Result<u64, Failure> {
        let stream = self.streams.get_mut(&handle).ok_or(CUDA_ERROR_INVALID_HANDLE)?;
        if stream.capture.is_some() {
            return Err(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        }
        if let Operation::Kernel(_) = operation {
            self.contexts[stream.device].kernels += 1;
        }
        stream.queue.push_back(operation);
        stream.submitted += 1;
        let number = stream.submitted;
        self.advance(system, handle);
        Ok(number)
    }

    /// Whether the operation of that number is over.
    pub(crate) fn has_reached(&self, stream: Handle, number: u64) -> bool {
        self.streams.get(&stream).is_none_or(|stream| stream.over >= number)
    }

    /// What a worker had of the stream is over.
    pub(crate) fn go_on(&mut self, system: &System, handle: Handle) {
        // Not so where its context was lost meanwhile.
        if let Some(stream) = self.streams.get_mut(&handle).filter(|stream| stream.busy) {
            stream.busy = false;
            stream.over += 1;
            self.advance(system, handle);
        }
        system.done.notify_all();
    }

    /// Begins what can begin.
    fn advance(&mut self, system: &System, handle: Handle) {
        let mut reached = false;
        while let Some(stream) = self.streams.get_mut(&handle).filter(|stream| !stream.busy) {
            if let Some(Operation::Wait(mark)) = stream.queue.front()
                && !mark.is_reached()
            {
                break;
            }
            let Some(operation) = stream.queue.pop_front() else { break };
            let device = stream.device;
            match operation {
                Operation::Kernel(kernel) => {
                    stream.busy = true;
                    self.begin(system, device, handle, kernel);
                    break;
                }
                Operation::Transfer(transfer) => {
                    stream.busy = true;
                    self.ready.push_front(Task::Transfer { stream: handle, device, transfer });
                    system.work.notify_one();
                    break;
                }
                Operation::Open(address) => system.memory[device].open(address),
                Operation::Close(address) => {
                    system.memory[device].give_back(address);
                }
                Operation::Record(mark) => {
                    mark.0.store(true, Ordering::Relaxed);
                    reached = true;
                }
                Operation::Wait(_) => {}
            }
            if let Some(stream) = self.streams.get_mut(&handle) {
                stream.over += 1;
            }
        }
        if self.streams.get(&handle).is_some_and(|stream| stream.doomed && stream.is_idle()) {
            self.streams.remove(&handle);
        }
        system.done.notify_all();
        if reached {
            let waits = |stream: &Stream| matches!(stream.queue.front(), Some(Operation::Wait(_)));
            let waiting: Vec<Handle> =
                self.streams.iter().filter(|(_, stream)| waits(stream)).map(|(handle, _)| *handle).collect();
            waiting.into_iter().for_each(|handle| self.advance(system, handle));
        }
    }

    /// Empties the streams of a device whose context is lost.
    pub(crate) fn give_up_streams(&mut self, device: usize) {
        for stream in self.streams.values_mut().filter(|stream| stream.device == device) {
            stream.queue.clear();
            (stream.busy, stream.over) = (false, stream.submitted);
        }
    }
}

impl Transfer {
    /// Moves the bytes, without the lock; false where the device's memory is not usable at this place of the stream.
    pub(crate) fn run(self, system: &System, device: usize) -> bool {
        let usable = |address: u64, bytes: usize| {
            let (own, bytes) = (&system.memory[device], bytes as u64);
            own.range(address, bytes, false).or(system.pinned.range(address, bytes, false)).is_some()
        };
        match self {
            Self::Store { to, data } if usable(to, data.len()) => raw::store(to, &data),
            Self::ToDevice { to, from, bytes } if usable(to, bytes) => raw::copy(to, from, bytes),
            Self::ToHost { to, from, bytes } if usable(from, bytes) => raw::copy(to, from, bytes),
            Self::Fill { to, byte, bytes } if usable(to, bytes) => raw::fill(to, byte, bytes),
            _ => return false,
        }
        true
    }
}
