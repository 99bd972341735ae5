//! What is written is read again: the same codes, the same logits.

use super::*;
use crate::net::general::{Binary, General, Pool, Pooled, Reduction, Unary, Windows};
use crate::net::graph::Op;
use crate::net::onnx::tests::networks;
use crate::net::slot::{Fill, Slot};
use crate::net::{Architecture, Design, Imported, Model, Route};
use crate::quant::{Method, QuantizerSpec};
use crate::seed::{Purpose, Seed};
use crate::store;
use crate::units::Bits;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Images that a file is checked on.
const IMAGES: usize = 3;
/// Largest difference of logits, by the largest.
const ERROR: f32 = 1e-5;
/// The same where activations are rounded to codes.
const ROUNDED_ERROR: f32 = 0.05;

fn images(count: usize, [channels, height, width]: [usize; 3]) -> Tensor {
    Seed(5)
        .stream(Purpose::Test, &[])
        .normal_tensor(1.0, (count, channels, height, width))
        .unwrap()
}

fn logits(network: &Network, count: usize) -> Vec<f32> {
    let weights = network.effective_weights().unwrap();
    let images = images(count, network.input_shape());
    let logits = network.logits(&images, &weights).unwrap();
    logits.flatten_all().unwrap().to_vec1().unwrap()
}

/// The network of the file that is written of a network.
fn again(network: &Network, folder: &Path) -> Network {
    let path = folder.join("net.onnx");
    store::write_bytes(&path, &bytes(network, "net", None).unwrap()).unwrap();
    Model::load(&path, &Device::Cpu).unwrap().network
}

fn check(network: &Network) {
    let folder = tempfile::tempdir().unwrap();
    let again = again(network, folder.path());
    assert_eq!(again.input_shape(), network.input_shape());
    let (own, other) = (network.stored().unwrap(), again.stored().unwrap());
    assert_eq!(own.len(), other.len());
    for (at, (own, other)) in own.iter().zip(&other).enumerate() {
        let same = match (own, other) {
            (Some(own), Some(other)) => own.is_same(other),
            (own, other) => own.is_none() && other.is_none(),
        };
        assert!(same, "codes of {}", network.layers()[at].name());
        let names = [network, &again].map(|network| network.layers()[at].name().to_owned());
        assert_eq!(names[0], names[1]);
    }
    let own = logits(network, IMAGES);
    near(&own, &logits(&again, IMAGES), ERROR);
    if let Some(python) = python() {
        // a sum that lies between two codes of an activation may round the other way
        let round = Op::General(General::Unary(Unary::Round));
        let rounds = network.graph().nodes().iter().any(|node| node.op == round);
        let error = if rounds { ROUNDED_ERROR } else { ERROR };
        let other = by_onnxruntime(&python, network, folder.path());
        near(&own, &other, error);
    }
}

#[track_caller]
fn near(own: &[f32], other: &[f32], error: f32) {
    assert_eq!(own.len(), other.len());
    let largest = own.iter().fold(0.0f32, |max, value| max.max(value.abs()));
    for (own, other) in own.iter().zip(other) {
        let far = (own - other).abs();
        assert!(far <= error * largest, "{own} and {other} of {largest}");
    }
}

/// The Python of `WCAT_PYTHON`, which has onnxruntime; without it only our own reader checks what is written.
fn python() -> Option<PathBuf> {
    std::env::var_os("WCAT_PYTHON").map(PathBuf::from)
}

/// Checks a file where the package `onnx` is there, and runs it on images, together and one by one.
const SCRIPT: &str = r#"
import sys, numpy, onnxruntime
folder = sys.argv[1]
try:
    import onnx
    onnx.checker.check_model(folder + "/net.onnx", full_check=True)
except ImportError:
    pass
options = onnxruntime.SessionOptions()
# else products with codes of tokens are computed with activations of 8 bits
options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
session = onnxruntime.InferenceSession(folder + "/net.onnx", options, providers=["CPUExecutionProvider"])
own, logits = session.get_inputs()[0], session.get_outputs()[0]
images = numpy.fromfile(folder + "/images", "<f4").reshape([-1] + own.shape[1:])
together = session.run(None, {own.name: images})[0]
assert list(together.shape[1:]) == logits.shape[1:], (together.shape, logits.shape)
alone = [session.run(None, {own.name: images[at : at + 1]})[0] for at in range(len(images))]
assert numpy.allclose(together, numpy.concatenate(alone), 1e-4, 1e-5 * numpy.abs(together).max())
together.astype("<f4").tofile(folder + "/logits")
"#;

/// Logits of the file in a folder by onnxruntime.
fn by_onnxruntime(python: &Path, network: &Network, folder: &Path) -> Vec<f32> {
    let images = images(IMAGES, network.input_shape());
    let values = images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
    store::write_bytes(&folder.join("images"), &bytes).unwrap();
    let mut command = std::process::Command::new(python);
    let ended = command.args(["-c", SCRIPT]).arg(folder).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{said}");
    let bytes = std::fs::read(folder.join("logits")).unwrap();
    let (values, _) = bytes.as_chunks::<4>();
    values
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect()
}

fn quantizer(method: Method, bits: u64, signed: bool) -> QuantizerSpec {
    QuantizerSpec {
        method,
        bits: Bits::new(bits).unwrap(),
        signed,
        ..QuantizerSpec::default()
    }
}

#[test]
fn every_form_of_a_known_network_comes_back() {
    for (name, shape) in [
        ("mlp", None),
        ("lenet5", None),
        ("resnet20", None),
        ("resnet20_projection", None),
        ("resnet18", Some([3, 64, 64])),
        ("resnet50", Some([3, 32, 32])),
        ("deit_tiny", None),
    ] {
        let spec = quantizer(Method::Wcat, 4, true);
        let network = Network::new(
            name.parse::<Architecture>().unwrap(),
            10,
            &spec,
            Seed(1),
            &Device::Cpu,
        );
        let (mut network, _) = network.unwrap();
        if let Some(shape) = shape {
            network = network.with_input_shape(shape).unwrap();
        }
        // running statistics that are not those of the start
        let images = images(4, network.input_shape());
        network
            .training_logits(&images, None, Route::Kernels)
            .unwrap();
        check(&network);
    }
}

#[test]
fn codes_of_every_width_come_back() {
    for bits in 1..=8 {
        for signed in [true, false] {
            let spec = quantizer(Method::Normal, bits, signed);
            let network = Network::new(
                "mlp".parse::<Architecture>().unwrap(),
                10,
                &spec,
                Seed(1),
                &Device::Cpu,
            );
            let (network, _) = network.unwrap();
            if bits > 1 || !signed {
                check(&network);
                continue;
            }
            // -1 and 1 are codes of two bits elsewhere
            let folder = tempfile::tempdir().unwrap();
            let again = again(&network, folder.path()).stored().unwrap();
            for (own, other) in network.stored().unwrap().iter().zip(again) {
                let (own, other) = (own.clone().unwrap(), other.unwrap());
                assert_eq!((own.values(), other.format.bits()), (other.values(), 2));
            }
        }
    }
}

#[test]
fn networks_of_files_come_back() {
    for folder in networks() {
        println!("{}", folder.display());
        let model = Model::load(&folder.join("model.onnx"), &Device::Cpu).unwrap();
        check(&model.network);
        let spec = quantizer(Method::Lsq, 3, false);
        check(&model.requantized(&spec).unwrap().network);
    }
}

/// A network without layers: nodes on images of [4, 6, 5] and on parameters, then vectors.
fn of_nodes(nodes: &[(Op, &[usize])], parameters: &[&[usize]]) -> Network {
    let input_shape = [4, 6, 5];
    let mut graph = Graph::default();
    for (at, shape) in parameters.iter().enumerate() {
        let fill = Fill::Uniform(1.0, [at as u64, 0]);
        let slot = Slot::new(format!("parameter{at}"), shape.to_vec(), fill);
        graph.parameters.push(slot);
        graph.push(Op::Parameter(at), &[]);
    }
    for (op, inputs) in nodes {
        graph.push(op.clone(), inputs);
    }
    let last = graph.nodes().len();
    let shape = graph.shapes(input_shape).unwrap().pop().unwrap();
    let classes = shape[1..].iter().product();
    graph.push(Op::Reshape(vec![None, Some(classes)]), &[last]);
    let design = Design::Imported(Arc::new(Imported {
        name: "nodes".into(),
        sha256: String::new(),
        input_shape,
        graph,
    }));
    let spec = QuantizerSpec::default();
    Network::new(design, classes, &spec, Seed(2), &Device::Cpu)
        .unwrap()
        .0
}

fn check_general(general: General, inputs: &[usize], parameters: &[&[usize]]) {
    println!("{general:?}");
    check(&of_nodes(&[(Op::General(general), inputs)], parameters));
}

#[test]
fn every_operation_comes_back() {
    for unary in [
        Unary::Abs,
        Unary::Ceil,
        Unary::Clip(-0.7, 0.4),
        Unary::Clip(f64::NEG_INFINITY, 0.2),
        Unary::Elu(1.3),
        Unary::Erf,
        Unary::Exp,
        Unary::Floor,
        Unary::GeluTanh,
        Unary::LeakyRelu(0.1),
        Unary::Neg,
        Unary::Not,
        Unary::Offset(0.3),
        Unary::Power(2.0),
        Unary::Reciprocal,
        Unary::Round,
        Unary::Sigmoid,
        Unary::Sign,
        Unary::Softplus,
        Unary::Tanh,
        Unary::Truncate,
    ] {
        check_general(General::Unary(unary), &[0], &[]);
    }
    for unary in [Unary::Log, Unary::Sqrt] {
        let first = (Op::General(General::Unary(Unary::Abs)), &[0][..]);
        let second = (Op::General(General::Unary(unary)), &[1][..]);
        check(&of_nodes(&[first, second], &[]));
    }
    for binary in [
        Binary::And,
        Binary::Div,
        Binary::Equal,
        Binary::Greater,
        Binary::Less,
        Binary::Max,
        Binary::Min,
        Binary::Mul,
        Binary::Or,
        Binary::Sub,
    ] {
        check_general(General::Binary(binary), &[0, 1], &[&[4, 1, 5]]);
    }
    check_general(General::Where, &[2, 0, 1], &[&[4, 1, 5], &[6, 5]]);
    for reduction in [
        Reduction::ArgMax,
        Reduction::Max,
        Reduction::Mean,
        Reduction::Sum,
    ] {
        let axes = vec![1, 3];
        check_general(General::Reduce { reduction, axes }, &[0], &[]);
    }
    // a window that reaches beyond needs another padding
    for (dilation, padding, beyond) in [
        (vec![1, 2], vec![1, 0, 0, 1], vec![0, 0]),
        (vec![1, 1], vec![0, 0, 1, 0], vec![0, 1]),
    ] {
        let windows = Windows {
            kernel: vec![3, 2],
            stride: vec![2, 2],
            dilation,
            padding,
        };
        for pooled in [Pooled::Max, Pooled::Mean, Pooled::MeanWithPadding] {
            let pool = Pool {
                pooled,
                windows: windows.clone(),
                beyond: beyond.clone(),
            };
            check_general(General::Pool(pool), &[0], &[]);
        }
    }
    let (axis, before, after) = (2, 1, 3);
    let value = 1.5;
    check_general(
        General::Pad {
            axis,
            before,
            after,
            value,
        },
        &[0],
        &[],
    );
    let places = vec![3, 0, 0, 2];
    check_general(General::Select { axis, places }, &[0], &[]);
    check_general(General::Along { axis }, &[0, 1], &[&[7, 6]]);
    for (op, inputs) in [
        (Op::Gelu, &[0][..]),
        (Op::Softmax, &[0]),
        (Op::Scale(0.7), &[0]),
        (Op::Transpose(vec![0, 2, 3, 1]), &[0]),
        (Op::ChannelMean, &[0]),
    ] {
        check(&of_nodes(&[(op, inputs)], &[]));
    }
    let slice = Op::Slice {
        axis: 2,
        start: 1,
        length: 3,
    };
    check(&of_nodes(&[(slice, &[0])], &[]));
    // one value for every image
    check(&of_nodes(
        &[(Op::Concat { axis: 1 }, &[1, 0])],
        &[&[1, 2, 6, 5]],
    ));
    let reduced = General::Reduce {
        reduction: Reduction::Mean,
        axes: vec![2],
    };
    let expanded = General::Expand(vec![0, 0, 6, 0]);
    check(&of_nodes(
        &[(Op::General(reduced), &[0]), (Op::General(expanded), &[1])],
        &[],
    ));
}
