//! A number that stands for the bits that this program computes, and what is begun under another one.
//!
//! It is a hash over results of our own kernels for fixed inputs: logits, one training step, functions of rows, the
//! faulty words of one chip. It is the same for AVX-512 and AVX2, which round alike, and another for the portable instructions. Nothing in
//! it follows the machine otherwise: no matrix product or exponential of candle or the system, no normal number. The skips between
//! faults take a logarithm, but only as far as whole cells. Each arithmetic has a number of its own.

use crate::engine::{Evaluator, Images};
use crate::error::{Error, Result, TensorContext};
use crate::fault::{faulty_words, ArraySpec, Chip, FaultKind};
use crate::kernel::{
    batch_norm, channel_mean, conv2d, max_pool, padded_shortcut, residual_network, with_values,
    Arithmetic, Isa, Part, Product, RowFunction, Workspace,
};
use crate::net::{Architecture, Network, Parameter, Role};
use crate::quant::{Method, QuantizedWeight, QuantizerSpec};
use crate::seed::{Purpose, Seed, Stream};
use crate::store;
use crate::train::{Optimizer, OptimizerName, OptimizerSpec};
use crate::units::{Ber, Bits, ChipId, Fraction};
use candle_core::{Device, Shape, Tensor, Var};
use std::path::Path;
use std::sync::OnceLock;

/// Everything here is drawn from it.
const SEED: Seed = Seed(20);
/// Hexadecimal digits of the number.
const DIGITS: usize = 16;

/// The number of this process: its program under the vector instructions and the arithmetic in use.
///
/// # Errors
/// A tensor failure.
pub fn numerics() -> Result<&'static str> {
    numerics_of(Arithmetic::current())
}

/// The same of one arithmetic.
///
/// # Errors
/// As [`numerics`].
pub(super) fn numerics_of(arithmetic: Arithmetic) -> Result<&'static str> {
    static DIRECT: OnceLock<String> = OnceLock::new();
    static WINOGRAD: OnceLock<String> = OnceLock::new();
    let place = match arithmetic {
        Arithmetic::Direct => &DIRECT,
        Arithmetic::Winograd => &WINOGRAD,
    };
    if let Some(own) = place.get() {
        return Ok(own);
    }
    let mut bits = Vec::new();
    logits(Isa::current(), arithmetic, &mut bits)?;
    training_step(&mut bits)?;
    if arithmetic == Arithmetic::Winograd {
        residual_step(&mut bits)?;
    }
    rows(&mut bits);
    words(&mut bits)?;
    let mut own = store::sha256(&bits);
    own.truncate(DIGITS);
    Ok(place.get_or_init(|| own))
}

/// Refuses to go on with what was begun under other numerics than `own`; `way_out` says what to do beside it.
///
/// # Errors
/// [`Error::Input`] that names the file, both numbers and the ways out.
pub(super) fn check(file: &Path, begun: Option<&str>, own: &str, way_out: &str) -> Result<()> {
    if begun == Some(own) {
        return Ok(());
    }
    let found = match begun {
        Some(begun) => format!("{begun}, of the program that began it and goes on with it"),
        None => "none: it was begun by a program before them, which goes on with it".into(),
    };
    let expected = format!("{own}, the numerics of this program ({way_out})");
    Err(Error::input_at(
        file,
        None,
        Some("numerics"),
        expected,
        found,
    ))
}

/// A stream of its own for each part.
fn stream(part: u64) -> Stream {
    SEED.stream(Purpose::Numerics, &[part])
}

fn put(bits: &mut Vec<u8>, values: &[f32]) {
    bits.extend(
        values
            .iter()
            .flat_map(|value| value.to_bits().to_le_bytes()),
    );
}

fn put_tensor(bits: &mut Vec<u8>, tensor: &Tensor) -> candle_core::Result<()> {
    with_values(&tensor.contiguous()?, |values| {
        put(bits, values);
        Ok(())
    })
}

fn quantizer() -> Result<QuantizerSpec> {
    Ok(QuantizerSpec {
        method: Method::Wcat,
        bits: Bits::new(4)?,
        ..QuantizerSpec::default()
    })
}

/// Logits of networks with every kernel of the engine.
fn logits(isa: Isa, arithmetic: Arithmetic, bits: &mut Vec<u8>) -> Result<()> {
    let small = Architecture::Resnet {
        blocks: 1,
        projection: false,
    };
    for architecture in [Architecture::Lenet5, small] {
        let mut stream = stream(0);
        let (mut network, _) = Network::new(architecture, 10, &quantizer()?, SEED, &Device::Cpu)?;
        // initial weights of some networks are normal numbers, which these are not
        let mut state = network.state()?;
        for (name, tensor) in &mut state {
            let (low, high) = if name.ends_with("running_var") {
                (0.5, 1.5)
            } else {
                (-0.5, 0.5)
            };
            *tensor = stream.uniform_tensor(low, high, tensor.shape())?;
        }
        state.retain(|(name, _)| !name.ends_with(".range"));
        network.load_state(&state)?;
        let shape = architecture.input_shape();
        let images = uniform_values(&mut stream, 2 * shape.iter().product::<usize>());
        let images = Images::new(images, shape, vec![0; 2], &Device::Cpu)?;
        let evaluator = Evaluator::with(network, isa, arithmetic)?;
        put(bits, &evaluator.logits(&[], &images)?);
    }
    Ok(())
}

fn uniform_values(stream: &mut Stream, count: usize) -> Vec<f32> {
    (0..count)
        .map(|_| stream.between(-1.0, 1.0) as f32)
        .collect()
}

/// Variables of a training step.
struct Variables {
    stream: Stream,
    parameters: Vec<Parameter>,
}

impl Variables {
    fn uniform(&mut self, shape: impl Into<Shape>) -> Result<Tensor> {
        self.stream.uniform_tensor(-1.0, 1.0, shape)
    }

    fn add(&mut self, var: &Var, role: Role) {
        self.parameters.push(Parameter {
            name: self.parameters.len().to_string(),
            var: var.clone(),
            role,
        });
    }

    /// A variable of weight, bias or norm.
    fn var(&mut self, shape: impl Into<Shape>) -> Result<Tensor> {
        let var = Var::from_tensor(&self.uniform(shape)?)?;
        self.add(&var, Role::Other);
        Ok(var.as_tensor().clone())
    }

    /// A quantised weight with its range.
    fn weight(&mut self, shape: impl Into<Shape>) -> Result<Tensor> {
        let values = self.uniform(shape)?;
        let (layer, _) = QuantizedWeight::new("weight", values, &quantizer()?)?;
        self.add(layer.weight(), Role::Weight);
        if let Some(range) = layer.range() {
            self.add(range, Role::Range);
        }
        layer.training_weight(0, 0.0, None)
    }
}

/// What one step makes of the variables of a residual block and a pooling. The gradient of the loss is given, so that
/// no sum of candle's is in it.
fn training_step(bits: &mut Vec<u8>) -> Result<()> {
    let mut variables = Variables {
        stream: stream(1),
        parameters: Vec::new(),
    };
    let images = variables.uniform((4, 3, 8, 8))?;
    let (first, second) = (
        variables.weight((16, 3, 3, 3))?,
        variables.weight((32, 16, 3, 3))?,
    );
    let (norm, other) = (variables.var((2, 16))?, variables.var((2, 32))?);
    let bias = variables.var(32)?;
    let (x, _) = batch_norm(&conv2d(&images, &first, 1, 1)?, &norm, None, true, 1e-5)?;
    let shortcut = padded_shortcut(&x, 16, 32)?;
    let y = conv2d(&x, &second, 2, 1)?;
    let (y, _) = batch_norm(&y, &other, Some(&shortcut), true, 1e-5)?;
    let (mean, pooled) = (channel_mean(&y, 32)?, max_pool(&y, &bias, 2)?);
    let mut weighted = |result: &Tensor| -> Result<Tensor> {
        Ok((result * variables.uniform(result.shape())?)?.sum_all()?)
    };
    let loss = (weighted(&mean)? + weighted(&pooled)?)?;
    let gradients = loss
        .backward()
        .during(|| "gradients of the numerics".into())?;
    for name in [OptimizerName::Sgd, OptimizerName::Adam] {
        let spec = OptimizerSpec {
            name,
            weight_decay: 1e-4,
            ..OptimizerSpec::default()
        };
        Optimizer::new(&spec, None, variables.parameters.clone())?.step(&gradients, 0.1)?;
    }
    for result in [&mean, &pooled] {
        put_tensor(bits, result)?;
    }
    for parameter in &variables.parameters {
        put_tensor(bits, &parameter.var)?;
    }
    Ok(())
}

/// Result and gradient of a residual network of one block by [`residual_network`].
fn residual_step(bits: &mut Vec<u8>) -> Result<()> {
    const OUTPUTS: usize = 16;
    let part = |input, add, outputs, stride| Part::Normed {
        input,
        add,
        relu: true,
        outputs,
        kernel: 3,
        stride,
        padding: 1,
    };
    let channels = 2 * OUTPUTS;
    let parts = [
        part(0, None, OUTPUTS, 1),
        Part::Padded { input: 1, channels },
        part(1, None, channels, 2),
        part(3, Some(2), channels, 1),
    ];
    let weights = |inputs: usize, outputs: usize| (9 * inputs + 2) * outputs;
    let count = weights(3, OUTPUTS) + weights(OUTPUTS, channels) + weights(channels, channels);
    let mut stream = stream(3);
    let images = stream.uniform_tensor(-1.0, 1.0, (4, 3, 16, 16))?;
    let parameters = Var::from_tensor(&stream.uniform_tensor(-1.0, 1.0, count)?)?;
    let workspace = Workspace::default();
    let (y, _) = residual_network(&images, &parameters, &parts, 1e-5, &workspace)?;
    let loss = (&y * stream.uniform_tensor(-1.0, 1.0, y.shape())?)?.sum_all()?;
    let gradients = loss
        .backward()
        .during(|| "gradients of the numerics".into())?;
    put_tensor(bits, &y)?;
    if let Some(gradient) = gradients.get(&parameters) {
        put_tensor(bits, gradient)?;
    }
    Ok(())
}

/// Functions of rows of numbers, as transformers have them.
fn rows(bits: &mut Vec<u8>) {
    const LENGTH: usize = 20;
    let mut stream = stream(4);
    let [x, other] = [(); 2].map(|()| uniform_values(&mut stream, 3 * LENGTH));
    let product = Product {
        inputs: LENGTH,
        outputs: 3,
    };
    let functions = [
        RowFunction::Gelu,
        RowFunction::Erf,
        RowFunction::Softmax(LENGTH),
        RowFunction::LayerNorm {
            scale: x[..LENGTH].to_vec(),
            shift: other[..LENGTH].to_vec(),
            epsilon: 1e-5,
        },
        RowFunction::MatMul { rows: 3, product },
    ];
    for function in functions {
        let matrix = matches!(function, RowFunction::MatMul { .. });
        let mut result = vec![0.0; if matrix { 9 } else { x.len() }];
        function.forward(Isa::current(), [&x, &other], &mut result);
        put(bits, &result);
    }
}

/// The faulty words of one chip.
fn words(bits: &mut Vec<u8>) -> Result<()> {
    const WIDTH: u32 = 4;
    let array = ArraySpec {
        rows: 64,
        columns: 64,
        word_bits: 64,
        column_correlation: 0.0,
        bank_correlation: 0.0,
    };
    let mut stream = stream(2);
    let stored: Vec<u8> = (0..4096).map(|_| stream.below(1 << WIDTH) as u8).collect();
    let cells = stored.len() as u64 * u64::from(WIDTH);
    let cells = Chip::new(SEED, ChipId(3), array)?.failing_cells(Ber::new(0.02)?, cells);
    let stuck = FaultKind::Stuck {
        zero_to_one_share: Fraction::new(0.5)?,
    };
    for kind in [FaultKind::Flip, stuck] {
        for (index, word) in faulty_words(kind, &cells, &stored, WIDTH)? {
            bits.extend((index as u64).to_le_bytes());
            bits.extend(word.to_le_bytes());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn wide_instructions_give_one_value_and_the_portable_ones_another() {
        let of = |isa: &Isa| {
            Arithmetic::ALL.map(|arithmetic| {
                let mut bits = Vec::new();
                logits(*isa, arithmetic, &mut bits).unwrap();
                bits
            })
        };
        let (wide, portable): (Vec<Isa>, Vec<Isa>) = Isa::available()
            .into_iter()
            .partition(|isa| *isa != Isa::Portable);
        assert!(wide.windows(2).all(|pair| of(&pair[0]) == of(&pair[1])));
        assert_eq!(of(&portable[0]), of(&portable[0]));
        if cfg!(target_arch = "x86_64") && !wide.is_empty() {
            assert_ne!(of(&wide[0]), of(&portable[0]));
        }
        for isa in Isa::available() {
            let [winograd, direct] = of(&isa);
            assert_ne!(winograd, direct, "{isa}");
        }
    }

    #[test]
    fn every_part_is_there_is_repeated_and_takes_little_time() {
        let started = Instant::now();
        assert_eq!(numerics().unwrap().len(), DIGITS);
        println!("numerics: {:.1} ms", 1e3 * started.elapsed().as_secs_f64());
        for part in [
            |bits: &mut Vec<u8>| logits(Isa::current(), Arithmetic::current(), bits),
            training_step,
            residual_step,
            words,
        ] {
            let (mut once, mut twice) = (Vec::new(), Vec::new());
            let started = Instant::now();
            part(&mut once).unwrap();
            println!("part: {:.1} ms", 1e3 * started.elapsed().as_secs_f64());
            part(&mut twice).unwrap();
            assert!(once.len() > 64 && once == twice);
        }
    }

    #[test]
    fn other_numerics_are_refused_with_both_numbers_and_the_ways_out() {
        let own = numerics().unwrap();
        let file = Path::new("results/a/run.yaml");
        check(file, Some(own), own, "").unwrap();
        let refused = |begun| {
            let error = check(file, begun, own, "`--fresh` begins again").unwrap_err();
            assert!(error.is_wrong_input());
            error.to_string()
        };
        let other = refused(Some("0123456789abcdef"));
        for part in [
            own,
            "0123456789abcdef",
            "--fresh",
            "results/a/run.yaml: `numerics`",
        ] {
            assert!(other.contains(part), "{other}");
        }
        assert!(refused(None).contains("found none"), "{}", refused(None));
    }
}
