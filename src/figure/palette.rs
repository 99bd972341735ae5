//! Colours of series: apart for colour-blind readers too, on white and on the dark page.

use super::canvas::Color;

/// Colours that tell on white, also to colour-blind readers: the first three of Okabe and Ito (2008), the others found
/// by search for the largest least distance as seen with normal vision, deuteranopia and protanopia.
pub(super) const PALETTE: [Color; 12] = [
    Color(0, 114, 178, 1.0),
    Color(213, 94, 0, 1.0),
    Color(0, 158, 115, 1.0),
    Color(217, 165, 22, 1.0),
    Color(58, 47, 233, 1.0),
    Color(32, 162, 226, 1.0),
    Color(157, 29, 3, 1.0),
    Color(6, 109, 107, 1.0),
    Color(34, 192, 187, 1.0),
    Color(27, 0, 118, 1.0),
    Color(72, 10, 35, 1.0),
    Color(17, 67, 94, 1.0),
];
/// What is not highlighted.
pub(super) const OTHERS: Color = Color(165, 165, 165, 1.0);

/// Lightness of the dark page, and of what is black on white.
const DARK_PAGE: f64 = 0.21;
const DARK_INK: f64 = 0.95;
/// Lightest letters on white.
const TEXT: f64 = 0.56;
/// Less chroma than this is a grey.
const GREY: f64 = 0.02;

/// Lightness and two opponent colours (Ottosson, "A perceptual color space for image processing", 2020).
#[derive(Clone, Copy, Debug, PartialEq)]
struct Oklab([f64; 3]);

impl Oklab {
    fn of(color: Color) -> Self {
        Self::of_linear([color.0, color.1, color.2].map(linear))
    }

    fn of_linear([r, g, b]: [f64; 3]) -> Self {
        let l = (0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b).cbrt();
        let m = (0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b).cbrt();
        let s = (0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b).cbrt();
        Self([
            0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
            1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
            0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s,
        ])
    }

    /// The nearest colour of a screen, channel by channel.
    fn color(self) -> Color {
        let Self([lightness, a, b]) = self;
        let l = (lightness + 0.3963377774 * a + 0.2158037573 * b).powi(3);
        let m = (lightness - 0.1055613458 * a - 0.0638541728 * b).powi(3);
        let s = (lightness - 0.0894841775 * a - 1.2914855480 * b).powi(3);
        Color(
            channel(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
            channel(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
            channel(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s),
            1.0,
        )
    }
}

/// Intensity of a channel of sRGB.
fn linear(channel: u8) -> f64 {
    let value = f64::from(channel) / 255.0;
    if value <= 0.04045 {
        value / 12.92
    } else {
        ((value + 0.055) / 1.055).powf(2.4)
    }
}

fn channel(intensity: f64) -> u8 {
    let value = if intensity <= 0.0031308 {
        12.92 * intensity
    } else {
        1.055 * intensity.powf(1.0 / 2.4) - 0.055
    };
    (255.0 * value.clamp(0.0, 1.0)).round() as u8
}

impl Color {
    /// The colour that stands for this one on a dark page: greys change places, other colours become lighter.
    pub(super) fn dark(self) -> Self {
        let Oklab([lightness, a, b]) = Oklab::of(self);
        let lightness = if a.hypot(b) < GREY {
            DARK_PAGE + (DARK_INK - DARK_PAGE) * (1.0 - lightness).max(0.0).powf(0.65)
        } else {
            0.40 + 0.58 * lightness
        };
        Oklab([lightness, a, b]).color().at(self.3)
    }

    /// The colour of letters that name what has this one: dark enough to be read on white.
    pub(super) fn text(self) -> Self {
        let Oklab([lightness, a, b]) = Oklab::of(self);
        Oklab([lightness.min(TEXT), a, b]).color()
    }

    /// The colour as `#RRGGBB`.
    pub(super) fn hex(self) -> String {
        format!("#{:02X}{:02X}{:02X}", self.0, self.1, self.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linear RGB as seen without the cones for green, and for red (Machado, Oliveira and Fernandes, IEEE TVCG 15(6), 2009,
    /// severity 1).
    const DEUTERANOPIA: [[f64; 3]; 3] = [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ];
    const PROTANOPIA: [[f64; 3]; 3] = [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ];
    const NORMAL: [[f64; 3]; 3] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];

    fn seen(color: Color, by: [[f64; 3]; 3]) -> Oklab {
        let rgb = [color.0, color.1, color.2].map(linear);
        let row = |of: [f64; 3]| of.iter().zip(rgb).map(|(a, b)| a * b).sum::<f64>();
        Oklab::of_linear(by.map(|of| row(of).clamp(0.0, 1.0)))
    }

    fn least_distance(colors: &[Color], by: [[f64; 3]; 3]) -> f64 {
        let seen: Vec<[f64; 3]> = colors.iter().map(|color| seen(*color, by).0).collect();
        let mut least = f64::INFINITY;
        for (i, a) in seen.iter().enumerate() {
            for b in &seen[..i] {
                let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
                least = least.min(square.sqrt());
            }
        }
        least
    }

    #[test]
    fn twelve_colours_are_apart_for_normal_and_for_colour_blind_readers_on_both_pages() {
        for by in [NORMAL, DEUTERANOPIA, PROTANOPIA] {
            let light = least_distance(&PALETTE, by);
            let dark = least_distance(&PALETTE.map(Color::dark), by);
            assert!(light > 0.1 && dark > 0.07, "{by:?}: {light}, {dark}");
        }
        // three colours are what a static figure has
        for by in [DEUTERANOPIA, PROTANOPIA] {
            assert!(least_distance(&PALETTE[..3], by) > 0.1);
        }
    }

    #[test]
    fn okabe_and_ito_and_a_colour_taken_twice_would_fail() {
        let mut twice = PALETTE;
        twice[11] = twice[0];
        assert_eq!(least_distance(&twice, NORMAL), 0.0);
        // bluish green and reddish purple of equal lightness
        let pair = [Color(0, 158, 115, 1.0), Color(0, 160, 120, 1.0)];
        assert!(least_distance(&pair, DEUTERANOPIA) < 0.03);
    }

    #[test]
    fn colours_return_from_oklab_and_greys_change_places() {
        for color in PALETTE.into_iter().chain([Color::WHITE, Color::BLACK]) {
            assert_eq!(Oklab::of(color).color(), color);
        }
        let (paper, ink) = (Color::WHITE.dark(), Color::BLACK.dark());
        assert!(paper.0 < 30 && ink.0 > 220, "{paper:?} {ink:?}");
        assert!(Color::GRID.dark().0 > paper.0 + 20);
        assert_eq!(Color::BLACK.at(0.5).dark().3, 0.5);
    }
}
