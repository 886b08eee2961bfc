//! The settings and the client's secret.

use std::{
    env,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use lumen_ipc::message::oidc::OidcFailure;
use zeroize::Zeroizing;

use crate::{
    errand::Failure,
    settings::{MAX_BYTES, Settings},
};

/// The settings, which everybody may read.
const SETTINGS: &str = "/etc/lumen/oidc.toml";
/// Where systemd passes what only root can read (`LoadCredential=`).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";
/// The name of the secret there. Without it the client is a public one, which PKCE protects.
const SECRET: &str = "lumen-oidc-secret";

/// Reads both.
pub(super) fn read() -> Result<(Settings, Option<Zeroizing<String>>), Failure> {
    let wrong = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::new(OidcFailure::Settings, format!("{}: {error}", path.display()))
    };
    let path = Path::new(SETTINGS);
    let text = bounded(path).map_err(|error| wrong(path, &error))?;
    let settings = Settings::parse(&text).map_err(|error| wrong(path, &error))?;
    let Some(folder) = env::var_os(CREDENTIALS) else { return Ok((settings, None)) };
    let path = PathBuf::from(folder).join(SECRET);
    match bounded(&path) {
        Ok(secret) => {
            let secret = Zeroizing::new(secret.trim_end_matches(['\r', '\n']).to_owned());
            match secret.is_empty() {
                true => Err(wrong(&path, &"it is empty")),
                false => Ok((settings, Some(secret))),
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok((settings, None)),
        Err(error) => Err(wrong(&path, &error)),
    }
}

/// The text of a file that is not too long.
pub(super) fn bounded(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(4096));
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_string(&mut text)?;
    match text.len() > MAX_BYTES {
        true => Err(io::Error::other(format!("longer than {MAX_BYTES} bytes"))),
        false => Ok(text),
    }
}
