//! Chips of the candidates, simulated where the journal does not hold them.

use super::{named, AnswerInput};
use crate::answer::{Chips, Phase, Place};
use crate::engine::Answers;
use crate::error::{Error, Result};
use crate::run::journal::{Journal, Replay, SeenChip, SeenKey};
use crate::run::monitor::SweepProgress;
use crate::run::sweeping::{lock, Sweeping};
use crate::seed::{Purpose, Seed};
use crate::stats::{Judged, Judgement, Stratum};
use crate::sweep::{Comparison, DesignPoint, Sight, Strata, SweptModel};
use crate::units::{ChipId, Voltage};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;

/// What a journal holds.
pub(super) type Known = BTreeMap<SeenKey, SeenChip>;

pub(super) fn known(replay: &Replay) -> Known {
    let seen = replay.seen.iter();
    seen.map(|seen| (seen.key(), seen.clone())).collect()
}

/// Chips of the candidates, simulated where the journal does not hold them.
pub(super) struct Simulated<'a> {
    pub(super) sweeping: &'a Sweeping<'a>,
    pub(super) swept_models: &'a [SweptModel<'a>],
    pub(super) answers: &'a [Answers],
    pub(super) input: &'a AnswerInput,
    pub(super) known: Known,
    pub(super) journal: &'a Mutex<Journal>,
    /// What was told last.
    pub(super) told: Option<(usize, Phase)>,
    /// Evaluations of an image of the phase, those that are done and all.
    pub(super) progress: (AtomicUsize, usize),
}

/// What a chip showed: in each stratum, or as it was judged.
type Shown = (Option<Strata>, Option<Judged>);

/// A design point whose chips are seen, beside their common key.
pub(super) struct View {
    point: DesignPoint,
    pub(super) seen: SeenChip,
}

impl Simulated<'_> {
    fn view(&self, place: Place, phase: Phase) -> Result<View> {
        let (pair, voltage) = (
            &self.input.pairs[place.candidate],
            self.input.voltages[place.level],
        );
        let (protection, activations) = (pair.protection, pair.activations);
        let prepared = &self.sweeping.prepared;
        let point = prepared.design_point(pair.model, protection, voltage, activations)?;
        Ok(self.view_of(point, voltage, phase))
    }

    /// A design point at a voltage, in a phase.
    pub(super) fn view_of(&self, point: DesignPoint, voltage: Voltage, phase: Phase) -> View {
        View {
            seen: SeenChip {
                model: self.swept_models[point.model].name.clone(),
                protection: point.protection,
                activation_voltage: point.activations.map(|own| own.voltage.get()),
                voltage: voltage.get(),
                check: phase == Phase::Check,
                ..SeenChip::default()
            },
            point,
        }
    }

    /// Chips of a view, each as `look` sees it unless the journal has it as `fits` says.
    fn each(
        &self,
        view: &View,
        chips: Range<u32>,
        fits: &(dyn Fn(&SeenChip) -> bool + Sync),
        look: &(dyn Fn(&Sight<'_>, ChipId) -> Result<Shown> + Sync),
    ) -> Result<Vec<SeenChip>> {
        let phase = if view.seen.check {
            Phase::Check
        } else {
            Phase::Search
        };
        let points = std::slice::from_ref(&view.point);
        let (prepared, cancel) = (&self.sweeping.prepared, self.sweeping.cancel());
        let comparison = Comparison {
            seed: seed_of(prepared.experiment.seed, phase),
            ..prepared.comparison(self.swept_models, points, 1)
        };
        let sight = Sight::new(&comparison, &self.answers[view.point.model])?;
        let see = |chip: u32| {
            let chip = ChipId(chip);
            let key = SeenChip {
                chip,
                ..view.seen.clone()
            };
            let known = self.known.get(&key.key()).filter(|known| fits(known));
            if let Some(known) = known {
                self.tell(known);
                return Ok(known.clone());
            }
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let mut seen = key;
            (seen.strata, seen.judged) = look(&sight, chip)?;
            lock(self.journal).append_seen(&seen)?;
            self.tell(&seen);
            Ok(seen)
        };
        chips.into_par_iter().with_max_len(1).map(see).collect()
    }

    /// Chips of a view through so many images of each stratum.
    pub(super) fn strata(
        &self,
        view: &View,
        chips: Range<u32>,
        images: &[u64],
        sizes: &[u64],
    ) -> Result<Vec<Vec<Stratum>>> {
        let fits = |seen: &SeenChip| {
            let strata = seen.strata.as_ref();
            strata.is_some_and(|strata| strata.have(sizes, images))
        };
        let cancel = self.sweeping.cancel();
        let look = |sight: &Sight<'_>, chip| Ok((Some(sight.see(chip, images, cancel)?), None));
        let seen = self.each(view, chips, &fits, &look)?;
        let strata = seen.into_iter().filter_map(|seen| seen.strata);
        Ok(strata.map(|strata| strata.as_ref().to_vec()).collect())
    }

    /// Begins a stage that takes so many evaluations of an image at most.
    pub(super) fn start(&mut self, what: &str, evaluations: u64) {
        self.sweeping.stages.begin(what, 1);
        self.progress = (AtomicUsize::new(0), evaluations as usize);
    }

    /// A chip is done.
    fn tell(&self, seen: &SeenChip) {
        let (done, owed) = &self.progress;
        let images = seen.images() as usize;
        self.sweeping.monitor.trial(&SweepProgress {
            done: done.fetch_add(images, Ordering::Relaxed) + images,
            owed: *owed,
        });
    }

    fn announce(&mut self, place: Place, phase: Phase) {
        if self.told == Some((place.candidate, phase)) {
            return;
        }
        self.told = Some((place.candidate, phase));
        let pair = &self.input.pairs[place.candidate];
        let what = match phase {
            Phase::Search => "search",
            Phase::Check => "check on fresh chips",
        };
        let beside = pair
            .supply()
            .map_or(String::new(), |own| format!(", {}", own.in_words()));
        self.sweeping.monitor.note(&format!(
            "{} of {}, {}{beside}: {what}",
            place.candidate + 1,
            self.input.pairs.len(),
            named(&self.swept_models[pair.model].name, pair.protection)
        ));
    }
}

impl Chips for Simulated<'_> {
    fn begin(&mut self, phase: Phase, evaluations: u64) {
        let what = match phase {
            Phase::Search => "search on chips",
            Phase::Check => "check on fresh chips",
        };
        self.start(what, evaluations);
    }

    fn see(
        &mut self,
        place: Place,
        phase: Phase,
        chips: Range<u32>,
        images: &[u64],
    ) -> Result<Vec<Vec<Stratum>>> {
        self.announce(place, phase);
        let view = self.view(place, phase)?;
        let sizes = &self.input.candidates[place.candidate].strata;
        self.strata(&view, chips, images, sizes)
    }

    fn judge(
        &mut self,
        place: Place,
        phase: Phase,
        chips: Range<u32>,
        judgement: &Judgement,
    ) -> Result<Vec<Judged>> {
        self.announce(place, phase);
        let fits = |seen: &SeenChip| seen.judged.is_some();
        let cancel = self.sweeping.cancel();
        let look =
            |sight: &Sight<'_>, chip| Ok((None, Some(sight.judge(chip, judgement, cancel)?)));
        let seen = self.each(&self.view(place, phase)?, chips, &fits, &look)?;
        Ok(seen.into_iter().filter_map(|seen| seen.judged).collect())
    }
}

/// Seed of the chips of a phase: those of the search are never those of the check, nor those of a sweep.
fn seed_of(seed: Seed, phase: Phase) -> Seed {
    let purpose = match phase {
        Phase::Search => Purpose::SearchChips,
        Phase::Check => Purpose::CheckChips,
    };
    Seed(seed.stream(purpose, &[]).below(u64::MAX))
}
