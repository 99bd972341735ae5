//! Images of another size: along each axis every new pixel is a weighted sum of old ones, so a matrix.

use super::super::call::{Call, Known};
use crate::error::Result;
use crate::net::general::General;
use crate::net::graph::Op;

/// How the place of a new pixel among the old ones is found.
#[derive(Clone, Copy)]
enum Places {
    AlignCorners,
    Asymmetric,
    Crop([f64; 2]),
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
}

/// What a new pixel takes from the old ones.
#[derive(Clone, Copy)]
enum Mode {
    Cubic(f64),
    Linear,
    Nearest(Nearest),
}

#[derive(Clone, Copy)]
enum Nearest {
    Ceil,
    Floor,
    PreferCeil,
    PreferFloor,
}

/// One axis of images.
struct Axis {
    old: usize,
    new: usize,
    scale: f64,
    places: Places,
    mode: Mode,
    antialias: bool,
    exclude_outside: bool,
}

pub(super) fn resize(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    call.attributes.ignore(&[
        "nearest_mode",
        "cubic_coeff_a",
        "extrapolation_value",
        "keep_aspect_ratio_policy",
    ]);
    let upsample = call.node.op_type == "Upsample";
    let old_form = call.opset < 11 || upsample;
    let rank = x.rank();
    let axes = match call.attributes.integers("axes") {
        None => (0..rank).collect(),
        Some(axes) => call.axes(axes, rank)?,
    };
    let (scales, sizes) = if old_form {
        let of_attribute = call.attributes.floats("scales");
        let of_attribute =
            of_attribute.map(|scales| scales.iter().map(|v| f64::from(*v)).collect());
        (of_attribute.map_or_else(|| call.numbers(1), Ok)?, None)
    } else {
        let scales = if call.optional(2).is_some() {
            call.numbers(2)?
        } else {
            Vec::new()
        };
        (scales, call.integers(3)?)
    };
    let policy = call
        .attributes
        .text_or("keep_aspect_ratio_policy", "stretch");
    let mut wanted = Vec::with_capacity(axes.len());
    match &sizes {
        Some(sizes) if sizes.len() == axes.len() => {
            let ratio = |at: usize| sizes[at] as f64 / x.shape[axes[at]] as f64;
            let ratios = (0..axes.len()).map(ratio);
            let common = match policy.as_str() {
                "not_larger" => Some(ratios.fold(f64::INFINITY, f64::min)),
                "not_smaller" => Some(ratios.fold(0.0, f64::max)),
                _ => None,
            };
            for at in 0..axes.len() {
                let old = x.shape[axes[at]] as f64;
                wanted.push(match common {
                    Some(scale) => ((scale * old + 0.5).floor(), scale),
                    None => (sizes[at] as f64, ratio(at)),
                });
            }
        }
        None if scales.len() == axes.len() => {
            for (scale, axis) in scales.iter().zip(&axes) {
                wanted.push(((x.shape[*axis] as f64 * scale).floor(), *scale));
            }
        }
        _ => return Err(call.wrong(format!("{} scales or sizes", axes.len()), "others")),
    }
    let a = call.attributes.float_or("cubic_coeff_a", -0.75);
    let mode = match call.attributes.text_or("mode", "nearest").as_str() {
        "nearest" => Mode::Nearest(nearest(call, old_form)?),
        "linear" | "bilinear" => Mode::Linear,
        "cubic" => Mode::Cubic(a),
        other => return Err(call.wrong("nearest, linear or cubic", other)),
    };
    let antialias = call.attributes.flag("antialias");
    let exclude_outside = call.attributes.flag("exclude_outside");
    let beyond = call.attributes.float_or("extrapolation_value", 0.0);
    let transformation = call
        .attributes
        .text_or("coordinate_transformation_mode", "half_pixel");
    let mut y = x.clone();
    for (at, axis) in axes.iter().enumerate() {
        let (new, scale) = wanted[at];
        if !((1.0..=65_536.0).contains(&new) && scale > 0.0 && scale.is_finite()) {
            return Err(call.wrong("1 to 65,536 pixels", new.to_string()));
        }
        let places = match transformation.as_str() {
            _ if old_form => Places::Asymmetric,
            "align_corners" => Places::AlignCorners,
            "asymmetric" => Places::Asymmetric,
            "half_pixel" => Places::HalfPixel,
            "half_pixel_symmetric" => Places::HalfPixelSymmetric,
            "pytorch_half_pixel" => Places::PytorchHalfPixel,
            "tf_crop_and_resize" => {
                let roi = call.numbers(1)?;
                if roi.len() != 2 * axes.len() {
                    return Err(
                        call.wrong("a start and an end for each axis", roi.len().to_string())
                    );
                }
                Places::Crop([roi[at], roi[axes.len() + at]])
            }
            other => return Err(call.wrong("a known coordinate_transformation_mode", other)),
        };
        let crops = matches!(places, Places::Crop(_));
        if !crops && scale == 1.0 && new as usize == x.shape[*axis] {
            continue;
        }
        let along = Axis {
            old: x.shape[*axis],
            new: new as usize,
            scale,
            places,
            mode,
            antialias,
            exclude_outside,
        };
        y = resized(call, &y, *axis, &along, beyond)?;
    }
    Ok(y)
}

fn nearest(call: &Call, old_form: bool) -> Result<Nearest> {
    let default = if old_form {
        "floor"
    } else {
        "round_prefer_floor"
    };
    match call.attributes.text_or("nearest_mode", default).as_str() {
        "ceil" => Ok(Nearest::Ceil),
        "floor" => Ok(Nearest::Floor),
        "round_prefer_ceil" => Ok(Nearest::PreferCeil),
        "round_prefer_floor" => Ok(Nearest::PreferFloor),
        other => Err(call.wrong("a known nearest_mode", other)),
    }
}

fn resized(call: &mut Call, x: &Known, axis: usize, along: &Axis, beyond: f64) -> Result<Known> {
    if x.batch == Some(axis) {
        return Err(call.wrong("images of the batch as they are", "another batch"));
    }
    call.take_room(along.new.saturating_mul(along.old))?;
    let mut matrix = Vec::with_capacity(along.new * along.old);
    let mut outside = Vec::with_capacity(along.new);
    for pixel in 0..along.new {
        let row = along.row(pixel);
        outside.push(if row.is_none() { beyond } else { 0.0 });
        matrix.extend(row.unwrap_or_else(|| vec![0.0; along.old]));
    }
    let fills = outside.iter().any(|value| *value != 0.0);
    let matrix = call.vector(matrix, &[along.new, along.old])?;
    let y = call.apply(Op::General(General::Along { axis }), &[x, &matrix])?;
    if !fills {
        return Ok(y);
    }
    let mut shape = vec![1; x.rank()];
    shape[axis] = along.new;
    let outside = call.vector(outside, &shape)?;
    call.add(&y, &outside)
}

impl Axis {
    /// Weights of the old pixels in a new one; `None` where it lies outside of them.
    fn row(&self, pixel: usize) -> Option<Vec<f64>> {
        let place = self.place(pixel as f64);
        if matches!(self.places, Places::Crop(_)) && !(0.0..=self.old as f64 - 1.0).contains(&place)
        {
            return None;
        }
        // the pixel on the left is preferred
        let ratio = if place.fract() == 0.0 {
            1.0
        } else {
            place - place.floor()
        };
        let mut weights = self.weights(ratio);
        let neighbours = neighbours(place, weights.len(), self.old);
        if self.exclude_outside {
            for (weight, at) in weights.iter_mut().zip(&neighbours) {
                if !(0..self.old as i64).contains(at) {
                    *weight = 0.0;
                }
            }
            let sum: f64 = weights.iter().sum();
            weights.iter_mut().for_each(|weight| *weight /= sum);
        }
        let mut row = vec![0.0; self.old];
        for (weight, at) in weights.iter().zip(neighbours) {
            row[at.clamp(0, self.old as i64 - 1) as usize] += weight;
        }
        Some(row)
    }

    fn place(&self, x: f64) -> f64 {
        let (old, new) = (self.old as f64, self.scale * self.old as f64);
        match self.places {
            Places::AlignCorners if new == 1.0 => 0.0,
            Places::AlignCorners => x * (old - 1.0) / (new - 1.0),
            Places::Asymmetric => x / self.scale,
            Places::Crop([start, end]) if new == 1.0 => {
                (end - start) * (old - 1.0) / 2.0 + start * (old - 1.0)
            }
            Places::Crop([start, end]) => {
                x * (end - start) * (old - 1.0) / (new - 1.0) + start * (old - 1.0)
            }
            Places::HalfPixel => (x + 0.5) / self.scale - 0.5,
            Places::HalfPixelSymmetric => {
                let offset = old / 2.0 * (1.0 - self.new as f64 / new);
                offset + (x + 0.5) / self.scale - 0.5
            }
            Places::PytorchHalfPixel if new == 1.0 => -0.5,
            Places::PytorchHalfPixel => (x + 0.5) / self.scale - 0.5,
        }
    }

    /// Weights of the neighbours of a place by its distance from the one on the left.
    fn weights(&self, ratio: f64) -> Vec<f64> {
        let scale = self.scale.min(1.0);
        let normed = |weights: Vec<f64>| {
            let sum: f64 = weights.iter().sum();
            weights.into_iter().map(|weight| weight / sum).collect()
        };
        match self.mode {
            Mode::Nearest(nearest) => {
                let right = ratio == 1.0
                    || match nearest {
                        Nearest::Ceil => true,
                        Nearest::Floor => false,
                        Nearest::PreferCeil => ratio >= 0.5,
                        Nearest::PreferFloor => ratio > 0.5,
                    };
                vec![f64::from(!right), f64::from(right)]
            }
            Mode::Linear if self.antialias => {
                let start = (-1.0 / scale).floor() as i64 + 1;
                let far = |at: i64| ((at as f64 - ratio) * scale).abs();
                normed(
                    (start..2 - start)
                        .map(|at| (1.0 - far(at)).clamp(0.0, 1.0))
                        .collect(),
                )
            }
            Mode::Linear => vec![1.0 - ratio, ratio],
            Mode::Cubic(a) if self.antialias => {
                let start = (-2.0 / scale).floor() as i64 + 1;
                normed(
                    (start..2 - start)
                        .map(|at| cubic(scale * (at as f64 - ratio), a))
                        .collect(),
                )
            }
            Mode::Cubic(a) => (-1..3).map(|at| cubic(at as f64 - ratio, a)).collect(),
        }
    }
}

/// Keys' cubic of a distance (1981).
fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

/// The `n` pixels that are nearest to a place, of two as near the left one; there are more on both sides than asked for.
fn neighbours(place: f64, n: usize, old: usize) -> Vec<i64> {
    let width = n.div_ceil(2) as i64;
    let mut all: Vec<i64> = (-width..old as i64 + width).collect();
    all.sort_by(|a, b| {
        let far = |at: i64| (place - at as f64).abs();
        far(*a).total_cmp(&far(*b)).then(a.cmp(b))
    });
    all.truncate(n);
    all.sort_unstable();
    all
}
