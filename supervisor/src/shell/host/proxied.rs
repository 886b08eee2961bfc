//! Connections of a proxy that vouches for accounts: each goes to the gateway with what the kernel says of it.
//! While there is no gateway that serves, a few wait for the next one, as those of browsers do in their listener.

use std::os::fd::{AsFd, OwnedFd};

use lumen_ipc::{message::grants::ToWorker, process::Worker};
use nix::unistd::Uid;
use tracing::{error, warn};

use super::{
    super::proxy_door::{Arrival, attend},
    Host,
};
use crate::broker::audit::Deed;

/// Most connections that wait; beyond, the newest is closed, and the proxy says that Lumen is away.
const MOST_WAITING: usize = 64;

impl Host {
    /// Accepts connections of a proxy, if there is one.
    pub(super) fn attend_proxy(&self) {
        let Some(proxy) = &self.stage.proxy else { return };
        match proxy.listener() {
            Ok(listener) => drop(tokio::spawn(attend(listener, self.events()))),
            Err(error) => error!(%error, "the proxy's socket cannot be waited for"),
        }
    }

    /// Somebody has connected to the proxy's socket.
    pub(super) fn proxy_connected(&mut self, connection: OwnedFd, peer: Uid) {
        let Some(proxy) = &self.stage.proxy else { return };
        let vouches = peer == proxy.user;
        if !vouches {
            self.audit.record(&Deed::StrangeProxy { by: peer.as_raw() });
        }
        match self.proxied.len() < MOST_WAITING {
            true => self.proxied.push_back(Arrival { connection, vouches }),
            false => warn!("a connection of the proxy is closed, because there is no gateway"),
        }
        self.hand_proxied_over();
    }

    /// Hands what waits to a gateway that takes it.
    pub(super) fn hand_proxied_over(&mut self) {
        if !self.crew.workers.takes_more(Worker::Gateway) {
            return;
        }
        for Arrival { connection, vouches } in self.proxied.drain(..) {
            let grant = ToWorker::ProxyConnection { vouches };
            self.crew.workers.grant_again(Worker::Gateway, grant, connection.as_fd());
        }
    }
}
