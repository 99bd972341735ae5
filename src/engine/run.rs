//! Runs a plan on images: a worker owns buffers and allocates nothing for a kernel while it works.

use super::images::{Goal, Part};
use super::layout::vector_place;
use super::plan::{Call, Kernel, Plan};
use super::score::Answer;
use super::weights::Fresh;
use crate::error::{Error, Result};
use crate::kernel::{channel_means, Isa, Scratch};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Buffers of one thread.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    scratch: Scratch,
    buffers: Vec<Vec<f32>>,
    logits: Vec<f32>,
    /// Places in the data set of the images in the buffers.
    images: Vec<u32>,
    /// Multiply-adds so far, those with the padding included.
    pub(super) multiplications: u64,
}

impl Worker {
    /// A worker for a plan.
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            scratch: Scratch::default(),
            buffers: plan
                .buffers
                .iter()
                .map(|length| vec![0.0; *length])
                .collect(),
            logits: vec![0.0; plan.logits.0.channels()],
            images: Vec::new(),
            multiplications: 0,
        }
    }

    /// Calls `visit(label, logits)` for each image of a part, group after group.
    ///
    /// # Errors
    /// [`Error::Interrupted`] before a group where `cancel` is raised; a tensor failure.
    pub(super) fn run(
        &mut self,
        plan: &Plan,
        weights: Fresh,
        part: Part,
        cancel: &AtomicBool,
        mut visit: impl FnMut(Goal, &[f32]),
    ) -> Result<()> {
        for group in part.cut(plan.group) {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            self.load(plan, group);
            self.calls(plan, weights, 0..plan.calls.len(), group.len())?;
            self.visit(plan, group, &mut visit);
        }
        Ok(())
    }

    /// Answers on each image of a part.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(super) fn answers(
        &mut self,
        plan: &Plan,
        weights: Fresh,
        part: Part,
        cancel: &AtomicBool,
    ) -> Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(part.len());
        self.run(plan, weights, part, cancel, |goal, logits| {
            answers.push(Answer::new(logits, goal));
        })?;
        Ok(answers)
    }

    /// Lays the images of a group into their buffer.
    pub(super) fn load(&mut self, plan: &Plan, group: Part) {
        group.fill(plan.image, &mut self.buffers[0]);
        self.images.clear();
        self.images.extend_from_slice(group.places());
    }

    /// Runs some calls of a plan on the `count` images in the buffers.
    ///
    /// # Errors
    /// A tensor failure.
    pub(super) fn calls(
        &mut self,
        plan: &Plan,
        weights: Fresh,
        calls: Range<usize>,
        count: usize,
    ) -> Result<()> {
        for call in &plan.calls[calls] {
            self.call(plan, weights, call, count)?;
            self.multiplications += (plan.multiplications_of(call) * count) as u64;
        }
        Ok(())
    }

    /// Calls `visit(goal, logits)` for each image of the group in the buffers.
    pub(super) fn visit(&mut self, plan: &Plan, group: Part, mut visit: impl FnMut(Goal, &[f32])) {
        let (layout, buffer) = plan.logits;
        for (at, goal) in group.goals().enumerate() {
            for (block, logits) in self.logits.chunks_mut(layout.lanes()).enumerate() {
                let first = layout.at(block, 0, at);
                logits.copy_from_slice(&self.buffers[buffer][first..][..logits.len()]);
            }
            plan.isa.plain(|| visit(goal, &self.logits));
        }
    }

    /// What these buffers hold, one after the other.
    pub(super) fn keep(&self, buffers: &[usize]) -> Vec<f32> {
        buffers
            .iter()
            .flat_map(|buffer| self.buffers[*buffer].iter().copied())
            .collect()
    }

    /// Puts back what [`Self::keep`] gave.
    pub(super) fn restore(&mut self, buffers: &[usize], mut kept: &[f32]) {
        for buffer in buffers {
            let buffer = &mut self.buffers[*buffer];
            let (own, rest) = kept.split_at(buffer.len());
            buffer.copy_from_slice(own);
            kept = rest;
        }
    }

    fn call(&mut self, plan: &Plan, weights: Fresh, call: &Call, count: usize) -> Result<()> {
        // taken out and put back: it is none that the call reads, and moving a vector copies nothing
        let mut output = std::mem::take(&mut self.buffers[call.to]);
        let done = self.kernel(plan, weights, call, count, &mut output);
        self.buffers[call.to] = output;
        done
    }

    fn kernel(
        &mut self,
        plan: &Plan,
        weights: Fresh,
        call: &Call,
        count: usize,
        output: &mut [f32],
    ) -> Result<()> {
        let isa = plan.isa;
        let first = call.from.first();
        let input = first.map_or(&[][..], |from| &self.buffers[*from]);
        match &call.kernel {
            Kernel::Convolution { direct, parts, own } => {
                let weights = weights.packed[own.weights.clone()].chunks_exact(direct.packed_len());
                let starts = own.start.chunks_exact(direct.start_len());
                let all = images(input, direct.input().len(), output, direct.output().len());
                let of_parts = all.zip(weights.zip(starts).cycle()).take(count * parts);
                for ((input, output), (weights, start)) in of_parts {
                    direct.forward(isa, input, weights, start, own.store, output);
                    direct.clear_spare_lanes(output);
                    cap(isa, output, own.ceiling);
                }
            }
            Kernel::Winograd {
                direct,
                number,
                own,
            } => {
                let place = &plan.winograds[*number];
                let outputs = &mut output[..count * direct.output().len()];
                place.shape.forward(
                    isa,
                    &input[..count * direct.input().len()],
                    &weights.transformed[place.transformed.clone()],
                    &own.start,
                    own.store,
                    &mut self.scratch,
                    outputs,
                );
                for output in outputs.chunks_exact_mut(direct.output().len()) {
                    direct.clear_spare_lanes(output);
                }
                cap(isa, outputs, own.ceiling);
            }
            Kernel::Linear { direct, own } => {
                let weights = &weights.packed[own.weights.clone()];
                direct.forward(isa, input, weights, &own.start, own.store, output);
                direct.clear_spare_lanes(output);
            }
            Kernel::Depthwise { depthwise, own } => {
                let weights = &weights.packed[own.weights.clone()];
                let (from, to) = (depthwise.input().len(), depthwise.output().len());
                for (input, output) in images(input, from, output, to).take(count) {
                    depthwise.forward(isa, input, weights, &own.start, own.store, output);
                    cap(isa, output, own.ceiling);
                }
            }
            Kernel::Pooled { pooled, own } => {
                let weights = &weights.packed[own.weights.clone()];
                let (from, to) = (pooled.direct().input().len(), pooled.output().len());
                for (input, output) in images(input, from, output, to).take(count) {
                    pooled.forward(isa, input, weights, &own.start, output);
                }
            }
            Kernel::Product { product, rows, own } => {
                let rows = rows * count;
                product.forward(
                    isa,
                    &input[..rows * product.inputs],
                    &weights.packed[own.weights.clone()],
                    &own.start,
                    own.store,
                    &mut output[..rows * product.outputs],
                );
            }
            Kernel::Copy => output.copy_from_slice(input),
            Kernel::MaxPool(pool) => {
                let all = images(input, pool.input.len(), output, pool.output.len());
                for (input, output) in all.take(count) {
                    isa.plain(|| pool.forward(input, output));
                }
            }
            Kernel::MeanPool(pool) => {
                let all = images(input, pool.input().len(), output, pool.output().len());
                for (input, output) in all.take(count) {
                    isa.plain(|| pool.forward(input, output));
                }
            }
            Kernel::Shortcut(shortcut) => {
                let (from, to) = (shortcut.input().len(), shortcut.output().len());
                for (input, output) in images(input, from, output, to).take(count) {
                    output.fill(0.0);
                    shortcut.forward(input, output);
                }
            }
            Kernel::ChannelMean {
                input: planes,
                output: vectors,
            } => {
                for (at, input) in input.chunks_exact(planes.len()).enumerate().take(count) {
                    channel_means(*planes, input, |channel, mean| {
                        output[vector_place(*vectors, channel, at)] = mean;
                    });
                }
            }
            Kernel::Rows { function, numbers } => {
                let last = call.from.last();
                let other = last.map_or(input, |from| &self.buffers[*from]);
                let of_images = |buffer: &[f32]| buffer.len() / plan.group * count;
                let inputs = [&input[..of_images(input)], &other[..of_images(other)]];
                function.forward(isa, inputs, &mut output[..numbers * count]);
            }
            Kernel::Gather(gather) => {
                for image in 0..count {
                    let inputs = call.from.iter().map(|from| &self.buffers[*from][..]);
                    gather.forward(inputs, image, output);
                }
            }
            Kernel::Stored(stored) => {
                let faults = weights.activations;
                let faults = faults.map(|faults| (faults, &self.images[..count]));
                stored.run(isa, output, faults);
            }
            Kernel::General(general) => {
                for image in 0..count {
                    general.forward(&call.from, &self.buffers, weights, image, output)?;
                }
            }
        }
        Ok(())
    }
}

/// Neighbouring images of these lengths, with the place of the result of each.
fn images<'a>(
    input: &'a [f32],
    input_len: usize,
    output: &'a mut [f32],
    output_len: usize,
) -> impl Iterator<Item = (&'a [f32], &'a mut [f32])> {
    let inputs = input.chunks_exact(input_len);
    inputs.zip(output.chunks_exact_mut(output_len))
}

/// Replaces what is above a bound by it; NaN stays.
fn cap(isa: Isa, values: &mut [f32], ceiling: Option<f32>) {
    let Some(ceiling) = ceiling else { return };
    isa.plain(|| {
        for value in values {
            *value = if *value > ceiling { ceiling } else { *value };
        }
    });
}
