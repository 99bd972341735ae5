//! SGD, Adam and RMSprop as PyTorch defines them, with a decay of their own for ranges and a state that can be saved.
//!
//! On the CPU a step is one pass over each parameter (`fused`), elsewhere the same formulas on tensors (`plain`);
//! both give the same bits.

mod fused;
mod plain;

use super::spec::{OptimizerName, OptimizerSpec};
use crate::error::{Error, Result, TensorContext};
use crate::net::{Parameter, Role};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};

/// An optimiser over named parameters.
#[derive(Debug)]
pub struct Optimizer {
    spec: OptimizerSpec,
    grad_clip: Option<f64>,
    tracked: Vec<(Parameter, Slots)>,
    steps: u64,
}

/// What is remembered of one parameter, in the order of [`Rule::slots`]; zero before the first step.
#[derive(Debug)]
enum Slots {
    /// Wherever the parameter is.
    Plain(Vec<Tensor>),
    /// For f32 on the CPU.
    Fused(Vec<Vec<f32>>),
}

/// What one step does to one parameter.
#[derive(Clone, Copy, Debug)]
struct Update {
    rule: Rule,
    learning_rate: f64,
    /// Weight decay: this times the value joins the gradient.
    decay: f64,
    /// Gradients are clipped to ± this before.
    clip: Option<f64>,
}

/// An optimiser with its constants at one step.
#[derive(Clone, Copy, Debug)]
enum Rule {
    Sgd {
        momentum: f64,
        nesterov: bool,
    },
    Adam {
        betas: [f64; 2],
        epsilon: f64,
        /// Number of this step, from 1.
        step: u64,
    },
    Rmsprop {
        alpha: f64,
        momentum: f64,
        epsilon: f64,
    },
}

impl Rule {
    fn new(spec: &OptimizerSpec, step: u64) -> Self {
        let epsilon = spec.epsilon.unwrap_or(1e-8);
        match spec.name {
            OptimizerName::Sgd => Self::Sgd {
                momentum: spec.momentum.unwrap_or(0.9),
                nesterov: spec.nesterov.unwrap_or(false),
            },
            OptimizerName::Adam => Self::Adam {
                betas: spec.betas.unwrap_or([0.9, 0.999]),
                epsilon,
                step,
            },
            OptimizerName::Rmsprop => Self::Rmsprop {
                alpha: spec.alpha.unwrap_or(0.99),
                momentum: spec.momentum.unwrap_or(0.0),
                epsilon,
            },
        }
    }

    /// Names of what is remembered: `momentum`, `v ← momentum v + direction`; the others, `m ← decay m +
    /// (1 - decay) x`, of gradients (`first`) or their squares (`second`, `square`).
    fn slots(&self) -> &'static [&'static str] {
        match self {
            Self::Sgd { momentum: 0.0, .. } => &[],
            Self::Sgd { .. } => &["momentum"],
            Self::Adam { .. } => &["first", "second"],
            Self::Rmsprop { momentum: 0.0, .. } => &["square"],
            Self::Rmsprop { .. } => &["square", "momentum"],
        }
    }
}

impl Optimizer {
    /// An optimiser that has not stepped yet. `grad_clip` clips gradients to ± its value.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn new(
        spec: &OptimizerSpec,
        grad_clip: Option<f64>,
        parameters: Vec<Parameter>,
    ) -> Result<Self> {
        let fits = |p: &Parameter| {
            p.var.device().is_cpu() && p.var.dtype() == DType::F32 && p.var.is_contiguous()
        };
        Self::with(spec, grad_clip, parameters, fits)
    }

    /// [`Self::new`] with a choice of the parameters that take the fused step.
    fn with(
        spec: &OptimizerSpec,
        grad_clip: Option<f64>,
        parameters: Vec<Parameter>,
        fused: impl Fn(&Parameter) -> bool,
    ) -> Result<Self> {
        let count = Rule::new(spec, 0).slots().len();
        let mut tracked = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            let slots = if fused(&parameter) {
                let zeros = vec![0.0; parameter.var.elem_count()];
                Slots::Fused(vec![zeros; count])
            } else {
                let zeros = |_| Ok(parameter.var.as_tensor().zeros_like()?.detach());
                Slots::Plain((0..count).map(zeros).collect::<Result<_>>()?)
            };
            tracked.push((parameter, slots));
        }
        Ok(Self {
            spec: spec.clone(),
            grad_clip,
            tracked,
            steps: 0,
        })
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Everything that the next step depends on, by name (`<slot>/<parameter>`), sorted.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let names = Rule::new(&self.spec, self.steps).slots();
        let mut state = Vec::with_capacity(names.len() * self.tracked.len());
        for (parameter, slots) in &self.tracked {
            for (at, slot) in names.iter().enumerate() {
                let tensor = match slots {
                    Slots::Plain(slots) => slots[at].clone(),
                    Slots::Fused(slots) => {
                        Tensor::from_slice(&slots[at], parameter.var.shape(), &Device::Cpu)?
                    }
                };
                state.push((format!("{slot}/{}", parameter.name), tensor));
            }
        }
        state.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(state)
    }

    /// Takes up a saved state; an empty one is that of no steps.
    ///
    /// # Errors
    /// [`Error::Argument`] where a tensor is missing, unknown, or of another shape than its parameter.
    pub fn restore(&mut self, state: &[(String, Tensor)], steps: u64) -> Result<()> {
        self.steps = steps;
        if state.is_empty() {
            return Ok(());
        }
        let names = Rule::new(&self.spec, steps).slots();
        let wrong =
            |expected: String, found: String| Error::argument("optimiser state", expected, found);
        let expected = names.len() * self.tracked.len();
        if state.len() != expected {
            return Err(wrong(
                format!("{expected} tensors"),
                state.len().to_string(),
            ));
        }
        for (parameter, slots) in &mut self.tracked {
            for (at, slot) in names.iter().enumerate() {
                let name = format!("{slot}/{}", parameter.name);
                let found = state.iter().find(|(known, _)| *known == name);
                let Some((_, tensor)) = found else {
                    return Err(wrong(format!("a tensor `{name}`"), "none".into()));
                };
                if tensor.shape() != parameter.var.shape() {
                    let expected = format!("{:?} for `{name}`", parameter.var.dims());
                    return Err(wrong(expected, format!("{:?}", tensor.dims())));
                }
                match slots {
                    Slots::Plain(slots) => slots[at] = tensor.to_device(parameter.var.device())?,
                    Slots::Fused(slots) => slots[at] = tensor.flatten_all()?.to_vec1()?,
                }
            }
        }
        Ok(())
    }

    /// One step down the gradients at a learning rate.
    ///
    /// # Errors
    /// [`Error::Argument`] for a parameter without a gradient, or a tensor failure.
    pub fn step(&mut self, gradients: &GradStore, learning_rate: f64) -> Result<()> {
        self.steps += 1;
        let rule = Rule::new(&self.spec, self.steps);
        for (parameter, slots) in &mut self.tracked {
            let gradient = gradients.get(&parameter.var).ok_or_else(|| {
                Error::argument(
                    "training step",
                    "a gradient for every parameter",
                    format!("none for `{}`", parameter.name),
                )
            })?;
            let decay = match parameter.role {
                Role::Range => self.spec.range_decay,
                Role::Weight | Role::Other => self.spec.weight_decay,
            };
            let update = Update {
                rule,
                learning_rate,
                decay,
                clip: self.grad_clip,
            };
            let done = match slots {
                Slots::Plain(slots) => plain::step(&update, &parameter.var, slots, gradient),
                Slots::Fused(slots) => fused::step(&update, &parameter.var, slots, gradient),
            };
            done.during(|| format!("training step of `{}`", parameter.name))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, Seed};
    use candle_core::Var;

    /// Minimises `x²/2` (gradient x) from 1 with learning rate 0.1 and returns each x.
    fn path(spec: OptimizerSpec, role: Role, steps: usize) -> Vec<f64> {
        let var = Var::new(&[1f32], &Device::Cpu).unwrap();
        let parameter = Parameter {
            name: "x".into(),
            var: var.clone(),
            role,
        };
        let mut optimizer = Optimizer::new(&spec, None, vec![parameter]).unwrap();
        let step = |_| {
            let loss = (var.sqr().unwrap() * 0.5).unwrap().sum_all().unwrap();
            optimizer.step(&loss.backward().unwrap(), 0.1).unwrap();
            f64::from(var.to_vec1::<f32>().unwrap()[0])
        };
        (0..steps).map(step).collect()
    }

    fn near(path: &[f64], expected: &[f64]) {
        assert!(
            path.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6),
            "{path:?}"
        );
    }

    fn spec(name: OptimizerName) -> OptimizerSpec {
        OptimizerSpec {
            name,
            ..OptimizerSpec::default()
        }
    }

    #[test]
    fn steps_match_the_formulas_worked_by_hand() {
        let plain = OptimizerSpec {
            momentum: Some(0.0),
            ..spec(OptimizerName::Sgd)
        };
        near(&path(plain, Role::Weight, 2), &[0.9, 0.81]);
        // v = 1, x = 0.9; v = 0.9 + 0.9 = 1.8, x = 0.72
        near(
            &path(spec(OptimizerName::Sgd), Role::Weight, 2),
            &[0.9, 0.72],
        );
        // first: 1 + 0.9; second: v = 0.9 + 0.81 = 1.71, change = 0.81 + 1.539
        let nesterov = OptimizerSpec {
            nesterov: Some(true),
            ..spec(OptimizerName::Sgd)
        };
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
        for name in [
            OptimizerName::Sgd,
            OptimizerName::Adam,
            OptimizerName::Rmsprop,
        ] {
            let whole = path(spec(name), Role::Weight, 6);
            let var = Var::new(&[1f32], &Device::Cpu).unwrap();
            let parameter = || Parameter {
                name: "x".into(),
                var: var.clone(),
                role: Role::Weight,
            };
            let mut saved = (Vec::new(), 0);
            let mut last = 0.0;
            for _ in 0..6 {
                let mut optimizer = Optimizer::new(&spec(name), None, vec![parameter()]).unwrap();
                optimizer.restore(&saved.0, saved.1).unwrap();
                let loss = (var.sqr().unwrap() * 0.5).unwrap().sum_all().unwrap();
                optimizer.step(&loss.backward().unwrap(), 0.1).unwrap();
                saved = (optimizer.state().unwrap(), optimizer.steps());
                last = f64::from(var.to_vec1::<f32>().unwrap()[0]);
            }
            assert_eq!(last, whole[5], "{name:?}");
        }
    }

    #[test]
    fn clipped_gradients_move_no_further_than_the_clip() {
        let var = Var::new(&[1f32, -1.0], &Device::Cpu).unwrap();
        let parameter = Parameter {
            name: "x".into(),
            var: var.clone(),
            role: Role::Weight,
        };
        let spec = OptimizerSpec {
            momentum: Some(0.0),
            ..spec(OptimizerName::Sgd)
        };
        let mut optimizer = Optimizer::new(&spec, Some(0.25), vec![parameter]).unwrap();
        let loss = (var.sqr().unwrap() * 100.0).unwrap().sum_all().unwrap();
        optimizer.step(&loss.backward().unwrap(), 1.0).unwrap();
        assert_eq!(var.to_vec1::<f32>().unwrap(), [0.75, -0.75]);
    }

    /// Every optimiser, with and without each of its options.
    fn specs() -> Vec<OptimizerSpec> {
        let momentum = |name, momentum| OptimizerSpec {
            momentum: Some(momentum),
            ..spec(name)
        };
        let mut all = vec![
            spec(OptimizerName::Sgd),
            momentum(OptimizerName::Sgd, 0.0),
            OptimizerSpec {
                nesterov: Some(true),
                ..spec(OptimizerName::Sgd)
            },
            spec(OptimizerName::Adam),
            OptimizerSpec {
                betas: Some([0.5, 0.8]),
                epsilon: Some(1e-3),
                ..spec(OptimizerName::Adam)
            },
            spec(OptimizerName::Rmsprop),
            OptimizerSpec {
                alpha: Some(0.7),
                ..momentum(OptimizerName::Rmsprop, 0.6)
            },
        ];
        let decayed = |spec: &OptimizerSpec| OptimizerSpec {
            weight_decay: 5e-4,
            range_decay: 0.01,
            ..spec.clone()
        };
        all.extend(all.iter().map(decayed).collect::<Vec<_>>());
        all
    }

    /// Values and state, as bits, after steps on loss `Σ c x²` of a matrix and a range.
    fn bits(spec: &OptimizerSpec, clip: Option<f64>, fused: bool, steps: usize) -> Vec<Vec<u32>> {
        let normal = |index, shape: &[usize]| {
            Seed(5)
                .stream(Purpose::Test, &[index])
                .normal_tensor(1.0, shape)
                .unwrap()
        };
        let parameter = |name: &str, index, shape: &[usize], role| {
            let var = Var::from_tensor(&normal(index, shape)).unwrap();
            Parameter {
                name: name.into(),
                var,
                role,
            }
        };
        let parameters = vec![
            parameter("fc.range", 0, &[], Role::Range),
            parameter("fc.weight", 1, &[7, 13], Role::Weight),
            parameter("norm.bias", 2, &[3], Role::Other),
        ];
        let mut optimizer = Optimizer::with(spec, clip, parameters.clone(), |_| fused).unwrap();
        for step in 0..steps as u64 {
            let losses = parameters.iter().map(|p| {
                let scale = normal(10 + step, p.var.dims());
                (p.var.sqr().unwrap() * scale).unwrap().sum_all().unwrap()
            });
            let loss = losses.reduce(|a, b| (a + b).unwrap()).unwrap();
            optimizer.step(&loss.backward().unwrap(), 0.05).unwrap();
        }
        let values = parameters.iter().map(|p| p.var.as_detached_tensor());
        let state = optimizer
            .state()
            .unwrap()
            .into_iter()
            .map(|(_, tensor)| tensor);
        let of = |t: Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        // adding 0 gives -0 the sign of 0
        values
            .chain(state)
            .map(|t| of(t).into_iter().map(|x| (x + 0.0).to_bits()).collect())
            .collect()
    }

    #[test]
    fn the_fused_step_gives_the_bits_of_the_plain_one() {
        for spec in specs() {
            for clip in [None, Some(0.3)] {
                assert_eq!(
                    bits(&spec, clip, true, 6),
                    bits(&spec, clip, false, 6),
                    "{spec:?} {clip:?}"
                );
            }
        }
        let clipped = |clip| bits(&spec(OptimizerName::Sgd), clip, true, 1);
        assert_ne!(clipped(None), clipped(Some(0.3)));
    }

    #[test]
    fn a_state_that_does_not_fit_is_refused_by_name() {
        let parameter = |n: usize| {
            let var =
                Var::from_tensor(&Tensor::zeros(n, DType::F32, &Device::Cpu).unwrap()).unwrap();
            Parameter {
                name: "x".into(),
                var,
                role: Role::Weight,
            }
        };
        let new = |name, n| Optimizer::new(&spec(name), None, vec![parameter(n)]).unwrap();
        let restore = |n, state: &[(String, Tensor)]| {
            new(OptimizerName::Sgd, n)
                .restore(state, 1)
                .map_err(|error| error.to_string())
        };
        let state = new(OptimizerName::Sgd, 2).state().unwrap();
        assert_eq!(state[0].0, "momentum/x");
        restore(2, &state).unwrap();
        restore(2, &[]).unwrap();
        let error = restore(3, &state).unwrap_err();
        assert_eq!(
            error,
            "optimiser state: expected [3] for `momentum/x`, found [2]"
        );
        let other = new(OptimizerName::Rmsprop, 2).state().unwrap();
        let error = restore(2, &other).unwrap_err();
        assert_eq!(
            error,
            "optimiser state: expected a tensor `momentum/x`, found none"
        );
        let more = new(OptimizerName::Adam, 2).state().unwrap();
        assert_eq!(
            restore(2, &more).unwrap_err(),
            "optimiser state: expected 1 tensors, found 2"
        );
    }
}
