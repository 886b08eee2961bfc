//! The token for metrics, from the administrator's file. Only its digest leaves this module: the gateway
//! compares digests.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use lumen_ipc::message::session::TokenDigest;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Fewest bytes of a token: nobody is kept from guessing.
const FEWEST: usize = 16;
/// Most bytes of a token.
const MOST: usize = 256;

/// Why a file gives no token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MetricsTokenError {
    /// It cannot be read.
    #[error("cannot read {path}, which --metrics-token-file names")]
    File {
        /// The file.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// It contains something else.
    #[error(
        "{0}, which --metrics-token-file names, is not a line of {FEWEST} to {MOST} letters, digits and \
         punctuation marks; `openssl rand -hex 32` writes such a token"
    )]
    NotAToken(PathBuf),
}

/// The digest of the token in a file.
pub(super) fn read(path: &Path) -> Result<TokenDigest, MetricsTokenError> {
    let failed = |source| MetricsTokenError::File { path: path.to_owned(), source };
    let other = || MetricsTokenError::NotAToken(path.to_owned());
    // A pipe without a writer would block.
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(other());
    }
    let mut text = Zeroizing::new(Vec::with_capacity(MOST + 3));
    let file = File::open(path).map_err(failed)?;
    file.take(MOST as u64 + 3).read_to_end(&mut text).map_err(failed)?;
    let token = text.trim_ascii_end();
    let legal = (FEWEST..=MOST).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic);
    legal.then(|| TokenDigest(Sha256::digest(token).into())).ok_or_else(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_one_line_that_nobody_guesses() {
        let path = std::env::temp_dir().join(format!("lumen-metrics-{}", std::process::id()));
        let of = |text: &str| {
            fs::write(&path, text).expect("a file of the test's own");
            read(&path).map_err(|error| error.to_string())
        };
        let digest = TokenDigest(Sha256::digest(b"0123456789abcdef").into());
        for text in ["0123456789abcdef", "0123456789abcdef\n", "0123456789abcdef\r\n"] {
            assert_eq!(of(text), Ok(digest), "{text:?}");
        }
        let long = "x".repeat(MOST + 1);
        for text in
            ["", "short", " 0123456789abcdef", "0123456789 abcdef", "0123456789abcdef\nx", &long]
        {
            assert!(of(text).is_err_and(|error| error.contains("openssl rand")), "{text:?}");
        }
        fs::remove_file(&path).expect("the test's own");
        let missing = read(&path).expect_err("gone").to_string();
        assert!(missing.contains("cannot read"), "{missing}");
        assert!(read(Path::new("/dev")).is_err());
    }
}
