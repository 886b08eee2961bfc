//! A supervisor reduced to what one worker sees of it.

use std::{
    env, fs, io,
    net::{Ipv4Addr, SocketAddr},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::{Child, Command, Stdio},
};

use lumen_ipc::{
    PROTO_HASH,
    front_door::{BasePath, FrontDoor, Listen},
    link::{Generation, LinkName},
    message::{
        grants::{ToSupervisor, ToWorker},
        packets::{ToMedia, ToRtc},
    },
    process::{ExitCode, Worker},
    service::{
        AuthMode, ConfinementReport, ControlClient, GatewayConfig, Handover, Hello, MediaConfig,
        Metric, Refusal, WorkerConfig, WorkerStatus,
    },
    text::Text,
    tls::Tls,
    units::{Fps, FrameSize, Kbps, StreamId},
};
use lumen_ipc_runtime::{channel::Channel, rpc};
use rustix::event::{PollFd, PollFlags, poll};
use tarpc::{client, context};
use tokio::runtime::Runtime;

use super::stub::{self, Order};

/// The `Hello` of a supervisor of this build to the stub.
pub(crate) const HELLO: Hello = Hello { proto_hash: PROTO_HASH, worker: Worker::Media };

/// The other end of the stub's link.
pub(crate) type PeerLink = Channel<ToRtc, ToMedia>;

pub(crate) struct Supervisor {
    runtime: Runtime,
    control: ControlClient,
    grants: Channel<ToSupervisor, ToWorker>,
    link: Option<PeerLink>,
    generation: Generation,
    child: Child,
}

/// How a worker ended.
pub(crate) struct End {
    pub(crate) code: ExitCode,
    pub(crate) log: String,
}

impl Supervisor {
    pub(crate) fn spawn() -> Self {
        let (control, worker_control) = UnixStream::pair().expect("socketpair");
        let (grants, worker_grants) =
            Channel::<ToSupervisor, ToWorker>::pair().expect("socketpair");
        let child = start(worker_control.into(), worker_grants.into_descriptor());
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let control = runtime.block_on(async {
            let transport = rpc::transport(control.into()).expect("a stream socket");
            ControlClient::new(client::Config::default(), transport).spawn()
        });
        Self { runtime, control, grants, link: None, generation: Generation::default(), child }
    }

    pub(crate) fn hello(&self, hello: Hello) -> Result<Hello, Refusal> {
        self.runtime
            .block_on(self.control.hello(context::current(), hello))
            .expect("an answer to hello")
    }

    pub(crate) fn configure(&self, config: WorkerConfig, log: &str) -> Result<(), Refusal> {
        let log = Text::truncated(log);
        self.runtime
            .block_on(self.control.configure(context::current(), config, log))
            .expect("an answer to configure")
    }

    pub(crate) fn start(&self, grants: u16) -> Result<ConfinementReport, Refusal> {
        self.runtime
            .block_on(self.control.start(context::current(), grants))
            .expect("an answer to start")
    }

    pub(crate) fn status(&self) -> WorkerStatus {
        self.runtime.block_on(self.control.status(context::current())).expect("a status")
    }

    pub(crate) fn metrics(&self) -> Vec<Metric> {
        self.runtime.block_on(self.control.metrics(context::current())).expect("metrics")
    }

    pub(crate) fn drain(&self) -> Result<(), Refusal> {
        self.runtime.block_on(self.control.drain(context::current())).expect("an answer to drain")
    }

    /// All steps until the worker is ready.
    pub(crate) fn start_worker(&mut self) -> ConfinementReport {
        assert_eq!(self.hello(HELLO), Ok(HELLO));
        self.configure(media_config(), "info").expect("legal");
        self.grant_link();
        self.start(1).expect("it can start")
    }

    pub(crate) fn grant(&self, what: ToWorker, descriptor: OwnedFd) {
        self.grants.send(&what, &[descriptor.as_fd()]).expect("room");
    }

    fn grant_link(&mut self) {
        let (ours, theirs) = PeerLink::pair().expect("socketpair");
        self.generation = self.generation.next();
        let (link, generation) = (LinkName::Packets, self.generation);
        self.grant(ToWorker::LinkEnd { link, generation }, theirs.into_descriptor());
        self.link = Some(ours);
    }

    /// Grants a new link end and returns our end of the old link.
    pub(crate) fn regrant(&mut self) -> PeerLink {
        let old = self.link.take().expect("the worker has a link");
        self.grant_link();
        old
    }

    pub(crate) fn wait_until_closed(&self, link: &PeerLink) {
        poll(&mut [PollFd::new(link, PollFlags::HUP)], None).expect("poll");
    }

    pub(crate) fn order(&self, order: Order) {
        let link = self.link.as_ref().expect("the worker has a link");
        let (stream, position) = (StreamId::VIDEO, order as u64);
        link.send(&ToMedia::RingConsumed { stream, position }, &[]).expect("room");
    }

    pub(crate) fn send_garbage(&self) {
        let link = self.link.as_ref().expect("the worker has a link");
        rustix::io::write(link, &[0xff; 32]).expect("room");
    }

    pub(crate) fn proc_status(&self) -> String {
        fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it lives")
    }

    /// The target of each of the worker's descriptors.
    pub(crate) fn descriptors(&self) -> Vec<String> {
        fs::read_dir(format!("/proc/{}/fd", self.child.id()))
            .expect("the same user may look")
            .map(|entry| fs::read_link(entry.expect("an entry").path()).expect("a link"))
            .map(|what| what.to_string_lossy().into_owned())
            .collect()
    }

    /// Waits for the worker's end.
    pub(crate) fn end(self) -> End {
        let Self { control, grants, link, child, runtime, .. } = self;
        let end = wait(child);
        drop((control, grants, link, runtime));
        end
    }

    /// Closes all links to the worker, then waits for its end.
    pub(crate) fn end_by_closing(self) -> End {
        let Self { control, grants, link, child, runtime, .. } = self;
        drop((control, grants, link, runtime));
        wait(child)
    }
}

/// Starts the stub with two descriptors that are not sockets.
pub(crate) fn start_by_hand() -> End {
    let null = || fs::File::open("/dev/null").expect("open").into();
    wait(start(null(), null()))
}

/// A shell moves the descriptors to 3 and 4, which std cannot do without `unsafe`.
fn start(control: OwnedFd, grants: OwnedFd) -> Child {
    Command::new("/bin/sh")
        .args(["-c", "exec \"$0\" \"$1\" 3<&0 4>&1 0</dev/null 1>/dev/null"])
        .arg(env::current_exe().expect("this program"))
        .arg(stub::ARGUMENT)
        .env_clear()
        .stdin(Stdio::from(control))
        .stdout(Stdio::from(grants))
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell")
}

fn wait(child: Child) -> End {
    let output: io::Result<_> = child.wait_with_output();
    let output = output.expect("a child to wait for");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code().and_then(ExitCode::from_number);
    End { code: code.unwrap_or_else(|| panic!("{}: {log}", output.status)), log }
}

pub(crate) fn media_config() -> WorkerConfig {
    WorkerConfig::Media(MediaConfig {
        size: FrameSize::nearest(64, 64),
        max_fps: Fps::clamped(60),
        bitrate: Kbps::clamped(8000),
        node: None,
    })
}

pub(crate) fn bad_config() -> WorkerConfig {
    WorkerConfig::Gateway(GatewayConfig {
        auth: AuthMode::None,
        front_door: FrontDoor {
            listen: Listen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 8080))),
            trusted: Vec::new(),
            base: BasePath::default(),
        },
        hostname: Text::default(),
        handover: Handover::default(),
        tls: Tls::Off,
        metrics_token: None,
        voucher: None,
        provider: None,
    })
}
