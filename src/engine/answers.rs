//! Right or wrong image by image, for comparisons of single answers.

use super::score::{Answers, Tally};
use super::{Evaluator, Images, Plain, ACCESS_IMAGES, RUN};
use crate::code::Word;
use crate::error::Result;
use rayon::prelude::*;

impl Evaluator {
    /// Whether each image is classified correctly without faults, on all threads.
    ///
    /// # Errors
    /// As [`Self::clean`].
    pub fn clean_answers(&self, images: &Images) -> Result<Answers> {
        self.check(images)?;
        let Some(engine) = &self.engine else {
            return Ok(Plain::new(self)?.faulty_tally(&[], images)?.answers());
        };
        let runs = images.runs(RUN);
        let tallies: Vec<Tally> = runs
            .into_par_iter()
            .map(|run| engine.tally_changed(&[], &[run]))
            .collect();
        let tally = tallies.into_iter().fold(Tally::default(), Tally::plus);
        Ok(tally.answers())
    }

    /// Whether each image is classified correctly with the faults of [`Self::faulty`].
    ///
    /// # Errors
    /// As [`Self::faulty`].
    pub fn faulty_answers(&self, faults: &[(usize, Word)], images: &Images) -> Result<Answers> {
        self.check(images)?;
        let tally = match &self.engine {
            Some(engine) => engine.tally_changed(&self.faulty_weights(faults)?, &images.runs(RUN)),
            None => Plain::new(self)?.faulty_tally(faults, images)?,
        };
        Ok(tally.answers())
    }

    /// Whether each image is classified correctly with the faults of [`Self::faulty_by_access`].
    ///
    /// # Errors
    /// As [`Self::faulty_by_access`].
    pub fn faulty_answers_by_access(
        &self,
        images: &Images,
        faults: impl FnMut(u64) -> Result<Vec<(usize, Word)>>,
    ) -> Result<Answers> {
        Ok(self.tally_by_access(images, faults)?.answers())
    }

    pub(super) fn tally_by_access(
        &self,
        images: &Images,
        mut faults: impl FnMut(u64) -> Result<Vec<(usize, Word)>>,
    ) -> Result<Tally> {
        self.check(images)?;
        let Some(engine) = &self.engine else {
            return Plain::new(self)?.tally_by_access(images, faults);
        };
        let mut total = Tally::default();
        for (access, run) in (0..).zip(images.runs(ACCESS_IMAGES)) {
            total =
                total.plus(engine.tally_changed(&self.faulty_weights(&faults(access)?)?, &[run]));
        }
        Ok(total)
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::tests::{evaluator, images, sign_flips};
    use crate::kernel::Isa;
    use crate::net::Architecture;

    #[test]
    fn answers_image_by_image_add_up_to_the_score_and_are_those_of_the_images_alone() {
        let architecture = Architecture::Mlp;
        let (evaluator, images) = (
            evaluator(architecture, 4, Isa::current()),
            images(architecture, 310),
        );
        let faults = sign_flips(&evaluator, 4);
        let (clean, faulty) = (
            evaluator.clean_answers(&images).unwrap(),
            evaluator.faulty_answers(&faults, &images).unwrap(),
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
        let by_access = evaluator
            .faulty_answers_by_access(&images, |_| Ok(faults.clone()))
            .unwrap();
        assert_eq!(by_access, faulty);
        let places = [309, 4, 4, 120];
        let some = images.select(&places).unwrap();
        let of_some: Vec<bool> = places
            .iter()
            .map(|place| faulty.right[*place as usize])
            .collect();
        assert_eq!(
            evaluator.faulty_answers(&faults, &some).unwrap().right,
            of_some
        );
        assert!(images
            .select(&[310])
            .unwrap_err()
            .to_string()
            .contains("a place below 310"));
        assert!(images.select(&[]).is_err());
    }
}
