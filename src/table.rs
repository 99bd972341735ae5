//! Rows to and from journal, CSV and Parquet; summaries; the Pareto frontier.

mod row;

pub use row::{Frontier, FrontierPoint, Pareto, Saving, Summary};
