//! `--name value` and `--name`, as these programs take them. Anything else is libtest's.

use ringkernel::Backend;
use std::str::FromStr;

/// The arguments of a program that is not run as a test; `None` where none of `known` is there, and libtest's rules hold.
pub struct Arguments(Vec<String>);

impl Arguments {
    pub fn of_this_program(known: &[&str]) -> Option<Self> {
        let all: Vec<String> = std::env::args().skip(1).collect();
        all.iter().any(|argument| known.contains(&argument.as_str())).then_some(Self(all))
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        let at = self.0.iter().position(|argument| argument == name)?;
        self.0.get(at + 1).map(String::as_str)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|argument| argument == name)
    }

    /// Those that a program hands on to the processes it starts: all but which case on which backend.
    pub fn passed_on(&self) -> Vec<String> {
        let mut all = self.0.iter();
        let mut rest = Vec::new();
        while let Some(argument) = all.next() {
            match argument.as_str() {
                "--case" | "--backend" => drop(all.next()),
                "--quick" => {}
                _ => rest.push(argument.clone()),
            }
        }
        rest
    }

    /// The value after `name`.
    pub fn get<T: FromStr>(&self, name: &str, default: T) -> Result<T, String> {
        match self.text(name) {
            None => Ok(default),
            // 1e9 and 1_000_000 are numbers to people.
            Some(text) => {
                let plain = text.replace('_', "");
                let whole = plain.parse::<f64>().ok().filter(|n| n.fract() == 0.0 && n.abs() < 1e18);
                let spelled = whole.map_or(plain.clone(), |n| format!("{n:.0}"));
                plain.parse().or_else(|_| spelled.parse()).map_err(|_| format!("{name} {text}: not a number"))
            }
        }
    }

    pub fn backend(&self) -> Result<Backend, String> {
        backend(self.text("--backend").unwrap_or("cpu"))
    }
}

pub fn backend(name: &str) -> Result<Backend, String> {
    match name {
        "cpu" => Ok(Backend::Cpu),
        "cuda" => Ok(Backend::Cuda),
        "wgpu" | "webgpu" => Ok(Backend::Wgpu),
        other => Err(format!("--backend {other}: one of cpu, cuda, wgpu")),
    }
}
