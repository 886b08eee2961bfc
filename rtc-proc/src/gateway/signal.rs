//! The JSON of the signalling WebSocket: text in, a legal message or a refusal out.

use lumen_ipc::{
    message::signalling::{CandidateLine, Reason, Sdp},
    service::RelayCredentials,
    text::{Secret, Text},
};
use serde::{Deserialize, Serialize};

/// Largest WebSocket message in bytes: an offer at the size limit of its SDP, escaped.
pub const MAX_SIGNAL_BYTES: usize = 64 * 1024;

/// Browser → gateway.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum FromBrowser {
    /// It wants a peer connection; a later offer replaces an earlier one.
    Offer {
        /// The description.
        sdp: Sdp,
    },
    /// One of its addresses, for the latest offer.
    Candidate {
        /// The candidate attribute.
        candidate: CandidateLine,
    },
    /// It wants to try which ways to the relay work, beside its peer connection.
    Probe {},
    /// The app has ended and shall be started again.
    #[serde(rename = "startApp")]
    StartApp {},
    /// It has a peer whose signalling was lost, and signals for it from now on.
    Resume {
        /// What came with the answer to the peer's offer.
        ticket: Secret,
    },
    /// The latest offer anew, with other ICE credentials: the way to it was lost, it was not.
    Restart {
        /// The description.
        sdp: Sdp,
    },
}

/// Gateway → browser.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ToBrowser {
    /// Rtc's answer.
    Answer {
        /// The description.
        sdp: Sdp,
        /// With what to resume the peer.
        ticket: Secret,
    },
    /// An address of rtc's that was not in its answer.
    Candidate {
        /// The candidate attribute.
        candidate: CandidateLine,
    },
    /// How the app is. Not said of one that runs and has run all the while.
    App {
        /// Whether it runs, or is about to.
        running: bool,
        /// How it has ended, for the viewer.
        reason: Reason,
        /// Whether this viewer may start it again.
        startable: bool,
    },
    /// There is no peer connection, or no longer.
    Closed {
        /// Why, for the viewer.
        reason: Reason,
        /// Whether trying again can help.
        retry: bool,
    },
    /// The login has ended: it was signed out of, or has expired. Nothing follows.
    LoginEnded {},
    /// Something to tell the viewer once.
    Notice {
        /// What, as a sentence.
        text: Reason,
    },
    /// What it asked for to try the relay; each is good for one way.
    Probe {
        /// How to use the relay; `None` when there is none.
        relay: Option<RelayServer>,
    },
    /// How to use the relay from now on.
    Relay {
        /// Unused credentials.
        relay: RelayServer,
        /// The relay is a new process: who was relayed by the old one begins ICE anew.
        restarted: bool,
    },
    /// The first message.
    Welcome {
        /// How to use the relay; `None` when there is none.
        relay: Option<RelayServer>,
    },
}

/// How to use the relay, in the words of `RTCIceServer`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RelayServer {
    urls: Vec<Text<256>>,
    username: Text<96>,
    credential: Secret,
}

impl From<RelayCredentials> for RelayServer {
    fn from(credentials: RelayCredentials) -> Self {
        let RelayCredentials { urls, username, password, .. } = credentials;
        Self { urls, username, credential: password }
    }
}

/// Text that is no message.
#[derive(Debug, thiserror::Error)]
#[error("no signalling message")]
pub struct NotASignal(#[from] serde_json::Error);

/// The message in a WebSocket text frame.
///
/// # Errors
/// [`NotASignal`] for anything but exactly one legal message.
pub fn parse(text: &str) -> Result<FromBrowser, NotASignal> {
    Ok(serde_json::from_str(text)?)
}

impl ToBrowser {
    /// Its text.
    ///
    /// # Errors
    /// None that can happen: all parts are strings and booleans.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parse_legal_messages_gives_their_parts() {
        let sdp = Sdp::new("v=0\r\n").expect("short");
        assert_eq!(
            parse(r#"{"type":"offer","sdp":"v=0\r\n"}"#).expect("legal"),
            FromBrowser::Offer { sdp }
        );
        let candidate =
            CandidateLine::new("candidate:1 1 udp 1 192.0.2.1 9 typ host").expect("short");
        assert_eq!(
            parse(r#"{"candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ host","type":"candidate"}"#)
                .expect("legal"),
            FromBrowser::Candidate { candidate }
        );
        assert_eq!(parse(r#"{"type":"probe"}"#).expect("legal"), FromBrowser::Probe {});
        assert_eq!(
            parse(r#"{"type":"resume","ticket":"x"}"#).expect("legal"),
            FromBrowser::Resume { ticket: Secret::new("x").expect("short") }
        );
        assert_eq!(parse(r#"{"type":"startApp"}"#).expect("legal"), FromBrowser::StartApp {});
        let sdp = Sdp::new("v=0\r\n").expect("short");
        assert_eq!(
            parse(r#"{"type":"restart","sdp":"v=0\r\n"}"#).expect("legal"),
            FromBrowser::Restart { sdp }
        );
    }

    #[test]
    fn parse_anything_else_is_refused() {
        let long_sdp = format!(r#"{{"type":"offer","sdp":"{}"}}"#, "x".repeat(32 * 1024 + 1));
        let long_line = format!(r#"{{"type":"candidate","candidate":"{}"}}"#, "x".repeat(1025));
        for text in [
            "",
            "null",
            "[]",
            "{}",
            "\"offer\"",
            r#"{"type":"offer"}"#,
            r#"{"type":"offer","sdp":null}"#,
            r#"{"type":"offer","sdp":"","extra":1}"#,
            r#"{"type":"probe","extra":1}"#,
            r#"{"type":"startApp","command":"sh"}"#,
            r#"{"type":"offer","sdp":"","sdp":""}"#,
            r#"{"type":"answer","sdp":""}"#,
            r#"{"type":"Offer","sdp":""}"#,
            r#"{"type":"offer","sdp":""} {}"#,
            r#"{"sdp":""}"#,
            &long_sdp,
            &long_line,
        ] {
            assert!(parse(text).is_err(), "{}", text.chars().take(60).collect::<String>());
        }
    }

    #[test]
    fn to_json_has_the_shape_the_page_reads() {
        let closed = ToBrowser::Closed { reason: Reason::truncated("gone"), retry: true };
        let json = closed.to_json().expect("strings");
        assert_eq!(json, r#"{"type":"closed","reason":"gone","retry":true}"#);
        let reason = Reason::truncated("It ended.");
        let app = ToBrowser::App { running: false, reason, startable: true };
        let json = app.to_json().expect("strings");
        assert_eq!(json, r#"{"type":"app","running":false,"reason":"It ended.","startable":true}"#);
        let relay = RelayServer {
            urls: vec![Text::truncated("turn:*:3478")],
            username: Text::truncated("name"),
            credential: Secret::new("word").expect("short"),
        };
        let json = ToBrowser::Welcome { relay: Some(relay) }.to_json().expect("strings");
        let server = r#"{"urls":["turn:*:3478"],"username":"name","credential":"word"}"#;
        assert_eq!(json, format!(r#"{{"type":"welcome","relay":{server}}}"#));
        let json = ToBrowser::Welcome { relay: None }.to_json().expect("strings");
        assert_eq!(json, r#"{"type":"welcome","relay":null}"#);
        let json = ToBrowser::LoginEnded {}.to_json().expect("strings");
        assert_eq!(json, r#"{"type":"loginEnded"}"#);
        let ticket = Secret::new("ticket").expect("short");
        let answer = ToBrowser::Answer { sdp: Sdp::truncated("v=0\r\n"), ticket };
        let json = answer.to_json().expect("strings");
        assert_eq!(json, r#"{"type":"answer","sdp":"v=0\r\n","ticket":"ticket"}"#);
    }

    proptest! {
        #[test]
        fn parse_arbitrary_text_never_panics(text in ".{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn parse_gives_back_any_sdp(sdp in ".{0,300}") {
            let json = serde_json::json!({ "type": "offer", "sdp": sdp }).to_string();
            let expected = FromBrowser::Offer { sdp: Sdp::new(sdp).expect("short") };
            prop_assert_eq!(parse(&json).expect("legal"), expected);
        }
    }
}
