//! Runs a media that tries a graphics processor and tells what it finds out, for `lumen doctor --gpu`.
//!
//! It is executed as a session's media is: by the same fence, as the same user, with the node opened for it alone.
//! Instead of links it gets two pipes; it confines itself, and ends by itself. What comes out of the pipes is as
//! little trusted as any worker's words: it is bounded here, and made visible where it is shown.

use std::{
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use lumen_ipc::{
    graphics::{EncoderUse, NodeUse},
    message::grants::{ToSupervisor, ToWorker},
    process::Worker,
    service::{ConfinementReport, ControlClient, MediaConfig, WorkerConfig},
    text::Text,
    units::{Fps, FrameSize, Kbps},
};
use lumen_ipc_runtime::{channel::Channel, rpc};
use nix::{fcntl::OFlag, sys::signal::Signal, unistd::pipe2};
use tarpc::{
    client::{self, NewClient},
    context,
};

use super::{
    event::WorkerEvent,
    fence, handshake, programs, render_node, sentence,
    spawn::{self, ReservedNumbers, Spawned, WorkerLaunch},
    users, watch,
};
use crate::{graphics::Node, lifecycle::Verdict};

/// The most that is read of findings and of complaints.
const MOST_TEXT: u64 = 256 * 1024;
/// The most that is read of the video: two seconds at many times the usual rate.
const MOST_VIDEO: u64 = 64 * 1024 * 1024;
/// How long a trial may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// What a trial has brought.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What was found out, by what it is about.
    pub(crate) findings: Vec<(String, String)>,
    /// What media wrote to its log.
    pub(crate) complaints: String,
    /// What was encoded.
    pub(crate) video: Vec<u8>,
    /// How media was confined; `None` if it did not get so far.
    pub(crate) confined: Option<ConfinementReport>,
    /// How media ended.
    pub(crate) verdict: Verdict,
}

/// Lets a media of these directories try `node`, or the processor alone.
///
/// # Errors
/// Why none could be started.
pub(crate) fn run(node: Option<&Node>, directories: &[PathBuf]) -> Result<Outcome, String> {
    let failed = |error: &dyn std::error::Error| sentence(error);
    // Held until the end: the numbers that a worker's descriptors get.
    let _reserved = ReservedNumbers::take().map_err(|error| failed(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(&error))?;
    runtime.block_on(try_out(node, directories))
}

async fn try_out(node: Option<&Node>, directories: &[PathBuf]) -> Result<Outcome, String> {
    let failed = |error: &dyn std::error::Error| sentence(error);
    let io_failed = |error: io::Error| sentence(&error);
    let (users, _leases) = users::example().map_err(|error| failed(&error))?;
    let namespaces = fence::find(users).map_err(|error| failed(&error))?.namespaces;
    let program = programs::worker(Worker::Media, directories).map_err(|error| failed(&error))?;
    let program = programs::open(&program).map_err(io_failed)?;
    // For the driver that draws, and for the one that encodes.
    let opened = node.into_iter().flat_map(|node| [node, node]).map(render_node::open);
    let opened = opened.collect::<io::Result<Vec<_>>>().map_err(io_failed)?;
    let (report, its_report) = pipe()?;
    let (video, its_video) = pipe()?;
    let (control, its_control) = UnixStream::pair().map_err(io_failed)?;
    let (grants, its_grants) =
        Channel::<ToSupervisor, ToWorker>::pair().map_err(|error| failed(&error))?;
    let transport = rpc::transport(OwnedFd::from(control)).map_err(io_failed)?;
    let NewClient { client, dispatch } = ControlClient::new(client::Config::default(), transport);
    let launch = WorkerLaunch {
        worker: Worker::Media,
        program: program.as_fd(),
        identity: users.of(Worker::Media).filter(|_| users.are_apart()),
        namespaces,
        group: None,
        control: its_control.as_fd(),
        grants: its_grants.as_fd(),
    };
    let Spawned { child, ended, output } = spawn::worker(&launch).map_err(io_failed)?;
    drop((its_control, its_grants));
    tokio::spawn(dispatch);
    let (findings, video) = (read(report, MOST_TEXT), read(video, MOST_VIDEO));
    let complaints = read(output, MOST_TEXT);
    let told = node.map(|node| NodeUse { software: node.software, encode: EncoderUse::Always });
    let mut granted = vec![(ToWorker::TrialReport, its_report), (ToWorker::TrialVideo, its_video)];
    granted.extend(opened.into_iter().map(|node| (ToWorker::RenderNode, node)));
    let confined = start(&client, &grants, told, &granted).await;
    // What media holds of them is all that keeps the pipes open from here on.
    drop(granted);
    if confined.is_err() {
        child.signal(Signal::SIGKILL);
    }
    let end = watch::end(&child, ended, || {});
    let verdict = match tokio::time::timeout(PATIENCE, end).await {
        Ok(verdict) => verdict,
        Err(_) => {
            child.signal(Signal::SIGKILL);
            watch::end(&child, None, || {}).await
        }
    };
    let (findings, complaints) = (text(findings), text(complaints));
    let (confined, refused) = match confined {
        Ok(report) => (Some(report), None),
        Err(refusal) => (None, Some(("start".to_owned(), refusal))),
    };
    let findings = findings.lines().filter_map(|line| line.split_once('\t'));
    let findings = findings.map(|(subject, found)| (subject.to_owned(), found.to_owned()));
    Ok(Outcome {
        findings: findings.chain(refused).collect(),
        complaints,
        video: video.join().unwrap_or_default(),
        confined,
        verdict,
    })
}

/// Greets, configures and starts media, which is then confined.
async fn start(
    client: &ControlClient,
    channel: &Channel<ToSupervisor, ToWorker>,
    node: Option<NodeUse>,
    granted: &[(ToWorker, OwnedFd)],
) -> Result<ConfinementReport, String> {
    let config = WorkerConfig::Media(MediaConfig {
        size: FrameSize::nearest(1280, 720),
        max_fps: Fps::clamped(60),
        bitrate: Kbps::clamped(20_000),
        node,
    });
    let log = Text::truncated("warn");
    match handshake::introduce(client.clone(), Worker::Media, config, log).await {
        WorkerEvent::Configured => {}
        WorkerEvent::HandshakeFailed(reason) => return Err(reason),
        _ => return Err("media is of another build; install all programs together".to_owned()),
    }
    for (grant, descriptor) in granted {
        channel.send(grant, &[descriptor.as_fd()]).map_err(|error| sentence(&error))?;
    }
    let count = u16::try_from(granted.len()).unwrap_or(u16::MAX);
    // Longer than a session waits: that a driver is slow is to be found out.
    let mut context = context::current();
    context.deadline = Instant::now() + PATIENCE;
    match client.start(context, count).await {
        Ok(Ok(report)) => Ok(report),
        Ok(Err(refusal)) => Err(refusal.to_string()),
        Err(error) => Err(sentence(&error)),
    }
}

fn pipe() -> Result<(OwnedFd, OwnedFd), String> {
    pipe2(OFlag::O_CLOEXEC).map_err(|errno| sentence(&errno))
}

/// Reads a pipe to its end on a thread of its own, so that its writer never waits; keeps at most so many bytes.
fn read(pipe: OwnedFd, most: u64) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut pipe, mut kept) = (File::from(pipe), Vec::new());
        // A pipe that cannot be read to its end has said what it has said.
        let _ = pipe.by_ref().take(most).read_to_end(&mut kept);
        let _ = io::copy(&mut pipe, &mut io::sink());
        kept
    })
}

fn text(read: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&read.join().unwrap_or_default()).into_owned()
}
