//! Whole programs, as the CUDA backend loads them: handlers joined with the resident loop.

use ringkernel_backends::cuda::module_text;
use ringkernel_backends::kernel::{DeviceError, Group, HandlerInfo, KernelDescriptor, MessageInfo, Needs};
use ringkernel_backends::mesh::Mesh;
use softcuda::machine::Module;
use std::path::Path;

const HANDLERS: &[HandlerInfo] = &[HandlerInfo {
    name: "deposit",
    message: MessageInfo::fixed("Deposit", 1000, 8),
    reply: MessageInfo::fixed("Balance", 1001, 16),
}];

fn descriptor(ptx: &'static str, mesh: Mesh) -> KernelDescriptor {
    KernelDescriptor {
        id: "subject",
        actor: "Subject",
        group: Group::Thread,
        state_size: 16,
        state_align: 8,
        handlers: HANDLERS,
        sites: &[],
        ptx,
        wgsl: "",
        wgsl_needs: Needs { int64: false, float64: false },
        native_only: None,
        native: |_| Err(DeviceError::Terminated),
        default_state: None,
        mesh,
    }
}

const PARCEL: &[MessageInfo] = &[MessageInfo::fixed("Parcel", 3011, 4)];
const RECEIVES: Mesh = Mesh { receives: PARCEL, ..Mesh::NONE };

#[test]
fn every_actor_of_the_project_joined_with_the_loop_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut seen = 0;
    for folder in [
        "tests/golden",
        "ringkernel-backends/tests/cuda",
        "ringkernel-macros/src/emit/golden",
        "tests/gpu/faults",
    ] {
        for file in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "ptx") {
                continue;
            }
            let ptx: &'static str = Box::leak(std::fs::read_to_string(&path).unwrap().into_boxed_str());
            let asks = ptx.contains("ringkernel_receive");
            for (mesh, cc) in [(Mesh::NONE, 70), (Mesh::NONE, 90), (RECEIVES, 70), (RECEIVES, 90)] {
                // An actor whose handlers ask for messages says of which type.
                if asks && mesh.receives.is_empty() {
                    continue;
                }
                let text = module_text(&descriptor(ptx, mesh), cc);
                let module = Module::parse(&text).unwrap_or_else(|error| {
                    let line = text.lines().nth(error.line as usize - 1).unwrap_or_default();
                    panic!("{}: {error}: {line}", path.display())
                });
                let entry = module.entry("ringkernel_resident").expect("the loop");
                assert_eq!(entry.params(), [(0, 8), (8, 4)]);
                assert!(entry.shared_bytes() >= 2056 && entry.local_bytes() >= 48);
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen}");
}

#[test]
fn every_program_of_the_baseline_is_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ringkernel-backends/src/cuda/baseline");
    for name in ["add", "drain", "empty", "feed", "ping", "stage"] {
        let text = std::fs::read_to_string(folder.join(name).with_extension("ptx")).unwrap();
        let module = Module::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(module.entries().collect::<Vec<_>>(), [name]);
    }
}
