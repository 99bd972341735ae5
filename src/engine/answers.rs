//! Evaluations that free threads share and that can be cancelled: right or wrong image by image, for comparisons of
//! single answers, and in numbers.

use super::score::{Answers, Score, Tally};
use super::spread::spread;
use super::{Engine, Evaluator, Images, Plain, Weight, ACCESS_IMAGES, NEVER, RUN};
use crate::code::{FaultsOfActivations, Word};
use crate::error::{refuse, Result};
use std::sync::atomic::AtomicBool;

/// Words that read otherwise in access 0, 1, ... of the memory; asked for by any thread, in any order.
pub type FaultsOfAccess<'a> = dyn Fn(u64) -> Result<Vec<(usize, Word)>> + Sync + 'a;

/// What an evaluation reads other than it is stored.
#[derive(Clone, Copy)]
pub struct Reads<'a> {
    /// Weights.
    pub weights: WeightReads<'a>,
    /// Stored activations.
    pub activations: Option<&'a FaultsOfActivations<'a>>,
}

/// Words of weights that are read other than they are stored.
#[derive(Clone, Copy)]
pub enum WeightReads<'a> {
    /// The same in every access, as [`Evaluator::faulty`] takes them.
    Always(&'a [(usize, Word)]),
    /// Others in each access of [`ACCESS_IMAGES`] images.
    ByAccess(&'a FaultsOfAccess<'a>),
}

impl<'a> Reads<'a> {
    /// These words of weights, in every access, and nothing else.
    pub fn of_words(words: &'a [(usize, Word)]) -> Self {
        Self {
            weights: WeightReads::Always(words),
            activations: None,
        }
    }

    /// True where all is known to be read as it is stored.
    pub fn is_clean(&self) -> bool {
        matches!(self.weights, WeightReads::Always([])) && self.activations.is_none()
    }
}

impl Engine {
    /// Answers on the images with some weights changed: (layer, row-major index, weight). They are put in and
    /// transformed once, and a group of images is a piece that any free thread takes.
    pub(super) fn tally(
        &self,
        changed: &[Weight],
        activations: Option<&FaultsOfActivations>,
        images: &Images,
        cancel: &AtomicBool,
    ) -> Result<Tally> {
        let groups = images.parts(self.plan.group);
        let answers = self.with_changed(changed, activations, |weights| {
            spread(groups.len(), &|share| {
                self.workers.with(|worker| {
                    share.each(|group| worker.answers(&self.plan, weights, groups[group], cancel));
                });
            })
        })?;
        Ok(Tally::of(&answers.concat(), RUN))
    }
}

impl Evaluator {
    /// Whether each image is classified correctly without faults.
    ///
    /// # Errors
    /// As [`Self::faulty_answers`].
    pub fn clean_answers(&self, images: &Images, cancel: &AtomicBool) -> Result<Answers> {
        self.faulty_answers(&[], images, cancel)
    }

    /// Whether each image is classified correctly with the faults of [`Self::faulty`].
    ///
    /// # Errors
    /// As [`Self::faulty`]; [`crate::error::Error::Interrupted`] where `cancel` is raised before the last group of
    /// images (candle: the last [`ACCESS_IMAGES`]).
    pub fn faulty_answers(
        &self,
        faults: &[(usize, Word)],
        images: &Images,
        cancel: &AtomicBool,
    ) -> Result<Answers> {
        self.answers(Reads::of_words(faults), images, cancel)
    }

    /// Whether each image is classified correctly where memories read other than they store.
    ///
    /// # Errors
    /// As [`Self::faulty_answers`], and what the faults of an access return; [`crate::error::Error::Argument`] for
    /// faulty activations where no engine evaluates (a network on a GPU).
    ///
    /// # Panics
    /// Where a faulty code is not one of its tensor.
    pub fn answers(&self, reads: Reads, images: &Images, cancel: &AtomicBool) -> Result<Answers> {
        Ok(self.tally(reads, images, cancel)?.answers())
    }

    /// Score where memories read other than they store.
    ///
    /// # Errors
    /// As [`Self::answers`].
    ///
    /// # Panics
    /// As [`Self::answers`].
    pub fn score(&self, reads: Reads, images: &Images) -> Result<Score> {
        Ok(self.tally(reads, images, &NEVER)?.score())
    }

    pub(super) fn tally(
        &self,
        reads: Reads,
        images: &Images,
        cancel: &AtomicBool,
    ) -> Result<Tally> {
        self.check(images)?;
        match (&self.engine, reads.weights) {
            (Some(engine), WeightReads::Always(words)) => engine.tally(
                &self.faulty_weights(words)?,
                reads.activations,
                images,
                cancel,
            ),
            (Some(engine), WeightReads::ByAccess(faults)) => {
                self.tally_by_access(engine, faults, reads.activations, images, cancel)
            }
            (None, _) if reads.activations.is_some() => {
                let (what, expected) = ("faults in activations", "a network on the CPU");
                refuse(what, expected, "one on a GPU")
            }
            (None, WeightReads::Always(words)) => Plain::new(self)?.tally(words, images, cancel),
            (None, WeightReads::ByAccess(faults)) => {
                Plain::new(self)?.tally_by_access(images, faults, cancel)
            }
        }
    }

    fn tally_by_access(
        &self,
        engine: &Engine,
        faults: &FaultsOfAccess,
        activations: Option<&FaultsOfActivations>,
        images: &Images,
        cancel: &AtomicBool,
    ) -> Result<Tally> {
        let accesses = images.parts(ACCESS_IMAGES);
        let answers = spread(accesses.len(), &|share| {
            engine.workers.with(|worker| {
                share.each(|access| {
                    let weights = self.faulty_weights(&faults(access as u64)?)?;
                    engine.with_changed(&weights, activations, |weights| {
                        worker.answers(&engine.plan, weights, accesses[access], cancel)
                    })
                });
            });
        })?;
        Ok(Tally::of(&answers.concat(), ACCESS_IMAGES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::{evaluator, images, sign_flips};
    use crate::error::Error;
    use crate::kernel::Isa;
    use crate::net::Architecture;
    use crate::units::Metric;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn reads_by<'a>(faults: &'a FaultsOfAccess<'a>) -> Reads<'a> {
        Reads {
            weights: WeightReads::ByAccess(faults),
            activations: None,
        }
    }

    #[test]
    fn agreement_is_with_the_classes_without_faults_and_top_5_allows_more_than_top_1() {
        let architecture = Architecture::Mlp;
        let evaluator = evaluator(architecture, 4, Isa::current());
        let faults = sign_flips(&evaluator, 4);
        let judged = |metric| {
            let images = images(architecture, 310);
            images.judged_by(metric, &evaluator).unwrap()
        };
        let right = |images: &Images| {
            let answers = evaluator.faulty_answers(&faults, images, &NEVER);
            answers.unwrap().right
        };
        let plain = images(architecture, 310);
        let classes = |faults| {
            evaluator
                .tally(Reads::of_words(faults), &plain, &NEVER)
                .unwrap()
                .classes()
        };
        let pairs = classes(&[]).into_iter().zip(classes(&faults));
        let same: Vec<bool> = pairs.map(|(clean, faulty)| clean == faulty).collect();
        assert!(same.contains(&true) && same.contains(&false));
        let agreement = judged(Metric::Agreement);
        assert_eq!(right(&agreement), same);
        assert_eq!(evaluator.clean(&agreement).unwrap().correct, 310);
        let places = [309, 4, 120];
        let some = right(&agreement.select(&places).unwrap());
        assert_eq!(some, places.map(|place| same[place as usize]));
        let (one, five) = (right(&judged(Metric::Top1)), right(&judged(Metric::Top5)));
        assert_eq!(one, right(&plain));
        assert!(one.iter().zip(&five).all(|(one, five)| five >= one));
        assert_ne!(one, five);
    }

    #[test]
    fn outputs_are_compared_with_those_without_faults_of_the_same_image() {
        let architecture = Architecture::Mlp;
        let evaluator = evaluator(architecture, 4, Isa::current());
        let plain = images(architecture, 310);
        let logits = |faults| evaluator.logits(faults, &plain).unwrap();
        let faults = &sign_flips(&evaluator, 4);
        let (clean, faulty) = (logits(&[]), logits(faults));
        let decibels = |(clean, faulty): (&[f32], &[f32])| {
            let (mut power, mut error) = (0.0, 0.0);
            for (a, b) in clean.iter().zip(faulty) {
                power += f64::from(*a).powi(2);
                error += (f64::from(*a) - f64::from(*b)).powi(2);
            }
            10.0 * f64::log10(power / error)
        };
        let pairs = clean.chunks(10).zip(faulty.chunks(10));
        let all: Vec<f64> = pairs.map(decibels).collect();
        // as many as half of the images keep
        let least = crate::stats::sorted(&all)[155].round() as u8;
        let same: Vec<bool> = all.iter().map(|own| *own >= least.into()).collect();
        assert!(same.contains(&true) && same.contains(&false), "{all:?}");
        let images = images(architecture, 310);
        let judged = images.judged_by(Metric::Snr(least), &evaluator).unwrap();
        let right = |images: &Images, faults| {
            let answers = evaluator.faulty_answers(faults, images, &NEVER);
            answers.unwrap().right
        };
        assert_eq!(right(&judged, faults), same);
        assert_eq!(right(&judged, &[]), [true; 310]);
        let places = [309, 4, 120];
        let some = judged.select(&places).unwrap();
        assert_eq!(
            right(&some, faults),
            places.map(|place| same[place as usize])
        );
        let plainly = Plain::new(&evaluator).unwrap().faulty(faults, &judged);
        let close = plainly
            .unwrap()
            .correct
            .abs_diff(same.iter().filter(|so| **so).count() as u64);
        assert!(close <= 1, "{close}");
    }

    #[test]
    fn answers_image_by_image_add_up_to_the_score_and_are_those_of_the_images_alone() {
        let architecture = Architecture::Mlp;
        let (evaluator, images) = (
            evaluator(architecture, 4, Isa::current()),
            images(architecture, 310),
        );
        let faults = sign_flips(&evaluator, 4);
        let (clean, faulty) = (
            evaluator.clean_answers(&images, &NEVER).unwrap(),
            evaluator.faulty_answers(&faults, &images, &NEVER).unwrap(),
        );
        assert_eq!(
            (clean.right.len(), clean.correct()),
            (310, evaluator.clean(&images).unwrap().correct)
        );
        assert_eq!(
            (faulty.right.len(), faulty.correct()),
            (310, evaluator.faulty(&faults, &images).unwrap().correct)
        );
        assert_ne!(clean, faulty);
        let of_access = |_| Ok(faults.clone());
        let by_access = evaluator
            .answers(reads_by(&of_access), &images, &NEVER)
            .unwrap();
        assert_eq!(by_access, faulty);
        let places = [309, 4, 4, 120];
        let some = images.select(&places).unwrap();
        let of_some: Vec<bool> = places
            .iter()
            .map(|place| faulty.right[*place as usize])
            .collect();
        assert_eq!(
            evaluator
                .faulty_answers(&faults, &some, &NEVER)
                .unwrap()
                .right,
            of_some
        );
        assert!(images
            .select(&[310])
            .unwrap_err()
            .to_string()
            .contains("a place below 310"));
        assert!(images.select(&[]).is_err());
    }

    #[test]
    fn an_evaluation_is_the_same_on_any_number_of_threads_whole_and_by_access() {
        let architecture = "resnet20".parse().unwrap();
        let (evaluator, images) = (
            evaluator(architecture, 4, Isa::current()),
            images(architecture, 2 * ACCESS_IMAGES + 13),
        );
        let flips = sign_flips(&evaluator, 4);
        let of_access = |access: u64| Ok(flips[access as usize..].to_vec());
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                let whole = Reads::of_words(&flips[9..]);
                let whole = evaluator.tally(whole, &images, &NEVER).unwrap();
                let by_access = evaluator.tally(reads_by(&of_access), &images, &NEVER);
                [whole, by_access.unwrap()].map(|tally| (tally.clone().score(), tally.answers()))
            })
        };
        let one = on(1);
        assert_eq!(one, on(2));
        assert_eq!(one, on(5));
        assert_ne!(one[0], one[1]);
        let access = images.select(&(100..200).collect::<Vec<_>>()).unwrap();
        let alone = evaluator.faulty_answers(&flips[1..], &access, &NEVER);
        assert_eq!(alone.unwrap().right, one[1].1.right[100..200]);
    }

    #[test]
    fn a_cancel_is_noticed_between_groups_of_images() {
        let deit: Architecture = "deit_tiny".parse().unwrap();
        for (architecture, count) in [(Architecture::Mlp, 30 * ACCESS_IMAGES), (deit, 1)] {
            let (evaluator, images) = (
                evaluator(architecture, 4, Isa::current()),
                images(architecture, count),
            );
            let raised = AtomicBool::new(true);
            let stopped = evaluator.faulty_answers(&[], &images, &raised);
            assert!(matches!(stopped, Err(Error::Interrupted)));
        }
        let (evaluator, images) = (
            evaluator(Architecture::Mlp, 4, Isa::current()),
            images(Architecture::Mlp, 30 * ACCESS_IMAGES),
        );
        // raised as the second access begins: at most one more thread each is in an access of its own
        let (cancel, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
        let raise = |access| {
            asked.fetch_add(1, Ordering::Relaxed);
            cancel.fetch_or(access == 1, Ordering::Relaxed);
            Ok(Vec::new())
        };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2);
        let stopped = pool.build().unwrap().install(|| {
            evaluator
                .answers(reads_by(&raise), &images, &cancel)
                .unwrap_err()
        });
        assert!(matches!(stopped, Error::Interrupted));
        assert!(asked.into_inner() < 30);
        let clean = evaluator.clean_answers(&images, &NEVER).unwrap();
        let none = |_| Ok(Vec::new());
        let again = evaluator.answers(reads_by(&none), &images, &NEVER);
        assert_eq!(again.unwrap(), clean);
    }
}
