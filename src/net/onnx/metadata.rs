//! What an exported file says of its network beside the graph: how images are normalised.

use super::import::Import;
use super::proto::Entry;
use crate::data::Normalization;
use crate::error::{Error, Result};

/// Key of the statistics, `{"mean": [...], "std": [...]}` with a number for each channel, of pixels as 0 to 1.
const NORMALIZATION: &str = "wcat-explore.normalization";

/// The entries of a file.
///
/// # Errors
/// [`Error::Argument`] for statistics that JSON cannot hold.
pub(super) fn entries(normalization: Option<&Normalization>) -> Result<Vec<Entry>> {
    let Some(own) = normalization else {
        return Ok(Vec::new());
    };
    let value = serde_json::to_string(own).map_err(|e| {
        let expected = "something JSON can hold";
        Error::argument("normalization", expected, e.to_string())
    })?;
    let key = NORMALIZATION.to_owned();
    Ok(vec![Entry { key, value }])
}

impl Import {
    /// The statistics that the file says, for images of that many channels; `None` for files of other programs.
    ///
    /// # Errors
    /// [`Error::Argument`] for an entry that is no such text, numbers out of range or of another number of channels.
    pub(in crate::net) fn normalization(&self, channels: usize) -> Result<Option<Normalization>> {
        let known = |entry: &&Entry| entry.key == NORMALIZATION;
        let Some(entry) = self.metadata.iter().find(known) else {
            return Ok(None);
        };
        let wrong = |found: String| {
            let expected = format!("mean and std, numbers for images of {channels} channels");
            Error::argument(NORMALIZATION, expected, found)
        };
        let own: Normalization =
            serde_json::from_str(&entry.value).map_err(|e| wrong(e.to_string()))?;
        let lengths = format!("{} means and {} deviations", own.mean.len(), own.std.len());
        let own = own.for_channels(channels).map_err(|_| wrong(lengths))?;
        Ok(Some(own))
    }
}

#[cfg(test)]
mod tests {
    use crate::data::Normalization;
    use crate::net::onnx::proto::{self, Entry};
    use crate::net::{Architecture, Model, Network};
    use crate::quant::QuantizerSpec;
    use crate::seed::Seed;
    use crate::store;
    use candle_core::Device;
    use prost::Message;

    fn own() -> Normalization {
        Normalization {
            mean: vec![0.1307],
            std: vec![0.3081],
        }
    }

    /// A file of LeNet-5.
    fn file(normalization: Option<&Normalization>) -> proto::Model {
        let quantizer = QuantizerSpec::default();
        let network = Network::new(Architecture::Lenet5, 10, &quantizer, Seed(1), &Device::Cpu);
        let (network, _) = network.unwrap();
        let bytes = crate::net::onnx::bytes(&network, "net", normalization).unwrap();
        proto::Model::decode(&bytes[..]).unwrap()
    }

    #[test]
    fn what_a_file_says_of_images_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.onnx");
        for normalization in [None, Some(own())] {
            let model = file(normalization.as_ref());
            store::write_bytes(&path, &model.encode_to_vec()).unwrap();
            let model = Model::load(&path, &Device::Cpu).unwrap();
            assert_eq!(model.info.normalization, normalization);
            assert_eq!(model.foreign, normalization.is_none());
        }
    }

    #[test]
    fn an_entry_that_is_wrong_is_named_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("net.onnx");
        for (value, found) in [
            ("half", "expected value"),
            ("{}", "missing field"),
            (
                r#"{"mean": [0.5], "std": [0.0]}"#,
                "1 means and 1 deviations",
            ),
            (
                r#"{"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}"#,
                "3 means and 3 deviations",
            ),
        ] {
            let mut model = file(None);
            model.metadata.push(Entry {
                key: super::NORMALIZATION.into(),
                value: value.into(),
            });
            store::write_bytes(&path, &model.encode_to_vec()).unwrap();
            let error = Model::load(&path, &Device::Cpu).unwrap_err().to_string();
            let named = error.contains("net.onnx") && error.contains("images of 1 channels");
            assert!(named && error.contains(found), "{value}: {error}");
        }
    }
}
