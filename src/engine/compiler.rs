//! A network's steps turned into kernel calls: buffers shared out, weights laid out, steps that one kernel does joined.

use super::gather::Gather;
use super::general::General;
use super::kind::{images, kinds, outputs_of, vectors, Kind};
use super::layout::Layout;
use super::mean_pool::MeanPool;
use super::place::{rows_of, Place, RowMajor, WinogradPlace};
use super::plan::{Buffer, Call, Plan};
use super::pool::MaxPool;
use crate::error::{Error, Result};
use crate::kernel::{
    Arithmetic, Depthwise, Direct, Isa, Planes, Pooled, Product, RowFunction, Shortcut, Store,
    BLOCK,
};
use crate::net::{GeneralStep, Moved, Network, Step, Value};
use std::ops::Range;

/// Bytes of buffers that stay in a core's second-level cache beside the weights of a layer.
const CACHE: usize = 512 << 10;
/// Most images at a time.
const MOST_IMAGES: usize = 16;

fn unfit(network: &Network, layer: usize, expected: &str, found: String) -> Error {
    Error::argument(
        format!("weight of {}", network.layers()[layer].name()),
        expected,
        found,
    )
}

/// Compiles a network.
///
/// # Errors
/// [`Error::Argument`] for a step that no kernel covers, or a tensor failure.
pub(super) fn compile(
    network: &Network,
    steps: &[Step],
    isa: Isa,
    arithmetic: Arithmetic,
) -> Result<Plan> {
    let kinds = kinds(network, steps)?;
    let mut compiler = Compiler::new(network, steps, kinds, arithmetic)?;
    let mut i = 0;
    while i < steps.len() {
        i += compiler.step(i, &steps[i])?;
    }
    compiler.finish(isa)
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
        images(&self.kinds, value)
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
            Step::Product {
                input,
                layer,
                shift,
                add,
                relu,
                ..
            } => self.product(i, [*input, *layer], shift, *add, *relu)?,
            Step::Rows {
                function, inputs, ..
            } => self.rows(i, function, inputs)?,
            Step::Moved(moved) => self.moved(i, moved)?,
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
        let to = self.result(i, *input, *add, Layout::Images(output));
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
            let place = Place::in_turn(depthwise.taps(), weights.clone(), scale.clone());
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

    /// The buffer of a result of this layout: that of what is added, where nothing else reads it.
    fn result(&mut self, i: usize, input: Value, add: Option<Value>, layout: Layout) -> Buffer {
        match add {
            Some(value) if self.last_use[value] == i && value != input && value != 0 => {
                self.of_value[value]
            }
            Some(value) => {
                let from = self.of_value[value];
                let to = self.allocate(layout);
                self.calls.push(Call::Copy { from, to });
                to
            }
            None => self.allocate(layout),
        }
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
        let own = self.layout(value)?;
        let output = self.row_of(own.numbers())?;
        let from = self.laid(self.of_value[value], own, Layout::Vectors(output));
        Ok((from, output))
    }

    /// A buffer of the same numbers in another layout: itself, or one that a call fills.
    fn laid(&mut self, from: Buffer, own: Layout, other: Layout) -> Buffer {
        if own == other {
            return from;
        }
        let to = self.allocate(other);
        self.calls.push(Call::Gather {
            gather: Gather::laid(own, other),
            from: vec![from],
            to,
        });
        to
    }

    /// The buffer of a value as rows.
    fn as_rows(&mut self, value: Value) -> Result<Buffer> {
        let own = self.layout(value)?;
        Ok(self.laid(self.of_value[value], own, Layout::Rows(own.numbers())))
    }

    /// Frees buffers that values were laid into to be read by one call.
    fn release_laid(&mut self, values: &[Value], read: &[Buffer]) {
        for (value, read) in values.iter().zip(read) {
            if *read != self.of_value[*value] && !self.free.contains(read) {
                self.free.push(*read);
            }
        }
    }

    fn product(
        &mut self,
        i: usize,
        [input, layer]: [usize; 2],
        shift: &[f32],
        add: Option<Value>,
        relu: bool,
    ) -> Result<Buffer> {
        let weight = self.network.layers()[layer].weight();
        let outputs = outputs_of(self.network, layer);
        let inputs = weight.elem_count() / outputs;
        let (product, own) = (Product { inputs, outputs }, self.layout(i + 1)?);
        let rows = own.numbers() / outputs;
        if self.layout(input)?.numbers() != rows * inputs {
            let expected = format!("inputs for {own:?}");
            return Err(unfit(self.network, layer, &expected, inputs.to_string()));
        }
        let (from, to) = (self.as_rows(input)?, Layout::Rows(own.numbers()));
        let result = match add {
            Some(value) if self.layout(value)? != to => self.as_rows(value)?,
            _ => self.result(i, input, add, to),
        };
        let weights = self.packed..self.packed + product.packed_len();
        self.packed = weights.end;
        self.places[layer].push(Place::in_turn(inputs, weights.clone(), None));
        let store = Store {
            add: add.is_some(),
            relu,
        };
        self.calls.push(Call::Product {
            product,
            rows,
            layer,
            weights,
            start: padded(shift, product.start_len()),
            store,
            from,
            to: result,
        });
        self.release_laid(&[input], &[from]);
        Ok(self.out_of_rows(result, own, add))
    }

    /// The buffer of a result that was computed as rows; those are freed where it has another layout.
    fn out_of_rows(&mut self, rows: Buffer, own: Layout, add: Option<Value>) -> Buffer {
        let to = self.laid(rows, Layout::Rows(own.numbers()), own);
        if to != rows && add.is_none_or(|value| self.of_value[value] != rows) {
            self.free.push(rows);
        }
        to
    }

    fn rows(&mut self, i: usize, function: &RowFunction, inputs: &[Value]) -> Result<Buffer> {
        let own = self.layout(i + 1)?;
        let rows = Layout::Rows(own.numbers());
        let from = inputs.iter().map(|input| self.as_rows(*input));
        let from: Vec<Buffer> = from.collect::<Result<_>>()?;
        let result = self.allocate(rows);
        self.calls.push(Call::Rows {
            function: function.clone(),
            numbers: own.numbers(),
            from: from.clone(),
            to: result,
        });
        self.release_laid(inputs, &from);
        Ok(self.out_of_rows(result, own, None))
    }

    fn moved(&mut self, i: usize, moved: &Moved) -> Result<Buffer> {
        let output = self.layout(i + 1)?;
        let mut parts: Vec<(Layout, &[[u32; 2]])> = Vec::new();
        for (value, places) in &moved.parts {
            parts.push((self.layout(*value)?, places));
        }
        let from = moved.parts.iter().map(|(value, _)| self.of_value[*value]);
        let (from, gather) = (from.collect(), Gather::new(&moved.fixed, &parts, output));
        let to = self.allocate(output);
        self.calls.push(Call::Gather { gather, from, to });
        Ok(to)
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
