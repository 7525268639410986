//! Where and when a report is made.

use crate::Arguments;
use crate::figure::Place;
use std::time::{SystemTime, UNIX_EPOCH};

/// Here and now.
pub fn here(arguments: &Arguments) -> Place {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| {
            line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned())
        })
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let release = read("/proc/sys/kernel/osrelease");
    let driver = read("/proc/driver/nvidia/version");
    let mut system = format!("{} {}", std::env::consts::OS, release.trim());
    if let Some(line) = driver.lines().next() {
        system.push_str(", ");
        system.push_str(line.trim_start_matches("NVRM version:").trim());
    }
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Place {
        when: utc(seconds),
        cpu,
        cores: std::thread::available_parallelism().map_or(1, |n| n.get()),
        system: system.trim().to_owned(),
        build: if cfg!(debug_assertions) { "debug build: the figures mean nothing" } else { "release build" },
        quick: arguments.quick,
        settings: arguments.settings(),
    }
}

/// Seconds since 1970 as `2026-11-22T16:40:00Z`.
fn utc(seconds: u64) -> String {
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Howard Hinnant's civil_from_days, for days after 1970: years begin in March, so that leap days come last.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_since_1970_become_a_date_leap_days_and_year_ends_included() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_767_225_599), "2025-12-31T23:59:59Z");
        assert_eq!(utc(1_795_365_600), "2026-11-22T16:40:00Z");
    }

    #[test]
    fn a_place_names_its_processor_and_its_build() {
        let place = here(&Arguments::default());
        assert!(!place.cpu.is_empty() && place.cores > 0 && place.when.ends_with('Z'), "{place:?}");
        assert_eq!(place.build.starts_with("debug"), cfg!(debug_assertions));
    }
}
