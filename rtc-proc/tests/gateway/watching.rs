//! `/healthz`, `/readyz` and `/metrics` as those meet them who watch over Lumen, and as strangers do.

use std::collections::{BTreeMap, BTreeSet};

use lumen_ipc::{
    front_door::Listen,
    message::session::TokenDigest,
    process::{ProcessId, Worker},
    service::{
        AppStatus, AuthMode, ConfinementReport, Histogram, HostStatus, Metric, MetricValue,
        ProcessStatus, SessionStatus, Shortages,
    },
    text::Text,
    tls::Tls,
    units::SessionId,
};
use sha2::{Digest, Sha256};

use crate::rig::{Response, Rig};

const SECRET: &str = "a token for metrics";

fn process(worker: Worker, state: &str) -> ProcessStatus {
    ProcessStatus {
        process: ProcessId::serving(SessionId::SOLE, worker),
        pid: Some(1),
        uid: 1,
        state: Text::truncated(state),
        uptime_millis: 1,
        restarts: 2,
        next_try_millis: None,
        cpu_millis: 1,
        memory_bytes: 4096,
        confinement: ConfinementReport::default(),
        summary: Text::default(),
    }
}

/// One session, whose media is in this state.
fn status(media: &str) -> HostStatus {
    let workers = vec![
        process(Worker::Compositor, "ready"),
        process(Worker::Media, media),
        process(Worker::Rtc, "ready"),
    ];
    HostStatus {
        listen: Listen::Tcp(([127, 0, 0, 1], 80).into()),
        auth: AuthMode::Token,
        tls: Tls::Off,
        fingerprint: None,
        supervisor_pid: 1,
        restraint: ConfinementReport::default(),
        waiting: Vec::new(),
        workers: vec![process(Worker::Gateway, "ready")],
        sessions: vec![SessionStatus {
            id: SessionId::SOLE,
            name: Text::default(),
            supervisor_pid: 1,
            app: AppStatus { command: Text::default(), pid: None },
            control_group: None,
            shortages: Shortages::default(),
            graphics: None,
            workers,
        }],
    }
}

fn metrics() -> Vec<(ProcessId, Vec<Metric>)> {
    let metric = |name: &str, value| Metric { name: Text::truncated(name), value };
    let histogram = Histogram { counts: vec![0, 5, 7], sum: 30 };
    let common = || metric("link_violations_total", MetricValue::Counter(3));
    vec![
        (ProcessId::serving(SessionId::SOLE, Worker::Gateway), vec![common()]),
        (
            ProcessId::serving(SessionId::SOLE, Worker::Media),
            vec![common(), metric("encode_microseconds", MetricValue::Histogram(histogram))],
        ),
    ]
}

async fn watched(media: &str, trusted: &[&str]) -> Rig {
    let token = TokenDigest(Sha256::digest(SECRET.as_bytes()).into());
    Rig::start_watched((status(media), metrics()), Some(token), trusted).await
}

async fn ask(rig: &Rig, path: &str, headers: &str) -> Response {
    rig.request("GET", path, headers, "").await
}

#[tokio::test]
async fn ready_is_a_gateway_whose_session_can_show_a_picture() {
    let rig = watched("ready", &[]).await;
    let response = ask(&rig, "/readyz", "").await;
    assert_eq!((response.status(), response.body()), (200, "ready\n"));
    let rig = watched("starting", &[]).await;
    let response = ask(&rig, "/readyz", "").await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.body(), "The media of session 1 is starting.\n");
    let alive = ask(&rig, "/healthz", "").await;
    assert_eq!((alive.status(), alive.body()), (200, "ok\n"), "it lives all the same");
}

#[tokio::test]
async fn stranger_learns_nothing_and_the_token_opens_both() {
    let rig = watched("starting", &["127.0.0.1"]).await;
    let forged = "X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: localhost\r\n";
    for path in ["/readyz", "/metrics"] {
        let mut refused = BTreeSet::new();
        for headers in
            ["", forged, "Authorization: Bearer wrong\r\n", "Authorization: Basic YTpi\r\n"]
        {
            let response = ask(&rig, path, headers).await;
            assert_eq!(response.status(), 403, "{path} {headers}");
            refused.insert(response.body().to_owned());
        }
        assert_eq!(refused.into_iter().collect::<Vec<_>>(), ["Forbidden.\n"]);
        let token = format!("{forged}Authorization: Bearer {SECRET}\r\n");
        let expected = if path == "/metrics" { 200 } else { 503 };
        assert_eq!(ask(&rig, path, &token).await.status(), expected);
    }
}

#[tokio::test]
async fn questions_beyond_the_budget_are_refused_and_strangers_use_none_of_it() {
    let rig = watched("ready", &["127.0.0.2"]).await;
    for _ in 0..30 {
        assert_eq!(ask(&rig, "/readyz", "X-Forwarded-For: 192.0.2.7\r\n").await.status(), 403);
    }
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(ask(&rig, "/readyz", "").await.status());
    }
    assert_eq!(statuses[..10], [200; 10]);
    assert!(statuses.contains(&429), "{statuses:?}");
}

/// A sample: its name, its labels as they are written, its value.
type Sample = (String, String, f64);

/// Reads an exposition as Prometheus does, as strictly as its format is described: the help and the type of
/// a family come first and once, all its samples follow together, and no series occurs twice.
fn parse(text: &str) -> BTreeMap<String, (String, Vec<Sample>)> {
    let mut families: BTreeMap<String, (String, Vec<Sample>)> = BTreeMap::new();
    let mut present = String::new();
    let mut helped = BTreeSet::new();
    let mut series = BTreeSet::new();
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a sentence");
            assert!(!help.is_empty() && helped.insert(name.to_owned()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(helped.contains(name), "{line}");
            let new = families.insert(name.to_owned(), (kind.to_owned(), Vec::new())).is_none();
            assert!(new, "{line}");
            present = name.to_owned();
        } else {
            let (name, value) = line.rsplit_once(' ').expect("a value");
            let (name, labels) = match name.split_once('{') {
                Some((name, labels)) => (name, labels.strip_suffix('}').expect("labels end")),
                None => (name, ""),
            };
            for label in labels.split(',').filter(|label| !label.is_empty()) {
                let (_, value) = label.split_once('=').expect("a label's value");
                assert!(
                    value.len() >= 2 && value.starts_with('"') && value.ends_with('"'),
                    "{line}"
                );
            }
            let (kind, samples) = families.get_mut(&present).expect("a type before");
            let parts = ["_bucket", "_sum", "_count"].map(|part| format!("{present}{part}"));
            let own = match kind.as_str() {
                "histogram" => parts.iter().any(|part| part == name),
                _ => present == name,
            };
            assert!(own, "{line} after the type of {present}");
            assert!(series.insert((name.to_owned(), labels.to_owned())), "{line} occurs twice");
            let value = value.parse().expect("a number");
            samples.push((name.to_owned(), labels.to_owned(), value));
        }
    }
    families
}

#[tokio::test]
async fn metrics_are_what_prometheus_reads() {
    let rig = watched("ready", &[]).await;
    let response = ask(&rig, "/metrics", "").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let families = parse(response.body());
    let samples = |name: &str| families.get(name).map(|(_, samples)| samples.clone());
    let violations = samples("lumen_link_violations_total").expect("there");
    assert_eq!(violations.len(), 2, "the host's gateway and the session's media");
    let sample = |name: &str, labels: &str, value| (name.to_owned(), labels.to_owned(), value);
    let name = "lumen_link_violations_total";
    assert!(violations.contains(&sample(name, "worker=\"gateway\"", 3.0)), "{violations:?}");
    assert!(violations.contains(&sample(name, "session=\"1\",worker=\"media\"", 3.0)));
    let (kind, encode) = &families["lumen_encode_seconds"];
    assert_eq!(kind, "histogram");
    let buckets: Vec<f64> = encode
        .iter()
        .filter(|(name, ..)| name.ends_with("_bucket"))
        .map(|(.., value)| *value)
        .collect();
    assert!(buckets.is_sorted() && buckets.last() == Some(&12.0), "{buckets:?}");
    assert_eq!(samples("lumen_sessions").expect("there")[0].2, 1.0);
    assert_eq!(samples("lumen_worker_ready").expect("there").len(), 4);
}
