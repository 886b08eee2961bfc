//! Malformed messages on the data channels.

use anyhow::Result;
use lumen_tests::{
    rig::Rig,
    viewer::{INPUT, MOTION, PADS, Viewer},
};

use crate::gateway::witness_is_undisturbed;

/// Each costs its sender the connection, and another viewer nothing.
#[test]
fn data_channel_message_malformed_closes_its_sender() -> Result<()> {
    let breaches: [(&str, &'static str, Vec<u8>); 9] = [
        ("unknown tag", INPUT, vec![0x7f, 0, 0]),
        ("key cut short", INPUT, vec![1, 0]),
        ("key of no keyboard", INPUT, vec![1, 0xff, 0xff, 1]),
        ("state neither up nor down", INPUT, vec![1, 0, 30, 2]),
        ("longer than any message", INPUT, vec![1; 2048]),
        ("key on the channel for motion", MOTION, vec![1, 0, 30, 1]),
        ("pad of number 255", PADS, vec![10, 255, 0, 1]),
        ("pad cut short", PADS, vec![9, 0, 0, 1]),
        ("key on the channel for pads", PADS, vec![1, 0, 30, 1]),
    ];
    let rig = Rig::start()?;
    let witness = Viewer::join(&rig)?;
    witness.wait_for_frame(0)?;
    for (name, channel, message) in breaches {
        let offender = Viewer::join(&rig)?;
        offender.wait_until_connected()?;
        offender.send(channel, &message)?;
        let reason = offender.wait_until_closed();
        assert!(reason.is_ok(), "{name}: {reason:?}");
        witness_is_undisturbed(&rig, &witness)?;
    }
    Ok(())
}

#[test]
fn data_channel_message_sent_by_the_server_only_closes_its_sender() -> Result<()> {
    let rig = Rig::start()?;
    let offender = Viewer::join(&rig)?;
    offender.wait_until_connected()?;
    offender.send(INPUT, &[0x81])?;
    offender.wait_until_closed().map(drop)
}
