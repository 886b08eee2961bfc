//! What `lumen serve` gives up, tried in real child processes: every call that is denied, and files.

use std::{
    fs::{self, File},
    io,
    net::TcpStream,
    os::unix::{net::UnixListener, process::parent_id},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use lumen_ipc_runtime::{
    confine::Restraint,
    policy_probe::restrained::{self, Deed},
};
use lumen_supervisor::policy::{self, Places};
use nix::{sys::signal::kill, unistd::Pid};

/// Stands for a worker's program.
const WORKER: &str = "/bin/true";

const DEEDS: [Deed; 11] = [
    Deed {
        name: "stores a state",
        works: true,
        act: |run| {
            fs::write(run.join("state.new"), "state")?;
            fs::rename(run.join("state.new"), run.join("state"))?;
            fs::remove_file(run.join("state"))
        },
    },
    Deed {
        name: "makes a socket anew",
        works: true,
        act: |run| {
            drop(UnixListener::bind(run.join("socket"))?);
            fs::remove_file(run.join("socket"))
        },
    },
    Deed { name: "executes a worker", works: true, act: |_| executes(WORKER) },
    Deed { name: "executes another program", works: false, act: |_| executes("/bin/ls") },
    Deed { name: "reads what a process costs", works: true, act: |_| read("/proc/self/stat") },
    Deed { name: "reads a file of the machine", works: false, act: |_| read("/etc/passwd") },
    Deed { name: "lists the folder of all", works: false, act: |_| fs::read_dir("/").map(drop) },
    Deed {
        name: "makes a file elsewhere",
        works: false,
        act: |_| File::create("/tmp/lumen-restraint-escape").map(drop),
    },
    Deed { name: "makes a folder", works: false, act: |run| fs::create_dir(run.join("folder")) },
    Deed {
        name: "signals a process that it did not start",
        works: true,
        act: |_| Ok(kill(Pid::from_raw(parent_id().cast_signed()), None)?),
    },
    Deed { name: "connects", works: false, act: |_| TcpStream::connect("127.0.0.1:9").map(drop) },
];

fn executes(program: &str) -> io::Result<()> {
    Command::new(program).spawn()?.wait().map(drop)
}

fn read(path: &str) -> io::Result<()> {
    File::open(path).map(drop)
}

fn restraint(run: &Path) -> Restraint {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let libraries =
        maps.lines().filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..])));
    let own = std::env::current_exe().unwrap_or_default();
    policy::host(&Places {
        run: run.to_owned(),
        config: Vec::new(),
        door: None,
        proxy: None,
        group: None,
        certificates: Vec::new(),
        programs: vec![WORKER.into()],
        libraries: libraries.filter(|path| *path != own).collect(),
        signs_in: false,
        writes_proc: false,
    })
}

fn main() -> ExitCode {
    restrained::main(restraint, &DEEDS)
}
