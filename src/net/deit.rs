//! DeiT (Touvron et al., 2021) without distillation, patches of 16 pixels, images of 224x224, with timm's names.
//!
//! It has no steps for an engine: it runs by candle's own operations on every device, in training too.

use super::build::{Body, Builder, Conv, ConvShape, Linear, Pass, Start};
use crate::error::{Result, TensorContext};
use candle_core::{Tensor, Var, D};

/// Features of the tiny, small and base form.
pub(super) const WIDTHS: [usize; 3] = [192, 384, 768];
/// Side of an image and of a patch.
const IMAGE: usize = 224;
const PATCH: usize = 16;
/// Blocks of every form.
pub(super) const BLOCKS: usize = 12;
/// Features of a head.
const HEAD: usize = 64;
/// Hidden features of a block's two-layer network, per feature.
const HIDDEN: usize = 4;
/// Added to the variance in a layer norm.
const EPSILON: f64 = 1e-6;

/// Layer norm over the last dimension.
#[derive(Debug)]
struct LayerNorm {
    scale: Var,
    shift: Var,
}

impl LayerNorm {
    fn new(builder: &mut Builder, name: &str, features: usize) -> Result<Self> {
        let scale = builder.constant(&format!("{name}.weight"), 1.0, features)?;
        Ok(Self {
            scale,
            shift: builder.constant(&format!("{name}.bias"), 0.0, features)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let norm = || {
            let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
            let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
            let normed = centred.broadcast_div(&(variance + EPSILON)?.sqrt()?)?;
            let [scale, shift] = [&self.scale, &self.shift].map(|var| var.to_dtype(x.dtype()));
            normed.broadcast_mul(&scale?)?.broadcast_add(&shift?)
        };
        norm().during(|| format!("layer norm of {:?}", x.dims()))
    }
}

#[derive(Debug)]
struct Block {
    before_attention: LayerNorm,
    qkv: Linear,
    projection: Linear,
    before_mlp: LayerNorm,
    hidden: Linear,
    output: Linear,
}

impl Block {
    fn new(builder: &mut Builder, name: &str, features: usize) -> Result<Self> {
        let part = |part: &str| format!("{name}.{part}");
        Ok(Self {
            before_attention: LayerNorm::new(builder, &part("norm1"), features)?,
            qkv: builder.linear(&part("attn.qkv"), features, 3 * features)?,
            projection: builder.linear(&part("attn.proj"), features, features)?,
            before_mlp: LayerNorm::new(builder, &part("norm2"), features)?,
            hidden: builder.linear(&part("mlp.fc1"), features, HIDDEN * features)?,
            output: builder.linear(&part("mlp.fc2"), HIDDEN * features, features)?,
        })
    }

    /// Of tokens [batch, tokens, features].
    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (batch, tokens, features) = x.dims3()?;
        let rows = (batch * tokens, features);
        let flat = x.reshape(rows)?;
        let qkv = self
            .qkv
            .forward(&self.before_attention.forward(&flat)?, pass)?;
        let mixed = attend(&qkv, batch, tokens, features)
            .during(|| format!("attention of {:?}", x.dims()))?;
        let flat = (flat + self.projection.forward(&mixed, pass)?)?;
        let hidden = self
            .hidden
            .forward(&self.before_mlp.forward(&flat)?, pass)?
            .gelu_erf()?;
        Ok((flat + self.output.forward(&hidden, pass)?)?.reshape((batch, tokens, features))?)
    }
}

/// Attention of every head, [batch · tokens, 3 · features] to [batch · tokens, features].
fn attend(
    qkv: &Tensor,
    batch: usize,
    tokens: usize,
    features: usize,
) -> candle_core::Result<Tensor> {
    let heads = features / HEAD;
    let qkv = qkv
        .reshape((batch, tokens, 3, heads, HEAD))?
        .permute((2, 0, 3, 1, 4))?
        .contiguous()?;
    let [q, k, v] = [0, 1, 2].map(|part| qkv.narrow(0, part, 1)?.squeeze(0)?.contiguous());
    let scores = (q? * (HEAD as f64).powf(-0.5))?.matmul(&k?.transpose(2, 3)?.contiguous()?)?;
    let fractions = candle_nn::ops::softmax(&scores, D::Minus1)?;
    fractions
        .matmul(&v?)?
        .transpose(1, 2)?
        .contiguous()?
        .reshape((batch * tokens, features))
}

#[derive(Debug)]
pub(super) struct Deit {
    class_token: Var,
    positions: Var,
    patches: Conv,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

impl Deit {
    pub(super) fn new(builder: &mut Builder, features: usize, classes: usize) -> Result<Self> {
        builder.start = Start::SmallNormal;
        let tokens = (IMAGE / PATCH).pow(2) + 1;
        let class_token = builder.normal("cls_token", (1, 1, features))?;
        let positions = builder.normal("pos_embed", (1, tokens, features))?;
        let shape = ConvShape {
            inputs: 3,
            outputs: features,
            kernel: PATCH,
            stride: PATCH,
            padding: 0,
        };
        let patches = builder.conv("patch_embed.proj", shape, true)?;
        let blocks =
            (0..BLOCKS).map(|block| Block::new(builder, &format!("blocks.{block}"), features));
        let blocks = blocks.collect::<Result<_>>()?;
        let norm = LayerNorm::new(builder, "norm", features)?;
        let head = builder.linear("head", features, classes)?;
        Ok(Self {
            class_token,
            positions,
            patches,
            blocks,
            norm,
            head,
        })
    }
}

impl Body for Deit {
    fn forward(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        let patches = self
            .patches
            .forward(images, pass)?
            .flatten_from(2)?
            .transpose(1, 2)?;
        let (batch, _, features) = patches.dims3()?;
        let tokens = || {
            let class_token = self
                .class_token
                .to_dtype(images.dtype())?
                .broadcast_as((batch, 1, features))?;
            let tokens = Tensor::cat(&[&class_token.contiguous()?, &patches.contiguous()?], 1)?;
            tokens.broadcast_add(&self.positions.to_dtype(images.dtype())?)
        };
        let mut x = tokens().during(|| format!("tokens of {:?}", images.dims()))?;
        for block in &self.blocks {
            x = block.forward(&x, pass)?;
        }
        let class_token = x.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?;
        self.head.forward(&self.norm.forward(&class_token)?, pass)
    }

    fn layer_outputs(&self) -> Option<Vec<[usize; 2]>> {
        let side = IMAGE / PATCH;
        let per_block = [[side * side + 1, 1]; 4];
        let blocks = self.blocks.iter().flat_map(|_| per_block);
        Some(
            std::iter::once([side, side])
                .chain(blocks)
                .chain([[1, 1]])
                .collect(),
        )
    }
}
