//! The clipboard's bridge as a client: the globals that only it sees, and the offers that wait for it.

use std::{
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use lumen_ipc::message::{
    grants::ToWorker,
    transfer::{Kind, Offer, OfferId, ToCompositor, ToRtc},
};
use lumen_ipc_runtime::{bootstrap::Grant, link_end::Reports};

use super::{
    App,
    rig::{PEER, Rig},
};

const DATA_CONTROL: &str = "ext_data_control_manager_v1";

/// The bridge's end of a connection that was granted.
fn granted(rig: &mut Rig) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().expect("socketpair");
    let (what, reports) = (ToWorker::BridgeClient, Reports::default());
    let grant = Grant { what, descriptor: theirs.into(), reports };
    rig.shell.grant(grant).expect("a connection");
    ours
}

#[test]
fn data_control_is_announced_to_the_bridge_and_to_no_app() {
    let mut rig = Rig::new();
    let stream = granted(&mut rig);
    let bridge = App::start_at(&mut rig, stream);
    let app = App::start(&mut rig);
    let announced = |app: &App| app.announced().iter().any(|interface| interface == DATA_CONTROL);
    assert!(announced(&bridge));
    assert!(!announced(&app));
    // A successor is a bridge, too, and no other app has become one.
    let stream = granted(&mut rig);
    let successor = App::start_at(&mut rig, stream);
    assert!(announced(&successor));
    assert!(!announced(&App::start(&mut rig)));
}

/// The time between a page's offer and the answer that apps paste it now.
fn time_until_taken(rig: &mut Rig) -> Duration {
    let offer = OfferId(7);
    rig.prove(PEER);
    let asked = Instant::now();
    let offered = ToCompositor::Offered(Offer { offer, kind: Kind::Text, bytes: None });
    rig.transfer.as_ref().expect("rtc is there").send(&offered, &[]).expect("room");
    rig.until(|rig| rig.said.contains(&ToRtc::Taken { offer }));
    asked.elapsed()
}

#[test]
fn page_waits_for_a_bridge_that_says_nothing_but_not_for_long() {
    let mut rig = Rig::new();
    let stream = granted(&mut rig);
    let _silent = App::start_at(&mut rig, stream);
    assert!(time_until_taken(&mut rig) >= Duration::from_millis(200));
}

#[test]
fn page_does_not_wait_where_no_bridge_is_or_it_is_gone() {
    let mut rig = Rig::new();
    drop(granted(&mut rig));
    // Once a later client is served, the compositor has noticed the bridge's end.
    App::start(&mut rig);
    let turns = rig.shell.compositor().state.selections.bridge().is_some();
    assert!(turns);
    assert!(time_until_taken(&mut rig) < Duration::from_millis(200));
}
