//! `inspect`: layers, bits and ranges of a model.

use crate::args::{Common, Format, InspectArgs};
use crate::show::{self, Column};
use serde_json::{json, Value};
use wcat_explore::device::DeviceSpec;
use wcat_explore::net::Model;
use wcat_explore::table::SCHEMA;

/// One layer as it is shown.
struct Layer {
    name: String,
    shape: Vec<usize>,
    weights: usize,
    bits: u32,
    range: Option<f32>,
    step: Option<f32>,
    clipped: Option<f64>,
    bits_set: Option<f64>,
    energy: Option<f64>,
}

pub(crate) fn run(_: &Common, args: &InspectArgs) -> anyhow::Result<()> {
    let model = Model::load(&args.model, &DeviceSpec::Cpu.open()?)?;
    let layers = layers(&model)?;
    if args.format != Format::Table {
        let rows = layers.iter().map(|l| {
            json!({
                "schema": SCHEMA, "layer": l.name, "shape": l.shape, "weights": l.weights, "bits": l.bits,
                "range": l.range, "step": l.step, "clipped_share": l.clipped, "bits_set_share": l.bits_set,
                "energy_share": l.energy,
            })
        });
        return show::records(&Value::Array(rows.collect()), args.format);
    }
    show::result(&about(&model))?;
    let share = |x: Option<f64>| x.map_or("-".into(), show::percent);
    show::table(&[
        Column::text("layer", &layers, |l| l.name.clone()),
        Column::text("shape", &layers, |l| {
            l.shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
        }),
        Column::number("weights", &layers, |l| l.weights.to_string()),
        Column::number("bits", &layers, |l| l.bits.to_string()),
        Column::number("range", &layers, |l| l.range.map_or("-".into(), |r| format!("{r:.5}"))),
        Column::number("step", &layers, |l| l.step.map_or("-".into(), |s| format!("{s:.6}"))),
        Column::number("clipped %", &layers, |l| share(l.clipped)),
        Column::number("bits set %", &layers, |l| share(l.bits_set)),
        Column::number("energy %", &layers, |l| share(l.energy)),
    ])
}

fn about(model: &Model) -> String {
    let info = &model.info;
    let mut lines =
        vec![format!("{} of {} classes, input {:?}", info.architecture, info.classes, info.input_shape)];
    if !info.quantizer.bits.is_float() {
        lines.push(format!("quantiser: {}, {} bits", info.quantizer.method, info.quantizer.bits));
    }
    let post_training =
        info.training.as_ref().and_then(|training| training["post_training"]["file"].as_str());
    if let Some(file) = post_training {
        lines.push(format!("quantised after training, from {file}"));
    }
    if let Some(dataset) = &info.dataset {
        lines.push(format!("trained on: {}", dataset.title));
    }
    if let (Some(epoch), Some(accuracy)) = (info.epoch, info.validation_accuracy) {
        lines.push(format!("epoch {epoch}, {} % on the validation split", show::percent(accuracy)));
    }
    if let Some(seed) = info.training_seed {
        lines.push(format!("training seed: {seed}"));
    }
    lines.push(format!("sha256: {}\n", model.checksum));
    lines.join("\n")
}

fn layers(model: &Model) -> anyhow::Result<Vec<Layer>> {
    let network = &model.network;
    let (stored, ranges) = (network.stored()?, network.ranges()?);
    let bits_of =
        |i: usize| stored[i].as_ref().map(|s| s.words.len() as f64 * f64::from(s.scheme.format.bits()));
    let all_bits: f64 = (0..stored.len()).filter_map(bits_of).sum();
    let layer = |(i, weight): (usize, &wcat_explore::quant::QuantizedWeight)| -> anyhow::Result<Layer> {
        let values = weight.values()?;
        let mut layer = Layer {
            name: weight.name().to_owned(),
            shape: weight.weight().dims().to_vec(),
            weights: values.len(),
            bits: 32,
            range: None,
            step: None,
            clipped: None,
            bits_set: None,
            energy: bits_of(i).map(|bits| bits / all_bits),
        };
        if let Some(stored) = &stored[i] {
            let format = stored.scheme.format;
            let (low, high) = (f32::from(format.min()) * stored.step, f32::from(format.max()) * stored.step);
            let beyond = values.iter().filter(|w| **w < low || **w > high).count();
            let ones: u64 = stored.words.iter().map(|word| u64::from(word.count_ones())).sum();
            let bits = values.len() as f64 * f64::from(format.bits());
            layer.bits = format.bits();
            layer.range = Some(ranges[i].1);
            layer.step = Some(stored.step);
            layer.clipped = Some(beyond as f64 / values.len().max(1) as f64);
            layer.bits_set = Some(ones as f64 / bits.max(1.0));
        }
        Ok(layer)
    };
    network.layers().iter().enumerate().map(layer).collect()
}
