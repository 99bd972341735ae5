//! A network's steps turned into kernel calls on a fixed set of buffers; knows no faults and no images.

use super::general::General;
use super::layout::Layout;
use super::mean_pool::MeanPool;
use super::place::{rows_of, Place, RowMajor, WinogradPlace};
use super::pool::MaxPool;
use crate::error::{Error, Result};
use crate::kernel::{Arithmetic, Depthwise, Direct, Isa, Planes, Pooled, Shortcut, Store, BLOCK};
use crate::net::{GeneralStep, Network, Step, Value};
use std::ops::Range;

/// Bytes of buffers that stay in a core's second-level cache beside the weights of a layer.
const CACHE: usize = 512 << 10;
/// Most images at a time.
const MOST_IMAGES: usize = 16;

/// Buffers of a plan, by number.
pub(super) type Buffer = usize;

/// One kernel call for the images at a time.
#[derive(Debug)]
pub(super) enum Call {
    /// Convolution image by image, or of all images at a time as pixels of one row (linear layers).
    Convolution {
        direct: Direct,
        /// Number among [`Plan::winograds`], where it is not computed directly.
        winograd: Option<usize>,
        layer: usize,
        /// Where the weights lie among the packed ones.
        weights: Range<usize>,
        start: Vec<f32>,
        store: Store,
        /// What is above it becomes it.
        ceiling: Option<f32>,
        from: Buffer,
        to: Buffer,
        images: bool,
    },
    /// Convolution of each channel by itself.
    Depthwise {
        depthwise: Depthwise,
        layer: usize,
        /// Where the weights lie among the packed ones.
        weights: Range<usize>,
        start: Vec<f32>,
        store: Store,
        /// What is above it becomes it.
        ceiling: Option<f32>,
        from: Buffer,
        to: Buffer,
    },
    /// Convolution, pooling and ReLU in one.
    Pooled {
        pooled: Pooled,
        layer: usize,
        /// Where the weights lie among the packed ones.
        weights: Range<usize>,
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
    /// Mean of each window.
    MeanPool {
        pool: MeanPool,
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
        input: Layout,
        output: Planes,
        from: Buffer,
        to: Buffer,
    },
    /// What no kernel knows, image by image.
    General(General),
}

impl Call {
    /// The buffers that it reads; one that it adds to is not among them.
    pub(super) fn reads(&self) -> &[Buffer] {
        match self {
            Self::Convolution { from, .. }
            | Self::Depthwise { from, .. }
            | Self::MeanPool { from, .. }
            | Self::Pooled { from, .. }
            | Self::Copy { from, .. }
            | Self::MaxPool { from, .. }
            | Self::Shortcut { from, .. }
            | Self::ChannelMean { from, .. }
            | Self::Flatten { from, .. } => std::slice::from_ref(from),
            Self::General(general) => &general.from,
        }
    }

    /// The buffer that it writes.
    pub(super) fn writes(&self) -> Buffer {
        match self {
            Self::Convolution { to, .. }
            | Self::Depthwise { to, .. }
            | Self::MeanPool { to, .. }
            | Self::Pooled { to, .. }
            | Self::Copy { to, .. }
            | Self::MaxPool { to, .. }
            | Self::Shortcut { to, .. }
            | Self::ChannelMean { to, .. }
            | Self::Flatten { to, .. } => *to,
            Self::General(general) => general.to,
        }
    }

    /// True where it adds to what the buffer holds that it writes.
    pub(super) fn adds(&self) -> bool {
        matches!(self, Self::Convolution { store, .. } | Self::Depthwise { store, .. } if store.add)
    }

    /// The layer whose weight it uses.
    pub(super) fn layer(&self) -> Option<usize> {
        match self {
            Self::Convolution { layer, .. }
            | Self::Depthwise { layer, .. }
            | Self::Pooled { layer, .. } => Some(*layer),
            Self::General(general) => general.step.layer(),
            _ => None,
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
    /// Of each layer where its weights lie, once for each call that uses them.
    pub(super) places: Vec<Vec<Place>>,
    /// Length of the packed weights.
    pub(super) packed: usize,
    /// By rising place of their packed weights.
    pub(super) winograds: Vec<WinogradPlace>,
    /// Length of the transformed weights.
    pub(super) transformed: usize,
    /// Weights as candle takes them.
    pub(super) row_major: Vec<RowMajor>,
    /// For each 16 packed weights, which are those of 16 outputs, their row among all of Winograd's convolutions; behind
    /// those each weight in row-major order is a row.
    rows: Vec<Option<u32>>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Images(Planes),
    Vectors(usize),
    /// So many numbers of any shape.
    Rows(usize),
}

/// Outputs of a layer.
fn outputs_of(network: &Network, layer: usize) -> usize {
    network.layers()[layer].weight().dims()[0]
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

    /// The row that a packed weight belongs to, counted over all convolutions by Winograd and then the weights in
    /// row-major order.
    pub(super) fn row_of(&self, place: usize) -> Option<usize> {
        self.rows[place / BLOCK].map(|row| row as usize)
    }

    /// Rows of convolutions by Winograd.
    pub(super) fn winograd_rows(&self) -> usize {
        self.winograds.last().map_or(0, |last| last.rows.end)
    }

    /// Packs the weights of a layer, given row-major, into the packed weights of all.
    pub(super) fn pack(&self, layer: usize, weights: &[f32], packed: &mut [f32]) {
        for place in &self.places[layer] {
            place.pack(weights, packed);
        }
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
            Call::Depthwise { depthwise, .. } => depthwise.multiplications(),
            Call::General(general) => general.step.multiplications(),
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
        _ => Err(vectors("images before this step")),
    };
    let read_as = read_as(steps);
    for (i, step) in steps.iter().enumerate() {
        let kind = match step {
            Step::Convolution {
                input,
                layer,
                windows,
                depthwise,
                ..
            } => {
                let input = images(&kinds, *input)?.with_border(windows.padding());
                let output = if *depthwise {
                    Depthwise::new(input.full(), *windows, 0)?.output()
                } else {
                    let outputs = outputs_of(network, *layer);
                    Direct::over(input.full(), outputs, *windows, 0)?.output()
                };
                Kind::Images(output)
            }
            Step::MeanPool { input, windows, .. } => {
                Kind::Images(MeanPool::output_of(images(&kinds, *input)?, *windows)?)
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
            Step::General(step) => match (&read_as[i + 1], step.shape()) {
                (Some(ReadAs::Images), [1, channels, height, width]) => {
                    Kind::Images(Planes::new(*channels, *height, *width, 0)?)
                }
                (Some(ReadAs::Vectors), shape) => Kind::Vectors(shape.iter().product()),
                (_, shape) => Kind::Rows(shape.iter().product()),
            },
        };
        kinds.push(kind);
    }
    widen(steps, &mut kinds);
    Ok(kinds)
}

/// What the kernels that read a value take it for.
#[derive(Clone, Copy, Debug)]
enum ReadAs {
    Images,
    Vectors,
}

/// What kernels take each value for; `None` where none reads it. The last value is a vector.
fn read_as(steps: &[Step]) -> Vec<Option<ReadAs>> {
    let mut all = vec![None; steps.len() + 1];
    if let Some(last) = all.last_mut() {
        *last = Some(ReadAs::Vectors);
    }
    for step in steps {
        for value in step.inputs() {
            match step {
                Step::General(_) => {}
                Step::Linear { .. } => all[value] = all[value].or(Some(ReadAs::Vectors)),
                _ => all[value] = Some(ReadAs::Images),
            }
        }
    }
    all
}

/// Gives every value of images the border that its readers need, the same to a residual and its sum, and full
/// lanes where a reader has no kernel for fewer, the same to images and what is pooled of them.
fn widen(steps: &[Step], kinds: &mut [Kind]) {
    let mut changed = true;
    while changed {
        changed = false;
        for (i, step) in steps.iter().enumerate() {
            let mut meet = |value: Value, border: usize, stride: usize, full: bool| {
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
                        Direct::steps_over(new, stride),
                    );
                }
                (border, full, true)
            };
            match step {
                Step::Convolution {
                    input,
                    windows,
                    depthwise,
                    add,
                    ..
                } => {
                    let (padding, stride) = (windows.padding(), windows.stride[1]);
                    if !meet(*input, padding, stride, *depthwise).2 && !depthwise {
                        meet(*input, padding, stride, true);
                    }
                    if let Some(add) = add {
                        let (border, full, _) = meet(*add, 0, 1, false);
                        let (border, full, _) = meet(i + 1, border, 1, full);
                        meet(*add, border, 1, full);
                    }
                }
                Step::MaxPool { input, .. } | Step::MeanPool { input, .. } => {
                    let full = meet(*input, 0, 1, false).1;
                    let full = meet(i + 1, 0, 1, full).1;
                    meet(*input, 0, 1, full);
                }
                _ => {}
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
    buffers: Vec<Layout>,
    free: Vec<Buffer>,
    calls: Vec<Call>,
    places: Vec<Vec<Place>>,
    packed: usize,
    row_major: Vec<RowMajor>,
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
            buffers: vec![Layout::Images(image)],
            free: Vec::new(),
            calls: Vec::new(),
            places: (0..layers).map(|_| Vec::new()).collect(),
            packed: 0,
            row_major: Vec::new(),
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
                Kind::Rows(numbers) => widest = widest.max(numbers * size_of::<f32>()),
                _ => {}
            }
        }
        // at most three values of the widest kind are alive: input, result, residual
        let group = (CACHE / (3 * widest)).clamp(1, MOST_IMAGES);
        1 << group.ilog2()
    }

    /// Layout of vectors of so many features: pixels of one row.
    fn row_of(&self, features: usize) -> Result<Planes> {
        Ok(Planes::new(features, 1, self.group, 0)?.full())
    }

    fn vectors(&self, value: Value) -> Result<Planes> {
        match self.kinds[value] {
            Kind::Vectors(features) => self.row_of(features),
            _ => Err(vectors("vectors after this step")),
        }
    }

    fn images(&self, value: Value) -> Result<Planes> {
        match self.kinds[value] {
            Kind::Images(planes) => Ok(planes),
            _ => Err(vectors("images before this step")),
        }
    }

    fn layout(&self, value: Value) -> Result<Layout> {
        Ok(match self.kinds[value] {
            Kind::Images(planes) => Layout::Images(planes),
            Kind::Vectors(features) => Layout::Vectors(self.row_of(features)?),
            Kind::Rows(numbers) => Layout::Rows(numbers),
        })
    }

    fn allocate(&mut self, layout: Layout) -> Buffer {
        match self
            .free
            .iter()
            .position(|buffer| self.buffers[*buffer] == layout)
        {
            Some(at) => self.free.swap_remove(at),
            None => {
                self.buffers.push(layout);
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
                        self.allocate(Layout::Images(pooled.output())),
                    );
                    let weights = self.weights(*layer, *pooled.direct(), scale.clone());
                    self.calls.push(Call::Pooled {
                        pooled,
                        layer: *layer,
                        weights,
                        start: padded(shift, pooled.direct().start_len()),
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
                    self.allocate(Layout::Images(self.images(i + 1)?)),
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
            Step::MeanPool {
                input,
                windows,
                padded,
            } => {
                let (from, output) = (self.of_value[*input], self.images(i + 1)?);
                let to = self.allocate(Layout::Images(output));
                let pool = MeanPool::new(self.images(*input)?, output, *windows, *padded)?;
                self.calls.push(Call::MeanPool { pool, from, to });
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
                let (from, to) = (self.of_value[*input], self.allocate(Layout::Images(output)));
                self.calls.push(Call::Shortcut { shortcut, from, to });
                to
            }
            Step::ChannelMean { input } => {
                let (planes, output) = (self.images(*input)?, self.vectors(i + 1)?);
                let (from, to) = (
                    self.of_value[*input],
                    self.allocate(Layout::Vectors(output)),
                );
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
            Step::General(step) => self.general(i, step)?,
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
            windows,
            depthwise: false,
            add: None,
            relu: false,
            ceiling: None,
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
        let (outputs, image) = (outputs_of(self.network, *layer), self.images(*input)?);
        let mut direct = Direct::over(image, outputs, *windows, 0)?;
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
            windows,
            depthwise,
            scale,
            shift,
            add,
            relu,
            ceiling,
        } = step
        else {
            return Err(vectors("a convolution"));
        };
        let (image, output) = (self.images(*input)?, self.images(i + 1)?);
        let from = self.of_value[*input];
        let to = match add {
            Some(value) if self.last_use[*value] == i && value != input && *value != 0 => {
                self.of_value[*value]
            }
            Some(value) => {
                let residual = self.of_value[*value];
                let to = self.allocate(Layout::Images(output));
                self.calls.push(Call::Copy { from: residual, to });
                to
            }
            None => self.allocate(Layout::Images(output)),
        };
        if add.is_some_and(|value| self.kinds[value] != Kind::Images(output)) {
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
        let (layer, ceiling) = (*layer, *ceiling);
        if *depthwise {
            let depthwise = Depthwise::new(image, *windows, output.border())?;
            let weights = self.packed..self.packed + depthwise.packed_len();
            self.packed = weights.end;
            let place = Place::depthwise(&depthwise, weights.clone(), scale.clone());
            self.places[layer].push(place);
            self.calls.push(Call::Depthwise {
                depthwise,
                layer,
                weights,
                start: padded(shift, depthwise.start_len()),
                store,
                ceiling,
                from,
                to,
            });
            return Ok(to);
        }
        let outputs = outputs_of(self.network, layer);
        let mut direct = Direct::over(image, outputs, *windows, output.border())?;
        if output.lanes() == BLOCK {
            direct = direct.full();
        }
        let weights = self.weights(layer, direct, scale.clone());
        let winograd = self.winograd(direct, weights.clone());
        self.calls.push(Call::Convolution {
            direct,
            winograd,
            layer,
            weights,
            start: padded(shift, direct.start_len()),
            store,
            ceiling,
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
        let layout = self.layout(input)?;
        if layout.numbers() != inputs {
            return Err(unfit(
                self.network,
                layer,
                &format!("inputs for {layout:?}"),
                inputs.to_string(),
            ));
        }
        let (from, vectors) = self.flat(input)?;
        let direct = Direct::new(vectors, outputs, 1, 1, 0, 0)?.full();
        let to = self.allocate(Layout::Vectors(self.vectors(i + 1)?));
        if from != self.of_value[input] {
            self.free.push(from);
        }
        let weights = self.weights(layer, direct, None);
        let store = Store { add: false, relu };
        let start = padded(shift, direct.start_len());
        self.calls.push(Call::Convolution {
            direct,
            winograd: None,
            layer,
            weights,
            start,
            store,
            ceiling: None,
            from,
            to,
            images: false,
        });
        Ok(to)
    }

    /// Buffer and layout of a value as vectors: its own, or one that a call fills.
    fn flat(&mut self, value: Value) -> Result<(Buffer, Planes)> {
        let (from, input) = (self.of_value[value], self.layout(value)?);
        if let Layout::Vectors(planes) = input {
            return Ok((from, planes));
        }
        let output = self.row_of(input.numbers())?;
        let to = self.allocate(Layout::Vectors(output));
        self.calls.push(Call::Flatten {
            input,
            output,
            from,
            to,
        });
        Ok((to, output))
    }

    fn general(&mut self, i: usize, step: &GeneralStep) -> Result<Buffer> {
        let inputs = step.values().map(|value| self.layout(value));
        let (inputs, output) = (inputs.collect::<Result<_>>()?, self.layout(i + 1)?);
        let to = self.allocate(output);
        let weight = step.layer().map(|layer| {
            let shape = self.network.layers()[layer].weight().dims().to_vec();
            let length: usize = shape.iter().product();
            let range = self.packed..self.packed + length;
            // rows are told apart by the 16 weights that a place is among
            self.packed += length.next_multiple_of(BLOCK);
            self.places[layer].push(Place::row_major(range.clone()));
            self.row_major.push(RowMajor { range, shape });
            self.row_major.len() - 1
        });
        self.calls.push(Call::General(General {
            step: step.clone(),
            weight,
            inputs,
            output,
            from: step.values().map(|value| self.of_value[value]).collect(),
            to,
        }));
        Ok(to)
    }

    /// Lays out the weights of a layer; returns where they lie.
    fn weights(&mut self, layer: usize, direct: Direct, scale: Option<Vec<f32>>) -> Range<usize> {
        let range = self.packed..self.packed + direct.packed_len();
        self.packed = range.end;
        let row = self.network.layers()[layer].weight().dims()[1..]
            .iter()
            .product();
        self.places[layer].push(Place::new(direct, range.clone(), row, scale));
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

    fn finish(mut self, isa: Isa) -> Result<Plan> {
        let unused = self.places.iter().position(Vec::is_empty);
        if let Some(layer) = unused {
            return Err(unfit(
                self.network,
                layer,
                "a step that uses it",
                "none".into(),
            ));
        }
        let last = self.of_value.len() - 1;
        let (buffer, layout) = self.flat(last)?;
        let buffers = self.buffers.iter().map(|layout| layout.len(self.group));
        Ok(Plan {
            isa,
            group: self.group,
            image: self.images(0)?,
            buffers: buffers.collect(),
            calls: self.calls,
            logits: (layout, buffer),
            places: self.places,
            packed: self.packed,
            rows: rows_of(&self.winograds, &self.row_major, self.packed),
            winograds: self.winograds,
            row_major: self.row_major,
            transformed: self.transformed,
        })
    }
}

/// Summands of a convolution with zeros for the channels that fill up its last block.
fn padded(shift: &[f32], length: usize) -> Vec<f32> {
    let mut start = shift.to_vec();
    start.resize(length, 0.0);
    start
}
