//! Signals stop what they should stop, and nothing else.
