//! Data sets are found in the forms in which they are commonly stored.
