//! The page's colours: every pair of text and background that its style sheet allows is legible, in
//! light and in dark mode. Ratios are WCAG 2's, <https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio>:
//! 4.5 for text, 3 for other things that must be visible (1.4.3 and 1.4.11).

#![allow(clippy::unwrap_used, reason = "a test may fail wherever it stands")]

use latimer_lessons::render;
use std::collections::{BTreeMap, BTreeSet};

const TEXT: f64 = 4.5;
const GRAPHICS: f64 = 3.0;

/// Red, green and blue from 0 to 1.
type Rgb = [f64; 3];
type Colours = BTreeMap<String, Rgb>;

/// The page's style sheet.
fn css() -> String {
    let page = render::page(&[]);
    let css = page.split("<style>").nth(1).unwrap();
    css.split("</style>").next().unwrap().to_owned()
}

/// Names and colours of one `:root` rule.
fn colours(rule: &str) -> Colours {
    let declared = rule.split(';').filter_map(|line| line.split_once(": #"));
    let byte = |hex: &str, at: usize| {
        let byte = u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        f64::from(byte) / 255.0
    };
    declared
        .map(|(name, hex)| {
            let name = name.trim().strip_prefix("--").unwrap().to_owned();
            (name, [byte(hex, 0), byte(hex, 2), byte(hex, 4)])
        })
        .collect()
}

/// The light and the dark colours.
fn schemes() -> [(&'static str, Colours); 2] {
    let css = css();
    let mut rules = css.split(":root {").skip(1);
    let mut rule = || colours(rules.next().unwrap().split('}').next().unwrap());
    let light = rule();
    let mut dark = light.clone();
    dark.extend(rule());
    [("light", light), ("dark", dark)]
}

fn luminance(colour: Rgb) -> f64 {
    let linear = colour.map(|x| match x <= 0.04045 {
        true => x / 12.92,
        false => ((x + 0.055) / 1.055).powf(2.4),
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

fn contrast(a: Rgb, b: Rgb) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// `share` of `colour` over `ground`, as in `color-mix(in srgb, colour share, transparent)`.
fn mixed(colour: Rgb, ground: Rgb, share: f64) -> Rgb {
    std::array::from_fn(|i| colour[i] * share + ground[i] * (1.0 - share))
}

#[test]
fn the_ratio_is_the_standards() {
    assert_eq!(contrast([0.0; 3], [1.0; 3]), 21.0);
    assert_eq!(contrast([0.5; 3], [0.5; 3]), 1.0);
    // #767676 is the lightest grey that may be text on white.
    let grey = |byte: u8| contrast([f64::from(byte) / 255.0; 3], [1.0; 3]);
    assert!(grey(0x76) >= TEXT && grey(0x77) < TEXT);
}

#[test]
fn text_can_be_read_on_every_ground() {
    for (scheme, colours) in schemes() {
        let check = |text: &str, ground: Rgb, what: &str| {
            let ratio = contrast(colours[text], ground);
            assert!(ratio >= TEXT, "{scheme}: {text} on {what}: {ratio:.2}");
        };
        for ground in ["paper", "box"] {
            for text in ["ink", "soft", "link", "best", "wrong"] {
                check(text, colours[ground], ground);
            }
            // The numbers in the cells of a heat-map, from the coolest to the hottest.
            for heat in ["heat", "cold"] {
                for percent in 0..=100 {
                    let cell = mixed(colours[heat], colours[ground], f64::from(percent) / 100.0);
                    check("ink", cell, &format!("{percent} % of {heat} over {ground}"));
                    let best = contrast(colours["best"], cell);
                    assert!(
                        best >= GRAPHICS,
                        "{scheme}: the frame of the best: {best:.2}"
                    );
                }
            }
        }
        for token in ["t0", "t1", "t2", "t3"] {
            check("ink", colours[token], token);
        }
    }
}

#[test]
fn lines_bars_and_frames_can_be_seen() {
    for (scheme, colours) in schemes() {
        for ground in ["paper", "box"] {
            for graphic in ["link", "bar", "best", "wrong", "soft"] {
                let ratio = contrast(colours[graphic], colours[ground]);
                assert!(
                    ratio >= GRAPHICS,
                    "{scheme}: {graphic} on {ground}: {ratio:.2}"
                );
            }
        }
    }
}

/// The pairs above are complete: colours are defined in `:root` only, text has one of five,
/// graphics with a meaning have one of theirs, and backgrounds are those that were checked.
#[test]
fn no_other_colour_is_used() {
    let css = css();
    let rules: String = css
        .split('}')
        .filter(|rule| !rule.contains(":root"))
        .collect();
    assert!(
        !rules.contains('#') && !rules.contains("rgb("),
        "a colour outside of :root"
    );
    let of = |property: &str| -> BTreeSet<&str> {
        let declared = rules.split(['{', ';']).map(str::trim);
        let values = declared.filter_map(|line| line.strip_prefix(property)?.strip_prefix(": "));
        let names = values.flat_map(|value| value.split("var(--").skip(1));
        names
            .map(|name| name.split([')', ',']).next().unwrap())
            .collect()
    };
    let set = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
    assert_eq!(of("color"), set(&["ink", "soft", "link", "best", "wrong"]));
    assert_eq!(of("fill"), set(&["ink", "soft", "best"]));
    // The shares `h` and `w` of a heat-map's cell and of a bar, whose background has the colour of
    // links.
    let grounds = [
        "paper", "box", "heat", "cold", "h", "link", "w", "t0", "t1", "t2", "t3",
    ];
    assert_eq!(of("background"), set(&grounds));
    assert_eq!(of("background-image"), set(&["bar", "best"]));
    assert_eq!(of("stroke"), set(&["link", "rule"]));
    assert_eq!(of("outline"), set(&["best", "link"]));
}
