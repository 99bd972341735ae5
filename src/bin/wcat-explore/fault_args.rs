//! Flags of faults, for the commands that show them.

use clap::Args;
use wcat_explore::config::Layer;

/// How the cells of the memory fail, beside what the memory model says.
#[derive(Debug, Args)]
#[command(next_help_heading = "Faults")]
pub(crate) struct FaultArgs {
    /// Which bits fail: random (any) or msb (only the most significant bit of each code)
    #[arg(long, value_name = "KIND")]
    pub noise: Option<String>,
    /// Only these layers lie in the unreliable memory: globs over layer names, comma-separated or repeated
    #[arg(long, value_name = "GLOBS", value_delimiter = ',')]
    pub layers: Vec<String>,
    /// Arrays: independent, model (the memory model's own), column=R,bank=R (correlations); a sweep compares several,
    /// after commas or repeated
    #[arg(long, value_name = "ARRAYS")]
    pub array: Vec<String>,
    /// Protection of the stored codes: none, msb:k (the k most significant bits in cells that do not fail), secded (words
    /// of 64 data and 8 check bits), parity_zero (a code whose parity fails reads as zero); a sweep compares several, after
    /// commas or repeated
    #[arg(long, value_name = "PROTECTIONS", value_delimiter = ',')]
    pub protection: Vec<String>,
    /// A profiled 14 nm chip, at the bit error rates it was measured at: chip1, chip2, chip3
    #[arg(long, value_name = "CHIP")]
    pub profile: Option<String>,
    /// A measured fault map in place of a model: a CSV file (its rows name the chips, `# chips: N` those without a failing
    /// cell too), or VOLTAGE=FILE.npy, repeated (0 and 1 for each cell, no packed bits), or an .npz file of arrays named by
    /// voltage
    #[arg(long, value_name = "MAP")]
    pub fault_map: Vec<String>,
}

impl FaultArgs {
    /// The flags as settings.
    pub(crate) fn layers(&self) -> Vec<Layer> {
        let list = |flag: &str, key: &str, values: &[String]| {
            (!values.is_empty()).then(|| Layer::flag(flag, key, values.to_vec()))
        };
        let text = |flag: &str, key: &str, value: &Option<String>| {
            value.as_deref().map(|value| Layer::flag(flag, key, value))
        };
        [
            text("--noise", "faults.noise", &self.noise),
            list("--layers", "faults.layers", &self.layers),
            list("--array", "faults.arrays", &self.array),
            list("--protection", "sweep.protection", &self.protection),
            text("--profile", "faults.profile", &self.profile),
            list("--fault-map", "faults.map", &self.fault_map),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
