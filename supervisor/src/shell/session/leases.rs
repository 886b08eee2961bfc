//! How the session's workers learn of its input leases.

use futures::{
    FutureExt,
    future::{OptionFuture, join},
};
use lumen_ipc::{lease::Lease, login::LoginId, message::session::ToHost, process::Worker};

use super::{super::handshake, Session};
use crate::broker::random_challenge;

impl Session {
    /// Adds a lease, and tells the host when the workers have been told.
    pub(super) fn add_lease(&mut self, lease: Lease) {
        self.leases.add(lease);
        let (told, host) = (self.tell_all(), self.host.channel.clone());
        tokio::spawn(async move {
            told.await;
            // If the link has ended, the page asks for another lease.
            let taken = ToHost::LeaseTaken { lease: lease.id };
            host.map(|host| host.send(&taken, &[]));
        });
    }

    /// Ends the leases of all logins but these.
    pub(super) fn keep_logins(&mut self, live: &[LoginId]) {
        if self.leases.keep(live) {
            tokio::spawn(self.tell_all());
        }
    }

    /// A compositor starts, which must not believe what its predecessor believed.
    pub(super) fn renew_leases(&mut self) {
        self.leases.renew(|| random_challenge().ok());
    }

    /// Tells compositor and rtc. One that is starting is told when it is ready.
    fn tell_all(&self) -> impl Future<Output = ()> + Send + 'static {
        join(OptionFuture::from(self.leases_told()), OptionFuture::from(self.rights_told()))
            .map(|_| ())
    }

    /// Tells the compositor all leases.
    pub(super) fn tell_leases(&self) {
        self.leases_told().map(tokio::spawn);
    }

    /// Tells rtc the rights of all leases.
    pub(super) fn tell_rights(&self) {
        self.rights_told().map(tokio::spawn);
    }

    fn leases_told(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let compositor = self.crew.workers.client(Worker::Compositor)?;
        Some(handshake::set_leases(compositor, self.leases.for_compositor()))
    }

    fn rights_told(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let rtc = self.crew.workers.client(Worker::Rtc)?;
        Some(handshake::set_rights(rtc, self.leases.for_rtc()))
    }
}
