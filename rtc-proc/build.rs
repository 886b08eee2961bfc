//! Collects the browser client's files into one table, so that the gateway serves them from memory
//! and opens no file. Each is there compressed, too: it is done once, and as well as it can be.
//!
//! The page refers to its parts by addresses that begin with a version of all of them: a browser's
//! cached copy of such an address is never stale and needs no revalidation. Imports are relative,
//! so a part imports parts of its own version; the page's addresses are relative, too, so that
//! it works under any path of a proxy.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    env,
    error::Error,
    fmt::Write as _,
    fs,
    hash::Hasher,
    io::Write as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};

#[path = "build/parts.rs"]
mod parts;

/// Files at the top of the client's folder that browsers request as they are.
const TOP: [&str; 3] = ["favicon.svg", "manifest.webmanifest", "style.css"];

const PAGE: &str = "index.html";

/// The client's program, and the module with which it begins.
const PROGRAM: &str = "src";
const ENTRY: &str = "page/main.js";

fn main() -> Result<(), Box<dyn Error>> {
    let web = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../web").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut files = BTreeMap::new();
    for name in TOP {
        files.insert(name.to_owned(), read(&web.join(name))?);
    }
    let mut modules = BTreeMap::new();
    collect(&web.join(PROGRAM), "", &mut modules)?;
    for part in parts::pack(&modules, ENTRY)? {
        files.insert(format!("{PROGRAM}/{}", part.path), part.text);
    }
    let page = read(&web.join(PAGE))?;
    let version = version_of(&page, &files);
    let mut table = row(&out, "", PAGE, &versioned(&page, &version))?;
    for (path, content) in &files {
        table.push_str(&row(&out, path, path, content)?);
    }
    fs::write(out.join("assets.rs"), format!("&[\n{table}]\n"))?;
    println!("cargo::rustc-env=LUMEN_WEB_VERSION={version}");
    Ok(())
}

fn read(file: &Path) -> Result<String, Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", file.display());
    Ok(fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?)
}

/// Reads the modules of a folder, whose path among the modules is `prefix`.
fn collect(
    folder: &Path,
    prefix: &str,
    modules: &mut BTreeMap<String, String>,
) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = format!("{prefix}{}", name.ok_or("a file name is not UTF-8")?);
        if path.is_dir() {
            collect(&path, &format!("{name}/"), modules)?;
        } else if name.ends_with(".js") {
            modules.insert(name, read(&path)?);
        }
    }
    Ok(())
}

/// The version of all files together.
fn version_of(page: &str, files: &BTreeMap<String, String>) -> String {
    let all: String = files.values().map(String::as_str).chain([page]).collect();
    format!("{:016x}", hash(all.as_bytes()))
}

/// The page with its parts under the version's addresses. The manifest keeps its address, because
/// that identifies an installed page.
fn versioned(page: &str, version: &str) -> String {
    ["src/", "favicon.svg", "style.css"].iter().fold(page.to_owned(), |page, part| {
        page.replace(&format!("=\"{part}"), &format!("=\"{version}/{part}"))
    })
}

/// The table's row for the file `name` at an address of the page, which lies in the folder `out` then.
fn row(out: &Path, address: &str, name: &str, content: &str) -> Result<String, Box<dyn Error>> {
    let content_type = match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("webmanifest") => "application/manifest+json",
        other => return Err(format!("{name}: no content type for {other:?}").into()),
    };
    let flat = name.replace('/', "_");
    let (file, packed) = (out.join(&flat), out.join(format!("{flat}.gz")));
    fs::write(&file, content)?;
    fs::write(&packed, gzip(content)?)?;
    let tag = hash(content.as_bytes());
    let mut row = String::new();
    writeln!(
        row,
        "Asset {{ path: \"/{address}\", content_type: {content_type:?}, \
         plain: Form {{ etag: {:?}, bytes: include_bytes!({:?}) }}, \
         gzip: Form {{ etag: {:?}, bytes: include_bytes!({:?}) }} }},",
        format!("\"{tag:016x}\""),
        file.display().to_string(),
        format!("\"{tag:016x}-gzip\""),
        packed.display().to_string(),
    )?;
    Ok(row)
}

fn gzip(content: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content.as_bytes())?;
    encoder.finish()
}

/// Distinguishes versions; a deliberate collision of two files would gain nothing.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
