//! The page's certificate and its key: read from the administrator's files, again whenever these change,
//! or made by the gateway and kept here.
//!
//! This process parses neither. It reads the files, because the gateway may open none, and grants them as
//! sealed memory. What the gateway refuses replaces nothing, and the next gateway gets both: the pair that
//! was accepted last, and the newest, if that has not been judged yet.

mod files;
mod own;
mod watch;

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use lumen_ipc::tls::{Fingerprint, MAX_PAIR_BYTES, Pair, PairForm, Tls};
use lumen_ipc_runtime::sealed;
use tracing::{info, warn};
use zeroize::Zeroizing;

use self::own::Own;
pub(crate) use self::{
    files::{PairFiles, PemError, PemPair},
    watch::watch,
};
use super::sentence;
use crate::config::PageTls;

/// Why there is no certificate to begin with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    /// The administrator's files cannot be used.
    #[error(transparent)]
    Files(#[from] PemError),
    /// There is no memory for them.
    #[error("cannot seal memory for the page's certificate")]
    Seal(#[from] io::Error),
}

/// What the gateway is granted for TLS.
pub(crate) enum Certificate {
    /// Nothing: the page is served by plain HTTP.
    Off,
    /// The administrator's.
    Given(Given),
    /// One that Lumen makes.
    Own(Own),
}

/// The administrator's certificate and key.
pub(crate) struct Given {
    files: PairFiles,
    /// The pair that a gateway has used.
    accepted: Option<Granted>,
    /// The pair that no gateway has judged yet.
    newest: Option<Granted>,
    /// The number of the newest pair.
    serial: u32,
}

struct Granted {
    serial: u32,
    memory: OwnedFd,
}

impl Certificate {
    /// Reads the files, or finds the certificate that was made before. `places` are the directories in
    /// which one of Lumen's own may be kept, the best first, and `name` is that of its file.
    pub(crate) fn set(
        tls: &PageTls,
        places: &[PathBuf],
        name: &str,
    ) -> Result<Self, CertificateError> {
        Ok(match tls {
            PageTls::Off => Self::Off,
            PageTls::Own => Self::Own(Own::find(places, name)?),
            PageTls::Given { certificate, key } => {
                Self::Given(Given::read(PairFiles::new(certificate, key))?)
            }
        })
    }

    pub(crate) fn tls(&self) -> Tls {
        match self {
            Self::Off => Tls::Off,
            Self::Given(_) => Tls::Given,
            Self::Own(_) => Tls::Own,
        }
    }

    /// The fingerprint of a certificate that Lumen has made.
    pub(crate) fn fingerprint(&self) -> Option<&Fingerprint> {
        match self {
            Self::Own(own) => own.fingerprint(),
            Self::Off | Self::Given(_) => None,
        }
    }

    /// The files to watch, if there are any.
    pub(crate) fn files(&self) -> Option<&PairFiles> {
        match self {
            Self::Given(given) => Some(&given.files),
            Self::Off | Self::Own(_) => None,
        }
    }

    /// What a gateway that starts is granted, the newest last.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        match self {
            Self::Off => Vec::new(),
            Self::Given(given) => {
                let granted = given.accepted.iter().chain(&given.newest);
                granted.map(|granted| granted.memory.as_fd()).collect()
            }
            Self::Own(own) => vec![own.memory()],
        }
    }

    /// A gateway serves: keeps what it has made, if it has made something.
    pub(crate) fn served(&mut self) {
        if let Self::Own(own) = self {
            own.keep();
        }
    }

    /// The files have been read anew; returns what the gateway is to be granted.
    pub(crate) fn reread(&mut self, read: Result<PemPair, PemError>) -> Option<BorrowedFd<'_>> {
        let Self::Given(given) = self else { return None };
        match read.map_err(CertificateError::from).and_then(|pair| given.renew(&pair)) {
            Ok(()) => given.newest.as_ref().map(|granted| granted.memory.as_fd()),
            Err(error) => {
                given.warn(&sentence(&error));
                None
            }
        }
    }

    /// The pair that a gateway has used, if it is the administrator's; the bytes of a [`Pair`].
    pub(crate) fn accepted(&self) -> Option<Zeroizing<Vec<u8>>> {
        let Self::Given(Given { accepted: Some(granted), .. }) = self else { return None };
        // It was sealed here, and is there.
        let copy = granted.memory.try_clone().ok()?;
        sealed::read(copy, MAX_PAIR_BYTES).ok().map(Zeroizing::new)
    }

    /// The gateway has used a pair, or `refused` it.
    pub(crate) fn judged(&mut self, serial: u32, refused: Option<&str>) {
        let Self::Given(given) = self else { return };
        // Another pair is the newest already, or the accepted one was granted once more.
        let Some(newest) = given.newest.take_if(|newest| newest.serial == serial) else { return };
        match refused {
            Some(reason) => given.warn(reason),
            None => {
                if given.accepted.is_some() {
                    info!(
                        "the page has the new certificate in {}",
                        given.files.certificate.display()
                    );
                }
                given.accepted = Some(newest);
            }
        }
    }
}

impl Given {
    fn read(files: PairFiles) -> Result<Self, CertificateError> {
        let pair = files.read()?;
        let mut given = Self { files, accepted: None, newest: None, serial: 0 };
        given.renew(&pair)?;
        Ok(given)
    }

    fn renew(&mut self, pair: &PemPair) -> Result<(), CertificateError> {
        self.serial = self.serial.wrapping_add(1);
        let PemPair { chain, key } = pair;
        let pair = Pair { form: PairForm::Pem, serial: self.serial, chain, key };
        let memory = sealed::seal("lumen-page-certificate", &Zeroizing::new(pair.encode()))?;
        self.newest = Some(Granted { serial: self.serial, memory });
        Ok(())
    }

    fn warn(&self, reason: &str) {
        let PairFiles { certificate, key } = &self.files;
        let (certificate, key) = (certificate.display(), key.display());
        warn!(
            "the certificate in {certificate} with the key in {key} is not used, and the page keeps the \
             one before: {reason}"
        );
    }
}

/// What a person needs to recognise a certificate that Lumen has made, as a line of its own.
pub(crate) fn line(fingerprint: Option<&Fingerprint>) -> String {
    let line = |fingerprint| {
        format!(
            "  Its certificate is Lumen's own, so the browser warns once. It has the SHA-256 fingerprint\n  \
             {fingerprint}\n"
        )
    };
    fingerprint.map(line).unwrap_or_default()
}

/// The folders that have to be readable to read files anew: those of the names, and those that the names
/// lead to.
pub(crate) fn folders(files: &PairFiles) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for file in [&files.certificate, &files.key] {
        let real = file.canonicalize().ok();
        for path in [Some(file.as_path()), real.as_deref()].into_iter().flatten() {
            folders.extend(path.parent().map(Path::to_owned));
        }
    }
    folders.sort();
    folders.dedup();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\n";

    /// A certificate and a key that only look like ones.
    fn given(folder: &Path) -> Certificate {
        let (certificate, key) = (folder.join("chain.pem"), folder.join("key.pem"));
        std::fs::write(&certificate, CERTIFICATE).expect("a folder of the test's own");
        std::fs::write(&key, KEY).expect("a folder of the test's own");
        Certificate::set(&PageTls::Given { certificate, key }, &[], "x").expect("readable")
    }

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("lumen-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        path
    }

    /// The numbers of the pairs that a gateway that starts is granted.
    fn granted(certificate: &Certificate) -> Vec<u32> {
        let serial = |descriptor: BorrowedFd<'_>| {
            let copy = descriptor.try_clone_to_owned().expect("dup");
            let bytes = sealed::read(copy, 1 << 20).expect("sealed");
            Pair::decode(&bytes).expect("a pair").serial
        };
        certificate.descriptors().into_iter().map(serial).collect()
    }

    #[test]
    fn refused_pair_is_forgotten_and_the_accepted_one_is_granted_again() {
        let folder = folder("refused-pair");
        let mut certificate = given(&folder);
        certificate.judged(1, None);
        let again = || PairFiles::new(&folder.join("chain.pem"), &folder.join("key.pem")).read();
        assert!(certificate.reread(again()).is_some());
        assert_eq!(granted(&certificate), [1, 2], "both, while the second is not judged");
        certificate.judged(2, Some("it has expired"));
        assert_eq!(granted(&certificate), [1]);
        assert!(certificate.reread(again()).is_some());
        certificate.judged(2, None);
        assert_eq!(granted(&certificate), [1, 3], "a late word about another pair");
        certificate.judged(3, None);
        assert_eq!(granted(&certificate), [3]);
        std::fs::remove_dir_all(folder).expect("the test's own");
    }

    #[test]
    fn files_that_cannot_be_read_any_more_change_nothing() {
        let folder = folder("unreadable-pair");
        let mut certificate = given(&folder);
        certificate.judged(1, None);
        std::fs::remove_file(folder.join("key.pem")).expect("there");
        let read = certificate.files().expect("given").read();
        assert!(certificate.reread(read).is_none());
        assert_eq!(granted(&certificate), [1]);
        std::fs::remove_dir_all(folder).expect("the test's own");
    }

    #[test]
    fn folders_are_those_of_names_and_of_what_they_lead_to() {
        let folder = folder("pair-folders").canonicalize().expect("there");
        let (live, archive) = (folder.join("live"), folder.join("archive"));
        for path in [&live, &archive] {
            std::fs::create_dir_all(path).expect("a directory");
        }
        std::fs::write(archive.join("chain1.pem"), CERTIFICATE).expect("a file");
        let link = live.join("chain.pem");
        std::os::unix::fs::symlink("../archive/chain1.pem", &link).expect("a link");
        let files = PairFiles::new(&link, &live.join("key.pem"));
        assert_eq!(folders(&files), [archive, live]);
        std::fs::remove_dir_all(folder).expect("the test's own");
    }
}
