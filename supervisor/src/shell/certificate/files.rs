//! The administrator's two PEM files: what can be said of them without parsing, and by what to see that they
//! change.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf, absolute},
};

use lumen_ipc::tls::MAX_FILE_BYTES;
use zeroize::Zeroizing;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PemError {
    /// The kernel refuses to read it.
    #[error("cannot read {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// It is no regular file, or too long for a certificate.
    #[error("{path} is not a file of at most {MAX_FILE_BYTES} bytes")]
    Size {
        /// The file.
        path: PathBuf,
    },
    /// It has no certificate.
    #[error("{path} has no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----")]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// It has no key.
    #[error("{path} has no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----")]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Its key has a passphrase.
    #[error(
        "the private key in {path} has a passphrase, for which nobody can be asked; `openssl pkey` writes \
         it without one"
    )]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
}

/// Where a certificate chain and its key are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct PairFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

/// The content of both files.
pub(crate) struct PemPair {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for PemPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key is secret.
        f.debug_struct("PemPair").finish_non_exhaustive()
    }
}

/// What tells one version of a file from another.
pub(super) type Stamp = (u64, u64, u64, i64, i64, i64, i64);

impl PairFiles {
    /// The files at these paths, wherever the process goes.
    pub(crate) fn new(certificate: &Path, key: &Path) -> Self {
        let fixed = |path: &Path| absolute(path).unwrap_or_else(|_| path.to_owned());
        Self { certificate: fixed(certificate), key: fixed(key) }
    }

    /// Reads both.
    pub(crate) fn read(&self) -> Result<PemPair, PemError> {
        let chain = read(&self.certificate)?;
        if !has(&chain, b"-----BEGIN CERTIFICATE-----") {
            return Err(PemError::NoCertificate { path: self.certificate.clone() });
        }
        let key = read(&self.key)?;
        // PKCS #8, and the older forms of OpenSSL for RSA and EC.
        let path = || self.key.clone();
        if has(&key, b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || has(&key, b"Proc-Type: 4,ENCRYPTED")
        {
            return Err(PemError::Encrypted { path: path() });
        }
        match has(&key, b"PRIVATE KEY-----") {
            true => Ok(PemPair { chain: chain.to_vec(), key }),
            false => Err(PemError::NoKey { path: path() }),
        }
    }

    /// What changes with the files.
    pub(super) fn stamps(&self) -> [Option<Stamp>; 2] {
        [&self.certificate, &self.key].map(|path| {
            let found = fs::metadata(path).ok()?;
            let changed = (found.ctime(), found.ctime_nsec());
            let modified = (found.mtime(), found.mtime_nsec());
            let (device, inode, size) = (found.dev(), found.ino(), found.len());
            Some((device, inode, size, modified.0, modified.1, changed.0, changed.1))
        })
    }
}

fn has(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|window| window == words)
}

/// The content of a file, wiped when dropped.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, PemError> {
    let failed = |source| PemError::File { path: path.to_owned(), source };
    // A pipe without a writer would block the open.
    let found = fs::metadata(path).map_err(failed)?;
    if !found.is_file() {
        return Err(PemError::Size { path: path.to_owned() });
    }
    let file = File::open(path).map_err(failed)?;
    // Allocated in full, so that no reallocation leaves a copy of a key behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE_BYTES + 1));
    let most = u64::try_from(MAX_FILE_BYTES).unwrap_or(u64::MAX);
    file.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() <= MAX_FILE_BYTES {
        true => Ok(bytes),
        false => Err(PemError::Size { path: path.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAA==\n";
    const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nAA==\n";

    #[test]
    fn file_that_is_wrong_is_named_with_what_is_wrong() {
        let folder = std::env::temp_dir().join(format!("lumen-pem-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a directory");
        let long = "x".repeat(MAX_FILE_BYTES + 1);
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n";
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
        for (chain, key, wrong, said) in [
            (Some(CERTIFICATE), Some(KEY), "", ""),
            (None, Some(KEY), "chain.pem", "cannot read"),
            (Some(CERTIFICATE), None, "key.pem", "cannot read"),
            (Some(KEY), Some(KEY), "chain.pem", "no certificate in PEM"),
            (Some(CERTIFICATE), Some(CERTIFICATE), "key.pem", "no private key in PEM"),
            (Some(CERTIFICATE), Some(encrypted), "key.pem", "passphrase"),
            (Some(CERTIFICATE), Some(old), "key.pem", "passphrase"),
            (Some(&long), Some(KEY), "chain.pem", "at most 65536 bytes"),
        ] {
            let files = PairFiles::new(&folder.join("chain.pem"), &folder.join("key.pem"));
            for (path, content) in [(&files.certificate, chain), (&files.key, key)] {
                match content {
                    Some(content) => fs::write(path, content).expect("a file"),
                    None => fs::remove_file(path).expect("there"),
                }
            }
            let error = files.read().err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(wrong) && error.contains(said), "{error}");
            assert_eq!(error.is_empty(), said.is_empty(), "{error}");
        }
        let folder_for_file = PairFiles::new(&folder, &folder).read().expect_err("a folder");
        assert!(folder_for_file.to_string().contains("is not a file"), "{folder_for_file}");
        fs::remove_dir_all(folder).expect("the test's own");
    }
}
