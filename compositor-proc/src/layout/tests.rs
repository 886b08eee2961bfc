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
    stack.describe(id, hints, screen());
    stack.set_content(id, size.into());
}

#[test]
fn first_window_fills_the_screen_even_if_its_size_is_fixed() {
    let mut stack = Stack::default();
    stack.insert(ONE);
    stack.describe(ONE, fixed(300, 200), screen());
    assert_eq!(stack.wanted(ONE, screen()), Wanted::Fill((800, 570).into()));
}

#[test]
fn fullscreen_window_covers_panels() {
    let mut stack = Stack::default();
    open(&mut stack, ONE, Hints { fullscreen: true, ..Hints::default() }, (800, 600));
    assert_eq!(stack.wanted(ONE, screen()), Wanted::FillOutput((800, 600).into()));
    assert_eq!(stack.place(ONE, screen()).map(|place| place.shown), Some(screen().output));
    assert!(stack.covers_panels());
}

#[test]
fn dialog_is_centred_over_its_parent_and_above_it() {
    let mut stack = Stack::default();
    open(&mut stack, ONE, Hints::default(), (800, 570));
    open(&mut stack, TWO, Hints { parent: Some(ONE), ..Hints::default() }, (200, 100));
    stack.focus(ONE);
    assert_eq!(stack.wanted(TWO, screen()), Wanted::Within((800, 570).into()));
    assert_eq!(
        stack.place(TWO, screen()).map(|place| place.shown),
        Some(Rectangle::new((300, 265).into(), (200, 100).into()))
    );
    assert_eq!(stack.mapped().collect::<Vec<_>>(), [ONE, TWO]);
}

#[test]
fn second_window_of_small_fixed_size_is_a_dialog() {
    let mut stack = Stack::default();
    open(&mut stack, ONE, Hints::default(), (800, 570));
    open(&mut stack, TWO, fixed(300, 200), (300, 200));
    assert_eq!(stack.wanted(TWO, screen()), Wanted::Within((800, 570).into()));
}

#[test]
fn closing_returns_focus_to_the_parent_else_to_the_one_below() {
    let mut stack = Stack::default();
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
    let mut stack = Stack::default();
    open(&mut stack, ONE, Hints::default(), (800, 570));
    open(&mut stack, TWO, Hints { parent: Some(ONE), ..Hints::default() }, (200, 100));
    stack.describe(ONE, Hints { parent: Some(TWO), ..Hints::default() }, screen());
    assert!(stack.place(ONE, screen()).is_some());
}

#[test]
fn describe_with_a_parent_above_raises_the_dialog() {
    let mut stack = Stack::default();
    open(&mut stack, TWO, Hints::default(), (200, 100));
    open(&mut stack, ONE, Hints::default(), (800, 570));
    stack.describe(TWO, Hints { parent: Some(ONE), ..Hints::default() }, screen());
    assert_eq!(stack.mapped().collect::<Vec<_>>(), [ONE, TWO]);
}

#[test]
fn dialog_larger_than_the_screen_is_asked_to_be_smaller_until_it_fits() {
    let mut stack = Stack::default();
    open(&mut stack, ONE, Hints::default(), (800, 570));
    open(&mut stack, TWO, Hints { parent: Some(ONE), ..Hints::default() }, (500, 900));
    let bounds = (800, 570).into();
    assert_eq!(stack.wanted(TWO, screen()), Wanted::Cut { size: (500, 570).into(), bounds });
    stack.set_content(TWO, (500, 570).into());
    assert_eq!(stack.wanted(TWO, screen()), Wanted::Within(bounds));
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Insert(u32),
    Describe(u32, Option<u32>),
    Map(u32, i32, i32),
    Unmap(u32),
    Remove(u32),
    Focus(u32),
}

fn op() -> impl Strategy<Value = Op> {
    let id = 0_u32..6;
    prop_oneof![
        id.clone().prop_map(Op::Insert),
        (id.clone(), prop::option::of(id.clone()))
            .prop_map(|(id, parent)| Op::Describe(id, parent)),
        (id.clone(), 1..2000, 1..2000).prop_map(|(id, width, height)| Op::Map(id, width, height)),
        id.clone().prop_map(Op::Unmap),
        id.clone().prop_map(Op::Remove),
        id.prop_map(Op::Focus),
    ]
}

fn verify_invariants(stack: &Stack) {
    let order: Vec<WindowId> = stack.mapped().collect();
    for entry in stack.entries.iter().filter(|entry| entry.mapped.is_some()) {
        let above = order.iter().position(|id| *id == entry.id);
        let parent = entry.hints.parent.and_then(|id| order.iter().position(|other| *other == id));
        assert!(parent.is_none_or(|parent| Some(parent) < above), "a dialog below its parent");
        let place = stack.place(entry.id, screen()).expect("mapped windows have a place");
        assert!(screen().output.contains_rect(place.shown), "{place:?} is not all on the screen");
    }
    assert_eq!(stack.focused().is_some(), !order.is_empty(), "focus without window or reverse");
    assert!(stack.focused().is_none_or(|id| order.contains(&id)));
}

proptest! {
    #[test]
    fn invariants_hold_whatever_windows_do(ops in prop::collection::vec(op(), 0..120)) {
        let mut stack = Stack::default();
        for op in ops {
            match op {
                Op::Insert(id) if stack.entry(WindowId(id)).is_none() => stack.insert(WindowId(id)),
                Op::Insert(_) => {}
                Op::Describe(id, parent) => {
                    let hints = Hints { parent: parent.map(WindowId), ..Hints::default() };
                    stack.describe(WindowId(id), hints, screen());
                }
                Op::Map(id, width, height) => {
                    stack.set_content(WindowId(id), (width, height).into());
                }
                Op::Unmap(id) => {
                    stack.unmap(WindowId(id));
                }
                Op::Remove(id) => stack.remove(WindowId(id)),
                Op::Focus(id) => stack.focus(WindowId(id)),
            }
            verify_invariants(&stack);
        }
    }
}
