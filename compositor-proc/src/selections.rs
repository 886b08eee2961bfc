//! The clipboard: what apps may paste and what viewers may copy. Does no I/O; Smithay keeps the seat's own
//! record of selections.
//!
//! Decides: which of an app's kinds of content viewers are offered, when a page's offer ends, and what rtc
//! must be told of that. Only text passes, and only the clipboard proper: the primary selection, which
//! changes whenever text is marked with the mouse, stays inside the desktop.
//!
//! INVARIANT: an app's offer and a page's are never valid at once. The later one wins.

use std::os::fd::OwnedFd;

use lumen_ipc::message::transfer::{ClipboardPolicy, Kind, MAX_TRANSFERS, Offer, OfferId};
use smithay::reexports::wayland_server::backend::ClientId;

/// The names of UTF-8 text, best first: text is requested from an app by the first name that it offers, and
/// offered to apps by all names. The last three are those of X apps and their bridges.
pub const TEXT_NAMES: [&str; 5] =
    ["text/plain;charset=utf-8", "text/plain", "UTF8_STRING", "TEXT", "STRING"];

/// An extra name that only the bridge offers. It distinguishes the bridge's offers from what an app
/// copied.
pub const BRIDGE_MARK: &str = "application/x-lumen-bridged";

/// An extra name that only pages' offers have, and only while there is a bridge. The bridge requests it
/// to confirm that the desktops inside have the offer, too. Any other client that requests it gets
/// nothing, and makes the viewer hear too early that the text can be pasted.
pub const SETTLED_MARK: &str = "application/x-lumen-settled";

/// An app's request to paste a page's content.
#[derive(Debug)]
pub struct Paste {
    /// The page's offer.
    pub offer: OfferId,
    /// The pipe to the app.
    pub target: OwnedFd,
}

/// Text that an app has on the clipboard.
#[derive(Clone, Debug, PartialEq)]
pub struct Copied {
    /// Its id for viewers.
    pub offer: OfferId,
    /// The name under which the app offers it.
    pub name: &'static str,
    /// The app that has it. The text ends with the app.
    pub owner: ClientId,
}

/// The content of the clipboard.
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
    /// An empty clipboard under `policy`.
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

    /// Makes another client the bridge. Returns whether this ended an offer of the previous one.
    pub fn set_bridge(&mut self, bridge: ClientId) -> bool {
        let before = self.bridge.replace(bridge);
        let lost = self.copied.take_if(|copied| Some(&copied.owner) == before.as_ref()).is_some();
        self.untold &= !lost;
        lost
    }

    /// The latest client that became the bridge. It may be gone.
    #[must_use]
    pub const fn bridge(&self) -> Option<&ClientId> {
        self.bridge.as_ref()
    }

    /// The bridge, if an offer with these names comes from it.
    #[must_use]
    pub fn bridge_of(&self, names: &[String]) -> Option<&ClientId> {
        self.bridge.as_ref().filter(|_| names.iter().any(|name| name == BRIDGE_MARK))
    }

    /// In which directions content may pass.
    #[must_use]
    pub const fn policy(&self) -> ClipboardPolicy {
        self.policy
    }

    /// An app copied something that it offers under these names, or emptied the clipboard.
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

    /// The page's offer, if it is valid.
    #[must_use]
    pub const fn page(&self) -> Option<OfferId> {
        self.page
    }

    /// Ends the page's offer. Rtc already knows.
    pub const fn forget_page(&mut self) -> Option<OfferId> {
        self.page.take()
    }

    /// The text that an app has copied, if this is its offer.
    #[must_use]
    pub fn copied(&self, offer: OfferId) -> Option<&Copied> {
        self.copied.as_ref().filter(|copied| copied.offer == offer)
    }

    /// The app's offer, if rtc has not been told of it. It counts as told afterwards.
    pub fn take_untold(&mut self) -> Option<Offer> {
        let copied = self.copied.as_ref().filter(|_| self.untold)?;
        self.untold = false;
        Some(Offer { offer: copied.offer, kind: Kind::Text, bytes: None })
    }

    /// Replaced offers of pages, for rtc to be told.
    pub fn take_lapsed(&mut self) -> Vec<OfferId> {
        std::mem::take(&mut self.lapsed)
    }

    /// The desktops inside confirmed that they have a page's offer.
    pub const fn settle(&mut self, offer: OfferId) {
        self.settled = Some(offer);
    }

    /// Whether this is the page's offer that they confirmed last.
    #[must_use]
    pub fn is_settled(&self, offer: OfferId) -> bool {
        self.settled == Some(offer)
    }

    /// An app wants to paste a page's content. Requests beyond what can be served at once get an end of
    /// file: each holds a descriptor, and all apps share one limit.
    pub fn paste(&mut self, offer: OfferId, target: OwnedFd) {
        if self.pastes.len() < MAX_TRANSFERS {
            self.pastes.push(Paste { offer, target });
        }
    }

    /// The requests to paste since the last call.
    pub fn take_pastes(&mut self) -> Vec<Paste> {
        std::mem::take(&mut self.pastes)
    }

    /// Drops what only rtc could handle: rtc is gone.
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
