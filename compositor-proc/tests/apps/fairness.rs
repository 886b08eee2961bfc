//! How apps that send requests without pause affect others.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use lumen_ipc::{
    message::input::{Action, PressState},
    units::KeyCode,
};
use wayland_client::protocol::{wl_buffer::WlBuffer, wl_shm::Format};

use crate::{
    GREEN, RED,
    app::{App, Event, Window},
    rig::{Rig, rig_past_its_first_frame as rig},
};

/// The longest that an app may wait for an answer, whatever others do. The goal is 50 ms; an idle machine
/// takes a third of that. Without the gate it is seconds, or for ever.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// Keeps these tests from running at the same time, because they measure time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of requests of an honest app.
const QUESTIONS: usize = 40;

/// An app that repeats the same requests as fast as it can until it is dropped.
struct Flooder {
    stop: Arc<AtomicBool>,
    /// The number of batches of a hundred that it has sent.
    rounds: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Flooder {
    fn start(mut app: App, say: impl Fn(&App) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let rounds = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&rounds);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                (0..100).for_each(|_| say(&app));
                // The socket is full for a while.
                while app.connection.flush().is_err() && !stopped.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                assert!(app.exchange(), "disconnected");
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, rounds, thread: Some(thread) }
    }
}

impl Drop for Flooder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the flooder ends");
        }
    }
}

/// Runs one turn, and releases new frames as media does.
fn turn(rig: &mut Rig, released: &mut usize) {
    rig.turn(Duration::from_millis(1));
    if rig.frames.len() > *released {
        *released = rig.frames.len();
        rig.release();
    }
}

fn window(rig: &mut Rig, color: u32) -> (App, Window) {
    let mut app = App::start(rig);
    let window = app.open();
    app.until_told(rig, &Event::Configured { width: 640, height: 480, maximized: true });
    let count = rig.frames.len();
    app.show(&window.surface, &app.buffer_of(Format::Xrgb8888, 640, 480, color));
    app.exchange();
    rig.frame_after(count);
    rig.release();
    (app, window)
}

fn two_windows(rig: &mut Rig) -> [(App, Window); 2] {
    [window(rig, RED), window(rig, RED)]
}

/// How long an honest app waits for each answer while the flooders run, the shortest wait first.
fn waits(rig: &mut Rig, honest: &mut App, flooders: &[Flooder]) -> Vec<Duration> {
    let mut released = rig.frames.len();
    let rounds = || flooders.iter().map(|flooder| flooder.rounds.load(Ordering::Relaxed)).min();
    let mut waits: Vec<Duration> = (0..QUESTIONS)
        .map(|question| {
            // Waits until every flooder has sent more since the last question.
            let end = Instant::now() + Duration::from_secs(20);
            while rounds() < Some(2 * question + 2) {
                assert!(Instant::now() < end, "the others do nothing");
                turn(rig, &mut released);
            }
            honest.memory.events.clear();
            honest.connection.display().sync(&honest.handle(), ());
            let asked = Instant::now();
            while honest.count(&Event::CalledBack) == 0 {
                assert!(asked.elapsed() < Duration::from_secs(20), "no answer");
                honest.exchange();
                turn(rig, &mut released);
                honest.exchange();
            }
            asked.elapsed()
        })
        .collect();
    waits.sort();
    waits
}

fn assert_served(rig: &mut Rig, honest: &mut App, flooders: &[Flooder], beside: &str) {
    let waits = waits(rig, honest, flooders);
    let (middle, most) = (waits[QUESTIONS / 2], waits[QUESTIONS - 1]);
    assert!(middle < LONGEST_WAIT, "beside {beside}: {middle:?}, at most {most:?}");
}

#[test]
fn app_beside_two_that_commit_without_pause_is_answered_in_time() {
    let (_alone, mut rig) = (alone(), rig());
    let (mut honest, _window) = window(&mut rig, GREEN);
    let flooders = two_windows(&mut rig)
        .map(|(app, window)| Flooder::start(app, move |_| window.surface.commit()));
    assert_served(&mut rig, &mut honest, &flooders, "commits");
    drop(flooders);
}

#[test]
fn app_beside_two_that_damage_without_pause_is_answered_in_time() {
    let (_alone, mut rig) = (alone(), rig());
    let (mut honest, _window) = window(&mut rig, GREEN);
    let flooders = two_windows(&mut rig).map(|(app, window)| {
        let buffer = app.buffer_of(Format::Xrgb8888, 640, 480, RED);
        Flooder::start(app, move |_| {
            window.surface.attach(Some(&buffer), 0, 0);
            window.surface.damage_buffer(0, 0, 640, 480);
            window.surface.commit();
        })
    });
    assert_served(&mut rig, &mut honest, &flooders, "damage");
    drop(flooders);
}

#[test]
fn app_beside_two_that_make_and_destroy_buffers_without_pause_is_answered_in_time() {
    let (_alone, mut rig) = (alone(), rig());
    let (mut honest, _window) = window(&mut rig, GREEN);
    let flooders: Vec<Flooder> = (0..2)
        .map(|_| {
            let app = App::start(&mut rig);
            let pool = app.pool(64, RED);
            Flooder::start(app, move |app| {
                pool.create_buffer(0, 4, 4, 16, Format::Argb8888, &app.handle(), ()).destroy();
            })
        })
        .collect();
    assert_served(&mut rig, &mut honest, &flooders, "buffers");
    drop(flooders);
}

#[test]
fn viewers_input_and_frames_go_on_beside_two_that_commit_without_pause() {
    let (_alone, mut rig) = (alone(), rig());
    let hidden = two_windows(&mut rig);
    let (mut honest, front) = window(&mut rig, GREEN);
    honest.until_told(&mut rig, &Event::KeyboardEntered);
    let buffers: Vec<WlBuffer> =
        (1..=10).map(|color| honest.buffer_of(Format::Xrgb8888, 640, 480, color)).collect();
    let flooders =
        hidden.map(|(app, window)| Flooder::start(app, move |_| window.surface.commit()));
    let mut released = rig.frames.len();
    for (color, buffer) in (1..).zip(&buffers) {
        let began = Instant::now();
        honest.memory.events.clear();
        let key = KeyCode::new(30).expect("legal key");
        rig.act(Action::Key { key, state: PressState::Pressed, locks: None });
        rig.act(Action::Key { key, state: PressState::Released, locks: None });
        honest.show(&front.surface, buffer);
        let shown = |rig: &Rig| rig.pixel(5, 5) == color;
        while honest.count(&Event::Key { key: 30, down: false }) == 0 || !shown(&rig) {
            assert!(began.elapsed() < Duration::from_secs(20), "neither key nor picture");
            honest.exchange();
            turn(&mut rig, &mut released);
        }
        assert!(began.elapsed() < 4 * LONGEST_WAIT, "round {color}: {:?}", began.elapsed());
    }
    drop(flooders);
}

#[test]
fn app_beside_many_connections_that_never_stop_is_answered_in_time() {
    let (_alone, mut rig) = (alone(), rig());
    let (mut honest, _window) = window(&mut rig, GREEN);
    let flooders: Vec<Flooder> = (0..24)
        .map(|_| {
            let app = App::start(&mut rig);
            let surface = app.surface();
            Flooder::start(app, move |_| surface.commit())
        })
        .collect();
    assert_served(&mut rig, &mut honest, &flooders, "24 connections");
    drop(flooders);
}
