//! Which images are used when: validation split, subsets, order of an epoch; pixels are not touched.

use super::ImageSet;
use crate::error::{refuse, Result};
use crate::seed::{Purpose, Seed, Stream};

/// Splits a training set into (training, validation) indices, each ascending. About `fraction` of the
/// images is held out, classes in the proportion of the set; `fraction` in [0, 0.5].
pub fn validation_split(labels: &[u16], fraction: f64, seed: Seed) -> (Vec<u32>, Vec<u32>) {
    let held_out = (fraction.clamp(0.0, 0.5) * labels.len() as f64).round() as usize;
    let validation = stratified(labels, held_out, &mut seed.stream(Purpose::Validation, &[]));
    let mut taken = vec![false; labels.len()];
    for &index in &validation {
        taken[index as usize] = true;
    }
    let training = (0..labels.len() as u32)
        .filter(|&index| !taken[index as usize])
        .collect();
    (training, validation)
}

/// The indices in the order of one epoch, which depends on seed and epoch alone.
pub fn epoch_order(indices: &[u32], seed: Seed, epoch: u64) -> Vec<u32> {
    let mut order = indices.to_vec();
    seed.stream(Purpose::Order, &[epoch]).shuffle(&mut order);
    order
}

impl ImageSet {
    /// Ascending indices of `n` images, drawn at random with the classes, where they are known, in the proportion of the
    /// set.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where `n` is 0 or more than there are.
    pub fn subset(&self, n: usize, seed: Seed) -> Result<Vec<u32>> {
        if n == 0 || n > self.len() {
            return refuse("images", format!("1 to {} ({})", self.len(), self.title), n);
        }
        let stream = &mut seed.stream(Purpose::Images, &[]);
        if self.has_labels() {
            return Ok(stratified(&self.labels, n, stream));
        }
        Ok(stratified(&vec![0; self.len()], n, stream))
    }
}

/// Ascending indices of `n` of the labels, at random within each class; class sizes by the method of
/// the largest remainder, ties to the lower class. What is drawn in a class extends what a smaller `n` draws.
fn stratified(labels: &[u16], n: usize, stream: &mut Stream) -> Vec<u32> {
    let most = labels
        .iter()
        .max()
        .map_or(0, |label| usize::from(*label) + 1);
    let mut classes: Vec<Vec<u32>> = vec![Vec::new(); most];
    for (index, &label) in labels.iter().enumerate() {
        classes[usize::from(label)].push(index as u32);
    }
    let sizes: Vec<usize> = classes.iter().map(Vec::len).collect();
    let mut chosen = Vec::with_capacity(n);
    for (mut class, quota) in classes.into_iter().zip(quotas(&sizes, n)) {
        stream.shuffle(&mut class);
        chosen.extend_from_slice(&class[..quota]);
    }
    chosen.sort_unstable();
    chosen
}

/// Shares `n`, at most the sum of `sizes`, in proportion to the sizes; no fraction exceeds its size.
fn quotas(sizes: &[usize], n: usize) -> Vec<usize> {
    let total = sizes.iter().sum::<usize>().max(1);
    let mut quotas: Vec<usize> = sizes.iter().map(|size| n * size / total).collect();
    let mut by_remainder: Vec<usize> = (0..sizes.len()).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(n * sizes[class] % total));
    let left = n - quotas.iter().sum::<usize>();
    for &class in by_remainder.iter().take(left) {
        quotas[class] += 1;
    }
    quotas
}

#[cfg(test)]
mod tests {
    use super::super::images::tests::counting;
    use super::*;

    fn labels() -> Vec<u16> {
        (0..1000)
            .map(|i| if i % 10 == 0 { 2 } else { (i % 2) as u16 })
            .collect()
    }

    #[test]
    fn every_image_is_in_exactly_one_part_and_classes_keep_their_proportion() {
        let labels = labels();
        let (training, validation) = validation_split(&labels, 0.1, Seed(1));
        assert_eq!((training.len(), validation.len()), (900, 100));
        let mut all: Vec<u32> = training.iter().chain(&validation).copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<u32>>());
        assert!(validation.is_sorted() && training.is_sorted());
        let count = |class| {
            validation
                .iter()
                .filter(|&&i| labels[i as usize] == class)
                .count()
        };
        assert_eq!((count(0), count(1), count(2)), (40, 50, 10));
        assert_eq!(validation_split(&labels, 0.1, Seed(1)).1, validation);
        assert_ne!(validation_split(&labels, 0.1, Seed(2)).1, validation);
        assert_eq!(
            validation_split(&labels, 0.0, Seed(1)),
            ((0..1000).collect(), vec![])
        );
    }

    #[test]
    fn quotas_add_up_and_never_exceed_a_class() {
        assert_eq!(quotas(&[3, 3, 4], 10), [3, 3, 4]);
        assert_eq!(quotas(&[1, 1, 1], 2), [1, 1, 0]);
        assert_eq!(quotas(&[0, 5, 1], 3), [0, 3, 0]);
        assert_eq!(quotas(&[0, 0], 0), [0, 0]);
        for n in 0..=60 {
            let sizes = [0, 7, 13, 1, 39];
            let quotas = quotas(&sizes, n);
            assert_eq!(quotas.iter().sum::<usize>(), n);
            assert!(
                quotas.iter().zip(sizes).all(|(&quota, size)| quota <= size),
                "{n}: {quotas:?}"
            );
        }
    }

    #[test]
    fn a_subset_is_seeded_sorted_and_balanced() {
        let set = counting(300, 1, 1);
        let subset = set.subset(30, Seed(7)).unwrap();
        assert_eq!(subset.len(), 30);
        assert!(subset.windows(2).all(|pair| pair[0] < pair[1]));
        let mut counts = [0; 3];
        subset
            .iter()
            .for_each(|&i| counts[usize::from(set.labels[i as usize])] += 1);
        assert_eq!(counts, [10, 10, 10]);
        assert_eq!(set.subset(30, Seed(7)).unwrap(), subset);
        assert_ne!(set.subset(30, Seed(8)).unwrap(), subset);
        let larger = set.subset(60, Seed(7)).unwrap();
        assert!(subset.iter().all(|index| larger.contains(index)));
        assert_eq!(
            set.subset(300, Seed(7)).unwrap(),
            (0..300).collect::<Vec<u32>>()
        );
    }

    #[test]
    fn a_subset_of_none_or_of_too_many_is_an_error() {
        let set = counting(10, 1, 1);
        assert_eq!(
            set.subset(11, Seed(1)).unwrap_err().to_string(),
            "images: expected 1 to 10 (counting), found 11"
        );
        assert!(set.subset(0, Seed(1)).is_err());
    }

    #[test]
    fn an_epoch_is_a_permutation_of_its_own() {
        let indices: Vec<u32> = (5..105).collect();
        let first = epoch_order(&indices, Seed(1), 1);
        assert_eq!(first, epoch_order(&indices, Seed(1), 1));
        assert_ne!(first, epoch_order(&indices, Seed(1), 2));
        assert_ne!(first, epoch_order(&indices, Seed(2), 1));
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, indices);
        assert_ne!(first, indices);
    }
}
