//! One colour, marker and dash for each engine, the same in every plot and every report.
//!
//! Hues are those of Okabe and Ito ("Color Universal Design", 2008), told apart with every kind of colour
//! blindness. Their orange, yellow, sky blue and purple are too pale for white paper, so each scheme has its own
//! lightness of a hue, at least 3 : 1 against its background (WCAG 2.2, 1.4.11; a test computes it). Colour never stands alone:
//! markers, dashes and labels repeat it.

use std::fmt::Write as _;

/// A marker's outline, in units of its radius.
pub(super) type Outline = &'static [(f64, f64)];

/// How one engine looks.
struct Look {
    light: &'static str,
    dark: &'static str,
    dash: &'static str,
    outline: Outline,
}

/// Background of each scheme, which the page's style sheet takes from here.
pub(super) const PAPER: [&str; 2] = ["#ffffff", "#14181f"];

const DISC: Outline = &[
    (1.0, 0.0),
    (0.87, 0.5),
    (0.5, 0.87),
    (0.0, 1.0),
    (-0.5, 0.87),
    (-0.87, 0.5),
    (-1.0, 0.0),
    (-0.87, -0.5),
    (-0.5, -0.87),
    (0.0, -1.0),
    (0.5, -0.87),
    (0.87, -0.5),
];
const SQUARE: Outline = &[(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)];
const UP: Outline = &[(0.0, -1.1), (1.05, 0.8), (-1.05, 0.8)];
const DOWN: Outline = &[(0.0, 1.1), (1.05, -0.8), (-1.05, -0.8)];
const DIAMOND: Outline = &[(0.0, -1.2), (1.2, 0.0), (0.0, 1.2), (-1.2, 0.0)];
const LEFT: Outline = &[(-1.1, 0.0), (0.8, 1.05), (0.8, -1.05)];
const RIGHT: Outline = &[(1.1, 0.0), (-0.8, 1.05), (-0.8, -1.05)];
const PLUS: Outline = &[
    (-0.35, -1.1),
    (0.35, -1.1),
    (0.35, -0.35),
    (1.1, -0.35),
    (1.1, 0.35),
    (0.35, 0.35),
    (0.35, 1.1),
    (-0.35, 1.1),
    (-0.35, 0.35),
    (-1.1, 0.35),
    (-1.1, -0.35),
    (-0.35, -0.35),
];

/// Engines by name. Names that are not here take a place by their letters.
const NAMES: [&str; 8] =
    ["mio", "monoio-uring", "monoio-epoll", "tokio-uring", "tokio", "compio-uring", "compio-poll", "ring"];

const LOOKS: [Look; 8] = [
    Look { light: "#0072b2", dark: "#4ba3dd", dash: "none", outline: SQUARE },
    Look { light: "#d55e00", dark: "#ee7a26", dash: "none", outline: DISC },
    Look { light: "#b87d00", dark: "#e6b84d", dash: "15 6", outline: UP },
    Look { light: "#009e73", dark: "#1fbf92", dash: "24 6 6 6", outline: DIAMOND },
    Look { light: "#b8578c", dark: "#dc93bb", dash: "6 6", outline: DOWN },
    Look { light: "#3a92c8", dark: "#7cc8f2", dash: "18 6 6 6 6 6", outline: LEFT },
    Look { light: "#857d00", dark: "#f0e442", dash: "9 9", outline: RIGHT },
    Look { light: "#1a1a1a", dark: "#f2f2f2", dash: "none", outline: PLUS },
];

/// Modes of CPU time in the order in which they are stacked, with their colours by scheme.
pub(super) const MODES: [(&str, [&str; 2]); 7] = [
    ("user", ["#0072b2", "#4ba3dd"]),
    ("nice", ["#857d00", "#f0e442"]),
    ("system", ["#d55e00", "#ee7a26"]),
    ("softirq", ["#b87d00", "#e6b84d"]),
    ("irq", ["#1a1a1a", "#f2f2f2"]),
    ("iowait", ["#b8578c", "#dc93bb"]),
    ("steal", ["#009e73", "#1fbf92"]),
];

/// Places of engines, second names and variants (`mio-again`, `ring+direct`) included: their hue, another dash, hollow marker.
pub(super) const SLOTS: usize = 2 * LOOKS.len();

/// The place of an engine.
pub(super) fn slot(engine: &str, twin_of: Option<&str>) -> usize {
    let family = twin_of.unwrap_or_else(|| engine.split('+').next().unwrap_or(engine));
    let known = NAMES.iter().position(|name| *name == family);
    // FNV-1a: the same place in every version of the lab.
    let hash = family.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let place = known.unwrap_or(hash as usize % LOOKS.len());
    if family == engine { place } else { place + LOOKS.len() }
}

/// The marker's outline and whether it is filled.
pub(super) fn marker(slot: usize) -> (Outline, bool) {
    (LOOKS[slot % LOOKS.len()].outline, slot < LOOKS.len())
}

/// The style sheet's part: variables `--e0`… and `--m0`… for both schemes, and the dashes.
pub(super) fn css() -> String {
    let scheme = |scheme: usize| {
        let mut text = format!("--paper:{};", PAPER[scheme]);
        for slot in 0..SLOTS {
            let look = &LOOKS[slot % LOOKS.len()];
            let _ = write!(text, "--e{slot}:{};", [look.light, look.dark][scheme]);
        }
        for (place, (_, colours)) in MODES.iter().enumerate() {
            let _ = write!(text, "--m{place}:{};", colours[scheme]);
        }
        text
    };
    let mut text = format!(
        ":root{{{}}}@media(prefers-color-scheme:dark){{:root{{{}}}}}@media print{{:root{{{}}}}}",
        scheme(0),
        scheme(1),
        scheme(0)
    );
    for slot in 0..SLOTS {
        let dash = LOOKS.get(slot).map_or("4 8", |look| look.dash);
        // Curves alone are this wide: markers of the same colour stay whole.
        let _ =
            write!(text, ".curves polyline[stroke=\"var(--e{slot})\"][stroke-width=\"6\"]{{stroke-dasharray:{dash}}}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relative luminance, WCAG 2.2.
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn colours_stand_out_from_their_paper() {
        for look in &LOOKS {
            assert!(
                contrast(look.light, PAPER[0]) >= 3.0,
                "{} on white: {}",
                look.light,
                contrast(look.light, PAPER[0])
            );
            assert!(contrast(look.dark, PAPER[1]) >= 3.0, "{} on dark", look.dark);
        }
        for (mode, colours) in MODES {
            assert!(contrast(colours[0], PAPER[0]) >= 3.0 && contrast(colours[1], PAPER[1]) >= 3.0, "{mode}");
        }
    }

    #[test]
    fn names_keep_their_places() {
        assert_eq!(slot("mio", None), 0);
        assert_eq!(slot("mio-again", Some("mio")), 8);
        assert_eq!(slot("ring+direct", None), 15);
        assert_eq!(slot("mio-again", Some("mio")) % 8, slot("mio", None));
        assert!(slot("nobody-knows-me", None) < 8);
        assert_eq!(slot("nobody-knows-me", None), slot("nobody-knows-me", None));
    }

    /// No two engines of the project share an outline or, within the first eight, a colour.
    #[test]
    fn looks_differ() {
        for (a, first) in LOOKS.iter().enumerate() {
            for second in &LOOKS[a + 1..] {
                assert!(first.outline != second.outline && first.light != second.light && first.dark != second.dark);
            }
        }
    }
}
