//! The command line.

use ringkernel::BridgePolicy;
use std::path::PathBuf;
use std::time::Duration;

/// What `--help` prints.
pub const HELP: &str = "\
report [--quick] [--backend NAME]... [--only TEXT]... [--shards N] [--capacity N]
       [--bridge POLICY] [--out DIR]

Measures RingKernel on every backend present, each figure beside its baseline, and writes report.md, report.json, and
pictures of the latencies into DIR (target/report unless told).

  --quick          a hundredth of the samples: seconds, and figures to match
  --backend NAME   only this backend (cuda, metal, wgpu, cpu); may be given more than once
  --only TEXT      only figures whose id contains TEXT; may be given more than once
  --shards N       shards of the kernels whose rates are measured; the device's choice unless told
  --capacity N     slots of their rings; 8192 unless told
  --bridge POLICY  how eagerly the runtime looks for replies: spin, adaptive (unless told), park
  --out DIR        where the files go
  --help           this

Ends with 0 if every figure that was measured has its evidence, 1 if one was withheld, 2 if the command line is wrong, and 3 if a
figure hung.
";

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    pub quick: bool,
    pub backends: Vec<String>,
    pub only: Vec<String>,
    pub shards: Option<u32>,
    pub capacity: u32,
    pub bridge: BridgePolicy,
    pub out: PathBuf,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            quick: false,
            backends: Vec::new(),
            only: Vec::new(),
            shards: None,
            capacity: 8192,
            bridge: BridgePolicy::Adaptive,
            out: PathBuf::from("target/report"),
        }
    }
}

impl Arguments {
    /// Reads a command line; `None` where help was asked for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut arguments = Self::default();
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
            match word.as_str() {
                "--quick" => arguments.quick = true,
                "--backend" => {
                    let name = value()?.to_lowercase();
                    if !["cuda", "metal", "wgpu", "cpu"].contains(&name.as_str()) {
                        return Err(format!("there is no backend {name:?}"));
                    }
                    arguments.backends.push(name);
                }
                "--shards" => arguments.shards = Some(power_of_two(&word, &value()?)?),
                "--capacity" => arguments.capacity = power_of_two(&word, &value()?)?,
                "--bridge" => {
                    arguments.bridge = match value()?.as_str() {
                        "spin" => BridgePolicy::Spin,
                        "adaptive" => BridgePolicy::Adaptive,
                        "park" => BridgePolicy::Park,
                        other => return Err(format!("there is no bridge policy {other:?}")),
                    }
                }
                "--only" => arguments.only.push(value()?),
                "--out" => arguments.out = value()?.into(),
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("unknown argument {word:?}")),
            }
        }
        Ok(Some(arguments))
    }

    /// Whether the figure is wanted.
    pub fn wants(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| id.contains(text.as_str()))
    }

    /// Whether the backend is wanted; `name` as on the command line.
    pub fn wants_backend(&self, name: &str) -> bool {
        self.backends.is_empty() || self.backends.iter().any(|wanted| wanted == name)
    }

    /// What was tuned, or left alone, in words.
    pub fn settings(&self) -> String {
        let shards =
            self.shards.map_or("as many as the device chooses".to_owned(), |shards| shards.to_string());
        format!("rates with rings of {} slots, shards: {shards}; bridge: {:?}", self.capacity, self.bridge)
    }

    /// How many samples to take where `full` are meant, and at least `least`.
    pub fn samples(&self, full: u64, least: u64) -> u64 {
        if self.quick { (full / 100).max(least.min(full)) } else { full }
    }

    /// The longest that the samples of one figure may take; the figure says how many there were.
    pub fn budget(&self) -> Duration {
        if self.quick { Duration::from_millis(60) } else { Duration::from_millis(1500) }
    }
}

fn power_of_two(word: &str, value: &str) -> Result<u32, String> {
    match value.parse::<u32>() {
        Ok(number) if number.is_power_of_two() => Ok(number),
        _ => Err(format!("{word} wants a power of two, not {value:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Arguments>, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_command_line_is_read_and_what_is_not_on_it_has_its_default() {
        assert_eq!(parse(""), Ok(Some(Arguments::default())));
        let all = parse("--quick --backend CUDA --only ask --only launch --out /tmp/x --backend cpu")
            .unwrap()
            .unwrap();
        assert!(
            all.quick && all.wants_backend("cuda") && all.wants_backend("cpu") && !all.wants_backend("wgpu")
        );
        assert!(all.wants("ask_blocking") && all.wants("graph_launch_sync") && !all.wants("tell"));
        let tuned = parse("--shards 16 --capacity 1024").unwrap().unwrap();
        assert_eq!((tuned.shards, tuned.capacity), (Some(16), 1024));
        assert_eq!(tuned.settings(), "rates with rings of 1024 slots, shards: 16; bridge: Adaptive");
        assert_eq!(parse("--bridge park").unwrap().unwrap().bridge, BridgePolicy::Park);
        assert_eq!(all.out, PathBuf::from("/tmp/x"));
        assert_eq!(parse("--quick --help"), Ok(None));
    }

    #[test]
    fn what_it_does_not_know_is_an_error() {
        assert_eq!(parse("--fast"), Err("unknown argument \"--fast\"".into()));
        assert_eq!(parse("--out"), Err("--out wants a value".into()));
        assert_eq!(parse("--shards 3"), Err("--shards wants a power of two, not \"3\"".into()));
        assert_eq!(parse("--backend abacus"), Err("there is no backend \"abacus\"".into()));
    }

    #[test]
    fn a_quick_run_takes_a_hundredth_and_never_fewer_than_it_must() {
        let (full, quick) = (Arguments::default(), Arguments { quick: true, ..Default::default() });
        assert_eq!(full.samples(100_000, 20), 100_000);
        assert_eq!(quick.samples(100_000, 20), 1_000);
        assert_eq!(quick.samples(1_000, 20), 20);
        assert_eq!(quick.samples(5, 20), 5);
    }
}
