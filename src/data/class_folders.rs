//! The files of a folder of class folders: which half they belong to, which class, which are left out; decodes none.

use super::picture::Format;
use super::Split;
use crate::error::{Error, IoContext, Result};
use crate::store;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Endings of names of images, in lower case: such a file is an image or damaged.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];
/// Endings of what lies beside images and is none.
const BESIDE: [&str; 10] = [
    "txt", "json", "csv", "tsv", "xml", "md", "html", "yaml", "yml", "log",
];
/// Files that desktops put into every folder.
const DESKTOP: [&str; 3] = [".ds_store", "thumbs.db", "desktop.ini"];
/// Subfolders of the training images and of the test images, in any case; the first that is there counts.
const TRAINING: [&str; 2] = ["train", "training"];
const TEST: [&str; 4] = ["test", "val", "valid", "validation"];
/// Subfolder of images of no class, in Tiny ImageNet.
const UNSORTED: &str = "images";
/// Says the classes of such images there: name, class, corners of a box, separated by tabs.
const ANNOTATIONS: &str = "val_annotations.txt";
/// Largest such file.
const LARGEST_ANNOTATIONS: u64 = 1 << 26;
/// Most folders below one another in a class folder: links may go in circles.
const DEEPEST: usize = 8;

/// One half of a folder.
pub(super) struct Half {
    /// The folder that holds its class folders.
    pub(super) root: PathBuf,
    /// The classes in the order of their labels.
    pub(super) classes: Vec<String>,
    /// Where the classes come from.
    training: PathBuf,
    /// Classes of the images by their names, where a file says them.
    annotations: Option<BTreeMap<String, String>>,
    remarks: Vec<String>,
}

/// The images of a half and their classes.
pub(super) struct Listing {
    pub(super) images: Vec<PathBuf>,
    pub(super) labels: Vec<u16>,
    /// What was left out.
    pub(super) remarks: Vec<String>,
}

impl Half {
    /// `train/` for training and `test/`, `val/`, `valid/` or `validation/` for testing, in any case of letters; a
    /// folder without any of them is a test set.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is no such folder: it lists the names that were looked for.
    pub(super) fn find(split: Split, folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::Missing {
                path: folder.to_owned(),
                expected: "a folder of class folders with images: name it with --data-dir".into(),
            });
        }
        let within = subfolders(folder)?;
        let training = TRAINING.iter().find_map(|name| named(&within, name));
        let tests: Vec<&PathBuf> = TEST
            .iter()
            .filter_map(|name| named(&within, name))
            .collect();
        let missing = |name: &str, expected: &str, names: &[&str]| Error::Missing {
            path: folder.join(name),
            expected: format!("{expected}; looked for {}", names.join(", ")),
        };
        let mut remarks = Vec::new();
        let root = match split {
            Split::Training => training.ok_or_else(|| {
                missing(TRAINING[0], "class folders of training images", &TRAINING)
            })?,
            Split::Test if tests.is_empty() && training.is_none() => folder,
            Split::Test => {
                let mut sorted = Vec::new();
                for test in &tests {
                    if is_sorted(test)? {
                        sorted.push(*test);
                    }
                }
                // the test images of Tiny ImageNet have no classes: its validation images stand in
                if let (Some(first), Some(taken)) = (tests.first(), sorted.first()) {
                    if first != taken {
                        remarks.push(format!(
                            "{} has no class folders: the test images are those of {}",
                            first.display(),
                            taken.display()
                        ));
                    }
                }
                sorted
                    .first()
                    .copied()
                    .or(tests.first().copied())
                    .ok_or_else(|| {
                        missing(
                            TEST[0],
                            "class folders of test images, or `val` in its place",
                            &TEST,
                        )
                    })?
            }
        };
        let annotations = annotations(root)?;
        let training = training.map_or(root, |training| training).to_owned();
        let classes = match &annotations {
            Some(classes) if training == root => {
                let mut all: Vec<String> = classes.values().cloned().collect();
                all.sort();
                all.dedup();
                all
            }
            _ => subfolders(&training)?.into_keys().collect(),
        };
        Ok(Self {
            root: root.to_owned(),
            classes,
            training,
            annotations,
            remarks,
        })
    }

    /// What is seen of the half without opening an image: where it lies, its classes, and every name below it with size
    /// and time.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn fingerprint(&self) -> Result<String> {
        let root = self.root.canonicalize().at("find", &self.root)?;
        let mut seen = vec![format!(
            "{root:?} {:?} {:?}",
            self.classes, self.annotations
        )];
        let mut folders = vec![(root, 0)];
        while let Some((folder, depth)) = folders.pop() {
            for entry in std::fs::read_dir(&folder).at("read", &folder)? {
                let path = entry.at("read", &folder)?.path();
                let about = std::fs::metadata(&path).at("inspect", &path)?;
                if about.is_dir() && depth < DEEPEST {
                    folders.push((path, depth + 1));
                    continue;
                }
                let changed = about.modified().at("inspect", &path)?;
                seen.push(format!("{path:?} {} {changed:?}", about.len()));
            }
        }
        seen.sort_unstable();
        Ok(store::sha256(seen.join("\n").as_bytes()))
    }

    /// Finds the images of all classes, class by class, each in the order of torchvision: folder by folder, by name.
    ///
    /// # Errors
    /// [`Error::Input`] for a class that training has not, or one whose images are all of kinds that are not read.
    pub(super) fn list(&self) -> Result<Listing> {
        let mut listing = Listing {
            images: Vec::new(),
            labels: Vec::new(),
            remarks: self.remarks.clone(),
        };
        let mut left_out = Vec::new();
        for (name, path) in entries(&self.root)? {
            if path.is_file() && Format::of(&start(&path)?).is_some() {
                left_out.push(path);
            } else if path.is_dir() {
                self.list_class(&name, &path, &mut listing, &mut left_out)?;
            }
        }
        if let Some(first) = first_image(&left_out)? {
            listing.remarks.push(format!(
                "{} files of {} were left out: only PNG and JPEG images in class folders are read; the first is {}",
                left_out.len(),
                self.root.display(),
                first
            ));
        }
        Ok(listing)
    }

    fn list_class(
        &self,
        name: &str,
        path: &Path,
        listing: &mut Listing,
        left_out: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let (mut images, mut others) = (Vec::new(), Vec::new());
        collect(path, 0, &mut images, &mut others)?;
        let order = |path: &PathBuf| (store::folder_of(path).as_os_str().to_owned(), path.clone());
        images.sort_by_cached_key(order);
        if let Some(classes) = self.annotations.as_ref().filter(|_| name == UNSORTED) {
            for image in images {
                let file = image.file_name().unwrap_or_default().to_string_lossy();
                let class = classes.get(file.as_ref()).ok_or_else(|| {
                    Error::input(&image, format!("its class in {ANNOTATIONS}"), "none")
                })?;
                let label = self.label(class, &image)?;
                listing.labels.push(label);
                listing.images.push(image);
            }
        } else {
            let label = self.label(name, path)?;
            let lost = others.iter().filter(|path| !is_beside(path)).count();
            if let (true, true, Some(first)) = (images.is_empty(), lost > 0, first_image(&others)?)
            {
                let found = format!("{} other files, the first is {first}", others.len());
                return Err(Error::input(path, "PNG or JPEG images", found));
            }
            listing.labels.extend(images.iter().map(|_| label));
            listing.images.extend(images);
        }
        left_out.extend(others);
        Ok(())
    }

    fn label(&self, class: &str, path: &Path) -> Result<u16> {
        let known = self
            .classes
            .binary_search_by(|known| known.as_str().cmp(class));
        known.map(|label| label as u16).map_err(|_| {
            let expected = format!("a class of {}", self.training.display());
            Error::input(path, expected, "another one")
        })
    }
}

/// A folder of that name, else the first that differs in capital letters alone.
fn named<'a>(within: &'a BTreeMap<String, PathBuf>, name: &str) -> Option<&'a PathBuf> {
    within.get(name).or_else(|| {
        let mut all = within.iter();
        all.find(|(other, _)| other.to_lowercase() == name)
            .map(|(_, path)| path)
    })
}

/// False for a folder with images of no class alone.
fn is_sorted(folder: &Path) -> Result<bool> {
    let within = subfolders(folder)?;
    Ok(within.len() != 1 || !within.contains_key(UNSORTED) || folder.join(ANNOTATIONS).is_file())
}

fn annotations(folder: &Path) -> Result<Option<BTreeMap<String, String>>> {
    let path = folder.join(ANNOTATIONS);
    if !path.is_file() {
        return Ok(None);
    }
    let text = store::read_text(&path, "the classes of images", LARGEST_ANNOTATIONS)?;
    let mut classes = BTreeMap::new();
    for (line, row) in text.lines().enumerate() {
        let mut fields = row.split('\t');
        let (Some(image), Some(class)) = (fields.next(), fields.next()) else {
            let expected = "an image and its class, separated by a tab";
            return Err(Error::input_at(
                path,
                Some(line + 1),
                None,
                expected,
                "one field",
            ));
        };
        classes.insert(image.to_owned(), class.to_owned());
    }
    Ok(Some(classes))
}

/// Entries of a folder by name, but for hidden ones.
fn entries(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut entries = BTreeMap::new();
    for entry in std::fs::read_dir(folder).at("list", folder)? {
        let path = entry.at("list", folder)?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .map(str::to_owned);
        let name = name.ok_or_else(|| Error::input(&path, "a name in UTF-8", "other bytes"))?;
        if !name.starts_with('.') && !DESKTOP.contains(&name.to_lowercase().as_str()) {
            entries.insert(name, path);
        }
    }
    Ok(entries)
}

fn subfolders(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut all = entries(folder)?;
    all.retain(|_, path| path.is_dir());
    Ok(all)
}

/// The images below a class folder and the other files there.
fn collect(
    folder: &Path,
    depth: usize,
    images: &mut Vec<PathBuf>,
    others: &mut Vec<PathBuf>,
) -> Result<()> {
    if depth > DEEPEST {
        let expected = format!("at most {DEEPEST} folders below one another");
        return Err(Error::input(folder, expected, "more"));
    }
    let mut deeper = Vec::new();
    for path in entries(folder)?.into_values() {
        if path.is_dir() {
            deeper.push(path);
        } else if is_image(&path)? {
            images.push(path);
        } else {
            others.push(path);
        }
    }
    for folder in deeper {
        collect(&folder, depth + 1, images, others)?;
    }
    Ok(())
}

fn ending(path: &Path) -> String {
    let ending = path.extension().unwrap_or_default();
    ending.to_string_lossy().to_lowercase()
}

/// A file that is named as an image, or is one.
fn is_image(path: &Path) -> Result<bool> {
    if ENDINGS.contains(&ending(path).as_str()) {
        return Ok(true);
    }
    Ok(Format::of(&start(path)?).is_some_and(Format::is_read))
}

/// A file that nobody takes for an image.
fn is_beside(path: &Path) -> bool {
    let ending = ending(path);
    ending.is_empty() || BESIDE.contains(&ending.as_str())
}

/// The first bytes of a file.
fn start(path: &Path) -> Result<Vec<u8>> {
    let mut start = Vec::new();
    let file = File::open(path).at("open", path)?;
    file.take(Format::START as u64)
        .read_to_end(&mut start)
        .at("read", path)?;
    Ok(start)
}

/// The first image of other kinds among files, else the first file, for a message.
fn first_image(paths: &[PathBuf]) -> Result<Option<String>> {
    for path in paths {
        if let Some(format) = Format::of(&start(path)?) {
            return Ok(Some(format!("{} ({})", path.display(), format.name())));
        }
    }
    Ok(paths.first().map(|path| path.display().to_string()))
}
