//! Which side's text the other sides offer. Pure.
//!
//! INVARIANT: what the bridge has offered is marked, and what is marked is never carried on: so nothing
//! goes round in a circle, however many bridges there are and whatever order news comes in.

use std::collections::BTreeSet;

use crate::selections::{BRIDGE_MARK, SETTLED_MARK, TEXT_NAMES};

/// Names a compositor for as long as the bridge is its client.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SideId(pub u32);

/// What a side says it has on its clipboard, as far as it matters here: whatever else is offered there
/// costs no memory.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Content {
    /// Where in [`TEXT_NAMES`] the best name of its text is.
    text: Option<usize>,
    marked: bool,
    settles: bool,
}

impl Content {
    /// It can be had by this name, too.
    pub fn add(&mut self, name: &str) {
        let rank = TEXT_NAMES.into_iter().position(|text| text == name);
        self.text = [self.text, rank].into_iter().flatten().min();
        self.marked |= name == BRIDGE_MARK;
        self.settles |= name == SETTLED_MARK;
    }

    /// Whether somebody waits for the other sides to have it, too.
    #[must_use]
    pub const fn settles(&self) -> bool {
        self.settles
    }
}

/// What is to be done at a side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Nobody has text: offer none.
    Clear(SideId),
    /// Offer text.
    Offer(SideId),
}

/// The sides, and whose text is on the clipboard.
#[derive(Debug, Default)]
pub struct Hub {
    sides: BTreeSet<SideId>,
    holder: Option<(SideId, usize)>,
}

impl Hub {
    /// A side takes part.
    pub fn join(&mut self, side: SideId) -> Option<Action> {
        self.sides.insert(side);
        self.holder.map(|_| Action::Offer(side))
    }

    /// A side is gone.
    pub fn leave(&mut self, side: SideId) -> Vec<Action> {
        self.sides.remove(&side);
        if self.holds(side) { self.give_up() } else { Vec::new() }
    }

    /// A side has something else on its clipboard, or nothing.
    pub fn select(&mut self, side: SideId, content: Option<Content>) -> Vec<Action> {
        match content {
            // What the bridge offers, where that is nobody's any more: something else was copied, there
            // or elsewhere, before the offer arrived.
            Some(content) if content.marked && self.holder.is_none_or(|(it, _)| it == side) => {
                let mut actions = self.give_up();
                actions.push(Action::Clear(side));
                actions
            }
            Some(content) if content.marked => Vec::new(),
            Some(Content { text: Some(rank), .. }) => {
                self.holder = Some((side, rank));
                self.others(side).map(Action::Offer).collect()
            }
            // A picture, say: pasting elsewhere what was copied before that would be a surprise.
            Some(_) if self.holder.take().is_some() => {
                self.others(side).map(Action::Clear).collect()
            }
            Some(_) => Vec::new(),
            None if self.holds(side) => self.give_up(),
            None => Vec::new(),
        }
    }

    /// Who has the text that the other sides offer, and by which name it is to be asked for.
    #[must_use]
    pub fn holder(&self) -> Option<(SideId, &'static str)> {
        let (side, rank) = self.holder?;
        Some((side, TEXT_NAMES.get(rank)?))
    }

    fn holds(&self, side: SideId) -> bool {
        self.holder.is_some_and(|(holder, _)| holder == side)
    }

    fn others(&self, side: SideId) -> impl Iterator<Item = SideId> {
        self.sides.iter().copied().filter(move |other| *other != side)
    }

    fn give_up(&mut self) -> Vec<Action> {
        let holder = self.holder.take();
        holder.map(|(side, _)| self.others(side).map(Action::Clear).collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
