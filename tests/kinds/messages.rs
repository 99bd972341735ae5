//! Foreign text in messages is short and printable.
