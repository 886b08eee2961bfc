//! What a hostile browser sends once its connection is secured, as it is between DTLS or SRTP and the
//! parsers: RTP and RTCP, and SCTP. An input is a list of commands: a byte of kind, two of length, and the
//! content.
//!
//! Numbers that each connection draws anew stand in the content as names of four letters.

use std::sync::Arc;

use lumen_ipc::{message::packets::FrameStamps, video::VideoFormat};
use lumen_rtc::peer::media::VideoFrame;

use super::{connection::Connection, plain};

/// The longest content: more than a datagram has.
const LONGEST: usize = 1600;
/// RTP ticks from one picture to the next, at 30 a second.
const TICKS: u64 = 3000;

/// Packets of RTP and RTCP to a peer that sends pictures.
pub(crate) fn rtp(bytes: &[u8]) {
    let mut browser = Browser::new();
    for _ in 0..3 {
        browser.show(&[7; 3000]);
    }
    browser.follow(bytes, |browser, kind, content| match kind % 8 {
        0..=2 => browser.report(&content),
        // A loss report (RFC 4585, section 6.2.1) of what was sent last.
        3 => browser.report(&browser.lately(&content)),
        4 => browser.connection.deliver(&plain::srtp(&content)),
        5 => browser.connection.wait(&content),
        6 => browser.show(&content),
        _ => browser.connection.turn(),
    });
}

/// Packets of SCTP, with the right tag and checksum, to a peer that has all channels.
pub(crate) fn sctp(bytes: &[u8]) {
    let mut browser = Browser::new();
    browser.follow(bytes, |browser, kind, content| match kind % 8 {
        0..=4 => browser.associate(&content),
        5 => browser.connection.deliver(&plain::with_application_data(&content)),
        6 => browser.connection.wait(&content),
        _ => browser.connection.turn(),
    });
}

struct Browser {
    connection: Connection,
    /// Of pictures, and of pictures that are sent again.
    sources: [[u8; 4]; 2],
    /// The RTP sequence number that was sent last.
    sequence: u16,
    /// The transmission sequence numbers that each end of the association used last, the viewer first.
    transmissions: [u32; 2],
    /// The header of the viewer's packets of SCTP, up to the checksum.
    header: [u8; 8],
    pictures: u64,
    reports: u32,
}

impl Browser {
    fn new() -> Self {
        let connection = Connection::new();
        let mut sources = connection.answer.lines().filter_map(|line| {
            line.strip_prefix("a=ssrc:")?.split(' ').next()?.parse().ok().map(u32::to_be_bytes)
        });
        let first = sources.next().expect("a source");
        let second = sources.find(|source| *source != first).unwrap_or(first);
        let mut browser = Self {
            connection,
            sources: [first, second],
            sequence: 0,
            transmissions: [0; 2],
            header: [0; 8],
            pictures: 0,
            reports: 0,
        };
        // A word of the viewer's for the sake of its numbers.
        let channel = browser.connection.viewer.input;
        if let Some(mut channel) = browser.connection.viewer.rtc.channel(channel) {
            let _ = channel.write(true, b"?");
        }
        for _ in 0..3 {
            browser.turn();
        }
        browser
    }

    fn follow(&mut self, mut bytes: &[u8], act: impl Fn(&mut Self, u8, Vec<u8>)) {
        while let Some((&[kind, high, low], rest)) = bytes.split_first_chunk::<3>() {
            let length = usize::from(u16::from_be_bytes([high, low])) % LONGEST;
            let (content, rest) = rest.split_at(length.min(rest.len()));
            bytes = rest;
            act(self, kind, self.with_numbers(content));
            self.turn();
            if !self.connection.is_open() {
                return;
            }
        }
        self.turn();
    }

    /// A turn of both ends, and the numbers that were used in it.
    fn turn(&mut self) {
        self.connection.turn();
        let said = std::mem::take(&mut self.connection.said);
        for (side, datagrams) in said.iter().enumerate() {
            for packet in datagrams.iter().filter_map(|datagram| plain::application_data(datagram))
            {
                if side == 0 {
                    self.header.copy_from_slice(packet.get(..8).unwrap_or(&[0; 8]));
                }
                if let Some(number) = transmission(packet) {
                    self.transmissions[side] = number;
                }
            }
        }
        let mut sent = said[1].iter().filter(|packet| packet.get(8..12) == Some(&self.sources[0]));
        if let Some(&[_, _, high, low]) =
            sent.next_back().and_then(|packet| packet.first_chunk::<4>())
        {
            self.sequence = u16::from_be_bytes([high, low]);
        }
    }

    /// The content with numbers in place of their names.
    fn with_numbers(&self, content: &[u8]) -> Vec<u8> {
        let [viewer, ours] = self.transmissions;
        let names: [(&[u8; 4], [u8; 4]); 5] = [
            (b"MAIN", self.sources[0]),
            (b"MORE", self.sources[1]),
            (b"NEXT", viewer.wrapping_add(1).to_be_bytes()),
            (b"SOON", viewer.wrapping_add(2).to_be_bytes()),
            (b"LAST", ours.to_be_bytes()),
        ];
        let mut content = content.to_vec();
        for at in 0..content.len().saturating_sub(3) {
            let found = names.iter().find(|(name, _)| content[at..at + 4] == name[..]);
            if let Some((_, number)) = found {
                content[at..at + 4].copy_from_slice(number);
            }
        }
        content
    }

    fn report(&mut self, content: &[u8]) {
        self.reports += 1;
        self.connection.deliver(&plain::srtcp(content, self.reports));
    }

    /// A loss report with the sequence number counted from the one that was sent last.
    fn lately(&self, content: &[u8]) -> Vec<u8> {
        let mut content = content.to_vec();
        if let Some([high, low]) = content.get_mut(12..14) {
            let back = u16::from_be_bytes([*high, *low]);
            [*high, *low] = self.sequence.wrapping_sub(back).to_be_bytes();
        }
        content
    }

    /// A packet of the viewer's association: the content is its chunks.
    fn associate(&mut self, chunks: &[u8]) {
        let mut packet = [&self.header[..], &[0; 4], chunks].concat();
        let sum = castagnoli(&packet).to_le_bytes();
        packet[8..12].copy_from_slice(&sum);
        self.connection.deliver(&plain::with_application_data(&packet));
    }

    fn show(&mut self, content: &[u8]) {
        self.pictures += 1;
        let frame = VideoFrame {
            data: Arc::from(content),
            format: VideoFormat::H264ConstrainedBaseline,
            keyframe: content.first().is_some_and(|byte| byte % 2 == 1),
            rtp_ticks: self.pictures * TICKS,
            captured: self.connection.now,
            stamps: FrameStamps::default(),
        };
        self.connection.peers.video(self.connection.now, &frame);
        self.turn();
    }
}

/// The transmission sequence number of the last chunk of data in a packet of SCTP (RFC 9260, section 3.3.1).
fn transmission(packet: &[u8]) -> Option<u32> {
    let mut chunks = packet.get(12..)?;
    let mut found = None;
    while let Some(&[kind, _, high, low]) = chunks.first_chunk::<4>() {
        if kind == 0 {
            found = chunks.get(4..8).and_then(|number| number.try_into().ok());
        }
        let length = usize::from(u16::from_be_bytes([high, low])).next_multiple_of(4).max(4);
        chunks = chunks.get(length..).unwrap_or_default();
    }
    found.map(u32::from_be_bytes)
}

/// The checksum of SCTP, CRC32c (RFC 9260, appendix A).
fn castagnoli(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let shifted = |sum: u32, _| if sum & 1 == 1 { sum >> 1 ^ POLYNOMIAL } else { sum >> 1 };
    !bytes.iter().fold(u32::MAX, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), shifted))
}
