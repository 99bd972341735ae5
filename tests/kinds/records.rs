//! Whatever a run records is read back.
