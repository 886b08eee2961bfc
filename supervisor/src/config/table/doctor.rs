//! The options of `lumen doctor`.

use super::rows::{Command, Key, OptionRow};

pub(super) const REPORT: OptionRow = OptionRow {
    key: Key::Report,
    name: "report",
    short: None,
    environment: "LUMEN_REPORT",
    placeholder: Some("FILE"),
    default: "",
    help: "With --gpu: writes what was found out to FILE, and two seconds of video that was encoded meanwhile \
           beside it, to FILE with the ending h264. Nothing of yours is in them.",
    commands: &[Command::Doctor],
};
