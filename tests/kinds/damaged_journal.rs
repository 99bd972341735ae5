//! A damaged line of a journal costs its trial alone.
