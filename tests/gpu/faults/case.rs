//! A case, what it runs on, and the process it runs in.

use crate::common::arguments::Arguments;
pub use crate::common::checks::{Random, ensure, text};
use crate::common::machine;
use ringkernel::DeviceError;
use ringkernel::prelude::*;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What a case saw, or what went wrong.
pub type Outcome = Result<String, String>;

/// One way in which something goes wrong.
pub struct Case {
    pub name: &'static str,
    /// Where it makes sense.
    pub backends: &'static [Backend],
    /// Seconds it may take as a program, its end included.
    pub deadline: u64,
    pub run: fn(&Ground) -> Outcome,
}

pub const EVERYWHERE: &[Backend] = &[Backend::Cpu, Backend::Cuda];
pub const CUDA: &[Backend] = &[Backend::Cuda];

/// What a case runs on.
pub struct Ground {
    pub backend: Backend,
    /// Under `cargo test` everything is smaller.
    pub quick: bool,
    pub arguments: Arguments,
}

impl Ground {
    pub fn runtime(&self) -> Result<RingKernel, String> {
        machine::runtime(self.backend).map_err(text)
    }

    /// A runtime that gives a handler up after a second.
    pub fn impatient(&self) -> Result<RingKernel, String> {
        let builder = RingKernel::builder().backend(self.backend).terminate_deadline(Duration::from_secs(1));
        smol::block_on(builder.build()).map_err(text)
    }

    pub fn on_gpu(&self) -> bool {
        self.backend == Backend::Cuda
    }

    /// The number after `--name`, else one of the two.
    pub fn number(&self, name: &str, quick: u64, long: u64) -> Result<u64, String> {
        self.arguments.get(name, if self.quick { quick } else { long })
    }
}

/// Whether an error is the device's own word, whichever.
pub fn is_typed(error: &RingKernelError) -> bool {
    matches!(error, RingKernelError::Device { .. } | RingKernelError::DeviceLost { .. })
}

/// Whether an error says that the device had no room, and how it says so.
pub fn no_room(error: &RingKernelError) -> bool {
    matches!(
        error,
        RingKernelError::Device { error: DeviceError::Capacity { .. } | DeviceError::OutOfMemory { .. }, .. }
    )
}

/// Runs it on a thread of its own and waits no longer than that: what hangs is reported, and left behind.
pub fn within<T: Send + 'static>(
    limit: Duration,
    what: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<(T, Duration), String> {
    let (send, receive) = mpsc::channel();
    let begin = Instant::now();
    std::thread::spawn(move || send.send(run()));
    match receive.recv_timeout(limit) {
        Ok(value) => Ok((value, begin.elapsed())),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("{what} did not return within {limit:?}")),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(format!("{what} panicked")),
    }
}

/// How a child process ended.
pub struct Ended {
    /// `None` when it was killed, or ended by a signal.
    pub code: Option<i32>,
    pub lines: Vec<String>,
    pub took: Duration,
    /// From its last line to its end.
    pub leaving: Duration,
}

/// This program again, in a process of its own, as the case `name`.
pub fn process(name: &str, backend: &str, quick: bool, more: &[String]) -> Result<Child, String> {
    let program = std::env::current_exe().map_err(text)?;
    let mut command = Command::new(program);
    command.args(["--case", name, "--backend", backend, "--child"]).args(more);
    if quick {
        command.arg("--quick");
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(text)
}

/// Waits for a child's end, and kills it when it takes longer than that.
pub fn wait(mut child: Child, limit: Duration) -> Result<Ended, String> {
    let begin = Instant::now();
    let (send, lines) = mpsc::channel();
    let pipes: [Option<Box<dyn std::io::Read + Send>>; 2] = [
        child.stdout.take().map(|pipe| Box::new(pipe) as _),
        child.stderr.take().map(|pipe| Box::new(pipe) as _),
    ];
    for pipe in pipes.into_iter().flatten() {
        let send = send.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if send.send((Instant::now(), line)).is_err() {
                    return;
                }
            }
        });
    }
    drop(send);
    let code = loop {
        if let Some(status) = child.try_wait().map_err(text)? {
            break status.code();
        }
        if begin.elapsed() > limit {
            child.kill().map_err(text)?;
            // A process that does not die when killed sits in the driver; it is not waited for.
            std::thread::sleep(Duration::from_millis(500));
            let gone = child.try_wait().map_err(text)?.is_some();
            let lines = lines.try_iter().map(|(_, line)| line).collect::<Vec<_>>().join("\n");
            let how = if gone { "it was killed" } else { "and could not be killed" };
            return Err(format!("it ran longer than {limit:?}; {how}\n{lines}"));
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let ended = Instant::now();
    let (mut all, mut last) = (Vec::new(), begin);
    while let Ok((at, line)) = lines.recv_timeout(Duration::from_millis(500)) {
        last = at;
        all.push(line);
    }
    Ok(Ended { code, lines: all, took: ended - begin, leaving: ended.saturating_duration_since(last) })
}
