//! The options of what viewers hear and say.

use super::rows::{Key, OptionRow, SESSION};

pub(super) const SOUND: OptionRow = OptionRow {
    key: Key::Sound,
    name: "sound",
    short: None,
    environment: "LUMEN_SOUND",
    placeholder: Some("on|off"),
    default: "on",
    help: "Whether viewers hear what apps play. Needs PipeWire, for which the app waits for up to \
           3 seconds.",
    commands: SESSION,
};

pub(super) const SOUND_BITRATE: OptionRow = OptionRow {
    key: Key::SoundBitrate,
    name: "sound-bitrate",
    short: None,
    environment: "LUMEN_SOUND_BITRATE",
    placeholder: Some("KBPS"),
    default: "128",
    help: "The most kilobits per second for sound, 16 to 510.",
    commands: SESSION,
};

pub(super) const MICROPHONE: OptionRow = OptionRow {
    key: Key::Microphone,
    name: "microphone",
    short: None,
    environment: "LUMEN_MICROPHONE",
    placeholder: Some("on|off"),
    default: "on",
    help: "Whether viewers who control the desktop may speak to its apps, once they switch their \
           microphone on in the page. Needs sound.",
    commands: SESSION,
};
