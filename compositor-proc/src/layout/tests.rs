//! Tests of [`super`].

use proptest::prelude::*;

use super::*;

const ONE: WindowId = WindowId(1);
const TWO: WindowId = WindowId(2);

fn screen() -> Screen {
    // A panel of 30 pixels at the top.
    Screen {
        output: Rectangle::from_size((800, 600).into()),
        free: Rectangle::new((0, 30).into(), (800, 570).into()),
    }
}

fn fixed(width: i32, height: i32) -> Hints {
    Hints { fixed: Some((width, height).into()), ..Hints::default() }
}

fn open(stack: &mut Stack, id: WindowId, hints: Hints, size: (i32, i32)) {
    stack.insert(id);
    stack.describe(id, hints);
    stack.set_content(id, size.into(), true);
}

#[test]
fn first_window_fills_the_screen_even_if_its_size_is_fixed() {
    let mut stack = Stack::new(screen());
    stack.insert(ONE);
    stack.describe(ONE, fixed(300, 200));
    assert_eq!(stack.wanted(ONE), Wanted::Fill((800, 570).into()));
}

#[test]
fn fullscreen_window_covers_panels() {
    let mut stack = Stack::new(screen());
    open(&mut stack, ONE, Hints { fullscreen: true, ..Hints::default() }, (800, 600));
    assert_eq!(stack.wanted(ONE), Wanted::FillOutput((800, 600).into()));
    assert_eq!(stack.place(ONE).map(|place| place.shown), Some(screen().output));
    assert!(stack.covers_panels());
}

#[test]
fn dialog_is_centred_over_its_parent_and_above_it() {
    let mut stack = Stack::new(screen());
    open(&mut stack, ONE, Hints::default(), (800, 570));
    open(&mut stack, TWO, Hints { parent: Some(ONE), ..Hints::default() }, (200, 100));
    stack.focus(ONE);
    assert_eq!(stack.wanted(TWO), Wanted::Within((800, 570).into()));
    assert_eq!(
        stack.place(TWO).map(|place| place.shown),
        Some(Rectangle::new((300, 265).into(), (200, 100).into()))
    );
    assert_eq!(stack.mapped().collect::<Vec<_>>(), [ONE, TWO]);
}

#[test]
fn window_that_is_added_again_keeps_its_content_and_place() {
    let mut stack = Stack::new(screen());
    open(&mut stack, ONE, Hints::default(), (800, 570));
    stack.insert(ONE);
    assert!(stack.is_mapped(ONE));
    assert_eq!(stack.place(ONE).map(|place| place.shown), Some(screen().free));
}

#[test]
fn second_window_of_small_fixed_size_is_a_dialog() {
    let mut stack = Stack::new(screen());
    open(&mut stack, ONE, Hints::default(), (800, 570));
    open(&mut stack, TWO, fixed(300, 200), (300, 200));
    assert_eq!(stack.wanted(TWO), Wanted::Within((800, 570).into()));
}

#[test]
fn closing_returns_focus_to_the_parent_else_to_the_one_below() {
    let mut stack = Stack::new(screen());
    let three = WindowId(3);
    open(&mut stack, ONE, Hints::default(), (800, 570));
    open(&mut stack, TWO, Hints::default(), (800, 570));
    open(&mut stack, three, Hints { parent: Some(ONE), ..Hints::default() }, (200, 100));
    stack.remove(three);
    assert_eq!(stack.focused(), Some(ONE));
    stack.remove(ONE);
    assert_eq!(stack.focused(), Some(TWO));
    stack.remove(TWO);
    assert_eq!(stack.focused(), None);
}

#[test]
fn describe_with_a_circle_of_parents_breaks_the_circle() {
    let mut stack = Stack::new(screen());
    open(&mut stack, ONE, Hints::default(), (800, 570));
    open(&mut stack, TWO, Hints { parent: Some(ONE), ..Hints::default() }, (200, 100));
    stack.describe(ONE, Hints { parent: Some(TWO), ..Hints::default() });
    assert!(stack.place(ONE).is_some());
}

#[test]
fn describe_with_a_parent_above_raises_the_dialog() {
    let mut stack = Stack::new(screen());
    open(&mut stack, TWO, Hints::default(), (200, 100));
    open(&mut stack, ONE, Hints::default(), (800, 570));
    stack.describe(TWO, Hints { parent: Some(ONE), ..Hints::default() });
    assert_eq!(stack.mapped().collect::<Vec<_>>(), [ONE, TWO]);
}

#[test]
fn dialog_larger_than_the_screen_is_asked_to_be_smaller_until_it_fits() {
    let mut stack = Stack::new(screen());
    open(&mut stack, ONE, Hints::default(), (800, 570));
    open(&mut stack, TWO, Hints { parent: Some(ONE), ..Hints::default() }, (500, 900));
    let bounds = (800, 570).into();
    assert_eq!(stack.wanted(TWO), Wanted::Cut { size: (500, 570).into(), bounds });
    stack.set_content(TWO, (500, 570).into(), true);
    assert_eq!(stack.wanted(TWO), Wanted::Within(bounds));
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Insert(u32),
    Describe(u32, Option<u32>, bool),
    /// With content of this size, visible or not.
    Map(u32, i32, i32, bool),
    Unmap(u32),
    Remove(u32),
    Focus(u32),
    /// An output, and the height of its panel.
    Screen(i32, i32, i32),
}

fn op() -> impl Strategy<Value = Op> {
    let id = 0_u32..6;
    prop_oneof![
        id.clone().prop_map(Op::Insert),
        (id.clone(), prop::option::of(id.clone()), any::<bool>())
            .prop_map(|(id, parent, fullscreen)| Op::Describe(id, parent, fullscreen)),
        (id.clone(), 1..2000, 1..2000, prop::bool::weighted(0.8))
            .prop_map(|(id, width, height, shows)| Op::Map(id, width, height, shows)),
        id.clone().prop_map(Op::Unmap),
        id.clone().prop_map(Op::Remove),
        id.prop_map(Op::Focus),
        (64..2000, 64..2000, 0..60)
            .prop_map(|(width, height, panel)| Op::Screen(width, height, panel)),
    ]
}

/// The place of a window, computed without the cache.
fn place_afresh(stack: &Stack, id: WindowId) -> Option<Place> {
    let entry = stack.windows.get(&id)?;
    let parent = entry.hints.parent.and_then(|parent| place_afresh(stack, parent));
    let room = if entry.hints.fullscreen { stack.screen.output } else { stack.screen.free };
    Some(Place::centred(entry.mapped?, parent.map_or(room, |parent| parent.shown), room))
}

fn verify_invariants(stack: &Stack) {
    let order: Vec<WindowId> = stack.mapped().collect();
    for (id, entry) in stack.windows.iter().filter(|(_, entry)| entry.mapped.is_some()) {
        let above = order.iter().position(|other| other == id);
        assert!(above.is_some(), "a mapped window is not in the stack");
        let parent = entry.hints.parent.and_then(|id| order.iter().position(|other| *other == id));
        assert!(parent.is_none_or(|parent| Some(parent) < above), "a dialog below its parent");
        let place = stack.place(*id).expect("mapped windows have a place");
        let screen = stack.screen.output;
        assert!(screen.contains_rect(place.shown), "{place:?} is not entirely on the screen");
    }
    for id in stack.windows.keys() {
        assert_eq!(
            stack.place(*id),
            place_afresh(stack, *id),
            "the cached place of {id:?} is stale"
        );
    }
    assert_eq!(order.len(), stack.windows.values().filter(|entry| entry.mapped.is_some()).count());
    let main = order.iter().rfind(|id| stack.windows[id].role == Role::Main);
    let covers = main.is_some_and(|id| stack.windows[id].hints.fullscreen);
    assert_eq!(stack.covers_panels(), covers);
    let seen = order.iter().any(|id| stack.windows[id].shows);
    assert!(stack.focused().is_some() || !seen, "a window is visible, and none has the focus");
    assert!(stack.focused().is_none_or(|id| order.contains(&id)));
}

proptest! {
    #[test]
    fn invariants_hold_whatever_windows_do(ops in prop::collection::vec(op(), 0..120)) {
        let mut stack = Stack::new(screen());
        for op in ops {
            match op {
                Op::Insert(id) if !stack.windows.contains_key(&WindowId(id)) => stack.insert(WindowId(id)),
                Op::Insert(_) => {}
                Op::Describe(id, parent, fullscreen) => {
                    let parent = parent.map(WindowId);
                    let hints = Hints { parent, fullscreen, ..Hints::default() };
                    stack.describe(WindowId(id), hints);
                }
                Op::Map(id, width, height, shows) => {
                    stack.set_content(WindowId(id), (width, height).into(), shows);
                }
                Op::Unmap(id) => {
                    stack.unmap(WindowId(id));
                }
                Op::Remove(id) => stack.remove(WindowId(id)),
                Op::Focus(id) => stack.focus(WindowId(id)),
                Op::Screen(width, height, panel) => {
                    stack.set_screen(Screen {
                        output: Rectangle::from_size((width, height).into()),
                        free: Rectangle::new((0, panel).into(), (width, height - panel).into()),
                    });
                }
            }
            verify_invariants(&stack);
        }
    }
}
