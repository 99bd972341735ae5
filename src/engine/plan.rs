//! A network's steps turned into kernel calls on a fixed set of buffers; knows no faults and no images.

use super::place::{rows_of, Place, WinogradPlace};
use super::pool::MaxPool;
use crate::error::{Error, Result};
use crate::kernel::{Arithmetic, Direct, Isa, Planes, Pooled, Shortcut, Store, BLOCK};
use crate::net::{Network, Step, Value};
use std::ops::Range;

/// Bytes of buffers that stay in a core's second-level cache beside the weights of a layer.
const CACHE: usize = 512 << 10;
/// Most images at a time.
const MOST_IMAGES: usize = 16;

/// Buffers of a plan, by number.
type Buffer = usize;

/// One kernel call for the images at a time.
#[derive(Debug)]
pub(super) enum Call {
    /// Convolution image by image, or of all images at a time as pixels of one row (linear layers).
    Convolution {
        direct: Direct,
        /// Number among [`Plan::winograds`], where it is not computed directly.
        winograd: Option<usize>,
        layer: usize,
        start: Vec<f32>,
        store: Store,
        from: Buffer,
        to: Buffer,
        images: bool,
    },
    /// Convolution, pooling and ReLU in one.
    Pooled {
        pooled: Pooled,
        layer: usize,
        start: Vec<f32>,
        from: Buffer,
        to: Buffer,
    },
    /// Copies images: a residual that is used again.
    Copy { from: Buffer, to: Buffer },
    /// Greatest value of each window.
    MaxPool {
        pool: MaxPool,
        from: Buffer,
        to: Buffer,
    },
    /// Parameter-free shortcut.
    Shortcut {
        shortcut: Shortcut,
        from: Buffer,
        to: Buffer,
    },
    /// Mean over pixels, into vectors.
    ChannelMean {
        input: Planes,
        output: Planes,
        from: Buffer,
        to: Buffer,
    },
    /// Images as vectors, in the order [channels, height, width].
    Flatten {
        input: Planes,
        output: Planes,
        from: Buffer,
        to: Buffer,
    },
}

impl Call {
    /// The buffers that it reads from and writes to.
    pub(super) fn ends(&self) -> (Buffer, Buffer) {
        match self {
            Self::Convolution { from, to, .. }
            | Self::Pooled { from, to, .. }
            | Self::Copy { from, to }
            | Self::MaxPool { from, to, .. }
            | Self::Shortcut { from, to, .. }
            | Self::ChannelMean { from, to, .. }
            | Self::Flatten { from, to, .. } => (*from, *to),
        }
    }
}

/// A network compiled for one instruction set and arithmetic. Batch norms are folded into the weights as they are read from
/// memory, so faults act on the stored codes.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) isa: Isa,
    /// Images at a time.
    pub(super) group: usize,
    /// Layout of an image in buffer 0.
    pub(super) image: Planes,
    pub(super) calls: Vec<Call>,
    /// Length of each buffer.
    pub(super) buffers: Vec<usize>,
    /// Layout of the logits and their buffer.
    pub(super) logits: (Planes, Buffer),
    pub(super) places: Vec<Place>,
    /// Length of the packed weights.
    pub(super) packed: usize,
    /// By rising place of their packed weights.
    pub(super) winograds: Vec<WinogradPlace>,
    /// Length of the transformed weights.
    pub(super) transformed: usize,
    /// For each 16 packed weights, which are those of 16 outputs, their row among all of Winograd's convolutions.
    rows: Vec<Option<u32>>,
}

/// What a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Holds {
    /// Images, one after the other.
    Images,
    /// Vectors, as the pixels of one row.
    Vectors,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Images(Planes),
    Vectors(usize),
}

/// Weight shape of a convolution: outputs and kernel.
fn square(network: &Network, layer: usize) -> Result<(usize, usize)> {
    match *network.layers()[layer].weight().dims() {
        [outputs, _, height, width] if height == width => Ok((outputs, height)),
        ref dims => Err(unfit(
            network,
            layer,
            "a square convolution",
            format!("{dims:?}"),
        )),
    }
}

fn unfit(network: &Network, layer: usize, expected: &str, found: String) -> Error {
    Error::argument(
        format!("weight of {}", network.layers()[layer].name()),
        expected,
        found,
    )
}

fn vectors(expected: &str) -> Error {
    Error::argument("program of a network", expected, "vectors")
}

impl Plan {
    /// Compiles a network.
    ///
    /// # Errors
    /// [`Error::Argument`] for a step that no kernel covers, or a tensor failure.
    pub(super) fn new(
        network: &Network,
        steps: &[Step],
        isa: Isa,
        arithmetic: Arithmetic,
    ) -> Result<Self> {
        let kinds = kinds(network, steps)?;
        let mut compiler = Compiler::new(network, steps, kinds, arithmetic)?;
        let mut i = 0;
        while i < steps.len() {
            i += compiler.step(i, &steps[i])?;
        }
        compiler.finish(isa)
    }

    /// The row, counted over all convolutions by Winograd, that a packed weight belongs to.
    pub(super) fn row_of(&self, place: usize) -> Option<usize> {
        self.rows[place / BLOCK].map(|row| row as usize)
    }

    /// Packs the weights of a layer, given row-major, into the packed weights of all.
    pub(super) fn pack(&self, layer: usize, weights: &[f32], packed: &mut [f32]) {
        self.places[layer].pack(weights, packed);
    }

    /// Multiplications of one image, those with the padding included.
    pub(super) fn multiplications(&self) -> usize {
        self.calls
            .iter()
            .map(|call| self.multiplications_of(call))
            .sum()
    }

    /// Multiplications of one image in a call.
    pub(super) fn multiplications_of(&self, call: &Call) -> usize {
        match call {
            Call::Convolution {
                direct,
                images: true,
                ..
            } => direct.multiplications(),
            Call::Convolution { direct, .. } => direct.multiplications() / self.group,
            Call::Pooled { pooled, .. } => pooled.direct().multiplications(),
            _ => 0,
        }
    }
}

/// Layout of every value, borders wide enough for the convolutions that read it.
fn kinds(network: &Network, steps: &[Step]) -> Result<Vec<Kind>> {
    let [channels, height, width] = network.input_shape();
    let mut kinds = vec![Kind::Images(Planes::new(channels, height, width, 0)?)];
    let images = |kinds: &[Kind], value: Value| match kinds[value] {
        Kind::Images(planes) => Ok(planes),
        Kind::Vectors(_) => Err(vectors("images before this step")),
    };
    for step in steps {
        let kind = match step {
            Step::Convolution {
                input,
                layer,
                stride,
                padding,
                ..
            } => {
                let (outputs, kernel) = square(network, *layer)?;
                let input = images(&kinds, *input)?.with_border(*padding).full();
                Kind::Images(Direct::new(input, outputs, kernel, *stride, *padding, 0)?.output())
            }
            Step::MaxPool {
                input,
                size,
                stride,
                padding,
                ..
            } => Kind::Images(MaxPool::output_of(
                images(&kinds, *input)?,
                *size,
                *stride,
                *padding,
            )?),
            Step::PaddedShortcut { input, channels } => {
                Kind::Images(Shortcut::new(images(&kinds, *input)?, *channels, 0)?.output())
            }
            Step::ChannelMean { input } => Kind::Vectors(images(&kinds, *input)?.channels()),
            Step::Linear { layer, .. } => {
                Kind::Vectors(network.layers()[*layer].weight().dims()[0])
            }
        };
        kinds.push(kind);
    }
    widen(steps, &mut kinds);
    Ok(kinds)
}

/// Gives every value of images the border that its readers need, the same to a residual and its sum, and full
/// lanes where a reader has no kernel for fewer.
fn widen(steps: &[Step], kinds: &mut [Kind]) {
    let mut changed = true;
    while changed {
        changed = false;
        for (i, step) in steps.iter().enumerate() {
            let Step::Convolution {
                input,
                stride,
                padding,
                add,
                ..
            } = step
            else {
                continue;
            };
            let mut meet = |value: Value, border: usize, full: bool| {
                if let Kind::Images(planes) = &mut kinds[value] {
                    let mut new = planes.with_border(planes.border().max(border));
                    if full {
                        new = new.full();
                    }
                    changed |= new != *planes;
                    *planes = new;
                    return (
                        new.border(),
                        new.lanes() == BLOCK,
                        Direct::steps_over(new, *stride),
                    );
                }
                (border, full, true)
            };
            if !meet(*input, *padding, false).2 {
                meet(*input, *padding, true);
            }
            if let Some(add) = add {
                let (border, full, _) = meet(*add, 0, false);
                let (border, full, _) = meet(i + 1, border, full);
                meet(*add, border, full);
            }
        }
    }
}

/// A plan in the making.
struct Compiler<'a> {
    network: &'a Network,
    arithmetic: Arithmetic,
    kinds: Vec<Kind>,
    /// Last step that reads each value.
    last_use: Vec<usize>,
    /// By step: the kernel that does it and the next one at once.
    pooled: Vec<Option<Pooled>>,
    /// Images at a time.
    group: usize,
    /// Buffer of each value so far.
    of_value: Vec<Buffer>,
    /// Layouts of the buffers; a buffer is used again for the same layout only, so its border stays zero.
    buffers: Vec<(Planes, Holds)>,
    free: Vec<Buffer>,
    calls: Vec<Call>,
    places: Vec<Option<Place>>,
    packed: usize,
    winograds: Vec<WinogradPlace>,
    transformed: usize,
}

impl<'a> Compiler<'a> {
    fn new(
        network: &'a Network,
        steps: &[Step],
        kinds: Vec<Kind>,
        arithmetic: Arithmetic,
    ) -> Result<Self> {
        let mut last_use = vec![0; kinds.len()];
        for (i, step) in steps.iter().enumerate() {
            step.inputs()
                .into_iter()
                .for_each(|value| last_use[value] = i);
        }
        if let Some(last) = last_use.last_mut() {
            *last = usize::MAX;
        }
        let Kind::Images(image) = kinds[0] else {
            return Err(vectors("images at its start"));
        };
        let layers = network.layers().len();
        let mut compiler = Self {
            network,
            arithmetic,
            kinds,
            last_use,
            pooled: Vec::new(),
            group: 1,
            of_value: vec![0],
            buffers: vec![(image, Holds::Images)],
            free: Vec::new(),
            calls: Vec::new(),
            places: (0..layers).map(|_| None).collect(),
            packed: 0,
            winograds: Vec::new(),
            transformed: 0,
        };
        for i in 0..steps.len() {
            let pooled = compiler.pools(i, &steps[i..])?;
            compiler.pooled.push(pooled);
        }
        compiler.group = compiler.images_at_a_time();
        Ok(compiler)
    }

    /// As many images as leave the values that are alive at a time in the cache, a power of two.
    fn images_at_a_time(&self) -> usize {
        let mut widest = 1;
        for (value, kind) in self.kinds.iter().enumerate() {
            // what is pooled within its convolution is nowhere
            let nowhere = value > 0 && self.pooled[value - 1].is_some();
            match kind {
                Kind::Images(planes) if !nowhere => {
                    widest = widest.max(planes.len() * size_of::<f32>());
                }
                _ => {}
            }
        }
        // at most three values of the widest kind are alive: input, result, residual
        let group = (CACHE / (3 * widest)).clamp(1, MOST_IMAGES);
        1 << group.ilog2()
    }

    /// Layout of vectors: pixels of one row.
    fn vectors(&self, value: Value) -> Result<Planes> {
        match self.kinds[value] {
            Kind::Images(_) => Err(vectors("vectors after this step")),
            Kind::Vectors(features) => Ok(Planes::new(features, 1, self.group, 0)?.full()),
        }
    }

    fn images(&self, value: Value) -> Result<Planes> {
        match self.kinds[value] {
            Kind::Images(planes) => Ok(planes),
            Kind::Vectors(_) => Err(vectors("images before this step")),
        }
    }

    fn allocate(&mut self, layout: Planes, holds: Holds) -> Buffer {
        match self
            .free
            .iter()
            .position(|buffer| self.buffers[*buffer] == (layout, holds))
        {
            Some(at) => self.free.swap_remove(at),
            None => {
                self.buffers.push((layout, holds));
                self.buffers.len() - 1
            }
        }
    }

    /// Frees the buffers of the values that step `i` read for the last time, but for one.
    fn release(&mut self, i: usize, step: &Step, kept: Buffer) {
        for value in step.inputs() {
            let buffer = self.of_value[value];
            if self.last_use[value] == i
                && buffer != kept
                && !self.free.contains(&buffer)
                && buffer != 0
            {
                self.free.push(buffer);
            }
        }
    }

    /// Compiles step `i`, with the next one where one kernel does both; returns how many.
    fn step(&mut self, i: usize, step: &Step) -> Result<usize> {
        let to = match step {
            Step::Convolution {
                input,
                layer,
                scale,
                shift,
                ..
            } => {
                if let Some(pooled) = self.pooled[i] {
                    let (from, to) = (
                        self.of_value[*input],
                        self.allocate(pooled.output(), Holds::Images),
                    );
                    self.weights(*layer, *pooled.direct(), scale.clone());
                    self.calls.push(Call::Pooled {
                        pooled,
                        layer: *layer,
                        start: padded(shift, *pooled.direct()),
                        from,
                        to,
                    });
                    // the value between the two is nowhere
                    self.of_value.extend([to, to]);
                    self.release(i, step, to);
                    return Ok(2);
                }
                self.convolution(i, step)?
            }
            Step::MaxPool {
                input,
                size,
                stride,
                padding,
                relu,
            } => {
                let (from, to) = (
                    self.of_value[*input],
                    self.allocate(self.images(i + 1)?, Holds::Images),
                );
                let (input, output) = (self.images(*input)?, self.images(i + 1)?);
                if input.lanes() != output.lanes() {
                    return Err(Error::argument("pooling", "one number of lanes", "two"));
                }
                let (size, stride, padding, relu) = (*size, *stride, *padding, *relu);
                self.calls.push(Call::MaxPool {
                    pool: MaxPool {
                        input,
                        output,
                        size,
                        stride,
                        padding,
                        relu,
                    },
                    from,
                    to,
                });
                to
            }
            Step::PaddedShortcut { input, channels } => {
                let output = self.images(i + 1)?;
                let shortcut = Shortcut::new(self.images(*input)?, *channels, output.border())?;
                if shortcut.output() != output {
                    return Err(Error::argument(
                        "shortcut",
                        "16 lanes of channels",
                        channels.to_string(),
                    ));
                }
                let (from, to) = (self.of_value[*input], self.allocate(output, Holds::Images));
                self.calls.push(Call::Shortcut { shortcut, from, to });
                to
            }
            Step::ChannelMean { input } => {
                let (planes, output) = (self.images(*input)?, self.vectors(i + 1)?);
                let (from, to) = (self.of_value[*input], self.allocate(output, Holds::Vectors));
                self.calls.push(Call::ChannelMean {
                    input: planes,
                    output,
                    from,
                    to,
                });
                to
            }
            Step::Linear {
                input,
                layer,
                shift,
                relu,
            } => self.linear(i, *input, *layer, shift, *relu)?,
        };
        self.of_value.push(to);
        self.release(i, step, to);
        Ok(1)
    }

    /// The kernel of a convolution whose result is pooled by 2x2, rectified, and used nowhere else; `None` where there is
    /// none.
    fn pools(&self, i: usize, steps: &[Step]) -> Result<Option<Pooled>> {
        let [Step::Convolution {
            input,
            layer,
            stride,
            padding,
            add: None,
            relu: false,
            ..
        }, Step::MaxPool {
            input: between,
            size: 2,
            stride: 2,
            padding: 0,
            relu: true,
        }, ..] = steps
        else {
            return Ok(None);
        };
        if *between != i + 1 || self.last_use[*between] != i + 1 {
            return Ok(None);
        }
        let (outputs, kernel) = square(self.network, *layer)?;
        let image = self.images(*input)?;
        let mut direct = Direct::new(image, outputs, kernel, *stride, *padding, 0)?;
        let output = self.images(i + 2)?;
        if output.lanes() == BLOCK {
            direct = direct.full();
        }
        Ok(self.arithmetic.pooled(direct, output))
    }

    fn convolution(&mut self, i: usize, step: &Step) -> Result<Buffer> {
        let Step::Convolution {
            input,
            layer,
            stride,
            padding,
            scale,
            shift,
            add,
            relu,
        } = step
        else {
            return Err(vectors("a convolution"));
        };
        let (outputs, kernel) = square(self.network, *layer)?;
        let output = self.images(i + 1)?;
        let mut direct = Direct::new(
            self.images(*input)?,
            outputs,
            kernel,
            *stride,
            *padding,
            output.border(),
        )?;
        if output.lanes() == BLOCK {
            direct = direct.full();
        }
        let from = self.of_value[*input];
        let to = match add {
            Some(value) if self.last_use[*value] == i && value != input && *value != 0 => {
                self.of_value[*value]
            }
            Some(value) => {
                let (residual, to) = (self.of_value[*value], self.allocate(output, Holds::Images));
                self.calls.push(Call::Copy { from: residual, to });
                to
            }
            None => self.allocate(output, Holds::Images),
        };
        if add.is_some_and(|value| self.kinds[value] != Kind::Images(direct.output())) {
            return Err(unfit(
                self.network,
                *layer,
                "a result of the residual's shape",
                format!("{output:?}"),
            ));
        }
        let store = Store {
            add: add.is_some(),
            relu: *relu,
        };
        let packed = self.weights(*layer, direct, scale.clone());
        let start = padded(shift, direct);
        let winograd = self.winograd(direct, packed);
        self.calls.push(Call::Convolution {
            direct,
            winograd,
            layer: *layer,
            start,
            store,
            from,
            to,
            images: true,
        });
        Ok(to)
    }

    fn linear(
        &mut self,
        i: usize,
        input: Value,
        layer: usize,
        shift: &[f32],
        relu: bool,
    ) -> Result<Buffer> {
        let [outputs, inputs] = *self.network.layers()[layer].weight().dims() else {
            return Err(unfit(
                self.network,
                layer,
                "a matrix",
                "another shape".into(),
            ));
        };
        let vectors = Planes::new(inputs, 1, self.group, 0)?.full();
        let mut from = self.of_value[input];
        let mut flat = None;
        if let Kind::Images(planes) = self.kinds[input] {
            if planes.channels() * planes.height() * planes.width() != inputs {
                return Err(unfit(
                    self.network,
                    layer,
                    &format!("inputs for {planes:?}"),
                    inputs.to_string(),
                ));
            }
            let to = self.allocate(vectors, Holds::Vectors);
            self.calls.push(Call::Flatten {
                input: planes,
                output: vectors,
                from,
                to,
            });
            (from, flat) = (to, Some(to));
        }
        let direct = Direct::new(vectors, outputs, 1, 1, 0, 0)?.full();
        let to = self.allocate(self.vectors(i + 1)?, Holds::Vectors);
        self.free.extend(flat);
        self.weights(layer, direct, None);
        let store = Store { add: false, relu };
        let start = padded(shift, direct);
        self.calls.push(Call::Convolution {
            direct,
            winograd: None,
            layer,
            start,
            store,
            from,
            to,
            images: false,
        });
        Ok(to)
    }

    /// Lays out the weights of a layer; returns where they lie.
    fn weights(&mut self, layer: usize, direct: Direct, scale: Option<Vec<f32>>) -> Range<usize> {
        let range = self.packed..self.packed + direct.packed_len();
        self.packed = range.end;
        let row = self.network.layers()[layer].weight().dims()[1..]
            .iter()
            .product();
        self.places[layer] = Some(Place::new(direct, range.clone(), row, scale));
        range
    }

    /// The convolution's number among those by Winograd, where it is one of them.
    fn winograd(&mut self, direct: Direct, packed: Range<usize>) -> Option<usize> {
        let shape = self.arithmetic.winograd(direct)?;
        let transformed = self.transformed..self.transformed + shape.transformed_len();
        self.transformed = transformed.end;
        let first = self.winograds.last().map_or(0, |before| before.rows.end);
        self.winograds.push(WinogradPlace {
            shape,
            packed,
            transformed,
            rows: first..first + shape.rows(),
        });
        Some(self.winograds.len() - 1)
    }

    fn finish(self, isa: Isa) -> Result<Plan> {
        let unused = self.places.iter().position(Option::is_none);
        if let Some(layer) = unused {
            return Err(unfit(
                self.network,
                layer,
                "a step that uses it",
                "none".into(),
            ));
        }
        let last = self.of_value.len() - 1;
        let logits = (self.vectors(last)?, self.of_value[last]);
        let length = |(planes, holds): &(Planes, Holds)| match holds {
            Holds::Images => planes.len() * self.group,
            Holds::Vectors => planes.len(),
        };
        Ok(Plan {
            isa,
            group: self.group,
            image: self.buffers[0].0,
            buffers: self.buffers.iter().map(length).collect(),
            calls: self.calls,
            logits,
            places: self.places.into_iter().flatten().collect(),
            packed: self.packed,
            rows: rows_of(&self.winograds, self.packed),
            winograds: self.winograds,
            transformed: self.transformed,
        })
    }
}

/// Summands of a convolution with zeros for the channels that fill up its last block.
fn padded(shift: &[f32], direct: Direct) -> Vec<f32> {
    let mut start = shift.to_vec();
    start.resize(direct.start_len(), 0.0);
    start
}
