//! Entry points for fuzzing: what apps make the compositor compute with. Shared by the fuzz targets and
//! the test of their seeds.

mod app;
#[allow(dead_code, reason = "the tests with apps use more of it")]
#[path = "../tests/apps/page.rs"]
mod page;
mod scene;

use lumen_compositor::{
    bridge::kin,
    capture::damage::damage_of,
    desktop::Desktop,
    layout::{Hints, Screen, Stack, WindowId},
};
use lumen_ipc::{
    message::desktop::Statement,
    units::{FrameSize, OutputSize, Scale},
};
use smithay::utils::{Logical, Physical, Rectangle};

/// A target: its name and what it does with an input.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets.
pub(crate) const TARGETS: &[Target] =
    &[("app", app::app), ("damage", damage), ("layout", layout), ("names", names)];

/// Changed rectangles of a frame, each of sixteen bytes.
pub(crate) fn damage(bytes: &[u8]) {
    let rects: Vec<Rectangle<i32, Physical>> = bytes
        .chunks_exact(16)
        .map(|chunk| {
            let [x, y, width, height] = [0, 4, 8, 12].map(|at| number(chunk, at));
            Rectangle::new((x, y).into(), (width.max(0), height.max(0)).into())
        })
        .collect();
    let size = FrameSize::nearest(640, 480);
    if let Some(damage) = damage_of(&rects, size) {
        assert!(damage.rects_within(size).is_ok());
    }
}

/// What windows do, one command in each ten bytes: which, its kind, two numbers.
pub(crate) fn layout(bytes: &[u8]) {
    let output = Rectangle::from_size((1280, 720).into());
    let mut stack = Stack::new(Screen { output, free: output });
    for chunk in bytes.chunks_exact(10) {
        let (id, other) = (WindowId((chunk[0] % 16).into()), WindowId((chunk[2] % 16).into()));
        let size = (number(chunk, 2).max(0), number(chunk, 6).max(0)).into();
        match chunk[1] % 8 {
            0 => stack.insert(id),
            1 => drop(stack.set_content(id, size, true)),
            2 => drop(stack.set_content(id, size, false)),
            3 => drop(stack.unmap(id)),
            4 => stack.remove(id),
            5 => stack.focus(id),
            6 => {
                let parent = Some(other).filter(|_| chunk[3] % 4 > 0);
                let fixed = Some(size).filter(|_| chunk[3] % 2 > 0);
                stack.describe(id, Hints { parent, fixed, fullscreen: chunk[3] > 127 });
            }
            _ => {
                let (width, height) = (i32::from(chunk[2]) * 32 + 1, i32::from(chunk[3]) * 32 + 1);
                let output: Rectangle<i32, Logical> = Rectangle::from_size((width, height).into());
                let _ = stack.set_screen(Screen { output, free: output });
            }
        }
        let mapped: Vec<_> = stack.mapped().collect();
        for id in &mapped {
            assert!(stack.is_mapped(*id) && stack.place(*id).is_some());
            let _ = stack.wanted(*id);
        }
        assert!(stack.focused().is_none_or(|id| mapped.contains(&id)));
    }
}

/// A window's title, a socket's name, and what the kernel says of a process whose name the app chose.
pub(crate) fn names(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    let _ = (kin::is_display(text), kin::parent_in(text));
    // The name is between parentheses, whatever it holds.
    assert_eq!(kin::parent_in(&format!("7 ({text}) S 3 7 7 0")), Some(3));
    let mut desktop = Desktop::new(OutputSize::nearest(1280, 720, Scale::ONE));
    desktop.set_title(text);
    while let Some(said) = desktop.untold() {
        if let Statement::TitleChanged(title) = &said {
            assert!(title.as_str().len() <= 256);
        }
        desktop.told(&said);
    }
}

fn number(bytes: &[u8], at: usize) -> i32 {
    bytes[at..at + 4].try_into().map(i32::from_be_bytes).expect("four bytes")
}
