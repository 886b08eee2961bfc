//! `voice`: compositor → sound, for how long voices count. No message goes back.
//!
//! What [`presence`](super::presence) is for pads this is for microphones: rtc alone passes on what viewers
//! say, and sound takes it only for as long as the compositor says. The compositor says so while a page
//! proves that its viewer's microphone is on ([`crate::lease::speaking_text`]), so an rtc that was taken over
//! cannot speak in a session in which nobody does.

use serde::{Deserialize, Serialize};

use crate::{codec::Message, lease::Stay, link::LinkName};

/// Compositor → sound: voices count for so long from now.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct ToSound(pub Stay);

/// Sound → compositor. There are no such messages.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum ToCompositor {}

impl Message for ToSound {
    const LINK: LinkName = LinkName::Voice;
}

impl Message for ToCompositor {
    const LINK: LinkName = LinkName::Voice;
}
