//! The formulas of a step on tensors: for parameters on a GPU, and what the fused step is tested against.

use super::{Rule, Update};
use candle_core::{bail, Result, Tensor, Var};

/// Moves `var` down its gradient.
pub(super) fn step(
    update: &Update,
    var: &Var,
    slots: &mut [Tensor],
    gradient: &Tensor,
) -> Result<()> {
    let mut gradient = gradient.detach();
    if let Some(clip) = update.clip {
        gradient = gradient.clamp(-clip, clip)?;
    }
    let value = var.as_detached_tensor();
    if update.decay > 0.0 {
        gradient = (gradient + (&value * update.decay)?)?;
    }
    let change = direction(&update.rule, slots, gradient)?;
    var.set(&(value - (change * update.learning_rate)?)?)
}

fn direction(rule: &Rule, slots: &mut [Tensor], gradient: Tensor) -> Result<Tensor> {
    match (*rule, slots) {
        (Rule::Sgd { .. }, []) => Ok(gradient),
        (Rule::Sgd { momentum, nesterov }, [velocity]) => {
            *velocity = ((&*velocity * momentum)? + &gradient)?;
            if nesterov {
                return gradient + (&*velocity * momentum)?;
            }
            Ok(velocity.clone())
        }
        (
            Rule::Adam {
                betas: [beta1, beta2],
                epsilon,
                step,
            },
            [first, second],
        ) => {
            average(first, &gradient, beta1)?;
            average(second, &gradient.sqr()?, beta2)?;
            let t = step as f64;
            let first = (&*first / (1.0 - beta1.powf(t)))?;
            let second = (&*second / (1.0 - beta2.powf(t)))?;
            first / (second.sqrt()? + epsilon)?
        }
        (
            Rule::Rmsprop {
                alpha,
                momentum,
                epsilon,
            },
            [square, rest @ ..],
        ) => {
            average(square, &gradient.sqr()?, alpha)?;
            let scaled = (gradient / (square.sqrt()? + epsilon)?)?;
            let [velocity] = rest else { return Ok(scaled) };
            *velocity = ((&*velocity * momentum)? + scaled)?;
            Ok(velocity.clone())
        }
        (rule, slots) => bail!("{rule:?} with {} slots", slots.len()),
    }
}

/// `m ← decay m + (1 - decay) x`.
fn average(moment: &mut Tensor, x: &Tensor, decay: f64) -> Result<()> {
    *moment = ((&*moment * decay)? + (x * (1.0 - decay))?)?;
    Ok(())
}
