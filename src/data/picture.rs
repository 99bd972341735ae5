//! Decodes one PNG or JPEG file to three planes of bytes; every size is checked before memory is taken.

use super::jpeg;
use crate::error::{Error, Result};
use crate::store;
use std::panic::catch_unwind;
use std::path::Path;

/// Largest file, in bytes.
const LARGEST_FILE: u64 = 64 << 20;
/// Longest side, in pixels.
const LONGEST_SIDE: usize = 1 << 14;
/// Most pixels.
pub(super) const MOST_PIXELS: usize = 1 << 26;

/// What a file of an image is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Png,
    Jpeg,
    Bmp,
    Gif,
    Tiff,
    WebP,
    Heif,
}

impl Format {
    /// Bytes that are enough to tell.
    pub(super) const START: usize = 12;

    pub(super) fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x89, b'P', b'N', b'G', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [b'B', b'M', ..] => Some(Self::Bmp),
            [b'G', b'I', b'F', b'8', ..] => Some(Self::Gif),
            [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => Some(Self::Tiff),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            [_, _, _, _, b'f', b't', b'y', b'p', b'h' | b'm' | b'a', ..] => Some(Self::Heif),
            _ => None,
        }
    }

    /// True where [`Picture::read`] reads it.
    pub(super) fn is_read(self) -> bool {
        matches!(self, Self::Png | Self::Jpeg)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Png => "a PNG image",
            Self::Jpeg => "a JPEG image",
            Self::Bmp => "a BMP image",
            Self::Gif => "a GIF image",
            Self::Tiff => "a TIFF image",
            Self::WebP => "a WebP image",
            Self::Heif => "a HEIF or AVIF image",
        }
    }
}

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
        let decode = match Format::of(&bytes) {
            Some(Format::Png) => png,
            Some(Format::Jpeg) => jpeg::decode,
            other => {
                let found = other.map_or("other bytes", Format::name);
                return Err(Error::input(path, "a PNG or JPEG image", found));
            }
        };
        // the decoders are others' code: a panic there is the file's fault
        catch_unwind(|| decode(path, &bytes)).unwrap_or_else(|_| {
            let expected = "an image that can be decoded";
            Err(Error::input(path, expected, "one that upsets the decoder"))
        })
    }

    /// From pixels of `channels` bytes: 1 or 2 (grey), 3 or 4 (colour), the last of 2 and 4 dropped.
    pub(super) fn of_pixels(
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

pub(super) fn check_size(path: &Path, height: usize, width: usize) -> Result<()> {
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
    if let Some(palette) = &reader.info().palette {
        if palette.is_empty() || palette.len() % 3 != 0 || palette.len() > 3 * 256 {
            let expected = "a PNG palette of 1 to 256 colours of 3 bytes";
            let found = format!("{} bytes", palette.len());
            return Err(Error::input(path, expected, found));
        }
    }
    let mut pixels = vec![0; reader.output_buffer_size()];
    let frame = reader.next_frame(&mut pixels).map_err(damaged)?;
    Picture::of_pixels(path, height, width, frame.color_type.samples(), &pixels)
}
