//! How images are normalised for a foreign model can be said, and is said.
