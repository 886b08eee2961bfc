//! The link to rtc ends, is replaced or is not read, over a gateway's real sockets.

use std::{os::fd::AsFd, time::Duration};

use lumen_ipc::{
    message::signalling::{Reason, ToGateway, ToRtc},
    service::AuthMode,
    units::{PeerId, SessionId},
};
use lumen_rtc::gateway::shell::Event;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::{task::spawn_blocking, time::timeout};

use crate::{
    is_served,
    rig::{ANSWER, Rig, RtcLink, signalling_link, ticket},
};

/// Longer than the gateway waits for an rtc that does not read its link.
const LONG: u16 = 10_000;
/// Less than that.
const SHORT: Duration = Duration::from_millis(900);

/// Gives the gateway another link to the rtc of the desktop.
async fn replace(rig: &mut Rig) -> RtcLink {
    let (gateway, rtc) = signalling_link();
    let replaced = Event::SignallingReplaced(SessionId::SOLE, gateway);
    rig.events.send(replaced).await.expect("the gateway serves");
    std::mem::replace(&mut rig.rtc, rtc)
}

/// The number under which rtc is asked to resume a peer, in its next message.
async fn resumed(rig: &Rig) -> PeerId {
    match rig.heard().await {
        ToRtc::PeerResumed { peer, ticket: shown, .. } if shown == ticket() => peer,
        other => panic!("the peer is not resumed but {other:?}"),
    }
}

/// Waits until the gateway has closed its end, without reading.
async fn closed(rig: &Rig) {
    let end = rig.rtc.channel().as_fd().try_clone_to_owned().expect("a descriptor");
    let waited = spawn_blocking(move || {
        // `poll` reports a hang-up whatever events are requested.
        poll(&mut [PollFd::new(end.as_fd(), PollFlags::empty())], PollTimeout::from(LONG))
    });
    assert_eq!(waited.await.expect("no panic"), Ok(1), "the gateway keeps the link");
}

async fn forget(rig: &Rig, peer: PeerId) {
    let closed =
        ToGateway::PeerClosed { peer, reason: Reason::truncated("forgotten"), retry: true };
    rig.rtc.send(&closed, &[]).await.expect("the gateway reads");
}

#[tokio::test]
async fn link_replaced_resumes_every_peer_and_tells_no_browser() {
    let mut rig = Rig::start(AuthMode::Token).await;
    let mut browser = rig.browser().await;
    is_served(&rig, &mut browser).await;
    for _ in 0..3 {
        let old = replace(&mut rig).await;
        let peer = resumed(&rig).await;
        drop(old);
        // The browser's next message is what rtc says over the new link.
        rig.answer(peer).await;
        assert_eq!(browser.hears().await, ANSWER);
    }
}

#[tokio::test]
async fn rtc_that_is_another_process_has_its_browsers_offer_anew() {
    let mut rig = Rig::start(AuthMode::Token).await;
    let mut browser = rig.browser().await;
    is_served(&rig, &mut browser).await;
    let (gateway, rtc) = signalling_link();
    rig.rtc = rtc;
    let replaced = Event::SignallingReplaced(SessionId::SOLE, gateway);
    rig.events.send(replaced).await.expect("the gateway serves");
    let peer = resumed(&rig).await;
    forget(&rig, peer).await;
    let told = r#"{"type":"closed","reason":"forgotten","retry":true}"#;
    assert_eq!(browser.hears().await, told);
    is_served(&rig, &mut browser).await;
}

#[tokio::test]
async fn rtc_that_does_not_read_loses_its_link_and_no_peer_and_holds_up_no_other_session() {
    let mut rig = Rig::start(AuthMode::Token).await;
    let mut living = rig.browser().await;
    is_served(&rig, &mut living).await;
    let (mut other, others_rtc) = rig.browser_elsewhere().await;
    // Nobody reads while offers come, each from a browser of its own.
    let large = format!(r#"{{"type":"offer","sdp":"{}"}}"#, "a".repeat(32 * 1024));
    let mut browsers = Vec::new();
    for _ in 0..16 {
        let mut browser = rig.browser().await;
        browser.say(&large).await;
        browsers.push(browser);
    }
    other.offer().await;
    let at_once = timeout(SHORT, others_rtc.receive()).await;
    assert!(at_once.is_ok(), "another session's rtc waits for this session's");
    closed(&rig).await;
    replace(&mut rig).await;
    // Existing peers come first, and then the offers that have not been answered.
    let peer = resumed(&rig).await;
    for _ in 0..browsers.len() {
        rig.offered().await;
    }
    rig.answer(peer).await;
    assert_eq!(living.hears().await, ANSWER);
}
