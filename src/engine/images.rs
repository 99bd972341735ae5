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
    pub fn new(pixels: Vec<f32>, shape: [usize; 3], labels: Vec<u32>, device: &Device) -> Result<Self> {
        let image: usize = shape.iter().product();
        if labels.is_empty() || pixels.len() != labels.len() * image {
            return Err(Error::argument(
                "images to evaluate",
                format!("at least one image of {image} values and as many labels"),
                format!("{} values and {} labels", pixels.len(), labels.len()),
            ));
        }
        let mut images = Self { shape, pixels, batches: Vec::new(), labels };
        if !device.is_cpu() {
            let batches = images.batches().map(|batch| Ok(batch?.to_device(device)?));
            images.batches = batches.collect::<Result<_>>()?;
            images.pixels = Vec::new();
        }
        Ok(images)
    }

    /// The images of these places alone, in this order.
    ///
    /// # Errors
    /// [`Error::Argument`] for a place outside, for none at all, or where the images lie on a GPU; a tensor failure.
    pub fn select(&self, places: &[u32]) -> Result<Self> {
        let image: usize = self.shape.iter().product();
        let (mut pixels, mut labels) = (Vec::with_capacity(places.len() * image), Vec::new());
        for &place in places {
            let at = place as usize;
            let (Some(label), Some(values)) =
                (self.labels.get(at), self.pixels.get(at * image..(at + 1) * image))
            else {
                let expected = format!("a place below {}, of images on the CPU", self.labels.len());
                return Err(Error::argument("image", expected, place.to_string()));
            };
            pixels.extend_from_slice(values);
            labels.push(*label);
        }
        Self::new(pixels, self.shape, labels, &Device::Cpu)
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
        self.pixels.chunks(n * image).zip(self.labels.chunks(n)).collect()
    }

    /// Batches as candle takes them, on the device of the images.
    pub(super) fn batches(&self) -> impl Iterator<Item = Result<Tensor>> + '_ {
        let [channels, height, width] = self.shape;
        let on_host = self.runs(ACCESS_IMAGES).into_iter().map(move |(pixels, labels)| {
            Ok(Tensor::from_slice(pixels, (labels.len(), channels, height, width), &Device::Cpu)?)
        });
        let on_device = self.batches.iter().map(|batch| Ok(batch.clone()));
        on_device.chain(on_host)
    }
}
