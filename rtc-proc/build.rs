//! Collects the browser client's files into one table, so that the gateway serves them from memory
//! and opens no file.
//!
//! The page refers to its parts by addresses that begin with a version of all of them: a browser's
//! cached copy of such an address is never stale and needs no revalidation. Imports are relative,
//! so a module imports modules of its own version; the page's addresses are relative, too, so that
//! it works under any path of a proxy.

use std::{
    collections::hash_map::DefaultHasher,
    env,
    error::Error,
    fmt::Write as _,
    fs,
    hash::Hasher,
    path::{Path, PathBuf},
};

/// Files at the top of the client's folder that browsers request, besides everything under `src/`.
const TOP: [&str; 4] = ["favicon.svg", PAGE, "manifest.webmanifest", "style.css"];

const PAGE: &str = "index.html";

fn main() -> Result<(), Box<dyn Error>> {
    let web = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../web").canonicalize()?;
    let mut files: Vec<_> = TOP.iter().map(|name| web.join(name)).collect();
    modules(&web.join("src"), &mut files)?;
    files.sort();
    let version = version_of(&files)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut table = String::from("&[\n");
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        let path = file.strip_prefix(&web)?.to_str().ok_or("a file name is not UTF-8")?;
        if path == PAGE {
            let page = out.join(PAGE);
            fs::write(&page, versioned(&fs::read_to_string(file)?, &version))?;
            table.push_str(&row("/", &page)?);
        } else {
            table.push_str(&row(&format!("/{path}"), file)?);
        }
    }
    table.push_str("]\n");
    fs::write(out.join("assets.rs"), table)?;
    println!("cargo::rustc-env=LUMEN_WEB_VERSION={version}");
    Ok(())
}

fn modules(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            modules(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "js") {
            files.push(path);
        }
    }
    Ok(())
}

/// The version of all files together.
fn version_of(files: &[PathBuf]) -> Result<String, Box<dyn Error>> {
    let mut all = Vec::new();
    for file in files {
        all.extend(fs::read(file)?);
    }
    Ok(format!("{:016x}", hash(&all)))
}

/// The page with its parts under the version's addresses. The manifest keeps its address, because
/// that identifies an installed page.
fn versioned(page: &str, version: &str) -> String {
    ["src/", "favicon.svg", "style.css"].iter().fold(page.to_owned(), |page, part| {
        page.replace(&format!("=\"{part}"), &format!("=\"{version}/{part}"))
    })
}

fn row(address: &str, file: &Path) -> Result<String, Box<dyn Error>> {
    let content_type = match file.extension().and_then(|extension| extension.to_str()) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("webmanifest") => "application/manifest+json",
        other => return Err(format!("{address}: no content type for {other:?}").into()),
    };
    let mut row = String::new();
    writeln!(
        row,
        "Asset {{ path: {address:?}, content_type: {content_type:?}, etag: {:?}, \
         bytes: include_bytes!({:?}) }},",
        format!("\"{:016x}\"", hash(&fs::read(file)?)),
        file.display().to_string(),
    )?;
    Ok(row)
}

/// Distinguishes versions; a deliberate collision of two files would gain nothing.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
