//! One file per command: usage resolved, work called, result shown.

pub(crate) mod about;
pub(crate) mod answer;
pub(crate) mod attack;
pub(crate) mod data;
pub(crate) mod eval;
pub(crate) mod explore;
pub(crate) mod export;
pub(crate) mod inspect;
pub(crate) mod memory;
pub(crate) mod pack;
pub(crate) mod pareto;
pub(crate) mod publish;
pub(crate) mod quantize;
pub(crate) mod slurm;
pub(crate) mod sweep;
pub(crate) mod train;
