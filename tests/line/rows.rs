//! Lines of the table that `lumen-bench line` prints, shortened: the desktop is small and slow, so that a
//! debug build on a busy machine keeps up with it, and each line is watched for a few seconds.

use std::time::Duration;

use anyhow::{Result, ensure};
use lumen_tests::{
    app::Show,
    line::{
        shape::{Limit, Loss, Rate, Shape},
        watch::{Desktop, Seen, Watch},
    },
    measured::note,
};

/// How long a line is watched.
const SPAN: Duration = Duration::from_secs(5);

/// A picture may take so long after an interruption.
const SOON: Duration = Duration::from_millis(1500);

/// A desktop that any machine keeps up with.
const fn small(show: Show) -> Desktop {
    Desktop { show, size: (640, 360), fps: 15 }
}

/// The same delay both ways, and jitter to the browser.
fn far(round_trip: u64, jitter: u64) -> (Shape, Shape) {
    let up = Shape { delay: Duration::from_millis(round_trip / 2), ..Shape::default() };
    (Shape { jitter: Duration::from_millis(jitter), ..up }, up)
}

fn lossy(per_mille: u16) -> (Shape, Shape) {
    let down = Shape { loss: Loss::per_mille(per_mille), ..Shape::default() };
    (down, Shape::default())
}

fn far_and_lossy(round_trip: u64, per_mille: u16) -> (Shape, Shape) {
    let ((lossy, _), (far, up)) = (lossy(per_mille), far(round_trip, 0));
    (Shape { loss: lossy.loss, ..far }, up)
}

/// Notes what was seen, and says what of it is too bad: too few frames, too long a gap, a new connection.
fn judge(name: &str, seen: &Seen, fps: f64, gap: Duration) -> Option<String> {
    let said = format!(
        "{:.1} fps, longest gap {} ms, p95 {} ms, {} freezes, {} packets lost, {} connections",
        seen.fps,
        seen.longest_gap.as_millis(),
        seen.gap_p95.as_millis(),
        seen.freezes,
        seen.dropped,
        seen.connections,
    );
    note(&format!("640x360, 15 fps, {name}"), &said);
    let holds = seen.fps >= fps && seen.longest_gap <= gap && seen.connections == 1;
    (!holds).then(|| format!("{name}: {said}; wanted {fps} fps and no gap above {gap:?}"))
}

#[test]
fn page_over_a_lossy_or_far_line_gets_its_frames_on_one_connection() -> Result<()> {
    let clean = Shape::default();
    let watch = Watch::start(small(Show::Scroll), clean, clean)?;
    let mut failures = Vec::new();
    for (name, (down, up)) in [
        ("loss 2 %", lossy(20)),
        ("loss 10 %", lossy(100)),
        ("RTT 20 ms ± 20", far(20, 20)),
        ("RTT 300 ms ± 20", far(300, 20)),
        ("RTT 300 ms, loss 5 %", far_and_lossy(300, 50)),
    ] {
        watch.line.reshape(down, up);
        let seen = watch.over(SPAN)?;
        failures.extend(judge(name, &seen, 10.0, Duration::from_secs(1)));
    }
    ensure!(failures.is_empty(), "{}\n{}", failures.join("\n"), watch.said());
    Ok(())
}

#[test]
fn page_over_an_interrupted_line_has_its_picture_back_on_the_same_connection() -> Result<()> {
    let watch = Watch::start(small(Show::Scroll), Shape::default(), Shape::default())?;
    for millis in [200, 1000, 3000] {
        // It begins on a line that is at peace.
        watch.over(Duration::from_secs(2))?;
        let back = watch.interrupt(Duration::from_millis(millis))?;
        let said = format!("{} ms, {} connections", back.after.as_millis(), back.connections);
        note(&format!("picture back after an interruption of {millis} ms"), &said);
        let holds = back.after < SOON && back.connections == 1;
        ensure!(holds, "after {millis} ms: {said}\n{}", watch.said());
    }
    Ok(())
}

#[test]
fn page_over_a_policed_line_keeps_its_connection_and_gets_frames_of_more_than_the_line_carries()
-> Result<()> {
    let watch = Watch::start(small(Show::Noise), Shape::default(), Shape::default())?;
    let mut failures = Vec::new();
    for kilobits in [800, 400] {
        let limit = Some(Limit::policed(Rate::kilobits(kilobits)));
        watch.line.reshape(Shape { limit, ..Shape::default() }, Shape::default());
        let seen = watch.over(2 * SPAN)?;
        let name = format!("noise policed to {kilobits} kbit/s");
        failures.extend(judge(&name, &seen, 7.0, Duration::from_secs(1)));
    }
    // What is sent where bits are short and the processor is not is of this profile. A machine that is busy
    // with other tests has no time for it.
    let format = watch.format()?;
    ensure!(format.contains("profile-level-id=4d00"), "{format}");
    note("how hard media worked (2 is most)", watch.media("effort_level")?);
    ensure!(failures.is_empty(), "{}\n{}", failures.join("\n"), watch.said());
    Ok(())
}
