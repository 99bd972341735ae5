//! What may be typed after `memory`: models and macros shown, fitted, imported.

use super::Output;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use wcat_explore::memory::CostFactor;
use wcat_explore::units::{Ber, Voltage};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore memory list
  wcat-explore memory show sram-14nm-chandramoorthy2019 --at-ber 0.01
  wcat-explore memory fit counts.csv --out my-sram.yaml
  wcat-explore memory import sram_tt.lib --out sram.yaml")]
pub(crate) struct MemoryArgs {
    #[command(subcommand)]
    pub command: MemoryCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MemoryCommand {
    /// The built-in memory models, or macros
    #[command(after_help = "\
Examples:
  wcat-explore memory list
  wcat-explore memory list --macros
  wcat-explore memory list --format json")]
    List {
        /// The macros, which have energies and no failures: what `memory combine --energy` takes
        #[arg(long, help_heading = "Macro")]
        macros: bool,
        #[command(flatten)]
        output: Output,
    },
    /// A memory model: where it comes from, its curve, one point of it
    #[command(after_help = "\
Examples:
  wcat-explore memory show sram-14nm-chandramoorthy2019
  wcat-explore memory show sram-14nm-chandramoorthy2019 --at-ber 0.01 --format json
  wcat-explore memory show sram-28nm-vc707-salami2018 --at-voltage 540mV,560mV
  wcat-explore memory show sram.yaml --at-voltage 1.8,3.3 --variant tt_25C")]
    Show {
        /// Built-in name or file
        model: String,
        /// Only the lowest voltage whose bit error rate is at most this
        #[arg(
            long,
            value_name = "P",
            conflicts_with = "at_voltage",
            allow_hyphen_values = true,
            help_heading = "Voltages and memory"
        )]
        at_ber: Option<Ber>,
        /// Only the points at these voltages
        #[arg(
            long,
            value_name = "LIST",
            allow_hyphen_values = true,
            help_heading = "Voltages and memory"
        )]
        at_voltage: Option<String>,
        /// Of a macro: only this variant of process and temperature
        #[arg(long, value_name = "NAME", help_heading = "Macro")]
        variant: Option<String>,
        /// Of a macro: continue fitted laws beyond the characterised voltages
        #[arg(long, help_heading = "Macro")]
        extrapolate: bool,
        #[command(flatten)]
        output: Output,
    },
    /// A memory model from measurements in CSV: a probit line by maximum likelihood, its figure beside it
    ///
    /// Columns of the table: `voltage, faults, cells` (cells that fail at all among cells) or `voltage, ber` (their
    /// fraction); and perhaps `energy` of an access, in any unit, or `access_energy_pj`. Usual other words are known
    /// (`Vdd [mV]`, `fail_count`, `n_cells`, `ber_%`), so are `;`, tabs and decimal commas; other columns are named and
    /// not read. Counts of the same cells at every voltage are fitted by their increments; repeated or rising ones as
    /// independent, with wider intervals. A row without failures marks the error-free voltage; rates may rise to 1, the
    /// model goes up to 0.5.
    Fit(Box<FitArgs>),
    /// A macro's energies, leakage and delay from Liberty files, or CACTI: one model over voltage from several corners
    ///
    /// Read are the energy of a read and of a write of a word, the leakage of the macro and the delay to its outputs, each
    /// with file and line. Files of one process and temperature are one variant over voltage, whose laws are fitted:
    /// energies and leakage as powers of the voltage, the delay as an alpha-power law. The file says what a memory costs,
    /// not when it fails: `memory combine` adds a failure curve.
    Import(Box<ImportArgs>),
    /// A failure curve and the energies of other silicon as one memory model, for sweeps
    ///
    /// Voltages are those of the macro. What is inferred by putting both together is listed in the file, and laws that are
    /// given stand there as assumed.
    Combine(Box<CombineArgs>),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore memory fit counts.csv --out my-sram.yaml
  wcat-explore memory fit rates.csv --out my-sram.yaml --unit vmin --curve measured
  wcat-explore memory fit counts.csv --out my-sram.yaml --robust-energy 1.3 --robust-area 1.3")]
#[command(next_help_heading = "Measurements")]
pub(crate) struct FitArgs {
    /// Measurements
    #[arg(value_name = "FILE", help_heading = "Arguments")]
    pub measurements: PathBuf,
    /// Unit of the voltages: volt, or vmin (multiples of the lowest voltage without failures)
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    pub unit: Unit,
    /// What the unit is relative to, in words
    #[arg(long, value_name = "TEXT")]
    pub reference: Option<String>,
    /// Lowest voltage without failures [default: from the measurements]
    ///
    /// Without it: the lowest measured without a failure; else 1 for vmin; else where the line expects half a failing
    /// cell, or one step above the highest with failures.
    #[arg(long, value_name = "V", allow_hyphen_values = true)]
    pub error_free: Option<Voltage>,
    /// Times that each cell is in the counts: 2 where a published map holds every byte twice
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub copies: u64,
    /// Short name of the model [default: that of the file]
    #[arg(long, value_name = "NAME", help_heading = "Memory model")]
    pub name: Option<String>,
    /// One line for people
    #[arg(long, value_name = "TEXT", help_heading = "Memory model")]
    pub title: Option<String>,
    /// Where the numbers come from [default: the file of measurements]
    #[arg(long, value_name = "TEXT", help_heading = "Memory model")]
    pub source: Option<String>,
    /// What the file holds: gaussian (the fitted line), or measured (between the points the probit is linear)
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Memory model"
    )]
    pub curve: FitCurve,
    /// Energy of an access to a robust cell over that of a usual one, 1 to 100: for protection msb:k
    ///
    /// A robust cell holds the most significant bits and does not fail. Measurements say nothing of its cost, so it is
    /// in the file only where both factors are given; msb:k needs it.
    #[arg(
        long,
        value_name = "FACTOR",
        requires = "robust_area",
        help_heading = "Memory model"
    )]
    pub robust_energy: Option<CostFactor>,
    /// Area of a robust cell over that of a usual one, 1 to 100
    #[arg(
        long,
        value_name = "FACTOR",
        requires = "robust_energy",
        help_heading = "Memory model"
    )]
    pub robust_area: Option<CostFactor>,
    /// Where these factors come from [default: given by the user]
    #[arg(
        long,
        value_name = "TEXT",
        requires = "robust_energy",
        help_heading = "Memory model"
    )]
    pub robust_source: Option<String>,
    /// The memory-model file to write, *.yaml; its figure (SVG, PNG) goes beside it
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub out: PathBuf,
    /// Replace a file that is there
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore memory import sram_tt.lib --out sram.yaml
  wcat-explore memory import sram_tt_1v8.lib sram_tt_3v3.lib sram_tt_5v0.lib --out sram.yaml
  wcat-explore memory import small_tt_3v3.lib --laws-of sram.yaml --out small.yaml
  wcat-explore memory import runs.csv --where node_nm=22 --where device=hp --out cacti.yaml")]
#[command(next_help_heading = "Macro")]
pub(crate) struct ImportArgs {
    /// Liberty files (.lib), each a corner of one macro; or of CACTI a table (.csv) or what it prints (.out, .txt)
    #[arg(value_name = "FILE", required = true, help_heading = "Arguments")]
    pub files: Vec<PathBuf>,
    /// Of a table of CACTI runs: rows with this value in a column; may be repeated
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    pub rows: Vec<String>,
    /// Of what CACTI prints: the supply voltage, which it does not print
    #[arg(long, value_name = "VOLT")]
    pub vdd: Option<String>,
    /// Of what CACTI prints: the device class, such as hp
    #[arg(long, value_name = "NAME")]
    pub device_class: Option<String>,
    #[command(flatten)]
    pub laws: LawFlags,
    #[command(flatten)]
    pub named: NamedModel,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore memory combine --failures sram-14nm-chandramoorthy2019 --energy sram.yaml \\
    --vmin 1.2V --extrapolate --out both.yaml
  wcat-explore memory combine --failures counts.yaml --energy sram.yaml --map volts --out both.yaml")]
#[command(next_help_heading = "Macro")]
pub(crate) struct CombineArgs {
    /// The memory model that says when cells fail
    #[arg(long, value_name = "NAME|FILE")]
    pub failures: String,
    /// The macro that says what a word costs
    #[arg(long, value_name = "NAME|FILE")]
    pub energy: String,
    /// Voltage of the macro's silicon at which its cells begin to fail: V = (V/Vmin) x this
    #[arg(
        long,
        value_name = "VOLT",
        conflicts_with = "map",
        required_unless_present = "map"
    )]
    pub vmin: Option<String>,
    /// volts: voltages of the failure curve are those of the macro
    #[arg(long, value_enum, hide_possible_values = true)]
    pub map: Option<MapOfVolts>,
    /// Variant of process and temperature, or worst: of each number the worst at the error-free voltage [default: the first]
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// Volts by which every cell is taken to fail earlier; moves the failure curve only
    #[arg(long, value_name = "VOLT")]
    pub margin: Option<String>,
    #[command(flatten)]
    pub laws: LawFlags,
    #[command(flatten)]
    pub named: NamedModel,
    #[command(flatten)]
    pub output: Output,
}

/// How voltages are carried over without `--vmin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum MapOfVolts {
    /// Volts are volts
    Volts,
}

/// Laws over voltage that are not fitted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Macro")]
pub(crate) struct LawFlags {
    /// Take all laws over voltage from another macro; this one gives the scale
    #[arg(long, value_name = "NAME|FILE")]
    pub laws_of: Option<String>,
    /// Power of the voltage in the energy of an access, assumed in place of a fitted one
    #[arg(long, value_name = "X", conflicts_with = "laws_of")]
    pub access_exponent: Option<f64>,
    /// Power of the voltage in the leakage power, assumed in place of a fitted one
    #[arg(long, value_name = "X", conflicts_with = "laws_of")]
    pub leakage_exponent: Option<f64>,
    /// Power alpha of the assumed delay V / (V - V_t)^alpha
    #[arg(
        long,
        value_name = "X",
        requires = "threshold",
        conflicts_with = "laws_of"
    )]
    pub alpha: Option<f64>,
    /// Threshold voltage V_t of the assumed delay, in volts
    #[arg(long, value_name = "V", requires = "alpha", conflicts_with = "laws_of")]
    pub threshold: Option<f64>,
    /// Where assumed laws come from [default: given by the user]
    #[arg(long, value_name = "TEXT")]
    pub law_source: Option<String>,
    /// Continue fitted laws beyond the characterised voltages, down to 0.1 V above the threshold voltage
    #[arg(long)]
    pub extrapolate: bool,
}

/// What a written model is called, and where it goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Memory model")]
pub(crate) struct NamedModel {
    /// Short name of the model [default: that of the file]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// One line for people
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Where the numbers come from [default: the files]
    #[arg(long, value_name = "TEXT")]
    pub source: Option<String>,
    /// Terms of use of the numbers
    #[arg(long, value_name = "TEXT")]
    pub license: Option<String>,
    /// The file to write, *.yaml
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub out: PathBuf,
    /// Replace a file that is there
    #[arg(long, help_heading = "Output")]
    pub overwrite: bool,
}

/// Unit of measured voltages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unit {
    /// Volts
    #[default]
    #[value(alias = "v")]
    Volt,
    /// Multiples of the lowest voltage without failures
    Vmin,
}

/// Curve of a fitted model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FitCurve {
    /// The fitted line
    #[default]
    Gaussian,
    /// The measured rates or counts
    Measured,
}
