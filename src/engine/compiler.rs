//! A network's steps turned into kernel calls: buffers shared out, weights laid out, steps that one kernel does joined.

use super::gather::Gather;
use super::general::General;
use super::kind::{images, kinds, outputs_of, vectors, Kind};
use super::layout::Layout;
use super::mean_pool::MeanPool;
use super::place::{rows_of, Place, RowMajor, WinogradPlace};
use super::plan::{Buffer, Call, Kernel, Plan, Weighted};
use super::pool::MaxPool;
use super::stored::Stored;
use crate::error::{refuse, Error, Result};
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

    fn unfit(&self, layer: usize, expected: &str, found: impl Into<String>) -> Error {
        let what = format!("weight of {}", self.network.layers()[layer].name());
        Error::argument(what, expected, found)
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
                    let direct = *pooled.direct();
                    let range = self.room_for(direct.packed_len());
                    let place = Place::new(direct, range, direct.row(), scale.clone());
                    let own = self.weighted(*layer, place, shift, Store::default(), None);
                    let layout = Layout::Images(pooled.output());
                    let to = self.call_on(Kernel::Pooled { pooled, own }, *input, layout);
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
                let (planes, output) = (self.images(*input)?, self.images(i + 1)?);
                if planes.lanes() != output.lanes() {
                    return refuse("pooling", "one number of lanes", "two");
                }
                let pool = MaxPool {
                    input: planes,
                    output,
                    size: *size,
                    stride: *stride,
                    padding: *padding,
                    relu: *relu,
                };
                self.call_on(Kernel::MaxPool(pool), *input, Layout::Images(output))
            }
            Step::MeanPool {
                input,
                windows,
                padded,
            } => {
                let output = self.images(i + 1)?;
                let pool = MeanPool::new(self.images(*input)?, output, *windows, *padded)?;
                self.call_on(Kernel::MeanPool(pool), *input, Layout::Images(output))
            }
            Step::PaddedShortcut { input, channels } => {
                let output = self.images(i + 1)?;
                let shortcut = Shortcut::new(self.images(*input)?, *channels, output.border())?;
                if shortcut.output() != output {
                    let (expected, found) = ("16 lanes of channels", channels.to_string());
                    return refuse("shortcut", expected, found);
                }
                self.call_on(Kernel::Shortcut(shortcut), *input, Layout::Images(output))
            }
            Step::ChannelMean { input } => {
                let (planes, output) = (self.images(*input)?, self.vectors(i + 1)?);
                let kernel = Kernel::ChannelMean {
                    input: planes,
                    output,
                };
                self.call_on(kernel, *input, Layout::Vectors(output))
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
            Step::Stored {
                input,
                tensor,
                levels,
            } => {
                let to = self.of_value[*input];
                let stored = Stored::new(*tensor, *levels, self.layout(i + 1)?);
                self.call(Kernel::Stored(stored), Vec::new(), to);
                to
            }
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
            groups: 1,
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
            groups,
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
            let expected = "a result of the residual's shape";
            return Err(self.unfit(*layer, expected, format!("{output:?}")));
        }
        let store = Store {
            add: add.is_some(),
            relu: *relu,
        };
        let (layer, ceiling, groups) = (*layer, *ceiling, *groups);
        let outputs = outputs_of(self.network, layer);
        if Depthwise::is(groups, image.channels(), outputs) {
            let depthwise = Depthwise::new(image, *windows, output.border())?;
            let range = self.room_for(depthwise.packed_len());
            let place = Place::in_turn(depthwise.taps(), range, scale.clone());
            let own = self.weighted(layer, place, shift, store, ceiling);
            self.call(Kernel::Depthwise { depthwise, own }, vec![from], to);
            return Ok(to);
        }
        let parts = Direct::parts(groups, image.channels(), outputs);
        let part = image.with_channels(image.channels() / parts);
        let mut direct = Direct::over(part, outputs / parts, *windows, output.border())?;
        if output.lanes() == BLOCK {
            direct = direct.full();
        }
        let range = self.room_for(parts * direct.packed_len());
        let row = direct.row() * parts / groups;
        let place = Place::new(direct, range, row, scale.clone()).of_groups(outputs / groups);
        let own = self.weighted(layer, place, shift, store, ceiling);
        let winograd = match parts {
            1 => self.winograd(direct, own.weights.clone()),
            _ => None,
        };
        let kernel = match winograd {
            Some(number) => Kernel::Winograd {
                direct,
                number,
                own,
            },
            None => Kernel::Convolution { direct, parts, own },
        };
        self.call(kernel, vec![from], to);
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
                self.call(Kernel::Copy, vec![from], to);
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
            return Err(self.unfit(layer, "a matrix", "another shape"));
        };
        let layout = self.layout(input)?;
        if layout.numbers() != inputs {
            let expected = format!("inputs for {layout:?}");
            return Err(self.unfit(layer, &expected, inputs.to_string()));
        }
        let (from, vectors) = self.flat(input)?;
        let direct = Direct::new(vectors, outputs, 1, 1, 0, 0)?.full();
        let to = self.allocate(Layout::Vectors(self.vectors(i + 1)?));
        if from != self.of_value[input] {
            self.free.push(from);
        }
        let range = self.room_for(direct.packed_len());
        let place = Place::new(direct, range, inputs, None);
        let store = Store { add: false, relu };
        let own = self.weighted(layer, place, shift, store, None);
        self.call(Kernel::Linear { direct, own }, vec![from], to);
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
        let gather = Gather::laid(own, other);
        self.call(Kernel::Gather(gather), vec![from], to);
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
        let (product, layout) = (Product { inputs, outputs }, self.layout(i + 1)?);
        let rows = layout.numbers() / outputs;
        if self.layout(input)?.numbers() != rows * inputs {
            let expected = format!("inputs for {layout:?}");
            return Err(self.unfit(layer, &expected, inputs.to_string()));
        }
        let (from, to) = (self.as_rows(input)?, Layout::Rows(layout.numbers()));
        let result = match add {
            Some(value) if self.layout(value)? != to => self.as_rows(value)?,
            _ => self.result(i, input, add, to),
        };
        let range = self.room_for(product.packed_len());
        let place = Place::in_turn(inputs, range, None);
        let store = Store {
            add: add.is_some(),
            relu,
        };
        let own = self.weighted(layer, place, shift, store, None);
        self.call(Kernel::Product { product, rows, own }, vec![from], result);
        self.release_laid(&[input], &[from]);
        Ok(self.out_of_rows(result, layout, add))
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
        self.release_laid(inputs, &from);
        let kernel = Kernel::Rows {
            function: function.clone(),
            numbers: own.numbers(),
        };
        self.call(kernel, from, result);
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
        self.call(Kernel::Gather(gather), from, to);
        Ok(to)
    }

    fn general(&mut self, i: usize, step: &GeneralStep) -> Result<Buffer> {
        let inputs = step.values().map(|value| self.layout(value));
        let (inputs, output) = (inputs.collect::<Result<_>>()?, self.layout(i + 1)?);
        let to = self.allocate(output);
        let weight = step.layer().map(|layer| {
            let shape = self.network.layers()[layer].weight().dims().to_vec();
            let length: usize = shape.iter().product();
            let range = self.room_for(length);
            self.places[layer].push(Place::row_major(range.clone()));
            self.row_major.push(RowMajor { range, shape });
            self.row_major.len() - 1
        });
        let general = General {
            step: step.clone(),
            weight,
            inputs,
            output,
        };
        let from = step.values().map(|value| self.of_value[value]).collect();
        self.call(Kernel::General(general), from, to);
        Ok(to)
    }

    /// So many places among the packed weights.
    fn room_for(&mut self, weights: usize) -> Range<usize> {
        // rows are told apart by the 16 weights that a place is among
        let range = self.packed..self.packed + weights;
        self.packed += weights.next_multiple_of(BLOCK);
        range
    }

    /// The weights of a layer at their place, with what else belongs to a call.
    fn weighted(
        &mut self,
        layer: usize,
        place: Place,
        shift: &[f32],
        store: Store,
        ceiling: Option<f32>,
    ) -> Weighted {
        let weights = place.range().clone();
        self.places[layer].push(place);
        // zeros for the channels that fill up the last block
        let mut start = shift.to_vec();
        start.resize(shift.len().next_multiple_of(BLOCK), 0.0);
        Weighted {
            layer,
            weights,
            start,
            store,
            ceiling,
        }
    }

    /// A call that reads one value; gives the buffer that it writes.
    fn call_on(&mut self, kernel: Kernel, input: Value, layout: Layout) -> Buffer {
        let (from, to) = (self.of_value[input], self.allocate(layout));
        self.call(kernel, vec![from], to);
        to
    }

    fn call(&mut self, kernel: Kernel, from: Vec<Buffer>, to: Buffer) {
        self.calls.push(Call { kernel, from, to });
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
            return Err(self.unfit(layer, "a step that uses it", "none"));
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
