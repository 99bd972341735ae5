//! One file over HTTP into its `.partial` file, continued where it broke off, checked by SHA-256.

use super::{failed, size, FetchStep, Progress, RemoteFile};
use crate::error::{Error, IoContext, Result};
use crate::store;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;
use ureq::{http::Response, Agent, Body};

/// Longest wait for a connection, and for the first or the next bytes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Brings a file to `partial`, whole and with the right checksum.
///
/// # Errors
/// [`Error::Io`] where the transfer fails or breaks off (what arrived is kept), [`Error::Input`] where size or
/// checksum is wrong (it is removed), whatever `progress` returns.
pub(super) fn download(file: &RemoteFile, partial: &Path, progress: Progress<'_>) -> Result<()> {
    if size(partial)? > file.bytes {
        store::remove_file(partial)?;
    }
    let resumed = size(partial)? > 0;
    if size(partial)? < file.bytes {
        transfer(file, partial, progress)?;
    }
    let found = store::sha256_of_file(partial)?;
    if found == file.sha256 {
        return Ok(());
    }
    store::remove_file(partial)?;
    if resumed {
        // the beginning may have been of another version of the file
        return download(file, partial, progress);
    }
    Err(wrong(
        file,
        format!("SHA-256 {}", file.sha256),
        format!("{found} from {} (removed)", file.url),
    ))
}

fn transfer(file: &RemoteFile, partial: &Path, progress: Progress<'_>) -> Result<()> {
    let (mut response, start) = request(file, size(partial)?)?;
    if start == 0 {
        store::remove_file(partial)?;
    }
    let mut target = store::open_to_append(partial)?;
    let mut body = response.body_mut().as_reader();
    let (mut received, mut piece) = (start, vec![0; 1 << 16]);
    progress(file.progress(FetchStep::Downloading, received))?;
    while let Some(read) = next(&mut body, &mut piece, file, received)? {
        received += read as u64;
        if received > file.bytes {
            drop(target);
            store::remove_file(partial)?;
            return Err(wrong(
                file,
                format!("{} bytes", file.bytes),
                format!("more from {} (removed)", file.url),
            ));
        }
        target.write_all(&piece[..read]).at("write", partial)?;
        progress(file.progress(FetchStep::Downloading, received))?;
    }
    target.sync_all().at("flush", partial)?;
    if received < file.bytes {
        return Err(broke_off(file, received, "the server ended early"));
    }
    Ok(())
}

/// The next bytes, or `None` at the end.
fn next(
    body: &mut impl Read,
    piece: &mut [u8],
    file: &RemoteFile,
    received: u64,
) -> Result<Option<usize>> {
    loop {
        match body.read(piece) {
            Ok(0) => return Ok(None),
            Ok(read) => return Ok(Some(read)),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(broke_off(file, received, &e.to_string())),
        }
    }
}

/// Asks for the file from byte `have` on; gives the answer and the byte that it starts at, which is 0 where
/// the server cannot continue.
fn request(file: &RemoteFile, have: u64) -> Result<(Response<Body>, u64)> {
    let mut request = agent().get(&file.url);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = request.call().map_err(|e| failed(&file.url, e))?;
    match response.status().as_u16() {
        200 => Ok((response, 0)),
        206 if have > 0 && starts_at(&response) == Some(have) => Ok((response, have)),
        // another range than was asked for, or none left: once more, from the start
        206 | 416 if have > 0 => self::request(file, 0),
        404 | 410 => Err(failed(
            &file.url,
            format!("the server does not have it ({})", response.status()),
        )),
        _ => Err(failed(
            &file.url,
            format!("the server answered {}", response.status()),
        )),
    }
}

/// First byte of a `Content-Range: bytes first-last/size` header.
fn starts_at(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get("Content-Range")?.to_str().ok()?;
    range
        .strip_prefix("bytes ")?
        .split_once('-')?
        .0
        .trim()
        .parse()
        .ok()
}

fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(PATIENCE))
        .timeout_recv_response(Some(PATIENCE))
        .timeout_per_read(Some(PATIENCE))
        .user_agent(concat!("wcat-explore/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent()
}

fn broke_off(file: &RemoteFile, received: u64, reason: &str) -> Error {
    let total = file.bytes;
    let text = format!(
        "broke off after {received} of {total} bytes: {reason}; the same command continues there"
    );
    failed(&file.url, text)
}

fn wrong(file: &RemoteFile, expected: String, found: String) -> Error {
    Error::input(&file.name, expected, found)
}
