//! Gathers the browser client's files into one table, so that the gateway serves them from memory
//! and opens no file.

use std::{
    collections::hash_map::DefaultHasher,
    env,
    error::Error,
    fmt::Write as _,
    fs,
    hash::Hasher,
    path::{Path, PathBuf},
};

/// Files at the top of the client's folder that browsers ask for. Everything under `src/` is too.
const TOP: [&str; 4] = ["favicon.svg", "index.html", "manifest.webmanifest", "style.css"];

fn main() -> Result<(), Box<dyn Error>> {
    let web = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../web").canonicalize()?;
    let mut files: Vec<_> = TOP.iter().map(|name| web.join(name)).collect();
    modules(&web.join("src"), &mut files)?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        table.push_str(&row(&web, file)?);
    }
    table.push_str("]\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("assets.rs"), table)?;
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

fn row(web: &Path, file: &Path) -> Result<String, Box<dyn Error>> {
    let path = file.strip_prefix(web)?.to_str().ok_or("a file name is not UTF-8")?;
    let content_type = match file.extension().and_then(|extension| extension.to_str()) {
        Some("css") => "text/css; charset=utf-8",
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("webmanifest") => "application/manifest+json",
        other => return Err(format!("{path}: no content type for {other:?}").into()),
    };
    let address = if path == "index.html" { "/".to_owned() } else { format!("/{path}") };
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

/// Tells versions apart; nobody gains by making two files collide.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
