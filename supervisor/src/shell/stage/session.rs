//! A session's stage: its users, its places on disk, the Wayland and media sockets, the app and its
//! helpers.

use std::{
    cell::Cell,
    fs, io,
    net::{IpAddr, SocketAddr},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    rc::Rc,
    slice,
};

use lumen_ipc::message::{grants::ToWorker, session::Audience, transfer::ClipboardPolicy};
use nix::unistd::Uid;
use tracing::info;

use super::{
    super::{
        app::{self, Caller, Surroundings},
        enclosure::Origin,
        granted::Display,
        graphics::Graphics,
        helpers::{self, HelperLaunch, WhichBus},
        label::Label,
        nameless, pads,
        places::{self, Place, PlaceError, Temporary},
        session_group::{self, Entrance, NoGroup, SessionGroup, Tree},
        sockets,
        sound::{self, SoundServer},
        spawn::AppLaunch,
        standing::Standing,
        users::Cast,
    },
    Ground, Staff, Stage, StageError,
};
use crate::{
    admin::Home,
    config::{AppChoice, GuestLimits, SessionConfig, UdpListen},
    control_group::Resource,
    environment::Environment,
    lifecycle::Helper,
    plan::{self, SessionFacts},
};

/// What a session prepares before its first process starts. Dropping it removes what it made on disk.
pub(crate) struct SessionStage {
    pub(crate) staff: Staff,
    pub(crate) app: AppLaunch,
    /// Whether the desktop stays when its app ends: it does if the user named no app.
    pub(crate) outlives_app: bool,
    helpers: Vec<HelperLaunch>,
    /// Who draws.
    pub(crate) graphics: Graphics,
    sound_server: Option<SoundServer>,
    /// Whether viewers may speak.
    takes_speech: bool,
    media: Standing,
    /// Where the media socket comes from.
    origin: Origin,
    /// Where the next media socket is bound; `None` for every address.
    media_at: Rc<Cell<Option<IpAddr>>>,
    media_address: SocketAddr,
    udp_listen: UdpListen,
    /// The public address of the media socket, besides the machine's own addresses.
    public: Option<IpAddr>,
    /// The machine's addresses.
    pub(crate) addresses: Vec<IpAddr>,
    /// The deposit of the gamepad worker; `None` without access to uinput.
    pads: Option<OwnedFd>,
    wayland: Standing,
    _wayland_place: Option<Place>,
    /// Its processes are ended before anything else of the session is given up.
    group: Option<SessionGroup>,
    /// Removed before the locks of the label and in `cast` are released.
    _places: Vec<Temporary>,
    _label: Label,
    passing_home: Option<PathBuf>,
    cast: Cast,
}

impl SessionStage {
    /// Prepares everything, or nothing. A desktop that was started at a sign-in has its Wayland socket already,
    /// and its app is started by the leader of the login session.
    pub(crate) fn set(
        config: &SessionConfig,
        (label, tree): (Label, &mut Result<Tree, NoGroup>),
        (ground, cast): (&Ground, Cast),
        caller: &Caller,
        display: Option<Display>,
    ) -> Result<Self, StageError> {
        let is_led = display.is_some();
        let bus = WhichBus::of(display.as_ref());
        if is_led && config.limits.are_required() {
            return Err(StageError::LimitsOfALogin);
        }
        let port = config.udp_port;
        // Until the host says who reaches its page, the socket has no reader. At every address, it
        // reserves a port that is free at each.
        let media_at = config.udp_listen.address(Audience::Everyone);
        let origin = Origin::enclosed("rtc");
        let media = sockets::media(media_at, port, &origin)
            .map_err(|source| StageError::Media { port, source })?;
        let media_at = Rc::new(Cell::new(media_at));
        let group = group((label.as_str(), tree), &ground.home, &config.limits)?;
        let places = Places::make(label.as_str(), &ground.home, (&cast, caller), display.as_ref())?;
        let path = places.runtime_dir.join(&places.display);
        let (wayland, wayland_place) = match display {
            Some(display) => (display.listener, None),
            None => {
                let listen = || places::listen(&path);
                let (socket, place) = places::as_user(cast.session.identity, listen)?.apart();
                (socket.into(), Some(place))
            }
        };
        let mut app = app::launch(&config.app, &places.surroundings(config, &cast, caller))?;
        app.group = group.as_ref().filter(|_| !is_led).map(SessionGroup::guests);
        if config.x11 {
            helpers::x_sockets()?;
        }
        let mut helpers = places::as_user(cast.session.identity, || {
            let (runtime_dir, own) = (&places.runtime_dir, &places.helpers);
            Ok(helpers::needed((config.x11, bus), &mut app.environment, runtime_dir, own))
        })??;
        let sound = places.sound_server(config, &cast, &mut app.environment)?;
        let (sound_server, needed) = sound.unzip();
        helpers.extend(needed.into_iter().flatten());
        let directory = config.workers_dir.as_deref();
        if config.clipboard != ClipboardPolicy::Off {
            helpers.extend(helpers::bridge(&super::directories(directory)?));
        }
        let graphics =
            Graphics::find(config, &cast.session, (ground.state.as_deref(), label.as_str()));
        let addresses = sockets::addresses();
        let candidates = sockets::candidates(media.address, config.public_address, &addresses);
        let plan = plan::session(config, &SessionFacts { users: cast.users, candidates });
        Ok(Self {
            staff: Staff::new(plan, cast.users, config.log.clone(), directory)?,
            app,
            helpers,
            graphics,
            sound_server,
            takes_speech: config.microphone,
            outlives_app: config.app == AppChoice::Demo,
            media: Standing::new(media.socket, {
                let (at, port) = (Rc::clone(&media_at), media.address.port());
                let origin = origin.clone();
                move || sockets::media(at.get(), port, &origin).map(|bound| bound.socket)
            }),
            origin,
            media_at,
            media_address: media.address,
            udp_listen: config.udp_listen,
            public: config.public_address,
            addresses,
            pads: config.pad.and_then(|_| pads_deposit()),
            wayland: Standing::new(wayland, {
                let identity = cast.session.identity;
                move || {
                    places::as_user(identity, || places::listen_again(&path))
                        .map(OwnedFd::from)
                        .map_err(io::Error::other)
                }
            }),
            _wayland_place: wayland_place,
            passing_home: places.home.starts_with(&places.files).then(|| places.home.clone()),
            group,
            _places: places.made,
            _label: label,
            cast,
        })
    }

    /// Tells rtc where the relay is, from its next start on, and lets its datagrams go there.
    pub(crate) fn tell_relay(&mut self, near: Option<SocketAddr>) {
        if let Some(near) = near {
            self.origin.permit(near);
        }
        self.staff.tell_relay(near);
    }

    /// How a helper is started; `None` if this desktop runs without it.
    pub(crate) fn helper(&self, helper: Helper) -> Option<&HelperLaunch> {
        self.helpers.iter().find(|launch| launch.helper == helper)
    }

    /// Whether what the app plays will have somewhere to go.
    pub(crate) const fn expects_sink(&self) -> bool {
        matches!(&self.sound_server, Some(server) if server.is_expected)
    }

    /// Where the sound server listens; `None` without sound.
    pub(crate) const fn sound_server(&self) -> Option<&SoundServer> {
        self.sound_server.as_ref()
    }

    /// Whether viewers may speak, where there is sound.
    pub(crate) const fn takes_speech(&self) -> bool {
        self.takes_speech
    }

    /// Every helper of this desktop.
    pub(crate) fn helpers(&self) -> Vec<Helper> {
        self.helpers.iter().map(|launch| launch.helper).collect()
    }

    /// Handles a change of the machine's addresses: stores the media socket's addresses for every later rtc,
    /// and returns them for the present one.
    pub(crate) fn moved(&mut self, addresses: &[IpAddr]) -> Vec<SocketAddr> {
        addresses.clone_into(&mut self.addresses);
        self.set_candidates()
    }

    /// Handles who reaches the host's page; returns whether the media socket is to be at another address,
    /// where rtc gets one with its next start.
    pub(crate) fn tell_audience(&mut self, audience: Audience) -> bool {
        let at = self.udp_listen.address(audience);
        if self.media_at.replace(at) == at {
            return false;
        }
        self.media.misplace();
        self.set_candidates();
        true
    }

    fn set_candidates(&mut self) -> Vec<SocketAddr> {
        // Where no address is wanted, the first socket has the unspecified one.
        let ip = self.media_at.get().unwrap_or_else(|| self.media_address.ip());
        let media = SocketAddr::new(ip, self.media_address.port());
        let candidates = sockets::candidates(media, self.public, &self.addresses);
        plan::set_candidates(&mut self.staff.plan, &candidates);
        candidates
    }

    /// Whether the session has a control group of its own.
    pub(crate) fn has_group(&self) -> bool {
        self.group.is_some()
    }

    /// Where the kernel counts how often guests lack a resource.
    pub(crate) fn shortages(&self, of: Resource) -> Option<OwnedFd> {
        self.group.as_ref().and_then(|group| group.shortages(of))
    }

    /// The home, if it is removed with the desktop and with all that is saved there.
    pub(crate) fn passing_home(&self) -> Option<&Path> {
        self.passing_home.as_deref()
    }

    /// Whose desktop it is.
    pub(crate) fn owner(&self) -> Uid {
        self.cast.owner()
    }

    /// The desktop's uid, if no user was named.
    pub(crate) fn anonymous_uid(&self) -> Option<u32> {
        let session = &self.cast.session;
        (self.cast.users.are_apart() && session.home.is_none()).then_some(session.identity.uid)
    }
}

impl Stage for SessionStage {
    fn staff(&self) -> &Staff {
        &self.staff
    }

    fn origin(&self) -> &Origin {
        &self.origin
    }

    fn standing(&mut self, grant: ToWorker) -> &mut [Standing] {
        match grant {
            ToWorker::MediaSocket => slice::from_mut(&mut self.media),
            ToWorker::WaylandListener => slice::from_mut(&mut self.wayland),
            _ => &mut [],
        }
    }

    fn descriptors(&self, grant: ToWorker) -> Vec<BorrowedFd<'_>> {
        match grant {
            ToWorker::MediaSocket => self.media.get().into_iter().collect(),
            ToWorker::RenderNode => self.graphics.opened().iter().map(AsFd::as_fd).collect(),
            ToWorker::PadDevices => self.pads.iter().map(AsFd::as_fd).collect(),
            ToWorker::WaylandListener => self.wayland.get().into_iter().collect(),
            ToWorker::BridgeClient
            | ToWorker::HttpListener
            | ToWorker::ProxyConnection { .. }
            | ToWorker::LinkEnd { .. }
            | ToWorker::PageCertificate
            | ToWorker::RelayCertificate
            | ToWorker::RelayDatagrams
            | ToWorker::RelayKey
            | ToWorker::RelaySecret
            | ToWorker::RelaySecured
            | ToWorker::RelayStreams
            | ToWorker::SignallingEnd { .. }
            | ToWorker::SoundServer
            | ToWorker::SoundSinkOwner
            | ToWorker::TrialReport
            | ToWorker::TrialVideo => Vec::new(),
        }
    }

    fn group(&self) -> Option<&Entrance> {
        self.group.as_ref().map(SessionGroup::workers)
    }
}

/// The session's control group. Without one, or without limits that nobody chose, it starts all the same.
fn group(
    (label, tree): (&str, &mut Result<Tree, NoGroup>),
    home: &Home,
    limits: &GuestLimits,
) -> Result<Option<SessionGroup>, StageError> {
    let record = home.group(label);
    session_group::end_leftovers(&home.directory);
    let made = tree.as_mut().map_err(|error| error.to_string()).and_then(|tree| {
        let group = SessionGroup::make(tree.own(), label, record);
        group.map(|group| (group, tree)).map_err(|error| error.to_string())
    });
    let (group, limited) = match made {
        Ok((group, tree)) => {
            let limited = group.limit(limits, tree).map_err(|error| error.to_string());
            (Some(group), limited)
        }
        Err(why) => {
            info!("{} ({why})", session_group::LOSS);
            (None, Err(why))
        }
    };
    match limited {
        Ok(()) => Ok(group),
        Err(why) if limits.are_required() => Err(StageError::Limits(why)),
        Err(why) => {
            if group.is_some() {
                info!("{} ({why})", session_group::NO_LIMITS);
            }
            Ok(group)
        }
    }
}

/// Without access to uinput the session starts all the same: the gamepad worker says so, and pads are off.
fn pads_deposit() -> Option<OwnedFd> {
    let told = |error: &io::Error| info!(%error, "{} cannot be opened", pads::UINPUT);
    pads::deposit().inspect_err(told).ok()
}

/// The session's directories.
struct Places {
    files: PathBuf,
    home: PathBuf,
    /// The helpers' own files.
    helpers: PathBuf,
    runtime_dir: PathBuf,
    display: String,
    made: Vec<Temporary>,
}

impl Places {
    fn make(
        label: &str,
        home: &Home,
        (cast, caller): (&Cast, &Caller),
        display: Option<&Display>,
    ) -> Result<Self, PlaceError> {
        let session = cast.session.identity;
        let (uid, apart) = (session.uid, cast.users.are_apart());
        let files = home.files(label);
        let mode = if apart { 0o755 } else { 0o700 };
        let mut made = vec![places::fresh_directory(&files, mode)?];
        let usual = match apart {
            _ if display.is_some() => display.map(|display| display.runtime_dir.clone()),
            false => places::runtime_dir(uid, caller.variable("XDG_RUNTIME_DIR")),
            true => Some(PathBuf::from(format!("/run/user/{uid}"))).filter(|path| is_of(path, uid)),
        };
        let mut private = |name: &str| {
            let path = files.join(name);
            made.push(places::given_directory(&path, 0o700, session)?);
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
        let helpers = match display {
            None => private("helpers")?,
            // A login session has a place of the account's own, where no directory need be given away.
            Some(_) => {
                let path = runtime_dir.join(format!("lumen-{label}"));
                let fresh = || places::fresh_directory(&path, 0o700);
                made.push(places::as_user(session, fresh)?);
                path
            }
        };
        // Inner directories before outer ones.
        made.reverse();
        Ok(Self {
            files,
            home,
            helpers,
            runtime_dir,
            display: display
                .map_or_else(|| format!("wayland-lumen-{label}"), |display| display.name.clone()),
            made,
        })
    }

    fn surroundings<'start>(
        &self,
        config: &'start SessionConfig,
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

    /// The sound server of a desktop with sound, and the helpers to start for it.
    fn sound_server(
        &self,
        config: &SessionConfig,
        cast: &Cast,
        environment: &mut Environment,
    ) -> Result<Option<(SoundServer, Vec<HelperLaunch>)>, PlaceError> {
        let user = cast.session.identity;
        let prepare = || sound::prepare(environment, &self.runtime_dir, &self.helpers, user);
        config.sound.map(|_| places::as_user(user, prepare)).transpose()
    }
}

fn is_of(path: &Path, uid: u32) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid)
}
