//! Every figure, on every backend present, each beside its baseline in the same run.
//!
//! ```sh
//! cargo run --release --example report                    # the table; target/report/ has it as Markdown, JSON and pictures
//! cargo run --release --example report --features wgpu    # WebGPU as well
//! cargo run --release --example report -- --quick         # a look: seconds, and figures to match
//! cargo run --release --example report -- --help
//! ```
//!
//! What is measured and how is in the library beside this file: start with `src/lib.rs`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match ringkernel_report::Arguments::parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => ringkernel_report::run(&arguments),
        Ok(None) => {
            print!("{}", ringkernel_report::HELP);
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("{problem}\n\n{}", ringkernel_report::HELP);
            ExitCode::from(2)
        }
    }
}
