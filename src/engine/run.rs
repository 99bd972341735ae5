//! Runs a plan on images: a worker owns buffers and allocates nothing for a kernel while it works.

use super::images::Part;
use super::plan::{Call, Plan};
use super::score::Answer;
use super::weights::Fresh;
use crate::error::{Error, Result};
use crate::kernel::{channel_means, Planes, Scratch};
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
    /// [`Error::Interrupted`] before a group where `cancel` is raised.
    pub(super) fn run(
        &mut self,
        plan: &Plan,
        weights: Fresh,
        part: Part,
        cancel: &AtomicBool,
        mut visit: impl FnMut(u32, &[f32]),
    ) -> Result<()> {
        for group in part.cut(plan.group) {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            self.load(plan, group);
            self.calls(plan, weights, 0..plan.calls.len(), group.len());
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
        self.run(plan, weights, part, cancel, |label, logits| {
            answers.push(Answer::new(logits, label));
        })?;
        Ok(answers)
    }

    /// Lays the images of a group into their buffer.
    pub(super) fn load(&mut self, plan: &Plan, group: Part) {
        group.fill(plan.image, &mut self.buffers[0]);
    }

    /// Runs some calls of a plan on the `count` images in the buffers.
    pub(super) fn calls(&mut self, plan: &Plan, weights: Fresh, calls: Range<usize>, count: usize) {
        for call in &plan.calls[calls] {
            self.call(plan, weights, call, count);
            self.multiplications += (plan.multiplications_of(call) * count) as u64;
        }
    }

    /// Calls `visit(label, logits)` for each image of the group in the buffers.
    pub(super) fn visit(&mut self, plan: &Plan, group: Part, mut visit: impl FnMut(u32, &[f32])) {
        let (layout, buffer) = plan.logits;
        for (at, label) in group.labels().iter().enumerate() {
            for (class, logit) in self.logits.iter_mut().enumerate() {
                *logit = self.buffers[buffer][vector_place(layout, class, at)];
            }
            visit(*label, &self.logits);
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

    fn call(&mut self, plan: &Plan, weights: Fresh, call: &Call, count: usize) {
        let (from, to) = call.ends();
        // taken out and put back: the two differ, and moving a vector copies nothing
        let mut output = std::mem::take(&mut self.buffers[to]);
        let input = &self.buffers[from];
        match call {
            Call::Convolution {
                direct,
                winograd: Some(number),
                start,
                store,
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
            }
            Call::Convolution {
                direct,
                layer,
                start,
                store,
                images,
                ..
            } => {
                let weights = &weights.packed[plan.places[*layer].range()];
                let inputs = input.chunks_exact(direct.input().len());
                let outputs = output.chunks_exact_mut(direct.output().len());
                let count = if *images { count } else { 1 };
                for (input, output) in inputs.zip(outputs).take(count) {
                    direct.forward(plan.isa, input, weights, start, *store, output);
                    direct.clear_spare_lanes(output);
                }
            }
            Call::Pooled {
                pooled,
                layer,
                start,
                ..
            } => {
                let weights = &weights.packed[plan.places[*layer].range()];
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
            Call::Flatten {
                input: planes,
                output: vectors,
                ..
            } => {
                for (at, input) in input.chunks_exact(planes.len()).enumerate().take(count) {
                    flatten(
                        *planes,
                        input,
                        &mut output[vector_place(*vectors, 0, at)..],
                        *vectors,
                    );
                }
            }
        }
        self.buffers[to] = output;
    }
}

/// Place of a feature of the vector of an image: vectors are the pixels of one row.
fn vector_place(layout: Planes, feature: usize, image: usize) -> usize {
    let (block, lane) = layout.place(feature);
    layout.at(block, 0, image) + lane
}

/// Lays the values of an image in the order [channels, height, width] into its vector, which `output` begins with.
fn flatten(planes: Planes, image: &[f32], output: &mut [f32], vectors: Planes) {
    // block and lane of a feature are counted: a division for each would take longer than the copy
    let (mut block, mut lane) = (0, 0);
    for channel in 0..planes.channels() {
        let (from, own) = planes.place(channel);
        for y in 0..planes.height() {
            let row = &image[planes.at(from, y, 0)..][..planes.width() * planes.lanes()];
            for pixel in row.chunks_exact(planes.lanes()) {
                output[block + lane] = pixel[own];
                lane += 1;
                if lane == vectors.lanes() {
                    (block, lane) = (block + vectors.plane(), 0);
                }
            }
        }
    }
}
