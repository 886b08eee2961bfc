//! Decides which side's text the other sides offer. Pure.
//!
//! INVARIANT: the bridge marks its own offers and never forwards a marked one. So no offer loops, however
//! many bridges there are and in whatever order events arrive.

use std::collections::BTreeSet;

use crate::selections::{BRIDGE_MARK, SETTLED_MARK, TEXT_NAMES};

/// Identifies a compositor while the bridge is connected to it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SideId(pub u32);

/// What the bridge needs to know of a side's clipboard. Other names that are offered there cost no memory.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Content {
    /// The index in [`TEXT_NAMES`] of the best name under which text is offered.
    text: Option<usize>,
    marked: bool,
    settles: bool,
}

impl Content {
    /// Adds a name under which the content is offered.
    pub fn add(&mut self, name: &str) {
        let rank = TEXT_NAMES.into_iter().position(|text| text == name);
        self.text = [self.text, rank].into_iter().flatten().min();
        self.marked |= name == BRIDGE_MARK;
        self.settles |= name == SETTLED_MARK;
    }

    /// Whether our compositor waits until the other sides have it, too.
    #[must_use]
    pub const fn settles(&self) -> bool {
        self.settles
    }
}

/// What the bridge must do at a side.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Offer nothing: no side has text.
    Clear(SideId),
    /// Offer text.
    Offer(SideId),
}

/// The sides, and which of them holds the text.
#[derive(Debug, Default)]
pub struct Hub {
    sides: BTreeSet<SideId>,
    holder: Option<(SideId, usize)>,
}

impl Hub {
    /// Adds a side.
    pub fn join(&mut self, side: SideId) -> Option<Action> {
        self.sides.insert(side);
        self.holder.map(|_| Action::Offer(side))
    }

    /// Removes a side.
    pub fn leave(&mut self, side: SideId) -> Vec<Action> {
        self.sides.remove(&side);
        if self.holds(side) { self.give_up() } else { Vec::new() }
    }

    /// Records a side's new clipboard content, or that its clipboard is empty.
    pub fn select(&mut self, side: SideId, content: Option<Content>) -> Vec<Action> {
        match content {
            // The bridge's offer arrived late: something else was copied meanwhile, here or
            // elsewhere, so no side has its text any more.
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
            // A picture, say. Other sides must not go on offering the text copied before it.
            Some(_) if self.holder.take().is_some() => {
                self.others(side).map(Action::Clear).collect()
            }
            Some(_) => Vec::new(),
            None if self.holds(side) => self.give_up(),
            None => Vec::new(),
        }
    }

    /// The side that has the text the others offer, and the name to ask for it by.
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
