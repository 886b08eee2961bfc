//! What `cargo metadata` says about the workspace.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// The workspace's packages and how they depend on each other.
pub(crate) struct Workspace {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
    workspace_members: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    /// Its origin; `None` for a folder of this repository.
    source: Option<String>,
    manifest_path: String,
    targets: Vec<Target>,
    /// What other tools keep in its manifest.
    metadata: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    /// `None` for what is linked in; `dev` and `build` for other kinds.
    kind: Option<String>,
}

impl Dependency {
    fn is_linked(&self) -> bool {
        self.dep_kinds.iter().any(|kind| kind.kind.is_none())
    }
}

impl Workspace {
    pub(crate) fn read() -> Result<Self> {
        Self::of("../Cargo.toml")
    }

    /// The relay's own.
    pub(crate) fn read_relays() -> Result<Self> {
        Self::of("../turn-proc/Cargo.toml")
    }

    /// That of `lumen-oidc`.
    pub(crate) fn read_oidcs() -> Result<Self> {
        Self::of("../supervisor/oidc/Cargo.toml")
    }

    fn of(manifest: &str) -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join(manifest);
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--locked", "--offline"])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu", "--manifest-path"])
            .arg(manifest)
            .output()
            .context("running cargo metadata")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cargo metadata: {said}");
        Ok(Self { metadata: serde_json::from_slice(&output.stdout)? })
    }

    /// Each member and the members it is linked with.
    pub(crate) fn inner_arrows(&self) -> BTreeMap<String, BTreeSet<String>> {
        let members = &self.metadata.workspace_members;
        let nodes = self.metadata.resolve.nodes.iter().filter(|node| members.contains(&node.id));
        nodes
            .map(|node| {
                let inner = node.deps.iter().filter(|dependency| members.contains(&dependency.pkg));
                let arrows = inner.filter(|dependency| dependency.is_linked());
                (self.name(&node.id), arrows.map(|arrow| self.name(&arrow.pkg)).collect())
            })
            .collect()
    }

    /// All packages in the binaries of `package`, itself included.
    pub(crate) fn tree_of(&self, package: &str) -> Result<BTreeSet<String>> {
        let found = self.metadata.packages.iter().find(|other| other.name == package);
        let mut open = vec![found.with_context(|| format!("no package {package}"))?.id.clone()];
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            let node = self.metadata.resolve.nodes.iter().find(|node| node.id == id);
            let node = node.with_context(|| format!("{id} is not resolved"))?;
            if seen.insert(id) {
                let linked = node.deps.iter().filter(|dependency| dependency.is_linked());
                open.extend(linked.map(|dependency| dependency.pkg.clone()));
            }
        }
        Ok(seen.iter().map(|id| self.name(id)).collect())
    }

    /// The programs of the packages of these sources but those of `other`.
    pub(crate) fn programs_without(&self, others: &[&str]) -> BTreeSet<String> {
        let members = self.metadata.workspace_members.iter();
        let packages = members
            .filter_map(|id| self.metadata.packages.iter().find(|package| package.id == *id));
        let ours = packages.filter(|package| !others.contains(&package.name.as_str()));
        let targets = ours.flat_map(|package| &package.targets);
        let programs = targets.filter(|target| target.kind.iter().any(|kind| kind == "bin"));
        programs.map(|target| target.name.clone()).collect()
    }

    /// What another tool keeps in the manifest of `package`.
    pub(crate) fn kept_by(&self, tool: &str, package: &str) -> Result<&serde_json::Value> {
        let found = self.metadata.packages.iter().find(|other| other.name == package);
        let kept = found.and_then(|package| package.metadata.as_ref()?.get(tool));
        kept.with_context(|| format!("{package} has no [package.metadata.{tool}]"))
    }

    /// Packages that come from these sources, not from a registry.
    pub(crate) fn local(&self) -> BTreeSet<String> {
        let local = self.metadata.packages.iter().filter(|package| package.source.is_none());
        local.map(|package| package.name.clone()).collect()
    }

    /// All resolved packages and their versions, one of each compatible kind (`1`, `0.3`).
    pub(crate) fn versions(&self) -> BTreeMap<(String, String), BTreeSet<String>> {
        let mut versions: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
        for package in &self.metadata.packages {
            let mut numbers = package.version.split('.');
            let kind = match (numbers.next(), numbers.next()) {
                (Some("0"), Some(minor)) => format!("0.{minor}"),
                (major, _) => major.unwrap_or_default().to_owned(),
            };
            let key = (package.name.clone(), kind);
            versions.entry(key).or_default().insert(package.version.clone());
        }
        versions
    }

    /// Each member's manifest, as text.
    pub(crate) fn manifests(&self) -> Vec<(String, String)> {
        let members = &self.metadata.workspace_members;
        let packages =
            self.metadata.packages.iter().filter(|package| members.contains(&package.id));
        packages
            .map(|package| {
                let text = std::fs::read_to_string(&package.manifest_path).unwrap_or_default();
                (package.name.clone(), text)
            })
            .collect()
    }

    fn name(&self, id: &str) -> String {
        let package = self.metadata.packages.iter().find(|package| package.id == id);
        package.map_or_else(|| id.to_owned(), |package| package.name.clone())
    }
}
