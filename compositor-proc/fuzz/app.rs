//! An app that asks for whatever it likes, in whatever order, over its Wayland socket.
//!
//! An input is a list of commands. One whose first byte is below [`OTHERS`] is a request of the object of that
//! number: a byte with the request's number follows, one with how many words of arguments there are and whether a
//! file goes with it ([`WITH_FILE`]), and these words as they are sent; but one that is [`SERIAL_OF`] with the number
//! of an object stands for the serial that this object has told last. The others are what [`Scene`] does. The
//! display is object 1, the registry 2, [`GLOBALS`] follow, and the app's own objects begin at [`OWN`].

use std::{
    collections::BTreeMap,
    io::{ErrorKind, IoSlice, Read},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use smithay::reexports::rustix::{
    fs::{MemfdFlags, ftruncate, memfd_create},
    net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg},
};

use super::scene::Scene;

/// What is bound before the input begins, in the order of the objects, from 3 on.
const GLOBALS: [&str; 21] = [
    "wl_compositor",
    "wl_subcompositor",
    "wl_shm",
    "wl_seat",
    "wl_output",
    "xdg_wm_base",
    "zwlr_layer_shell_v1",
    "wl_data_device_manager",
    "zwp_primary_selection_device_manager_v1",
    "wp_viewporter",
    "wp_fractional_scale_manager_v1",
    "wp_presentation",
    "wp_cursor_shape_manager_v1",
    "wp_single_pixel_buffer_manager_v1",
    "xdg_activation_v1",
    "zxdg_decoration_manager_v1",
    "zwp_pointer_constraints_v1",
    "zwp_relative_pointer_manager_v1",
    "zwp_pointer_gestures_v1",
    "zwp_tablet_manager_v2",
    "zxdg_output_manager_v1",
];
const DISPLAY: u32 = 1;
const REGISTRY: u32 = 2;
/// The first object of the app's own, and how many numbers there are that it can use in any order.
const OWN: u32 = 32;
const OBJECTS: u32 = 64;

/// Kinds of commands from here on are not requests.
const OTHERS: u8 = 0xf0;
/// Marks a request with which a file goes.
const WITH_FILE: u8 = 0x80;
/// Stands for a serial, with an object's number in its lowest byte.
const SERIAL_OF: u32 = 0xffff_ff00;
/// Bytes of each file.
const FILE_BYTES: u64 = 64 * 1024;
/// Requests that are sent at once.
const AT_ONCE: usize = 16;
/// Apps that connect one after the other, each when the one before was disconnected.
const APPS: usize = 4;

/// Commands: see the page.
pub(crate) fn app(bytes: &[u8]) {
    let mut scene = Scene::new();
    let (mut rest, mut apps) = (bytes, 0);
    while apps < APPS && !rest.is_empty() {
        let Some(mut app) = App::connect(&mut scene) else { return };
        app.follow(&mut scene, &mut rest);
        apps += 1;
        drop(app);
        scene.turn();
    }
    // Whatever is left of them is gone, and the grab of one with the next press.
    scene.click();
}

struct App {
    socket: UnixStream,
    /// The first word of the last event of each object.
    serials: BTreeMap<u32, u32>,
    /// Whether the compositor has disconnected it.
    is_over: bool,
}

impl App {
    /// An app that has bound the globals.
    fn connect(scene: &mut Scene) -> Option<Self> {
        let mut app = Self { socket: scene.connect(), serials: BTreeMap::new(), is_over: false };
        app.request(DISPLAY, 1, &REGISTRY.to_ne_bytes(), None);
        scene.turn();
        let globals = announced(&app.read());
        for (id, interface) in (REGISTRY + 1..).zip(GLOBALS) {
            let (name, version) = globals.get(interface).expect("it is announced");
            let text = string(interface);
            let arguments =
                [&name.to_ne_bytes(), &*text, &version.to_ne_bytes(), &id.to_ne_bytes()];
            app.request(REGISTRY, 0, &arguments.concat(), None);
        }
        // A number can be used once all below it have been: callbacks use them, and give them back.
        for id in REGISTRY + 1 + GLOBALS.len() as u32..OWN + OBJECTS {
            app.request(DISPLAY, 0, &id.to_ne_bytes(), None);
        }
        scene.turn();
        app.read();
        (!app.is_over).then_some(app)
    }

    fn follow(&mut self, scene: &mut Scene, bytes: &mut &[u8]) {
        let mut waiting = 0;
        while let Some((&kind, rest)) = bytes.split_first() {
            *bytes = rest;
            if kind < OTHERS {
                self.ask(kind, bytes);
                waiting += 1;
            } else {
                let content = piece(bytes);
                scene.command(kind - OTHERS, content);
                waiting = AT_ONCE;
            }
            if waiting >= AT_ONCE || bytes.is_empty() {
                waiting = 0;
                scene.turn();
                self.read();
                if self.is_over {
                    return;
                }
            }
        }
    }

    fn ask(&mut self, object: u8, bytes: &mut &[u8]) {
        let Some((&[number, form], rest)) = bytes.split_first_chunk::<2>() else {
            *bytes = &[];
            return;
        };
        let length = usize::from(form & !WITH_FILE) * 4;
        let (arguments, rest) = rest.split_at(length.min(rest.len() / 4 * 4));
        *bytes = rest;
        let words = arguments.as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word));
        let told = |word: u32| match word & !0xff {
            SERIAL_OF => self.serials.get(&(word & 0xff)).copied().unwrap_or(word),
            _ => word,
        };
        let arguments: Vec<u8> = words.flat_map(|word| told(word).to_ne_bytes()).collect();
        let file = (form & WITH_FILE != 0).then(file);
        self.request(object.into(), number, &arguments, file);
    }

    /// Sends one request. What the compositor has no room for is lost.
    fn request(&mut self, object: u32, number: u8, arguments: &[u8], file: Option<OwnedFd>) {
        let size = u32::try_from(8 + arguments.len()).expect("some words");
        let head = [object.to_ne_bytes(), (size << 16 | u32::from(number)).to_ne_bytes()].concat();
        let mut space =
            [MaybeUninit::uninit(); smithay::reexports::rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files: Vec<_> = file.iter().map(AsFd::as_fd).collect();
        if !files.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&files));
        }
        let message = [IoSlice::new(&head), IoSlice::new(arguments)];
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        self.is_over |= sendmsg(&self.socket, &message, &mut control, flags).is_err();
    }

    /// What the compositor has said.
    fn read(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        self.socket.set_nonblocking(true).expect("a socket");
        match self.socket.read_to_end(&mut said) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => self.is_over = true,
        }
        for event in Events(&said) {
            self.serials.extend(event.word(0).map(|first| (event.object, first)));
        }
        said
    }
}

fn file() -> OwnedFd {
    let file = memfd_create("app", MemfdFlags::CLOEXEC).expect("memory");
    ftruncate(&file, FILE_BYTES).expect("room");
    file
}

/// What follows a byte with its length.
fn piece<'bytes>(bytes: &mut &'bytes [u8]) -> &'bytes [u8] {
    let Some((&length, rest)) = bytes.split_first() else { return &[] };
    let (piece, rest) = rest.split_at(usize::from(length).min(rest.len()));
    *bytes = rest;
    piece
}

/// A string as an argument: its length with the zero at its end, and whole words.
fn string(text: &str) -> Vec<u8> {
    let length = text.len() + 1;
    let mut bytes = u32::try_from(length).expect("short").to_ne_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes.resize(4 + length.next_multiple_of(4), 0);
    bytes
}

/// One event.
struct Event<'bytes> {
    object: u32,
    number: u32,
    arguments: &'bytes [u8],
}

impl Event<'_> {
    /// One of its arguments.
    fn word(&self, number: usize) -> Option<u32> {
        self.arguments.as_chunks().0.get(number).map(|word| u32::from_ne_bytes(*word))
    }
}

/// All events in what the compositor has said.
struct Events<'bytes>(&'bytes [u8]);

impl<'bytes> Iterator for Events<'bytes> {
    type Item = Event<'bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        let [object, form] =
            [0, 4].map(|at| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| head[at + byte])));
        let length = usize::try_from(form >> 16).ok()?.checked_sub(head.len())?;
        let (arguments, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Event { object, number: form & 0xffff, arguments })
    }
}

/// The globals in a registry's events: name and version of each interface.
fn announced(said: &[u8]) -> BTreeMap<String, (u32, u32)> {
    let globals = Events(said).filter(|event| (event.object, event.number) == (REGISTRY, 0));
    let parts = globals.filter_map(|event| {
        let (name, length) = (event.word(0)?, event.word(1)? as usize);
        let text = event.arguments.get(8..8 + length.checked_sub(1)?)?;
        let version = event.word(event.arguments.len() / 4 - 1)?;
        Some((String::from_utf8_lossy(text).into_owned(), (name, version)))
    });
    parts.collect()
}
