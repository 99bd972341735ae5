//! Downloads against a server on this machine.

use super::*;
use flate2::{write::GzEncoder, Compression};
use std::io::{Cursor, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use tiny_http::{Header, Request, Response, Server};

/// What the server does with a request.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Answers ranges with 206.
    Ranges,
    /// Ignores ranges.
    NoRanges,
    /// Answers a range with another one.
    WrongRange,
    /// Sends half of the body, chunked, and ends.
    Half,
    Status(u16),
}

/// A server of one file; it stops when it is dropped.
struct Host {
    server: Arc<Server>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// The `Range` header of each request, empty where there was none.
    ranges: Arc<Mutex<Vec<String>>>,
}

impl Host {
    fn new(body: Vec<u8>, manner: Manner) -> Self {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let ranges = Arc::new(Mutex::new(vec![]));
        let (listening, seen) = (server.clone(), ranges.clone());
        let thread = std::thread::spawn(move || {
            for request in listening.incoming_requests() {
                answer(request, &body, manner, &seen);
            }
        });
        Self {
            server,
            thread: Some(thread),
            ranges,
        }
    }

    fn base(&self) -> String {
        format!("http://{}/data/", self.server.server_addr())
    }

    fn ranges(&self) -> Vec<String> {
        self.ranges.lock().unwrap().clone()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.server.unblock();
        self.thread.take().unwrap().join().unwrap();
    }
}

fn answer(request: Request, body: &[u8], manner: Manner, seen: &Mutex<Vec<String>>) {
    let range = request
        .headers()
        .iter()
        .find(|header| header.field.equiv("Range"));
    let range = range
        .map(|header| header.value.to_string())
        .unwrap_or_default();
    seen.lock().unwrap().push(range.clone());
    let start: usize = range
        .trim_start_matches("bytes=")
        .trim_end_matches('-')
        .parse()
        .unwrap_or(0);
    let last = body.len() - 1;
    let part = |from: usize| Response::from_data(&body[from..]).with_chunked_threshold(usize::MAX);
    let ranged = |from: usize| {
        let header = format!("Content-Range: bytes {from}-{last}/{}", body.len());
        part(from)
            .with_status_code(206)
            .with_header(header.parse::<Header>().unwrap())
    };
    match manner {
        Manner::Ranges if start > 0 => request.respond(ranged(start)),
        Manner::WrongRange if start > 0 => request.respond(ranged(1)),
        Manner::Half => {
            let half = Cursor::new(body[..body.len() / 2].to_vec());
            request.respond(Response::new(200.into(), vec![], half, None, None))
        }
        Manner::Status(code) => request.respond(Response::from_string("no").with_status_code(code)),
        _ => request.respond(part(0)),
    }
    .unwrap();
}

/// Announces the whole body, sends this many bytes of it, and hangs up. One request.
fn hang_up(body: Vec<u8>, after: usize) -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = vec![];
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            asked.push(byte[0]);
        }
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .unwrap();
        stream.write_all(&body[..after]).unwrap();
    });
    (base, thread)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn content() -> Vec<u8> {
    (0..300_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

fn remote(name: &str, packed: &[u8], contents: Vec<Content>) -> RemoteFile {
    RemoteFile {
        url: String::new(),
        name: name.into(),
        sha256: store::sha256(packed),
        bytes: packed.len() as u64,
        contents,
    }
}

fn entry(name: &str, bytes: &[u8]) -> Content {
    Content {
        name: name.into(),
        sha256: store::sha256(bytes),
        bytes: bytes.len() as u64,
    }
}

/// A source of one gzip file, as MNIST's.
fn one_file(base: &str) -> FetchSource {
    FetchSource {
        name: DatasetName::Mnist,
        folder: "mnist".into(),
        files: vec![remote(
            "images.gz",
            &gzip(&content()),
            vec![entry("images", &content())],
        )],
        unpack: false,
    }
    .from_base(base)
    .unwrap()
}

fn quiet(source: &FetchSource, folder: &Path) -> Result<bool> {
    fetch(source, folder, &mut |_| Ok(()))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != ".lock")
        .collect();
    names.sort();
    names
}

/// The error with the chain of its causes, as the program prints it.
fn told(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

#[test]
fn a_fresh_download_is_whole_and_a_second_one_does_nothing() {
    let (host, folder) = (
        Host::new(gzip(&content()), Manner::Ranges),
        tempfile::tempdir().unwrap(),
    );
    let source = one_file(&host.base());
    let mut steps: Vec<FetchProgress> = vec![];
    let mut note = |progress| {
        steps.push(progress);
        Ok(())
    };
    assert!(fetch(&source, folder.path(), &mut note).unwrap());
    assert_eq!(
        std::fs::read(folder.path().join("mnist/images.gz")).unwrap(),
        gzip(&content())
    );
    assert_eq!(names(&folder.path().join("mnist")), ["images.gz"]);
    assert!(!fetch(&source, folder.path(), &mut note).unwrap());
    assert_eq!(host.ranges(), [""]);
    let total = source.files[0].bytes;
    assert_eq!(
        (steps[0].step, steps[0].received),
        (FetchStep::Downloading, 0)
    );
    assert!(steps
        .windows(2)
        .all(|pair| pair[0].received <= pair[1].received));
    let last: Vec<_> = steps
        .iter()
        .rev()
        .take(3)
        .map(|step| (step.step, step.received))
        .collect();
    assert_eq!(
        last,
        [
            (FetchStep::Present, total),
            (FetchStep::Done, total),
            (FetchStep::Downloading, total)
        ]
    );
}

#[test]
fn a_download_goes_on_where_the_connection_broke() {
    let folder = tempfile::tempdir().unwrap();
    let packed = gzip(&content());
    let (base, server) = hang_up(packed.clone(), 100_000);
    let error = told(&quiet(&one_file(&base), folder.path()).unwrap_err());
    server.join().unwrap();
    assert!(
        error.contains("/images.gz: broke off after 100000 of 300"),
        "{error}"
    );
    assert!(error.contains("the same command continues"), "{error}");
    assert_eq!(names(&folder.path().join("mnist")), ["images.gz.partial"]);

    let host = Host::new(packed.clone(), Manner::Ranges);
    let mut first = None;
    fetch(&one_file(&host.base()), folder.path(), &mut |progress| {
        first.get_or_insert(progress.received);
        Ok(())
    })
    .unwrap();
    assert_eq!(first, Some(100_000));
    assert_eq!(host.ranges(), ["bytes=100000-"]);
    assert_eq!(
        std::fs::read(folder.path().join("mnist/images.gz")).unwrap(),
        packed
    );
}

#[test]
fn a_server_that_cannot_continue_starts_again() {
    let packed = gzip(&content());
    for (manner, asked) in [
        (Manner::NoRanges, vec!["bytes=777-"]),
        (Manner::WrongRange, vec!["bytes=777-", ""]),
    ] {
        let (host, folder) = (
            Host::new(packed.clone(), manner),
            tempfile::tempdir().unwrap(),
        );
        store::write_bytes(
            &folder.path().join("mnist/images.gz.partial"),
            &packed[..777],
        )
        .unwrap();
        assert!(quiet(&one_file(&host.base()), folder.path()).unwrap());
        assert_eq!(host.ranges(), asked);
        assert_eq!(names(&folder.path().join("mnist")), ["images.gz"]);
    }
}

#[test]
fn a_beginning_of_another_file_is_thrown_away() {
    let (host, folder) = (
        Host::new(gzip(&content()), Manner::Ranges),
        tempfile::tempdir().unwrap(),
    );
    let partial = folder.path().join("mnist/images.gz.partial");
    store::write_bytes(&partial, &[7; 500]).unwrap();
    assert!(quiet(&one_file(&host.base()), folder.path()).unwrap());
    assert_eq!(host.ranges(), ["bytes=500-", ""]);
    std::fs::remove_file(folder.path().join("mnist/images.gz")).unwrap();
    store::write_bytes(&partial, &[7; 500_000]).unwrap();
    assert!(quiet(&one_file(&host.base()), folder.path()).unwrap());
    assert_eq!(host.ranges().last().unwrap(), "");
}

#[test]
fn a_wrong_checksum_names_the_file_and_removes_it() {
    let mut other = gzip(&content());
    other[1000] ^= 1;
    let (host, folder) = (
        Host::new(other.clone(), Manner::Ranges),
        tempfile::tempdir().unwrap(),
    );
    let source = one_file(&host.base());
    let error = quiet(&source, folder.path()).unwrap_err();
    assert!(error.is_wrong_input());
    let expected = format!(
        "images.gz: expected SHA-256 {}, found {} from {} (removed)",
        source.files[0].sha256,
        store::sha256(&other),
        source.files[0].url
    );
    assert_eq!(error.to_string(), expected);
    assert!(names(&folder.path().join("mnist")).is_empty());
}

#[test]
fn more_than_the_size_of_the_file_is_never_taken() {
    let long = [gzip(&content()), vec![0; 2_000_000]].concat();
    let (host, folder) = (
        Host::new(long, Manner::Ranges),
        tempfile::tempdir().unwrap(),
    );
    let source = one_file(&host.base());
    let mut most = 0;
    let error = fetch(&source, folder.path(), &mut |progress| {
        most = most.max(progress.received);
        Ok(())
    })
    .unwrap_err();
    assert!(error.to_string().contains(&format!(
        "expected {} bytes, found more",
        source.files[0].bytes
    )));
    assert!(most <= source.files[0].bytes);
    assert!(names(&folder.path().join("mnist")).is_empty());
}

#[test]
fn a_server_that_refuses_or_ends_early_is_named_with_its_answer() {
    for (manner, message) in [
        (
            Manner::Status(404),
            "the server does not have it (404 Not Found)",
        ),
        (
            Manner::Status(503),
            "the server answered 503 Service Unavailable",
        ),
        (Manner::Half, "broke off after 150"),
    ] {
        let (host, folder) = (
            Host::new(gzip(&content()), manner),
            tempfile::tempdir().unwrap(),
        );
        let source = one_file(&host.base());
        let error = quiet(&source, folder.path()).unwrap_err();
        assert!(!error.is_wrong_input());
        let text = told(&error);
        assert!(
            text.contains(message) && text.contains(&source.files[0].url),
            "{text}"
        );
    }
}

#[test]
fn nobody_at_the_address_is_an_error_with_the_address() {
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error = told(&quiet(&one_file(&format!("http://{free}")), folder.path()).unwrap_err());
    assert!(
        error.contains(&format!("cannot download http://{free}/images.gz: ")),
        "{error}"
    );
}

#[test]
fn an_interruption_keeps_what_has_arrived() {
    let (host, folder) = (
        Host::new(gzip(&content()), Manner::Ranges),
        tempfile::tempdir().unwrap(),
    );
    let source = one_file(&host.base());
    let stop = fetch(
        &source,
        folder.path(),
        &mut |progress| match progress.received {
            0 => Ok(()),
            _ => Err(Error::Interrupted),
        },
    );
    assert!(matches!(stop, Err(Error::Interrupted)));
    assert!(size(&folder.path().join("mnist/images.gz.partial")).unwrap() > 0);
    assert!(quiet(&source, folder.path()).unwrap());
    assert!(host.ranges()[1].starts_with("bytes="));
}

#[test]
fn the_same_content_packed_otherwise_or_not_at_all_is_there_already() {
    let source = one_file("http://127.0.0.1:1");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mnist/images.gz");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&content()).unwrap();
    store::write_bytes(&path, &encoder.finish().unwrap()).unwrap();
    assert!(!quiet(&source, folder.path()).unwrap());
    for wrong in [
        gzip(&[content(), vec![1]].concat()),
        gzip(&content()[1..]),
        b"no gzip".to_vec(),
    ] {
        store::write_bytes(&path, &wrong).unwrap();
        assert!(quiet(&source, folder.path()).is_err());
    }
    let plain = folder.path().join("mnist/images");
    store::write_bytes(&plain, &content()).unwrap();
    assert!(!quiet(&source, folder.path()).unwrap());
    store::write_bytes(&plain, b"another").unwrap();
    let error = quiet(&source, folder.path()).unwrap_err();
    assert!(
        error.is_wrong_input() && error.to_string().contains("found another content"),
        "{error}"
    );
}

/// A `.tar.gz` archive of these files.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        let name = &mut header.as_mut_bytes()[..path.len()];
        name.copy_from_slice(path.as_bytes());
        header.set_entry_type(if path.ends_with('/') {
            tar::EntryType::Directory
        } else {
            tar::EntryType::Regular
        });
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    gzip(&tar.into_inner().unwrap())
}

/// A source of one archive of two files, as CIFAR-10's.
fn one_archive(base: &str, packed: &[u8]) -> FetchSource {
    let contents = vec![entry("a.bin", &[1; 5000]), entry("b.bin", &[2; 70])];
    FetchSource {
        name: DatasetName::Cifar10,
        folder: "bin".into(),
        files: vec![remote("all.tar.gz", packed, contents)],
        unpack: true,
    }
    .from_base(base)
    .unwrap()
}

const GOOD: [(&str, &[u8]); 5] = [
    ("bin/", &[]),
    ("bin/a.bin", &[1; 5000]),
    ("bin/readme.html", b"read me"),
    ("bin/b.bin", &[2; 70]),
    ("bin/batches.meta.txt", b"cat\ndog\n"),
];

#[test]
fn an_archive_is_unpacked_and_then_removed() {
    let packed = archive(&GOOD);
    let (host, folder) = (
        Host::new(packed.clone(), Manner::Ranges),
        tempfile::tempdir().unwrap(),
    );
    let source = one_archive(&host.base(), &packed);
    assert!(quiet(&source, folder.path()).unwrap());
    assert_eq!(names(&folder.path().join("bin")), ["a.bin", "b.bin"]);
    assert_eq!(
        std::fs::read(folder.path().join("bin/b.bin")).unwrap(),
        [2; 70]
    );
    assert!(!quiet(&source, folder.path()).unwrap());
    store::write_bytes(&folder.path().join("bin/a.bin"), &[9; 5000]).unwrap();
    assert!(quiet(&source, folder.path()).unwrap());
    assert_eq!(
        std::fs::read(folder.path().join("bin/a.bin")).unwrap(),
        [1; 5000]
    );
    assert_eq!(host.ranges().len(), 2);
}

#[test]
fn an_archive_that_lies_there_needs_no_server() {
    let (packed, folder) = (archive(&GOOD), tempfile::tempdir().unwrap());
    store::write_bytes(&folder.path().join("bin/all.tar.gz"), &packed).unwrap();
    assert!(quiet(&one_archive("http://127.0.0.1:1", &packed), folder.path()).unwrap());
    assert_eq!(
        names(&folder.path().join("bin")),
        ["a.bin", "all.tar.gz", "b.bin"]
    );
}

#[test]
fn an_archive_with_anything_else_in_it_is_refused() {
    let with = |extra: (&'static str, &'static [u8])| archive(&[&GOOD[..], &[extra]].concat());
    for (packed, message) in [
        (
            with(("bin/c.bin", b"c")),
            "expected only the files of the data set, found `bin/c.bin`",
        ),
        (
            with(("bin/../../a.bin", &[1; 5000])),
            "found `bin/../../a.bin`",
        ),
        (with(("/etc/a.bin", &[1; 5000])), "found `/etc/a.bin`"),
        (with(("bin/a.bin", &[1; 5000])), "found `bin/a.bin` twice"),
        (with(("other/", b"")), "`other/`, which is no plain file"),
        (
            with(("bin/readme.html", &[0; 2_000_000])),
            "found `bin/readme.html`",
        ),
        (
            archive(&GOOD[..3]),
            "expected `bin/b.bin`, found an archive without it",
        ),
        (
            archive(&[("bin/a.bin", &[1; 4999])]),
            "`a.bin`: expected 5000 bytes, found 4999 bytes",
        ),
        (
            archive(&[("bin/a.bin", &[3; 5000])]),
            "`a.bin`: expected SHA-256 ",
        ),
        (gzip(b"no archive at all"), "found a damaged one"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        store::write_bytes(&folder.path().join("bin/all.tar.gz"), &packed).unwrap();
        let error = quiet(&one_archive("http://127.0.0.1:1", &packed), folder.path()).unwrap_err();
        assert!(error.is_wrong_input(), "{error:?}");
        assert!(error.to_string().contains(message), "{message}: {error}");
        let outside = folder.path().parent().unwrap().join("a.bin");
        assert!(!outside.exists() && !folder.path().join("a.bin").exists());
    }
}

#[test]
fn built_in_sources_name_every_file_that_the_readers_want() {
    let mnist = FetchSource::built_in(DatasetName::Mnist).unwrap();
    let names: Vec<&str> = mnist.files.iter().map(|file| file.name.as_str()).collect();
    let wanted: Vec<String> = idx::FILES
        .iter()
        .flatten()
        .map(|name| format!("{name}.gz"))
        .collect();
    assert_eq!(names, wanted);
    assert!(mnist.files[0]
        .url
        .ends_with("/mnist/train-images-idx3-ubyte.gz"));
    let cifar = FetchSource::built_in(DatasetName::Cifar10).unwrap();
    assert_eq!(cifar.files[0].contents.len(), 6);
    assert!(cifar.files[0]
        .contents
        .iter()
        .all(|content| content.bytes == 30_730_000));
    for file in mnist.files.iter().chain(&cifar.files) {
        assert!(file.url.starts_with("https://"));
        let sums = file
            .contents
            .iter()
            .map(|content| &content.sha256)
            .chain([&file.sha256]);
        sums.for_each(|sum| assert!(sum.len() == 64 && sum.bytes().all(|b| b.is_ascii_hexdigit())));
    }
    assert!(FetchSource::built_in(DatasetName::Glyphs).is_err());
    assert!(FetchSource::built_in(DatasetName::Mnist)
        .unwrap()
        .from_base("ftp://x")
        .is_err());
}
