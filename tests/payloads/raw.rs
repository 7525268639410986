//! A kernel without the runtime above it, for requests that nobody sends.

use crate::depot::Depot;
use ringkernel::{Actor, Backend, DeviceError, DeviceType};
use ringkernel_backends::abi::{Consumer, Correlation, FaultKind, Header, tag};
use ringkernel_backends::cpu::CpuDevice;
use ringkernel_backends::cuda::CudaDevice;
use ringkernel_backends::kernel::{Device, IdlePolicy, Kernel, LaunchSpec, Progress, Tuning};
use ringkernel_backends::payload::PayloadArena;
use ringkernel_tests::machine::{Stop, backend_name};
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Quiet;

impl Progress for Quiet {
    fn progress(&self) {}
}

/// A kernel of one instance.
pub struct Raw {
    kernel: Arc<dyn Kernel>,
    replies: Consumer,
    asked: u32,
}

fn failed(error: DeviceError) -> Stop {
    Stop::Failed(error.to_string())
}

impl Raw {
    pub fn launch(backend: Backend, payload_memory: u64) -> Result<Self, Stop> {
        let device: Arc<dyn Device> = match backend {
            Backend::Cpu => Arc::new(CpuDevice::new(1)),
            Backend::Cuda => match CudaDevice::open(0, &[Depot::DESCRIPTOR]) {
                Ok(device) => Arc::new(device),
                Err(error) => {
                    return Err(Stop::Missing { what: backend_name(backend), why: error.to_string() });
                }
            },
            #[cfg(feature = "wgpu")]
            Backend::Wgpu => {
                use ringkernel_backends::wgpu::{AdapterKind, WgpuDevice};
                match WgpuDevice::open(AdapterKind::Any) {
                    Ok(device) => Arc::new(device),
                    Err(error) => {
                        return Err(Stop::Missing { what: backend_name(backend), why: error.to_string() });
                    }
                }
            }
            _ => {
                return Err(Stop::Missing {
                    what: backend_name(backend),
                    why: "it is not compiled in".into(),
                });
            }
        };
        let spec = LaunchSpec {
            descriptor: Depot::DESCRIPTOR,
            instances: 1,
            queue_capacity: 64,
            active: true,
            initial: Arc::new(|_, out: &mut [u8]| Depot::default().encode(out)),
            idle: IdlePolicy::Backoff,
            tuning: Tuning { payload_memory: Some(payload_memory), ..Tuning::default() },
            mesh: Default::default(),
            progress: Arc::new(Quiet),
        };
        let kernel = device.launch(spec).map_err(failed)?;
        let replies = kernel.ports()[0].replies.consumer();
        Ok(Self { kernel, replies, asked: 0 })
    }

    pub fn arena(&self) -> Result<Arc<dyn PayloadArena>, Stop> {
        self.kernel.payloads().ok_or_else(|| Stop::Failed("there is no arena".into()))
    }

    /// Puts a request into the ring. Its correlation.
    pub fn push(&mut self, tag: u32, payload: &[u8]) -> Result<Correlation, Stop> {
        self.asked += 1;
        let correlation = Correlation { index: self.asked, generation: 0 };
        self.push_from(correlation, tag, payload).map(|()| correlation)
    }

    /// The same, from wherever that says.
    pub fn push_from(&self, correlation: Correlation, tag: u32, payload: &[u8]) -> Result<(), Stop> {
        let header = Header { tag, instance: 0, correlation, words: 0, hlc: 0 };
        let pushed = self.kernel.ports()[0].requests.try_push(header, payload);
        self.kernel.doorbell(0);
        pushed.map_err(|_| Stop::Failed("the ring is full".into()))
    }

    /// The reply to that: its words, or which fault.
    pub fn reply(&mut self, correlation: Correlation) -> Result<Result<Vec<u32>, FaultKind>, Stop> {
        let ring = &self.kernel.ports()[0].replies;
        let mut words = vec![0; ring.shape().payload_words()];
        let begin = Instant::now();
        let header = loop {
            if let Some(header) = self.replies.pop(ring, &mut words) {
                break header;
            }
            if begin.elapsed() > Duration::from_secs(30) {
                return Err(Stop::Failed(format!("no reply to {correlation:?}")));
            }
            std::thread::yield_now();
        };
        self.replies.publish(ring);
        if header.correlation != correlation {
            return Err(Stop::Failed(format!("{header:?} where one to {correlation:?} was expected")));
        }
        words.truncate(header.words as usize);
        Ok(match header.tag {
            tag::FAULT => Err(FaultKind::from_code(words[0]).unwrap_or(FaultKind::Panic)),
            _ => Ok(words),
        })
    }

    pub fn ask(&mut self, tag: u32, payload: &[u8]) -> Result<Result<Vec<u32>, FaultKind>, Stop> {
        let correlation = self.push(tag, payload)?;
        self.reply(correlation)
    }

    pub fn end(self) -> Result<(), Stop> {
        self.kernel.terminate(Duration::from_secs(10)).map_err(failed)
    }
}
