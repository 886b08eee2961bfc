//! Configuration files, through the real `lumen`.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Output};

use super::{Desktop, Signal, Stage};

impl Stage {
    /// A configuration file that only its owner can write.
    fn config(&self, text: &str) -> PathBuf {
        let path = self.directory.join("runtime/lumen.toml");
        fs::write(&path, text).expect("ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("ours");
        path
    }
}

fn refused(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty(), "{:?}", output.stdout);
    said
}

#[test]
fn configuration_file_sets_options_and_the_environment_and_the_command_line_win() {
    let stage = Stage::new();
    let file = stage.config("base-path = \"/file/\"\nlogin-idle = \"1h\"\nlog = \"warn\"\n");
    let mut lumen = stage.run("sleep 1000");
    lumen.arg("--config").arg(&file).env("LUMEN_LOG", "info").args(["--base-path", "/line/"]);
    let mut desktop = Desktop::start(lumen);
    let address = desktop.address();
    assert!(address.contains("/line/#token="), "{address}");
    desktop.signal(Signal::SIGINT);
    assert!(desktop.end().0.success());
    let mut show = stage.lumen("config");
    show.arg("show").env("LUMEN_CONFIG", &file).env("LUMEN_LOG", "info");
    let shown = String::from_utf8(show.output().expect("runs").stdout).expect("text");
    let file = file.display();
    for line in [
        format!("base-path = \"/file/\"  # {file}:1"),
        format!("login-idle = \"1h\"  # {file}:2"),
        "log = \"info\"  # LUMEN_LOG".to_owned(),
        "fps = 60  # default".to_owned(),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
}

#[test]
fn start_with_a_faulty_file_is_refused_by_whichever_command_reads_it() {
    let stage = Stage::new();
    for (text, reason) in [
        (
            "# first\nlisen = \"127.0.0.1:0\"\n",
            ":2: there is no option lisen; did you mean listen?",
        ),
        ("fps = \"many\"\n", ":1: fps is the string \"many\"; expected a whole number"),
        ("fps = 1000\n", ":1: fps = 1000: "),
        ("login-idle = 5\n", ":1: login-idle is the number 5; expected a string"),
    ] {
        let file = stage.config(text);
        for command in ["run", "serve", "session", "doctor"] {
            let mut lumen = stage.lumen(command);
            let said = refused(&lumen.arg("--config").arg(&file).output().expect("runs"));
            assert!(said.contains(&format!("{}{reason}", file.display())), "{command}: {said}");
        }
    }
}

#[test]
fn check_names_all_faults_of_a_file_and_a_right_one() {
    let stage = Stage::new();
    let file = stage.config("fsp = 1\nsize = 2\nx11 = 3\n");
    let check = || stage.lumen("config").arg("check").arg(&file).output().expect("runs");
    let said = refused(&check());
    for line in [":1: there is no option fsp", ":2: size is", ":3: x11 is"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    stage.config("fps = 30\n");
    let output = check();
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("lumen.toml"), "{output:?}");
}

#[test]
fn file_that_everybody_can_write_is_believed_by_nobody() {
    let stage = Stage::new();
    let file = stage.config("fps = 30\n");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o646)).expect("ours");
    for command in ["run", "serve"] {
        let mut lumen = stage.lumen(command);
        let said = refused(&lumen.arg("--config").arg(&file).output().expect("runs"));
        assert!(said.contains("can be written by others"), "{said}");
    }
}

#[test]
fn own_file_is_for_ordinary_users_and_never_for_root() {
    let stage = Stage::new();
    let own = stage.directory.join("runtime/lumen");
    fs::create_dir_all(&own).expect("ours");
    fs::write(own.join("lumen.toml"), "fps = 24\n").expect("ours");
    fs::set_permissions(own.join("lumen.toml"), fs::Permissions::from_mode(0o600)).expect("ours");
    let mut show = stage.lumen("config");
    show.arg("show").env("XDG_CONFIG_HOME", stage.directory.join("runtime"));
    let shown = String::from_utf8(show.output().expect("runs").stdout).expect("text");
    let is_root = nix::unistd::geteuid().is_root();
    assert_eq!(shown.contains("fps = 24"), !is_root, "{shown}");
}
