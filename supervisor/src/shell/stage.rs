//! Everything that must be there before the first process starts: users, programs, places, sockets
//! and the plan. Each thing that can be wrong is found here, while nothing runs yet.

use std::{
    ffi::OsString,
    fs, io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

use lumen_ipc::{
    front_door::{FrontDoor, Listen},
    message::grants::ToWorker,
    process::{ExitCode, Worker},
    service::AuthMode,
    text::Text,
    units::SessionId,
};
use nix::unistd::Uid;
use tracing::{info, warn};

use super::{
    app::{self, Caller, NoApp, Surroundings},
    fence::{self, Namespaces, NoFence},
    helpers::{self, HelperError, HelperLaunch},
    nameless, pads,
    places::{self, Listener, PlaceError, Temporary},
    programs::{self, MissingWorker},
    relay::{Relay, RelayError, Whereabouts},
    sockets,
    spawn::AppLaunch,
    users::{self, Cast, UserError},
};
use crate::{
    admin::{self, Home},
    broker::{Access, relay::RelayMint},
    config::{AppChoice, RunConfig},
    lifecycle::{Helper, Need},
    plan::{self, Facts, Identity, WorkerPlan},
    protection::Loss,
};

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    /// No app.
    #[error(transparent)]
    App(#[from] NoApp),
    /// Workers cannot be confined.
    #[error(transparent)]
    Fence(#[from] NoFence),
    /// The address browsers should connect to cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: Listen,
        /// What the kernel says.
        source: io::Error,
    },
    /// The media socket cannot be had.
    #[error("cannot bind UDP port {port}; choose another with --udp-port")]
    Media {
        /// Which.
        port: u16,
        /// What the kernel says.
        source: io::Error,
    },
    /// No helper.
    #[error(transparent)]
    Helper(#[from] HelperError),
    /// A worker's program is missing.
    #[error(transparent)]
    MissingWorker(#[from] MissingWorker),
    /// A directory or socket on disk cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The relay's sockets or files cannot be had.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// Somebody else listens there.
    #[error("{0} is already in use; choose another address with --listen")]
    PortTaken(Listen),
    /// A worker's program cannot be opened.
    #[error("cannot open {path}")]
    Program {
        /// Which.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// This machine cannot be examined.
    #[error("cannot tell {what}")]
    System {
        /// What was asked.
        what: &'static str,
        /// What the kernel says.
        source: io::Error,
    },
    /// Nobody to run it as.
    #[error(transparent)]
    User(#[from] UserError),
}

impl StageError {
    /// What `lumen` ends with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::User(UserError::NotRoot | UserError::Root | UserError::Unknown(_)) => {
                ExitCode::Usage
            }
            _ => ExitCode::CouldNotStart,
        }
    }
}

/// Everything that is there before the first process starts. Dropping it removes what it made on
/// disk.
pub(crate) struct Stage {
    pub(crate) plan: Vec<WorkerPlan>,
    pub(crate) app: AppLaunch,
    /// Whether the desktop stays when its app ends: nobody named the app, so nobody waits for its end.
    pub(crate) outlives_app: bool,
    pub(crate) front_door: FrontDoor,
    pub(crate) auth: AuthMode,
    pub(crate) namespaces: Namespaces,
    helpers: Vec<HelperLaunch>,
    log: Text<128>,
    programs: Vec<(Worker, OwnedFd)>,
    browsers: OwnedFd,
    media: OwnedFd,
    /// The deposit of the gamepad worker; `None` without access to uinput.
    pads: Option<OwnedFd>,
    relay: Option<Relay>,
    /// For the broker, who takes it.
    pub(crate) mint: Option<RelayMint>,
    wayland: Listener,
    pub(crate) admin: Listener,
    /// Before the locks in `cast` are given up.
    _places: Vec<Temporary>,
    passing_home: Option<PathBuf>,
    cast: Cast,
}

/// One worker's share of the stage.
#[derive(Clone, Copy)]
pub(crate) struct Part<'stage> {
    pub(crate) plan: &'stage WorkerPlan,
    pub(crate) program: BorrowedFd<'stage>,
    /// The user it must become; `None` to stay who we are.
    pub(crate) becomes: Option<Identity>,
    pub(crate) log: &'stage Text<128>,
    stage: &'stage Stage,
}

impl<'stage> Part<'stage> {
    /// What it is granted besides its link ends.
    pub(crate) fn grants(self) -> impl Iterator<Item = (ToWorker, BorrowedFd<'stage>)> {
        self.plan.grants.iter().flat_map(move |grant| {
            self.stage.descriptors(*grant).into_iter().map(|descriptor| (*grant, descriptor))
        })
    }
}

impl Stage {
    /// Prepares everything, or nothing.
    pub(crate) fn set(config: &RunConfig, caller: &Caller) -> Result<Self, StageError> {
        let programs = programs_of(config)?;
        let door = sockets::browsers(&config.front_door.listen).map_err(|source| {
            let address = config.front_door.listen.clone();
            match source.kind() {
                io::ErrorKind::AddrInUse => StageError::PortTaken(address),
                _ => StageError::Listen { address, source },
            }
        })?;
        let port = config.udp_port;
        let media = sockets::media(port).map_err(|source| StageError::Media { port, source })?;
        let home = own_home(caller.variable("XDG_RUNTIME_DIR"))?;
        let admin = places::listen(&home.socket(&config.name))?;
        let sudo = caller.variable("SUDO_USER").and_then(|name| name.into_string().ok());
        let cast = users::cast(config.user.as_deref(), sudo.as_deref(), &home.locks())?;
        let fence = fence::find(cast.users)?;
        if let Some(refused) = fence.refused {
            warn!("{} ({refused})", Loss::Namespaces.sentence());
        }
        let places = Places::make(config, &home, &cast, caller)?;
        let wayland = places::as_user(cast.users.session(), || {
            places::listen(&places.runtime_dir.join(&places.display))
        })?;
        let mut app = app::launch(&config.app, &places.surroundings(config, &cast, caller))?;
        if config.x11 {
            helpers::x_sockets()?;
        }
        let helpers = places::as_user(cast.users.session(), || {
            let (runtime_dir, own) = (&places.runtime_dir, &places.helpers);
            Ok(helpers::needed(config.x11, &mut app.environment, runtime_dir, own))
        })??;
        let addresses = sockets::addresses();
        let host = Whereabouts {
            local: config.front_door.is_local(),
            shared: door.listen.tcp().map(|address| address.port()),
            addresses: &addresses,
            public: config.public_address,
        };
        let relay = config.relay.as_ref().map(|relay| Relay::set(relay, &host)).transpose()?;
        let (relay, mint, relay_facts) = match relay {
            Some((relay, mint, facts)) => (Some(relay), Some(mint), Some(facts)),
            None => (None, None, None),
        };
        let facts = Facts {
            users: cast.users,
            listen: door.listen.clone(),
            candidates: sockets::candidates(media.address, config.public_address, &addresses),
            hostname: fs::read_to_string("/proc/sys/kernel/hostname")
                .map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned()),
            relay: relay_facts,
        };
        Ok(Self {
            plan: plan::plan(config, &facts),
            app,
            helpers,
            outlives_app: config.app == AppChoice::Demo,
            front_door: FrontDoor { listen: door.listen, ..config.front_door.clone() },
            auth: config.auth,
            namespaces: fence.namespaces,
            log: config.log.clone(),
            programs,
            browsers: door.socket,
            media: media.socket,
            pads: config.pad.and_then(|_| pads_deposit()),
            relay,
            mint,
            wayland,
            admin,
            passing_home: places.home.starts_with(&places.files).then(|| places.home.clone()),
            _places: door.file.into_iter().chain(places.made).collect(),
            cast,
        })
    }

    /// One worker's share; `None` when this desktop runs without it.
    pub(crate) fn part(&self, worker: Worker) -> Option<Part<'_>> {
        let plan = self.plan.iter().find(|plan| plan.worker == worker)?;
        let (_, program) = self.programs.iter().find(|(program, _)| *program == worker)?;
        let becomes = self.cast.users.are_apart().then_some(plan.identity);
        Some(Part { plan, program: program.as_fd(), becomes, log: &self.log, stage: self })
    }

    /// How a helper is started; `None` when this desktop runs without it.
    pub(crate) fn helper(&self, helper: Helper) -> Option<&HelperLaunch> {
        self.helpers.iter().find(|launch| launch.helper == helper)
    }

    /// Every helper of this desktop.
    pub(crate) fn helper_needs(&self) -> Vec<(Helper, Need)> {
        self.helpers.iter().map(|launch| (launch.helper, launch.need)).collect()
    }

    /// Everything of a kind that can be granted, link ends aside.
    fn descriptors(&self, grant: ToWorker) -> Vec<BorrowedFd<'_>> {
        match grant {
            ToWorker::HttpListener => vec![self.browsers.as_fd()],
            ToWorker::MediaSocket => vec![self.media.as_fd()],
            ToWorker::PadDevices => self.pads.iter().map(AsFd::as_fd).collect(),
            ToWorker::WaylandListener => vec![self.wayland.socket.as_fd()],
            ToWorker::LinkEnd { .. } | ToWorker::SignallingEnd { .. } => Vec::new(),
            ToWorker::RelayCertificate
            | ToWorker::RelayDatagrams
            | ToWorker::RelayKey
            | ToWorker::RelaySecret
            | ToWorker::RelaySecured
            | ToWorker::RelayStreams => {
                self.relay.as_ref().map(|relay| relay.descriptors(grant)).unwrap_or_default()
            }
        }
    }

    /// The home that is removed with the desktop, and all that is saved there: worth a line.
    pub(crate) fn passing_home(&self) -> Option<&Path> {
        self.passing_home.as_deref()
    }

    /// Whom the desktop belongs to, if nobody was named: worth a line.
    pub(crate) fn anonymous_uid(&self) -> Option<u32> {
        let session = &self.cast.session;
        (self.cast.users.are_apart() && session.home.is_none()).then_some(session.identity.uid)
    }

    /// The address to open. An unspecified one is reached on loopback, among others; of a Unix socket
    /// the proxy's is the one, which only its administrator knows.
    pub(crate) fn url(&self, access: &Access) -> String {
        let site = match &self.front_door.listen {
            Listen::Tcp(listen) => {
                let ip = match listen.ip() {
                    ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
                    ip => ip,
                };
                format!("http://{}", SocketAddr::new(ip, listen.port()))
            }
            Listen::Unix(_) => "https://YOUR-PROXY".to_owned(),
        };
        let base = &self.front_door.base;
        match self.auth {
            AuthMode::None => format!("{site}{base}"),
            AuthMode::Token => {
                let token = access.token(SessionId::SOLE).unwrap_or_default();
                format!("{site}{base}#token={token}")
            }
        }
    }
}

/// No access to uinput is no error: the gamepad worker says so, and pads are off.
fn pads_deposit() -> Option<OwnedFd> {
    let told = |error: &io::Error| info!(%error, "{} cannot be opened", pads::UINPUT);
    pads::deposit().inspect_err(told).ok()
}

fn programs_of(config: &RunConfig) -> Result<Vec<(Worker, OwnedFd)>, StageError> {
    let own = std::env::current_exe()
        .map_err(|source| StageError::System { what: "where lumen itself is", source })?;
    let directories = programs::worker_directories(config.workers_dir.as_deref(), &own);
    plan::present(config)
        .map(|worker| {
            let path = programs::worker(worker, &directories)?;
            let program = programs::open(&path)
                .map_err(|source| StageError::Program { path: path.clone(), source })?;
            Ok((worker, program))
        })
        .collect()
}

/// The caller's own directory for sockets, made and checked.
pub(crate) fn own_home(runtime_dir: Option<OsString>) -> Result<Home, PlaceError> {
    let home = find_home(runtime_dir);
    if let Some(parent) = &home.parent {
        places::directory(parent, 0o700)?;
    }
    // Root's holds directories that other users pass through.
    places::directory(&home.directory, if Uid::effective().is_root() { 0o755 } else { 0o700 })?;
    Ok(home)
}

/// The caller's own directory for sockets, which may not be there.
pub(crate) fn find_home(runtime_dir: Option<OsString>) -> Home {
    let uid = Uid::effective().as_raw();
    admin::home(uid, places::runtime_dir(uid, runtime_dir).as_deref())
}

/// Where the session lives on disk.
struct Places {
    files: PathBuf,
    home: PathBuf,
    /// What helpers keep for themselves.
    helpers: PathBuf,
    runtime_dir: PathBuf,
    display: String,
    made: Vec<Temporary>,
}

impl Places {
    fn make(
        config: &RunConfig,
        home: &Home,
        cast: &Cast,
        caller: &Caller,
    ) -> Result<Self, PlaceError> {
        let session = cast.users.session();
        let (uid, apart) = (session.uid, cast.users.are_apart());
        let files = home.files(&config.name);
        let own = Identity { uid: Uid::effective().as_raw(), gid: nix::unistd::getegid().as_raw() };
        let mode = if apart { 0o755 } else { 0o700 };
        let mut made = vec![places::fresh_directory(&files, mode, own)?];
        let usual = match apart {
            false => places::runtime_dir(uid, caller.variable("XDG_RUNTIME_DIR")),
            true => Some(PathBuf::from(format!("/run/user/{uid}"))).filter(|path| is_of(path, uid)),
        };
        let mut private = |name: &str| {
            let path = files.join(name);
            made.push(places::fresh_directory(&path, 0o700, session)?);
            Ok::<_, PlaceError>(path)
        };
        let runtime_dir = match usual {
            Some(usual) => usual,
            None => private("runtime")?,
        };
        let own_home = caller.variable("HOME").map(PathBuf::from).filter(|_| !apart);
        let home = match own_home.filter(|home| places::is_home(home)) {
            Some(home) => home,
            None => match &cast.session.home {
                Some(home) => home.clone(),
                None => {
                    let home = private("home")?;
                    places::as_user(session, || nameless::furnish(&home))?;
                    home
                }
            },
        };
        let helpers = private("helpers")?;
        // Inner directories before outer ones.
        made.reverse();
        Ok(Self {
            files,
            home,
            helpers,
            runtime_dir,
            display: format!("wayland-lumen-{}", config.name),
            made,
        })
    }

    fn surroundings<'start>(
        &self,
        config: &'start RunConfig,
        cast: &'start Cast,
        caller: &'start Caller,
    ) -> Surroundings<'start> {
        Surroundings {
            user: &cast.session,
            become_user: cast.users.are_apart(),
            home: self.home.clone(),
            runtime_dir: self.runtime_dir.clone(),
            display: self.display.clone(),
            files: self.files.clone(),
            keymap: &config.keymap,
            caller,
        }
    }
}

fn is_of(path: &Path, uid: u32) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid)
}
