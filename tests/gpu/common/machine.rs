//! This process, its memory, and its end.

use ringkernel::{Backend, RingKernel};
use std::process::Command;
use std::time::{Duration, Instant};

/// A line of `/proc/self/status`, in KiB; 0 where the system does not say.
fn status_kib(key: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(key));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}

/// Memory of this process that is resident, in KiB.
pub fn resident_kib() -> u64 {
    status_kib("VmRSS:")
}

/// Threads of this process.
pub fn threads() -> u64 {
    status_kib("Threads:")
}

/// Memory in use on GPU 0, by whomever, in MiB; `None` where there is none or the runtime is not on it.
pub fn device_mib(backend: Backend) -> Option<u64> {
    if backend != Backend::Cuda {
        return None;
    }
    let query = ["--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"];
    let output = Command::new("nvidia-smi").args(query).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// A runtime on that backend.
pub fn runtime(backend: Backend) -> Result<RingKernel, ringkernel::RingKernelError> {
    smol::block_on(RingKernel::builder().backend(backend).build())
}

/// Polls until it holds, or time is up.
pub fn eventually(within: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let begin = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if begin.elapsed() > within {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// Ends the process with code 3 when `alive` stops moving for so long: a hang is a failure, with words.
pub fn watch(what: &'static str, patience: Duration, alive: impl Fn() -> u64 + Send + 'static) {
    std::thread::spawn(move || {
        let (mut last, mut since) = (alive(), Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(200));
            let now = alive();
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > patience {
                println!("FAIL: {what}: nothing moved for {patience:?}, at {now}");
                std::process::exit(3);
            }
        }
    });
}

/// The value below which that part of the times lies.
pub fn quantile(times: &mut [Duration], part: f64) -> Duration {
    times.sort_unstable();
    let at = (times.len() as f64 * part) as usize;
    times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}
