//! Runs a plan on images: a worker owns buffers and allocates nothing for a kernel while it works.

use super::images::{Goal, Part};
use super::layout::vector_place;
use super::plan::{Call, Plan};
use super::score::Answer;
use super::weights::Fresh;
use crate::error::{Error, Result};
use crate::kernel::{channel_means, Scratch};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};

/// Buffers of one thread.
#[derive(Clone, Debug)]
pub(super) struct Worker {
    scratch: Scratch,
    buffers: Vec<Vec<f32>>,
    logits: Vec<f32>,
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
            visit(goal, &self.logits);
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
        let mut output = std::mem::take(&mut self.buffers[call.writes()]);
        let input = call
            .reads()
            .first()
            .map_or(&[][..], |from| &self.buffers[*from]);
        match call {
            Call::Convolution {
                direct,
                winograd: Some(number),
                start,
                store,
                ceiling,
                ..
            } => {
                let own = &plan.winograds[*number];
                let outputs = &mut output[..count * direct.output().len()];
                own.shape.forward(
                    plan.isa,
                    &input[..count * direct.input().len()],
                    &weights.transformed[own.transformed.clone()],
                    start,
                    *store,
                    &mut self.scratch,
                    outputs,
                );
                for output in outputs.chunks_exact_mut(direct.output().len()) {
                    direct.clear_spare_lanes(output);
                }
                cap(plan, outputs, *ceiling);
            }
            Call::Convolution {
                direct,
                weights: own,
                start,
                store,
                ceiling,
                images,
                ..
            } => {
                let weights = &weights.packed[own.clone()];
                let inputs = input.chunks_exact(direct.input().len());
                let outputs = output.chunks_exact_mut(direct.output().len());
                let count = if *images { count } else { 1 };
                for (input, output) in inputs.zip(outputs).take(count) {
                    direct.forward(plan.isa, input, weights, start, *store, output);
                    direct.clear_spare_lanes(output);
                    cap(plan, output, *ceiling);
                }
            }
            Call::Depthwise {
                depthwise,
                weights: own,
                start,
                store,
                ceiling,
                ..
            } => {
                let weights = &weights.packed[own.clone()];
                let inputs = input.chunks_exact(depthwise.input().len());
                let outputs = output.chunks_exact_mut(depthwise.output().len());
                for (input, output) in inputs.zip(outputs).take(count) {
                    depthwise.forward(plan.isa, input, weights, start, *store, output);
                    cap(plan, output, *ceiling);
                }
            }
            Call::MeanPool { pool, .. } => {
                let inputs = input.chunks_exact(pool.input().len());
                let outputs = output.chunks_exact_mut(pool.output().len());
                for (input, output) in inputs.zip(outputs).take(count) {
                    plan.isa.plain(|| pool.forward(input, output));
                }
            }
            Call::Pooled {
                pooled,
                weights: own,
                start,
                ..
            } => {
                let weights = &weights.packed[own.clone()];
                let inputs = input.chunks_exact(pooled.direct().input().len());
                for (input, output) in inputs
                    .zip(output.chunks_exact_mut(pooled.output().len()))
                    .take(count)
                {
                    pooled.forward(plan.isa, input, weights, start, output);
                }
            }
            Call::Copy { .. } => output.copy_from_slice(input),
            Call::MaxPool { pool, .. } => {
                let inputs = input.chunks_exact(pool.input.len());
                for (input, output) in inputs
                    .zip(output.chunks_exact_mut(pool.output.len()))
                    .take(count)
                {
                    plan.isa.plain(|| pool.forward(input, output));
                }
            }
            Call::Shortcut { shortcut, .. } => {
                let images = input.chunks_exact(shortcut.input().len());
                for (input, output) in images
                    .zip(output.chunks_exact_mut(shortcut.output().len()))
                    .take(count)
                {
                    output.fill(0.0);
                    shortcut.forward(input, output);
                }
            }
            Call::ChannelMean {
                input: planes,
                output: vectors,
                ..
            } => {
                for (at, input) in input.chunks_exact(planes.len()).enumerate().take(count) {
                    channel_means(*planes, input, |channel, mean| {
                        output[vector_place(*vectors, channel, at)] = mean;
                    });
                }
            }
            Call::Product {
                product,
                rows,
                weights: own,
                start,
                store,
                ..
            } => {
                let rows = rows * count;
                product.forward(
                    plan.isa,
                    &input[..rows * product.inputs],
                    &weights.packed[own.clone()],
                    start,
                    *store,
                    &mut output[..rows * product.outputs],
                );
            }
            Call::Rows {
                function,
                numbers,
                from,
                ..
            } => {
                let other = from.last().map_or(input, |from| &self.buffers[*from]);
                let of_images = |buffer: &[f32]| buffer.len() / plan.group * count;
                let inputs = [&input[..of_images(input)], &other[..of_images(other)]];
                function.forward(plan.isa, inputs, &mut output[..numbers * count]);
            }
            Call::Gather { gather, from, .. } => {
                for image in 0..count {
                    let inputs = from.iter().map(|from| &self.buffers[*from][..]);
                    gather.forward(inputs, image, &mut output);
                }
            }
            Call::General(general) => {
                let images = (0..count).try_for_each(|image| {
                    general.forward(&self.buffers, weights, image, &mut output)
                });
                if images.is_err() {
                    self.buffers[call.writes()] = output;
                    return images;
                }
            }
        }
        self.buffers[call.writes()] = output;
        Ok(())
    }
}

/// Replaces what is above a bound by it; NaN stays.
fn cap(plan: &Plan, values: &mut [f32], ceiling: Option<f32>) {
    let Some(ceiling) = ceiling else { return };
    plan.isa.plain(|| {
        for value in values {
            *value = if *value > ceiling { ceiling } else { *value };
        }
    });
}
