//! Figures on a dark page: a rule of style for each colour of their SVG files.

use super::canvas::Color;
use std::collections::BTreeSet;
use std::fmt::Write;

/// Rules that give every colour of these figures the one that stands for it on a dark page, for elements under `scope`
/// (such as `figure `, or nothing); to be put into `@media (prefers-color-scheme: dark)`.
pub fn dark_rules<'a>(svgs: impl IntoIterator<Item = &'a str>, scope: &str) -> String {
    let mut colors: BTreeSet<(&str, u8, u8, u8)> = BTreeSet::new();
    for svg in svgs {
        for attribute in ["fill", "stroke"] {
            for part in svg.split(&format!(" {attribute}=\"#")).skip(1) {
                let channel = |i: usize| u8::from_str_radix(part.get(i..i + 2)?, 16).ok();
                if let (Some(r), Some(g), Some(b)) = (channel(0), channel(2), channel(4)) {
                    colors.insert((attribute, r, g, b));
                }
            }
        }
    }
    let mut rules = String::new();
    for (attribute, r, g, b) in colors {
        let color = Color(r, g, b, 1.0);
        let (light, dark) = (color.hex(), color.dark().hex());
        // writing to a string cannot fail
        let _ = write!(
            rules,
            "{scope}[{attribute}=\"{light}\"]{{{attribute}:{dark}}}"
        );
    }
    rules
}

/// The SVG file with these rules in it: dark where its reader prefers that, on screens.
pub(super) fn with_dark_mode(svg: &str) -> String {
    let Some(end) = svg.find('>') else {
        return svg.to_owned();
    };
    let rules = dark_rules([svg], "");
    let (head, rest) = svg.split_at(end + 1);
    format!("{head}\n<style>@media screen and (prefers-color-scheme:dark){{{rules}}}</style>{rest}")
}

#[cfg(test)]
mod tests {
    use super::super::canvas::{drawn, Stroke};
    use super::super::png;
    use super::*;

    #[test]
    fn every_colour_of_a_file_has_its_rule_and_the_light_picture_stays_as_it_is() {
        let blue = Color(0, 114, 178, 1.0);
        let svg = drawn(40.0, "t", |canvas| {
            canvas.line((0.0, 30.0), (50.0, 30.0), Stroke::solid(blue, 3.0));
        });
        let dark = with_dark_mode(&svg);
        for color in [Color::WHITE, blue] {
            let (light, dark_color) = (color.hex(), color.dark().hex());
            assert!(
                svg.contains(&light) && dark.contains(&format!(":{dark_color}}}")),
                "{dark}"
            );
        }
        assert!(dark.contains("[fill=\"#FFFFFF\"]{fill:") && dark.contains("[stroke=\"#0072B2\"]"));
        assert!(png(&dark).unwrap() == png(&svg).unwrap());
        assert!(dark_rules([svg.as_str()], "figure ").starts_with("figure [fill="));
    }
}
