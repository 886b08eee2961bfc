//! What a liar in the sound worker's place asks of the session's sound server, which has the rights of the session's
//! user: a plugin whose settings name a file that it writes to, and a stream that apps take for a microphone of the
//! user's.
//!
//! The same is asked first over a connection of the test's own, and there the server does it: what holds is
//! what stands between the server and the worker.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lumen_ipc::{
    message::grants::{ToSupervisor, ToWorker},
    process::Worker,
};
use lumen_tests::patience::{patience, wait_for_ok, wait_until};
use serde_json::Value;

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
    let server = socket(scene)?;
    let begun = Instant::now();
    let written = bait.files.folder.join("written-by-the-sound-server");
    let own = say(UnixStream::connect(&server).context("the sound server")?, &plugin(&written))?;
    wait_until("the sound server writes what it is asked for", || written.exists())?;
    drop(own);
    for connection in connections(puppet)? {
        await_end(&mut say(connection.into(), &plugin(&bait.files.letter))?)?;
        row.tried(Goal::File, 1, begun);
    }
    row.expect(Goal::File, bait.file_is_untouched().is_ok(), || {
        "the sound server writes to the user's file".to_owned()
    });
    for made in [&HEARS[..], &LUMENS_OWN] {
        pose(puppet, &server, made, row)?;
    }
    Ok(())
}

/// Makes a stream as this, which then poses as a microphone of the user's.
fn pose(puppet: &Puppet, server: &Path, made: &[(&str, &str)], row: &mut Row) -> Result<()> {
    let begun = Instant::now();
    let mut own = say(UnixStream::connect(server)?, &pretender(made))?;
    own.set_read_timeout(Some(patience()))?;
    answer(&mut own)?;
    wait_for_ok("apps find what poses as a microphone", || found_as_microphone(server))?;
    drop(own);
    wait_until("it is gone", || found_as_microphone(server).is_err())?;
    for connection in connections(puppet)? {
        // It stays open until it has been looked for.
        let mut connection = say(connection.into(), &pretender(made))?;
        connection.set_nonblocking(false)?;
        connection.set_read_timeout(Some(SILENCE))?;
        answer(&mut connection)?;
        await_end(&mut connection)?;
        row.tried(Goal::Keys, 1, begun);
        row.expect(Goal::Keys, found_as_microphone(server).is_err(), || {
            "apps take what it says for what the user's microphone hears".to_owned()
        });
    }
    Ok(())
}

/// The last two connections that the liar is given, once it has asked for them.
fn connections(puppet: &Puppet) -> Result<Vec<OwnedFd>> {
    let before = connections_of(puppet.borrow()?).len();
    puppet.borrow()?.grants.send(&ToSupervisor::SoundServerWanted, &[])?;
    let mut connections = Vec::new();
    wait_until("the liar has its connections", || {
        connections = puppet.borrow().map(connections_of).unwrap_or_default();
        connections.len() >= before + 2
    })?;
    Ok(connections.split_off(before))
}

fn say(mut connection: UnixStream, requests: &[u8]) -> Result<UnixStream> {
    connection.write_all(requests)?;
    Ok(connection)
}

/// Answers the question by which the server finds out whether a stream's owner is there, if it asks.
fn answer(connection: &mut UnixStream) -> Result<()> {
    let mut head = [0; 16];
    while connection.read_exact(&mut head).is_ok() {
        let words = head.as_chunks::<4>().0.iter().map(|word| u32::from_ne_bytes(*word));
        let [object, form, _, _] = words.collect::<Vec<_>>()[..] else { break };
        let mut content = vec![0; (form & 0xff_ffff) as usize];
        connection.read_exact(&mut content)?;
        if (object, form >> 24) == (CORE, 2) {
            let length = u32::try_from(content.len())?;
            let head = [CORE, 3 << 24 | length, 0, 0].map(u32::to_ne_bytes).concat();
            connection.write_all(&[head, content].concat())?;
            break;
        }
    }
    Ok(())
}

/// Waits until it is closed, or the server has done what it was asked for.
fn await_end(connection: &mut UnixStream) -> Result<()> {
    connection.set_nonblocking(false)?;
    connection.set_read_timeout(Some(SILENCE))?;
    match connection.read_to_end(&mut Vec::new()) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error.into()),
        _ => Ok(()),
    }
}

/// Whether programs find the liar's stream as a microphone.
fn found_as_microphone(server: &Path) -> Result<()> {
    let said = Command::new("pw-dump").env("PIPEWIRE_REMOTE", server).output()?;
    let nodes: Value = serde_json::from_slice(&said.stdout).context("pw-dump")?;
    let is_one = |node: &Value| {
        let properties = &node["info"]["props"];
        properties["node.name"] == POSE[1].1 && properties["media.class"] == POSE[0].1
    };
    let is_there = nodes.as_array().is_some_and(|nodes| nodes.iter().any(is_one));
    ensure!(is_there, "there is none");
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

/// What the stream of a worker that was taken over calls itself: a microphone at the user's machine.
const POSE: [(&str, &str); 2] =
    [("media.class", "Audio/Source"), ("node.name", "alsa_input.usb-the-users-own")];

/// What the worker's streams may be made as: one that hears, and a viewer's microphone.
const HEARS: [(&str, &str); 1] = [("media.class", "Stream/Input/Audio")];
const LUMENS_OWN: [(&str, &str); 4] = [
    ("media.class", "Audio/Source"),
    ("media.type", "Audio"),
    ("node.name", "lumen_microphone"),
    ("node.description", "Lumen microphone"),
];

/// A greeting, and a stream that is made as this, which then says that it is a microphone of the user's.
fn pretender(made: &[(&str, &str)]) -> Vec<u8> {
    let stream = [
        text("client-node"),
        text("PipeWire:Interface:ClientNode"),
        number(3),
        value(STRUCT, &listed(made)),
        number(2),
    ];
    let long = |number: u64| value(LONG, &number.to_ne_bytes());
    // No parameters; one output, and its properties change.
    let info = [number(0), number(1), long(3), long(0), listed(&POSE), number(0)];
    let says = message(2, 2, &[number(2), number(0), value(STRUCT, &info.concat())]);
    [greeting(), message(CORE, 6, &stream), says].concat()
}

/// A greeting, and a plugin that logs to `file`
/// (<https://docs.pipewire.org/page_native_protocol.html>).
fn plugin(file: &Path) -> Vec<u8> {
    let settings = [
        ("factory.name", "support.log"),
        ("library.name", "support/libspa-support"),
        ("log.file", &file.to_string_lossy()),
        ("log.level", "5"),
    ];
    let plugin = [
        text("spa-node-factory"),
        text("PipeWire:Interface:Node"),
        number(3),
        value(STRUCT, &listed(&settings)),
        number(2),
    ];
    [greeting(), message(CORE, 6, &plugin)].concat()
}

fn greeting() -> Vec<u8> {
    // Only who has told something of itself is given rights.
    let known = message(CLIENT, 2, &[value(STRUCT, &listed(&[("application.name", "liar")]))]);
    [message(CORE, 1, &[number(3)]), known].concat()
}

/// Names and values behind their number.
fn listed(settings: &[(&str, &str)]) -> Vec<u8> {
    let count = u32::try_from(settings.len()).unwrap_or_default();
    let texts = settings.iter().flat_map(|(name, value)| [text(name), text(value)]);
    std::iter::once(number(count)).chain(texts).collect::<Vec<_>>().concat()
}

/// The objects that each connection has from the start.
const CORE: u32 = 0;
const CLIENT: u32 = 1;

const INT: u32 = 4;
const LONG: u32 = 5;
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
