//! Explorations on memories whose losses are formulas: the optimum is known, chips are noise.

use super::*;
use crate::error::{Error, Result};
use crate::explore::greedy::Losses;
use crate::seed::{Purpose, Seed};

/// Domains with losses of their own and a part that comes from faults in two domains at once.
pub(super) struct Additive {
    losses: Vec<Vec<f64>>,
    cells: Vec<f64>,
}

impl Additive {
    /// `domains` domains at `levels` voltages.
    pub(super) fn new(seed: u64, domains: usize, levels: usize) -> Self {
        let mut stream = Seed(seed).stream(Purpose::Test, &[]);
        let mut of_domain = || {
            let (scale, steep) = (stream.between(0.0005, 0.01), stream.between(2.0, 6.0));
            (0..levels)
                .map(|level| scale * (steep.powi((levels - 1 - level) as i32) - 1.0))
                .collect()
        };
        let losses = (0..domains).map(|_| of_domain()).collect();
        Self {
            losses,
            cells: (0..domains).map(|_| stream.between(0.05, 0.5)).collect(),
        }
    }

    pub(super) fn losses(&self) -> Losses {
        let measured = |losses: &Vec<f64>| losses.iter().copied().map(Some).collect();
        Losses::of_measured(&self.losses.iter().map(measured).collect::<Vec<_>>())
    }

    fn of(&self, supplied: &[Option<usize>]) -> f64 {
        let own: Vec<f64> = self
            .losses
            .iter()
            .zip(supplied)
            .filter_map(|(losses, level)| Some(losses[(*level)?]))
            .collect();
        let both: f64 = own
            .iter()
            .enumerate()
            .flat_map(|(i, a)| own[..i].iter().map(move |b| (a * b).sqrt()))
            .sum();
        (own.iter().sum::<f64>() + 0.2 * both).min(0.9)
    }

    pub(super) fn joint(&self, levels: &Levels) -> f64 {
        self.of(&levels.iter().copied().map(Some).collect::<Vec<_>>())
    }
}

/// The space of such domains: energies go with the square of the voltage.
pub(super) fn space(world: &Additive, rail_energy: f64, most_rails: usize) -> Space {
    let levels = world.losses[0].len();
    let voltages: Vec<f64> = (0..levels)
        .map(|level| 0.7 + 0.3 * level as f64 / (levels - 1) as f64)
        .collect();
    Space {
        domains: (0..world.losses.len())
            .map(|domain| format!("d{domain}"))
            .collect(),
        energy: world
            .cells
            .iter()
            .map(|cells| voltages.iter().map(|v| cells * v * v).collect())
            .collect(),
        error_free: voltages.len(),
        voltages,
        fixed: 0.01,
        rail_energy,
        most_rails,
    }
}

/// Every assignment of `levels` voltages to `domains` domains.
pub(super) fn every_assignment(domains: usize, levels: usize) -> Vec<Levels> {
    let mut all = vec![Vec::new()];
    for _ in 0..domains {
        all = all
            .into_iter()
            .flat_map(|start: Levels| (0..levels).map(move |level| [&start[..], &[level]].concat()))
            .collect();
    }
    all
}

/// Chips of a formula: the search chips lose `search_share` of it, the verification chips all, each with its own noise.
struct Formula {
    world: Additive,
    search_share: f64,
    asked: usize,
    verified: Vec<Levels>,
}

const IMAGES: u64 = 10_000;
const CLEAN: u64 = 9_500;

impl Formula {
    fn new(seed: u64, search_share: f64) -> Self {
        Self {
            world: Additive::new(seed, 4, 5),
            search_share,
            asked: 0,
            verified: Vec::new(),
        }
    }

    fn chips(loss: f64, chips: u64, noise: f64) -> Vec<u64> {
        let of_chip = |chip: u64| {
            // ±noise, the same for a chip whatever the voltages: mean exactly 0
            let own = loss * (1.0 + noise * if chip.is_multiple_of(2) { 1.0 } else { -1.0 });
            CLEAN - (own * IMAGES as f64).round() as u64
        };
        (0..chips).map(of_chip).collect()
    }
}

impl Oracle for Formula {
    fn search_images(&self) -> Reference {
        Reference {
            images: IMAGES,
            correct: CLEAN,
            all: IMAGES,
        }
    }

    fn verification_images(&self) -> Reference {
        Reference {
            images: IMAGES,
            correct: CLEAN,
            all: IMAGES,
        }
    }

    fn search(&mut self, supplied: &[Supplied]) -> Result<Vec<Vec<u64>>> {
        self.asked += supplied.len();
        let of =
            |supplied: &Supplied| Self::chips(self.world.of(supplied) * self.search_share, 8, 0.3);
        Ok(supplied.iter().map(of).collect())
    }

    fn verify(&mut self, levels: &Levels) -> Result<Vec<u64>> {
        self.verified.push(levels.clone());
        Ok(Self::chips(self.world.joint(levels), 20, 0.2))
    }
}

fn run(
    oracle: &mut Formula,
    rail_energy: f64,
    spec: &ExploreSpec,
    done: &[Evaluation],
) -> (Outcome, Vec<Evaluation>) {
    let space = space(
        &oracle.world,
        rail_energy,
        spec.max_rails.unwrap_or(4) as usize,
    );
    let mut rows = Vec::new();
    let mut sink = |row: &Evaluation| {
        rows.push(row.clone());
        Ok(())
    };
    let outcome = explore(&space, spec, oracle, done, &mut sink).unwrap();
    (outcome, rows)
}

fn cheapest_of(world: &Additive, space: &Space, limit: f64, rails: usize) -> f64 {
    let all = every_assignment(4, 5).into_iter();
    all.filter(|levels| space.rails(levels) <= rails && world.joint(levels) <= limit)
        .map(|levels| space.cost(&levels))
        .fold(f64::INFINITY, f64::min)
}

#[test]
fn a_loss_of_just_what_is_allowed_passes() {
    let of = |low, high| {
        let loss = Estimate {
            mean: 0.01,
            low,
            high,
            chips: 10,
        };
        PointStatus::of(&loss, 0.01)
    };
    // the mean of ten losses in images of 300 that add up to 30
    let just = Some(0.010000000000000031);
    assert_eq!(of(just, just), PointStatus::Verified);
    assert_eq!(of(Some(0.0101), Some(0.02)), PointStatus::Failed);
    assert_eq!(of(Some(0.009), Some(0.0101)), PointStatus::NotEstablished);
    assert_eq!(of(None, None), PointStatus::NotEstablished);
}

#[test]
fn verified_points_are_near_the_optimum_and_the_single_voltage_is_the_best_one() {
    let mut saved = 0;
    for seed in 0..8 {
        let mut oracle = Formula::new(seed, 1.0);
        let (outcome, _) = run(&mut oracle, 0.002, &ExploreSpec::default(), &[]);
        let space = space(&oracle.world, 0.002, 4);
        // rounding to whole images moves losses by half an image
        let (best, single) = (
            cheapest_of(&oracle.world, &space, 0.01, 4),
            cheapest_of(&oracle.world, &space, 0.01, 1),
        );
        let answer = &outcome.answer;
        let found = answer.single.as_ref().unwrap();
        // what loses just what is allowed is not shown to
        assert!(found.cost_relative > single - 1e-9, "{seed}");
        assert!(found.verified_loss.high.unwrap() <= 0.01, "{seed}");
        let single = found.cost_relative;
        if answer.saves {
            let own = answer.proposal.as_ref().unwrap();
            assert!(own.verified_loss.high.unwrap() <= 0.01 && own.rails > 1);
            assert!(
                own.cost_relative < single && own.cost_relative <= 1.1 * best,
                "{seed}: {} {best}",
                own.cost_relative
            );
            assert!((answer.saving.unwrap() - (1.0 - own.cost_relative / single)).abs() < 1e-12);
            let text = answer.text();
            assert!(
                text.contains("save ") && text.contains("rails included (0.002 each"),
                "{text}"
            );
            saved += 1;
        } else {
            assert!(
                best >= 0.99 * single,
                "{seed}: a saving was missed: {best} {single}"
            );
        }
    }
    assert!(saved >= 4, "{saved}");
}

#[test]
fn a_dear_rail_leaves_the_single_voltage_and_the_answer_says_so() {
    let mut oracle = Formula::new(1, 1.0);
    let (outcome, _) = run(&mut oracle, 5.0, &ExploreSpec::default(), &[]);
    assert!(!outcome.answer.saves && outcome.answer.proposal.is_none());
    let text = outcome.answer.text();
    assert!(
        text.starts_with("No assignment of voltages to 4 domains beats the best single voltage"),
        "{text}"
    );
    assert!(
        text.contains("on 20 chips") && text.contains(" to "),
        "no interval: {text}"
    );
    assert!(outcome
        .points
        .iter()
        .all(|point| point.kind == PointKind::Single));
}

#[test]
fn a_point_that_fails_on_fresh_chips_is_reported_and_the_search_tightened() {
    let spec = ExploreSpec {
        attempts: 4,
        ..ExploreSpec::default()
    };
    let (mut failed_first, mut passed) = (0, 0);
    for seed in 0..8 {
        // search chips lose less than fresh ones
        let mut oracle = Formula::new(seed, 0.7);
        let (outcome, _) = run(&mut oracle, 0.0, &spec, &[]);
        let of_domains: Vec<&ExplorePoint> = outcome
            .points
            .iter()
            .filter(|point| point.kind == PointKind::Domains)
            .collect();
        for (n, point) in (1..).zip(&of_domains) {
            let status = PointStatus::of(&point.verified_loss, 0.01);
            assert_eq!((point.attempt, point.status), (n, status));
        }
        failed_first += usize::from(of_domains.len() > 1);
        if outcome.answer.saves {
            let own = outcome.answer.proposal.as_ref().unwrap();
            assert_eq!(
                (Some(&own), own.status),
                (of_domains.last(), PointStatus::Verified)
            );
            passed += 1;
        }
        let last = outcome
            .answer
            .proposal
            .as_ref()
            .filter(|point| point.status != PointStatus::Verified);
        assert!(last.is_none() || outcome.answer.text().starts_with("No verified assignment"));
    }
    assert!(failed_first >= 3 && passed >= 3, "{failed_first} {passed}");
}

#[test]
fn finished_evaluations_resume_a_search_to_the_same_outcome() {
    let mut oracle = Formula::new(2, 1.0);
    let (whole, rows) = run(&mut oracle, 0.002, &ExploreSpec::default(), &[]);
    assert_eq!(oracle.asked, rows.len());
    for kept in [rows.len() / 2, rows.len()] {
        let mut oracle = Formula::new(2, 1.0);
        let (resumed, new) = run(&mut oracle, 0.002, &ExploreSpec::default(), &rows[..kept]);
        assert_eq!(resumed, whole);
        assert_eq!(
            (new.as_slice(), oracle.asked),
            (&rows[kept..], rows.len() - kept)
        );
    }
    // rows of other images or chips are not taken
    let other: Vec<Evaluation> = rows
        .iter()
        .map(|row| Evaluation {
            images: 5,
            ..row.clone()
        })
        .collect();
    assert_eq!(
        run(
            &mut Formula::new(2, 1.0),
            0.002,
            &ExploreSpec::default(),
            &other
        )
        .1,
        rows
    );
}

#[test]
fn sensitivities_end_where_a_domain_alone_loses_too_much_and_rails_are_capped() {
    let mut oracle = Formula::new(5, 1.0);
    let spec = ExploreSpec {
        max_rails: Some(2),
        ..ExploreSpec::default()
    };
    let (outcome, _) = run(&mut oracle, 0.0, &spec, &[]);
    assert!(outcome.points.iter().all(|point| point.rails <= 2));
    for domain in 0..4 {
        let name = format!("d{domain}");
        let rows: Vec<_> = outcome
            .sensitivities
            .iter()
            .filter(|row| row.domain == name)
            .collect();
        // rising voltages: all but the lowest measured one are of use
        assert!(
            rows[1..].iter().all(|row| row.loss.mean <= 0.02),
            "{rows:?}"
        );
        assert!(rows.len() == 5 || rows[0].loss.mean > 0.02);
        assert!(rows
            .iter()
            .all(|row| row.loss.low.is_some_and(|low| low <= row.loss.mean)));
    }
}

#[test]
fn a_grid_that_nothing_passes_has_no_answer_but_says_why() {
    let mut oracle = Formula::new(0, 1.0);
    oracle
        .world
        .losses
        .iter_mut()
        .flatten()
        .for_each(|loss| *loss += 0.05);
    let (outcome, _) = run(&mut oracle, 0.0, &ExploreSpec::default(), &[]);
    assert_eq!((outcome.answer.single, outcome.answer.saves), (None, false));
    assert!(outcome
        .points
        .iter()
        .all(|point| point.status == PointStatus::Failed));
}

#[test]
fn what_the_oracle_or_the_sink_refuses_ends_the_exploration() {
    let mut oracle = Formula::new(0, 1.0);
    let space = space(&oracle.world, 0.0, 4);
    let mut sink = |_: &Evaluation| Err(Error::Interrupted);
    let outcome = explore(&space, &ExploreSpec::default(), &mut oracle, &[], &mut sink);
    assert!(matches!(outcome, Err(Error::Interrupted)));
    let mut wrong = space.clone();
    wrong.voltages.reverse();
    let error = explore(
        &wrong,
        &ExploreSpec::default(),
        &mut oracle,
        &[],
        &mut |_| Ok(()),
    )
    .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("voltages of domains: expected rising voltages"),
        "{error}"
    );
}
