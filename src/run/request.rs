//! What a sweep, an exploration or an attack is asked beside its configuration.

use crate::error::Result;
use crate::store;
use std::path::{Path, PathBuf};

/// What a run needs beside its configuration: models, places, and how to treat what lies there.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// Model files; empty: a sweep trains the models of the configuration.
    pub models: Vec<PathBuf>,
    /// True where the data set of the configuration was the user's choice; false: the models' own is taken.
    pub dataset_given: bool,
    /// Folder of the data sets; `None`: the cache folder.
    pub data_folder: Option<PathBuf>,
    /// A single file of test images instead of the data set's test half.
    pub data_file: Option<PathBuf>,
    /// File of the groups of layers in `explore.domains` of the configuration, where they come from one.
    pub groups_file: Option<PathBuf>,
    /// Folder of trained models; `None`: `models` in the cache folder.
    pub model_cache: Option<PathBuf>,
    /// Folder of run folders (`results`).
    pub results: PathBuf,
    /// Folder of report folders (`reports`).
    pub reports: PathBuf,
    /// Name of the run folder instead of `<configuration>-<hash>`, or a path to it; then the report is `report` in it.
    pub out: Option<String>,
    /// Throw away the finished trials and trained models of this run.
    pub fresh: bool,
    /// Go on with what is finished; without it a folder with trials is an error.
    pub resume: bool,
    /// Keep decoded images of class folders, for processes that come after.
    pub keeps_images: bool,
    /// Compute nothing: put together what shards have computed.
    pub merge: bool,
    /// Folders with journals of shards that had no disk in common with this one.
    pub from: Vec<PathBuf>,
    /// The command line, for the report.
    pub command: String,
}

impl Default for RunRequest {
    /// Folders `results` and `reports`, what is finished is reused.
    fn default() -> Self {
        Self {
            models: Vec::new(),
            dataset_given: true,
            data_folder: None,
            data_file: None,
            groups_file: None,
            model_cache: None,
            results: "results".into(),
            reports: "reports".into(),
            out: None,
            fresh: false,
            resume: true,
            keeps_images: false,
            merge: false,
            from: Vec::new(),
            command: "a call of the library".into(),
        }
    }
}

impl RunRequest {
    /// The default with results, reports and trained models in one folder.
    pub fn within(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref();
        Self {
            results: folder.join("results"),
            reports: folder.join("reports"),
            model_cache: Some(folder.join("models")),
            ..Self::default()
        }
    }

    /// The same with these model files, on the data set that they were trained on.
    pub fn models<P: Into<PathBuf>>(mut self, files: impl IntoIterator<Item = P>) -> Self {
        self.models = files.into_iter().map(Into::into).collect();
        self.dataset_given = false;
        self
    }

    /// The same under this name in `results`, or in the folder of this path.
    pub fn out(mut self, name: impl Into<String>) -> Self {
        self.out = Some(name.into());
        self
    }

    /// The same with the data sets in this folder.
    pub fn data_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.data_folder = Some(folder.into());
        self
    }

    /// The folder of trained models.
    ///
    /// # Errors
    /// As [`store::cache_folder`], where none is given.
    pub(super) fn models_folder(&self) -> Result<PathBuf> {
        match &self.model_cache {
            Some(folder) => Ok(folder.clone()),
            None => Ok(store::cache_folder()?.join("models")),
        }
    }
}
