//! What a user types and leaves unset is understood, or answered with what is meant.
