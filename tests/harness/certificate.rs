//! A certificate of the tests' own, for the relay and for proxies.

use std::{
    io::Write,
    net::SocketAddr,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::stage::Folder;

fn openssl(arguments: &[&str]) -> Result<()> {
    let made = Command::new("openssl")
        .args(arguments)
        .output()
        .context("openssl; `tests/install.sh test` installs it")?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Ok(())
}

/// The SHA-256 fingerprint of a certificate in PEM.
fn fingerprint_of(pem: &[u8]) -> Result<String> {
    let mut openssl = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    openssl.stdin.take().context("a pipe")?.write_all(pem)?;
    let said = String::from_utf8(openssl.wait_with_output()?.stdout)?;
    Ok(said.trim().split_once('=').context("a fingerprint")?.1.to_owned())
}

/// The fingerprint of the certificate that a server shows.
///
/// # Errors
/// When there is no TLS at this address.
pub fn fingerprint_at(address: SocketAddr) -> Result<String> {
    let shown = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string()])
        .stdin(Stdio::null())
        .output()
        .context("openssl; `tests/install.sh test` installs it")?;
    fingerprint_of(&shown.stdout)
}

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
        Self::lasting("2")
    }

    /// Makes both; the certificate has expired.
    ///
    /// # Errors
    /// As [`Self::make`].
    pub fn expired() -> Result<Self> {
        Self::lasting("-1")
    }

    fn lasting(days: &str) -> Result<Self> {
        let folder = Folder::new("certificate", 0o755)?;
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (chain, key, asked) = (path("chain.pem"), path("key.pem"), path("asked.pem"));
        let alternative = format!("subjectAltName=DNS:{NAME}");
        let subject = format!("/CN={NAME}");
        let request = ["req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt"];
        let curve = ["ec_paramgen_curve:prime256v1", "-subj", &subject, "-addext", &alternative];
        openssl(&[&request[..], &curve, &["-keyout", &key, "-out", &asked]].concat())?;
        let sign = ["x509", "-req", "-in", &asked, "-signkey", &key, "-days", days];
        openssl(&[&sign[..], &["-copy_extensions", "copyall", "-out", &chain]].concat())?;
        std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        Ok(Self { _folder: folder, chain, key })
    }

    /// Its SHA-256 fingerprint.
    ///
    /// # Errors
    /// When openssl fails.
    pub fn fingerprint(&self) -> Result<String> {
        fingerprint_of(&std::fs::read(&self.chain)?)
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
