//! DeiT (Touvron et al., 2021) without distillation, patches of 16 pixels, images of 224x224, with timm's names.
//!
//! It has no steps for an engine: it runs by candle's own operations on every device, in training too.

use super::build::{Builder, ConvShape, Start};
use super::graph::{Graph, Op, Value};

/// Features of the tiny, small and base form.
pub(super) const WIDTHS: [usize; 3] = [192, 384, 768];
/// Side of an image and of a patch.
const IMAGE: usize = 224;
const PATCH: usize = 16;
/// Patches of an image.
const PATCHES: usize = (IMAGE / PATCH) * (IMAGE / PATCH);
/// Patches and the class token.
const TOKENS: usize = PATCHES + 1;
/// Blocks of every form.
pub(super) const BLOCKS: usize = 12;
/// Features of a head.
const HEAD: usize = 64;
/// Hidden features of a block's two-layer network, per feature.
const HIDDEN: usize = 4;
/// Added to the variance in a layer norm.
const EPSILON: f64 = 1e-6;

pub(super) fn graph(features: usize, classes: usize) -> Graph {
    let mut builder = Builder::new(Start::SmallNormal);
    let class_token = builder.normal("cls_token", vec![1, 1, features]);
    let positions = builder.normal("pos_embed", vec![1, TOKENS, features]);
    let shape = ConvShape {
        inputs: 3,
        outputs: features,
        kernel: PATCH,
        stride: PATCH,
        padding: 0,
    };
    let patches = builder.conv("patch_embed.proj", shape, true);
    let flat = Op::Reshape(vec![None, Some(features), Some(PATCHES)]);
    let patches = builder.chain(0, [patches, flat, Op::Transpose(vec![0, 2, 1])]);
    let class_token = builder.push(Op::Parameter(class_token), &[]);
    let x = builder.push(Op::Concat { axis: 1 }, &[class_token, patches]);
    let positions = builder.push(Op::Parameter(positions), &[]);
    let mut x = builder.push(Op::Add, &[x, positions]);
    for number in 0..BLOCKS {
        x = block(&mut builder, &format!("blocks.{number}"), x, features);
    }
    let class_token = Op::Slice {
        axis: 1,
        start: 0,
        length: 1,
    };
    let flat = Op::Reshape(vec![None, Some(features)]);
    let norm = builder.layer_norm("norm", features, EPSILON);
    let head = builder.linear("head", features, classes);
    builder.chain(x, [class_token, flat, norm, head]);
    builder.finish()
}

/// Attention and a two-layer network, each on normed tokens [batch, tokens, features] and added to them.
fn block(builder: &mut Builder, name: &str, x: Value, features: usize) -> Value {
    let part = |part: &str| format!("{name}.{part}");
    let before_attention = builder.layer_norm(&part("norm1"), features, EPSILON);
    let qkv = builder.linear(&part("attn.qkv"), features, 3 * features);
    let projection = builder.linear(&part("attn.proj"), features, features);
    let before_mlp = builder.layer_norm(&part("norm2"), features, EPSILON);
    let hidden = builder.linear(&part("mlp.fc1"), features, HIDDEN * features);
    let output = builder.linear(&part("mlp.fc2"), HIDDEN * features, features);

    let qkv = builder.chain(x, [before_attention, qkv]);
    let y = attention(builder, qkv, features);
    let y = builder.push(projection, &[y]);
    let x = builder.push(Op::Add, &[x, y]);

    let y = builder.chain(x, [before_mlp, hidden, Op::Gelu, output]);
    builder.push(Op::Add, &[x, y])
}

/// Attention of every head: queries, keys and values [batch, tokens, 3 · features] to [batch, tokens, features].
fn attention(builder: &mut Builder, qkv: Value, features: usize) -> Value {
    let heads = features / HEAD;
    let mut part = |number: usize, order: [usize; 4]| {
        let slice = Op::Slice {
            axis: 2,
            start: number * features,
            length: features,
        };
        let apart = Op::Reshape(vec![None, Some(TOKENS), Some(heads), Some(HEAD)]);
        builder.chain(qkv, [slice, apart, Op::Transpose(order.to_vec())])
    };
    let queries = part(0, [0, 2, 1, 3]);
    let keys = part(1, [0, 2, 3, 1]);
    let values = part(2, [0, 2, 1, 3]);
    let queries = builder.push(Op::Scale((HEAD as f64).powf(-0.5)), &[queries]);
    let scores = builder.push(Op::MatMul, &[queries, keys]);
    let fractions = builder.push(Op::Softmax, &[scores]);
    let mixed = builder.push(Op::MatMul, &[fractions, values]);
    let joined = Op::Reshape(vec![None, Some(TOKENS), Some(features)]);
    builder.chain(mixed, [Op::Transpose(vec![0, 2, 1, 3]), joined])
}
