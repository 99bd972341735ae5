//! Which function takes over which operator.

mod arithmetic;
mod layers;
mod norms;
mod quantised;
mod resize;
mod shapes;
mod windows;

use super::call::{Call, Known};
use crate::error::Result;

/// The oldest and the newest version of ONNX's operators that is known.
pub(super) const OLDEST_OPSET: i64 = 7;
pub(super) const NEWEST_OPSET: i64 = 28;

/// Puts one node into the graph; gives what is known of its outputs.
pub(super) type Operator = fn(&mut Call) -> Result<Vec<Known>>;

/// Operators of ONNX.
const OPERATORS: &[(&str, Operator)] = &[
    ("Abs", arithmetic::function),
    ("Add", arithmetic::two),
    ("And", arithmetic::two),
    ("ArgMax", arithmetic::arg_max),
    ("AveragePool", windows::pool),
    ("BatchNormalization", norms::batch_norm),
    ("Cast", arithmetic::cast),
    ("CastLike", arithmetic::cast_like),
    ("Ceil", arithmetic::function),
    ("Clip", arithmetic::clip),
    ("Concat", shapes::concat),
    ("Constant", shapes::constant),
    ("ConstantOfShape", shapes::constant_of_shape),
    ("Conv", layers::convolution),
    ("ConvInteger", quantised::convolution_of_integers),
    ("ConvTranspose", layers::transposed_convolution),
    ("DepthToSpace", shapes::depth_to_space),
    ("DequantizeLinear", quantised::dequantize),
    ("Div", arithmetic::two),
    ("Dropout", shapes::identity),
    ("Elu", arithmetic::function),
    ("Equal", arithmetic::two),
    ("Erf", arithmetic::function),
    ("Exp", arithmetic::function),
    ("Expand", shapes::expand),
    ("Flatten", shapes::flatten),
    ("Floor", arithmetic::function),
    ("Gather", shapes::gather),
    ("Gelu", arithmetic::gelu),
    ("Gemm", layers::gemm),
    ("GlobalAveragePool", windows::global_pool),
    ("GlobalMaxPool", windows::global_pool),
    ("Greater", arithmetic::two),
    ("GroupNormalization", norms::group_norm),
    ("HardSigmoid", arithmetic::hard_sigmoid),
    ("HardSwish", arithmetic::hard_swish),
    ("Identity", shapes::identity),
    ("InstanceNormalization", norms::instance_norm),
    ("LayerNormalization", norms::layer_norm),
    ("LeakyRelu", arithmetic::function),
    ("Less", arithmetic::two),
    ("Log", arithmetic::function),
    ("LogSoftmax", arithmetic::softmax),
    ("LpNormalization", norms::lp_norm),
    ("MatMul", layers::matrix_product),
    ("MatMulInteger", quantised::product_of_integers),
    ("Max", arithmetic::many),
    ("MaxPool", windows::pool),
    ("Min", arithmetic::many),
    ("Mish", arithmetic::mish),
    ("Mul", arithmetic::two),
    ("Neg", arithmetic::function),
    ("Not", arithmetic::function),
    ("Or", arithmetic::two),
    ("PRelu", arithmetic::prelu),
    ("Pad", shapes::pad),
    ("Pow", arithmetic::power),
    ("QLinearConv", quantised::convolution),
    ("QLinearMatMul", quantised::product),
    ("QuantizeLinear", quantised::quantize),
    ("RMSNormalization", norms::rms_norm),
    ("Range", shapes::range),
    ("Reciprocal", arithmetic::function),
    ("ReduceMax", arithmetic::reduce),
    ("ReduceMean", arithmetic::reduce),
    ("ReduceSum", arithmetic::reduce),
    ("Relu", arithmetic::function),
    ("Reshape", shapes::reshape),
    ("Resize", resize::resize),
    ("Round", arithmetic::function),
    ("Shape", shapes::shape),
    ("Sigmoid", arithmetic::function),
    ("Sign", arithmetic::function),
    ("Slice", shapes::slice),
    ("Softmax", arithmetic::softmax),
    ("Softplus", arithmetic::function),
    ("SpaceToDepth", shapes::space_to_depth),
    ("Split", shapes::split),
    ("Sqrt", arithmetic::function),
    ("Squeeze", shapes::squeeze),
    ("Sub", arithmetic::two),
    ("Sum", arithmetic::many),
    ("Swish", arithmetic::swish),
    ("Tanh", arithmetic::function),
    ("Tile", shapes::tile),
    ("Transpose", shapes::transpose),
    ("Unsqueeze", shapes::unsqueeze),
    ("Upsample", resize::resize),
    ("Where", arithmetic::choice),
];

/// Operators of other domains.
const OTHERS: &[(&str, &str, Operator)] = &[
    ("com.microsoft", "DequantizeLinear", quantised::dequantize),
    ("com.microsoft", "Gelu", arithmetic::gelu),
    ("com.microsoft", "QGemm", quantised::gemm),
    ("com.microsoft", "QLinearAdd", quantised::two),
    ("com.microsoft", "QLinearAveragePool", quantised::pool),
    (
        "com.microsoft",
        "QLinearGlobalAveragePool",
        quantised::global_mean,
    ),
    ("com.microsoft", "QLinearLeakyRelu", quantised::leaky_relu),
    ("com.microsoft", "QLinearMul", quantised::two),
    ("com.microsoft", "QLinearSigmoid", quantised::sigmoid),
    ("com.microsoft", "QuantizeLinear", quantised::quantize),
    ("onnx.brevitas", "Quant", quantised::quant),
    ("qonnx.custom_op.general", "Quant", quantised::quant),
    ("finn.custom_op.general", "Quant", quantised::quant),
];

/// The function for an operator.
pub(super) fn operator(domain: &str, name: &str) -> Option<Operator> {
    if matches!(domain, "" | "ai.onnx") {
        let known = OPERATORS.iter().find(|(own, _)| *own == name);
        return known.map(|(_, operator)| *operator);
    }
    let known = OTHERS
        .iter()
        .find(|(own, operator, _)| *own == domain && *operator == name);
    known.map(|(_, _, operator)| *operator)
}

/// The operators of ONNX files that are known, those of other domains with the domain in front.
pub fn names() -> Vec<String> {
    let own = OPERATORS.iter().map(|(name, _)| (*name).to_owned());
    let others = OTHERS
        .iter()
        .map(|(domain, name, _)| format!("{domain}:{name}"));
    own.chain(others).collect()
}
