//! Test images ready for evaluation: normalised values with their labels.

use crate::error::{Error, Result};
use candle_core::{Device, Tensor};

/// Images of one access to the weight memory where faults are transient: each batch of so many, in the order of the
/// test set, reads every weight once. Also the images per forward pass by candle.
pub const ACCESS_IMAGES: usize = 100;

/// Normalised images with their labels.
#[derive(Debug)]
pub struct Images {
    shape: [usize; 3],
    /// All images, where the CPU evaluates.
    pixels: Vec<f32>,
    /// Batches on the device, where a GPU evaluates.
    batches: Vec<Tensor>,
    labels: Vec<u32>,
}

impl Images {
    /// `pixels` are normalised values [n, channels, height, width], row-major; `labels` n class numbers.
    ///
    /// # Errors
    /// [`Error::Argument`] where the lengths do not fit or there is no image.
    pub fn new(
        pixels: Vec<f32>,
        shape: [usize; 3],
        labels: Vec<u32>,
        device: &Device,
    ) -> Result<Self> {
        let image: usize = shape.iter().product();
        if labels.is_empty() || pixels.len() != labels.len() * image {
            return Err(Error::argument(
                "images to evaluate",
                format!("at least one image of {image} values and as many labels"),
                format!("{} values and {} labels", pixels.len(), labels.len()),
            ));
        }
        let images = Self {
            shape,
            pixels,
            batches: Vec::new(),
            labels,
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
            pixels: Vec::new(),
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
        if self.batches.is_empty() || places.is_empty() {
            let image: usize = self.shape.iter().product();
            return Self::new(
                places
                    .iter()
                    .flat_map(|&place| &self.pixels[place as usize * image..][..image])
                    .copied()
                    .collect(),
                self.shape,
                labels,
                &Device::Cpu,
            );
        }
        let all = self.tensor()?;
        let chosen = all.index_select(&Tensor::new(places, all.device())?, 0)?;
        let batches = (0..labels.len())
            .step_by(ACCESS_IMAGES)
            .map(|at| chosen.narrow(0, at, ACCESS_IMAGES.min(labels.len() - at)))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            shape: self.shape,
            pixels: Vec::new(),
            batches,
            labels,
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

    /// Class numbers.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// All images as one tensor [n, channels, height, width], where they lie.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn tensor(&self) -> Result<Tensor> {
        let batches: Vec<Tensor> = self.batches().collect::<Result<_>>()?;
        Ok(Tensor::cat(&batches, 0)?)
    }

    /// Values and labels of runs of `n` images; none where the images lie on a GPU.
    pub(super) fn runs(&self, n: usize) -> Vec<(&[f32], &[u32])> {
        let image: usize = self.shape.iter().product();
        self.pixels
            .chunks(n * image)
            .zip(self.labels.chunks(n))
            .collect()
    }

    /// Batches as candle takes them, on the device of the images.
    pub(super) fn batches(&self) -> impl Iterator<Item = Result<Tensor>> + '_ {
        let [channels, height, width] = self.shape;
        let on_host = self
            .runs(ACCESS_IMAGES)
            .into_iter()
            .map(move |(pixels, labels)| {
                Ok(Tensor::from_slice(
                    pixels,
                    (labels.len(), channels, height, width),
                    &Device::Cpu,
                )?)
            });
        let on_device = self.batches.iter().map(|batch| Ok(batch.clone()));
        on_device.chain(on_host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_moved_to_a_device_are_chosen_like_those_on_the_host() {
        let (shape, n) = ([2, 3, 2], 2 * ACCESS_IMAGES + 50);
        let images = || {
            let pixels = (0..n * 12).map(|i| i as f32).collect();
            Images::new(
                pixels,
                shape,
                (0..n as u32).map(|i| i % 10).collect(),
                &Device::Cpu,
            )
            .unwrap()
        };
        let (host, moved) = (images(), images().moved(&Device::Cpu).unwrap());
        assert!(moved.pixels.is_empty() && moved.batches.len() == 3);
        let content = |images: &Images| {
            let batches = images
                .batches()
                .map(|batch| batch.unwrap().flatten_all().unwrap().to_vec1::<f32>());
            let batches: Vec<Vec<f32>> = batches.map(|values| values.unwrap()).collect();
            (batches, images.labels().to_vec(), images.shape())
        };
        assert_eq!(content(&moved), content(&host));
        let places: Vec<u32> = (0..n as u32 - 30)
            .map(|i| (i * 7) % n as u32)
            .chain([3, 3])
            .collect();
        for images in [&host, &moved] {
            let chosen = images.select(&places).unwrap();
            let (batches, labels, _) = content(&chosen);
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
            assert_eq!(chosen.pixels.is_empty(), images.pixels.is_empty());
            assert!(images
                .select(&[n as u32])
                .unwrap_err()
                .to_string()
                .contains("a place below 250"));
            assert!(images.select(&[]).is_err());
        }
    }
}
