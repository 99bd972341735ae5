//! `checksums` of a folder: SHA-256 of the files in it that are read again, in the form of `sha256sum -c`. Which files
//! these are is the caller's affair.
//!
//! Of a file that says when something was done, the content without that is recorded, so that equal runs have equal
//! checksums; such a line begins with `#`, which `sha256sum` skips: `# <sha256>  run.yaml without started_unix,finished_unix`.
//! A file that is being rewritten has several lines for a moment; a file without a line is not checked.

use super::{folder_of, read_bytes, read_text, sha256, sha256_of_file, write_bytes};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Name of the file.
pub const CHECKSUMS: &str = "checksums";
/// Largest file of checksums that is read.
const LIMIT: u64 = 1 << 26;
/// Largest file that is read to be checksummed in part.
const LIMIT_IN_PART: u64 = 1 << 30;
/// Between the name of a file and what is left out of it.
const WITHOUT: &str = " without ";

/// A checksum of a file, or of the file without what varies between equal runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Digest {
    sha256: String,
    /// Keys or columns that are left out, between commas; empty: none.
    without: String,
}

impl Digest {
    fn of(path: &Path, without: &str) -> Result<Self> {
        if without.is_empty() {
            return Ok(Self {
                sha256: sha256_of_file(path)?,
                without: String::new(),
            });
        }
        let content = read_bytes(path, "a file to checksum", LIMIT_IN_PART)?;
        Ok(Self::of_content(&content, without))
    }

    fn of_content(content: &[u8], without: &str) -> Self {
        Self {
            sha256: match without {
                "" => sha256(content),
                _ => sha256_without(content, without),
            },
            without: without.to_owned(),
        }
    }
}

/// The checksums of one folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checksums {
    by_name: BTreeMap<String, Vec<Digest>>,
}

impl Checksums {
    /// Reads the checksums of a folder; `None` where there are none.
    ///
    /// # Errors
    /// [`Error::Input`] with the line that is not one of checksums, [`Error::Io`].
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(CHECKSUMS);
        if !path.exists() {
            return Ok(None);
        }
        let text = read_text(&path, "checksums", LIMIT)?;
        let mut all = Self::default();
        for (number, line) in text.lines().enumerate() {
            let (name, digest) = digest_of_line(line).ok_or_else(|| {
                let expected = "64 hexadecimal digits, two spaces and a name (restore the file from a copy; without it \
                                nothing is checked)";
                let found = format!("`{}`", line.chars().take(100).collect::<String>());
                Error::input_at(&path, Some(number + 1), None, expected, found)
            })?;
            all.by_name.entry(name).or_default().push(digest);
        }
        Ok(Some(all))
    }

    /// Checks a file of the folder; false where nothing is recorded of it. `remedy` says how a damaged one is mended.
    ///
    /// # Errors
    /// [`Error::Input`] where its content is another than recorded, [`Error::Missing`] where it is not there;
    /// [`Error::Io`].
    pub fn check(&self, folder: &Path, name: &str, remedy: &str) -> Result<bool> {
        let Some(recorded) = self.by_name.get(name) else {
            return Ok(false);
        };
        let (path, mut known) = (folder.join(name), recorded.clone());
        let place = folder.join(CHECKSUMS);
        if !path.exists() {
            let expected = format!("a file that {} lists; {remedy}", place.display());
            return Err(Error::Missing { path, expected });
        }
        // another process may have rewritten the file and its line after this one read the line
        for again in [true, false] {
            for digest in &known {
                if Digest::of(&path, &digest.without)? == *digest {
                    return Ok(true);
                }
            }
            match Self::read(folder)?.map(|mut now| now.by_name.remove(name)) {
                Some(Some(now)) if again && now != known => known = now,
                Some(None) | None => return Ok(false),
                _ => break,
            }
        }
        let expected = format!("the content that {} has the checksum of", place.display());
        let found =
            format!("another: damaged, or changed since; {remedy}, or restore it from a copy");
        Err(Error::input(path, expected, found))
    }

    /// Records files of the folder as they are now, in place of what was recorded of them. Files that are not there are
    /// left out.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn record<N: AsRef<str>>(
        &mut self,
        folder: &Path,
        names: impl IntoIterator<Item = N>,
    ) -> Result<()> {
        for name in names {
            self.record_without(folder, name.as_ref(), "")?;
        }
        Ok(())
    }

    /// Records a file of the folder without the values of some keys (YAML), or without some columns (CSV).
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn record_without(&mut self, folder: &Path, name: &str, without: &str) -> Result<()> {
        let path = folder.join(name);
        self.by_name.remove(name);
        if path.exists() {
            let digest = Digest::of(&path, without)?;
            self.by_name.insert(name.to_owned(), vec![digest]);
        }
        Ok(())
    }

    /// Forgets all files but these; they are not checked until they are recorded again.
    pub fn keep<const N: usize>(&mut self, names: [&str; N]) {
        self.by_name
            .retain(|name, _| names.contains(&name.as_str()));
    }

    /// Lets a file have the content that it has, and also the one that it is about to get.
    ///
    /// # Errors
    /// As [`Self::record`].
    pub fn allow(
        &mut self,
        folder: &Path,
        name: &str,
        without: &str,
        content: &[u8],
    ) -> Result<()> {
        let path = folder.join(name);
        let mut known = self.by_name.remove(name);
        if path.exists() {
            let now = Digest::of(&path, without)?;
            let known = known.get_or_insert_with(|| vec![now.clone()]);
            // what is damaged stays wrong
            known.retain(|digest| *digest == now);
        }
        let new = Digest::of_content(content, without);
        let mut known = known.unwrap_or_default();
        if !known.contains(&new) {
            known.push(new);
        }
        self.by_name.insert(name.to_owned(), known);
        Ok(())
    }

    /// Writes the checksums of a folder, whole or not at all; nothing where they are there already.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        let (mut plain, mut parts) = (String::new(), String::new());
        for (name, digests) in &self.by_name {
            for Digest { sha256, without } in digests {
                match without.as_str() {
                    "" => plain += &format!("{sha256}  {name}\n"),
                    _ => parts += &format!("# {sha256}  {name}{WITHOUT}{without}\n"),
                }
            }
        }
        let (path, text) = (folder.join(CHECKSUMS), parts + &plain);
        if path.exists() && read_text(&path, "checksums", LIMIT).is_ok_and(|old| old == text) {
            return Ok(());
        }
        write_bytes(&path, text.as_bytes())
    }
}

/// Checks a file by the `checksums` beside it, where there are such and they name it.
///
/// # Errors
/// As [`Checksums::check`].
pub fn check_beside(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    let name = path.file_name().and_then(|name| name.to_str());
    if !path.exists() {
        return Ok(()); // said by its reader, who knows what it should be
    }
    // a file of that name may be another program's
    if let (Some(name), Ok(Some(checksums))) = (name, Checksums::read(folder)) {
        checksums.check(folder, name, "the command that wrote it makes it anew")?;
    }
    Ok(())
}

fn digest_of_line(line: &str) -> Option<(String, Digest)> {
    let (line, in_part) = match line.strip_prefix("# ") {
        Some(line) => (line, true),
        None => (line, false),
    };
    let (sha256, name) = line.split_once("  ")?;
    let hexadecimal = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if sha256.len() != 64 || !sha256.bytes().all(hexadecimal) {
        return None;
    }
    let (name, without) = if in_part {
        name.split_once(WITHOUT)?
    } else {
        (name, "")
    };
    let digest = Digest {
        sha256: sha256.to_owned(),
        without: without.to_owned(),
    };
    (!name.is_empty()).then(|| (name.to_owned(), digest))
}

/// SHA-256 of text without the columns of these names, which the first line of a table has; without the values of keys
/// of these names elsewhere, and without the folder of the folder of a file that `from` names by an absolute path: another
/// user's cache lies elsewhere.
fn sha256_without(content: &[u8], without: &str) -> String {
    let names: Vec<&[u8]> = without.split(',').map(str::as_bytes).collect();
    let mut lines = content.split_inclusive(|&byte| byte == b'\n');
    let first = lines.clone().next().unwrap_or_default();
    let cells = |line: &'_ [u8]| -> Vec<Vec<u8>> {
        line.split(|&byte| byte == b',')
            .map(<[u8]>::to_vec)
            .collect()
    };
    let columns: Vec<usize> = (cells(first).iter().enumerate())
        .filter(|(_, name)| names.contains(&name.trim_ascii_end()))
        .map(|(place, _)| place)
        .collect();
    let mut kept = Vec::with_capacity(content.len());
    if !columns.is_empty() {
        for line in lines {
            let cells = cells(line).into_iter().enumerate();
            let rest: Vec<Vec<u8>> = cells
                .filter(|(place, _)| !columns.contains(place))
                .map(|(_, cell)| cell)
                .collect();
            kept.extend(rest.join(&b','));
        }
        return sha256(&kept);
    }
    for line in lines.by_ref() {
        kept.extend_from_slice(timeless(line, &names));
    }
    sha256(&kept)
}

/// A line of YAML without the number or `null` of one of these keys, or the part of a path that `from` names.
fn timeless<'a>(line: &'a [u8], names: &[&[u8]]) -> &'a [u8] {
    let Some(colon) = line.windows(2).position(|pair| pair == b": ") else {
        return line;
    };
    let (key, value) = (&line[..colon], line[colon + 2..].trim_ascii_end());
    let digits = value.iter().all(u8::is_ascii_digit) || value == b"null";
    if names.contains(&key) && digits {
        return key;
    }
    if key.trim_ascii_start() == b"from" && value.starts_with(b"/") {
        let slashes = (0..value.len()).filter(|&at| value[at] == b'/');
        let tail = slashes.rev().nth(1).unwrap_or(0);
        return &value[tail..];
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            write_bytes(&folder.path().join(name), content.as_bytes()).unwrap();
        }
        folder
    }

    fn sums(folder: &Path) -> Checksums {
        Checksums::read(folder).unwrap().unwrap()
    }

    #[test]
    fn lines_are_those_of_sha256sum_sorted_and_parts_are_comments() {
        let folder = folder(&[("b", "abc"), ("a", "abc"), ("r.yaml", "seed: 1\nat: 7\n")]);
        let mut all = Checksums::default();
        all.record(folder.path(), ["b", "a", "absent"]).unwrap();
        all.record_without(folder.path(), "r.yaml", "at").unwrap();
        all.write(folder.path()).unwrap();
        let text = fs::read_to_string(folder.path().join(CHECKSUMS)).unwrap();
        let (first, rest) = text.split_once('\n').unwrap();
        assert!(
            first.starts_with("# ") && first.ends_with("  r.yaml without at"),
            "{first}"
        );
        assert_eq!(rest, format!("{ABC}  a\n{ABC}  b\n"));
        assert_eq!(sums(folder.path()), all);
    }

    #[test]
    fn a_changed_file_is_named_with_the_checksums_and_the_remedy() {
        let folder = folder(&[("a", "abc")]);
        let mut all = Checksums::default();
        all.record(folder.path(), ["a"]).unwrap();
        all.write(folder.path()).unwrap();
        assert!(all.check(folder.path(), "a", "-").unwrap());
        assert!(!all.check(folder.path(), "b", "-").unwrap());
        write_bytes(&folder.path().join("a"), b"abd").unwrap();
        let error = all.check(folder.path(), "a", "make it anew").unwrap_err();
        assert!(error.is_wrong_input());
        let text = error.to_string();
        assert!(
            text.contains("/a: ") && text.contains("/checksums"),
            "{text}"
        );
        assert!(text.contains("make it anew"), "{text}");
        fs::remove_file(folder.path().join("a")).unwrap();
        assert!(matches!(
            all.check(folder.path(), "a", "-"),
            Err(Error::Missing { .. })
        ));
    }

    #[test]
    fn times_and_places_are_not_part_of_a_record_and_everything_else_is() {
        let text = |at: &str, from: &str, seed: &str| {
            format!("seed: {seed}\nmodels:\n- name: a\n  from: {from}\n  at: 1\nat: {at}\n")
        };
        let of = |text: &str| sha256_without(text.as_bytes(), "at");
        let one = of(&text("17", "/home/x/cache/m-1/best", "1"));
        assert_eq!(one, of(&text("null", "/srv/m-1/best", "1")));
        for other in [
            text("17", "/home/x/cache/m-2/best", "1"),
            text("17", "m-1/best", "1"),
            text("17", "/home/x/cache/m-1/best", "2"),
            text("q", "/home/x/cache/m-1/best", "1"),
            text("17", "/home/x/cache/m-1/best", "1").replace("at: 1\n", "at: 2\n"),
        ] {
            assert_ne!(one, of(&other), "{other}");
        }
    }

    #[test]
    fn a_column_of_a_table_may_be_left_out() {
        let of = |text: &str| sha256_without(text.as_bytes(), "seconds");
        let one = of("epoch,seconds,best\n1,0.5,true\n");
        assert_eq!(one, of("epoch,seconds,best\n1,7,true\n"));
        assert_ne!(one, of("epoch,seconds,best\n2,0.5,true\n"));
        assert_ne!(one, of("epoch,seconds,best\n1,0.5,false\n"));
        assert_eq!(of("a,seconds\n1,0.5\n"), of("a,seconds\n1,0.7\n"));
    }

    #[test]
    fn a_file_that_is_rewritten_may_have_either_content_and_a_damaged_one_stays_wrong() {
        let folder = folder(&[("a", "old")]);
        let path = folder.path().join("a");
        let mut all = Checksums::default();
        all.allow(folder.path(), "a", "", b"new").unwrap();
        all.write(folder.path()).unwrap();
        assert!(all.check(folder.path(), "a", "-").unwrap());
        write_bytes(&path, b"new").unwrap();
        assert!(all.check(folder.path(), "a", "-").unwrap());
        all.record(folder.path(), ["a"]).unwrap();
        write_bytes(&path, b"damaged").unwrap();
        all.allow(folder.path(), "a", "", b"newer").unwrap();
        all.write(folder.path()).unwrap();
        assert!(all.check(folder.path(), "a", "-").is_err());
    }

    #[test]
    fn a_damaged_line_is_an_error_in_a_run_and_nothing_beside_a_file_of_the_user() {
        let folder = folder(&[("a", "abc"), (CHECKSUMS, "not a checksum\n")]);
        let error = Checksums::read(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("checksums:1: expected 64 hexadecimal"),
            "{error}"
        );
        check_beside(&folder.path().join("a")).unwrap();
        let wrong = ABC.replace('b', "c");
        write_bytes(
            &folder.path().join(CHECKSUMS),
            format!("{wrong}  a\n").as_bytes(),
        )
        .unwrap();
        assert!(check_beside(&folder.path().join("a")).is_err());
    }
}
