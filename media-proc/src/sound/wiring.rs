//! Which links lead from the monitor of Lumen's sink to the stream that listens to it. Pure.
//!
//! Lumen makes these links itself, because a session manager links a stream only to what it already
//! knows, and starts at the same time as everything else. The session manager gives both sides their
//! ports: when it comes, and perhaps others when it is started anew, with which links go. So a link is
//! due whenever both ports of a channel are there and no link is.
//!
//! What is counted here comes from the sound server, where the session's apps make objects, too: it is
//! bounded.

use std::collections::{BTreeMap, BTreeSet};

/// The number of an object in the sound server. After its end another object may get it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ObjectId(pub u32);

/// Which way samples go through a port.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// Out of what a sink plays.
    Monitor,
    /// Into what listens.
    Input,
}

/// A port that may be linked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Port {
    /// The node to which it belongs.
    pub node: ObjectId,
    /// Which way samples go.
    pub side: Side,
    /// The channel's name, such as `FL`.
    pub channel: String,
}

/// A link between two ports.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Pair {
    /// The port where the samples come from.
    pub from: ObjectId,
    /// The port to which they go.
    pub to: ObjectId,
}

/// The sink, and the stream that is to hear it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ends {
    /// The sink's node.
    pub sink: ObjectId,
    /// The stream's node.
    pub ear: ObjectId,
}

/// Most ports and most links that are counted. Two sides of eight channels need sixteen.
const MOST: usize = 256;
/// So often one link is asked for between the same two ports. A server that ends it as often will not
/// have it.
const MOST_ATTEMPTS: u32 = 8;

/// What is known of ports and links.
#[derive(Debug, Default)]
pub struct Wiring {
    ports: BTreeMap<ObjectId, Port>,
    links: BTreeMap<ObjectId, Pair>,
    /// How often each was asked for.
    attempts: BTreeMap<Pair, u32>,
    /// Asked for, and not answered yet.
    open: BTreeSet<Pair>,
}

impl Wiring {
    /// A port of the sink or of a stream has come.
    pub fn port_added(&mut self, id: ObjectId, port: Port) {
        if self.ports.len() < MOST {
            self.ports.insert(id, port);
        }
    }

    /// A link has come, whoever made it.
    pub fn link_added(&mut self, id: ObjectId, pair: Pair) {
        let is_known = self.ports.contains_key(&pair.from) && self.ports.contains_key(&pair.to);
        if is_known && self.links.len() < MOST {
            self.open.remove(&pair);
            self.links.insert(id, pair);
        }
    }

    /// An object of any kind has gone. Its number means nothing any more.
    pub fn removed(&mut self, id: ObjectId) {
        self.links.remove(&id);
        if self.ports.remove(&id).is_some() {
            let ended = |pair: &Pair| pair.from == id || pair.to == id;
            self.links.retain(|_, pair| !ended(pair));
            self.attempts.retain(|pair, _| !ended(pair));
            self.open.retain(|pair| !ended(pair));
        }
    }

    /// The server does not make this link.
    pub fn refused(&mut self, pair: Pair) {
        self.open.remove(&pair);
    }

    /// The links to ask for, each once.
    pub fn due(&mut self, ends: Ends) -> Vec<Pair> {
        let mut due = self.pairs(ends);
        due.retain(|pair| !self.is_linked(*pair) && self.open.insert(*pair));
        for pair in &due {
            *self.attempts.entry(*pair).or_default() += 1;
        }
        due
    }

    /// Whether everything that the sink plays is heard.
    #[must_use]
    pub fn is_whole(&self, ends: Ends) -> bool {
        let pairs = self.pairs(ends);
        !pairs.is_empty() && pairs.into_iter().all(|pair| self.is_linked(pair))
    }

    /// Whether the server ends or refuses a link again and again.
    #[must_use]
    pub fn is_hopeless(&self) -> bool {
        self.attempts.values().any(|attempts| *attempts > MOST_ATTEMPTS)
    }

    /// Whether this link is there, or may yet come.
    #[must_use]
    pub fn expects(&self, pair: Pair) -> bool {
        self.open.contains(&pair) || self.is_linked(pair)
    }

    fn is_linked(&self, pair: Pair) -> bool {
        self.links.values().any(|link| *link == pair)
    }

    /// The ports of the same channel on both sides.
    fn pairs(&self, Ends { sink, ear }: Ends) -> Vec<Pair> {
        let of = |node, side| {
            let is_it = move |port: &Port| port.node == node && port.side == side;
            self.ports.iter().filter(move |(_, port)| is_it(port))
        };
        let inputs = || of(ear, Side::Input);
        of(sink, Side::Monitor)
            .filter_map(|(from, monitor)| {
                let (to, _) = inputs().find(|(_, input)| input.channel == monitor.channel)?;
                Some(Pair { from: *from, to: *to })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENDS: Ends = Ends { sink: ObjectId(1), ear: ObjectId(2) };

    fn port(node: ObjectId, side: Side, channel: &str) -> Port {
        Port { node, side, channel: channel.to_owned() }
    }

    fn pair(from: u32, to: u32) -> Pair {
        Pair { from: ObjectId(from), to: ObjectId(to) }
    }

    /// A sink with the ports 10 and 11, and an ear with 20 and 21.
    fn stereo() -> Wiring {
        let mut wiring = Wiring::default();
        for (at, channel) in ["FL", "FR"].into_iter().enumerate() {
            let at = u32::try_from(at).expect("two");
            wiring.port_added(ObjectId(10 + at), port(ENDS.sink, Side::Monitor, channel));
            wiring.port_added(ObjectId(20 + at), port(ENDS.ear, Side::Input, channel));
        }
        wiring
    }

    #[test]
    fn links_are_due_once_both_ports_of_a_channel_are_there_and_until_they_are_linked() {
        let mut wiring = stereo();
        assert_eq!(wiring.due(ENDS), [pair(10, 20), pair(11, 21)]);
        assert!(wiring.due(ENDS).is_empty(), "they have been asked for");
        assert!(!wiring.is_whole(ENDS));
        wiring.link_added(ObjectId(30), pair(10, 20));
        assert!(!wiring.is_whole(ENDS), "one channel is missing");
        wiring.link_added(ObjectId(31), pair(11, 21));
        assert!(wiring.is_whole(ENDS) && wiring.due(ENDS).is_empty());
    }

    #[test]
    fn link_that_goes_or_is_refused_is_due_again_until_that_is_hopeless() {
        let mut wiring = stereo();
        let _ = wiring.due(ENDS);
        wiring.link_added(ObjectId(31), pair(11, 21));
        for attempt in 1..=MOST_ATTEMPTS {
            assert!(!wiring.is_hopeless());
            match attempt % 2 {
                0 => wiring.refused(pair(10, 20)),
                _ => {
                    wiring.link_added(ObjectId(30), pair(10, 20));
                    wiring.removed(ObjectId(30));
                }
            }
            assert_eq!(wiring.due(ENDS), [pair(10, 20)]);
        }
        assert!(wiring.is_hopeless());
    }

    #[test]
    fn ports_that_are_replaced_take_their_links_and_their_failures_with_them() {
        let mut wiring = stereo();
        for link in wiring.due(ENDS) {
            wiring.link_added(ObjectId(link.from.0 + 20), link);
        }
        wiring.removed(ObjectId(10));
        assert!(wiring.due(ENDS).is_empty() && !wiring.expects(pair(10, 20)));
        // The number is used again.
        wiring.port_added(ObjectId(10), port(ENDS.sink, Side::Monitor, "FL"));
        assert_eq!(wiring.due(ENDS), [pair(10, 20)]);
        assert_eq!(wiring.attempts.get(&pair(10, 20)), Some(&1));
    }

    #[test]
    fn ports_of_others_and_other_channels_are_not_linked() {
        let mut wiring = Wiring::default();
        wiring.port_added(ObjectId(10), port(ENDS.sink, Side::Monitor, "FL"));
        wiring.port_added(ObjectId(20), port(ENDS.ear, Side::Input, "FR"));
        wiring.port_added(ObjectId(21), port(ObjectId(3), Side::Input, "FL"));
        wiring.port_added(ObjectId(22), port(ENDS.sink, Side::Input, "FL"));
        assert!(wiring.due(ENDS).is_empty() && !wiring.is_whole(ENDS));
    }

    #[test]
    fn ports_and_links_without_end_are_counted_to_a_bound() {
        let mut wiring = Wiring::default();
        for id in 0..10_000 {
            wiring.port_added(ObjectId(id), port(ENDS.ear, Side::Input, "FL"));
            wiring.link_added(ObjectId(10_000 + id), pair(0, 1));
        }
        assert_eq!((wiring.ports.len(), wiring.links.len()), (MOST, MOST));
    }

    proptest! {
        /// Ports, links and their ends in any order: as soon as the server answers what is asked of it,
        /// everything is heard.
        #[test]
        fn links_are_whole_in_the_end_whatever_came_and_went(
            history in prop::collection::vec((0u8..6, 0u32..4), 0..40)
        ) {
            let mut wiring = Wiring::default();
            let whole = stereo();
            let ids = [10, 11, 20, 21];
            for (what, which) in history {
                let id = ObjectId(ids[which as usize]);
                match what {
                    0 | 1 => wiring.port_added(id, whole.ports[&id].clone()),
                    2 => wiring.removed(id),
                    3 => wiring.removed(ObjectId(30 + which % 2)),
                    4 => drop(wiring.due(ENDS)),
                    _ => {
                        let asked = pair(10 + which % 2, 20 + which % 2);
                        if wiring.open.contains(&asked) {
                            wiring.link_added(ObjectId(30 + which % 2), asked);
                        }
                    }
                }
            }
            wiring.ports = whole.ports;
            for asked in wiring.due(ENDS) {
                prop_assert!(!wiring.is_linked(asked));
            }
            for asked in wiring.open.clone() {
                wiring.link_added(ObjectId(asked.from.0 + 20), asked);
            }
            prop_assert!(wiring.is_whole(ENDS));
        }
    }
}
