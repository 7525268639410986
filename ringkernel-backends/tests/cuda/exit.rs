//! The end of a process that leaves kernels resident.

use crate::ACCOUNT;
use crate::common::*;
use std::process::Command;
use std::sync::PoisonError;
use std::time::Duration;

/// Says in the child that it is one.
const CHILD: &str = "RINGKERNEL_TEST_EXITS";

/// The interpreter takes pinned memory away when the process exits, and has the exit take longer than the clock's keeper pauses.
#[test]
fn a_process_that_exits_beside_resident_kernels_does_not_read_their_memory_any_more() {
    let name = "exit::a_process_that_exits_beside_resident_kernels_does_not_read_their_memory_any_more";
    let _alone = GPU.write().unwrap_or_else(PoisonError::into_inner);
    let Some(device) = device("a_process_that_exits…", &[&ACCOUNT]) else { return };
    if std::env::var_os(CHILD).is_some() {
        for _ in 0..3 {
            std::mem::forget(Running::launch(&device, &ACCOUNT, 4, 64, true));
        }
        // The keeper listens for the first time after a second.
        std::thread::sleep(Duration::from_millis(1200));
        std::process::exit(0);
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name]).env(CHILD, "yes").env("SOFTCUDA_EXIT", "2500");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
}
