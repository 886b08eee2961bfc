//! What must exist before the first process of a scope starts: users, programs, places, sockets and the
//! plan. Everything that can be wrong is found here, while nothing runs yet.
//!
//! A host and a session have a stage each; [`Ground`] is the part that both need.

mod host;
mod session;

use std::{
    ffi::OsString,
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use lumen_ipc::{
    front_door::Listen,
    graphics::NodeUse,
    lease::LeaseRights,
    message::grants::ToWorker,
    process::{ExitCode, Worker},
    text::Text,
};
use nix::unistd::Uid;
use tracing::warn;

pub(crate) use self::{host::HostStage, session::SessionStage};
use super::{
    activation::ActivationError,
    app::{Caller, NoApp},
    certificate::CertificateError,
    enclosure::Origin,
    fence::{self, Found, Namespaces, NoFence, Refused},
    helpers::HelperError,
    metrics_token::MetricsTokenError,
    places::{self, PlaceError},
    programs::{self, MissingWorker},
    proxy_door::ProxyDoorError,
    relay::RelayError,
    run_dir,
    session_group::Entrance,
    standing::Standing,
    users::{self, Cast, HostCast, UserError},
};
use crate::{
    admin::{self, Home},
    config,
    plan::{self, Identity, Users, WorkerPlan},
    protection::Loss,
};

/// Why nothing was started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StageError {
    /// A socket of the service manager cannot be used.
    #[error(transparent)]
    Activation(#[from] ActivationError),
    /// The app cannot be started.
    #[error(transparent)]
    App(#[from] NoApp),
    /// The page's certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Workers cannot be confined.
    #[error(transparent)]
    Fence(#[from] NoFence),
    /// Limits that somebody chose cannot be kept.
    #[error(
        "cannot limit what apps use: {0}; start Lumen in a unit of its own with Delegate=yes, or without \
         --app-memory and --app-tasks"
    )]
    Limits(String),
    /// Limits that do not reach the apps of a login session.
    #[error(
        "--app-memory and --app-tasks do not reach the apps of a desktop that is started at a sign-in, which \
         belong to its login session; leave them out, and limit the user: systemctl set-property user-UID.slice"
    )]
    LimitsOfALogin,
    /// The address for browsers cannot be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: Listen,
        /// What the kernel returned.
        source: io::Error,
    },
    /// The media socket cannot be bound.
    #[error("cannot bind UDP port {port}; choose another with --udp-port")]
    Media {
        /// The port.
        port: u16,
        /// What the kernel returned.
        source: io::Error,
    },
    /// A helper cannot be started.
    #[error(transparent)]
    Helper(#[from] HelperError),
    /// The token for metrics cannot be read.
    #[error(transparent)]
    MetricsToken(#[from] MetricsTokenError),
    /// A worker's program is missing.
    #[error(transparent)]
    MissingWorker(#[from] MissingWorker),
    /// Passwords would be sent by plain HTTP.
    #[error("{}", config::IN_CLEAR)]
    PasswordsInClear,
    /// A directory or socket on disk cannot be used.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The socket of a proxy that vouches for accounts is not available.
    #[error(transparent)]
    ProxyDoor(#[from] ProxyDoorError),
    /// The relay's sockets or files are not available.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// Another process listens at the address for browsers.
    #[error("{0} is already in use; choose another address with --listen")]
    PortTaken(Listen),
    /// A worker's program cannot be opened.
    #[error("cannot open {path}")]
    Program {
        /// The program's path.
        path: PathBuf,
        /// What the kernel returned.
        source: io::Error,
    },
    /// This machine cannot be examined.
    #[error("cannot tell {what}")]
    System {
        /// What could not be found out.
        what: &'static str,
        /// What the kernel returned.
        source: io::Error,
    },
    /// No user can be chosen.
    #[error(transparent)]
    User(#[from] UserError),
}

impl StageError {
    /// The exit code of `lumen` for this error.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::User(
                UserError::NotRoot
                | UserError::Root
                | UserError::Service(_)
                | UserError::Unknown(_),
            ) => ExitCode::Usage,
            _ => ExitCode::CouldNotStart,
        }
    }
}

/// What the machine permits to a host's workers, or to a session's.
pub(crate) struct Ground {
    /// Where sockets and files of this user's hosts and sessions are.
    pub(crate) home: Home,
    /// Where to keep what outlives the machine's restart, if this user has such a directory.
    pub(crate) state: Option<PathBuf>,
    /// The namespaces that workers can have.
    pub(crate) namespaces: Namespaces,
    /// Why they cannot have all namespaces.
    refused: Option<Refused>,
}

impl Ground {
    /// Finds out what a host's workers can have.
    pub(crate) fn of_host(caller: &Caller) -> Result<(Self, HostCast), StageError> {
        let home = own_home(caller.variable("XDG_RUNTIME_DIR"))?;
        let cast = users::of_host()?;
        let ground = Self::find(home, cast.users)?;
        Ok((Self { state: state_directory(caller), ..ground }, cast))
    }

    /// Finds out what a session's workers can have. `user` is the session's user, if one was named.
    pub(crate) fn of_session(
        caller: &Caller,
        user: Option<&str>,
    ) -> Result<(Self, Cast), StageError> {
        let home = own_home(caller.variable("XDG_RUNTIME_DIR"))?;
        let sudo = caller.variable("SUDO_USER").and_then(|name| name.into_string().ok());
        let cast = users::of_session(user, sudo.as_deref())?;
        let ground = Self::find(home, cast.users)?;
        Ok((Self { state: state_directory(caller), ..ground }, cast))
    }

    fn find(home: Home, users: Users) -> Result<Self, StageError> {
        let Found { namespaces, refused } = fence::find(users)?;
        Ok(Self { home, state: None, namespaces, refused })
    }

    /// Logs what the machine refuses, if anything.
    pub(crate) fn warn(&self) {
        if let Some(refused) = self.refused {
            warn!("{} ({refused})", Loss::Namespaces.sentence());
        }
    }
}

/// The resources from which the processes of one scope are started.
pub(crate) trait Stage {
    fn staff(&self) -> &Staff;

    /// Where the sockets for datagrams of its worker that has some come from.
    fn origin(&self) -> &Origin;

    /// The sockets of a kind that are granted to its workers, one worker after another.
    fn standing(&mut self, grant: ToWorker) -> &mut [Standing];

    /// All descriptors of a kind that its workers can be granted, except link ends.
    fn descriptors(&self, grant: ToWorker) -> Vec<BorrowedFd<'_>>;

    /// The way into the control group of its workers, if there is one.
    fn group(&self) -> Option<&Entrance> {
        None
    }
}

/// The workers of one scope.
pub(crate) struct Staff {
    pub(crate) plan: Vec<WorkerPlan>,
    programs: Vec<(Worker, OwnedFd)>,
    /// Whether each worker must become another user.
    become_users: bool,
    log: Text<128>,
}

impl Staff {
    /// Opens the program of each worker of a plan.
    fn new(
        plan: Vec<WorkerPlan>,
        users: Users,
        log: Text<128>,
        directory: Option<&Path>,
    ) -> Result<Self, StageError> {
        let directories = directories(directory)?;
        let opened = |part: &WorkerPlan| {
            let path = programs::worker(part.worker, &directories)?;
            let program = programs::open(&path)
                .map_err(|source| StageError::Program { path: path.clone(), source })?;
            Ok((part.worker, program))
        };
        let programs = plan.iter().map(opened).collect::<Result<_, StageError>>()?;
        Ok(Self { plan, programs, become_users: users.are_apart(), log })
    }

    /// The opened programs of all workers.
    pub(crate) fn programs(&self) -> impl Iterator<Item = &OwnedFd> {
        self.programs.iter().map(|(_, program)| program)
    }

    /// What workers log from their next start on.
    fn set_log(&mut self, log: Text<128>) {
        self.log = log;
    }

    /// Tells media how to use the render node that it gets at its next start, if it gets one.
    pub(crate) fn tell_node(&mut self, node: Option<NodeUse>) {
        plan::tell_node(&mut self.plan, node);
    }

    /// Tells rtc the rights of viewers, for its next start.
    pub(crate) fn tell_rights(&mut self, rights: &[LeaseRights]) {
        plan::tell_rights(&mut self.plan, rights);
    }

    /// Tells rtc where the relay is, from its next start on.
    pub(crate) fn tell_relay(&mut self, near: Option<SocketAddr>) {
        plan::tell_relay(&mut self.plan, near);
    }
}

/// The directories of the workers' programs.
fn directories(told: Option<&Path>) -> Result<Vec<PathBuf>, StageError> {
    let own = std::env::current_exe()
        .map_err(|source| StageError::System { what: "where lumen itself is", source })?;
    Ok(programs::worker_directories(told, &own))
}

/// Replaces the sockets that a worker is about to be granted, if the one before left them useless.
pub(crate) fn renew(stage: &mut dyn Stage, worker: Worker) {
    let plan = stage.staff().plan.iter().find(|plan| plan.worker == worker);
    for grant in plan.map_or(&[][..], |plan| plan.grants) {
        for socket in stage.standing(*grant) {
            socket.renew(&worker);
        }
    }
}

/// One worker's share of `stage`; `None` if there is no such worker.
pub(crate) fn part(stage: &dyn Stage, worker: Worker) -> Option<Part<'_>> {
    let staff = stage.staff();
    let plan = staff.plan.iter().find(|plan| plan.worker == worker)?;
    let (_, program) = staff.programs.iter().find(|(program, _)| *program == worker)?;
    let becomes = staff.become_users.then_some(plan.identity);
    let (program, group) = (program.as_fd(), stage.group());
    Some(Part { plan, program, becomes, group, log: &staff.log, stage })
}

/// One worker's share of the stage.
#[derive(Clone, Copy)]
pub(crate) struct Part<'stage> {
    pub(crate) plan: &'stage WorkerPlan,
    pub(crate) program: BorrowedFd<'stage>,
    /// The user it must become; `None` to stay the current one.
    pub(crate) becomes: Option<Identity>,
    /// The way into its control group, if it has one.
    pub(crate) group: Option<&'stage Entrance>,
    pub(crate) log: &'stage Text<128>,
    stage: &'stage dyn Stage,
}

impl<'stage> Part<'stage> {
    /// Whether its datagrams reach only whoever wrote to it, and what the supervisor permits.
    pub(crate) fn only_answers(self) -> bool {
        matches!(self.plan.worker, Worker::Rtc | Worker::Turn) && self.stage.origin().is_enclosed()
    }

    /// What it is granted besides its link ends.
    pub(crate) fn grants(self) -> impl Iterator<Item = (ToWorker, BorrowedFd<'stage>)> {
        self.plan.grants.iter().flat_map(move |grant| {
            self.stage.descriptors(*grant).into_iter().map(|descriptor| (*grant, descriptor))
        })
    }
}

/// Where a host of this user keeps its files (file-hierarchy(7)): where systemd says, root's directory, or
/// the user's.
fn state_directory(caller: &Caller) -> Option<PathBuf> {
    let named = |name| caller.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(given) = named("STATE_DIRECTORY") {
        return Some(given);
    }
    if Uid::effective().is_root() {
        return Some(PathBuf::from("/var/lib/lumen"));
    }
    let home = || Some(named("HOME")?.join(".local/state"));
    Some(named("XDG_STATE_HOME").or_else(home)?.join("lumen"))
}

/// The caller's own directory for sockets, created and checked.
pub(crate) fn own_home(runtime_dir: Option<OsString>) -> Result<Home, PlaceError> {
    let uid = Uid::effective();
    let (home, mode) = match uid.is_root() {
        // Root's directory contains directories that other users must reach.
        true => (admin::home_of_root(), 0o755),
        false => {
            let around = run_dir::Surroundings::new(uid.as_raw(), runtime_dir);
            (admin::home_in(&around.find_or_make()?), 0o700)
        }
    };
    places::directory(&home.directory, mode)?;
    Ok(home)
}

/// Root's directory for sockets, if there is one, checked in the same way.
pub(crate) fn find_home_of_root() -> Option<Home> {
    let home = admin::home_of_root();
    places::check_private(&home.directory, 0).ok().map(|()| home)
}

/// The caller's own directory for sockets, if there is one. Its owner and its mode are checked, so that
/// nobody else can have made a socket there.
pub(crate) fn find_home(runtime_dir: Option<OsString>) -> Option<Home> {
    let uid = Uid::effective();
    let home = match uid.is_root() {
        true => admin::home_of_root(),
        false => {
            let around = run_dir::Surroundings::new(uid.as_raw(), runtime_dir);
            admin::home_in(&around.find()?)
        }
    };
    places::check_private(&home.directory, uid.as_raw()).ok().map(|()| home)
}
