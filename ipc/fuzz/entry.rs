//! What the decoders of messages do not cover: texts that come from outside in whatever form, and the
//! spans of a ring that another process fills. Shared by the fuzz targets and the test of their seeds.

use lumen_ipc::{
    front_door::{BasePath, Listen, Network},
    line::Line,
    log::LogSource,
    message::session::SessionName,
    relay::{UnixSeconds, Username},
    ring::{RingCapacity, RingReader, RingSpan, RingWriter},
    text::Text,
    utf8::Utf8Check,
    visible::{is_visible, visible, visible_lines},
};

/// A target: its name and what it does with an input.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets.
pub(crate) const TARGETS: &[Target] = &[("spans", spans), ("texts", texts)];

/// One text, as whatever it may be.
pub(crate) fn texts(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    let shown = visible(text);
    assert!(shown.chars().all(is_visible), "an invisible character is shown");
    assert_eq!(visible(&shown), shown, "escaping twice changes something");
    assert!(visible_lines(text).chars().all(|letter| letter == '\n' || is_visible(letter)));
    let line = Line::<64>::of(text);
    assert!(line.as_str().len() <= 64 && Line::<64>::of(line.as_str()) == line);
    assert!(Text::<64>::truncated(text).as_str().len() <= 64);
    if let Ok(listen) = text.parse::<Listen>() {
        assert_eq!(listen.to_string().parse(), Ok(listen));
    }
    if let Ok(network) = text.parse::<Network>() {
        assert_eq!(network.to_string().parse(), Ok(network));
    }
    if let Ok(base) = text.parse::<BasePath>() {
        assert_eq!(base.as_str().parse(), Ok(base.clone()));
    }
    if let Ok(username) = text.parse::<Username>() {
        assert_eq!(username.to_string(), text, "two spellings of one name");
    }
    let _ = Username::accept(text, UnixSeconds(1_800_000_000));
    let _ = (LogSource::from_name(text), SessionName::new(text));
    // In pieces as well as whole, text is UTF-8 or not.
    let mut check = Utf8Check::default();
    let piece = usize::from(bytes.first().copied().unwrap_or_default() % 7) + 1;
    let whole = bytes.chunks(piece).try_for_each(|piece| check.push(piece));
    assert_eq!(whole.and_then(|()| check.finish()).is_ok(), std::str::from_utf8(bytes).is_ok());
}

/// Spans of packets as media names them, and where rtc then reads; each is sixteen bytes long.
pub(crate) fn spans(bytes: &[u8]) {
    const CAPACITY: u64 = 64 * 1024;
    let capacity = RingCapacity::new(CAPACITY).expect("a legal capacity");
    let (mut reader, mut writer) = (RingReader::new(capacity), RingWriter::new(capacity));
    for chunk in bytes.chunks_exact(16) {
        let number =
            |at: usize| chunk[at..at + 8].try_into().map(u64::from_be_bytes).expect("eight");
        let span = RingSpan { position: number(0), length: number(8) as u32 };
        let before = reader.position();
        match reader.accept(span) {
            Ok(offset) => {
                assert!(span.length > 0 && offset + u64::from(span.length) <= CAPACITY);
                assert!(reader.position() > before);
            }
            Err(_) => assert_eq!(reader.position(), before),
        }
        // The writer's side, with what rtc says that it has read.
        let _ = writer.consumed(number(0));
        let _ = writer.reserve(number(8) as u32);
    }
}
