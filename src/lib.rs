//! Accuracy and weight-memory energy of quantised networks whose weights lie in voltage-scaled SRAM.
//!
//! Lowering the supply voltage of a memory saves energy, and makes some of its cells fail. This crate simulates
//! chips with such cells, stores the codes of a quantised network in them, measures what is left of the
//! accuracy, and puts it beside the energy of reading the weights: the Pareto frontier of accuracy against
//! energy, for each method of training. The program `wcat-explore` is a thin layer over [`run`].
//!
//! # Rooms and floors
//!
//! A module uses modules on lower floors only; each has one thing to look after.
//!
//! | floor | modules | what they look after |
//! |---|---|---|
//! | 12 | [`run`] | a configuration to folders: trains, sweeps, resumes, writes tables and report |
//! | 11 | [`config`] | the settings of an experiment: the specs of the other modules, checks across them, presets |
//! | 10 | [`report`] | tables and figures to one self-contained page |
//! | 9 | [`figure`] | tables to SVG and PNG |
//! | 8 | [`analysis`] | what the rows of a run come to: summaries, frontiers, savings, answers, methods |
//! | 7 | [`explore`] | searches that call sweeps: voltages for domains, widths for layers |
//! | 6 | [`train`], [`sweep`], [`attack`] | the procedures and their rows |
//! | 5 | [`engine`] | a trained network on images, clean or with faulty words |
//! | 4 | [`net`], [`memory`] | networks of quantised layers and model files; memory models |
//! | 3 | [`quant`], [`data`] | quantisers with gradients; data sets |
//! | 2 | [`fault`], [`yaml`] | which stored bits of a chip fail; YAML to layers and typed values, with the line of what is wrong |
//! | 1 | [`code`], [`seed`], [`stats`], [`kernel`], [`device`], [`store`], [`table`] | integer codes; chance; statistics; convolution; CPU or GPU; files; rows to and from CSV and Parquet |
//! | 0 | [`error`], [`units`] | failures; numbers that check themselves |
//!
//! # A sweep, from configuration to table
//!
//! Two small perceptrons are trained on the built-in data and swept over three voltages; tables and report lie in `folder`:
//!
//! ```
//! use wcat_explore::config::{Experiment, Layer};
//! use wcat_explore::run::{sweep, Quiet, RunRequest};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # const SETTINGS: &str = "
//! # name: tiny
//! # dataset: { name: glyphs, glyphs: { training_images: 1000, test_images: 200 } }
//! # network: { architecture: mlp }
//! # trainer: { epochs: 2, batch: 20, optimizer: { learning_rate: 0.05, momentum: 0.9 } }
//! # memory: sram-14nm-chandramoorthy2019
//! # sweep: { chips: 4 }
//! # models:
//! #   - { name: normal, quantizer: { method: normal, bits: 4 } }
//! #   - { name: wcat, quantizer: { method: wcat, bits: 4 } }
//! # ";
//! # let place = tempfile::tempdir()?;
//! # let folder = place.path();
//!
//! let settings = Layer::built_in("tiny.yaml", SETTINGS)?; // or Layer::file(path)
//! let voltages = Layer::set("sweep.voltages='0.75,0.85,1.0'")?;
//! let experiment = Experiment::of_layers(&[settings, voltages])?;
//! let result = sweep(&experiment, &RunRequest::within(folder), &Quiet::default())?;
//! for row in &result.summaries {
//!     println!("{}: {} at {}", row.design.design_id, row.mean, row.design.energy_relative);
//! }
//! # assert_eq!(result.computed, 2 * 3 * 4); // models, voltages, chips
//! # assert!(result.drawn.report.exists());
//! # use wcat_explore::analysis::{names, Summary};
//! # let stored: Vec<Summary> = wcat_explore::table::read(&result.folder.join(names::SUMMARY))?;
//! # assert_eq!(stored, result.summaries);
//! # let [low, _, high] = [&stored[0], &stored[1], &stored[2]]; // one model, rising voltage
//! # assert_eq!((high.design.voltage, high.design.ber, high.design.energy_relative), (Some(1.0), Some(0.0), 0.5));
//! # assert!(high.mean > 0.5 && low.mean < high.mean); // learned; every fifth bit flipped at 0.75
//! # // the same again computes nothing
//! # assert_eq!(sweep(&experiment, &RunRequest::within(folder), &Quiet::default())?.computed, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Memory models alone
//!
//! ```
//! # use wcat_explore::units::{Ber, BerSource};
//! use wcat_explore::{fault::Chip, memory, seed::Seed, units::{ChipId, Voltage}};
//!
//! # fn main() -> wcat_explore::error::Result<()> {
//! let sram = memory::builtin("sram-14nm-chandramoorthy2019")?; // memory::load also takes a file
//! let point = sram.at(Voltage::new(0.833)?)?; // in multiples of Vmin
//! println!("{} of the bits fail, {} of the energy", point.ber, point.access_energy_relative);
//! let chip = Chip::new(Seed(1), ChipId(0), sram.array)?; // the same silicon at every voltage
//! let failing = chip.failing_cells(point.ber, 1 << 16); // of so many cells
//! # assert!((point.ber.get() - 1.115e-2).abs() < 1e-12); // a measured point
//! # assert_eq!(point.ber_source, BerSource::Measured);
//! # assert!((point.access_energy_relative - 0.833 * 0.833).abs() < 1e-12);
//! # let voltage = sram.voltage_at_ber(Ber::new(0.01)?)?;
//! # assert_eq!(format!("{:.3}", voltage.get()), "0.835");
//! # let fewer = chip.failing_cells(sram.at(Voltage::new(0.9)?)?.ber, 1 << 16);
//! # let addresses: Vec<u64> = failing.iter().map(|cell| cell.address).collect();
//! # assert!(fewer.len() < failing.len() && fewer.iter().all(|cell| addresses.contains(&cell.address)));
//! # Ok(())
//! # }
//! ```

pub mod analysis;
pub mod answer;
pub mod attack;
pub mod code;
pub mod config;
pub mod data;
pub mod device;
pub mod engine;
pub mod error;
pub mod explore;
pub mod fault;
pub mod figure;
pub mod kernel;
pub mod memory;
pub mod net;
pub mod quant;
pub mod report;
pub mod run;
pub mod seed;
pub mod stats;
pub mod store;
pub mod sweep;
pub mod table;
pub mod train;
pub mod units;
pub mod yaml;
