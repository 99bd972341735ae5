//! Which series stand together in a panel, and which of them stand out: by the question of the run, the least energy at
//! the smallest accuracy loss.

use super::marker::Shape;
use super::palette::OTHERS;
use super::series::{Series, DASHES};
use super::text;
use crate::analysis::{Pareto, Summary};
use std::collections::BTreeMap;

/// Most series that stand out.
const MOST: usize = 3;

/// The groups of series that stand out: a group is what has the same name in every panel.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Focus {
    groups: Vec<String>,
    /// Accuracy that may be lost, as a fraction, where groups were chosen by energy.
    loss: Option<f64>,
    /// Whether there are others.
    is_part: bool,
}

/// What a group comes to: the least energy at the loss, and its mean accuracy.
struct Merit<'a> {
    name: &'a str,
    energy: Option<f64>,
    mean: f64,
}

impl Focus {
    /// The groups that need the least energy at the smallest loss that any of them keeps, else those of the highest mean
    /// accuracy.
    pub(super) fn of(series: &[Series<'_>], pareto: &Pareto) -> Self {
        let mut groups: BTreeMap<&str, Vec<&Summary>> = BTreeMap::new();
        for one in series {
            let points = groups.entry(&one.name).or_default();
            points.extend(one.points.iter().copied());
        }
        let mut targets: Vec<(f64, f64)> =
            pareto.savings.iter().map(|s| (s.loss, s.target)).collect();
        targets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all = || groups.values().flatten();
        let reached = targets
            .into_iter()
            .find(|(_, target)| all().any(|point| reaches(point, *target)));
        let merits = groups.iter().map(|(name, points)| {
            let at = points
                .iter()
                .filter(|point| reached.is_some_and(|(_, target)| reaches(point, target)));
            Merit {
                name,
                energy: at
                    .map(|point| point.design.energy_relative)
                    .min_by(f64::total_cmp),
                mean: points.iter().map(|point| point.mean).sum::<f64>() / points.len() as f64,
            }
        });
        let mut merits: Vec<Merit<'_>> = merits.collect();
        merits.sort_by(|a, b| {
            let infinite = |merit: &Merit<'_>| merit.energy.unwrap_or(f64::INFINITY);
            infinite(a)
                .total_cmp(&infinite(b))
                .then(b.mean.total_cmp(&a.mean))
        });
        Self {
            groups: merits
                .iter()
                .take(MOST)
                .map(|merit| merit.name.to_owned())
                .collect(),
            loss: reached.map(|(loss, _)| loss),
            is_part: merits.len() > MOST,
        }
    }

    /// What is in colour, for a caption; `None` where everything is.
    pub(super) fn words(&self) -> Option<String> {
        let by = match self.loss {
            Some(loss) => format!(
                "need the least energy at a loss of {} points",
                text::number(100.0 * loss)
            ),
            None => "have the highest mean accuracy".into(),
        };
        self.is_part
            .then(|| format!("In colour: the {MOST} that {by}; grey: the others."))
    }
}

fn reaches(point: &Summary, target: f64) -> bool {
    point.mean >= target && !point.is_extrapolated()
}

/// The series of a panel.
#[derive(Clone, Debug)]
pub(super) struct Facet<'a> {
    /// The width or protection that they share; empty where there is one panel.
    pub(super) name: String,
    /// Those that stand out are last, so that they are drawn over the others.
    pub(super) series: Vec<Series<'a>>,
}

/// The series by panel, styled: those that stand out keep their colours, the others are grey.
pub(super) fn facets<'a>(series: Vec<Series<'a>>, focus: &Focus) -> Vec<Facet<'a>> {
    let mut all: Vec<Facet<'a>> = Vec::new();
    for mut one in series {
        let place = focus.groups.iter().position(|name| *name == one.name);
        one.strong = place.is_some();
        if let Some(place) = place.filter(|_| !one.facet.is_empty()) {
            // alike in every panel
            one.style.shape = Shape::ALL[place % Shape::ALL.len()];
        }
        if !one.strong {
            one.style.color = OTHERS;
            one.style.shape = Shape::Circle;
            one.style.dash = &[];
        }
        match all.iter_mut().find(|facet| facet.name == one.facet) {
            Some(facet) => facet.series.push(one),
            None => all.push(Facet {
                name: one.facet.clone(),
                series: vec![one],
            }),
        }
    }
    for facet in &mut all {
        facet.series.sort_by_key(|one| one.strong);
        redash(&mut facet.series);
    }
    all
}

/// Solid lines, but for those that share the colour of another one of the panel.
fn redash(series: &mut [Series<'_>]) {
    for i in 0..series.len() {
        if series[i].strong {
            let color = series[i].style.color;
            let before = series[..i]
                .iter()
                .filter(|other| other.strong && other.style.color == color)
                .count();
            series[i].style.dash = DASHES[before % DASHES.len()];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::series::series;
    use super::super::tests::{frontiers, sweep, two_methods};
    use super::*;

    #[test]
    fn the_three_of_least_energy_stand_out_in_a_panel_for_each_width() {
        let mut models = Vec::new();
        for bits in [4, 2] {
            for (i, method) in ["lsq", "normal", "plclip", "randbet", "wcat", "wclip"]
                .into_iter()
                .enumerate()
            {
                models.push((method, bits, 0.971, 0.03 * 2f64.powi(i as i32)));
            }
        }
        let summaries = sweep(&models, 0.75);
        let all = series(&summaries);
        let focus = Focus::of(&all, &frontiers(&summaries));
        let words = focus.words().unwrap();
        assert!(words.contains("loss of 0.5 points"), "{words}");
        let facets = facets(all, &focus);
        let names: Vec<&str> = facets.iter().map(|facet| facet.name.as_str()).collect();
        assert_eq!(names, ["4 bit", "2 bit"]);
        for facet in &facets {
            let of = |strong| {
                let own = facet.series.iter().filter(move |s| s.strong == strong);
                own.map(|s| s.name.as_str()).collect::<Vec<_>>()
            };
            assert_eq!(of(true), ["randbet", "wcat", "wclip"]);
            assert_eq!(of(false), ["normal", "lsq", "plclip"]);
            let grey = facet.series.iter().filter(|s| s.style.color == OTHERS);
            assert_eq!(grey.count(), 3);
        }
    }

    #[test]
    fn without_targets_the_mean_accuracy_decides_and_few_all_stand_out() {
        let summaries = two_methods();
        let all = series(&summaries);
        let nothing = Pareto {
            savings: Vec::new(),
            ..frontiers(&summaries)
        };
        let focus = Focus::of(&all, &nothing);
        assert!(focus.words().is_none() && all.iter().all(|one| focus.groups.contains(&one.name)));
        let facets = facets(all, &focus);
        assert_eq!((facets.len(), facets[0].name.as_str()), (1, ""));
    }
}
