//! Viewers that share no code with Chromium or with Lumen. They are programs in Python, in the folder of this name.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};
use lumen_tests::{
    app_event::AppEvent,
    hearing::playing_for_ever,
    picture::{Colour, QUADRANTS, colour_of_key},
    rig::{Rig, Setup},
};
use serde::Deserialize;

/// `KEY_A`, which the viewers type.
const KEY_A: u32 = 30;

/// One of these programs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Program {
    /// Watches by aiortc and the relay alone.
    AiortcRelayed,
    /// Watches, listens and types by aiortc.
    Aiortc,
    /// Watches, listens and types by GStreamer's webrtcbin.
    GStreamer,
    /// Attacks by aiortc.
    Hostile,
}

/// What a viewer received.
#[derive(Debug, Deserialize)]
pub(crate) struct Seen {
    /// Of the picture.
    pub(crate) width: u32,
    /// Of the picture.
    pub(crate) height: u32,
    /// The frequency of the tone, where it listens.
    hertz: Option<f64>,
}

impl Program {
    const fn file(self) -> &'static str {
        match self {
            Self::AiortcRelayed => "aiortc_relayed.py",
            Self::Aiortc => "aiortc_whole.py",
            Self::GStreamer => "gstreamer.py",
            Self::Hostile => "hostile.py",
        }
    }

    /// Runs it to its end, and returns what it printed.
    pub(crate) fn run(self, rig: &Rig, arguments: &[&str]) -> Result<String> {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        // Aiortc comes from pip, GStreamer's modules from the system.
        let interpreter = match self {
            Self::GStreamer => "/usr/bin/python3".into(),
            _ => tests.join(".artifacts/venv/bin/python"),
        };
        // `-B`: it leaves no compiled modules in this folder.
        let output = Command::new(interpreter)
            .arg("-B")
            .arg(tests.join("e2e/viewers").join(self.file()))
            .args([rig.address().to_string().as_str(), rig.token()])
            .args(arguments)
            .output()
            .with_context(|| format!("running {self:?}, which `tests/install.sh test` installs"))?;
        if !output.status.success() {
            bail!("{self:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Watches until the picture's upper left quadrant has this colour.
    pub(crate) fn watches(self, rig: &Rig, arguments: &[&str], colour: Colour) -> Result<Seen> {
        let [red, green, blue] =
            [colour.red, colour.green, colour.blue].map(|part| part.to_string());
        let arguments = [arguments, &[red.as_str(), green.as_str(), blue.as_str()]].concat();
        Ok(serde_json::from_str(&self.run(rig, &arguments)?)?)
    }
}

#[test]
fn aiortc_and_gstreamer_see_the_picture_hear_the_sound_and_type() -> Result<()> {
    let [_, _, music] = playing_for_ever("pw-play")?;
    let rig = Setup::new()
        .option("--size", "1280x720")
        .option("--resize", "fixed")
        .beside(music)
        .start()?;
    // The app fills its window when the first viewer types.
    let shown = [(Program::Aiortc, QUADRANTS[0]), (Program::GStreamer, colour_of_key(KEY_A))];
    for (viewer, colour) in shown {
        let mark = rig.app_log().mark();
        let Seen { width, height, hertz } = viewer.watches(&rig, &[], colour)?;
        assert_eq!((width, height), (1280, 720), "{viewer:?}");
        ensure!(hertz.is_some_and(|hertz| (hertz - 440.0).abs() < 5.0), "{viewer:?}: {hertz:?}");
        for pressed in [true, false] {
            rig.app_log().wait_for_event(mark, &AppEvent::Key { code: KEY_A, pressed })?;
        }
    }
    Ok(())
}
