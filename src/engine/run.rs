//! Runs a plan on images: a worker owns weights and buffers and allocates nothing while it works.

use super::plan::{Call, Plan};
use super::weights::Weights;
use crate::kernel::{channel_means, Planes, Scratch};
use std::ops::Range;

/// Weights and buffers of one thread.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) weights: Weights,
    scratch: Scratch,
    buffers: Vec<Vec<f32>>,
    logits: Vec<f32>,
    /// Multiply-adds so far, those with the padding included.
    pub(super) multiplications: u64,
}

impl Worker {
    /// A worker for a plan, with its weights.
    pub(super) fn new(plan: &Plan, weights: &Weights) -> Self {
        Self {
            weights: weights.clone(),
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

    /// Calls `visit(image, logits)` for each image of `pixels`, [images, channels, height, width].
    pub(super) fn run(
        &mut self,
        plan: &Plan,
        pixels: &[f32],
        mut visit: impl FnMut(usize, &[f32]),
    ) {
        let size = plan.image_values();
        for (group, pixels) in pixels.chunks(plan.group * size).enumerate() {
            let count = pixels.len() / size;
            self.load(plan, pixels);
            self.calls(plan, 0..plan.calls.len(), count);
            self.visit(plan, count, |at, logits| {
                visit(group * plan.group + at, logits)
            });
        }
    }

    /// Lays the images of a group into their buffer.
    pub(super) fn load(&mut self, plan: &Plan, pixels: &[f32]) {
        let image = plan.image;
        let places = self.buffers[0].chunks_exact_mut(image.len());
        let pixels = pixels.chunks_exact(plan.image_values());
        pixels
            .zip(places)
            .for_each(|(pixels, place)| image.fill(pixels, place));
    }

    /// Runs some calls of a plan on the `count` images in the buffers.
    pub(super) fn calls(&mut self, plan: &Plan, calls: Range<usize>, count: usize) {
        self.weights.refresh(plan);
        for call in &plan.calls[calls] {
            self.call(plan, call, count);
            self.multiplications += (plan.multiplications_of(call) * count) as u64;
        }
    }

    /// Calls `visit(place, logits)` for each image of the group.
    pub(super) fn visit(
        &mut self,
        plan: &Plan,
        count: usize,
        mut visit: impl FnMut(usize, &[f32]),
    ) {
        let (layout, buffer) = plan.logits;
        for at in 0..count {
            for (class, logit) in self.logits.iter_mut().enumerate() {
                *logit = self.buffers[buffer][vector_place(layout, class, at)];
            }
            visit(at, &self.logits);
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

    fn call(&mut self, plan: &Plan, call: &Call, count: usize) {
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
                    &self.weights.transformed()[own.transformed.clone()],
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
                let weights = &self.weights.packed()[plan.places[*layer].range()];
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
                let weights = &self.weights.packed()[plan.places[*layer].range()];
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
