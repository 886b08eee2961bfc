//! The scene of one worker's lies: a host with two sessions, each with a viewer. The liar takes the
//! place of a worker of the first session or of the host; the second session belongs to somebody else.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr as UnixAddress, UnixListener},
        },
    },
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use lumen_ipc::{
    process::{ProcessId, Worker},
    units::SessionId,
};
use lumen_liar::{ENTRANCE, wire::Entrance};
use lumen_tests::{
    app::Show,
    app_event::AppEvent,
    hosted::{HostRig, HostSetup, SessionRig, SessionSetup},
    patience::wait_until,
    process::Process,
    rig::kill_hard,
    stage::Stage,
    viewer::{SignedIn, Viewer, login},
};

use crate::{
    aims::{Files, Services},
    puppet::Puppet,
};

/// Pictures that an app draws per second: enough to see soon that pictures arrive.
const FPS: u32 = 5;

/// One session, and somebody who watches it.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) viewer: Viewer,
    pub(crate) login: SignedIn,
    pub(crate) number: SessionId,
    pub(crate) app: Process,
    pub(crate) session: SessionRig,
}

impl Watched {
    fn start(host: &HostRig, name: &str) -> Result<Self> {
        let session = SessionSetup::new().named(name).show(Show::Blink, FPS).start(host)?;
        session.app_log().wait_until_drawn()?;
        let login = login(host.address(), session.token())?.signed_in()?;
        let viewer = Viewer::with_login(host.address(), &login)?;
        viewer.wait_for_frame(0)?;
        let app = Process(session.app_log().pid()?);
        Ok(Self { viewer, login, number: session.number(host)?, app, session })
    }

    /// Whether its viewer gets a picture that was made after now.
    pub(crate) fn shows_pictures(&self) -> Result<()> {
        let count = self.viewer.seen().frames.len();
        self.viewer.wait_for_frame(count).map(drop)
    }

    /// Keys and buttons that its app got.
    pub(crate) fn typed(&self) -> usize {
        let typed =
            |event: &AppEvent| matches!(event, AppEvent::Key { .. } | AppEvent::Button { .. });
        self.session.app_log().events().iter().filter(|event| typed(event)).count()
    }
}

/// The scene.
#[derive(Debug)]
pub(crate) struct Scene {
    entrance: Option<Entrance>,
    /// Of whom the liar takes the place.
    pub(crate) part: ProcessId,
    /// The liar's session; that of the host's workers is as good as the other.
    pub(crate) own: Watched,
    /// Somebody else's.
    pub(crate) other: Watched,
    /// Dropped after its sessions, which would go on without it.
    pub(crate) host: HostRig,
}

impl Scene {
    pub(crate) fn start(worker: Worker) -> Result<Self> {
        let stage = Stage::new()?;
        stage.let_lie(worker)?;
        let host = HostSetup::new().on_stage(stage).start()?;
        let own = Watched::start(&host, "own")?;
        let other = Watched::start(&host, "other")?;
        let part = ProcessId::serving(own.number, worker);
        Ok(Self { entrance: None, part, own, other, host })
    }

    /// Ends the worker; the next one is a liar, which is not confined yet.
    pub(crate) fn take_over(&mut self) -> Result<Puppet> {
        let worker = self.part.kind();
        let process = self.host.ready_worker(self.part)?;
        let path = self.host.staged(&format!("{}{ENTRANCE}", worker.binary()));
        self.entrance = Some(Entrance::open(path)?);
        kill_hard(process)?;
        self.next_liar()
    }

    /// Waits for the next liar: the one before has ended.
    pub(crate) fn next_liar(&self) -> Result<Puppet> {
        Puppet::enter(self.entrance.as_ref().context("there is no entrance")?)
    }

    /// Ends the liar; the next process is an honest worker again. Waits until that is ready.
    pub(crate) fn give_back(&mut self, puppet: Puppet) -> Result<Process> {
        self.entrance = None;
        let liar = puppet.process()?;
        if liar.is_alive() {
            // A liar whose test has gone may end by itself.
            let _ = kill_hard(liar);
        }
        drop(puppet);
        wait_until("the liar is gone", || !liar.is_alive())?;
        self.host.ready_worker(self.part)
    }

    /// The supervisor of the liar, and the other ones.
    pub(crate) fn supervisors(&self) -> Result<[Process; 3]> {
        Ok([self.host.process()?, self.own.session.supervisor(), self.other.session.supervisor()])
    }

    /// A viewer of the liar's session who comes now sees it.
    pub(crate) fn newcomer_sees_the_desktop(&self) -> Result<()> {
        let viewer = Viewer::with_token(self.host.address(), self.own.session.token())?;
        viewer.wait_for_frame(0).map(drop)
    }
}

/// Services of this machine and files of the user, none of which an intruder may touch.
#[derive(Debug)]
pub(crate) struct Bait {
    pub(crate) files: Files,
    pub(crate) services: Services,
    tcp: TcpListener,
    udp: UdpSocket,
    hidden: UnixListener,
    named: UnixListener,
}

/// The content of the user's file.
const CONTENT: &str = "what the user wrote";

impl Bait {
    /// Everybody on this machine may read and write the files in `folder`, and connect to the services.
    pub(crate) fn lay(folder: &Path, nothing: PathBuf) -> Result<Self> {
        let [letter, other] = ["letter.txt", "other.txt"].map(|name| folder.join(name));
        for file in [&letter, &other] {
            fs::write(file, CONTENT)?;
            fs::set_permissions(file, fs::Permissions::from_mode(0o666))?;
        }
        let (link, path) = (folder.join("link"), folder.join("service"));
        std::os::unix::fs::symlink(&letter, &link)?;
        let files = Files { folder: folder.to_owned(), letter, other, link, nothing };
        let named = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
        let hidden_name = format!("lumen-bait-{}", folder.display()).into_bytes();
        let hidden = UnixListener::bind_addr(&UnixAddress::from_abstract_name(&hidden_name)?)?;
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        tcp.set_nonblocking(true)?;
        udp.set_nonblocking(true)?;
        hidden.set_nonblocking(true)?;
        named.set_nonblocking(true)?;
        let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let (tcp_port, udp_port) = (tcp.local_addr()?.port(), udp.local_addr()?.port());
        let (tcp_at, udp_at) = (at(tcp_port), at(udp_port));
        let services = Services { tcp: tcp_at, udp: udp_at, hidden: hidden_name, named: path };
        Ok(Self { files, services, tcp, udp, hidden, named })
    }

    /// Whether the file is as it was.
    pub(crate) fn file_is_untouched(&self) -> Result<()> {
        let found = fs::read_to_string(&self.files.letter).context("the user's file is gone")?;
        ensure!(found == CONTENT, "the user's file has become {found:?}");
        Ok(())
    }

    /// Which services that take connections somebody has reached.
    pub(crate) fn connected(&self) -> Vec<&'static str> {
        let all = [
            ("a TCP service", self.tcp.accept().is_ok()),
            ("an abstract socket", self.hidden.accept().is_ok()),
            ("a Unix socket", self.named.accept().is_ok()),
        ];
        all.into_iter().filter(|(_, reached)| *reached).map(|(name, _)| name).collect()
    }

    /// Whether a datagram has arrived.
    pub(crate) fn has_datagram(&self) -> bool {
        self.udp.recv(&mut [0; 64]).is_ok()
    }
}
