//! The JSON of the signalling WebSocket: parses text into a legal message or an error.

use lumen_ipc::{
    lease::Lease,
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
    /// One of its ICE candidates, for the latest offer.
    Candidate {
        /// The candidate attribute.
        candidate: CandidateLine,
    },
    /// It needs an input lease: it has none, or its own does not count any more.
    Lease {},
    /// It wants to test which paths to the relay work, beside its peer connection.
    Probe {},
    /// It wants the app, which has ended, to be started again.
    #[serde(rename = "startApp")]
    StartApp {},
    /// It has a peer whose signalling was lost, and signals for that peer from now on.
    Resume {
        /// What came with the answer to the peer's offer.
        ticket: Secret,
    },
    /// The latest offer again, with new ICE credentials: the network path was lost, the peer was
    /// not.
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
        /// The secret with which to resume the peer.
        ticket: Secret,
    },
    /// An ICE candidate of rtc that was not in its answer.
    Candidate {
        /// The candidate attribute.
        candidate: CandidateLine,
    },
    /// The state of the app. Not sent for one that has been running all the time.
    App {
        /// Whether it runs, or is about to.
        running: bool,
        /// How it has ended, for the viewer.
        reason: Reason,
        /// Whether this viewer may start it again.
        startable: bool,
    },
    /// There is no peer connection, or not any more.
    Closed {
        /// Why, for the viewer.
        reason: Reason,
        /// Whether trying again can help.
        retry: bool,
    },
    /// The desktop ends unless somebody acts.
    EndsSoon {
        /// After so many seconds; `None` if it stays.
        seconds: Option<u16>,
    },
    /// An input lease; `None` when there is none for this page at the moment.
    Lease {
        /// The lease.
        lease: Option<PageLease>,
    },
    /// The login has ended: the user signed out, or it expired. This is the last message.
    LoginEnded {},
    /// Something to show the viewer once.
    Notice {
        /// The sentence.
        text: Reason,
    },
    /// The answer to its request to test the relay; the credentials are good for one test.
    Probe {
        /// How to use the relay; `None` when there is none.
        relay: Option<RelayServer>,
    },
    /// How to use the relay from now on.
    Relay {
        /// Unused credentials.
        relay: RelayServer,
        /// The relay is a new process: browsers connected through the old one must restart ICE.
        restarted: bool,
    },
    /// The first message.
    Welcome {
        /// How to use the relay; `None` when there is none.
        relay: Option<RelayServer>,
    },
}

/// An input lease as its page gets it, in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PageLease {
    id: Text<16>,
    key: Secret,
    challenge: Text<32>,
}

impl From<Lease> for PageLease {
    fn from(lease: Lease) -> Self {
        let Lease { id, key, challenge, .. } = lease;
        Self {
            id: Text::truncated(digits(&id.0.to_be_bytes())),
            key: Secret::new(digits(&key.0)).expect("64 digits fit 256 bytes"),
            challenge: Text::truncated(digits(&challenge.0)),
        }
    }
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How to use the relay, in the terms of `RTCIceServer`.
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

/// Text that is not a message.
#[derive(Debug, thiserror::Error)]
#[error("not a signalling message")]
pub struct NotASignal(#[from] serde_json::Error);

/// The message in a WebSocket text frame.
///
/// # Errors
/// [`NotASignal`] for anything but exactly one legal message.
pub fn parse(text: &str) -> Result<FromBrowser, NotASignal> {
    Ok(serde_json::from_str(text)?)
}

impl ToBrowser {
    /// Encodes the message as JSON.
    ///
    /// # Errors
    /// Never in practice: all parts are strings and booleans.
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
        assert_eq!(parse(r#"{"type":"lease"}"#).expect("legal"), FromBrowser::Lease {});
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
            r#"{"type":"lease","control":true}"#,
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
        let lease = Some(PageLease::from(lumen_ipc::lease::EXAMPLE.0));
        let json = ToBrowser::Lease { lease }.to_json().expect("strings");
        let (key, challenge) = ("11".repeat(32), "22".repeat(16));
        let lease =
            format!(r#"{{"id":"0102030405060708","key":"{key}","challenge":"{challenge}"}}"#);
        assert_eq!(json, format!(r#"{{"type":"lease","lease":{lease}}}"#));
        let json = ToBrowser::EndsSoon { seconds: Some(60) }.to_json().expect("numbers");
        assert_eq!(json, r#"{"type":"endsSoon","seconds":60}"#);
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
