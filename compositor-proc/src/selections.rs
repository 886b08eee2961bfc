//! The clipboard: what apps may paste and what viewers may copy. Does no I/O; the seat's own record of who
//! offers what is Smithay's.
//!
//! Decides: which of an app's kinds of content viewers are offered, when an offer of a page's is over, and
//! what of it rtc has to be told. Only text passes, and only the clipboard proper: the primary
//! selection, which follows every mark of the mouse, stays inside the desktop.
//!
//! INVARIANT: an app's offer and a page's never stand at once. The later one wins.

use std::os::fd::OwnedFd;

use lumen_ipc::message::transfer::{ClipboardPolicy, Kind, MAX_TRANSFERS, Offer, OfferId};
use smithay::reexports::wayland_server::backend::ClientId;

/// The names of text in UTF-8, those that say so first: an app is asked for the first that it has, and
/// offered all. The last three are how X apps and their bridges call it.
pub const TEXT_NAMES: [&str; 5] =
    ["text/plain;charset=utf-8", "text/plain", "UTF8_STRING", "TEXT", "STRING"];

/// The name of a kind that only the bridge offers, beside those of text: by it what the bridge has
/// carried somewhere is told from what somebody copied there.
pub const BRIDGE_MARK: &str = "application/x-lumen-bridged";

/// The name of a kind that only pages' offers have, beside those of text, and only while there is a bridge.
/// By asking for it the bridge says that the desktops inside have the offer, too. Whoever else asks gets
/// nothing, and has told a viewer too early that the text can be pasted.
pub const SETTLED_MARK: &str = "application/x-lumen-settled";

/// An app that wants a page's content: the end of its pipe.
#[derive(Debug)]
pub struct Paste {
    /// Of which offer.
    pub offer: OfferId,
    /// Where it goes.
    pub target: OwnedFd,
}

/// Text that an app has on the clipboard.
#[derive(Clone, Debug, PartialEq)]
pub struct Copied {
    /// How viewers know it.
    pub offer: OfferId,
    /// What the app calls it.
    pub name: &'static str,
    /// Whose it is; with the app it is gone.
    pub owner: ClientId,
}

/// What there is on the clipboard.
#[derive(Debug)]
pub struct Selections {
    policy: ClipboardPolicy,
    numbered: u32,
    copied: Option<Copied>,
    untold: bool,
    page: Option<OfferId>,
    lapsed: Vec<OfferId>,
    pastes: Vec<Paste>,
    bridge: Option<ClientId>,
    settled: Option<OfferId>,
}

impl Selections {
    /// An empty clipboard that keeps to `policy`.
    #[must_use]
    pub const fn new(policy: ClipboardPolicy) -> Self {
        Self {
            policy,
            numbered: 0,
            copied: None,
            untold: false,
            page: None,
            lapsed: Vec::new(),
            pastes: Vec::new(),
            bridge: None,
            settled: None,
        }
    }

    /// The bridge is another client from now on. Returns whether the clipboard had what only the one
    /// before could have given.
    pub fn set_bridge(&mut self, bridge: ClientId) -> bool {
        let before = self.bridge.replace(bridge);
        let lost = self.copied.take_if(|copied| Some(&copied.owner) == before.as_ref()).is_some();
        self.untold &= !lost;
        lost
    }

    /// The newest client that was the bridge.
    #[must_use]
    pub const fn bridge(&self) -> Option<&ClientId> {
        self.bridge.as_ref()
    }

    /// The bridge, if it is the one who offers these names.
    #[must_use]
    pub fn bridge_of(&self, names: &[String]) -> Option<&ClientId> {
        self.bridge.as_ref().filter(|_| names.iter().any(|name| name == BRIDGE_MARK))
    }

    /// Which way content may go.
    #[must_use]
    pub const fn policy(&self) -> ClipboardPolicy {
        self.policy
    }

    /// An app copied something that it has under these names, or emptied the clipboard.
    pub fn copy(&mut self, owner: Option<ClientId>, names: &[String]) {
        self.lapsed.extend(self.page.take());
        let name = TEXT_NAMES.into_iter().find(|name| names.iter().any(|has| has == name));
        self.copied = match (owner, name) {
            (Some(owner), Some(name)) if self.policy.from_desktop() => {
                self.numbered = self.numbered.wrapping_add(1);
                Some(Copied { offer: OfferId(self.numbered), name, owner })
            }
            _ => None,
        };
        self.untold = self.copied.is_some();
    }

    /// A page's offer is what apps paste from now on.
    pub fn set_page(&mut self, offer: OfferId) {
        self.lapsed.extend(self.page.replace(offer));
        self.copied = None;
        self.untold = false;
    }

    /// The page's offer that stands.
    #[must_use]
    pub const fn page(&self) -> Option<OfferId> {
        self.page
    }

    /// The page's offer does not stand any more, as rtc knows.
    pub const fn forget_page(&mut self) -> Option<OfferId> {
        self.page.take()
    }

    /// What an app has on the clipboard, if it is this offer.
    #[must_use]
    pub fn copied(&self, offer: OfferId) -> Option<&Copied> {
        self.copied.as_ref().filter(|copied| copied.offer == offer)
    }

    /// The offer of an app's that rtc has not been told of; it counts as told then.
    pub fn take_untold(&mut self) -> Option<Offer> {
        let copied = self.copied.as_ref().filter(|_| self.untold)?;
        self.untold = false;
        Some(Offer { offer: copied.offer, kind: Kind::Text, bytes: None })
    }

    /// Pages' offers that apps have replaced, and rtc must know of.
    pub fn take_lapsed(&mut self) -> Vec<OfferId> {
        std::mem::take(&mut self.lapsed)
    }

    /// The desktops inside have a page's offer.
    pub const fn settle(&mut self, offer: OfferId) {
        self.settled = Some(offer);
    }

    /// Whether they have this one.
    #[must_use]
    pub fn is_settled(&self, offer: OfferId) -> bool {
        self.settled == Some(offer)
    }

    /// An app wants a page's content. Of more at once than can be served the others get an end of
    /// file: each is a descriptor, of which all apps together have one stock.
    pub fn paste(&mut self, offer: OfferId, target: OwnedFd) {
        if self.pastes.len() < MAX_TRANSFERS {
            self.pastes.push(Paste { offer, target });
        }
    }

    /// The apps that do.
    pub fn take_pastes(&mut self) -> Vec<Paste> {
        std::mem::take(&mut self.pastes)
    }

    /// Whom nobody answers any more: rtc is gone.
    pub fn forget_rtc(&mut self) {
        self.lapsed.clear();
        self.pastes.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, pipe};

    use super::*;

    #[test]
    fn pastes_beyond_what_can_be_served_at_once_end_at_once() {
        let mut selections = Selections::new(ClipboardPolicy::Both);
        let mut ends = Vec::new();
        for _ in 0..=MAX_TRANSFERS {
            let (read, write) = pipe().expect("a pipe");
            selections.paste(OfferId(1), write.into());
            ends.push(read);
        }
        let mut last = ends.pop().expect("one more than can be served");
        assert_eq!(last.read(&mut [0]).expect("readable"), 0);
        assert_eq!(selections.take_pastes().len(), MAX_TRANSFERS);
    }
}
