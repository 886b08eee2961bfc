//! The hub between simulated compositors, each with a clipboard and with messages in flight.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::*;

/// The content of a compositor's clipboard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Has {
    Bridged,
    Nothing,
    Picture,
    Text,
}

impl Has {
    fn content(self) -> Option<Content> {
        let names: &[&str] = match self {
            Self::Bridged => &["text/plain", BRIDGE_MARK],
            Self::Nothing => return None,
            Self::Picture => &["image/png"],
            Self::Text => &["UTF8_STRING", "text/plain"],
        };
        let mut content = Content::default();
        names.iter().for_each(|name| content.add(name));
        Some(content)
    }
}

struct Compositor {
    has: Has,
    /// The bridge's requests that this compositor has not read yet.
    asked: VecDeque<Has>,
    /// This compositor's events that the bridge has not read yet.
    said: VecDeque<Has>,
}

impl Compositor {
    fn set(&mut self, has: Has) {
        self.has = has;
        self.said.push_back(has);
    }
}

#[derive(Default)]
struct World {
    hub: Hub,
    compositors: BTreeMap<SideId, Compositor>,
    numbered: u32,
    actions: usize,
}

#[derive(Clone, Debug)]
enum Op {
    Copy(usize, bool),
    Empty(usize),
    Hear(usize),
    Join,
    Leave(usize),
    Obey(usize),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..4_usize, any::<bool>()).prop_map(|(at, text)| Op::Copy(at, text)),
        (0..4_usize).prop_map(Op::Empty),
        (0..4_usize).prop_map(Op::Hear),
        (0..4_usize).prop_map(Op::Hear),
        Just(Op::Join),
        (0..4_usize).prop_map(Op::Leave),
        (0..4_usize).prop_map(Op::Obey),
        (0..4_usize).prop_map(Op::Obey),
    ]
}

impl World {
    fn nth(&self, index: usize) -> Option<SideId> {
        self.compositors.keys().copied().nth(index)
    }

    fn join(&mut self) {
        if self.compositors.len() == 4 {
            return;
        }
        self.numbered += 1;
        let side = SideId(self.numbered);
        // As in Wayland, a new client is told the current selection at once.
        let said = VecDeque::from([Has::Nothing]);
        let compositor = Compositor { has: Has::Nothing, asked: VecDeque::new(), said };
        self.compositors.insert(side, compositor);
        let action = self.hub.join(side);
        self.act(action.into_iter().collect());
    }

    fn act(&mut self, actions: Vec<Action>) {
        self.actions += actions.len();
        for action in actions {
            let (side, has) = match action {
                Action::Clear(side) => (side, Has::Nothing),
                Action::Offer(side) => (side, Has::Bridged),
            };
            self.compositors.get_mut(&side).expect("a side that is there").asked.push_back(has);
        }
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Copy(at, text) => self.set(*at, if *text { Has::Text } else { Has::Picture }),
            Op::Empty(at) => self.set(*at, Has::Nothing),
            Op::Hear(at) => drop(self.hear(*at)),
            Op::Join => self.join(),
            Op::Leave(at) => {
                if let Some(side) = self.nth(*at) {
                    self.compositors.remove(&side);
                    let actions = self.hub.leave(side);
                    self.act(actions);
                }
            }
            Op::Obey(at) => drop(self.obey(*at)),
        }
    }

    fn set(&mut self, at: usize, has: Has) {
        if let Some(compositor) = self.compositors.values_mut().nth(at) {
            compositor.set(has);
        }
    }

    fn hear(&mut self, at: usize) -> bool {
        let Some(side) = self.nth(at) else { return false };
        let said = self.compositors.get_mut(&side).and_then(|it| it.said.pop_front());
        let Some(said) = said else { return false };
        let actions = self.hub.select(side, said.content());
        self.act(actions);
        true
    }

    fn obey(&mut self, at: usize) -> bool {
        let Some(compositor) = self.compositors.values_mut().nth(at) else { return false };
        let Some(asked) = compositor.asked.pop_front() else { return false };
        compositor.set(asked);
        true
    }

    /// Delivers messages until none is in flight.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let moved = (0..4).any(|at| self.hear(at) || self.obey(at));
            if !moved {
                return;
            }
        }
        panic!("news goes round in a circle");
    }

    fn all(&self) -> Vec<Has> {
        self.compositors.values().map(|compositor| compositor.has).collect()
    }
}

proptest! {
    #[test]
    fn news_comes_to_rest_and_nobody_is_offered_what_nobody_has(
        ops in prop::collection::vec(op(), 0..80),
    ) {
        let mut world = World::default();
        ops.iter().for_each(|op| world.apply(op));
        world.settle();
        let holder = world.hub.holder().map(|(side, _)| side);
        for (side, compositor) in &world.compositors {
            if compositor.has == Has::Bridged {
                prop_assert!(holder.is_some_and(|holder| holder != *side));
            }
        }
        if let Some(holder) = holder {
            prop_assert_eq!(world.compositors[&holder].has, Has::Text);
        }
    }

    #[test]
    fn what_is_copied_once_all_is_quiet_is_offered_everywhere_else(
        ops in prop::collection::vec(op(), 0..40),
        at in 0..2_usize,
    ) {
        let mut world = World::default();
        world.join();
        world.join();
        ops.iter().for_each(|op| world.apply(op));
        world.settle();
        let count = world.compositors.len();
        prop_assume!(at < count);
        world.set(at, Has::Text);
        world.actions = 0;
        world.settle();
        let mut wanted = vec![Has::Bridged; count];
        wanted[at] = Has::Text;
        prop_assert_eq!(world.all(), wanted);
        prop_assert_eq!(world.actions, count - 1);
        // A new side gets it, too.
        world.join();
        world.settle();
        prop_assert_eq!(world.all().iter().filter(|has| **has == Has::Text).count(), 1);
        prop_assert!(!world.all().contains(&Has::Nothing));
    }
}

#[test]
fn holder_is_asked_by_the_best_name_that_it_has() {
    let mut hub = Hub::default();
    hub.join(SideId(1));
    for (names, best) in [
        (&["STRING", "UTF8_STRING", "image/png"][..], "UTF8_STRING"),
        (&["text/plain", "text/plain;charset=utf-8"], "text/plain;charset=utf-8"),
    ] {
        let mut content = Content::default();
        names.iter().for_each(|name| content.add(name));
        hub.select(SideId(1), Some(content));
        assert_eq!(hub.holder(), Some((SideId(1), best)));
    }
}

#[test]
fn text_of_a_side_that_is_gone_or_has_copied_a_picture_is_not_offered_any_more() {
    for gone in [true, false] {
        let mut hub = Hub::default();
        hub.join(SideId(1));
        hub.join(SideId(2));
        assert_eq!(hub.select(SideId(2), Has::Text.content()), [Action::Offer(SideId(1))]);
        let actions = match gone {
            true => hub.leave(SideId(2)),
            false => hub.select(SideId(2), Has::Picture.content()),
        };
        assert_eq!(actions, [Action::Clear(SideId(1))]);
        assert_eq!(hub.holder(), None);
    }
}
