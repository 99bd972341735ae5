//! A run says which numerics computed it, and is not continued by others.
