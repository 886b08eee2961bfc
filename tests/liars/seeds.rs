//! What a liar says: the seeds of the fuzz targets, which have one of every message of every link.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use lumen_ipc::{link::LinkName, process::Worker};

/// The seeds of a fuzz target.
pub(crate) fn of(target: &str) -> Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ipc/fuzz/seeds").join(target);
    let mut paths = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        paths.push(entry?.path());
    }
    paths.sort();
    ensure!(!paths.is_empty(), "no seeds in {}", folder.display());
    paths.iter().map(|path| Ok(fs::read(path)?)).collect()
}

/// The same, each as a frame of an RPC link.
pub(crate) fn frames(target: &str) -> Result<Vec<Vec<u8>>> {
    let framed = |seed: Vec<u8>| {
        let length = u32::try_from(seed.len()).unwrap_or(u32::MAX).to_be_bytes();
        [length.as_slice(), &seed].concat()
    };
    Ok(of(target)?.into_iter().map(framed).collect())
}

/// What a worker may say on a link; empty if it only listens there.
pub(crate) fn spoken_by(worker: Worker, link: LinkName) -> Result<Vec<Vec<u8>>> {
    match (worker, link) {
        (Worker::Compositor, LinkName::Frames) => of("frames_to_media"),
        (Worker::Compositor, LinkName::Desktop) => of("desktop_to_rtc"),
        (Worker::Compositor, LinkName::Presence) => of("presence_to_gamepad"),
        (Worker::Compositor, LinkName::Transfer) => of("transfer_to_rtc"),
        (Worker::Media, LinkName::Frames) => of("frames_to_compositor"),
        (Worker::Media, LinkName::Packets) => of("packets_to_rtc"),
        (Worker::Media, LinkName::Tuning) => frames("rpc_tuning"),
        (Worker::Rtc, LinkName::Packets) => of("packets_to_media"),
        (Worker::Rtc, LinkName::Tuning) => frames("rpc_tuning"),
        (Worker::Rtc, LinkName::Input) => of("input_to_compositor"),
        (Worker::Rtc, LinkName::Transfer) => of("transfer_to_compositor"),
        (Worker::Rtc, LinkName::Pads) => of("pads_to_gamepad"),
        (Worker::Rtc, LinkName::Signalling) => of("signalling_to_gateway"),
        (Worker::Rtc, LinkName::Sound) => of("sound_to_sound"),
        (Worker::Sound, LinkName::Sound) => of("sound_to_rtc"),
        (Worker::Gamepad, LinkName::Pads) => of("pads_to_rtc"),
        (Worker::Gateway, LinkName::Signalling) => of("signalling_to_rtc"),
        (Worker::Gateway, LinkName::Handover) => of("handover_to_turn"),
        (Worker::Gateway, LinkName::Broker) => frames("rpc_broker"),
        _ => Ok(Vec::new()),
    }
}
