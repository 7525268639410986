//! What this machine has, and what becomes of the tests that need what it lacks.
//!
//! A test whose backend or tool is missing is reported as *ignored*, with the reason on its line, and counted at the end. Where
//! the environment variable `RINGKERNEL_REQUIRE` (a comma list of `cpu`, `wgpu`, `cuda`, `ptxas`) names it, the test fails
//! instead: that is how CI makes sure that nothing was skipped.

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use ringkernel::{Backend, RingKernel};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// The backends a suite is stamped over.
pub const BACKENDS: [Backend; 3] = [Backend::Cpu, Backend::Wgpu, Backend::Cuda];

/// The name a backend goes by in test names and in `RINGKERNEL_REQUIRE`.
pub fn backend_name(backend: Backend) -> &'static str {
    match backend {
        Backend::Cpu => "cpu",
        Backend::Cuda => "cuda",
        Backend::Metal => "metal",
        Backend::Wgpu => "wgpu",
        _ => "auto",
    }
}

/// Why a test did not pass.
#[derive(Debug)]
pub enum Stop {
    /// It failed.
    Failed(String),
    /// The machine lacks something.
    Missing {
        /// What, as `RINGKERNEL_REQUIRE` names it.
        what: &'static str,
        /// Why it is missing.
        why: String,
    },
}

impl From<String> for Stop {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

/// The backends and tools of this machine, found out once, when a test first asks.
#[derive(Default)]
pub struct Machine {
    runtimes: [OnceLock<Result<Arc<RingKernel>, String>>; BACKENDS.len()],
    ptxas: OnceLock<Result<PathBuf, String>>,
}

impl Machine {
    /// The runtime of a backend, shared by the tests of this process.
    pub fn runtime(&self, backend: Backend) -> Result<Arc<RingKernel>, Stop> {
        let slot = BACKENDS.iter().position(|known| *known == backend).map(|i| &self.runtimes[i]);
        let slot = slot.ok_or_else(|| format!("the suites do not run on {backend:?}"))?;
        let start = || smol::block_on(RingKernel::builder().backend(backend).build());
        let found = slot.get_or_init(|| start().map(Arc::new).map_err(|error| error.to_string()));
        found.clone().map_err(|why| Stop::Missing { what: backend_name(backend), why })
    }

    /// NVIDIA's PTX assembler.
    pub fn ptxas(&self) -> Result<PathBuf, Stop> {
        self.ptxas.get_or_init(find_ptxas).clone().map_err(|why| Stop::Missing { what: "ptxas", why })
    }

    fn shutdown(&self) -> Result<(), String> {
        for runtime in self.runtimes.iter().filter_map(|slot| slot.get()?.as_ref().ok()) {
            smol::block_on(runtime.shutdown())
                .map_err(|error| format!("{:?}: {error}", runtime.backend()))?;
        }
        Ok(())
    }
}

/// How often something was missing, by what and why.
type Skipped = Arc<Mutex<BTreeMap<(&'static str, String), usize>>>;

/// Tests gathered at run time, some of which this machine may be unable to run.
#[derive(Default)]
pub struct Collection {
    trials: Vec<Trial>,
    machine: Arc<Machine>,
    skipped: Skipped,
}

impl Collection {
    /// Adds a test.
    pub fn add(&mut self, name: String, run: impl FnOnce(&Machine) -> Result<(), Stop> + Send + 'static) {
        let machine = self.machine.clone();
        let skipped = self.skipped.clone();
        self.trials.push(Trial::ignorable_test(name, move || match run(&machine) {
            Ok(()) => Ok(Completion::Completed),
            Err(Stop::Failed(why)) => Err(Failed::from(why)),
            Err(Stop::Missing { what, why }) if required(what) => {
                Err(Failed::from(format!("RINGKERNEL_REQUIRE names {what}, but: {why}")))
            }
            Err(Stop::Missing { what, why }) => {
                let reason = format!("skipped, needs {what}: {why}");
                *skipped.lock().unwrap_or_else(PoisonError::into_inner).entry((what, why)).or_default() += 1;
                Ok(Completion::ignored_with(reason))
            }
        }));
    }

    /// Runs what the command line selects (libtest's own: filters, `--exact`, `--list`, `--test-threads`, …), says what was
    /// skipped, and shuts the runtimes down.
    pub fn run(self) -> ExitCode {
        let arguments = Arguments::from_args();
        let conclusion = libtest_mimic::run(&arguments, self.trials);
        for ((what, why), count) in self.skipped.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            eprintln!("skipped: {count} tests that need {what}: {why}");
        }
        if let Err(error) = self.machine.shutdown() {
            eprintln!("a runtime did not shut down: {error}");
            return ExitCode::FAILURE;
        }
        conclusion.exit_code()
    }
}

/// Whether `RINGKERNEL_REQUIRE` names it.
pub fn required(what: &str) -> bool {
    std::env::var("RINGKERNEL_REQUIRE").is_ok_and(|list| list.split(',').any(|item| item.trim() == what))
}

/// A number from the environment.
pub fn env_or(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// NVIDIA's PTX assembler: `RINGKERNEL_PTXAS`, else the one on the `PATH`, else the one the pip package `nvidia-cuda-nvcc-cu12`
/// installed.
fn find_ptxas() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("RINGKERNEL_PTXAS").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return if works(&path) {
            Ok(path)
        } else {
            Err(format!("RINGKERNEL_PTXAS={} does not run", path.display()))
        };
    }
    let on_path = PathBuf::from("ptxas");
    if works(&on_path) {
        return Ok(on_path);
    }
    let ask = "import nvidia.cuda_nvcc as package; print(list(package.__path__)[0])";
    if let Ok(output) = Command::new("python3").args(["-c", ask]).output()
        && output.status.success()
    {
        let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()).join("bin/ptxas");
        if works(&path) {
            return Ok(path);
        }
    }
    Err("no ptxas: set RINGKERNEL_PTXAS, put it on the PATH, or `pip install nvidia-cuda-nvcc-cu12`".into())
}

fn works(ptxas: &std::path::Path) -> bool {
    Command::new(ptxas).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Assembles PTX for one architecture (`"sm_90"`).
pub fn assemble(ptxas: &std::path::Path, name: &str, ptx: &str, arch: &str) -> Result<(), String> {
    let folder = std::env::temp_dir().join(format!("ringkernel-ptxas-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let file = folder.join(format!("{name}-{arch}.ptx"));
    std::fs::write(&file, ptx).map_err(|error| format!("{}: {error}", file.display()))?;
    let output = Command::new(ptxas)
        .args(["-arch", arch, "-o", "/dev/null"])
        // Handlers alone call functions that only the resident loop brings along.
        .args((!ptx.contains(".entry")).then_some("-c"))
        .arg(&file)
        .output()
        .map_err(|error| format!("{}: {error}", ptxas.display()))?;
    if output.status.success() {
        // Left behind on failure, for a person to look at.
        let _ = std::fs::remove_file(&file);
        return Ok(());
    }
    Err(format!(
        "ptxas for {arch}, {}:\n{}{}",
        file.display(),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Parses and validates WGSL with naga.
#[cfg(feature = "wgpu")]
pub fn validate_wgsl(wgsl: &str) -> Result<(), Stop> {
    let mut text = wgsl.to_owned();
    // Handlers alone call functions that only the runtime brings along.
    if text.contains("rk_out") && !text.contains("fn rk_send(") {
        text.push_str(include_str!("../../ringkernel-macros/src/emit/stubs.wgsl"));
    }
    if text.contains("rk_in(") && !text.contains("fn rk_in(") {
        text.push_str("fn rk_in(word: u32) -> u32 {\n    return word;\n}\n");
    }
    let wgsl = text.as_str();
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|error| error.emit_to_string(wgsl))?;
    let capabilities = naga::valid::Capabilities::SHADER_INT64 | naga::valid::Capabilities::FLOAT64;
    naga::valid::Validator::new(naga::valid::ValidationFlags::all(), capabilities)
        .validate(&module)
        .map_err(|error| error.emit_to_string(wgsl))?;
    Ok(())
}

/// Parses and validates WGSL with naga, where this program has it.
#[cfg(not(feature = "wgpu"))]
pub fn validate_wgsl(_: &str) -> Result<(), Stop> {
    Err(Stop::Missing { what: "naga", why: "built without the feature `wgpu`".into() })
}
