//! A hostile browser that has signed in.

use std::time::Instant;

use anyhow::{Context, Result};
use lumen_tests::viewer::{FromGateway, Handshake, Signalling, login};
use serde_json::json;
use str0m::{
    RtcConfig,
    media::{Direction, MediaKind},
};

use crate::attack::{Attack, Meant, Siege, Target};

pub(crate) fn attacks() -> Vec<Attack> {
    vec![
        Attack {
            name: "browser: 1,000 offers on one WebSocket, 250 a second",
            run: offers,
            meant: Meant::Answers,
        },
        Attack {
            name: "browser: 1,000 broken messages on one WebSocket, 250 a second",
            run: broken,
            meant: Meant::Answers,
        },
    ]
}

/// An offer of a new connection, as a page makes it.
fn offer() -> Result<String> {
    let mut rtc = RtcConfig::new().clear_codecs().enable_h264(true).build(Instant::now());
    let mut change = rtc.sdp_api();
    change.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
    change.add_channel("input".to_owned());
    let (offer, _) = change.apply().context("an empty offer")?;
    Ok(json!({ "type": "offer", "sdp": offer.to_sdp_string() }).to_string())
}

/// Sends messages on one WebSocket, and opens another when the gateway has closed it. `is_meant` judges what
/// the gateway says; `None` where that is no answer to these messages.
fn send(
    target: &Target,
    siege: &Siege,
    messages: &[String],
    is_meant: fn(&Result<FromGateway>) -> Option<bool>,
) -> Result<()> {
    let signed_in = login(target.door, &target.token)?.signed_in()?;
    let open = || -> Result<Signalling> {
        let signalling = Signalling::open(Handshake::of(target.door).signed_in(&signed_in))?;
        signalling.set_nonblocking()?;
        Ok(signalling)
    };
    let mut signalling = open()?;
    siege.strike(250, 1_000, |number| {
        let message = messages.get(number as usize % messages.len()).context("a message")?;
        let mut over = false;
        while let (false, Some(said)) = (over, signalling.receive().transpose()) {
            over = said.is_err();
            if let Some(is_meant) = is_meant(&said) {
                siege.hears(format!("{said:?}").as_bytes(), is_meant);
            }
        }
        if over || signalling.send(message.clone()).is_err() {
            signalling = open()?;
        }
        Ok(())
    })
}

fn offers(target: &Target, siege: &Siege) -> Result<()> {
    str0m::crypto::from_feature_flags().install_process_default();
    let offers: Vec<String> = (0..8).map(|_| offer()).collect::<Result<_>>()?;
    send(target, siege, &offers, |said| match said {
        Ok(FromGateway::Answer { .. }) => Some(true),
        // An offer that gives way to the next one, or is one too many.
        _ => None,
    })
}

fn broken(target: &Target, siege: &Siege) -> Result<()> {
    let long = format!(r#"{{"type":"offer","sdp":"{}"}}"#, "a=x\\r\\n".repeat(4000));
    let messages = [
        r#"{"type":"offer","sdp":"v=0"}"#.to_owned(),
        r#"{"type":"candidate","candidate":"candidate:1 1 udp 1 0.0.0.0 9 typ host"}"#.to_owned(),
        r#"{"type":"#.to_owned(),
        long,
    ];
    send(target, siege, &messages, |said| match said {
        Ok(FromGateway::Answer { .. }) => Some(false),
        Ok(FromGateway::Closed { .. }) | Err(_) => Some(true),
        Ok(_) => None,
    })
}
