//! The report for people: Markdown whose columns line up, so that it reads as well in a terminal.

use crate::figure::{Figure, Report, Value, Verdict};
use std::fmt::Write;

const COLUMNS: [&str; 8] = ["figure", "device", "samples", "p50, us", "p99, us", "M/s", "beside", "target"];

/// The whole report.
pub fn markdown(report: &Report) -> String {
    let mut text = String::from("# RingKernel: report\n\n");
    let place = &report.place;
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(
        text,
        "{}, {} ({} cores), {}, {}{}.",
        place.when,
        place.cpu,
        place.cores,
        place.system,
        place.build,
        if place.quick { ", `--quick`: too few samples to quote" } else { "" }
    );
    if !place.settings.is_empty() {
        let _ = writeln!(text, "Settings: {}.", place.settings);
    }
    for absent in &report.absent {
        let _ = writeln!(text, "Without {}: {}.", absent.what, absent.reason.trim_end_matches('.'));
    }
    let mut backends: Vec<&str> = Vec::new();
    for figure in &report.figures {
        if !backends.contains(&figure.backend.as_str()) {
            backends.push(&figure.backend);
        }
    }
    for backend in backends {
        let _ = write!(text, "\n## {backend}\n\n");
        let figures: Vec<_> = report.figures.iter().filter(|figure| figure.backend == backend).collect();
        let rows = figures.iter().map(|figure| row(figure)).collect::<Vec<_>>();
        table(&mut text, &COLUMNS, &rows);
        targets(&mut text, &figures);
        evidence(&mut text, &figures);
    }
    if !report.withheld.is_empty() {
        text.push_str(
            "\n## Withheld\n\nMeasured, but without the evidence that the device did the work:\n\n",
        );
        for withheld in &report.withheld {
            let _ = writeln!(text, "- `{}` on {}: {}", withheld.id, withheld.backend, withheld.reason);
        }
    }
    text
}

/// Three digits where there are that many.
fn number(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v if v >= 0.1 => format!("{v:.2}"),
        v => format!("{v:.3}"),
    }
}

fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn row(figure: &Figure) -> Vec<String> {
    let (mut p50, mut p99, mut rate) = Default::default();
    match &figure.value {
        Value::Latency(latency) => (p50, p99) = (number(latency.p50_us), number(latency.p99_us)),
        Value::Rate(r) => {
            rate = format!(
                "{} ({}–{})",
                number(r.per_second / 1e6),
                number(r.slowest / 1e6),
                number(r.fastest / 1e6)
            );
        }
        Value::PercentOfACore(percent) => rate = format!("{} % of a core", number(*percent)),
    }
    // p50 and p99 of one baseline in one place: "1.31 × raw_ping_pong (p99 1.55)".
    let mut beside: Vec<String> = Vec::new();
    for ratio in &figure.beside {
        match beside.last_mut() {
            Some(last) if ratio.quantity == "p99" => {
                let _ = write!(last, " (p99 {})", number(ratio.ratio));
            }
            _ => beside.push(format!("{} × {}", number(ratio.ratio), ratio.baseline)),
        }
    }
    let met = figure.targets.iter().filter(|verdict| verdict.met == Some(true)).count();
    let missed = figure.targets.iter().filter(|verdict| verdict.met == Some(false)).count();
    let target = match (figure.targets.len(), met, missed) {
        (0, ..) => String::new(),
        (_, _, 0) if met > 0 => "met".into(),
        (_, 0, 0) => "not judged".into(),
        (_, 0, _) => "MISSED".into(),
        _ => format!("{missed} MISSED, {met} met"),
    };
    let name = if figure.is_baseline { format!("*{}*", figure.id) } else { format!("`{}`", figure.id) };
    vec![name, figure.device.clone(), thousands(figure.samples), p50, p99, rate, beside.join("; "), target]
}

fn table(text: &mut String, columns: &[&str], rows: &[Vec<String>]) {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            rows.iter().map(|row| row[i].chars().count()).chain([column.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let mut line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::from("|");
        for (cell, width) in cells.zip(&widths) {
            let _ = write!(line, " {cell:<width$} |");
        }
        text.push_str(&line);
        text.push('\n');
    };
    line(&mut columns.iter().copied());
    let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    line(&mut rules.iter().map(String::as_str));
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

fn targets(text: &mut String, figures: &[&Figure]) {
    let verdicts: Vec<(&Figure, &Verdict)> = figures
        .iter()
        .flat_map(|figure| figure.targets.iter().map(move |verdict| (*figure, verdict)))
        .collect();
    if verdicts.is_empty() {
        return;
    }
    let rows: Vec<_> = verdicts
        .iter()
        .map(|(figure, verdict)| {
            let met = match verdict.met {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "not judged",
            };
            vec![format!("`{}`", figure.id), verdict.target.clone(), verdict.measured.clone(), met.to_owned()]
        })
        .collect();
    text.push_str("\nTargets:\n\n");
    table(text, &["figure", "target", "measured", ""], &rows);
}

fn evidence(text: &mut String, figures: &[&Figure]) {
    text.push_str("\nWhat was measured, and why it may be believed:\n\n");
    for figure in figures {
        let evidence = &figure.evidence;
        let _ = write!(text, "- `{}`: {}. ", figure.id, figure.title);
        if figure.is_baseline {
            let _ = writeln!(text, "Checked: {}.", evidence.checked);
        } else {
            let _ = writeln!(
                text,
                "Sent {}, the control block counted {}, the telemetry {}, {} replies compared: {}.",
                thousands(evidence.sent),
                thousands(evidence.counted_by_control_block),
                thousands(evidence.counted_by_telemetry),
                thousands(evidence.replies_checked),
                evidence.checked
            );
        }
        if let Some(note) = &figure.note {
            let _ = writeln!(text, "  ({note})");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::{Absent, Withheld};
    use crate::judge::judge;
    use crate::render::testing::{latency, rate, report};

    #[test]
    fn every_row_has_its_device_its_samples_its_ratio_and_its_target() {
        let mut report = report([
            latency("CUDA", "raw_ping_pong", 2.5, 2.6),
            latency("CUDA", "ask_blocking", 3.0, 6.5),
            rate("CUDA", "tell", 25e6),
        ]);
        judge(&mut report);
        let text = markdown(&report);
        let rows: Vec<&str> = text.lines().filter(|line| line.contains("| test device |")).collect();
        assert_eq!(rows.len(), 3, "{text}");
        assert!(rows[0].starts_with("| *raw_ping_pong*"), "{text}");
        assert!(rows[1].contains("| 100 ") && rows[1].contains("1.20 × raw_ping_pong (p99 2.50)"), "{text}");
        assert!(rows[1].contains("1 MISSED, 1 met"), "{text}");
        assert!(rows[2].contains("25.0 (25.0–25.0)") && rows[2].contains("| met "), "{text}");
        let lengths: Vec<usize> = rows.iter().map(|row| row.chars().count()).collect();
        assert!(lengths.iter().all(|length| *length == lengths[0]), "the columns line up:\n{text}");
        assert!(text.contains("p99 ≤ 2 × raw_ping_pong") && text.contains("2.50 ×"), "{text}");
        assert!(text.contains("Sent 100, the control block counted 100"), "{text}");
    }

    #[test]
    fn what_is_withheld_or_absent_is_said_with_its_reason_and_without_a_value() {
        let mut report = report([]);
        report.absent.push(Absent { what: "CUDA".into(), reason: "no driver".into() });
        report.withheld.push(Withheld {
            id: "tell",
            backend: "CPU".into(),
            reason: "sent 2, counted 1".into(),
        });
        let text = markdown(&report);
        assert!(text.contains("Without CUDA: no driver.\n"), "{text}");
        assert!(
            text.contains("## Withheld") && text.contains("- `tell` on CPU: sent 2, counted 1"),
            "{text}"
        );
    }

    #[test]
    fn numbers_have_three_digits_and_counts_have_commas() {
        assert_eq!(
            [0.0123, 0.5, 1.234, 12.34, 123.4, 12345.6].map(number).join(" "),
            "0.012 0.50 1.23 12.3 123 12346"
        );
        assert_eq!([7, 999, 1000, 1_234_567].map(thousands).join(" "), "7 999 1,000 1,234,567");
    }
}
