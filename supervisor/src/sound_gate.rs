//! What the sound worker may ask of the session's sound server. Pure.
//!
//! The sound server has the rights of the session's user, and makes objects for whoever is connected. One of its
//! factories loads any plugin, from any file, with any settings; plugins have settings that name files which the
//! server then writes to. So a sound worker that was taken over could have it write to the user's files. That is
//! why the worker has no connection of its own: what it says passes here, message by message.
//!
//! A message (<https://docs.pipewire.org/page_native_protocol.html>) has a head of sixteen bytes and a value. Only
//! those to the core, which is object 0, and to registries are looked into, since others can make nothing, and what
//! streams say of themselves: others must not take a stream for a device of the user's (`sound_gate/objects.rs`).
//!
//! INVARIANTS
//! - No object but object 0 is a core, and none is a registry or a stream unless it is known here: a registry binds
//!   nothing but metadata, and other objects make no such ones.
//! - The number of one that is known stands for nothing else until the object is gone: the server would put
//!   another in its place.
//! - What is looked into is read by the server as it is read here. It must have the one form that the server's
//!   library writes: its own parser takes others, too.

mod objects;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use self::{
    objects::{Asked, Identity, bind, create, get_registry, only_number},
    values::Values,
};

/// Longest message. The library's longest has some kilobytes.
const LONGEST: usize = 256 * 1024;
/// Registries that one connection may have. Ours makes two.
const MOST_REGISTRIES: usize = 16;
/// Streams that one connection may have. Ours makes one that hears and a microphone, and others when the library
/// loses them.
const MOST_STREAMS: usize = 16;

/// The length of a message's head.
const HEAD: usize = 16;
/// The object that is there from the start.
const CORE: u32 = 0;

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// A message is longer than any of ours.
    #[error("a message of {0} bytes")]
    TooLong(usize),
    /// A method that is not used.
    #[error("method {method} of object {object}")]
    Method {
        /// The object.
        object: u32,
        /// The method's number.
        method: u8,
    },
    /// A message in another form than the library's.
    #[error("method {method} of object {object} in another form than the library's")]
    Form {
        /// The object.
        object: u32,
        /// The method's number.
        method: u8,
    },
    /// An object that it may not make or bind.
    #[error("an object that it may not have")]
    Object,
    /// A stream is to be known as something else than it was made as.
    #[error("a stream, object {0}, in another one's name")]
    Identity(u32),
}

/// The requests of one connection.
#[derive(Debug, Default)]
pub struct Gate {
    /// The beginning of a message that is not complete.
    pending: Vec<u8>,
    known: Known,
}

/// The objects whose messages are looked into, besides the core.
#[derive(Debug, Default)]
struct Known {
    /// Whether a stream may be a microphone.
    microphone: bool,
    registries: BTreeSet<u32>,
    streams: BTreeMap<u32, Identity>,
}

impl Gate {
    /// The gate of a connection in which there may be a microphone, or not.
    #[must_use]
    pub fn new(microphone: bool) -> Self {
        Self { known: Known { microphone, ..Known::default() }, ..Self::default() }
    }

    /// Takes what the worker says next. Returns the messages that are complete and go on to the server.
    ///
    /// # Errors
    /// [`Refusal`] closes the connection, and nothing of the bytes goes on.
    pub fn pass(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.pending.extend(bytes);
        let mut end = 0;
        while let Some(message) = Message::first(self.pending.get(end..).unwrap_or_default())? {
            end += HEAD + message.content.len();
            self.known.judge(&message)?;
        }
        let rest = self.pending.split_off(end);
        Ok(std::mem::replace(&mut self.pending, rest))
    }
}

struct Message<'bytes> {
    object: u32,
    method: u8,
    descriptors: u32,
    content: &'bytes [u8],
}

impl<'bytes> Message<'bytes> {
    /// The message at the beginning; `None` if it is not complete.
    fn first(bytes: &'bytes [u8]) -> Result<Option<Self>, Refusal> {
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return Ok(None) };
        let mut words = head.as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word));
        let mut word = || words.next().unwrap_or_default();
        let (object, form, _number, descriptors) = (word(), word(), word(), word());
        // Eight bits of method, 24 of length.
        let ([method, ..], length) = (form.to_be_bytes(), (form & 0xff_ffff) as usize);
        if length > LONGEST {
            return Err(Refusal::TooLong(length));
        }
        let content = rest.get(..length);
        Ok(content.map(|content| Self { object, method, descriptors, content }))
    }

    fn form(&self) -> Refusal {
        Refusal::Form { object: self.object, method: self.method }
    }
}

impl Known {
    fn judge(&mut self, message: &Message<'_>) -> Result<(), Refusal> {
        let Message { object, method, .. } = *message;
        let arguments = || Values::of(message.content).ok_or_else(|| message.form());
        match (object, method) {
            // Hello. One that came with descriptors would be taken for one of an older protocol, with shorter heads.
            (CORE, 1) if message.descriptors == 0 => Ok(()),
            // Sync, pong, error.
            (CORE, 2..=4) => Ok(()),
            (CORE, 5) => {
                let made = get_registry(arguments()?).ok_or_else(|| message.form())?;
                self.free(made)?;
                self.registries.insert(made);
                if self.registries.len() > MOST_REGISTRIES { Err(Refusal::Object) } else { Ok(()) }
            }
            (CORE, 6) => {
                let asked = create(arguments()?, self.microphone);
                self.give(asked.ok_or_else(|| message.form())?)
            }
            (CORE, 7) => {
                let ended = only_number(arguments()?).ok_or_else(|| message.form())?;
                self.registries.remove(&ended);
                self.streams.remove(&ended);
                if ended == CORE { Err(Refusal::Object) } else { Ok(()) }
            }
            (CORE, _) => Err(Refusal::Method { object, method }),
            (registry, _) if self.registries.contains(&registry) => match method {
                1 => self.give(bind(arguments()?).ok_or_else(|| message.form())?),
                // Removal of an object.
                2 => Ok(()),
                _ => Err(Refusal::Method { object, method }),
            },
            (stream, 2) => match self.streams.get(&stream) {
                Some(identity) => match identity.is_kept(arguments()?) {
                    Some(true) => Ok(()),
                    Some(false) => Err(Refusal::Identity(stream)),
                    None => Err(message.form()),
                },
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Lets an object be made or bound, and keeps in mind what it is.
    fn give(&mut self, asked: Asked) -> Result<(), Refusal> {
        match asked {
            Asked::Forbidden => Err(Refusal::Object),
            Asked::Object(number) => self.free(number),
            Asked::Stream(number, identity) => {
                self.free(number)?;
                self.streams.insert(number, identity);
                if self.streams.len() > MOST_STREAMS { Err(Refusal::Object) } else { Ok(()) }
            }
        }
    }

    /// Whether a new object may have this number.
    fn free(&self, number: u32) -> Result<(), Refusal> {
        let is_taken = number == CORE
            || self.registries.contains(&number)
            || self.streams.contains_key(&number);
        if is_taken { Err(Refusal::Object) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests;
