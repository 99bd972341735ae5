//! Hostile files give an error, never a panic or an abort.
