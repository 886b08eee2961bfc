//! A certificate of the tests' own, for the relay and for proxies.

use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::stage::Folder;

/// The name that it is for (RFC 6761 reserves `.test`).
pub const NAME: &str = "relay.lumen.test";

/// A key and a self-signed certificate, as files that any user may read.
#[derive(Debug)]
pub struct Certificate {
    _folder: Folder,
    chain: String,
    key: String,
}

impl Certificate {
    /// Makes both.
    ///
    /// # Errors
    /// When openssl is missing or fails.
    pub fn make() -> Result<Self> {
        let folder = Folder::new("certificate", 0o755)?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (chain, key) = (path("chain.pem"), path("key.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", &format!("/CN={NAME}")])
            .args(["-addext", &format!("subjectAltName=DNS:{NAME}")])
            .args(["-keyout", &key, "-out", &chain])
            .output()
            .context("openssl; `tests/install.sh test` installs it")?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        Ok(Self { _folder: folder, chain, key })
    }

    /// The file of the certificate.
    #[must_use]
    pub fn chain(&self) -> &str {
        &self.chain
    }

    /// The file of its key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}
