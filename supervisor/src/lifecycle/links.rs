//! The links' part of the machine: which pair of each link is the present one.

use lumen_ipc::link::{Generation, Link, LinkName};

/// Every link of this desktop.
#[derive(Debug, Default)]
pub(super) struct Links {
    rows: Vec<(LinkName, Generation)>,
}

impl Links {
    /// A new pair is made for a link: which one.
    pub(super) fn wire(&mut self, link: &Link) -> Generation {
        let index = self.rows.iter().position(|(name, _)| *name == link.name);
        let index = index.unwrap_or_else(|| {
            self.rows.push((link.name, Generation::default()));
            self.rows.len() - 1
        });
        let (_, generation) = &mut self.rows[index];
        *generation = generation.next();
        *generation
    }

    /// Whether a pair is the present one.
    pub(super) fn is_present(&self, link: &Link, generation: Generation) -> bool {
        self.rows.contains(&(link.name, generation))
    }
}
