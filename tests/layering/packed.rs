//! What the packages contain, by the two lists in the supervisor's manifest.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{sources::root, workspace::Workspace};

/// The package whose manifest has the lists.
const LISTING: &str = "lumen-supervisor";
/// Where built programs are taken from; a package's script puts more there.
const BUILT: &str = "target/release/";
/// What only Debian's tools read.
const FOR_DEBIAN: &str = "usr/share/lintian/";
/// What the kinds have in different places: Debian's, and where an rpm has it.
const PLACES: [(&str, &str); 1] =
    [("usr/share/zsh/vendor-completions/_lumen", "usr/share/zsh/site-functions/_lumen")];
/// What is another file for each kind: PAM's rules are those of a family of distributions.
const SOURCES: [(&str, &str); 1] = [("systemd/lumen.pam", "systemd/package/rpm/lumen.pam")];

/// A file of a package.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Packed {
    /// Where it is installed, without the first slash.
    pub(crate) place: String,
    /// Where it comes from, as a path in the repository.
    pub(crate) source: String,
    mode: String,
    /// Whether an upgrade keeps what an administrator has changed.
    pub(crate) is_configuration: bool,
}

/// The files of the package for Debian and its kind.
pub(crate) fn deb(workspace: &Workspace) -> Result<BTreeSet<Packed>> {
    let kept = workspace.kept_by("deb", LISTING)?;
    let configuration: Vec<String> = serde_json::from_value(kept["conf-files"].clone())?;
    let assets: Vec<(String, String, String)> = serde_json::from_value(kept["assets"].clone())?;
    let count = assets.len();
    let files: BTreeSet<_> = assets
        .into_iter()
        .map(|(source, place, mode)| Packed {
            is_configuration: configuration.contains(&format!("/{place}")),
            source: in_repository(&source),
            place,
            mode,
        })
        .collect();
    ensure!(files.len() == count, "something is packed twice");
    Ok(files)
}

/// The files of the package for Fedora and its kind.
pub(crate) fn rpm(workspace: &Workspace) -> Result<BTreeSet<Packed>> {
    let kept = workspace.kept_by("generate-rpm", LISTING)?;
    let assets = kept["assets"].as_array().context("a list of assets")?;
    let text = |asset: &Value, key: &str| {
        let text = asset[key].as_str().with_context(|| format!("{asset} has no {key}"));
        text.map(str::to_owned)
    };
    let files: BTreeSet<_> = assets
        .iter()
        .map(|asset| {
            Ok(Packed {
                place: text(asset, "dest")?.trim_start_matches('/').to_owned(),
                source: in_repository(&text(asset, "source")?),
                mode: text(asset, "mode")?,
                is_configuration: asset["config"] == "noreplace",
            })
        })
        .collect::<Result<_>>()?;
    ensure!(files.len() == assets.len(), "something is packed twice");
    Ok(files)
}

/// What an rpm has of these files of a deb.
pub(crate) fn as_an_rpm(deb: &BTreeSet<Packed>) -> BTreeSet<Packed> {
    let other = |text: &str, pairs: &[(&str, &str)]| {
        let pair = pairs.iter().find(|(debian, _)| *debian == text);
        pair.map_or(text, |(_, rpm)| *rpm).to_owned()
    };
    let files = deb.iter().filter(|file| !file.place.starts_with(FOR_DEBIAN));
    files
        .map(|file| Packed {
            place: other(&file.place, &PLACES),
            source: other(&file.source, &SOURCES),
            ..file.clone()
        })
        .collect()
}

/// A path as the manifest has it, which stands in a folder of the repository.
fn in_repository(source: &str) -> String {
    match source.strip_prefix("../") {
        Some(path) => path.to_owned(),
        None if source.starts_with(BUILT) => source.to_owned(),
        None => format!("supervisor/{source}"),
    }
}

/// Sources that are neither built nor in the repository.
pub(crate) fn sources_that_are_not_there(packed: &BTreeSet<Packed>) -> Vec<String> {
    let sources = packed.iter().map(|file| file.source.clone());
    sources.filter(|path| !path.starts_with(BUILT) && !root().join(path).is_file()).collect()
}

/// What stands in the repository and belongs into every package: units, what belongs to them, manual pages, and
/// completions.
pub(crate) fn files_to_pack() -> Result<Vec<String>> {
    let mut folders = vec!["systemd".to_owned(), "supervisor/completions".to_owned()];
    for entry in fs::read_dir(root())? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if root().join(&name).join("man").is_dir() {
            folders.push(format!("{name}/man"));
        }
    }
    let mut files = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(root().join(&folder))? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push(format!("{folder}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    Ok(files)
}
