//! A certificate that the gateway makes and signs itself, and that is kept in a file of this user's, so
//! that its fingerprint stays the same.
//!
//! The supervisor has no cryptography for it: it grants empty memory, which the gateway fills and seals
//! before it serves anybody. The file is opened before the supervisor gives up opening files.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use lumen_ipc::tls::{Fingerprint, MAX_PAIR_BYTES, Pair, PairForm};
use lumen_ipc_runtime::sealed;
use nix::{
    libc::{O_NOFOLLOW, O_NONBLOCK},
    unistd::Uid,
};
use sha2::{Digest, Sha256};
use tracing::{info, warn};
use zeroize::Zeroizing;

use super::super::places;

/// Bytes of the sum at the end of the file.
const SUM_BYTES: usize = 32;

/// The certificate, or the memory in which it is made.
pub(crate) struct Own {
    memory: OwnedFd,
    /// `None` until it is made.
    fingerprint: Option<Fingerprint>,
    /// Where it is kept.
    file: Option<File>,
}

impl Own {
    /// Finds the certificate in the first directory of `places` that can be used, or prepares to keep one
    /// there.
    pub(super) fn find(places: &[PathBuf], name: &str) -> io::Result<Self> {
        let opened = places.iter().find_map(|place| {
            let path = place.join(name);
            open(place, &path)
                .inspect_err(|error| {
                    tracing::debug!(%error, "cannot keep the certificate in {}", place.display());
                })
                .ok()
                .map(|file| (path, file))
        });
        let Some((path, file)) = opened else {
            warn!(
                "there is no directory to keep the page's certificate in: the next start makes another"
            );
            return Ok(Self { memory: sealed::unsealed(NAME)?, fingerprint: None, file: None });
        };
        match read(&file) {
            Ok(Some((bytes, fingerprint))) => {
                let (memory, fingerprint) = (sealed::seal(NAME, &bytes)?, Some(fingerprint));
                Ok(Self { memory, fingerprint, file: None })
            }
            kept => {
                if let Err(error) = kept {
                    warn!("{} is not used: {error}; another certificate is made", path.display());
                } else {
                    info!("the page's certificate is made, and kept in {}", path.display());
                }
                Ok(Self { memory: sealed::unsealed(NAME)?, fingerprint: None, file: Some(file) })
            }
        }
    }

    pub(super) fn memory(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }

    pub(super) fn fingerprint(&self) -> Option<&Fingerprint> {
        self.fingerprint.as_ref()
    }

    /// Keeps what the gateway has made, if that is new.
    pub(super) fn keep(&mut self) {
        if self.fingerprint.is_some() {
            return;
        }
        if let Err(error) = self.keep_new() {
            warn!(%error, "cannot keep the page's certificate: the next start makes another");
        }
    }

    fn keep_new(&mut self) -> io::Result<()> {
        let bytes =
            sealed::read(self.memory.try_clone()?, MAX_PAIR_BYTES).map_err(io::Error::other)?;
        let bytes = Zeroizing::new(bytes);
        self.fingerprint = Some(fingerprint(&bytes)?);
        let Some(mut file) = self.file.take() else { return Ok(()) };
        file.set_len(0)?;
        let sum = Sha256::digest(&*bytes);
        // A file that was written only in part has another sum, and counts as none.
        file.write_all(&bytes).and_then(|()| file.write_all(&sum)).and_then(|()| file.sync_all())
    }
}

/// The name of the memory in `/proc/PID/fd`.
const NAME: &str = "lumen-page-certificate";

/// Opens the file, which must be ours alone; makes it and its directory if they are missing.
fn open(place: &Path, path: &Path) -> io::Result<File> {
    // The directories above it are the user's usual ones, but may be missing in a new home.
    DirBuilder::new().recursive(true).mode(0o700).create(place)?;
    let uid = Uid::effective().as_raw();
    places::check_private(place, uid).map_err(io::Error::other)?;
    let flags = O_NOFOLLOW | O_NONBLOCK;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    let file = options.open(path)?;
    let found = file.metadata()?;
    match found.is_file() && found.uid() == uid && found.mode() & 0o077 == 0 {
        true => Ok(file),
        false => Err(io::Error::other("others than this user could have written or read the file")),
    }
}

/// The certificate in a file, and its fingerprint; `None` if the file is new.
fn read(file: &File) -> io::Result<Option<(Zeroizing<Vec<u8>>, Fingerprint)>> {
    if file.metadata()?.len() == 0 {
        return Ok(None);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_PAIR_BYTES + SUM_BYTES + 1));
    let most = u64::try_from(MAX_PAIR_BYTES + SUM_BYTES).unwrap_or(u64::MAX);
    file.take(most).read_to_end(&mut bytes)?;
    let damaged = || io::Error::other("it is damaged");
    let length = bytes.len().checked_sub(SUM_BYTES).ok_or_else(damaged)?;
    let (pair, sum) = bytes.split_at_checked(length).ok_or_else(damaged)?;
    if Sha256::digest(pair).as_slice() != sum {
        return Err(damaged());
    }
    let fingerprint = fingerprint(pair)?;
    bytes.truncate(length);
    Ok(Some((bytes, fingerprint)))
}

fn fingerprint(pair: &[u8]) -> io::Result<Fingerprint> {
    let pair = Pair::decode(pair).map_err(io::Error::other)?;
    match pair.form {
        PairForm::Der => Ok(Fingerprint::new(&Sha256::digest(pair.chain).into())),
        PairForm::Pem => Err(io::Error::other("it is not one that Lumen makes")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("lumen-{name}-{}", std::process::id()));
        // Left by an earlier run with the same process id.
        let _ = fs::remove_dir_all(&path);
        path
    }

    /// Does what the gateway does with the memory.
    fn make(own: &Own, chain: &[u8]) {
        let pair = Pair { form: PairForm::Der, serial: 0, chain, key: b"key" };
        let memory = own.memory().try_clone_to_owned().expect("dup");
        sealed::fill(memory, &pair.encode()).expect("unsealed");
    }

    #[test]
    fn certificate_that_was_made_is_found_again_with_its_fingerprint() {
        let places = [folder("own-certificate")];
        let mut own = Own::find(&places, "certificate").expect("memory");
        assert!(own.fingerprint().is_none());
        make(&own, b"certificate");
        own.keep();
        let made = own.fingerprint().expect("made").clone();
        let again = Own::find(&places, "certificate").expect("memory");
        assert_eq!(again.fingerprint(), Some(&made));
        let mode = fs::metadata(places[0].join("certificate")).expect("kept").mode();
        assert_eq!(mode & 0o777, 0o600);
        let [place] = places;
        fs::remove_dir_all(place).expect("the test's own");
    }

    #[test]
    fn kept_file_that_is_damaged_or_open_to_others_is_not_used() {
        use std::os::unix::fs::PermissionsExt;

        let place = folder("damaged-certificate");
        let path = place.join("certificate");
        let places = [place.clone()];
        let mut own = Own::find(&places, "certificate").expect("memory");
        make(&own, b"certificate");
        own.keep();
        let whole = fs::read(&path).expect("kept");
        for cut in [1, SUM_BYTES, whole.len() - 1] {
            fs::write(&path, &whole[..cut]).expect("ours");
            let found = Own::find(&places, "certificate").expect("memory");
            assert!(found.fingerprint().is_none() && found.file.is_some(), "{cut}");
        }
        fs::write(&path, &whole).expect("ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("ours");
        let found = Own::find(&places, "certificate").expect("memory");
        assert!(found.fingerprint().is_none() && found.file.is_none());
        fs::remove_dir_all(place).expect("the test's own");
    }

    #[test]
    fn gateway_that_makes_none_leaves_nothing_behind() {
        let place = folder("no-certificate");
        let mut own = Own::find(std::slice::from_ref(&place), "certificate").expect("memory");
        own.keep();
        assert!(own.fingerprint().is_none());
        assert_eq!(fs::metadata(place.join("certificate")).expect("made").len(), 0);
        fs::remove_dir_all(place).expect("the test's own");
    }
}
