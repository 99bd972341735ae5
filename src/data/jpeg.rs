//! JPEG files to the pixels of libjpeg: decoded by `jpeg-decoder`; what that one would not get right is refused.

use super::picture::{check_size, Picture, MOST_PIXELS};
use crate::error::{Error, Result};
use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};
use std::path::Path;

/// Most scans: a full progressive picture has about ten, a hostile one has millions over millions of pixels.
const MOST_SCANS: usize = 200;
/// Coefficients that libjpeg smooths over where a progressive picture leaves them out (`jdcoefct.c`).
const SMOOTHED: usize = 10;
/// Not yet in any scan.
const ABSENT: u8 = u8::MAX;

/// One colour plane of the frame.
struct Component {
    id: u8,
    /// Sampling factors, 1 to 4.
    across: u8,
    down: u8,
    /// The lowest bit that has come of each coefficient, 0 where it is whole.
    lowest_bits: [u8; 64],
}

/// What the markers of a file say.
#[derive(Default)]
struct Markers {
    height: usize,
    width: usize,
    components: Vec<Component>,
    jfif: bool,
    /// The colour transform of an Adobe marker: 0 none, 1 YCbCr, 2 YCCK.
    adobe: Option<u8>,
}

/// Decodes a file of at most [`MOST_PIXELS`] pixels.
///
/// # Errors
/// [`Error::Input`] with the path: a damaged or truncated file, or a kind of JPEG that is not read.
pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Picture> {
    let wrong = |(expected, found): (&str, String)| Error::input(path, expected, found);
    let markers = read_markers(bytes).map_err(wrong)?;
    check_size(path, markers.height, markers.width)?;
    markers.check().map_err(wrong)?;
    let mut decoder = Decoder::new(bytes);
    decoder.set_color_transform(markers.colours());
    decoder.set_max_decoding_buffer_size(4 * MOST_PIXELS);
    let damaged =
        |error: jpeg_decoder::Error| Error::input(path, "a JPEG image", error.to_string());
    let mut pixels = decoder.decode().map_err(damaged)?;
    let channels = match decoder.info().map(|info| info.pixel_format) {
        Some(PixelFormat::L8) => 1,
        Some(PixelFormat::RGB24) => 3,
        Some(PixelFormat::CMYK32) => {
            pixels = pixels.chunks_exact(4).flat_map(colour_of_ink).collect();
            3
        }
        _ => {
            return Err(Error::input(
                path,
                "a JPEG image of 8 bits",
                "another depth",
            ))
        }
    };
    Picture::of_pixels(path, markers.height, markers.width, channels, &pixels)
}

/// Cyan, magenta, yellow and black to red, green and blue as Pillow does it.
fn colour_of_ink(ink: &[u8]) -> [u8; 3] {
    let light = 255 - i32::from(ink[3]);
    [0, 1, 2].map(|colour| {
        // a product over 255, rounded
        let product = i32::from(ink[colour]) * light + 128;
        let absorbed = ((product >> 8) + product) >> 8;
        (light - absorbed).clamp(0, 255) as u8
    })
}

/// Walks over the segments of a file, past the coded data of its scans.
fn read_markers(bytes: &[u8]) -> Result<Markers, (&'static str, String)> {
    let torn = || ("a whole JPEG image", "a truncated file".to_owned());
    let mut markers = Markers::default();
    let (mut at, mut scans) = (2, 0);
    loop {
        // stuffed bytes, restarts and fillers lie inside coded data
        let inside = |pair: &[u8]| matches!(pair[1], 0 | 1 | 0xd0..=0xd7 | 0xff);
        let place = bytes
            .get(at..)
            .and_then(|rest| {
                rest.windows(2)
                    .position(|pair| pair[0] == 0xff && !inside(pair))
            })
            .ok_or_else(torn)?;
        let code = bytes[at + place + 1];
        at += place + 2;
        if code == 0xd9 {
            return Ok(markers);
        }
        if code == 0xd8 {
            continue;
        }
        let length = match bytes.get(at..at + 2) {
            Some([high, low]) => usize::from(*high) << 8 | usize::from(*low),
            _ => return Err(torn()),
        };
        let segment = bytes.get(at + 2..at + length).ok_or_else(torn)?;
        match code {
            0xc0..=0xc2 => markers.frame(segment)?,
            0xc4 | 0xc8 | 0xcc => {}
            0xc3 | 0xc5..=0xcf => {
                let kind = match code {
                    0xc3 | 0xc7 | 0xcb | 0xcf => "a lossless one",
                    0xc9 | 0xca => "one in arithmetic coding",
                    _ => "a hierarchical one",
                };
                return Err(("a baseline or progressive JPEG image", kind.to_owned()));
            }
            0xda => {
                scans += 1;
                if scans > MOST_SCANS {
                    return Err(("at most 200 scans in a JPEG image", "more".to_owned()));
                }
                markers.scan(segment);
            }
            0xe0 => markers.jfif |= segment.starts_with(b"JFIF\0"),
            0xee if segment.starts_with(b"Adobe") => markers.adobe = segment.get(11).copied(),
            _ => {}
        }
        at += length;
    }
}

impl Markers {
    /// Start of frame: depth, height, width, and of each component its name and sampling factors.
    fn frame(&mut self, segment: &[u8]) -> Result<(), (&'static str, String)> {
        let [depth, h1, h0, w1, w0, count, components @ ..] = segment else {
            return Err(("a JPEG image", "a torn frame header".to_owned()));
        };
        if *depth != 8 {
            return Err(("a JPEG image of 8 bits", format!("one of {depth}")));
        }
        let count = usize::from(*count);
        if !self.components.is_empty()
            || ![1, 3, 4].contains(&count)
            || components.len() != 3 * count
        {
            let found = format!("{count} components, or a second frame");
            return Err(("one JPEG image of 1, 3 or 4 components", found));
        }
        self.height = usize::from(*h1) << 8 | usize::from(*h0);
        self.width = usize::from(*w1) << 8 | usize::from(*w0);
        for component in components.chunks_exact(3) {
            self.components.push(Component {
                id: component[0],
                across: component[1] >> 4,
                down: component[1] & 15,
                lowest_bits: [ABSENT; 64],
            });
        }
        Ok(())
    }

    /// Start of scan: its components, then the first and last coefficient and the bits that come.
    fn scan(&mut self, segment: &[u8]) {
        let count = segment.first().map_or(0, |count| usize::from(*count));
        let (Some(names), Some([first, last, bits])) = (
            segment.get(1..1 + 2 * count),
            segment.get(1 + 2 * count..4 + 2 * count),
        ) else {
            return;
        };
        for name in names.chunks_exact(2) {
            let component = self
                .components
                .iter_mut()
                .find(|component| component.id == name[0]);
            if let Some(component) = component {
                for coefficient in usize::from(*first)..=usize::from(*last).min(63) {
                    component.lowest_bits[coefficient] = bits & 15;
                }
            }
        }
    }

    /// Refuses what the decoder would read otherwise than libjpeg.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let most = |of: fn(&Component) -> u8| self.components.iter().map(of).max().unwrap_or(0);
        let (across, down) = (most(|c| c.across), most(|c| c.down));
        for component in &self.components {
            if component.lowest_bits[..SMOOTHED]
                .iter()
                .any(|bit| *bit != 0)
            {
                let expected = "every scan of a JPEG image";
                return Err((expected, "one that lacks coefficients".to_owned()));
            }
            // libjpeg does not interpolate planes of one or two columns
            let halved = 2 * component.across == across;
            let interpolated = self.width > 2 || 2 * component.down == down && self.height > 2;
            if self.components.len() > 1 && halved && self.width <= 4 && interpolated {
                let found = format!("{} columns", self.width);
                return Err((
                    "5 columns or more in a JPEG image with halved chroma",
                    found,
                ));
            }
        }
        Ok(())
    }

    /// The colours of the components by libjpeg's rules (`jdapimin.c`).
    fn colours(&self) -> ColorTransform {
        let names: Vec<u8> = self.components.iter().map(|c| c.id).collect();
        match (names.as_slice(), self.adobe) {
            ([_], _) => ColorTransform::Grayscale,
            ([_, _, _], _) if self.jfif => ColorTransform::YCbCr,
            ([_, _, _], Some(0)) | (b"RGB", None) => ColorTransform::RGB,
            ([_, _, _], _) => ColorTransform::YCbCr,
            (_, None | Some(0)) => ColorTransform::CMYK,
            _ => ColorTransform::YCCK,
        }
    }
}
