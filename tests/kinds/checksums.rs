//! Damage of a file that is read again is noticed.
