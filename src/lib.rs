//! wcat
#![allow(missing_docs)]
pub mod code;
pub mod config;
pub mod device;
pub mod error;
pub mod pytorch;
pub mod seed;
pub mod stats;
pub mod store;
pub mod sweep;
pub mod table;
pub mod units;
