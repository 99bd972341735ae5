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
use crate::net::general;
use Operator::{Binary, Many, One, Unary};

/// The oldest and the newest version of ONNX's operators that is known.
pub(super) const OLDEST_OPSET: i64 = 7;
pub(super) const NEWEST_OPSET: i64 = 28;

/// What puts one node into the graph, and gives what is known of its outputs.
#[derive(Clone, Copy)]
pub(super) enum Operator {
    /// A function of each value that has no settings; a file of ours has it under the same name.
    Unary(general::Unary),
    /// The same of two values.
    Binary(general::Binary),
    /// What has one output.
    One(fn(&mut Call) -> Result<Known>),
    /// What may have several.
    Many(fn(&mut Call) -> Result<Vec<Known>>),
}

impl Operator {
    pub(super) fn outputs(self, call: &mut Call) -> Result<Vec<Known>> {
        let one = match self {
            Unary(function) => call.unary(function, &call.input(0)?)?,
            Binary(function) => arithmetic::two(call, function)?,
            One(function) => function(call)?,
            Many(function) => return function(call),
        };
        Ok(vec![one])
    }
}

/// Operators of ONNX.
const OPERATORS: &[(&str, Operator)] = &[
    ("Abs", Unary(general::Unary::Abs)),
    ("Add", One(arithmetic::add)),
    ("And", Binary(general::Binary::And)),
    ("ArgMax", One(arithmetic::arg_max)),
    ("AveragePool", Many(windows::pool)),
    ("BatchNormalization", Many(norms::batch_norm)),
    ("Cast", One(arithmetic::cast)),
    ("CastLike", One(arithmetic::cast_like)),
    ("Ceil", Unary(general::Unary::Ceil)),
    ("Clip", One(arithmetic::clip)),
    ("Concat", One(shapes::concat)),
    ("Constant", One(shapes::constant)),
    ("ConstantOfShape", One(shapes::constant_of_shape)),
    ("Conv", One(layers::convolution)),
    ("ConvInteger", One(quantised::convolution_of_integers)),
    ("ConvTranspose", One(layers::transposed_convolution)),
    ("DepthToSpace", One(shapes::depth_to_space)),
    ("DequantizeLinear", One(quantised::dequantize)),
    ("Div", Binary(general::Binary::Div)),
    ("Dropout", One(shapes::identity)),
    ("Elu", One(arithmetic::elu)),
    ("Equal", Binary(general::Binary::Equal)),
    ("Erf", Unary(general::Unary::Erf)),
    ("Exp", Unary(general::Unary::Exp)),
    ("Expand", One(shapes::expand)),
    ("Flatten", One(shapes::flatten)),
    ("Floor", Unary(general::Unary::Floor)),
    ("Gather", One(shapes::gather)),
    ("Gelu", One(arithmetic::gelu)),
    ("Gemm", One(layers::gemm)),
    ("GlobalAveragePool", One(windows::global_pool)),
    ("GlobalMaxPool", One(windows::global_pool)),
    ("Greater", Binary(general::Binary::Greater)),
    ("GroupNormalization", One(norms::group_norm)),
    ("HardSigmoid", One(arithmetic::hard_sigmoid)),
    ("HardSwish", One(arithmetic::hard_swish)),
    ("Identity", One(shapes::identity)),
    ("InstanceNormalization", One(norms::instance_norm)),
    ("LayerNormalization", Many(norms::layer_norm)),
    ("LeakyRelu", One(arithmetic::leaky_relu)),
    ("Less", Binary(general::Binary::Less)),
    ("Log", Unary(general::Unary::Log)),
    ("LogSoftmax", One(arithmetic::softmax)),
    ("LpNormalization", One(norms::lp_norm)),
    ("MatMul", One(layers::matrix_product)),
    ("MatMulInteger", One(quantised::product_of_integers)),
    ("Max", One(arithmetic::greatest)),
    ("MaxPool", Many(windows::pool)),
    ("Min", One(arithmetic::least)),
    ("Mish", One(arithmetic::mish)),
    ("Mul", Binary(general::Binary::Mul)),
    ("Neg", Unary(general::Unary::Neg)),
    ("Not", Unary(general::Unary::Not)),
    ("Or", Binary(general::Binary::Or)),
    ("PRelu", One(arithmetic::prelu)),
    ("Pad", One(shapes::pad)),
    ("Pow", One(arithmetic::power)),
    ("QLinearConv", One(quantised::convolution)),
    ("QLinearMatMul", One(quantised::product)),
    ("QuantizeLinear", One(quantised::quantize)),
    ("RMSNormalization", One(norms::rms_norm)),
    ("Range", One(shapes::range)),
    ("Reciprocal", Unary(general::Unary::Reciprocal)),
    ("ReduceMax", One(arithmetic::reduce)),
    ("ReduceMean", One(arithmetic::reduce)),
    ("ReduceSum", One(arithmetic::reduce)),
    ("Relu", One(arithmetic::relu)),
    ("Reshape", One(shapes::reshape)),
    ("Resize", One(resize::resize)),
    ("Round", Unary(general::Unary::Round)),
    ("Shape", One(shapes::shape)),
    ("Sigmoid", Unary(general::Unary::Sigmoid)),
    ("Sign", Unary(general::Unary::Sign)),
    ("Slice", One(shapes::slice)),
    ("Softmax", One(arithmetic::softmax)),
    ("Softplus", Unary(general::Unary::Softplus)),
    ("SpaceToDepth", One(shapes::space_to_depth)),
    ("Split", Many(shapes::split)),
    ("Sqrt", Unary(general::Unary::Sqrt)),
    ("Squeeze", One(shapes::squeeze)),
    ("Sub", Binary(general::Binary::Sub)),
    ("Sum", One(arithmetic::sum)),
    ("Swish", One(arithmetic::swish)),
    ("Tanh", Unary(general::Unary::Tanh)),
    ("Tile", One(shapes::tile)),
    ("Transpose", One(shapes::transpose)),
    ("Unsqueeze", One(shapes::unsqueeze)),
    ("Upsample", One(resize::resize)),
    ("Where", One(arithmetic::choice)),
];

/// Operators of other domains.
const OTHERS: &[(&str, &str, Operator)] = &[
    (
        "com.microsoft",
        "DequantizeLinear",
        One(quantised::dequantize),
    ),
    ("com.microsoft", "Gelu", One(arithmetic::gelu)),
    ("com.microsoft", "QGemm", One(quantised::gemm)),
    ("com.microsoft", "QLinearAdd", One(quantised::two)),
    ("com.microsoft", "QLinearAveragePool", One(quantised::pool)),
    (
        "com.microsoft",
        "QLinearGlobalAveragePool",
        One(quantised::global_mean),
    ),
    (
        "com.microsoft",
        "QLinearLeakyRelu",
        One(quantised::leaky_relu),
    ),
    ("com.microsoft", "QLinearMul", One(quantised::two)),
    ("com.microsoft", "QLinearSigmoid", One(quantised::sigmoid)),
    ("com.microsoft", "QuantizeLinear", One(quantised::quantize)),
    ("onnx.brevitas", "Quant", One(quantised::quant)),
    ("qonnx.custom_op.general", "Quant", One(quantised::quant)),
    ("finn.custom_op.general", "Quant", One(quantised::quant)),
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

/// The operator of ONNX that is a function of each value.
pub(super) fn of_unary(function: general::Unary) -> Option<&'static str> {
    let known = OPERATORS
        .iter()
        .find(|(_, own)| matches!(own, Unary(own) if *own == function));
    known.map(|(name, _)| *name)
}

/// The operator of ONNX that is a function of two values.
pub(super) fn of_binary(function: general::Binary) -> Option<&'static str> {
    let known = OPERATORS
        .iter()
        .find(|(_, own)| matches!(own, Binary(own) if *own == function));
    known.map(|(name, _)| *name)
}

/// The operators of ONNX files that are known, those of other domains with the domain in front.
pub fn names() -> Vec<String> {
    let own = OPERATORS.iter().map(|(name, _)| (*name).to_owned());
    let others = OTHERS
        .iter()
        .map(|(domain, name, _)| format!("{domain}:{name}"));
    own.chain(others).collect()
}
