//! Refusing launches that do not fit, before an allocation that cannot fail politely is made.

use crate::kernel::DeviceError;

/// Whether `bytes` can be had, as far as can be told without touching them.
pub(super) fn check(bytes: u64, what: &str) -> Result<(), DeviceError> {
    let refused = || DeviceError::OutOfMemory { bytes, what: what.to_owned() };
    if available().is_some_and(|available| bytes > available) {
        return Err(refused());
    }
    // An overcommitting system still refuses what it could never give.
    let length = usize::try_from(bytes).map_err(|_| refused())?;
    Vec::<u8>::new().try_reserve_exact(length).map_err(|_| refused())
}

/// Bytes that can be used without swapping, where the system says (Linux).
fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_refused_and_a_page_is_not() {
        assert!(check(4096, "a page").is_ok());
        assert_eq!(
            check(1 << 60, "an exbibyte"),
            Err(DeviceError::OutOfMemory { bytes: 1 << 60, what: "an exbibyte".to_owned() })
        );
    }
}
