//! Decodes one PNG or JPEG file to three planes of bytes; every size is checked before memory is taken.

use crate::error::{Error, Result};
use crate::store;
use std::path::Path;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

/// Largest file, in bytes.
const LARGEST_FILE: u64 = 64 << 20;
/// Longest side, in pixels.
const LONGEST_SIDE: usize = 1 << 14;
/// Most pixels.
const MOST_PIXELS: usize = 1 << 26;

/// A decoded image: red, green and blue planes, one after the other.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) planes: Vec<u8>,
}

impl Picture {
    /// Reads a file; its first bytes say what it is, not its name. Grey images have three equal planes, palettes are
    /// looked up, 16 bits are cut to the upper 8, transparency is dropped, the orientation in EXIF is not applied
    /// (as in torchvision's loader).
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::Input`] with the path where the file is not there, is neither PNG nor JPEG,
    /// is larger than 64 MiB, 16384 pixels a side or 2^26 pixels, or is damaged.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let bytes = store::read_bytes(path, "a PNG or JPEG image", LARGEST_FILE)?;
        match bytes.as_slice() {
            [0x89, b'P', b'N', b'G', ..] => png(path, &bytes),
            [0xff, 0xd8, 0xff, ..] => jpeg(path, &bytes),
            _ => Err(Error::input(path, "a PNG or JPEG image", "other bytes")),
        }
    }

    /// From pixels of `channels` bytes: 1 or 2 (grey), 3 or 4 (colour), the last of 2 and 4 dropped.
    fn of_pixels(
        path: &Path,
        height: usize,
        width: usize,
        channels: usize,
        pixels: &[u8],
    ) -> Result<Self> {
        let count = height * width;
        if channels == 0 || pixels.len() < count * channels {
            let found = format!("{} bytes of {channels} channels", pixels.len());
            return Err(Error::input(
                path,
                format!("{width}x{height} pixels"),
                found,
            ));
        }
        let mut planes = Vec::with_capacity(3 * count);
        for colour in 0..3 {
            let place = if channels < 3 { 0 } else { colour };
            planes.extend(
                pixels
                    .chunks_exact(channels)
                    .take(count)
                    .map(|pixel| pixel[place]),
            );
        }
        Ok(Self {
            height,
            width,
            planes,
        })
    }
}

fn check_size(path: &Path, height: usize, width: usize) -> Result<()> {
    let fits = (1..=LONGEST_SIDE).contains(&height) && (1..=LONGEST_SIDE).contains(&width);
    if fits && height * width <= MOST_PIXELS {
        return Ok(());
    }
    let expected =
        format!("an image of 1 to {LONGEST_SIDE} pixels a side and at most {MOST_PIXELS} pixels");
    Err(Error::input(
        path,
        expected,
        format!("{width}x{height} pixels"),
    ))
}

fn png(path: &Path, bytes: &[u8]) -> Result<Picture> {
    let damaged = |error: png::DecodingError| Error::input(path, "a PNG image", error.to_string());
    let limits = png::Limits {
        bytes: MOST_PIXELS * 8,
    };
    let mut decoder = png::Decoder::new_with_limits(bytes, limits);
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(damaged)?;
    let (height, width) = (reader.info().height as usize, reader.info().width as usize);
    check_size(path, height, width)?;
    let mut pixels = vec![0; reader.output_buffer_size()];
    let frame = reader.next_frame(&mut pixels).map_err(damaged)?;
    Picture::of_pixels(path, height, width, frame.color_type.samples(), &pixels)
}

fn jpeg(path: &Path, bytes: &[u8]) -> Result<Picture> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(LONGEST_SIDE)
        .set_max_height(LONGEST_SIDE)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let damaged = |error: String| Error::input(path, "a JPEG image", error);
    decoder
        .decode_headers()
        .map_err(|error| damaged(error.to_string()))?;
    let (width, height) = decoder
        .dimensions()
        .ok_or_else(|| damaged("a header without a size".to_owned()))?;
    check_size(path, height, width)?;
    let pixels = decoder
        .decode()
        .map_err(|error| damaged(error.to_string()))?;
    Picture::of_pixels(path, height, width, 3, &pixels)
}
