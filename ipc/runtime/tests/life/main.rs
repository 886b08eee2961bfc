//! A worker's life with a real process, real sockets and the real confinement: every step of the
//! bootstrap, and every way to end.
//!
//! This program is both the test and, started with [`stub::ARGUMENT`], the worker. It has no
//! standard harness, because a worker's `main` must be the process's.

mod stub;
mod supervisor;

use std::{fs, panic, process::ExitCode as ProcessExitCode};

use lumen_ipc::{
    ProtoHash,
    link::{Generation, LinkName},
    message::grants::ToWorker,
    phase::Phase,
    process::{ExitCode, Worker},
    service::{Hello, MetricValue},
};
use stub::Order;
use supervisor::{HELLO, Supervisor, bad_config, media_config};

#[expect(clippy::print_stdout, reason = "a harness reports where harnesses do")]
fn main() -> ProcessExitCode {
    if std::env::args().nth(1).as_deref() == Some(stub::ARGUMENT) {
        return stub::main();
    }
    let tests: [(&str, fn()); 15] = [
        ("life_from_hello_to_drain_exits_ok", life_from_hello_to_drain_exits_ok),
        ("ready_worker_is_confined", ready_worker_is_confined),
        ("ready_worker_holds_only_its_grants", ready_worker_holds_only_its_grants),
        (
            "metrics_of_ready_worker_include_the_process",
            metrics_of_ready_worker_include_the_process,
        ),
        ("granted_link_end_replaces_the_old", granted_link_end_replaces_the_old),
        ("supervisor_gone_before_hello_exits", supervisor_gone_before_hello_exits),
        ("supervisor_gone_while_serving_exits", supervisor_gone_while_serving_exits),
        ("hello_of_another_build_is_refused", hello_of_another_build_is_refused),
        ("request_out_of_phase_is_refused", request_out_of_phase_is_refused),
        ("configure_for_another_worker_is_refused", configure_for_another_worker_is_refused),
        ("start_with_unusable_grant_is_refused_and_exits", start_with_unusable_grant),
        ("forbidden_syscall_is_named_and_exits", forbidden_syscall_is_named_and_exits),
        ("panic_on_any_thread_exits", panic_on_any_thread_exits),
        ("violation_from_a_peer_has_its_exit_code", violation_from_a_peer_has_its_exit_code),
        ("started_by_hand_says_so", started_by_hand_says_so),
    ];
    let failed: Vec<_> = tests
        .into_iter()
        .filter(|(name, test)| {
            let passed = panic::catch_unwind(test).is_ok();
            println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
            !passed
        })
        .collect();
    if failed.is_empty() { ProcessExitCode::SUCCESS } else { ProcessExitCode::FAILURE }
}

fn life_from_hello_to_drain_exits_ok() {
    let mut supervisor = Supervisor::spawn();
    assert_eq!(supervisor.status().phase, Phase::Starting);
    let report = supervisor.start_worker();
    assert!(report.seccomp_rules > 50, "{report:?}");
    // It is ready before it serves, and "serving" is its first summary.
    let first_word = std::iter::repeat_with(|| supervisor.status())
        .inspect(|status| assert_eq!(status.phase, Phase::Ready))
        .find(|status| !status.summary.as_str().is_empty());
    assert_eq!(first_word.expect("endless").summary.as_str(), "serving");
    supervisor.drain().expect("a ready worker drains");
    assert_eq!(supervisor.end().code, ExitCode::Ok);
}

fn ready_worker_is_confined() {
    let mut supervisor = Supervisor::spawn();
    supervisor.start_worker();
    let status = supervisor.proc_status();
    for line in ["NoNewPrivs:\t1", "Seccomp:\t2", "CapEff:\t0000000000000000"] {
        assert!(status.contains(line), "{line} is not in\n{status}");
    }
    // The test may run as root; the worker must have dropped those capabilities.
    assert!(status.contains("CapPrm:\t0000000000000000"), "{status}");
}

fn ready_worker_holds_only_its_grants() {
    let mut supervisor = Supervisor::spawn();
    supervisor.start_worker();
    let held = supervisor.descriptors();
    let sockets = held.iter().filter(|what| what.starts_with("socket:")).count();
    // Control, grants, and one link.
    assert_eq!(sockets, 3, "{held:?}");
    // Beyond standard streams and sockets only the runtime's epolls and eventfds, no files.
    let known = |what: &str| {
        ["socket:", "pipe:", "/dev/null", "anon_inode:[eventpoll]", "anon_inode:[eventfd]"]
            .iter()
            .any(|kind| what.starts_with(kind))
    };
    assert!(held.iter().all(|what| known(what)), "{held:?}");
}

fn metrics_of_ready_worker_include_the_process() {
    let mut supervisor = Supervisor::spawn();
    assert_eq!(supervisor.metrics(), []);
    supervisor.start_worker();
    let metrics = supervisor.metrics();
    let value = |name: &str| {
        metrics.iter().find(|metric| metric.name.as_str() == name).map(|metric| &metric.value)
    };
    assert_eq!(value("stub_grants_total"), Some(&MetricValue::Counter(1)));
    let Some(MetricValue::Gauge(peak)) = value("process_resident_peak_bytes") else {
        panic!("{metrics:?}");
    };
    assert!(*peak > 100_000, "{peak}");
}

fn granted_link_end_replaces_the_old() {
    let mut supervisor = Supervisor::spawn();
    supervisor.start_worker();
    let old = supervisor.regrant();
    supervisor.wait_until_closed(&old);
    supervisor.order(Order::Return);
    assert_eq!(supervisor.end().code, ExitCode::Ok);
}

fn supervisor_gone_before_hello_exits() {
    let supervisor = Supervisor::spawn();
    assert_eq!(supervisor.end_by_closing().code, ExitCode::SupervisorGone);
}

fn supervisor_gone_while_serving_exits() {
    let mut supervisor = Supervisor::spawn();
    supervisor.start_worker();
    assert_eq!(supervisor.end_by_closing().code, ExitCode::SupervisorGone);
}

fn hello_of_another_build_is_refused() {
    let supervisor = Supervisor::spawn();
    let stranger = Hello { proto_hash: ProtoHash(HELLO.proto_hash.0 ^ 1), ..HELLO };
    supervisor.hello(stranger).expect_err("another build");
    assert_eq!(supervisor.end().code, ExitCode::WrongBuild);

    let supervisor = Supervisor::spawn();
    supervisor.hello(Hello { worker: Worker::Rtc, ..HELLO }).expect_err("another worker");
    assert_eq!(supervisor.end().code, ExitCode::WrongBuild);
}

fn request_out_of_phase_is_refused() {
    let mut supervisor = Supervisor::spawn();
    supervisor.start(0).expect_err("not configured");
    supervisor.drain().expect_err("not ready");
    supervisor.configure(media_config(), "info").expect_err("before hello");
    supervisor.start_worker();
    supervisor.hello(HELLO).expect_err("already ready");
    supervisor.start(0).expect_err("already ready");
    supervisor.drain().expect("it is ready, and unimpressed");
    assert_eq!(supervisor.end().code, ExitCode::Ok);
}

fn configure_for_another_worker_is_refused() {
    let supervisor = Supervisor::spawn();
    supervisor.hello(HELLO).expect("same build");
    supervisor.configure(bad_config(), "info").expect_err("another worker's");
    supervisor.configure(media_config(), "=nonsense=[").expect_err("malformed filter");
    supervisor.configure(media_config(), "debug").expect("legal");
    assert_eq!(supervisor.status().phase, Phase::Granted);
}

fn start_with_unusable_grant() {
    let supervisor = Supervisor::spawn();
    supervisor.hello(HELLO).expect("same build");
    supervisor.configure(media_config(), "info").expect("legal");
    let file = fs::File::open("/dev/null").expect("open");
    supervisor.grant(
        ToWorker::LinkEnd { link: LinkName::Packets, generation: Generation(1) },
        file.into(),
    );
    let refusal = supervisor.start(1).expect_err("a file is no link");
    assert!(refusal.0.as_str().contains("link"), "{refusal}");
    assert_eq!(supervisor.end().code, ExitCode::CouldNotStart);
}

fn forbidden_syscall_is_named_and_exits() {
    let mut supervisor = Supervisor::spawn();
    supervisor.start_worker();
    supervisor.order(Order::OpenFile);
    let end = supervisor.end();
    assert_eq!(end.code, ExitCode::ForbiddenSyscall);
    let number = libc::SYS_openat;
    let line = format!("lumen-media: forbidden system call {number} (openat)");
    assert!(end.log.contains(&line), "{}", end.log);
}

fn panic_on_any_thread_exits() {
    for order in [Order::Panic, Order::PanicOnThread] {
        let mut supervisor = Supervisor::spawn();
        supervisor.start_worker();
        supervisor.order(order);
        let end = supervisor.end();
        assert_eq!(end.code, ExitCode::Panicked, "{order:?}: {}", end.log);
        assert!(end.log.contains("lumen-media: a bug: "), "{}", end.log);
    }
}

fn violation_from_a_peer_has_its_exit_code() {
    let mut supervisor = Supervisor::spawn();
    supervisor.start_worker();
    supervisor.send_garbage();
    let end = supervisor.end();
    assert_eq!(end.code, ExitCode::LinkViolation);
    assert!(end.log.contains("violation on link packets"), "{}", end.log);
}

fn started_by_hand_says_so() {
    let end = supervisor::start_by_hand();
    assert_eq!(end.code, ExitCode::NotSupervised);
    assert!(end.log.contains("not by hand"), "{}", end.log);
}
