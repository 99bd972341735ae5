//! JPEG files decode to the pixels of libjpeg, whatever their scans, sampling and size.
