//! Weights that are no numbers are refused where they are read, and no arithmetic swallows them.
