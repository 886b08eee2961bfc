//! The kinds of files in which apps may share pixels: memory of ordinary pages, and no other.

use std::{
    fs::File,
    os::fd::{AsFd, OwnedFd},
};

use nix::sys::memfd::{MFdFlags, memfd_create};
use wayland_client::protocol::wl_shm::{self, WlShm};

use crate::{
    GREEN,
    app::{App, Event},
    rig::{Rig, rig_past_its_first_frame as rig},
};

const HUGE_PAGE: u64 = 2 << 20;

/// Checks that an app that makes a pool of `file` is disconnected for it, and another is served.
fn assert_refused(rig: &mut Rig, file: impl AsFd, what: &str) {
    let mut app = App::start(rig);
    let shm: WlShm = app.globals.bind(&app.handle(), 1..=1, ()).expect("wl_shm");
    shm.create_pool(file.as_fd(), 640 * 480 * 4 + 8192, &app.handle(), ());
    rig.until(|_| !app.exchange());
    let error = app.connection.protocol_error().expect("a protocol error");
    assert_eq!(error.code, wl_shm::Error::InvalidFd as u32, "{what}: {error}");
    let mut other = App::start(rig);
    let window = other.open();
    other.until_told(rig, &Event::Configured { width: 640, height: 480, maximized: true });
    other.show(&window.surface, &other.buffer(640, 480, GREEN));
    let mut released = rig.frames.len();
    rig.until(|rig| {
        assert!(other.exchange(), "another app is disconnected, too");
        if rig.frames.len() > released {
            released = rig.frames.len();
            rig.release();
        }
        rig.pixel(320, 240) == 0x00ff00
    });
}

#[test]
fn pool_of_huge_pages_ends_its_app_alone() {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_HUGETLB | MFdFlags::MFD_HUGE_2MB;
    let huge = memfd_create(c"huge", flags).expect("a kernel with huge pages");
    let file = File::from(huge);
    file.set_len(2 * HUGE_PAGE).expect("a size");
    assert_refused(&mut rig(), &file, "huge pages");
    // Truncated, it could end the process that reads it.
    file.set_len(0).expect("cut");
    assert_refused(&mut rig(), &file, "huge pages that are gone");
}

#[test]
fn pool_that_is_no_file_in_memory_ends_its_app_alone() {
    let on_disk = File::options()
        .read(true)
        .open(std::env::current_exe().expect("a path"))
        .expect("a file on a disk");
    let device = File::options().read(true).write(true).open("/dev/zero").expect("a device");
    let (pipe, _end) = std::io::pipe().expect("a pipe");
    let files: [(&str, OwnedFd); 3] =
        [("on a disk", on_disk.into()), ("a device", device.into()), ("a pipe", pipe.into())];
    for (what, file) in files {
        assert_refused(&mut rig(), &file, what);
    }
}
