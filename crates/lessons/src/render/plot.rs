//! Curves and bars as drawings that need no script.

use super::html::escaped;
use crate::{Bars, Curve};
use std::fmt::Write;

/// Size of the drawing, in its own units.
const SIZE: (f64, f64) = (640.0, 220.0);
/// Room for labels: left, right, top, bottom.
const ROOM: (f64, f64, f64, f64) = (64.0, 14.0, 14.0, 36.0);

/// The curve as SVG, with scales on both axes.
pub(super) fn curve(curve: &Curve) -> String {
    let xs = || curve.points.iter().map(|&(x, _)| x);
    let ys = || curve.points.iter().map(|&(_, y)| y);
    let (left, right) = bounds(xs());
    let (low, high) = bounds(ys());
    // Steps are counted from the beginning. A loss that stays far above 0 is drawn from near its
    // minimum, since its curve would otherwise be flat.
    let left = if left < 0.1 * right {
        left.min(0.0)
    } else {
        left
    };
    let low = if low < 0.5 * high {
        low.min(0.0)
    } else {
        low - 0.05 * (high - low)
    };
    let x = |at: f64| ROOM.0 + (at - left) / (right - left) * (SIZE.0 - ROOM.0 - ROOM.1);
    let y = |at: f64| SIZE.1 - ROOM.3 - (at - low) / (high - low) * (SIZE.1 - ROOM.2 - ROOM.3);
    let points: Vec<String> = curve
        .points
        .iter()
        .map(|&(a, b)| format!("{:.1},{:.1}", x(a), y(b)))
        .collect();
    let name = escaped(&curve.name);
    let of = escaped(&curve.of);
    let ends = curve.points.first().zip(curve.points.last());
    let said = ends.map_or_else(String::new, |(first, last)| {
        format!(
            "{:.6} at {of} {}, {:.6} at {of} {}",
            first.1, first.0, last.1, last.0
        )
    });
    let mut svg = format!(
        "<figure class=\"curve\"><svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{name}: {said}\">\n",
        SIZE.0, SIZE.1
    );
    let (begin, end, under) = (ROOM.0, SIZE.0 - ROOM.1, SIZE.1 - ROOM.3 + 20.0);
    for part in 0..=4 {
        let share = f64::from(part) / 4.0;
        let (at, up) = (left + share * (right - left), low + share * (high - low));
        let (across, height) = (x(at), y(up));
        let anchor = if part < 4 { "middle" } else { "end" };
        let _ = writeln!(
            svg,
            "<line class=\"rule\" x1=\"{begin}\" x2=\"{end}\" y1=\"{height:.1}\" \
             y2=\"{height:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{up:.2}</text>\
             <text x=\"{across:.1}\" y=\"{under:.1}\" text-anchor=\"{anchor}\">{at:.0}</text>",
            begin - 8.0,
            height + 4.0,
        );
    }
    let _ = write!(
        svg,
        "<polyline points=\"{}\"/></svg>\n<figcaption>{name} by {of}: {said}</figcaption></figure>\n",
        points.join(" ")
    );
    svg
}

/// Groups of bars; each bar is a share of the full width.
pub(super) fn bars(bars: &Bars) -> String {
    let mut html = format!(
        "<figure class=\"bars\"><figcaption>{}</figcaption>\n",
        escaped(&bars.name)
    );
    for (group, shares) in &bars.groups {
        let _ = writeln!(html, "<p class=\"group\">{}</p>", escaped(group));
        for (number, (name, share)) in bars.series.iter().zip(shares).enumerate() {
            let percent = 100.0 * share;
            let _ = writeln!(
                html,
                "<p><span>{}</span><i class=\"s{number}\" aria-hidden=\"true\" style=\"--w:{percent:.1}%\"></i>\
                 <b>{percent:.1} %</b></p>",
                escaped(name)
            );
        }
    }
    html + "</figure>\n"
}

/// The minimum and maximum, made different if they are equal.
fn bounds(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    if low < high {
        (low, high)
    } else {
        (low, low + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(points: &[(f64, f64)]) -> String {
        curve(&Curve {
            name: "loss".to_owned(),
            of: "step".to_owned(),
            points: points.to_vec(),
        })
    }

    /// The drawing is 640 wide and 220 high; 64, 14, 14 and 36 of it are margins.
    #[test]
    fn points_lie_where_their_numbers_say() {
        let points = |points: &[(f64, f64)]| {
            let svg = drawn(points);
            let (_, after) = svg.split_once("<polyline points=\"").unwrap();
            after.split('"').next().unwrap().to_owned()
        };
        // Both axes start from 0 and end at the greatest value: the last point is at a third of the
        // height.
        let from_zero = points(&[(0.0, 3.0), (50.0, 2.0), (100.0, 1.0)]);
        assert_eq!(from_zero, "64.0,14.0 345.0,70.7 626.0,127.3");
        // Steps that begin near 0 are drawn from 0, others from their beginning.
        let near = points(&[(5.0, 3.0), (100.0, 1.0)]);
        assert_eq!(near, "92.1,14.0 626.0,127.3");
        let far = points(&[(500.0, 3.0), (1000.0, 1.0)]);
        assert_eq!(far, "64.0,14.0 626.0,127.3");
        // A loss that stays high is drawn from below its minimum, by a twentieth of its fall.
        let high = points(&[(0.0, 4.0), (100.0, 3.0)]);
        assert_eq!(high, "64.0,14.0 626.0,175.9");
    }

    #[test]
    fn scales_have_five_numbers_from_end_to_end() {
        let svg = drawn(&[(0.0, 2.0), (100.0, 1.0), (200.0, 0.5)]);
        let texts: Vec<&str> = svg
            .split("</text>")
            .filter_map(|part| part.rsplit_once('>'))
            .map(|(_, text)| text)
            .filter(|text| !text.is_empty() && text.parse::<f64>().is_ok())
            .collect();
        // The coordinates alternate: up, then across.
        let expected = [
            "0.00", "0", "0.50", "50", "1.00", "100", "1.50", "150", "2.00", "200",
        ];
        assert_eq!(texts, expected);
        for at in ["64.0", "204.5", "345.0", "485.5", "626.0"] {
            assert!(
                svg.contains(&format!("<text x=\"{at}\" y=\"204.0\"")),
                "{at}: {svg}"
            );
        }
    }

    #[test]
    fn bars_are_as_long_as_their_shares() {
        let html = bars(&Bars {
            name: "right <answers>".to_owned(),
            series: vec!["before".to_owned(), "after".to_owned()],
            groups: vec![("short".to_owned(), vec![0.25, 1.0])],
        });
        assert!(
            html.contains("<figcaption>right &lt;answers&gt;</figcaption>"),
            "{html}"
        );
        assert!(html.contains("<p class=\"group\">short</p>"), "{html}");
        for (name, width) in [("before", "25.0"), ("after", "100.0")] {
            let bar = html.lines().find(|line| line.contains(name)).unwrap();
            assert!(bar.contains(&format!("--w:{width}%")), "{bar}");
            assert!(bar.contains(&format!("<b>{width} %</b>")), "{bar}");
        }
    }
}
