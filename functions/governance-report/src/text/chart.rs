//! Line charts, drawn as SVG by plotters. Colours and fonts come from the page's style, so that a chart is readable in light and
//! dark; its numbers stand in a table beside it.

use std::ops::Range;

use jiff::Timestamp;
use plotters::prelude::*;

/// Size of a chart, in its own units.
const SIZE: (u32, u32) = (640, 220);

/// Most lines of a chart.
pub(crate) const MOST_LINES: usize = 4;

/// The lines' colours: those that the style replaces (`text/page.rs`).
pub(crate) const COLOURS: [RGBColor; MOST_LINES] =
    [RGBColor(1, 1, 1), RGBColor(2, 2, 2), RGBColor(3, 3, 3), RGBColor(4, 4, 4)];

/// A line: its name, and its points in time with a value in minutes.
pub(crate) struct Line {
    pub name: String,
    pub points: Vec<(Timestamp, f64)>,
}

/// A chart of at most [`MOST_LINES`] lines; none without a point.
pub(crate) fn chart(lines: &[Line], unit: &str) -> Option<String> {
    let points = || lines.iter().flat_map(|line| line.points.iter());
    let first = points().map(|(at, _)| at.as_second()).min()?;
    let last = points().map(|(at, _)| at.as_second()).max()?;
    let most = points().map(|(_, value)| *value).fold(0.0, f64::max);
    // A single point stands in the middle.
    let margin = ((last - first) / 20).max(86_400);
    let (x, y) = (first - margin..last + margin, 0.0..(most * 1.1).max(1.0));
    let mut svg = String::new();
    // Drawing into memory fails only if the ranges were empty.
    draw(&mut svg, lines, x, y, unit).ok()?;
    Some(responsive(&svg))
}

fn draw(
    svg: &mut String,
    lines: &[Line],
    x: Range<i64>,
    y: Range<f64>,
    unit: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut chart = ChartBuilder::on(&root)
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(56)
        .build_cartesian_2d(x, y)?;
    let month = |second: &i64| Timestamp::from_second(*second).map_or_else(|_| String::new(), super::day);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .max_light_lines(1)
        .x_labels(5)
        .y_labels(5)
        .x_label_formatter(&month)
        .y_label_formatter(&|value: &f64| format!("{value:.0} {unit}"))
        .label_style(("sans-serif", 15))
        .draw()?;
    for (line, colour) in lines.iter().zip(COLOURS) {
        let points: Vec<_> = line.points.iter().map(|(at, value)| (at.as_second(), *value)).collect();
        chart.draw_series(LineSeries::new(points.clone(), colour.stroke_width(2)))?;
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
    }
    root.present()?;
    Ok(())
}

/// Without a size of its own, and hidden from screen readers: the page has its numbers as a table.
fn responsive(svg: &str) -> String {
    let (width, height) = SIZE;
    svg.replacen(
        &format!("<svg width=\"{width}\" height=\"{height}\""),
        "<svg aria-hidden=\"true\" focusable=\"false\"",
        1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_its_points_and_no_outside_reference() {
        let at = |day: i64| Timestamp::from_second(1_772_366_400 + 86_400 * day).unwrap();
        let line = |name: &str| Line { name: name.to_owned(), points: vec![(at(0), 5.0), (at(90), 15.0)] };
        let svg = chart(&[line("RTO"), line("RPO")], "min").unwrap();
        let lines = svg.matches("stroke-width=\"2\"").count();
        assert_eq!((lines, svg.matches("<circle").count()), (2, 4), "{svg}");
        assert!(svg.starts_with("<svg aria-hidden"), "{svg}");
        let outside = svg.replace("http://www.w3.org/2000/svg", "");
        assert!(!outside.contains("http") && !outside.contains("url("), "{svg}");
        let one = Line { name: "x".to_owned(), points: vec![(at(0), 0.0)] };
        assert!(chart(&[one], "min").is_some());
        assert!(chart(&[], "min").is_none());
    }
}
