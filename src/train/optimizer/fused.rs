//! A step in one pass over a parameter on the CPU, in place; operation for operation what the plain step does.

use super::{Rule, Update};
use candle_core::{bail, CpuStorage, InplaceOp2, Layout, Result, Tensor, Var};
use std::cell::RefCell;

/// Moves `var`, f32 and contiguous on the CPU, down its gradient.
pub(super) fn step(
    update: &Update,
    var: &Var,
    slots: &mut [Vec<f32>],
    gradient: &Tensor,
) -> Result<()> {
    let pass = Pass {
        update,
        slots: RefCell::new(slots),
    };
    var.inplace_op2(&gradient.contiguous()?, &pass)
}

/// The step as candle's in-place operation: values first, then the gradient.
struct Pass<'a> {
    update: &'a Update,
    slots: RefCell<&'a mut [Vec<f32>]>,
}

impl InplaceOp2 for Pass<'_> {
    fn name(&self) -> &'static str {
        "optimiser step"
    }

    fn cpu_fwd(
        &self,
        values: &mut CpuStorage,
        values_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<()> {
        let (CpuStorage::F32(values), CpuStorage::F32(gradient)) = (values, gradient) else {
            bail!("a fused step is for f32");
        };
        let offsets = (
            values_layout.contiguous_offsets(),
            gradient_layout.contiguous_offsets(),
        );
        let (Some((start, end)), Some((from, to))) = offsets else {
            bail!("a fused step is for contiguous tensors");
        };
        let (values, gradient) = (&mut values[start..end], &gradient[from..to]);
        let mut slots = self.slots.borrow_mut();
        if gradient.len() != values.len() || slots.iter().any(|slot| slot.len() != values.len()) {
            bail!(
                "a gradient of {} values for {}",
                gradient.len(),
                values.len()
            );
        }
        run(self.update, values, gradient, &mut slots)
    }
}

/// Clipping and decay, the same for every optimiser; no clipping is clipping at infinity.
#[derive(Clone, Copy)]
struct Slope {
    clip: f32,
    decay: f32,
}

impl Slope {
    #[inline(always)]
    fn of(self, gradient: f32, value: f32) -> f32 {
        let gradient = if gradient < -self.clip {
            -self.clip
        } else {
            gradient
        };
        let gradient = if gradient > self.clip {
            self.clip
        } else {
            gradient
        };
        gradient + times(value, self.decay)
    }
}

/// `x * factor` as candle multiplies by a number: it adds 0, which turns -0 into 0.
#[inline(always)]
fn times(x: f32, factor: f32) -> f32 {
    x * factor + 0.0
}

/// `decay m + (1 - decay) x`; `rest` is `1 - decay`, rounded once.
#[inline(always)]
fn average(moment: f32, decay: f32, x: f32, rest: f32) -> f32 {
    times(moment, decay) + times(x, rest)
}

fn run(
    update: &Update,
    values: &mut [f32],
    gradient: &[f32],
    slots: &mut [Vec<f32>],
) -> Result<()> {
    let slope = Slope {
        clip: update.clip.map_or(f32::INFINITY, |clip| clip as f32),
        decay: update.decay as f32,
    };
    let rate = update.learning_rate as f32;
    let pairs = values.iter_mut().zip(gradient);
    match (update.rule, slots) {
        (Rule::Sgd { .. }, []) => {
            pairs.for_each(|(value, &g)| *value -= times(slope.of(g, *value), rate));
        }
        (Rule::Sgd { momentum, nesterov }, [velocity]) => {
            let momentum = momentum as f32;
            let triples = pairs.zip(velocity);
            if nesterov {
                triples.for_each(|((value, &g), velocity)| {
                    let g = slope.of(g, *value);
                    *velocity = times(*velocity, momentum) + g;
                    *value -= times(g + times(*velocity, momentum), rate);
                });
            } else {
                triples.for_each(|((value, &g), velocity)| {
                    *velocity = times(*velocity, momentum) + slope.of(g, *value);
                    *value -= times(*velocity, rate);
                });
            }
        }
        (
            Rule::Adam {
                betas,
                epsilon,
                step,
            },
            [first, second],
        ) => {
            let [beta1, beta2] = betas.map(|beta| beta as f32);
            let [rest1, rest2] = betas.map(|beta| (1.0 - beta) as f32);
            let [scale1, scale2] = betas.map(|beta| (1.0 / (1.0 - beta.powf(step as f64))) as f32);
            let epsilon = epsilon as f32;
            pairs
                .zip(first.iter_mut().zip(second))
                .for_each(|((value, &g), (first, second))| {
                    let g = slope.of(g, *value);
                    *first = average(*first, beta1, g, rest1);
                    *second = average(*second, beta2, g * g, rest2);
                    let change = times(*first, scale1) / (times(*second, scale2).sqrt() + epsilon);
                    *value -= times(change, rate);
                });
        }
        (
            Rule::Rmsprop {
                alpha,
                momentum,
                epsilon,
            },
            [square, rest @ ..],
        ) => {
            let (alpha, rest_of_alpha, epsilon) =
                (alpha as f32, (1.0 - alpha) as f32, epsilon as f32);
            let direction = |g: f32, square: &mut f32| {
                *square = average(*square, alpha, g * g, rest_of_alpha);
                g / (square.sqrt() + epsilon)
            };
            let triples = pairs.zip(square);
            match rest {
                [velocity] => {
                    triples
                        .zip(velocity)
                        .for_each(|(((value, &g), square), velocity)| {
                            let direction = direction(slope.of(g, *value), square);
                            *velocity = times(*velocity, momentum as f32) + direction;
                            *value -= times(*velocity, rate);
                        })
                }
                _ => triples.for_each(|((value, &g), square)| {
                    *value -= times(direction(slope.of(g, *value), square), rate);
                }),
            }
        }
        (rule, slots) => bail!("{rule:?} with {} slots", slots.len()),
    }
    Ok(())
}
