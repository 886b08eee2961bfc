//! The workspace's Rust files, read as text.

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// Folders whose crates run as processes of their own, and the one they build on; folders that do
/// not exist yet are skipped.
const PROCESS_FOLDERS: [&str; 7] =
    ["compositor-proc", "gamepad-proc", "ipc", "media-proc", "rtc-proc", "supervisor", "turn-proc"];

/// One file.
pub(crate) struct Source {
    /// Path below the workspace's folder.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// Whether code, not a comment or a lint's name, contains `unsafe`.
    pub(crate) fn has_unsafe(&self) -> bool {
        self.text.lines().map(code).any(|code| {
            ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"]
                .iter()
                .any(|word| code.contains(word))
        })
    }

    pub(crate) fn has_page(&self) -> bool {
        self.text.lines().take(3).any(|line| line.starts_with("//!"))
    }

    pub(crate) fn is_main(&self) -> bool {
        self.path.ends_with("src/main.rs") || self.path.contains("src/bin/")
    }

    /// `#[allow(...)]` and `#[expect(...)]` that give no reason, as `path:line`.
    pub(crate) fn exceptions_without_reason(&self) -> Vec<String> {
        let starts = ["#[allow(", "#![allow(", "#[expect(", "#![expect("];
        let mut rest = self.text.as_str();
        let mut breaches = Vec::new();
        while let Some(start) = starts.iter().filter_map(|word| rest.find(word)).min() {
            let (before, from) = rest.split_at(start);
            let in_comment = before.lines().last().is_some_and(|line| line.contains("//"));
            let end = from.find(")]").unwrap_or(from.len());
            let (attribute, after) = from.split_at(end);
            if !in_comment && !attribute.contains("reason") && self.is_attribute(attribute) {
                let line = self.text.len() - rest.len() + start;
                let line = self.text.get(..line).map_or(0, |text| text.lines().count());
                breaches.push(format!("{}:{line}", self.path));
            }
            rest = after;
        }
        breaches
    }

    /// Attributes are at the start of a line or of a macro's pattern, strings are not.
    fn is_attribute(&self, attribute: &str) -> bool {
        let line =
            self.text.lines().find(|line| line.contains(attribute.lines().next().unwrap_or("")));
        line.is_some_and(|line| line.trim_start().starts_with('#'))
    }
}

/// The part of a line before a comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// Every Rust file of the workspace.
pub(crate) fn all() -> Result<Vec<Source>> {
    let mut sources = of_processes()?;
    collect(&root().join("tests"), &mut sources)?;
    Ok(sources)
}

/// Every Rust file of the processes' crates.
pub(crate) fn of_processes() -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for folder in PROCESS_FOLDERS.map(|folder| root().join(folder)) {
        if folder.exists() {
            collect(&folder, &mut sources)?;
        }
    }
    Ok(sources)
}

/// The folder of the whole repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or_else(|| Path::new("."))
}

fn collect(folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("{}", folder.display()))? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name();
        let built = ["target", "node_modules", ".artifacts"].iter().any(|other| name == *other);
        if built {
            continue;
        }
        if path.is_dir() {
            collect(&path, sources)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)?;
            let path = path.strip_prefix(root())?.to_string_lossy().into_owned();
            sources.push(Source { path, text });
        }
    }
    Ok(())
}
