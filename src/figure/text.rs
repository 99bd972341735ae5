//! Text of figures: widths in the embedded font, numbers as they are written on axes, XML escapes.

/// Advance widths of `DejaVu Sans`, U+0020 to U+007E, in thousandths of the font size (from its
/// `hmtx` table).
const ADVANCE: [u16; 95] = [
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636,
    636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632,
    575, 775, 752, 295, 295, 656, 557, 863, 748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685,
    611, 685, 390, 337, 390, 838, 500, 500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579,
    278, 974, 634, 612, 635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
];

/// Width of a text in pixels at a font size in pixels. Letters outside ASCII count as wide ones.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(advance).sum::<f64>() * size / 1000.0
}

fn advance(letter: char) -> f64 {
    match letter {
        '⁰' | '¹' | '²' | '³' | '⁴'..='⁹' => 401.0,
        '⁻' => 528.0,
        '–' => 500.0,
        _ => (letter as usize)
            .checked_sub(0x20)
            .and_then(|i| ADVANCE.get(i))
            .map_or(838.0, |w| f64::from(*w)),
    }
}

/// Shortens a text to a width in pixels, with an ellipsis where something is left out.
pub(super) fn shortened(text: &str, size: f64, limit: f64) -> String {
    if width(text, size) <= limit {
        return text.to_owned();
    }
    let mut kept = String::new();
    for letter in text.chars() {
        kept.push(letter);
        if width(&kept, size) + width("…", size) > limit {
            kept.pop();
            break;
        }
    }
    kept + "…"
}

/// Text as it stands in XML and HTML, in content and in attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Control characters are not allowed in XML, not even escaped.
            '\n' | '\r' | '\t' => out.push(letter),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

/// `10⁻³` for -3.
pub(super) fn power_of_ten(exponent: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let mut out = String::from("10");
    if exponent < 0 {
        out.push('⁻');
    }
    for digit in exponent.unsigned_abs().to_string().bytes() {
        out.push(DIGITS[usize::from(digit - b'0')]);
    }
    out
}

/// A rate as `0`, `0.21` or `1.3×10⁻³`: two significant digits.
pub fn rate(value: f64) -> String {
    if value <= 0.0 {
        return "0".into();
    }
    let text = format!("{value:.1e}");
    let Some((mantissa, exponent)) = text.split_once('e') else {
        return text;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    match exponent {
        -1 => format!("{value:.2}"),
        0.. => format!("{value:.1}"),
        _ if mantissa == "1.0" => power_of_ten(exponent),
        _ => format!("{mantissa}×{}", power_of_ten(exponent)),
    }
}

/// A fraction in per cent, without its sign: `96.3`.
pub fn percent(fraction: f64) -> String {
    let text = format!("{:.1}", 100.0 * fraction);
    if text == "-0.0" {
        return "0.0".into();
    }
    text.replace('-', "−")
}

/// A number with up to four decimals, without trailing zeros: `0.8333`, `1`.
pub fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        return "0".into();
    }
    text.replace('-', "−")
}

/// The text with a capital at its start.
pub fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_two_digits_and_a_power_where_small() {
        let written: Vec<_> = [0.0, 0.20559, 0.01115, 1e-3, 1.907e-6, 0.5]
            .into_iter()
            .map(rate)
            .collect();
        assert_eq!(
            written,
            ["0", "0.21", "1.1×10⁻²", "10⁻³", "1.9×10⁻⁶", "0.50"]
        );
    }

    #[test]
    fn a_shortened_text_fits_and_a_short_one_is_kept() {
        let long = "a-very-long-model-name-of-an-ambitious-user";
        assert!(width(&shortened(long, 16.0, 120.0), 16.0) <= 120.0);
        assert_eq!(shortened("wcat", 16.0, 120.0), "wcat");
    }

    #[test]
    fn every_letter_with_a_meaning_in_xml_is_escaped() {
        assert_eq!(
            escape("<a b='c'>&\"\u{1}"),
            "&lt;a b=&#39;c&#39;&gt;&amp;&quot;\u{fffd}"
        );
    }

    #[test]
    fn numbers_have_no_negative_zero() {
        assert_eq!(number(-0.00001), "0");
        assert_eq!(percent(-0.0001), "0.0");
        assert_eq!(number(-0.25), "−0.25");
    }
}
