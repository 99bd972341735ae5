//! YAML of any nesting is answered at once.
