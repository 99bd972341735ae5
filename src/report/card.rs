//! The card of a model as Markdown: what it is, how it was made, what it was measured to do, what it is not for.

use super::markdown::{cell, code, fence, words};
use super::tables::accuracy;
use crate::analysis::MethodMean;
use crate::figure::rate;

/// What a card says.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCard {
    /// Name in the tables.
    pub name: String,
    /// File name of the model, beside the card.
    pub file: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub checksum: String,
    /// Architecture.
    pub architecture: String,
    /// Method.
    pub method: String,
    /// Bits per stored weight, in words.
    pub width: String,
    /// Weights that are stored as codes.
    pub stored_weights: u64,
    /// Title and checksum of the training data, where known.
    pub data: Option<(String, String)>,
    /// Channels, height, width of the input.
    pub input_shape: [usize; 3],
    /// Seed, epoch of the weights and accuracy on the validation split, where known.
    pub training: (Option<u64>, Option<usize>, Option<f64>),
    /// How it was trained, as Markdown.
    pub summary: Option<String>,
    /// The resolved configuration of the training as YAML, where known.
    pub configuration: Option<String>,
    /// Accuracy without faults, where measured.
    pub clean: Option<(String, f64)>,
    /// Rows of the sweeps that the model was in: run, then means.
    pub measured: Vec<(String, Vec<MethodMean>)>,
}

/// The card as Markdown. Same input, same text.
pub fn card_markdown(card: &ModelCard) -> String {
    let (seed, epoch, validation) = card.training;
    let [channels, height, columns] = card.input_shape;
    let mut text = format!(
        "# {}\n\n{} with {} weights quantised by {}, for memories whose cells fail at low voltage. Made and read by \
         wcat-explore: {}.\n\n",
        words(&card.name),
        words(&card.architecture),
        words(&card.width),
        code(&card.method),
        code(&format!("wcat-explore inspect --model {}", card.file))
    );
    text += &format!(
        "| | |\n|---|---|\n| file | {}, {} bytes, SHA-256 {} |\n| stored weights | {} |\n| input | {channels} x \
         {height} x {columns} |\n",
        cell(&code(&card.file)),
        card.bytes,
        cell(&code(&card.checksum)),
        card.stored_weights
    );
    if let Some((title, checksum)) = &card.data {
        text += &format!(
            "| trained on | {}, SHA-256 of the training images {} |\n",
            cell(&words(title)),
            cell(&code(checksum))
        );
    }
    let how = [
        card.summary.clone(),
        seed.map(|seed| format!("seed {seed}")),
        epoch.map(|epoch| format!("weights of epoch {epoch}, the best on the validation split")),
    ];
    let how: Vec<String> = how.into_iter().flatten().collect();
    if !how.is_empty() {
        text += &format!("| training | {} |\n", cell(&how.join("; ")));
    }
    if let Some(validation) = validation {
        text += &format!(
            "| accuracy, validation split | {} % |\n",
            accuracy(validation)
        );
    }
    if let Some((images, clean)) = &card.clean {
        text += &format!(
            "| accuracy, {images}, no faults | {} % |\n",
            accuracy(*clean)
        );
    }
    for (run, means) in &card.measured {
        text += &format!("\n## Under faults: {}\n\n| Array | Bit error rate | Energy | Accuracy (%) | 95 % |\n|---|---:|---:|---:|---:|\n", code(run));
        for mean in means {
            let span = mean.student.map_or("–".into(), |i| {
                format!("{} to {}", accuracy(i.low), accuracy(i.high))
            });
            text += &format!(
                "| {} | {} | {:.4} | {} | {span} |\n",
                cell(&words(mean.setting.array.as_str())),
                rate(mean.setting.ber),
                mean.energy_relative,
                accuracy(mean.mean)
            );
        }
        let chips = means.iter().map(|mean| mean.chips).max().unwrap_or(0);
        text += &format!("\nMean over {chips} simulated chips, Student's interval over chips.\n");
    }
    text += "\n## For what, and for what not\n\nFor comparing methods of quantisation under memory faults, and for \
             reproducing the tables it is in. One training of a small network on a small data set: not a product, and \
             no statement about other networks. The numbers above are those of simulated chips.\n";
    if let Some(configuration) = &card.configuration {
        text += &format!(
            "\n## Configuration of the training\n\n{}",
            fence("yaml", configuration.trim_end())
        );
    }
    text
}
