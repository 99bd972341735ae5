//! SGD, Adam and RMSprop as PyTorch defines them, with a decay of their own for ranges and a state that can be saved.

use super::spec::{OptimizerName, OptimizerSpec};
use crate::error::{Error, Result};
use crate::net::{Parameter, Role};
use candle_core::backprop::GradStore;
use candle_core::Tensor;
use std::collections::BTreeMap;

/// An optimiser over named parameters.
#[derive(Debug)]
pub struct Optimizer {
    spec: OptimizerSpec,
    grad_clip: Option<f64>,
    parameters: Vec<Parameter>,
    /// `<slot>/<parameter>`: momentum, first and second moments.
    slots: BTreeMap<String, Tensor>,
    steps: u64,
}

impl Optimizer {
    /// An optimiser that has not stepped yet. `grad_clip` clips gradients to ± its value.
    pub fn new(spec: &OptimizerSpec, grad_clip: Option<f64>, parameters: Vec<Parameter>) -> Self {
        Self { spec: spec.clone(), grad_clip, parameters, slots: BTreeMap::new(), steps: 0 }
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Everything that the next step depends on, by name.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.slots.iter().map(|(name, tensor)| (name.clone(), tensor.clone())).collect()
    }

    /// Takes up a saved state.
    pub fn restore(&mut self, slots: &[(String, Tensor)], steps: u64) {
        self.slots = slots.iter().cloned().collect();
        self.steps = steps;
    }

    /// One step down the gradients at a learning rate.
    ///
    /// # Errors
    /// [`Error::Argument`] for a parameter without a gradient, or a tensor failure.
    pub fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        self.steps += 1;
        for parameter in self.parameters.clone() {
            let gradient = gradients.get(&parameter.var).ok_or_else(|| {
                Error::argument(
                    "training step",
                    "a gradient for every parameter",
                    format!("none for `{}`", parameter.name),
                )
            })?;
            let mut gradient = gradient.detach();
            if let Some(clip) = self.grad_clip {
                gradient = gradient.clamp(-clip, clip)?;
            }
            let value = parameter.var.as_detached_tensor();
            let decay = match parameter.role {
                Role::Range => self.spec.range_decay,
                Role::Weight | Role::Other => self.spec.weight_decay,
            };
            if decay > 0.0 {
                gradient = (gradient + (&value * decay)?)?;
            }
            let change = self.direction(&parameter.name, gradient)?;
            parameter.var.set(&(value - (change * learning_rate)?)?)?;
        }
        Ok(())
    }

    fn direction(&mut self, name: &str, gradient: Tensor) -> Result<Tensor> {
        match self.spec.name {
            OptimizerName::Sgd => self.sgd(name, gradient),
            OptimizerName::Adam => self.adam(name, &gradient),
            OptimizerName::Rmsprop => self.rmsprop(name, gradient),
        }
    }

    fn sgd(&mut self, name: &str, gradient: Tensor) -> Result<Tensor> {
        let momentum = self.spec.momentum.unwrap_or(0.9);
        if momentum == 0.0 {
            return Ok(gradient);
        }
        let velocity = self.momentum(name, &gradient, momentum)?;
        if self.spec.nesterov.unwrap_or(false) {
            return Ok((gradient + (velocity * momentum)?)?);
        }
        Ok(velocity)
    }

    /// `v ← momentum v + gradient`, starting at the first gradient.
    fn momentum(&mut self, name: &str, gradient: &Tensor, momentum: f64) -> Result<Tensor> {
        let key = format!("momentum/{name}");
        let velocity = match self.slots.get(&key) {
            Some(velocity) => ((velocity * momentum)? + gradient)?,
            None => gradient.copy()?,
        };
        self.slots.insert(key, velocity.clone());
        Ok(velocity)
    }

    /// `m ← decay m + (1 - decay) x`, starting at 0.
    fn moment(&mut self, slot: &str, name: &str, x: &Tensor, decay: f64) -> Result<Tensor> {
        let key = format!("{slot}/{name}");
        let new = (x * (1.0 - decay))?;
        let moment = match self.slots.get(&key) {
            Some(moment) => ((moment * decay)? + new)?,
            None => new,
        };
        self.slots.insert(key, moment.clone());
        Ok(moment)
    }

    fn adam(&mut self, name: &str, gradient: &Tensor) -> Result<Tensor> {
        let [beta1, beta2] = self.spec.betas.unwrap_or([0.9, 0.999]);
        let first = self.moment("first", name, gradient, beta1)?;
        let second = self.moment("second", name, &gradient.sqr()?, beta2)?;
        let t = self.steps as f64;
        let (first, second) = ((first / (1.0 - beta1.powf(t)))?, (second / (1.0 - beta2.powf(t)))?);
        Ok((first / (second.sqrt()? + self.epsilon())?)?)
    }

    fn rmsprop(&mut self, name: &str, gradient: Tensor) -> Result<Tensor> {
        let square = self.moment("square", name, &gradient.sqr()?, self.spec.alpha.unwrap_or(0.99))?;
        let scaled = (gradient / (square.sqrt()? + self.epsilon())?)?;
        match self.spec.momentum.unwrap_or(0.0) {
            0.0 => Ok(scaled),
            momentum => self.momentum(name, &scaled, momentum),
        }
    }

    fn epsilon(&self) -> f64 {
        self.spec.epsilon.unwrap_or(1e-8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    /// Minimises `x²/2` (gradient x) from 1 with learning rate 0.1 and returns each x.
    fn path(spec: OptimizerSpec, role: Role, steps: usize) -> Vec<f64> {
        let var = Var::new(&[1f32], &Device::Cpu).unwrap();
        let parameter = Parameter { name: "x".into(), var: var.clone(), role };
        let mut optimizer = Optimizer::new(&spec, None, vec![parameter]);
        let step = |_| {
            let loss = (var.sqr().unwrap() * 0.5).unwrap().sum_all().unwrap();
            optimizer.step(&loss.backward().unwrap(), 0.1).unwrap();
            f64::from(var.to_vec1::<f32>().unwrap()[0])
        };
        (0..steps).map(step).collect()
    }

    fn near(path: &[f64], expected: &[f64]) {
        assert!(path.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{path:?}");
    }

    fn spec(name: OptimizerName) -> OptimizerSpec {
        OptimizerSpec { name, ..OptimizerSpec::default() }
    }

    #[test]
    fn steps_match_the_formulas_worked_by_hand() {
        let plain = OptimizerSpec { momentum: Some(0.0), ..spec(OptimizerName::Sgd) };
        near(&path(plain, Role::Weight, 2), &[0.9, 0.81]);
        // v = 1, x = 0.9; v = 0.9 + 0.9 = 1.8, x = 0.72
        near(&path(spec(OptimizerName::Sgd), Role::Weight, 2), &[0.9, 0.72]);
        // first: 1 + 0.9; second: v = 0.9 + 0.81 = 1.71, change = 0.81 + 1.539
        let nesterov = OptimizerSpec { nesterov: Some(true), ..spec(OptimizerName::Sgd) };
        near(&path(nesterov, Role::Weight, 2), &[0.81, 0.81 - 0.2349]);
        // Adam's first step is the learning rate, whatever the gradient
        near(&path(spec(OptimizerName::Adam), Role::Weight, 1), &[0.9]);
        // RMSprop: 1 / (√0.01 + 1e-8) = 10
        near(&path(spec(OptimizerName::Rmsprop), Role::Weight, 1), &[0.0]);
    }

    #[test]
    fn ranges_have_their_own_decay() {
        let decayed = OptimizerSpec {
            momentum: Some(0.0),
            weight_decay: 0.5,
            range_decay: 2.0,
            ..spec(OptimizerName::Sgd)
        };
        near(&path(decayed.clone(), Role::Weight, 1), &[1.0 - 0.15]);
        near(&path(decayed.clone(), Role::Other, 1), &[1.0 - 0.15]);
        near(&path(decayed, Role::Range, 1), &[1.0 - 0.3]);
    }

    #[test]
    fn a_saved_state_goes_on_exactly() {
        for name in [OptimizerName::Sgd, OptimizerName::Adam, OptimizerName::Rmsprop] {
            let whole = path(spec(name), Role::Weight, 6);
            let var = Var::new(&[1f32], &Device::Cpu).unwrap();
            let parameter = || Parameter { name: "x".into(), var: var.clone(), role: Role::Weight };
            let mut saved = (Vec::new(), 0);
            let mut last = 0.0;
            for _ in 0..6 {
                let mut optimizer = Optimizer::new(&spec(name), None, vec![parameter()]);
                optimizer.restore(&saved.0, saved.1);
                let loss = (var.sqr().unwrap() * 0.5).unwrap().sum_all().unwrap();
                optimizer.step(&loss.backward().unwrap(), 0.1).unwrap();
                saved = (optimizer.state(), optimizer.steps());
                last = f64::from(var.to_vec1::<f32>().unwrap()[0]);
            }
            assert_eq!(last, whole[5], "{name:?}");
        }
    }

    #[test]
    fn clipped_gradients_move_no_further_than_the_clip() {
        let var = Var::new(&[1f32, -1.0], &Device::Cpu).unwrap();
        let parameter = Parameter { name: "x".into(), var: var.clone(), role: Role::Weight };
        let spec = OptimizerSpec { momentum: Some(0.0), ..spec(OptimizerName::Sgd) };
        let mut optimizer = Optimizer::new(&spec, Some(0.25), vec![parameter]);
        let loss = (var.sqr().unwrap() * 100.0).unwrap().sum_all().unwrap();
        optimizer.step(&loss.backward().unwrap(), 1.0).unwrap();
        assert_eq!(var.to_vec1::<f32>().unwrap(), [0.75, -0.75]);
    }
}
