//! Accuracy and weight-memory energy of quantised networks whose weights lie in voltage-scaled SRAM.
#![allow(missing_docs)]
pub mod code;
pub mod config;
pub mod data;
pub mod device;
pub mod engine;
pub mod error;
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
