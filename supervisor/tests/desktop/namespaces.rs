//! Namespaces of workers where the supervisor may not make them itself.

use std::{fs, process::Command};

use lumen_ipc::process::Worker;

use super::{Desktop, LUMEN, Signal, Stage, is_running, pid_of};

/// Whether this kernel lets a user without privilege make namespaces.
fn users_may_make_namespaces() -> bool {
    let unshare = ["unshare", "--user", "--net", "--ipc", "--uts", "true"];
    let mut command = match nix::unistd::geteuid().is_root() {
        true => {
            let mut setpriv = Command::new("setpriv");
            setpriv.args(["--reuid=61190", "--regid=61190", "--clear-groups"]).args(unshare);
            setpriv
        }
        false => {
            let mut plain = Command::new(unshare[0]);
            plain.args(&unshare[1..]);
            plain
        }
    };
    command.status().expect("util-linux is there").success()
}

/// The capabilities that the unit of the host leaves it, for setpriv.
fn capabilities_of_the_unit() -> String {
    let unit = include_str!("../../../systemd/lumen.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("CapabilityBoundingSet="));
    let names = line.expect("it has a line").split_whitespace();
    let kept = names.map(|name| name.replace("CAP_", ",+").to_lowercase());
    format!("-all{}", kept.collect::<String>())
}

#[test]
fn workers_of_root_without_sys_admin_have_the_namespaces_that_their_users_can_make() {
    let stage = Stage::new();
    let mut lumen = Command::new("setpriv");
    if nix::unistd::geteuid().is_root() {
        let kept = capabilities_of_the_unit();
        assert!(kept.contains("+setuid") && !kept.contains("sys_admin"), "{kept}");
        lumen.arg(format!("--bounding-set={kept}")).arg("--inh-caps=-all");
    }
    lumen.arg(LUMEN).args(["serve", "--listen", "127.0.0.1:0", "--relay", "off", "--workers-dir"]);
    lumen
        .arg(&stage.directory)
        .envs(stage.lumen("serve").get_envs().filter_map(|(name, value)| Some((name, value?))));
    lumen.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut host = Desktop::start(lumen);
    assert!(host.address().contains("Lumen's host is ready"));
    let gateway = pid_of(&stage.status(), Worker::Gateway).expect("it serves");
    assert!(is_running(gateway));
    let of = |process: &str, kind: &str| {
        fs::read_link(format!("/proc/{process}/ns/{kind}")).expect("root or its user may read it")
    };
    let own = ["user", "net", "ipc", "uts"]
        .map(|kind| of(&gateway.to_string(), kind) != of("self", kind));
    assert_eq!(own, [users_may_make_namespaces(); 4]);
    let status = fs::read_to_string(format!("/proc/{gateway}/status")).expect("it runs");
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000\n")), "{status}");
    }
    host.signal(Signal::SIGTERM);
    assert!(host.end().0.success());
}
