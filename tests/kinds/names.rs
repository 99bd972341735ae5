//! Names are checked where they are loaded, and written as text.
