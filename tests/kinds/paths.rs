//! Paths need not be UTF-8.
