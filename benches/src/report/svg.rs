//! A frame with axes on plotters' SVG backend, and what makes its output fit a page: accessible, themed by the
//! page's style sheet, and scalable.
//!
//! plotters works in whole pixels, so everything is drawn [`SCALE`] times too large into a view box that scales it back: curves
//! stay smooth. Its colours are stand-ins ([`Ink::colour`]) that become variables of the style sheet, so that one SVG serves
//! the light and the dark scheme.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::element::{PathElement, Polygon, Text};
use plotters::prelude::{Cartesian2d, DrawingArea, IntoDrawingArea, IntoFont, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, RGBColor, ShapeStyle, TextStyle};

use super::palette;

/// Units of the view box in one CSS pixel.
const SCALE: f64 = 3.0;

/// plotters divides font sizes by this on their way into SVG.
const FONT: f64 = 1.24;

/// Drawing into a string fails only on a broken format, and there is none.
const DRAWN: &str = "a string takes everything";

/// Colours by what they are for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ink {
    /// Text and medians.
    Text,
    /// Ticks and names of axes.
    Muted,
    /// Grid lines and leaders.
    Grid,
    /// The noise band.
    Band,
    /// An engine's place in the palette.
    Engine(usize),
    /// A CPU mode's place in the palette.
    Mode(usize),
}

impl Ink {
    /// A stand-in that nothing else draws with.
    fn colour(self) -> RGBColor {
        let place = |place: usize| u8::try_from(place).expect("palettes have fewer than 256 places");
        match self {
            Self::Text => RGBColor(1, 0, 1),
            Self::Muted => RGBColor(1, 1, 1),
            Self::Grid => RGBColor(1, 2, 1),
            Self::Band => RGBColor(1, 3, 1),
            Self::Engine(slot) => RGBColor(2, place(slot), 1),
            Self::Mode(mode) => RGBColor(3, place(mode), 1),
        }
    }

    fn variable(self) -> String {
        match self {
            Self::Text => "var(--ink)".to_owned(),
            Self::Muted => "var(--muted)".to_owned(),
            Self::Grid => "var(--grid)".to_owned(),
            Self::Band => "var(--band)".to_owned(),
            Self::Engine(slot) => format!("var(--e{slot})"),
            Self::Mode(mode) => format!("var(--m{mode})"),
        }
    }
}

/// An axis in the plot's own coordinate.
#[derive(Clone, Debug, Default)]
pub(super) struct Axis {
    /// First and last coordinate.
    pub(super) range: (f64, f64),
    /// Coordinate and text of each tick.
    pub(super) ticks: Vec<(f64, String)>,
    /// What it shows, with the unit.
    pub(super) name: String,
}

/// Everything around the data. Lengths are CSS pixels.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// Unique on the page.
    pub(super) id: String,
    /// What a screen reader says first.
    pub(super) title: String,
    /// What the plot shows, in words and numbers.
    pub(super) description: String,
    /// Width and height.
    pub(super) size: (f64, f64),
    /// Left, right, top, bottom.
    pub(super) margins: [f64; 4],
    /// Along.
    pub(super) x: Axis,
    /// Up.
    pub(super) y: Axis,
}

/// Which side of its point a text stands on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    /// Text ends at the point.
    Left,
    /// Text is centred on it.
    Middle,
    /// Text starts at it.
    Right,
}

/// A frame being filled.
pub(super) struct Plot<'text, 'svg> {
    root: DrawingArea<SVGBackend<'svg>, Shift>,
    chart: ChartContext<'text, SVGBackend<'svg>, Cartesian2d<RangedCoordf64, RangedCoordf64>>,
}

/// Draws `frame` and what `content` adds to it; returns an `<svg>` element.
pub(super) fn draw(frame: &Frame, content: impl FnOnce(&Plot)) -> String {
    let mut svg = String::new();
    {
        let size = (units(frame.size.0).unsigned_abs(), units(frame.size.1).unsigned_abs());
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let [left, right, top, bottom] = frame.margins.map(units);
        let chart = ChartBuilder::on(&root)
            .margin_left(left)
            .margin_right(right)
            .margin_top(top)
            .margin_bottom(bottom)
            .build_cartesian_2d(frame.x.range.0..frame.x.range.1, frame.y.range.0..frame.y.range.1)
            .expect(DRAWN);
        let plot = Plot { root: root.clone(), chart };
        plot.axes(frame);
        content(&plot);
        root.present().expect(DRAWN);
    }
    finish(frame, &svg)
}

impl Plot<'_, '_> {
    /// View box units of a point.
    fn at(&self, (x, y): (f64, f64)) -> (i32, i32) {
        self.chart.backend_coord(&(x, y))
    }

    /// CSS pixels from the top to a coordinate.
    pub(super) fn top_of(&self, y: f64) -> f64 {
        f64::from(self.at((0.0, y)).1) / SCALE
    }

    fn axes(&self, frame: &Frame) {
        let (x, y) = (&frame.x, &frame.y);
        for (tick, text) in &y.ticks {
            self.line(&[(x.range.0, *tick), (x.range.1, *tick)], Ink::Grid, 1.0);
            self.text((x.range.0, *tick), (-6.0, 0.0), text, Ink::Muted, Side::Left);
        }
        for (tick, text) in &x.ticks {
            self.line(&[(*tick, y.range.0), (*tick, y.range.1)], Ink::Grid, 1.0);
            self.text((*tick, y.range.0), (0.0, 13.0), text, Ink::Muted, Side::Middle);
        }
        let middle = x.range.0.midpoint(x.range.1);
        self.text((middle, y.range.0), (0.0, 31.0), &x.name, Ink::Muted, Side::Middle);
        self.text((x.range.0, y.range.1), (-6.0, -11.0), &y.name, Ink::Muted, Side::Right);
    }

    /// A line through points, `width` CSS pixels wide.
    pub(super) fn line(&self, points: &[(f64, f64)], ink: Ink, width: f64) {
        let mut path: Vec<(i32, i32)> = points.iter().map(|point| self.at(*point)).collect();
        path.dedup();
        let style =
            ShapeStyle { color: ink.colour().to_rgba(), filled: false, stroke_width: units(width).unsigned_abs() };
        self.root.draw(&PathElement::new(path, style)).expect(DRAWN);
    }

    /// A filled shape through points.
    pub(super) fn area(&self, points: &[(f64, f64)], ink: Ink) {
        let mut outline: Vec<(i32, i32)> = points.iter().map(|point| self.at(*point)).collect();
        outline.dedup();
        self.root.draw(&Polygon::new(outline, ink.colour().filled())).expect(DRAWN);
    }

    /// An engine's marker, moved by CSS pixels from a point; hollow on demand and for second names.
    pub(super) fn marker(&self, point: (f64, f64), moved: (f64, f64), slot: usize, radius: f64, hollow: bool) {
        let (outline, filled) = palette::marker(slot);
        let (x, y) = self.at(point);
        let mut shape: Vec<(i32, i32)> = outline
            .iter()
            .map(|(dx, dy)| (x + units(moved.0 + dx * radius), y + units(moved.1 + dy * radius)))
            .collect();
        let colour = Ink::Engine(slot).colour();
        if filled && !hollow {
            self.root.draw(&Polygon::new(shape, colour.filled())).expect(DRAWN);
        } else {
            shape.extend_from_within(..2);
            self.root.draw(&PathElement::new(shape, colour.stroke_width(units(1.4).unsigned_abs()))).expect(DRAWN);
        }
    }

    /// Text beside a point, moved by CSS pixels.
    pub(super) fn text(&self, point: (f64, f64), moved: (f64, f64), text: &str, ink: Ink, side: Side) {
        let (x, y) = self.at(point);
        let horizontal = match side {
            Side::Left => HPos::Right,
            Side::Middle => HPos::Center,
            Side::Right => HPos::Left,
        };
        let colour = ink.colour();
        let style = TextStyle::from(("f", 12.0 * SCALE * FONT).into_font())
            .color(&colour)
            .pos(Pos::new(horizontal, VPos::Center));
        self.root.draw(&Text::new(text.to_owned(), (x + units(moved.0), y + units(moved.1)), style)).expect(DRAWN);
    }
}

/// Whole view box units of CSS pixels.
fn units(pixels: f64) -> i32 {
    (pixels * SCALE).round() as i32
}

/// Replaces the root element, the stand-in colours and what a reader's own fonts should decide.
fn finish(frame: &Frame, svg: &str) -> String {
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    let mut body = body
        .replace(" opacity=\"1\"", "")
        .replace(" font-family=\"f\"", "")
        .replace(">\n", ">")
        .replace("\n</text>", "</text>");
    let slots = (0..palette::SLOTS).map(Ink::Engine);
    let modes = (0..palette::MODES.len()).map(Ink::Mode);
    for ink in [Ink::Text, Ink::Muted, Ink::Grid, Ink::Band].into_iter().chain(slots).chain(modes) {
        let RGBColor(red, green, blue) = ink.colour();
        body = body.replace(&format!("\"#{red:02X}{green:02X}{blue:02X}\""), &format!("\"{}\"", ink.variable()));
    }
    let (width, height) = (units(frame.size.0), units(frame.size.1));
    let (id, title, description) = (&frame.id, escape(&frame.title), escape(&frame.description));
    format!(
        "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{description}</desc>{body}"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An engine's marker by itself, for legends and tables. Decoration: the name stands beside it.
pub(super) fn swatch(slot: usize) -> String {
    let (outline, filled) = palette::marker(slot);
    let points: Vec<String> =
        outline.iter().map(|(x, y)| format!("{:.1},{:.1}", 7.0 + x * 4.6, 7.0 + y * 4.6)).collect();
    let paint = if filled { "fill" } else { "fill=\"none\" stroke-width=\"1.5\" stroke" };
    format!(
        "<svg class=\"swatch\" viewBox=\"0 0 14 14\" aria-hidden=\"true\"><polygon points=\"{}\" {paint}=\"var(--e{slot})\"/></svg>",
        points.join(" ")
    )
}
