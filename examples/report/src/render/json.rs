//! The report for programs.

use crate::figure::Report;
use serde::Serialize;

/// The shape's version: raised when a field changes its meaning or goes.
const FORMAT: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    format: u32,
    #[serde(flatten)]
    report: &'a Report,
}

/// The report as JSON: `format`, `place`, `figures`, `withheld`, `absent`.
///
/// # Errors
/// What serde_json says; a report has nothing that it could refuse.
pub fn json(report: &Report) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&Document { format: FORMAT, report })
}

#[cfg(test)]
mod tests {
    use crate::figure::{Value, Withheld};
    use crate::judge::judge;
    use crate::render::testing::{latency, rate, report};

    #[test]
    fn every_figure_has_its_value_its_device_its_samples_and_its_evidence() {
        let mut report = report([
            latency("CUDA", "ask_blocking", 3.0, 4.0),
            latency("CUDA", "raw_ping_pong", 2.5, 2.6),
            rate("CPU", "tell", 5e6),
        ]);
        report.figures[2].value = Value::PercentOfACore(0.5);
        report.withheld.push(Withheld { id: "ask", backend: "CUDA".into(), reason: "1 of 2".into() });
        judge(&mut report);
        let json: serde_json::Value = serde_json::from_str(&super::json(&report).unwrap()).unwrap();
        assert_eq!(json["format"], 1);
        assert_eq!(json["place"]["quick"], false);
        let first = &json["figures"][0];
        assert_eq!(first["id"], "ask_blocking");
        assert_eq!(first["device"], "test device");
        assert_eq!(first["samples"], 100);
        assert!(first["value"]["latency"]["p50_us"].as_f64().unwrap() > 2.9);
        assert_eq!(first["value"]["latency"].get("histogram"), None);
        assert_eq!(first["evidence"]["counted_by_control_block"], 100);
        assert_eq!(first["beside"][0]["baseline"], "raw_ping_pong");
        assert_eq!(first["targets"][0]["met"], true);
        assert_eq!(first["targets"][2]["met"], serde_json::Value::Null);
        assert_eq!(json["figures"][2]["value"]["percent_of_a_core"], 0.5);
        assert_eq!(json["withheld"][0]["reason"], "1 of 2");
    }
}
