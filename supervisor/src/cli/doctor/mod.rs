//! `lumen doctor`: what this machine supports, line by line, and what to do about what is missing.

mod certificate;
mod finding;
mod graphics;
mod kernel_file;
mod relay;

use std::{
    error::Error,
    io,
    net::TcpListener,
    path::{Path, PathBuf},
};

use lumen_ipc::{
    front_door::Listen,
    process::{ExitCode, Worker},
};
use nix::{
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::Uid,
};

use self::{
    finding::{Finding, Verdict},
    kernel_file::read,
};
use super::output;
use crate::{
    config::{DoctorConfig, audience},
    graphics::{NoNode, Node},
    protection::Loss,
    shell::{
        demo, enclosure, fence, ffi, pads, places, programs, render_node,
        run_dir::Surroundings,
        sentence,
        session_group::{self, Possible},
        sockets, sound, users,
    },
};

pub(super) fn run(config: &DoctorConfig) -> ExitCode {
    if config.trial {
        return graphics::run(config);
    }
    let findings = examine(config);
    let printed =
        if config.json { output::json(&findings) } else { output::print(&text(&findings)) };
    match findings.iter().any(|finding| finding.verdict == Verdict::Missing) {
        true => ExitCode::Failed,
        false => printed,
    }
}

fn text(findings: &[Finding]) -> String {
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| {
            let mark = match finding.verdict {
                Verdict::Missing => "MISSING",
                Verdict::Ok => "ok",
                Verdict::Warn => "warn",
            };
            let advice = finding.advice.map_or(String::new(), |advice| format!(": {advice}"));
            vec![mark.to_owned(), finding.subject.clone(), format!("{}{advice}", finding.found)]
        })
        .collect();
    output::table(&rows)
}

fn examine(config: &DoctorConfig) -> Vec<Finding> {
    let mut findings = vec![kernel(), landlock(), seccomp()];
    findings.extend(fences());
    findings.extend([limits(), datagrams(), control_groups(config), rendering(config)]);
    findings.extend(workers(config));
    findings.extend([
        desktops(),
        runtime_dir(),
        gamepads(),
        sound(),
        browsers(config),
        media(config),
    ]);
    findings.push(certificate::of_page(&config.tls));
    findings.extend(relay::findings(config));
    findings
}

fn kernel() -> Finding {
    let release = read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    let mut number = || numbers.next().and_then(|number| number.parse::<u32>().ok()).unwrap_or(0);
    match (number(), number()) >= (5, 11) {
        true => Finding::ok("kernel", release),
        false => Finding::missing("kernel", release, "Linux 5.11 or newer is needed"),
    }
}

fn landlock() -> Finding {
    match ffi::landlock_abi() {
        Ok(abi) => Finding::ok("Landlock", format!("ABI {abi}")),
        Err(error) => Finding::lost(
            "Landlock",
            Loss::Landlock,
            error,
            "a kernel from 5.13 on with landlock in its lsm=... has it, if the container permits it",
        ),
    }
}

fn seccomp() -> Finding {
    match ffi::takes_a_filter() {
        Ok(()) => Finding::ok("seccomp", "filters can be installed"),
        Err(error) => Finding::missing(
            "seccomp",
            format!("no filter can be installed: {error}"),
            "a kernel with CONFIG_SECCOMP_FILTER is needed, and a container that permits it",
        ),
    }
}

/// Tries what `lumen run` does to a worker, because a dozen settings can forbid it.
fn fences() -> Vec<Finding> {
    let subject = "users and privileges";
    let missing = |error: &dyn Error| Finding::missing(subject, sentence(error), "nothing starts");
    let (users, _leases) = match users::example() {
        Ok(example) => example,
        Err(error) => return vec![missing(&error)],
    };
    let found = match fence::find(users) {
        Ok(found) => found,
        Err(error) => return vec![missing(&error)],
    };
    let whose = match Uid::effective().is_root() {
        true => "workers become other users, for good",
        false => "workers run as this user, without a way to gain privileges",
    };
    let namespaces = match found.refused {
        None => Finding::ok("namespaces", found.namespaces.names().join(", ")),
        Some(refused) => Finding::lost(
            "namespaces",
            Loss::Namespaces,
            refused,
            "an ordinary user's need kernel.unprivileged_userns_clone=1, user.max_user_namespaces \
             and kernel.apparmor_restrict_unprivileged_userns=0; root's need CAP_SYS_ADMIN",
        ),
    };
    vec![Finding::ok(subject, whose), namespaces]
}

/// Tries to set a limit, to its current value.
fn limits() -> Finding {
    let tried = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(soft, hard)| setrlimit(Resource::RLIMIT_NOFILE, soft, hard));
    match tried {
        Ok(()) => Finding::ok("resource limits", "can be lowered"),
        Err(errno) => Finding::lost(
            "resource limits",
            Loss::Limits,
            errno.desc(),
            "let the container call setrlimit",
        ),
    }
}

/// Tries to keep datagrams from services, as root does.
fn datagrams() -> Finding {
    let subject = "datagrams of rtc and the relay";
    if !Uid::effective().is_root() {
        return Finding::ok(subject, "may go to any address; as root they are answers only");
    }
    match enclosure::try_out() {
        Ok(()) => Finding::ok(subject, "go only to whoever wrote first, and to the relay"),
        Err(error) => Finding::warn(
            subject,
            format!("may go to any address ({error})"),
            "a group of cgroup v2 that can be written to, and CAP_BPF or CAP_SYS_ADMIN, prevent that",
        ),
    }
}

/// Makes a session's control group, and removes it.
fn control_groups(config: &DoctorConfig) -> Finding {
    let subject = "control groups";
    match session_group::try_out(&config.limits) {
        Ok(Possible { own, limits: Ok(()) }) => {
            Finding::ok(subject, format!("one for each session, in {}", own.display()))
        }
        Ok(Possible { own, limits: Err(error) }) => Finding::warn(
            subject,
            format!(
                "one for each session, in {}, but {} ({error})",
                own.display(),
                session_group::NO_LIMITS
            ),
            "start Lumen in a unit of its own with `Delegate=yes`",
        ),
        Err(error) => Finding::warn(
            subject,
            format!("{} ({error})", session_group::LOSS),
            "root's sessions have one where cgroup v2 is mounted for writing, others in a unit of the user's \
             (`systemd-run --user --scope`) or in a service with `Delegate=yes`",
        ),
    }
}

/// Looks for the node as a session of this user would. Only media finds out whether its driver draws.
fn rendering(config: &DoctorConfig) -> Finding {
    let subject = "rendering";
    let sudo = std::env::var("SUDO_USER").ok();
    let user = match users::example_owner(sudo.as_deref()) {
        Ok(user) => user,
        Err(error) => return Finding::ok(subject, format!("by the processor: {error}")),
    };
    let by_processor = "by the processor (Pixman, x264)";
    match render_node::choose(&config.gpu, &user) {
        Ok(Node { path, driver, .. }) => Finding::ok(
            subject,
            format!(
                "media tries {} ({driver}), and `lumen status` shows the outcome; H.264 by the processor",
                path.display()
            ),
        ),
        Err(NoNode { path: Some(path), reason, .. }) => {
            Finding::ok(subject, format!("{by_processor}; {}: {reason}", path.display()))
        }
        Err(NoNode { reason, .. }) => Finding::ok(subject, format!("{by_processor}: {reason}")),
    }
}

fn workers(config: &DoctorConfig) -> Vec<Finding> {
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("lumen"));
    let directories = programs::worker_directories(config.workers_dir.as_deref(), &own);
    let finding = |worker: Worker| match programs::worker(worker, &directories) {
        Ok(path) => Finding::ok(worker.binary(), path.display().to_string()),
        Err(missing) => {
            Finding::missing(worker.binary(), missing.to_string(), "nothing can start without it")
        }
    };
    Worker::ALL.map(finding).into()
}

fn desktops() -> Finding {
    let path = programs::search_path(std::env::var_os("PATH"));
    let found: Vec<&str> = demo::DESKTOPS
        .into_iter()
        .filter(|name| programs::find(name.as_ref(), &path).is_some())
        .collect();
    match found.first() {
        Some(first) => Finding::ok(
            "demo desktops",
            format!("{} (`lumen run` starts {first})", found.join(", ")),
        ),
        None => Finding::warn(
            "demo desktops",
            format!("none of {}", demo::DESKTOPS.join(", ")),
            "install one (on Debian or Ubuntu: apt install sway foot), or name an app",
        ),
    }
}

fn runtime_dir() -> Finding {
    let (subject, variable) = ("XDG_RUNTIME_DIR", std::env::var_os("XDG_RUNTIME_DIR"));
    let uid = Uid::effective().as_raw();
    if uid == 0 {
        return Finding::ok(subject, "root's sockets are in /run/lumen");
    }
    let instead = Surroundings::new(uid, None).find().map_or_else(
        || "a private directory in /tmp stands in".to_owned(),
        |path| format!("{} stands in", path.display()),
    );
    match (places::runtime_dir(uid, variable.clone()), variable) {
        (Some(path), _) => Finding::ok(subject, path.display().to_string()),
        (None, None) => Finding::ok(subject, format!("not set; {instead}")),
        (None, Some(value)) => {
            let value = Path::new(&value).display();
            let advice = "unset it, or name a directory of this user's";
            Finding::warn(
                subject,
                format!("{value} is not private to this user; {instead}"),
                advice,
            )
        }
    }
}

/// Opens the device once, which does not create an input device.
fn gamepads() -> Finding {
    let subject = "gamepads";
    match pads::open().map_err(|error| error.kind()) {
        Ok(_) => Finding::ok(subject, format!("{} can be used", pads::UINPUT)),
        Err(io::ErrorKind::NotFound) => Finding::warn(
            subject,
            format!("there is no {}", pads::UINPUT),
            "gamepads are off; load the kernel's module: modprobe uinput",
        ),
        Err(io::ErrorKind::PermissionDenied) => Finding::warn(
            subject,
            format!("{} is not for this user", pads::UINPUT),
            "gamepads are off; run as root, or let a udev rule give it to a group of this user",
        ),
        Err(kind) => {
            Finding::warn(subject, format!("{}: {kind}", pads::UINPUT), "gamepads are off")
        }
    }
}

/// What a sound server of a session's own needs.
fn sound() -> Finding {
    let subject = "sound";
    let missing = sound::missing(&programs::search_path(std::env::var_os("PATH")));
    if missing.is_empty() {
        return Finding::ok(subject, "PipeWire can be started where the user runs none");
    }
    Finding::warn(
        subject,
        format!("not found: {}", missing.join(", ")),
        "there is sound only where the user runs PipeWire; on Debian or Ubuntu: apt install \
         pipewire wireplumber pipewire-pulse",
    )
}

fn browsers(config: &DoctorConfig) -> Finding {
    let listen = &config.front_door.listen;
    let tried = match listen {
        Listen::Tcp(address) => TcpListener::bind(address).map(drop),
        Listen::Unix(path) => sockets::is_free(Path::new(path.as_str())),
    };
    match tried {
        Ok(()) => Finding::ok("door for browsers", format!("{listen} is free")),
        Err(error) => Finding::warn(
            "door for browsers",
            format!("{listen}: {error}"),
            "choose another with --listen, or see `lumen status`",
        ),
    }
}

fn media(config: &DoctorConfig) -> Finding {
    let subject = "UDP for picture and input";
    let audience = audience(&config.front_door, config.public_address);
    let (at, origin) = (config.udp_listen.address(audience), enclosure::Origin::default());
    match sockets::media(at, config.udp_port, &origin) {
        Ok(bound) if bound.address.ip().is_loopback() => Finding::ok(
            subject,
            "loopback only: --listen is a loopback address, and no proxy is trusted, or --udp-listen says so",
        ),
        Ok(bound) if !bound.address.ip().is_unspecified() => {
            Finding::ok(subject, format!("{} only, as --udp-listen says", bound.address.ip()))
        }
        Ok(bound) if bound.address.is_ipv6() => Finding::ok(subject, "IPv4 and IPv6"),
        Ok(_) => Finding::ok(subject, "IPv4 only: this machine has no IPv6"),
        Err(error) => Finding::missing(
            subject,
            format!("port {}: {error}", config.udp_port),
            "choose others with --udp-port and --udp-listen",
        ),
    }
}
