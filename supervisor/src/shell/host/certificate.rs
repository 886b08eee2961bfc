//! The host's part in the page's certificate: it has the files watched, and grants the gateway what they contain
//! from then on.

use lumen_ipc::{message::grants::ToWorker, process::Worker};

use super::{
    super::certificate::{PemError, PemPair, watch},
    Host,
};

impl Host {
    /// Has the files of the certificate watched, if there are any.
    pub(super) fn watch_certificate(&self) {
        if let Some(files) = self.stage.certificate.files() {
            tokio::spawn(watch(files.clone(), self.events()));
        }
    }

    /// Grants the gateway what the files of the page's certificate contain from now on.
    pub(super) fn renew_certificate(&mut self, read: Result<PemPair, PemError>) {
        if let Some(pair) = self.stage.certificate.reread(read) {
            self.crew.workers.grant_again(Worker::Gateway, ToWorker::PageCertificate, pair);
        }
    }
}
