//! SVG figures as PNG, with the fonts that the crate carries.

use super::dark::with_dark_mode;
use crate::error::{Error, Result};
use crate::store;
use resvg::{tiny_skia, usvg};
use std::path::Path;
use std::sync::Arc;

/// DejaVu Sans 2.37, cut down to the letters of figures; licence in `fonts/LICENSE`.
const REGULAR: &[u8] = include_bytes!("fonts/DejaVuSans-subset.ttf");
/// Its bold face.
const BOLD: &[u8] = include_bytes!("fonts/DejaVuSans-Bold-subset.ttf");
/// Pixels of the PNG per pixel of the SVG.
const SCALE: f32 = 2.0;
/// Widest and highest PNG in pixels; far above any figure of this crate.
const LIMIT: f32 = 16_384.0;

/// Renders an SVG file to a PNG file of twice its size in pixels. Fonts of the machine are not used.
///
/// # Errors
/// [`Error::Argument`] where the text is no well-formed SVG or would give more than 16384 pixels a side.
pub fn png(svg: &str) -> Result<Vec<u8>> {
    let wrong = |expected: &str, found: String| Error::argument("figure", expected, found);
    let tree = tree(svg)?;
    let (width, height) = (tree.size().width() * SCALE, tree.size().height() * SCALE);
    if !(1.0..=LIMIT).contains(&width) || !(1.0..=LIMIT).contains(&height) {
        return Err(wrong(
            "at most 16384 pixels a side",
            format!("{width} x {height}"),
        ));
    }
    let mut pixels = tiny_skia::Pixmap::new(width.round() as u32, height.round() as u32)
        .ok_or_else(|| wrong("a size above 0", format!("{width} x {height}")))?;
    resvg::render(
        &tree,
        tiny_skia::Transform::from_scale(SCALE, SCALE),
        &mut pixels.as_mut(),
    );
    pixels
        .encode_png()
        .map_err(|error| wrong("an image that can be encoded", error.to_string()))
}

/// Writes a figure as SVG, light and dark, at `path`, which ends in `.svg`, and as PNG beside it; nothing where there is no PNG of it.
///
/// # Errors
/// As [`png()`], or [`Error::Io`].
pub fn write(svg: &str, path: &Path) -> Result<()> {
    let png = png(svg)?;
    store::write_bytes(path, with_dark_mode(svg).as_bytes())?;
    store::write_bytes(&path.with_extension("png"), &png)
}

fn tree(svg: &str) -> Result<usvg::Tree> {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(REGULAR.to_vec());
    fonts.load_font_data(BOLD.to_vec());
    fonts.set_sans_serif_family("DejaVu Sans");
    let options = usvg::Options {
        font_family: "DejaVu Sans".into(),
        fontdb: Arc::new(fonts),
        ..usvg::Options::default()
    };
    usvg::Tree::from_str(svg, &options)
        .map_err(|error| Error::argument("figure", "a well-formed SVG", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_has_its_signature_and_twice_the_size() {
        let svg = r#"<svg width="30" height="20" xmlns="http://www.w3.org/2000/svg"><text y="10">aα⁻</text></svg>"#;
        let png = png(svg).unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        assert_eq!(png[16..24], [0, 0, 0, 60, 0, 0, 0, 40]);
    }

    #[test]
    fn text_is_drawn_with_the_embedded_font() {
        let svg = |t: &str| {
            format!(
                r#"<svg width="99" height="20" xmlns="http://www.w3.org/2000/svg"><text y="15">{t}</text></svg>"#
            )
        };
        assert_ne!(png(&svg("1.2×10⁻³ ≤ µ")).unwrap(), png(&svg("")).unwrap());
    }

    #[test]
    fn what_is_no_svg_or_too_large_is_refused() {
        assert!(png("<svg")
            .unwrap_err()
            .to_string()
            .contains("well-formed SVG"));
        let huge = r#"<svg width="90000" height="9" xmlns="http://www.w3.org/2000/svg"/>"#;
        assert!(png(huge)
            .unwrap_err()
            .to_string()
            .contains("at most 16384 pixels"));
    }
}
