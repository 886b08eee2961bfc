//! The state of a host, its sessions and their processes, as `lumen status`, `logs` and `metrics`
//! show it, and what viewers are told about an app.
//!
//! These types cross from a session's supervisor to its host's, which may be of another build; see
//! [`crate::message::session`].

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    graphics::GraphicsStatus, identity::SessionId, message::signalling::Reason, phase::Phase,
    process::ProcessId, text::Text,
};

/// Why a request was not carried out, as a sentence.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub Text<1024>);

impl Refusal {
    /// A refusal with this reason, shortened if need be.
    #[must_use]
    pub fn because(reason: impl Into<String>) -> Self {
        Self(Text::truncated(reason))
    }
}

/// What a host knows about a session without asking it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SessionSummary {
    /// Its number.
    pub id: SessionId,
    /// Its name for people; its number if it has no name.
    pub name: Text<32>,
    /// Whether its supervisor is its host's, as with `lumen run`: then they share one log.
    pub shares_log: bool,
    /// The user whose desktop it is.
    pub owner: u32,
    /// Process id of its supervisor.
    pub supervisor_pid: u32,
    /// Seconds since it was started.
    pub age_seconds: u64,
    /// Who watches it.
    pub watchers: Vec<Watcher>,
    /// When it will end by itself unless something changes; `None` if no limit counts for it.
    pub ends: Option<Ends>,
}

/// When a session will end by itself.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Ends {
    /// After so many seconds.
    pub in_seconds: u64,
    /// Why.
    pub because: EndCause,
}

/// Why a session ends by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EndCause {
    /// Those who watch it give no input.
    Idle,
    /// Nobody watches it.
    Unwatched,
}

/// Somebody who watches a session.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Watcher {
    /// From where, as far as the gateway knows.
    pub from: IpAddr,
    /// Seconds since the first of their pages was connected.
    pub since_seconds: u64,
    /// How many of their pages are connected.
    pub pages: u32,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Which.
    pub id: SessionId,
    /// Its name for people; its number if it has no name.
    pub name: Text<32>,
    /// Process id of its supervisor.
    pub supervisor_pid: u32,
    /// The user's app.
    pub app: AppStatus,
    /// Whether it has a control group of its own, by which all its processes are ended; `None` if it has
    /// not been asked.
    pub control_group: Option<bool>,
    /// How often its app and what that started lacked what they may not have more of.
    pub shortages: Shortages,
    /// Who draws its picture; `None` if it has not been asked.
    pub graphics: Option<Box<GraphicsStatus>>,
    /// Its workers.
    pub workers: Vec<ProcessStatus>,
}

/// What a desktop's app and all that it started may not have more of, and lacked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Shortages {
    /// How many of them the kernel has ended, because together they used more memory than they may.
    pub ended_for_memory: u32,
    /// How often one could not be started, because there were as many as there may be.
    pub not_started: u32,
}

/// The user's app.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AppStatus {
    /// Its command line.
    pub command: Text<1024>,
    /// Its process id while it runs.
    pub pid: Option<u32>,
}

/// One worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Which.
    pub process: ProcessId,
    /// Its process id while it runs.
    pub pid: Option<u32>,
    /// The user it runs as.
    pub uid: u32,
    /// Its state, as the lifecycle names it.
    pub state: Text<32>,
    /// Milliseconds since it became ready.
    pub uptime_millis: u64,
    /// How often it was restarted.
    pub restarts: u32,
    /// Milliseconds until its next start, if one is due.
    pub next_try_millis: Option<u64>,
    /// Processor time used by this process, in milliseconds.
    pub cpu_millis: u64,
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// Its confinement.
    pub confinement: ConfinementReport,
    /// Its own summary.
    pub summary: Text<256>,
}

/// The confinement that a worker has applied: the strongest available.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct ConfinementReport {
    /// Landlock ABI in force; zero when the kernel has none.
    pub landlock_abi: u8,
    /// Rules of the seccomp filter.
    pub seccomp_rules: u16,
    /// Its own namespaces, by their names in `/proc/self/ns`.
    pub namespaces: Vec<Text<16>>,
    /// Whether its datagrams reach only whoever wrote to it first, and what the supervisor permits.
    pub only_answers: bool,
    /// Resources that a container does not allow to be limited.
    pub unlimited: Vec<Text<16>>,
}

/// The status of a worker.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Its phase.
    pub phase: Phase,
    /// What it is doing, in a few words, for `lumen status`.
    pub summary: Text<256>,
}

/// One metric. Its name ends with the unit (`_total`, `_bytes`, `_microseconds`…).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// Name, Prometheus style: `video_frames_encoded_total`.
    pub name: Text<64>,
    /// Value.
    pub value: MetricValue,
}

/// The value of a metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricValue {
    /// Only grows.
    Counter(u64),
    /// Goes up and down.
    Gauge(i64),
    /// How often values fell below each bound.
    Histogram(Histogram),
}

/// A distribution: `counts[i]` values were at most `2^i` units, and above `2^(i-1)`.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Values per power of two, the last takes everything larger.
    pub counts: Vec<u64>,
    /// Sum of all values.
    pub sum: u64,
}

/// The state of an app, with the number of this news.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct AppNews {
    /// Counts from 1, over the news of all sessions.
    pub number: u32,
    /// Whose app it is.
    pub session: SessionId,
    /// Its state.
    pub state: AppState,
}

/// The state of a session's app, for its viewers.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub enum AppState {
    /// It has ended. The desktop stays, and the app can be started again.
    Ended {
        /// How, as a sentence.
        reason: Reason,
    },
    /// The desktop ends: there is nothing to come back to.
    Over {
        /// Why, as a sentence.
        reason: Reason,
    },
    /// It runs, or is about to.
    Running,
}
