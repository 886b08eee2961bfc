//! What a liar in the sound worker's place asks of the session's sound server, which has the rights of the session's
//! user: a plugin whose settings name a file that it writes to.
//!
//! The same is asked first over a connection of the test's own, and there the server does it: what holds is
//! what stands between the server and the worker.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use lumen_ipc::{
    message::grants::{ToSupervisor, ToWorker},
    process::Worker,
};
use lumen_tests::patience::wait_until;

use crate::{
    goal::{Goal, Row},
    puppet::Puppet,
    scene::{Bait, Scene},
};

/// How long an answer is awaited that must not come.
const SILENCE: Duration = Duration::from_secs(2);
/// The sound server's socket.
const SOCKET: &str = "pipewire-0";

/// Asks over every connection that the liar gets.
pub(crate) fn ask(scene: &Scene, bait: &Bait, puppet: &Puppet, row: &mut Row) -> Result<()> {
    if scene.part.kind() != Worker::Sound {
        return Ok(());
    }
    let begun = Instant::now();
    let written = bait.files.folder.join("written-by-the-sound-server");
    let mut own = UnixStream::connect(socket(scene)?).context("the sound server")?;
    own.write_all(&requests(&written))?;
    wait_until("the sound server writes what it is asked for", || written.exists())?;
    puppet.borrow()?.grants.send(&ToSupervisor::SoundServerWanted, &[])?;
    let mut connections = Vec::new();
    wait_until("the liar has its connections", || {
        connections = puppet.borrow().map(connections_of).unwrap_or_default();
        connections.len() >= 2
    })?;
    for connection in connections {
        let mut connection = UnixStream::from(connection);
        connection.write_all(&requests(&bait.files.letter))?;
        connection.set_nonblocking(false)?;
        connection.set_read_timeout(Some(SILENCE))?;
        let mut said = Vec::new();
        // It is closed, or the server has done what it wants by then.
        match connection.read_to_end(&mut said) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
            _ => {}
        }
        row.tried(Goal::File, 1, begun);
    }
    row.expect(Goal::File, bait.file_is_untouched().is_ok(), || {
        "the sound server writes to the user's file".to_owned()
    });
    Ok(())
}

fn connections_of(borrowed: crate::puppet::Borrowed) -> Vec<OwnedFd> {
    let is_connection =
        |grant: &ToWorker| matches!(grant, ToWorker::SoundServer | ToWorker::SoundSinkOwner);
    let granted = borrowed.granted.into_iter();
    granted.filter(|(grant, _)| is_connection(grant)).map(|(_, descriptor)| descriptor).collect()
}

/// Where the server of the liar's session listens.
fn socket(scene: &Scene) -> Result<PathBuf> {
    let mut found = None;
    wait_until("the sound server listens", || {
        found = find(&scene.host.run_folder());
        found.is_some()
    })?;
    found.context("a socket")
}

fn find(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let mut entries: Vec<_> = entries.collect();
    entries.sort();
    let own = entries.iter().find(|path| path.file_name().is_some_and(|name| name == SOCKET));
    own.cloned().or_else(|| {
        let folders = entries.iter().filter(|path| path.is_dir() && !path.is_symlink());
        folders.filter_map(|folder| find(folder)).next()
    })
}

/// A greeting, and a plugin that logs to `file`
/// (<https://docs.pipewire.org/page_native_protocol.html>).
fn requests(file: &Path) -> Vec<u8> {
    let settings = [
        ("factory.name", "support.log"),
        ("library.name", "support/libspa-support"),
        ("log.file", &file.to_string_lossy()),
        ("log.level", "5"),
    ];
    let texts = settings.iter().flat_map(|(name, value)| [text(name), text(value)]);
    let settings: Vec<_> = std::iter::once(number(4)).chain(texts).collect();
    let plugin = [
        text("spa-node-factory"),
        text("PipeWire:Interface:Node"),
        number(3),
        value(STRUCT, &settings.concat()),
        number(2),
    ];
    // Only who has told something of itself is given rights.
    let known = [number(1), text("application.name"), text("liar")].concat();
    let known = message(CLIENT, 2, &[value(STRUCT, &known)]);
    [message(CORE, 1, &[number(3)]), known, message(CORE, 6, &plugin)].concat()
}

/// The objects that each connection has from the start.
const CORE: u32 = 0;
const CLIENT: u32 = 1;

const INT: u32 = 4;
const STRING: u32 = 8;
const STRUCT: u32 = 14;

fn message(object: u32, method: u32, arguments: &[Vec<u8>]) -> Vec<u8> {
    let content = value(STRUCT, &arguments.concat());
    let form = method << 24 | u32::try_from(content.len()).unwrap_or_default();
    [[object, form, 0, 0].map(u32::to_ne_bytes).concat(), content].concat()
}

fn value(kind: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or_default();
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn number(number: u32) -> Vec<u8> {
    value(INT, &number.to_ne_bytes())
}

fn text(text: &str) -> Vec<u8> {
    value(STRING, &[text.as_bytes(), &[0]].concat())
}
