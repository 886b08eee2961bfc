//! What one viewer says: the browser's section for it, and its packets, which are passed on as they come.
//! Nothing of them is decoded here: order, gaps and content are for whoever plays them.

use std::{sync::Arc, time::Instant};

use str0m::media::{MediaData, MediaKind, Mid};

use super::{Peer, PeerEvent, limit::TokenBucket};

/// Packets a second: browsers send fifty, or a hundred where they are asked to.
const RATE: u32 = 100;
/// As many may come at once after an outage.
const BURST: u32 = 50;

/// A packet of a viewer's voice.
#[derive(Clone, Debug, PartialEq)]
pub struct Utterance {
    /// Its number; the next one follows it.
    pub sequence: u64,
    /// Opus.
    pub data: Arc<[u8]>,
}

/// The browser's section for a microphone.
#[derive(Debug)]
pub(super) struct SpeechTrack {
    /// Whether the session takes what viewers say.
    is_taken: bool,
    mid: Option<Mid>,
    limit: TokenBucket,
}

impl SpeechTrack {
    pub(super) fn new(now: Instant, is_taken: bool) -> Self {
        Self { is_taken, mid: None, limit: TokenBucket::new(now, RATE, BURST) }
    }

    /// `answer`, without the microphone if the session takes none.
    pub(super) fn answer(&self, answer: String) -> String {
        if self.is_taken { answer } else { without_speech(&answer) }
    }
}

impl Peer {
    /// Takes the first section in which only the browser sends, if the session takes voices.
    pub(super) fn add_speech(&mut self, mid: Mid) {
        let Some(media) = self.rtc.media(mid).filter(|_| self.speech.is_taken) else { return };
        let only_browser = media.direction().is_receiving() && !media.direction().is_sending();
        if media.kind() == MediaKind::Audio && only_browser && self.speech.mid.is_none() {
            self.speech.mid = Some(mid);
        }
    }

    pub(super) fn on_media_data(&mut self, media: MediaData) {
        if self.speech.mid != Some(media.mid) || !self.speech.limit.take(self.now) {
            return;
        }
        // Its sender is told what arrives.
        self.wake_up();
        let sequence = **media.seq_range.end();
        self.emit(PeerEvent::Spoke(Utterance { sequence, data: media.data }));
    }
}

/// `answer` without the microphone: sections in which the browser would send sound are idle.
fn without_speech(answer: &str) -> String {
    let (begin, idle) = ("m=audio ", "\r\na=inactive\r\n");
    let mut sections = answer.split("\r\nm=");
    let first = sections.next().unwrap_or_default().to_owned();
    sections.fold(first, |whole, section| {
        let section = format!("m={section}");
        let is_sound = section.starts_with(begin);
        let section = if is_sound { section.replace("\r\na=recvonly\r\n", idle) } else { section };
        format!("{whole}\r\n{section}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_speech_only_sections_in_which_the_browser_sends_sound_are_idle() {
        let sections = |heard: &str, said: &str, seen: &str| {
            format!(
                "v=0\r\nm=audio 9 a\r\na=mid:0\r\na={heard}\r\na=rtcp-mux\r\nm=audio 9 a\r\na={said}\r\na=mid:1\r\nm=video 9 a\r\na={seen}\r\na=mid:2\r\n"
            )
        };
        assert_eq!(
            without_speech(&sections("sendonly", "recvonly", "recvonly")),
            sections("sendonly", "inactive", "recvonly")
        );
    }
}
