//! A host's stage: the listening sockets of the gateway and of the administrator, the page's certificate,
//! and the relay.

use std::{
    fs::{self, Permissions},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::{
        fd::BorrowedFd,
        unix::{fs::PermissionsExt, net::UnixListener},
    },
    path::{Path, PathBuf},
    slice,
};

use lumen_ipc::{
    front_door::{FrontDoor, Listen},
    message::{grants::ToWorker, session::Audience},
    service::AuthMode,
    text::Text,
    tls::{Pair, Tls},
};
use nix::{
    sys::utsname::uname,
    unistd::{Gid, Group, Uid},
};
use tracing::warn;

use super::{
    super::{
        activation::{self, Activation, Page},
        certificate::Certificate,
        enclosure::Origin,
        metrics_token, owner,
        places::{self, Listener, Temporary},
        proxy_door::ProxySocket,
        relay::{Relay, Whereabouts},
        sockets::{self, Door},
        standing::Standing,
        users::HostCast,
    },
    Ground, Staff, Stage, StageError,
};
use crate::{
    admin::rights::GROUP,
    broker::{
        relay::RelayMint,
        state::{KeptRelay, State},
    },
    config::{self, HostConfig, PageTls, ProxyDoor, SignIn},
    plan::{self, HostFacts},
};

/// What a host prepares before its first process starts. Dropping it removes what it made on disk.
pub(crate) struct HostStage {
    staff: Staff,
    /// By which sessions find the next process of this host.
    pub(crate) name: Text<32>,
    pub(crate) front_door: FrontDoor,
    /// Who reaches the page.
    pub(crate) audience: Audience,
    pub(crate) auth: AuthMode,
    pub(crate) sign_in: SignIn,
    /// The socket of a proxy that says whose each browser is, if there is one,
    pub(crate) proxy: Option<ProxySocket>,
    /// and its path.
    pub(crate) proxy_path: Option<PathBuf>,
    pub(crate) certificate: Certificate,
    browsers: Standing,
    relay: Option<Relay>,
    /// Whether the relay has the page's certificate.
    relay_shares: bool,
    /// Where the relay's sockets for datagrams come from.
    origin: Origin,
    /// The relay's address for datagrams from this machine.
    pub(crate) relay_near: Option<SocketAddr>,
    /// The host's loop takes it.
    pub(crate) mint: Option<RelayMint>,
    pub(crate) admin: Listener,
    /// The group of administrators, if there is one.
    pub(crate) admins: Option<Gid>,
    /// The socket for sessions, where the service manager made it.
    pub(crate) sessions: Option<UnixListener>,
    /// The state that an earlier host stored, without the relay's part.
    pub(crate) memory: Option<State>,
    /// The relay's part of the state to store.
    pub(crate) kept_relay: Option<KeptRelay>,
    _door_file: Option<Temporary>,
    _cast: HostCast,
}

impl HostStage {
    /// Prepares everything, or nothing. `memory` reads the state of an earlier host; it is called when no
    /// other host can write that any more.
    pub(crate) fn set(
        config: &HostConfig,
        (ground, cast): (&Ground, HostCast),
        sockets: Activation,
        memory: impl FnOnce() -> Option<State>,
    ) -> Result<Self, StageError> {
        // First of all: while this socket is held, no other host of this name can start.
        let admin = admin(&ground.home.socket(&config.name), sockets.admin)?;
        can_authenticate(config)?;
        let places: Vec<_> = ground.state.iter().chain([&ground.home.directory]).cloned().collect();
        let certificate =
            Certificate::set(&config.tls, &places, &ground.home.certificate(&config.name))?;
        let metrics_token = config.metrics_token.as_deref().map(metrics_token::read).transpose()?;
        let mut memory = memory();
        let door = match sockets.page {
            Some(Page { socket, listen }) => Door { socket, listen, file: None },
            None => door(&config.front_door.listen, memory.is_some())?,
        };
        let proxy = config.proxy.as_ref();
        let proxy = proxy.map(|proxy| ProxySocket::set(proxy, memory.is_some())).transpose()?;
        let addresses = sockets::addresses();
        let whereabouts = Whereabouts {
            local: config.front_door.is_local(),
            shared: door.listen.tcp().map(|address| address.port()),
            addresses: &addresses,
            public: config.public_address,
        };
        let kept = memory.as_mut().and_then(|memory| memory.relay.take());
        let relay = config.relay.as_ref();
        let relays = relay.and_then(|relay| relay.tls.as_ref()).map(|tls| &tls.certificate);
        let relay_shares = matches!(
            &config.tls,
            PageTls::Given { certificate, .. } if relays == Some(certificate)
        );
        let origin = relay.map(|_| Origin::enclosed("turn")).unwrap_or_default();
        let relay = relay
            .map(|relay| Relay::set(relay, &whereabouts, kept, (&origin, sockets.relay)))
            .transpose()?;
        let (relay, mint, found) = match relay {
            Some((relay, mint, found)) => (Some(relay), Some(mint), Some(found)),
            None => (None, None, None),
        };
        let (relay_near, relay_addresses, kept_relay) = found
            .map_or((None, Vec::new(), None), |found| (found.near, found.own, Some(found.kept)));
        let facts = HostFacts {
            users: cast.users,
            listen: door.listen.clone(),
            hostname: hostname().unwrap_or_else(|| "localhost".to_owned()),
            relay_addresses,
            metrics_token,
        };
        let plan = plan::host(config, &facts);
        let directory = config.workers_dir.as_deref();
        Ok(Self {
            staff: Staff::new(plan, cast.users, config.log.clone(), directory)?,
            name: Text::truncated(config.name.as_str()),
            browsers: Standing::new(door.socket, {
                let listen = door.listen.clone();
                move || sockets::browsers_again(&listen)
            }),
            audience: config::audience(&config.front_door, config.public_address),
            front_door: FrontDoor { listen: door.listen, ..config.front_door.clone() },
            auth: config.auth,
            sign_in: config.sign_in.clone(),
            proxy,
            proxy_path: config.proxy.as_ref().and_then(ProxyDoor::path),
            certificate,
            relay,
            relay_shares,
            origin,
            relay_near,
            mint,
            admin,
            admins: administrators(),
            sessions: sockets.sessions,
            memory,
            kept_relay,
            _door_file: door.file,
            _cast: cast,
        })
    }

    /// What workers log from their next start on.
    pub(crate) fn set_log(&mut self, log: Text<128>) {
        self.staff.set_log(log);
    }

    /// The gateway has used a pair, or `refused` it. A relay that shares the page's certificate has the new
    /// one from its next start on.
    pub(crate) fn certificate_judged(&mut self, serial: u32, refused: Option<&str>) {
        self.certificate.judged(serial, refused);
        let Some(relay) = self.relay.as_mut().filter(|_| self.relay_shares) else { return };
        let Some(pair) = self.certificate.accepted() else { return };
        let renewed = Pair::decode(&pair).map_err(io::Error::other);
        let renewed = renewed.and_then(|pair| relay.renew_certificate(pair.chain, pair.key));
        if let Err(error) = renewed {
            warn!(%error, "the relay keeps the certificate that the page had");
        }
    }

    /// The address of the page. An unspecified address is shown as loopback. With a Unix socket, the page is
    /// at the proxy's address, which only its administrator knows.
    pub(crate) fn page(&self) -> String {
        let site = match &self.front_door.listen {
            Listen::Tcp(listen) => {
                let ip = match listen.ip() {
                    ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
                    ip => ip,
                };
                let scheme = if self.certificate.tls() == Tls::Off { "http" } else { "https" };
                format!("{scheme}://{}", SocketAddr::new(ip, listen.port()))
            }
            Listen::Unix(_) => "https://YOUR-PROXY".to_owned(),
        };
        format!("{site}{}", self.front_door.base)
    }
}

/// Whether browsers can authenticate as the configuration has it, on this machine and over this line.
fn can_authenticate(config: &HostConfig) -> Result<(), StageError> {
    if config.auth == AuthMode::None {
        owners_are_known(&config.front_door.listen)?;
    }
    if config.auth == AuthMode::Password && !Uid::effective().is_root() {
        return Err(StageError::System {
            what: "PAM for --auth password, which signs in other users; start the host as root",
            source: io::ErrorKind::PermissionDenied.into(),
        });
    }
    if config.shows_passwords() {
        return Err(StageError::PasswordsInClear);
    }
    Ok(())
}

/// The socket for administrators. At root's every user may ask, for their own sessions; who asks is judged by
/// request.
fn admin(path: &Path, passed: Option<UnixListener>) -> Result<Listener, StageError> {
    let Some(socket) = passed else {
        let listener = places::listen(path)?;
        if Uid::effective().is_root() {
            let everybody = Permissions::from_mode(0o666);
            fs::set_permissions(path, everybody).map_err(places::at(path))?;
        }
        return Ok(listener);
    };
    activation::ready("admin", &socket, path)?;
    Ok(places::adopt(path, socket)?)
}

/// The group of root's administrators. A user's host has none.
fn administrators() -> Option<Gid> {
    let found = Uid::effective().is_root().then(|| Group::from_name(GROUP))?;
    let found = found.inspect_err(|error| warn!(%error, "the group {GROUP} cannot be looked up"));
    found.ok().flatten().map(|group| group.gid)
}

/// Fails where nobody could be let in without a token, because the kernel does not tell whose a browser is.
fn owners_are_known(listen: &Listen) -> Result<(), StageError> {
    let known = listen.tcp().map(|address| owner::is_known(address.ip()));
    known.transpose().map(drop).map_err(|source| StageError::System {
        what: "whose browser connects, as --auth none has to; leave it out, and browsers sign in by the \
               token in the printed address",
        source,
    })
}

/// The socket for browsers. If there was a host before, its workers may still be ending.
fn door(listen: &Listen, before: bool) -> Result<Door, StageError> {
    let door = match before {
        true => sockets::patiently(|| sockets::browsers(listen)),
        false => sockets::browsers(listen),
    };
    door.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StageError::PortTaken(listen.clone()),
        _ => StageError::Listen { address: listen.clone(), source },
    })
}

impl Stage for HostStage {
    fn staff(&self) -> &Staff {
        &self.staff
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn standing(&mut self, grant: ToWorker) -> &mut [Standing] {
        match (grant, &mut self.relay) {
            (ToWorker::HttpListener, _) => slice::from_mut(&mut self.browsers),
            (_, Some(relay)) => relay.standing(grant),
            (_, None) => &mut [],
        }
    }

    fn descriptors(&self, grant: ToWorker) -> Vec<BorrowedFd<'_>> {
        match grant {
            ToWorker::HttpListener => self.browsers.get().into_iter().collect(),
            ToWorker::PageCertificate => self.certificate.descriptors(),
            ToWorker::RelayCertificate
            | ToWorker::RelayDatagrams
            | ToWorker::RelayKey
            | ToWorker::RelaySecret
            | ToWorker::RelaySecured
            | ToWorker::RelayStreams => {
                self.relay.as_ref().map(|relay| relay.descriptors(grant)).unwrap_or_default()
            }
            ToWorker::BridgeClient
            | ToWorker::LinkEnd { .. }
            | ToWorker::MediaSocket
            | ToWorker::PadDevices
            | ToWorker::ProxyConnection { .. }
            | ToWorker::RenderNode
            | ToWorker::SignallingEnd { .. }
            | ToWorker::SoundServer
            | ToWorker::SoundSinkOwner
            | ToWorker::TrialReport
            | ToWorker::TrialVideo
            | ToWorker::WaylandListener => Vec::new(),
        }
    }
}

/// The machine's name; not from `/proc`, of which the service sees processes only.
fn hostname() -> Option<String> {
    uname().ok()?.nodename().to_str().map(str::to_owned)
}
