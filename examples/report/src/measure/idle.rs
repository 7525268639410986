//! What kernels cost the host while nothing happens.

use super::control::{RESIDENT, residents};
use super::{Bench, Expected, Measured};
use crate::evidence::Watch;
use crate::figure::{Evidence, Value};
use std::error::Error;
use std::time::{Duration, Instant};

/// Clock ticks a second in /proc: USER_HZ, which Linux fixes at 100 for what it shows to programs.
const TICKS: f64 = 100.0;

/// The process' use of a core with 16 idle kernels resident.
pub fn idle(bench: &Bench) -> Measured {
    smol::block_on(async {
        let residents = residents(bench).await?;
        let watches: Vec<_> = residents.iter().map(|kernel| Watch::begin(kernel)).collect();
        let mut expected: Vec<_> = residents.iter().map(|_| Expected::default()).collect();
        for (expected, kernel) in expected.iter_mut().zip(&residents) {
            expected.ask(kernel).await?;
        }
        let length = Duration::from_millis(if bench.arguments.quick { 300 } else { 2000 });
        // What went before comes to rest first.
        std::thread::sleep(length / 4);
        let (begin, before) = (Instant::now(), ticks()?);
        std::thread::sleep(length);
        let (used, wall) = (ticks()? - before, begin.elapsed());
        for (expected, kernel) in expected.iter_mut().zip(&residents) {
            expected.ask(kernel).await?;
        }
        for watch in watches {
            watch.end(2, 2, "")?;
        }
        for kernel in residents {
            kernel.terminate().await?;
        }
        let asked = 2 * RESIDENT as u64;
        let evidence = Evidence {
            sent: asked,
            counted_by_control_block: asked,
            counted_by_telemetry: asked,
            replies_checked: asked,
            checked: "every kernel answered before and after".into(),
        };
        let percent = used as f64 / TICKS / wall.as_secs_f64() * 100.0;
        let title = format!("processor time of an idle process with {RESIDENT} kernels launched");
        let mut figure = bench.figure("idle_cpu", title, 1, Value::PercentOfACore(percent), evidence);
        figure.note = Some(format!(
            "one interval of {:.1} s by /proc/self/stat, whose clock ticks every 10 ms",
            wall.as_secs_f64()
        ));
        Ok(figure)
    })
}

/// User and system time of the process so far.
fn ticks() -> Result<u64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")
        .map_err(|error| format!("/proc/self/stat (Linux only): {error}"))?;
    parse(&stat).ok_or_else(|| format!("/proc/self/stat: {stat:?}").into())
}

/// The sum of fields 14 and 15 of proc(5)'s stat. Field 2 is the program's name in parentheses and may hold anything.
fn parse(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u64>().ok();
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_a_name_with_spaces_and_parentheses() {
        let stat = "42 (a (b) c) R 1 42 42 34816 42 4194304 100 0 0 0 17 5 0 0 20 0 1 0 1 2 3";
        assert_eq!(parse(stat), Some(22));
        assert_eq!(parse("42 nonsense"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_used_some() {
        let begin = ticks().unwrap();
        let busy = Instant::now();
        while ticks().unwrap() == begin {
            assert!(busy.elapsed() < Duration::from_secs(20), "it stays at {begin}");
        }
    }
}
