//! Strings that are null where the protocol says that they never are.
//!
//! The code that the Wayland library generates for each request takes it for granted that such a string is
//! there, and panics if it is not: one app could end the compositor, and with it every other. So an app's
//! requests are followed here before the library sees them.
//!
//! What kind of object a request is for is known to the library only. A request whose number and words could be
//! one with such a null is therefore a suspect, and no more: what precedes it has to be handled first, and then
//! the library can be asked whether its object is of one of those kinds. Few honest requests are suspects, since
//! a zero has to stand just where others have the length of a string.

use smithay::reexports::wayland_server::{
    backend::protocol::{AllowNull, ArgumentType, Interface},
    protocol::__interfaces::WL_DISPLAY_INTERFACE,
};

/// Bytes of each word of a request, and of its head: the object, and its length with its number.
const WORD: usize = 4;
const HEAD: usize = 2 * WORD;

/// Bytes of a request that are looked at: its head, and the words up to a string that must not be null, with the
/// string's length.
const MOST_WORDS: usize = 5;
const FIRST: usize = HEAD + MOST_WORDS * WORD;

/// Where requests have strings that must not be null.
#[derive(Debug)]
pub(super) struct Strings {
    /// By the numbers of requests: the kind of object, and the argument that has the string's length.
    by_number: Vec<Vec<(&'static Interface, usize)>>,
}

/// A request that is wrong if its object is of one of some kinds.
#[derive(Debug)]
pub(super) struct Suspect {
    /// The byte at which it begins among those that were followed; the first if it began before them.
    pub(super) begins: usize,
    /// The object's number.
    pub(super) object: u32,
    /// The kinds of object.
    pub(super) kinds: Vec<&'static Interface>,
    /// How many requests precede it in the stream.
    pub(super) precede: usize,
}

/// The place in an app's stream of requests.
#[derive(Debug)]
pub(super) struct Requests {
    /// The first bytes of the present request.
    first: [u8; FIRST],
    /// How many bytes of the present request have been followed.
    followed: usize,
    /// How many requests have been followed to their end.
    ended: usize,
}

impl Strings {
    /// Those of the requests of these kinds of object, and of all kinds that come from them.
    pub(super) fn of(kinds: Vec<&'static Interface>) -> Self {
        let mut by_number: Vec<Vec<(&'static Interface, usize)>> = Vec::new();
        for kind in related(kinds) {
            for (number, request) in kind.requests.iter().enumerate() {
                for place in places(request.signature) {
                    by_number.resize_with(by_number.len().max(number + 1), Vec::new);
                    by_number[number].push((kind, place));
                }
            }
        }
        Self { by_number }
    }
}

/// These kinds of object, those of the display, and all that are made by a request or an event of one of them.
fn related(mut kinds: Vec<&'static Interface>) -> Vec<&'static Interface> {
    kinds.push(&WL_DISPLAY_INTERFACE);
    let mut all: Vec<&'static Interface> = Vec::new();
    while let Some(kind) = kinds.pop() {
        if all.iter().all(|known| known.name != kind.name) {
            let messages = kind.requests.iter().chain(kind.events);
            kinds.extend(messages.filter_map(|message| message.child_interface));
            all.push(kind);
        }
    }
    all
}

/// The words of a request at which strings begin that must not be null. Descriptors are no words.
///
/// # Panics
/// When a string follows arguments of any length, or more than a few: no protocol that we know has such a request.
fn places(signature: &[ArgumentType]) -> Vec<usize> {
    let words: Vec<_> =
        signature.iter().filter(|argument| !matches!(argument, ArgumentType::Fd)).collect();
    let mut places = Vec::new();
    for (place, argument) in words.iter().enumerate() {
        if matches!(argument, ArgumentType::Str(AllowNull::No)) {
            let is_fixed = |before: &&ArgumentType| {
                !matches!(before, ArgumentType::Str(_) | ArgumentType::Array)
            };
            assert!(words[..place].iter().all(is_fixed) && place < MOST_WORDS, "{signature:?}");
            places.push(place);
        }
    }
    places
}

impl Requests {
    /// The beginning of a stream.
    pub(super) const fn new() -> Self {
        Self { first: [0; FIRST], followed: 0, ended: 0 }
    }

    /// Follows the stream through `bytes`, to the first suspect. Returns how many bytes were followed, and the
    /// suspect; without one, all were.
    pub(super) fn follow(&mut self, strings: &Strings, bytes: &[u8]) -> (usize, Option<Suspect>) {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            let begins = at.saturating_sub(self.followed);
            let before = self.followed;
            let step = (self.goal() - before).min(rest.len());
            for (kept, byte) in self.first.iter_mut().skip(before).zip(rest.iter().take(step)) {
                *kept = *byte;
            }
            (at, self.followed) = (at + step, before + step);
            let suspect = self.suspect(strings, before, begins);
            if self.followed >= HEAD && self.followed == self.length() {
                (self.followed, self.ended) = (0, self.ended + 1);
            }
            if suspect.is_some() {
                return (at, suspect);
            }
        }
        (at, None)
    }

    /// The byte of the present request up to which it is followed next: the end of its head, of the words that are
    /// looked at, or of all of it. It is always farther than the last one followed.
    fn goal(&self) -> usize {
        match self.followed {
            0..HEAD => HEAD,
            HEAD..FIRST => self.length().min(FIRST),
            _ => self.length(),
        }
    }

    /// Bytes of the present request, whose head is known. The library disconnects an app that says fewer than
    /// those of the head.
    fn length(&self) -> usize {
        ((self.word(1) >> 16) as usize).max(HEAD)
    }

    fn word(&self, place: usize) -> u32 {
        let words = self.first.as_chunks().0;
        words.get(place).map_or(0, |word| u32::from_ne_bytes(*word))
    }

    /// The present request, if one of the words that were completed after its byte `before` is a suspect's.
    fn suspect(&self, strings: &Strings, before: usize, begins: usize) -> Option<Suspect> {
        let is_new = |end: usize| before < end && end <= self.followed;
        // Before the end of its head there is no number, and no argument either.
        let number = (self.word(1) & 0xffff) as usize;
        let places = strings.by_number.get(number)?;
        let kinds = places.iter().filter(|(_, place)| {
            is_new(HEAD + (place + 1) * WORD) && self.word(HEAD / WORD + place) == 0
        });
        let kinds: Vec<_> = kinds.map(|(kind, _)| *kind).collect();
        let (object, precede) = (self.word(0), self.ended);
        (!kinds.is_empty()).then_some(Suspect { begins, object, kinds, precede })
    }
}

#[cfg(test)]
mod tests {
    use smithay::reexports::{
        wayland_protocols::xdg::shell::server::xdg_toplevel::XdgToplevel,
        wayland_protocols_wlr::layer_shell::v1::server::zwlr_layer_shell_v1::ZwlrLayerShellV1,
        wayland_server::{Resource, protocol::wl_data_device::WlDataDevice},
    };

    use super::*;

    fn strings() -> Strings {
        Strings::of(vec![
            XdgToplevel::interface(),
            ZwlrLayerShellV1::interface(),
            WlDataDevice::interface(),
        ])
    }

    /// A request with these words as arguments.
    fn request(object: u32, number: u32, words: &[u32]) -> Vec<u8> {
        let size = (HEAD + words.len() * WORD) as u32;
        let words = [&[object, size << 16 | number], words].concat();
        words.into_iter().flat_map(u32::to_ne_bytes).collect()
    }

    /// The suspects in a stream that comes in pieces of this length: the first byte of each that has not come with
    /// an earlier piece, what precedes it, its object and its kinds.
    fn suspects(stream: &[u8], piece: usize) -> Vec<(usize, usize, u32, Vec<&'static str>)> {
        let (strings, mut requests, mut found) = (strings(), Requests::new(), Vec::new());
        for (from, mut bytes) in (0..).step_by(piece).zip(stream.chunks(piece)) {
            let mut at = from;
            while let (length, Some(suspect)) = requests.follow(&strings, bytes) {
                let kinds = suspect.kinds.iter().map(|kind| kind.name).collect();
                found.push((at + suspect.begins, suspect.precede, suspect.object, kinds));
                (at, bytes) = (at + length, &bytes[length..]);
            }
        }
        found
    }

    #[test]
    fn null_where_a_string_must_be_is_a_suspect_wherever_the_stream_is_cut() {
        let bind = request(2, 0, &[1, 0, 1, 3]);
        let title = request(9, 2, &[0]);
        let layer = request(7, 0, &[12, 13, 0, 2, 0]);
        let honest = [request(9, 2, &[5, 0x6162_6364, 0]), request(1, 0, &[4])].concat();
        let stream = [&*honest, &bind, &honest, &title, &layer, &request(9, 4, &[])].concat();
        let whole = suspects(&stream, stream.len());
        let after = honest.len();
        let binding = (after, 2, 2, vec!["wl_registry"]);
        let second = after + bind.len() + after;
        let titling = (second, 5, 9, vec!["xdg_toplevel"]);
        assert_eq!(whole[0], binding);
        assert_eq!(whole[1], titling);
        assert_eq!(whole[2].0, second + title.len());
        assert!(whole[2].3.contains(&"zwlr_layer_shell_v1"), "{:?}", whole[2]);
        assert_eq!(whole.len(), 3);
        for piece in 1..stream.len() {
            let cut = suspects(&stream, piece);
            let of = |(_, precede, object, _): &(usize, usize, u32, _)| (*precede, *object);
            let cut: Vec<_> = cut.iter().map(of).collect();
            // A request of which words come apart may be looked at twice.
            for suspect in &whole {
                assert!(cut.contains(&of(suspect)), "{piece}: {cut:?}");
            }
        }
    }

    #[test]
    fn suspect_is_not_passed_on_with_its_null() {
        let stream = [request(1, 0, &[4]), request(9, 2, &[0])].concat();
        for cut in 1..stream.len() {
            let (strings, mut requests) = (strings(), Requests::new());
            let (first, second) = stream.split_at(cut);
            assert!(requests.follow(&strings, first).1.is_none(), "{cut}");
            let (_, suspect) = requests.follow(&strings, second);
            assert_eq!(suspect.expect("a suspect").begins, 12_usize.saturating_sub(cut), "{cut}");
        }
    }

    #[test]
    fn strings_that_may_be_null_and_requests_that_are_too_short_are_none() {
        // `wl_data_offer.accept` with no type, and a title without even a length.
        assert_eq!(suspects(&request(5, 0, &[7, 0]), 64).len(), 1, "it could be the registry's");
        let kinds = suspects(&request(5, 0, &[7, 0]), 64).remove(0).3;
        assert_eq!(kinds, ["wl_registry"]);
        assert!(suspects(&request(9, 2, &[]), 64).is_empty());
        // A length that is less than the head's is the library's to refuse.
        assert!(suspects(&[request(9, 2, &[0])[..4].to_vec(), vec![0; 8]].concat(), 64).is_empty());
    }
}
