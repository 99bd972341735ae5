//! Protections side by side in words: for each model what each protection needs at equal accuracy. Nothing here rests on
//! an extrapolated bit error rate.

use super::words::energy_number;
use crate::analysis::ProtectedLoss;
use crate::fault::Protection;
use crate::figure::capital;

/// The loss that the sentences are about.
const SAID: f64 = 0.01;
/// Energies closer than this are written as equal.
const SAME: f64 = 5e-5;

/// What is said of a model.
pub(super) struct Protected<'a> {
    pub(super) name: &'a str,
    pub(super) sentences: Vec<Sentence>,
}

/// A protection against none.
pub(super) struct Sentence {
    pub(super) name: String,
    /// The least energy with it; `None` where the accuracy is not reached.
    pub(super) own: Option<String>,
    /// The least energy without; `None` where that was not swept.
    pub(super) plain: Option<Option<String>>,
    pub(super) verdict: &'static str,
    /// Whether cheaper points would reach the accuracy at extrapolated rates.
    pub(super) open: bool,
}

/// Each model of which several protections were swept.
pub(super) fn protected<'a>(rows: &'a [ProtectedLoss<'_>]) -> Vec<Protected<'a>> {
    let said: Vec<_> = rows.iter().filter(|row| row.loss == SAID).collect();
    said.chunk_by(|a, b| a.name == b.name)
        .map(|of_model| {
            let (plain, protected): (Vec<_>, Vec<_>) = of_model
                .iter()
                .partition(|row| row.protection == Protection::None);
            Protected {
                name: &of_model[0].name,
                sentences: protected
                    .into_iter()
                    .map(|own| sentence(own, plain.first().copied()))
                    .collect(),
            }
        })
        .collect()
}

fn sentence(own: &ProtectedLoss<'_>, plain: Option<&ProtectedLoss<'_>>) -> Sentence {
    let energy = |row: &ProtectedLoss<'_>| row.cheapest.map(|s| s.design.energy_relative);
    let dearer = plain.and_then(|plain| Some(energy(own)? - energy(plain)?));
    Sentence {
        name: capital(&words(own.protection)),
        own: own.cheapest.map(energy_number),
        plain: plain.map(|plain| plain.cheapest.map(energy_number)),
        verdict: match dearer {
            Some(difference) if difference.abs() < SAME => "costs as much energy as",
            Some(difference) if difference > 0.0 => "costs more energy than",
            _ => "costs less energy than",
        },
        open: plain.is_some_and(|plain| own.beyond.or(plain.beyond).is_some()),
    }
}

/// A protection in words.
fn words(protection: Protection) -> String {
    match protection {
        Protection::None => "no protection".into(),
        Protection::Secded => "SECDED".into(),
        Protection::ParityZero => "parity with zeroing".into(),
        Protection::Msb(1) => "protection of the most significant bit".into(),
        Protection::Msb(bits) => format!("protection of the {bits} most significant bits"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::html;
    use super::super::tests::report;
    use crate::analysis::Summary;
    use crate::fault::Protection;
    use crate::figure::number;
    use crate::figure::tests::{sweep, two_methods};

    /// The section of the page; empty where it has none.
    fn protections(summaries: &[Summary]) -> String {
        let page = html(&report(summaries.to_vec()));
        let section = page.split("<section id=\"protection\">").nth(1);
        let section = section.and_then(|rest| rest.split("</section>").next());
        section.unwrap_or_default().to_owned()
    }

    /// Two methods, unprotected, and the same points with a protection: energy times `factor`, mean raised.
    fn with(protection: Protection, factor: f64, gain: f64) -> Vec<Summary> {
        let mut all = two_methods();
        let more: Vec<Summary> = all.clone();
        all.extend(more.into_iter().map(|mut s| {
            s.design.protection = protection;
            s.design.design_id += protection.name();
            s.design.energy_relative *= factor;
            s.design.area_relative *= factor;
            s.mean = (s.mean + gain).min(s.design.clean_accuracy.get());
            s
        }));
        all
    }

    /// The least energy of a model's points under a protection at a loss, found by trying all.
    fn least(summaries: &[Summary], model: &str, protection: Protection, loss: f64) -> f64 {
        let own = summaries
            .iter()
            .filter(|s| s.design.model == model && s.design.protection == protection);
        own.filter(|s| s.mean + loss >= s.design.clean_accuracy.get() && !s.is_extrapolated())
            .map(|s| s.design.energy_relative)
            .fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn a_protection_that_does_not_help_costs_more_and_the_page_says_so() {
        let summaries = with(Protection::Secded, 1.125, 0.0);
        let html = protections(&summaries);
        let (own, plain) = (
            least(&summaries, "wcat4", Protection::Secded, 0.01),
            least(&summaries, "wcat4", Protection::None, 0.01),
        );
        assert!(own > plain && own.is_finite());
        let said = format!(
            "SECDED costs more energy than no protection at equal accuracy: {} against {} at a loss of at most 1 point.",
            number(own),
            number(plain)
        );
        assert!(html.contains(&format!("<b>wcat4</b>: {said}")), "{html}");
        assert_eq!(html.matches("<td class=\"text\">secded</td>").count(), 6);
        let cheapest = format!(
            "<td>{:.4}</td>",
            least(&summaries, "normal4", Protection::Secded, 0.02)
        );
        assert!(html.contains(&cheapest), "{cheapest}");
    }

    #[test]
    fn a_protection_that_helps_costs_less() {
        let html = protections(&with(Protection::Msb(1), 1.02, 0.05));
        assert!(
            html.contains("Protection of the most significant bit costs less energy"),
            "{html}"
        );
    }

    #[test]
    fn extrapolated_points_are_no_ground_and_are_marked() {
        let mut summaries = sweep(&[("wcat", 4, 0.968, 0.75)], 0.9);
        let mut protected = summaries.clone();
        for s in &mut protected {
            s.design.protection = Protection::ParityZero;
            s.design.design_id += "parity_zero";
            s.mean = 0.5;
        }
        summaries.extend(protected);
        let html = protections(&summaries);
        assert!(
            html.contains("Parity with zeroing reaches no equal accuracy at a measured"),
            "{html}"
        );
        assert!(html.contains("†") && html.contains("cheaper points would reach it"));
        let least = least(&summaries, "wcat4", Protection::None, 0.01);
        assert!(html.contains(&format!("{least:.4} †")), "{html}");
    }

    #[test]
    fn one_protection_is_no_comparison() {
        assert_eq!(protections(&two_methods()), "");
    }
}
