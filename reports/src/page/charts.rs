//! Charts as inline SVG: no script draws them, so they are there on paper as well. Colours come from the page's style.

use super::{escape, grouped};
use crate::histogram::Histogram;
use std::fmt::Write;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 170.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;
const BINS: usize = 40;

/// A rising curve over seeds, with a mark where the last new thing came.
pub fn curve(label: &str, points: &[(u64, u64)], last_new: Option<u64>) -> String {
    let (seeds, most) = points.last().map_or((1, 1), |last| (last.0.max(1), last.1.max(1)));
    let top = nice_above(most);
    let mut line = format!("M{} {}", x(0, seeds), y(0, top));
    for (at, distinct) in points {
        let _ = write!(line, "L{:.1} {:.1}", x(*at, seeds), y(*distinct, top));
    }
    let area = format!("{line}L{} {}Z", x(seeds, seeds), y(0, top));
    let mark = last_new.map_or(String::new(), |at| {
        format!("<path class=\"mark\" d=\"M{0:.1} {TOP}V{1}\"/>", x(at.min(seeds), seeds), HEIGHT - BOTTOM)
    });
    let drawn = format!("<path class=\"area\" d=\"{area}\"/><path class=\"curve\" d=\"{line}\"/>{mark}");
    framed(label, &frame(top, seeds, "seeds"), &drawn)
}

/// Bars over values, up to all but the few largest, which are in the last.
pub fn bars(label: &str, histogram: &Histogram) -> String {
    let end = nice_above(histogram.quantile(0.995).max(1));
    let mut bins = [0.0; BINS];
    let mut before = 0;
    for (bound, count) in &histogram.buckets {
        // What the bucket stands for is somewhere below its bound: a sixteenth at most, or down to the bucket before.
        let from = before.max((bound - bound / 16).saturating_sub(1)) as f64;
        spread(&mut bins, *count as f64, from, *bound as f64, end as f64);
        before = *bound;
    }
    let most = bins.iter().fold(1.0, |most: f64, count| most.max(*count));
    let top = nice_above(most.ceil() as u64);
    let (step, width) = (end as f64 / BINS as f64, (WIDTH - LEFT - RIGHT) / BINS as f64);
    let mut drawn = String::new();
    for (at, count) in bins.iter().enumerate().filter(|(_, count)| **count > 0.0) {
        let height = (count / top as f64 * (HEIGHT - TOP - BOTTOM)).max(1.0);
        let (low, unit) = ((at as f64 * step) as u64, escape(&histogram.unit));
        let more = if at + 1 == BINS { " and more" } else { "" };
        let _ = write!(
            drawn,
            "<rect class=\"bin\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>from {low} {unit}{more}: \
             {count:.0}</title></rect>",
            LEFT + at as f64 * width,
            HEIGHT - BOTTOM - height,
            width - 1.0
        );
    }
    let median = LEFT + (histogram.median.min(end) as f64 / end as f64) * (WIDTH - LEFT - RIGHT);
    let _ = write!(drawn, "<path class=\"mark\" d=\"M{median:.1} {TOP}V{}\"/>", HEIGHT - BOTTOM);
    framed(label, &frame(top, end, &histogram.unit), &drawn)
}

/// Puts a bucket's count where its values are.
fn spread(bins: &mut [f64; BINS], count: f64, from: f64, to: f64, end: f64) {
    let step = end / BINS as f64;
    let bin = |value: f64| ((value / step) as usize).min(BINS - 1);
    let width = to - from;
    for (at, sum) in bins.iter_mut().enumerate().take(bin(to) + 1).skip(bin(from)) {
        let high = if at + 1 == BINS { f64::INFINITY } else { (at + 1) as f64 * step };
        let overlap = to.min(high) - from.max(at as f64 * step);
        *sum += if width > 0.0 { count * overlap / width } else { count };
    }
}

fn x(value: u64, end: u64) -> f64 {
    LEFT + value as f64 / end as f64 * (WIDTH - LEFT - RIGHT)
}

fn y(value: u64, top: u64) -> f64 {
    HEIGHT - BOTTOM - value as f64 / top as f64 * (HEIGHT - TOP - BOTTOM)
}

/// The smallest of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that is not below.
fn nice_above(value: u64) -> u64 {
    let mut power = 1;
    loop {
        for tenths in [10, 15, 20, 30, 40, 50, 60, 80] {
            let nice = tenths * power / 10;
            if nice >= value && tenths * power % 10 == 0 {
                return nice;
            }
        }
        match u64::checked_mul(power, 10).filter(|power| *power < u64::MAX / 100) {
            Some(larger) => power = larger,
            None => return value,
        }
    }
}

/// Axes: three lines across, and the ends of the values.
fn frame(top: u64, end: u64, unit: &str) -> String {
    let mut drawn = String::new();
    let halves: &[u64] = if top.is_multiple_of(2) { &[0, top / 2, top] } else { &[0, top] };
    for value in halves {
        let py = y(*value, top);
        let _ = write!(
            drawn,
            "<path class=\"grid\" d=\"M{LEFT} {py:.1}H{}\"/><text class=\"up\" x=\"{}\" y=\"{:.1}\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 7.0,
            py + 4.0,
            grouped(*value)
        );
    }
    let base = HEIGHT - 8.0;
    let (middle, unit) = ((LEFT + WIDTH - RIGHT) / 2.0, escape(unit));
    let _ = write!(
        drawn,
        "<text x=\"{LEFT}\" y=\"{base}\">0</text><text class=\"middle\" x=\"{middle}\" y=\"{base}\">{unit}</text>\
         <text class=\"up\" x=\"{}\" y=\"{base}\">{}</text>",
        WIDTH - RIGHT,
        grouped(end)
    );
    drawn
}

fn framed(label: &str, frame: &str, drawn: &str) -> String {
    format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">{frame}{drawn}</svg>",
        escape(label)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        let pairs =
            [(1, 1), (2, 2), (7, 8), (11, 15), (16, 20), (99, 100), (101, 150), (5_100, 6_000), (9_000, 10_000)];
        for (value, nice) in pairs {
            assert_eq!(nice_above(value), nice);
        }
        assert_eq!(nice_above(u64::MAX), u64::MAX);
    }

    #[test]
    fn bins_have_all_that_was_counted() {
        let mut bins = [0.0; BINS];
        spread(&mut bins, 10.0, 0.0, 400.0, 400.0);
        spread(&mut bins, 5.0, 395.0, 900.0, 400.0);
        spread(&mut bins, 1.0, 0.0, 0.0, 400.0);
        assert!((bins.iter().sum::<f64>() - 16.0).abs() < 1e-9, "{bins:?}");
        assert!((bins[0] - 1.25).abs() < 1e-9 && (bins[BINS - 1] - 5.25).abs() < 1e-9, "{bins:?}");
    }

    #[test]
    fn charts_of_nothing_are_charts() {
        for chart in [curve("a", &[], None), bars("<b>", &Histogram::default()), curve("c", &[(0, 0)], Some(7))] {
            assert!(!chart.contains("NaN") && !chart.contains("inf") && !chart.contains("<b>"), "{chart}");
        }
        let mut large = Histogram::new("ms");
        large.record(u64::MAX);
        assert!(!bars("large", &large).contains("NaN"));
    }
}
