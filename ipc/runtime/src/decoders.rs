//! A table of all decoders whose input comes from another process, for the fuzz targets and the
//! seed test. Feature `test-support`; not part of any shipped binary.
//!
//! INVARIANT: no input makes a decoder panic, and a decoded message that is encoded again decodes
//! to an equal one.

use std::fmt::Debug;

use lumen_ipc::{
    codec::{self, MAX_MESSAGE_BYTES, Message},
    link::MAX_DESCRIPTORS,
    message::{
        desktop, frames, grants, handover, input, login, oidc, packets, pads, presence, session,
        signalling, sound, transfer, voice,
    },
    service,
};
use tarpc::{ClientMessage, Response};

use crate::rpc::{self, Frame};

/// A decoder, with the name of its fuzz target and its folder of seeds.
pub type Decoder = (&'static str, fn(&[u8]));

/// All decoders: both directions of each link.
pub const DECODERS: &[Decoder] = &[
    ("desktop_to_rtc", message::<desktop::ToRtc>),
    ("frames_to_compositor", message::<frames::ToCompositor>),
    ("frames_to_media", message::<frames::ToMedia>),
    ("grants_to_supervisor", message::<grants::ToSupervisor>),
    ("grants_to_worker", message::<grants::ToWorker>),
    ("handover_to_turn", message::<handover::ToTurn>),
    ("input_to_compositor", message::<input::ToCompositor>),
    ("input_to_rtc", message::<input::ToRtc>),
    ("login_to_leader", message::<login::ToLeader>),
    ("login_to_supervisor", message::<login::ToSupervisor>),
    ("oidc_to_oidc", message::<oidc::ToOidc>),
    ("oidc_to_supervisor", message::<oidc::FromOidc>),
    ("packets_to_media", message::<packets::ToMedia>),
    ("packets_to_rtc", message::<packets::ToRtc>),
    ("pads_to_gamepad", message::<pads::ToGamepad>),
    ("pads_to_rtc", message::<pads::ToRtc>),
    ("presence_to_gamepad", message::<presence::ToGamepad>),
    ("rpc_admin", rpc_pair::<service::AdminRequest, service::AdminResponse>),
    ("rpc_broker", rpc_pair::<service::BrokerRequest, service::BrokerResponse>),
    ("rpc_control", rpc_pair::<service::ControlRequest, service::ControlResponse>),
    ("rpc_tuning", rpc_pair::<service::TuningRequest, service::TuningResponse>),
    ("session_to_host", message::<session::ToHost>),
    ("session_to_session", message::<session::ToSession>),
    ("signalling_to_gateway", message::<signalling::ToGateway>),
    ("signalling_to_rtc", message::<signalling::ToRtc>),
    ("sound_to_rtc", message::<sound::ToRtc>),
    ("sound_to_sound", message::<sound::ToSound>),
    ("transfer_to_compositor", message::<transfer::ToCompositor>),
    ("transfer_to_rtc", message::<transfer::ToRtc>),
    ("voice_to_sound", message::<voice::ToSound>),
];

/// Runs the decoder called `name`, if it exists.
pub fn run(name: &str, bytes: &[u8]) {
    if let Some((_, decode)) = DECODERS.iter().find(|(known, _)| *known == name) {
        decode(bytes);
    }
}

fn message<M: Message + Debug + PartialEq>(bytes: &[u8]) {
    for descriptors in 0..=MAX_DESCRIPTORS {
        if let Ok(message) = codec::decode::<M>(bytes, descriptors) {
            assert_round_trip(&message, descriptors);
        }
    }
}

fn assert_round_trip<M: Message + Debug + PartialEq>(message: &M, descriptors: usize) {
    let mut buffer = vec![0; MAX_MESSAGE_BYTES];
    // It fits: the input was at least as long, because only the shortest encoding is ever written.
    let again = codec::encode(message, &mut buffer)
        .ok()
        .and_then(|encoded| codec::decode::<M>(encoded, descriptors).ok());
    assert_eq!(
        again.as_ref(),
        Some(message),
        "a message changed when it was encoded and decoded again"
    );
}

fn rpc_pair<Request, Reply>(bytes: &[u8])
where
    ClientMessage<Request>: Frame,
    Response<Reply>: Frame,
{
    // Only panics matter here; requests and replies cannot be compared.
    let _ = rpc::decode_frame::<ClientMessage<Request>>(bytes);
    let _ = rpc::decode_frame::<Response<Reply>>(bytes);
}
