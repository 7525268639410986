//! Latency histograms as SVG: one line a figure, microseconds on a logarithmic axis. A backend has two pictures, one of requests and
//! what they stand beside, one of what starts and ends kernels.

use crate::figure::{Figure, Latency, Report, Value};
use plotters::prelude::*;

/// Bars of a decade.
const PER_DECADE: f64 = 40.0;
const SIZE: (u32, u32) = (1100, 560);

/// Colours that can be told apart in print and by those who see fewer of them (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

/// The figures that are not requests.
const CONTROL: [&str; 5] = ["launch", "terminate", "suspend", "snapshot", "quiesce"];

/// File names and pictures.
///
/// # Errors
/// What plotters says.
pub fn pictures(report: &Report) -> Result<Vec<(String, String)>, String> {
    // By backend and kind, in the order in which they come.
    let mut series: Vec<((&str, &str), Vec<Series>)> = Vec::new();
    for figure in &report.figures {
        let Value::Latency(latency) = &figure.value else { continue };
        let kind = if CONTROL.contains(&figure.id) { "control" } else { "latency" };
        let key = (kind, figure.backend.as_str());
        match series.iter_mut().find(|(of, _)| *of == key) {
            Some((_, lines)) => lines.push((figure, latency)),
            None => series.push((key, vec![(figure, latency)])),
        }
    }
    let draw = |((kind, backend), lines): ((&str, &str), Vec<Series>)| {
        let title = match (kind, lines.first()) {
            ("control", Some((figure, _))) => format!("What starts and ends kernels on {}", figure.device),
            (_, Some((figure, _))) => format!("Requests on {}", figure.device),
            _ => String::new(),
        };
        let svg = picture(&title, &lines).map_err(|error| error.to_string())?;
        Ok((format!("{kind}-{}.svg", backend.to_lowercase()), svg))
    };
    series.into_iter().map(draw).collect()
}

type Series<'a> = (&'a Figure, &'a Latency);

/// The share of samples in each bar, as corners of a staircase.
fn staircase(latency: &Latency) -> Vec<(f64, f64)> {
    let bar = |micros: f64| (micros.log10() * PER_DECADE).floor() as i64;
    let edge = |bar: i64| 10f64.powf(bar as f64 / PER_DECADE);
    let mut bars = std::collections::BTreeMap::<i64, u64>::new();
    for step in latency.histogram.iter_recorded() {
        *bars.entry(bar(step.value_iterated_to() as f64 / 1e3)).or_default() += step.count_at_value();
    }
    let all = latency.histogram.len() as f64;
    let mut corners = Vec::new();
    let mut end = None;
    for (bar, count) in bars {
        let height = count as f64 / all * 100.0;
        if end != Some(bar) {
            corners.extend(end.map(|end| (edge(end), 0.0)));
            corners.push((edge(bar), 0.0));
        }
        corners.extend([(edge(bar), height), (edge(bar + 1), height)]);
        end = Some(bar + 1);
    }
    corners.extend(end.map(|end| (edge(end), 0.0)));
    corners
}

fn picture(title: &str, series: &[Series]) -> Result<String, Box<dyn std::error::Error>> {
    let fastest = series.iter().map(|(_, latency)| latency.min_us).fold(f64::MAX, f64::min).max(0.01);
    let slowest = series.iter().map(|(_, latency)| latency.p999_us).fold(fastest, f64::max);
    let lines: Vec<_> =
        series.iter().map(|(figure, latency)| (*figure, *latency, staircase(latency))).collect();
    let highest = lines.iter().flat_map(|(.., corners)| corners).map(|(_, y)| *y).fold(1.0, f64::max);
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(title, ("sans-serif", 22))
            .margin(12)
            .x_label_area_size(46)
            .y_label_area_size(60)
            .build_cartesian_2d((fastest * 0.9..slowest * 1.3).log_scale(), 0.0..highest * 1.05)?;
        chart
            .configure_mesh()
            .x_desc("microseconds")
            .y_desc(format!("percent of samples a bar, {PER_DECADE} bars a decade"))
            .x_label_formatter(&|micros| format!("{micros}"))
            .light_line_style(RGBColor(236, 236, 236))
            .draw()?;
        for (i, (figure, latency, corners)) in lines.into_iter().enumerate() {
            let colour = COLOURS[i % COLOURS.len()];
            let style = colour.stroke_width(if figure.is_baseline { 1 } else { 2 });
            let inside = corners.into_iter().filter(move |(x, _)| *x <= slowest * 1.3 && *x >= fastest * 0.9);
            chart
                .draw_series(LineSeries::new(inside, style))?
                .label(format!(
                    "{}{}: p50 {:.2}, p99 {:.2} us",
                    figure.id,
                    if figure.is_baseline { " (baseline)" } else { "" },
                    latency.p50_us,
                    latency.p99_us
                ))
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 22, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.85))
            .border_style(RGBColor(200, 200, 200))
            .draw()?;
        area.present()?;
    }
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::testing::{latency, rate, report};

    #[test]
    fn there_is_a_picture_for_every_backend_with_latencies_and_a_line_for_each() {
        let report = report([
            latency("CUDA", "ask_blocking", 3.0, 4.0),
            latency("CUDA", "raw_ping_pong", 2.5, 2.6),
            latency("CPU", "ask", 1.0, 20.0),
            latency("CPU", "launch", 90.0, 100.0),
            rate("WebGPU", "tell", 1e6),
        ]);
        let pictures = pictures(&report).unwrap();
        let names: Vec<_> = pictures.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["latency-cuda.svg", "latency-cpu.svg", "control-cpu.svg"]);
        let cuda = &pictures[0].1;
        assert!(cuda.starts_with("<svg") && cuda.trim_end().ends_with("</svg>"), "{cuda}");
        assert!(
            cuda.contains("ask_blocking: p50 3.00, p99 4.00 us") && cuda.contains("raw_ping_pong (baseline)")
        );
        assert!(cuda.contains("Requests on test device"));
    }

    #[test]
    fn the_bars_of_a_histogram_hold_all_its_samples() {
        let report = report([latency("CPU", "ask", 1.0, 20.0)]);
        let Value::Latency(latency) = &report.figures[0].value else { panic!("a latency") };
        let corners = staircase(latency);
        // Every bar has two corners at its height.
        let sum: f64 = corners.iter().map(|(_, y)| y).sum::<f64>() / 2.0;
        assert!((sum - 100.0).abs() < 1e-6, "{corners:?}");
        assert!(corners.windows(2).all(|pair| pair[0].0 <= pair[1].0), "from left to right: {corners:?}");
    }
}
