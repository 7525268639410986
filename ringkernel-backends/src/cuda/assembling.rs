//! What the tests of this folder's texts share: NVIDIA's assembler, where there is one.

use std::process::Command;

/// Assembles `text(cc)` for an old, a middle and a new device. Without ptxas, says that `test` was skipped, or fails if `RINGKERNEL_REQUIRE`
/// names it.
pub(super) fn assembles(test: &str, text: impl Fn(u32) -> String) {
    let ptxas = std::env::var("RINGKERNEL_PTXAS").unwrap_or_else(|_| "ptxas".into());
    let folder = std::env::temp_dir().join(format!("ringkernel-{test}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (cc, arch) in [(70, "sm_75"), (80, "sm_80"), (90, "sm_90")] {
        let (input, output) = (folder.join("module.ptx"), folder.join("module.cubin"));
        std::fs::write(&input, text(cc)).unwrap();
        let arguments = [input.as_os_str(), "-o".as_ref(), output.as_os_str()];
        match Command::new(&ptxas).arg(format!("-arch={arch}")).args(arguments).output() {
            Ok(run) => assert!(run.status.success(), "{arch}: {}", String::from_utf8_lossy(&run.stderr)),
            Err(error) => {
                let required = std::env::var("RINGKERNEL_REQUIRE").unwrap_or_default();
                assert!(!required.split(',').any(|name| name.trim() == "ptxas"), "{test}: {ptxas}: {error}");
                println!("skipped: {test}: {ptxas}: {error}");
                break;
            }
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
