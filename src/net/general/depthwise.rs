//! Depthwise convolution on the CPU in one pass, with its gradients: each channel by its own kernels, windows of any form.

use super::Windows;
use candle_core::{bail, CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, WithDType};

/// `w * x` of images [batch, channels, height, width] with kernels [channels · share, 1, rows, columns], f32 or f64.
///
/// # Errors
/// Where tensors are not on the CPU or of other types, or no window fits.
pub(super) fn depthwise(x: &Tensor, w: &Tensor, windows: &Windows) -> Result<Tensor> {
    let (batch, channels, height, width) = x.dims4()?;
    let (outputs, _, rows, columns) = w.dims4()?;
    let Some([out_height, out_width]) = windows.outputs(&[height, width]).as_deref().and_then(pair)
    else {
        bail!("no window {windows:?} fits in {height} x {width} pixels");
    };
    if channels == 0 || outputs % channels != 0 || windows.kernel != [rows, columns] {
        bail!("{channels} channels by kernels {:?}", w.dims());
    }
    let planes = Planes {
        runs: runs(windows, [height, width], [out_height, out_width]),
        stride: windows.stride[1],
        share: outputs / channels,
        image: [batch, channels, height, width],
        result: [batch, outputs, out_height, out_width],
        kernel: [outputs, 1, rows, columns],
    };
    let operation = Depthwise {
        planes,
        kind: Kind::Result,
    };
    x.contiguous()?.apply_op2(&w.contiguous()?, operation)
}

fn pair(sizes: &[usize]) -> Option<[usize; 2]> {
    sizes.try_into().ok()
}

/// Pixels of a row of the result that one place of the kernel reaches.
#[derive(Clone, Copy)]
struct Run {
    /// Place in the kernel.
    place: usize,
    /// First pixel in the plane of the image; the next ones are a stride apart.
    image: usize,
    /// First pixel in the plane of the result.
    result: usize,
    count: usize,
}

/// All runs of a plane.
fn runs(windows: &Windows, image: [usize; 2], result: [usize; 2]) -> Vec<Run> {
    let mut all = Vec::new();
    for row in 0..windows.kernel[0] {
        for column in 0..windows.kernel[1] {
            let columns = inside(windows, 1, column, image[1], result[1]);
            let Some(first) = columns.first() else {
                continue;
            };
            for out_row in inside(windows, 0, row, image[0], result[0]) {
                let pixel = |axis: usize, out: usize, place: usize| {
                    out * windows.stride[axis] + place * windows.dilation[axis]
                        - windows.padding[axis]
                };
                all.push(Run {
                    place: row * windows.kernel[1] + column,
                    image: pixel(0, out_row, row) * image[1] + pixel(1, *first, column),
                    result: out_row * result[1] + first,
                    count: columns.len(),
                });
            }
        }
    }
    all
}

/// Results along an axis to which a place of the kernel brings a pixel of the image, not of the padding; one range.
fn inside(
    windows: &Windows,
    axis: usize,
    place: usize,
    image: usize,
    results: usize,
) -> Vec<usize> {
    let padding = windows.padding[axis];
    let is_inside = |out: &usize| {
        let at = out * windows.stride[axis] + place * windows.dilation[axis];
        (padding..padding + image).contains(&at)
    };
    (0..results).filter(is_inside).collect()
}

/// How planes of images and results belong together.
#[derive(Clone)]
struct Planes {
    runs: Vec<Run>,
    /// Pixels of a row of an image from one of a run to the next.
    stride: usize,
    /// Results of a channel.
    share: usize,
    image: [usize; 4],
    result: [usize; 4],
    kernel: [usize; 4],
}

impl Planes {
    /// Calls `visit(result, image, kernel)` for every plane of the result, with the first places of the three.
    fn each(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let area = |sizes: &[usize; 4]| sizes[2] * sizes[3];
        let (image, result) = (area(&self.image), area(&self.result));
        let kernel = area(&self.kernel);
        let outputs = self.result[1];
        for plane in 0..self.result[0] * outputs {
            visit(
                plane * result,
                plane / self.share * image,
                plane % outputs * kernel,
            );
        }
    }
}

/// Values of a contiguous tensor.
fn values<'s, T: WithDType>(storage: &'s CpuStorage, layout: &Layout) -> Result<&'s [T]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("values with gaps");
    };
    Ok(&storage.as_slice::<T>()?[start..end])
}

/// What is computed of two operands.
#[derive(Clone, Copy)]
enum Kind {
    /// The result, of images and kernels.
    Result,
    /// The gradient of the images, of that of the result and the kernels.
    Images,
    /// The gradient of the kernels, of the images and the gradient of the result.
    Kernels,
}

struct Depthwise {
    planes: Planes,
    kind: Kind,
}

impl Depthwise {
    fn compute<T: WithDType>(&self, a: &[T], b: &[T]) -> (Vec<T>, &[usize; 4]) {
        let Planes {
            runs,
            stride,
            image,
            result,
            kernel,
            ..
        } = &self.planes;
        let dims = match self.kind {
            Kind::Result => result,
            Kind::Images => image,
            Kind::Kernels => kernel,
        };
        let mut out = vec![T::from_f64(0.0); dims.iter().product()];
        self.planes.each(|of_result, of_image, of_kernel| {
            for run in runs {
                let (image, result) = (of_image + run.image, of_result + run.result);
                let (place, count) = (of_kernel + run.place, run.count);
                let reach = (count - 1) * stride + 1;
                match self.kind {
                    Kind::Result => {
                        let (x, y) = (&a[image..image + reach], &mut out[result..result + count]);
                        add_product(y, 1, x, *stride, b[place]);
                    }
                    Kind::Images => {
                        let (x, y) = (&mut out[image..image + reach], &a[result..result + count]);
                        add_product(x, *stride, y, 1, b[place]);
                    }
                    Kind::Kernels => {
                        let (x, y) = (&a[image..image + reach], &b[result..result + count]);
                        out[place] += dot(x, *stride, y);
                    }
                }
            }
        });
        (out, dims)
    }

    fn run<T: WithDType>(
        &self,
        (a, la): (&CpuStorage, &Layout),
        (b, lb): (&CpuStorage, &Layout),
    ) -> Result<(CpuStorage, Shape)> {
        let (out, dims) = self.compute(values::<T>(a, la)?, values::<T>(b, lb)?);
        Ok((T::to_cpu_storage_owned(out), Shape::from(dims.to_vec())))
    }
}

/// `y ← y + factor x`, each with its stride.
fn add_product<T: WithDType>(y: &mut [T], step: usize, x: &[T], stride: usize, factor: T) {
    if (step, stride) == (1, 1) {
        for (y, x) in y.iter_mut().zip(x) {
            *y += factor * *x;
        }
        return;
    }
    for (y, x) in y.iter_mut().step_by(step).zip(x.iter().step_by(stride)) {
        *y += factor * *x;
    }
}

/// `Σ x y`, the first with a stride.
fn dot<T: WithDType>(x: &[T], stride: usize, y: &[T]) -> T {
    let mut sum = T::from_f64(0.0);
    if stride > 1 {
        for (x, y) in x.iter().step_by(stride).zip(y) {
            sum += *x * *y;
        }
        return sum;
    }
    // sums that do not wait for each other
    let mut sums = [sum; 8];
    let ((xs, x), (ys, y)) = (x.as_chunks::<8>(), y.as_chunks::<8>());
    for (x, y) in xs.iter().zip(ys) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += *x * *y;
        }
    }
    for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
        *sum += *x * *y;
    }
    for part in sums {
        sum += part;
    }
    sum
}

impl CustomOp2 for Depthwise {
    fn name(&self) -> &'static str {
        "depthwise convolution"
    }

    fn cpu_fwd(
        &self,
        a: &CpuStorage,
        la: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        match (a, b) {
            (CpuStorage::F32(_), CpuStorage::F32(_)) => self.run::<f32>((a, la), (b, lb)),
            (CpuStorage::F64(_), CpuStorage::F64(_)) => self.run::<f64>((a, la), (b, lb)),
            _ => bail!("depthwise convolution of other numbers than f32 or f64, or of both"),
        }
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let of = |kind: Kind| Self {
            planes: self.planes.clone(),
            kind,
        };
        let gradient = gradient.contiguous()?;
        let images = gradient.apply_op2_no_bwd(w, &of(Kind::Images))?;
        let kernels = x.apply_op2_no_bwd(&gradient, &of(Kind::Kernels))?;
        Ok((Some(images), Some(kernels)))
    }
}
