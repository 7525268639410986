//! Runs the report as a process of its own, quickly, and reads what it wrote.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// The compiled report, which cargo puts beside this test.
fn report() -> Command {
    let test = std::env::current_exe().expect("the path of this test");
    let profile = test.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps/<test>");
    let path = profile.join("examples").join("report").with_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "{} is not built: run `cargo test -p ringkernel-report`", path.display());
    Command::new(path)
}

fn text(output: &Output) -> (String, String) {
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_quick_report_has_every_figure_of_the_cpu_with_its_evidence_and_writes_its_files() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report");
    let begin = Instant::now();
    let output = report().args(["--quick", "--out"]).arg(&folder).output().expect("the report starts");
    let took = begin.elapsed();
    let (stdout, stderr) = text(&output);
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    // Seconds, as promised; a debug build on a machine with other work gets some more.
    assert!(took < Duration::from_secs(30), "{took:?}");

    let json = std::fs::read_to_string(folder.join("report.json")).expect("report.json");
    let json: serde_json::Value = serde_json::from_str(&json).expect("report.json is JSON");
    let figures = json["figures"].as_array().expect("figures");
    let cpu: Vec<_> = figures.iter().filter(|figure| figure["backend"] == "CPU").collect();
    let ids: Vec<_> = cpu.iter().filter_map(|figure| figure["id"].as_str()).collect();
    for id in [
        "ask_blocking",
        "ask",
        "ask_many",
        "tell_many_million",
        "hop",
        "hop_random",
        "pipeline_ask",
        "pipeline_events",
        "publish_1",
        "publish_64",
        "suspend",
        "snapshot",
        "tell",
        "try_tell",
        "terminate",
        "launch",
        "threads_ping_pong",
        "channel_send",
    ] {
        assert!(ids.contains(&id), "{id} is not among {ids:?}");
        assert!(stdout.contains(id), "{id} is not in\n{stdout}");
    }
    for figure in cpu.iter().filter(|figure| figure["is_baseline"] == false && figure["id"] != "terminate") {
        let evidence = &figure["evidence"];
        assert!(evidence["sent"].as_u64() > Some(0), "{figure}");
        assert_eq!(evidence["sent"], evidence["counted_by_control_block"], "{figure}");
        assert_eq!(evidence["sent"], evidence["counted_by_telemetry"], "{figure}");
        assert!(figure["samples"].as_u64() > Some(0) && !figure["device"].as_str().unwrap_or("").is_empty());
    }
    assert_eq!(json["withheld"], serde_json::json!([]), "{stdout}");
    let markdown = std::fs::read_to_string(folder.join("report.md")).expect("report.md");
    assert!(markdown.contains("| `ask_blocking`") && markdown.contains("(latency-cpu.svg)"));
    let picture = std::fs::read_to_string(folder.join("latency-cpu.svg")).expect("latency-cpu.svg");
    assert!(picture.contains("ask_blocking: p50 "));
}

#[test]
fn only_what_is_asked_for_is_measured() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report-only");
    let output = report()
        .args(["--quick", "--backend", "cpu", "--only", "ask_blocking", "--out"])
        .arg(&folder)
        .output()
        .expect("the report starts");
    let (stdout, stderr) = text(&output);
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(
        stdout.contains("`ask_blocking`") && !stdout.contains("`tell`") && !stdout.contains("Without CUDA")
    );
}

#[test]
fn a_wrong_command_line_is_explained() {
    let output = report().arg("--fast").output().expect("the report starts");
    assert_eq!(output.status.code(), Some(2));
    let (_, stderr) = text(&output);
    assert!(stderr.contains("unknown argument \"--fast\"") && stderr.contains("--quick"), "{stderr}");
}
