//! Programs that copy and paste for a shell, and show nothing: `wl-copy` and `wl-paste`.

use std::fs;

use anyhow::Result;
use lumen_tests::{patience::wait_until, rig::Setup, stage::Folder};

#[test]
fn commands_in_a_terminal_copy_and_paste_without_a_window_that_is_seen() -> Result<()> {
    let folder = Folder::new("terminal", 0o1777)?;
    let pasted = folder.path().join("pasted");
    let script = r#"
        printf 'from a shell' | wl-copy
        wl-paste --no-newline >"$1.new"
        mv "$1.new" "$1"
        exec sleep infinity
    "#;
    let file = pasted.to_string_lossy().into_owned();
    let app = ["foot", "sh", "-ec", script, "sh", &file].map(str::to_owned).to_vec();
    let _rig = Setup::new().app(app).start()?;
    wait_until("the shell has pasted what it copied", || pasted.exists())?;
    assert_eq!(fs::read_to_string(&pasted)?, "from a shell");
    Ok(())
}
