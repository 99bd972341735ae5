//! No image of a folder is left out silently; integer codes are not taken for weights.
