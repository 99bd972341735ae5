//! Fault maps count the chips, cells and voltages that they hold, and no others.
