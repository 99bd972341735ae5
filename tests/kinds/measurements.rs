//! Measurements are read as laboratories write them, and fitted.
