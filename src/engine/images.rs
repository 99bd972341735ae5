//! Test images ready for evaluation: what they are kept as, which of them, and their labels.

use super::score::NO_CLASS;
use super::{Evaluator, Reads, NEVER};
use crate::data::{ImageSet, Normalization, Pixels};
use crate::error::{refuse, Error, Result};
use crate::kernel::Planes;
use crate::units::Metric;
use candle_core::{Device, Tensor};
use std::sync::Arc;

/// Images of one access to the weight memory where faults are transient: each batch of so many, in the order of the
/// test set, reads every weight once. Also the images per forward pass by candle.
pub const ACCESS_IMAGES: usize = 100;
/// Most outputs without faults that are kept to compare with: a gigabyte.
const MOST_OUTPUTS: usize = 1 << 28;

/// Images with their labels. Those of a data set are kept as its own pixels, a byte each, whatever is chosen of them
/// and for however many models, and are normalised where a group of them is evaluated.
#[derive(Debug)]
pub struct Images {
    shape: [usize; 3],
    source: Source,
    /// Place of each image in the source; none where a GPU evaluates.
    places: Vec<u32>,
    /// Batches on the device, where a GPU evaluates.
    batches: Vec<Tensor>,
    labels: Vec<u32>,
    metric: Metric,
    /// What outputs are compared with, where they are no classes.
    expected: Option<Expected>,
}

/// Outputs of a network without faults.
#[derive(Clone, Debug)]
struct Expected {
    /// One image after the other.
    outputs: Arc<Vec<f32>>,
    /// Of one image.
    size: usize,
    /// Most power of an error over that of the outputs.
    share: f64,
    /// Place of each image among them.
    places: Vec<u32>,
}

/// What makes an answer right.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal<'a> {
    /// A class, by this metric.
    Class(u32, Metric),
    /// An error of at most this share of the power of these outputs.
    Outputs(&'a [f32], f64),
}

/// What images are kept as, [n, channels, height, width], row-major.
#[derive(Clone, Debug)]
enum Source {
    /// Normalised values.
    Values(Arc<Vec<f32>>),
    /// Bytes, and the value of each byte by channel.
    Pixels {
        bytes: Arc<Vec<u8>>,
        tables: Arc<Vec<[f32; 256]>>,
    },
}

/// Some images in a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    images: &'a Images,
    start: usize,
    end: usize,
}

impl Images {
    /// `values` are normalised values [n, channels, height, width], row-major; `labels` n class numbers.
    ///
    /// # Errors
    /// [`Error::Argument`] where the lengths do not fit or there is no image.
    pub fn new(
        values: Vec<f32>,
        shape: [usize; 3],
        labels: Vec<u32>,
        device: &Device,
    ) -> Result<Self> {
        let image: usize = shape.iter().product();
        if values.len() != labels.len() * image {
            return Err(unfit(
                image,
                format!("{} values and {} labels", values.len(), labels.len()),
            ));
        }
        let places = (0..labels.len() as u32).collect();
        Self::at(
            shape,
            Source::Values(Arc::new(values)),
            places,
            labels,
            device,
        )
    }

    /// The images of these indices of a data set, whose pixels are shared and not copied; values are those of
    /// [`ImageSet::batch`]. Where the set has no classes, only [`Self::judged_by`] agreement makes answers right.
    ///
    /// # Errors
    /// [`Error::Argument`] for no image, or a normalisation of another number of channels.
    ///
    /// # Panics
    /// Where an index is not below [`ImageSet::len`].
    pub fn of(
        set: &ImageSet,
        indices: &[u32],
        normalization: &Normalization,
        device: &Device,
    ) -> Result<Self> {
        let source = match &set.pixels {
            Pixels::Floats(floats) => Source::Values(Arc::clone(floats)),
            Pixels::Bytes(bytes) => Source::Pixels {
                bytes: Arc::clone(bytes),
                tables: Arc::new(
                    normalization
                        .for_channels(set.channels)?
                        .tables(set.channels),
                ),
            },
        };
        let shape = [set.channels, set.height, set.width];
        let labels = if set.has_labels() {
            set.labels(indices)
        } else {
            vec![NO_CLASS; indices.len()]
        };
        Self::at(shape, source, indices.to_vec(), labels, device)
    }

    /// The same images for a metric; classes, or outputs, that it compares with are those of this network without faults.
    ///
    /// # Errors
    /// [`Error::Argument`] for a metric by which so few classes are always right, or for more outputs than are kept; as
    /// [`Evaluator::clean_answers`].
    pub fn judged_by(mut self, metric: Metric, evaluator: &Evaluator) -> Result<Self> {
        let (what, outputs) = (format!("metric `{metric}`"), evaluator.network().classes());
        let places = metric.places().unwrap_or(0);
        if outputs <= places && !metric.is_default() {
            let expected = format!("a network of more than {places} classes");
            return refuse(what, expected, outputs);
        }
        self.expected = None;
        match metric {
            Metric::Agreement => {
                self.labels = evaluator
                    .tally(Reads::of_words(&[]), &self, &NEVER)?
                    .classes()
            }
            Metric::Top1 | Metric::Top5 => {}
            Metric::Snr(decibels) => {
                let (all, most) = (self.labels.len() * outputs, MOST_OUTPUTS);
                if all > most {
                    let expected = format!("at most {most} outputs of all images; take fewer");
                    return refuse(what, expected, all);
                }
                self.expected = Some(Expected {
                    outputs: Arc::new(evaluator.logits(&[], &self)?),
                    size: outputs,
                    share: 10f64.powf(-f64::from(decibels) / 10.0),
                    places: (0..self.labels.len() as u32).collect(),
                });
            }
        }
        self.metric = metric;
        Ok(self)
    }

    /// What makes the answer on each image right.
    pub(super) fn goal(&self, image: usize) -> Goal<'_> {
        let Some(expected) = &self.expected else {
            return Goal::Class(self.labels[image], self.metric);
        };
        let start = expected.places[image] as usize * expected.size;
        Goal::Outputs(&expected.outputs[start..][..expected.size], expected.share)
    }

    fn at(
        shape: [usize; 3],
        source: Source,
        places: Vec<u32>,
        labels: Vec<u32>,
        device: &Device,
    ) -> Result<Self> {
        if labels.is_empty() {
            return Err(unfit(shape.iter().product(), "none".into()));
        }
        let images = Self {
            shape,
            source,
            places,
            batches: Vec::new(),
            labels,
            metric: Metric::default(),
            expected: None,
        };
        if device.is_cpu() {
            Ok(images)
        } else {
            images.moved(device)
        }
    }

    /// The same images as batches on a device, none on the host.
    fn moved(self, device: &Device) -> Result<Self> {
        let batches = self
            .batches()
            .map(|batch| Ok(batch?.to_device(device)?))
            .collect::<Result<_>>()?;
        Ok(Self {
            batches,
            source: Source::Values(Arc::default()),
            places: Vec::new(),
            ..self
        })
    }

    /// The images of these places alone, in this order, where these lie.
    ///
    /// # Errors
    /// [`Error::Argument`] for a place outside or for none at all; a tensor failure.
    pub fn select(&self, places: &[u32]) -> Result<Self> {
        let label = |&place: &u32| {
            let expected = || format!("a place below {}", self.labels.len());
            let label = self.labels.get(place as usize).copied();
            label.ok_or_else(|| Error::argument("image", expected(), place.to_string()))
        };
        let labels = places.iter().map(label).collect::<Result<Vec<u32>>>()?;
        let expected = self.expected.as_ref().map(|all| Expected {
            places: places
                .iter()
                .map(|place| all.places[*place as usize])
                .collect(),
            ..all.clone()
        });
        if self.batches.is_empty() || places.is_empty() {
            let own = |&place: &u32| self.places.get(place as usize).copied();
            let places = places.iter().filter_map(own).collect();
            let (shape, source) = (self.shape, self.source.clone());
            return Ok(Self {
                metric: self.metric,
                expected,
                ..Self::at(shape, source, places, labels, &Device::Cpu)?
            });
        }
        let all = self.tensor()?;
        let chosen = all.index_select(&Tensor::new(places, all.device())?, 0)?;
        let batches = (0..labels.len())
            .step_by(ACCESS_IMAGES)
            .map(|at| chosen.narrow(0, at, ACCESS_IMAGES.min(labels.len() - at)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            shape: self.shape,
            source: self.source.clone(),
            places: Vec::new(),
            batches,
            labels,
            metric: self.metric,
            expected,
        })
    }

    /// Number of images.
    pub fn len(&self) -> u64 {
        self.labels.len() as u64
    }

    /// Never: an empty set is refused.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Channels, height and width.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// What makes an answer right.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Class numbers.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// All images as one tensor [n, channels, height, width] of values, where they lie.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn tensor(&self) -> Result<Tensor> {
        let batches: Vec<Tensor> = self.batches().collect::<Result<_>>()?;
        Ok(Tensor::cat(&batches, 0)?)
    }

    /// All images in parts of `n`; none where they lie on a GPU.
    pub(super) fn parts(&self, n: usize) -> Vec<Part<'_>> {
        let all = Part {
            images: self,
            start: 0,
            end: self.places.len(),
        };
        all.cut(n).collect()
    }

    /// Batches as candle takes them, on the device of the images.
    pub(super) fn batches(&self) -> impl Iterator<Item = Result<Tensor>> + '_ {
        let [channels, height, width] = self.shape;
        let on_host = self.parts(ACCESS_IMAGES).into_iter().map(move |part| {
            let shape = (part.len(), channels, height, width);
            Ok(Tensor::from_vec(part.values(), shape, &Device::Cpu)?)
        });
        let on_device = self.batches.iter().map(|batch| Ok(batch.clone()));
        on_device.chain(on_host)
    }
}

impl<'a> Part<'a> {
    /// Number of images.
    pub(super) fn len(self) -> usize {
        self.end - self.start
    }

    /// Their places in the data set.
    pub(super) fn places(self) -> &'a [u32] {
        &self.images.places[self.start..self.end]
    }

    /// What makes the answer on each image right.
    pub(super) fn goals(self) -> impl Iterator<Item = Goal<'a>> {
        (self.start..self.end).map(|image| self.images.goal(image))
    }

    /// The same in parts of `n`, the last of which may have fewer.
    pub(super) fn cut(self, n: usize) -> impl Iterator<Item = Part<'a>> {
        (self.start..self.end).step_by(n).map(move |start| Part {
            start,
            end: self.end.min(start + n),
            ..self
        })
    }

    /// Lays the values of its images out, one after the other.
    pub(super) fn fill(self, planes: Planes, targets: &mut [f32]) {
        let targets = targets.chunks_exact_mut(planes.len());
        for (place, target) in self.ranges().zip(targets) {
            match &self.images.source {
                Source::Values(values) => planes.fill(&values[place], target),
                Source::Pixels { bytes, tables } => {
                    planes.fill_from(&bytes[place], tables, target);
                }
            }
        }
    }

    /// Values of its images, [images, channels, height, width].
    fn values(self) -> Vec<f32> {
        let [channels, height, width] = self.images.shape;
        let mut all = Vec::with_capacity(self.len() * channels * height * width);
        for place in self.ranges() {
            match &self.images.source {
                Source::Values(values) => all.extend_from_slice(&values[place]),
                Source::Pixels { bytes, tables } => {
                    let planes = bytes[place].chunks_exact(height * width);
                    for (plane, table) in planes.zip(tables.iter()) {
                        all.extend(plane.iter().map(|byte| table[usize::from(*byte)]));
                    }
                }
            }
        }
        all
    }

    /// Where the values of its images lie in the source.
    fn ranges(self) -> impl Iterator<Item = std::ops::Range<usize>> + 'a {
        let image: usize = self.images.shape.iter().product();
        self.places()
            .iter()
            .map(move |place| *place as usize * image..(*place as usize + 1) * image)
    }
}

fn unfit(image: usize, found: String) -> Error {
    let expected = format!("at least one image of {image} values and as many labels");
    Error::argument("images to evaluate", expected, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of all batches, by batch, and labels.
    fn content(images: &Images) -> (Vec<Vec<f32>>, Vec<u32>) {
        let batches = images
            .batches()
            .map(|batch| batch.unwrap().flatten_all().unwrap().to_vec1::<f32>());
        let batches = batches.map(|values| values.unwrap()).collect();
        (batches, images.labels().to_vec())
    }

    #[test]
    fn images_moved_to_a_device_are_chosen_like_those_on_the_host() {
        let (shape, n) = ([2, 3, 2], 2 * ACCESS_IMAGES + 50);
        let images = || {
            let values = (0..n * 12).map(|i| i as f32).collect();
            let labels = (0..n as u32).map(|i| i % 10).collect();
            Images::new(values, shape, labels, &Device::Cpu).unwrap()
        };
        let (host, moved) = (images(), images().moved(&Device::Cpu).unwrap());
        assert!(moved.places.is_empty() && moved.batches.len() == 3);
        assert_eq!(content(&moved), content(&host));
        let places: Vec<u32> = (0..n as u32 - 30)
            .map(|i| (i * 7) % n as u32)
            .chain([3, 3])
            .collect();
        for images in [&host, &moved] {
            let chosen = images.select(&places).unwrap();
            let (batches, labels) = content(&chosen);
            assert_eq!(
                batches.iter().map(Vec::len).collect::<Vec<_>>(),
                [1200, 1200, 264]
            );
            let expected = places
                .iter()
                .flat_map(|place| (0..12).map(move |i| (place * 12 + i) as f32));
            assert_eq!(batches.concat(), expected.collect::<Vec<_>>());
            assert_eq!(
                labels,
                places.iter().map(|place| place % 10).collect::<Vec<_>>()
            );
            assert_eq!(chosen.places.is_empty(), images.places.is_empty());
            assert!(images
                .select(&[n as u32])
                .unwrap_err()
                .to_string()
                .contains("a place below 250"));
            assert!(images.select(&[]).is_err());
        }
    }

    #[test]
    fn images_of_a_set_share_its_pixels_and_have_the_values_of_a_batch() {
        let bytes: Arc<Vec<u8>> = Arc::new((0..150 * 60).map(|i| (i % 253) as u8).collect());
        let set = ImageSet {
            title: "counting".into(),
            channels: 3,
            height: 4,
            width: 5,
            classes: 7,
            pixels: Pixels::Bytes(Arc::clone(&bytes)),
            labels: (0..150).map(|i| i % 7).collect(),
            remarks: Vec::new(),
        };
        let normalization = Normalization::named("imagenet").unwrap();
        let indices: Vec<u32> = (20..150).rev().collect();
        let images = Images::of(&set, &indices, &normalization, &Device::Cpu).unwrap();
        let (batches, labels) = content(&images);
        assert_eq!(batches.concat(), set.batch(&indices, &normalization, None));
        assert_eq!(labels, set.labels(&indices));
        let chosen = images.select(&[129, 0, 64]).unwrap();
        assert_eq!(chosen.places, [20, 149, 85]);
        assert_eq!(
            content(&chosen).0.concat(),
            set.batch(&[20, 149, 85], &normalization, None)
        );
        assert_eq!(Arc::strong_count(&bytes), 4);
        let planes = Planes::new(3, 4, 5, 1).unwrap();
        let (mut laid, mut by_hand) = (vec![0.0; 3 * planes.len()], vec![0.0; planes.len()]);
        chosen.parts(3)[0].fill(planes, &mut laid);
        planes.fill(&set.batch(&[85], &normalization, None), &mut by_hand);
        assert_eq!(laid[2 * planes.len()..], by_hand);
        let grey = Normalization::named("cifar10").unwrap();
        let one = ImageSet { channels: 1, ..set };
        assert!(Images::of(&one, &indices, &grey, &Device::Cpu).is_err());
        // floats are what the network takes
        let floats: Vec<f32> = bytes.iter().map(|byte| f32::from(*byte) - 0.5).collect();
        let set = ImageSet {
            channels: 3,
            pixels: floats.into(),
            ..one
        };
        let images = Images::of(&set, &[3, 149], &grey, &Device::Cpu).unwrap();
        let values = content(&images).0.concat();
        assert_eq!(values, set.batch(&[3, 149], &grey, None));
        assert_eq!(
            (values[0], values.len()),
            (f32::from(bytes[180]) - 0.5, 120)
        );
    }
}
