//! wcat
#![allow(missing_docs)]
pub mod code;
pub mod device;
pub mod error;
pub mod figure;
pub mod report;
pub mod seed;
pub mod stats;
pub mod store;
pub mod sweep;
pub mod table;
pub mod units;
