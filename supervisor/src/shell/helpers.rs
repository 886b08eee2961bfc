//! The helpers that a session needs: how each is started, and what it adds to the app's
//! environment.
//!
//! Most helpers announce on descriptor 3, by one line, that they are ready: dbus-daemon writes its
//! address (`--print-address`), Xwayland the number of its display (`-displayfd`), the clipboard's
//! bridge a word.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{
            ffi::OsStrExt,
            fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
            net::UnixStream,
        },
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use tracing::info;

use super::{
    granted::Display,
    places::{self, PlaceError},
    programs, spawn,
};
use crate::{environment::Environment, lifecycle::Helper, plan::Identity};

/// How a helper is started.
#[derive(Clone, Debug)]
pub(crate) struct HelperLaunch {
    pub(crate) helper: Helper,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<OsString>,
    /// Its own variables, where they differ from the app's.
    pub(crate) own: Vec<(&'static str, OsString)>,
    /// Whether it gets its own connection to the compositor.
    pub(crate) connects: bool,
    /// The program's name and the open program, if it is executed by descriptor.
    pub(crate) opened: Option<(&'static str, Arc<OwnedFd>)>,
    /// What shows that it is ready.
    pub(crate) ready: Sign,
    /// The app's variable that gets the helper's line, and the prefix of its value.
    pub(crate) said: Option<(&'static str, &'static str)>,
}

/// What shows that a helper is ready.
#[derive(Clone, Debug)]
pub(crate) enum Sign {
    /// A line on its descriptor 3.
    Announcement,
    /// Its execution.
    Execution,
    /// This socket, in a directory of this user's, accepts a connection.
    Listening(PathBuf, Identity),
}

/// Why a helper cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HelperError {
    /// X was asked for, but there is no X server.
    #[error(
        "--x11 needs Xwayland, which is not in {path}; on Debian or Ubuntu: apt install xwayland"
    )]
    NoXwayland {
        /// The directories that were searched.
        path: String,
    },
    /// The system returned no random bytes for a cookie.
    #[error("no randomness for the X server's cookie")]
    NoRandomness,
    /// The cookie cannot be written.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// Which session bus apps use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum WhichBus {
    /// One of the session's own.
    Own,
    /// The user's, if there is one.
    Users,
}

impl WhichBus {
    /// That of a desktop with this Wayland socket of a login session, if it has one.
    pub(crate) fn of(display: Option<&Display>) -> Self {
        match display {
            Some(display) if display.beside => Self::Own,
            _ => Self::Users,
        }
    }
}

/// The helpers of an app with this environment, to which their variables are added. `directory` is
/// private to the session's user; must be called as that user.
pub(crate) fn needed(
    (x11, bus_wanted): (bool, WhichBus),
    environment: &mut Environment,
    runtime_dir: &Path,
    directory: &Path,
) -> Result<Vec<HelperLaunch>, HelperError> {
    let path = environment.get("PATH").unwrap_or_default().to_owned();
    let mut helpers = Vec::new();
    if x11 {
        helpers.push(x_server(environment, &path, directory)?);
    }
    let users = match bus_wanted {
        WhichBus::Own => None,
        WhichBus::Users => users_bus(environment.get(BUS_ADDRESS), runtime_dir),
    };
    match users.unwrap_or_else(|| own_bus(&path, directory)) {
        Bus::None | Bus::There(None) => {}
        Bus::There(Some(address)) => environment.set(BUS_ADDRESS, address),
        Bus::Ours(address, launch) => {
            environment.set(BUS_ADDRESS, address);
            helpers.push(launch);
        }
    }
    Ok(helpers)
}

/// The program that carries text between Lumen's clipboard and those of nested desktops.
const BRIDGE: &str = "lumen-clipboard";

/// The clipboard's bridge, if its program is beside the workers'. Like theirs it is executed by
/// descriptor, because the session's user may not be able to enter that directory.
pub(crate) fn bridge(directories: &[PathBuf]) -> Option<HelperLaunch> {
    let opened = programs::beside(BRIDGE, directories).and_then(|path| programs::open(&path).ok());
    let Some(opened) = opened else {
        info!("{BRIDGE} is missing: nested desktops do not share the clipboard");
        return None;
    };
    Some(HelperLaunch {
        helper: Helper::Bridge,
        program: format!("/proc/self/fd/{}", opened.as_raw_fd()).into(),
        arguments: Vec::new(),
        own: vec![("WAYLAND_SOCKET", spawn::CONNECTION.to_string().into())],
        connects: true,
        opened: Some((BRIDGE, Arc::new(opened))),
        ready: Sign::Announcement,
        said: None,
    })
}

/// The session bus that exists at `address`, or at a login's usual place.
fn users_bus(address: Option<&OsStr>, runtime_dir: &Path) -> Option<Bus> {
    if address.is_some_and(answers) {
        return Some(Bus::There(None));
    }
    let usual = runtime_dir.join("bus");
    UnixStream::connect(&usual).is_ok().then(|| Bus::There(Some(unix(&usual))))
}

/// A session bus to be started.
fn own_bus(path: &OsStr, directory: &Path) -> Bus {
    let Some(program) = programs::find("dbus-daemon".as_ref(), path) else {
        info!(
            "there is no session bus, and no dbus-daemon to start one: some apps work only in part; \
             on Debian or Ubuntu: apt install dbus"
        );
        return Bus::None;
    };
    let address = unix(&directory.join("bus"));
    let mut listen = OsString::from("--address=");
    listen.push(&address);
    let fixed = ["--session", "--nofork", "--nopidfile", "--print-address=3"];
    // Its own address includes a random identity, which a successor would not share.
    let launch = HelperLaunch {
        helper: Helper::Bus,
        program,
        arguments: fixed.map(OsString::from).into_iter().chain([listen]).collect(),
        own: Vec::new(),
        connects: false,
        opened: None,
        ready: Sign::Announcement,
        said: None,
    };
    Bus::Ours(address, launch)
}

/// The variable that names the session bus.
const BUS_ADDRESS: &str = "DBUS_SESSION_BUS_ADDRESS";

/// The session bus to use.
enum Bus {
    /// None, and none can be started.
    None,
    /// Start our own, at this address.
    Ours(OsString, HelperLaunch),
    /// Use an existing one, at this address if the environment does not name it.
    There(Option<OsString>),
}

/// The address of a bus at a path; bytes with a meaning in addresses are escaped (D-Bus
/// Specification, "Server Addresses").
fn unix(path: &Path) -> OsString {
    let mut address = String::from("unix:path=");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'/' | b'.' => {
                address.push(char::from(*byte));
            }
            byte => address.push_str(&format!("%{byte:02x}")),
        }
    }
    address.into()
}

/// Whether a server listens at a bus address. Addresses that are not paths cannot be checked and
/// are believed.
fn answers(address: &OsStr) -> bool {
    let text = address.to_string_lossy();
    text.split(';').any(|one| match one.strip_prefix("unix:").and_then(path_of) {
        Some(path) => UnixStream::connect(path).is_ok(),
        None => !one.is_empty() && !one.starts_with("unix:path="),
    })
}

/// The path in a `unix:` address.
fn path_of(parts: &str) -> Option<PathBuf> {
    let escaped = parts.split(',').find_map(|part| part.strip_prefix("path="))?.as_bytes();
    let (mut bytes, mut rest) = (Vec::new(), escaped);
    while let Some((first, after)) = rest.split_first() {
        let escape = match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                let digits = std::str::from_utf8(&digits).ok()?;
                Some((u8::from_str_radix(digits, 16).ok()?, after))
            }
            _ => None,
        };
        let (byte, after) = escape.unwrap_or((*first, after));
        bytes.push(byte);
        rest = after;
    }
    Some(PathBuf::from(OsStr::from_bytes(&bytes)))
}

/// An X server whose root window is the desktop. Only it is told of the compositor, because many
/// apps would prefer Wayland to X.
fn x_server(
    environment: &mut Environment,
    path: &OsStr,
    directory: &Path,
) -> Result<HelperLaunch, HelperError> {
    let program = programs::find("Xwayland".as_ref(), path)
        .ok_or_else(|| HelperError::NoXwayland { path: path.to_string_lossy().into_owned() })?;
    let authority = directory.join("xauthority");
    write_cookie(&authority)?;
    let mut arguments: Vec<OsString> = vec!["-auth".into(), authority.clone().into()];
    // It listens on the abstract socket, too: clients try it first, so another process that had it
    // would get them; and without it the server may choose a display that another one has.
    let fixed = ["-displayfd", "3", "-nolisten", "tcp", "-noreset", "-shm"];
    arguments.extend(fixed.map(OsString::from));
    let compositor = environment.get("WAYLAND_DISPLAY").unwrap_or_default().to_owned();
    // Set to an empty value: if it were unset, `wayland-0` would be used, which may be the
    // surrounding desktop.
    environment.set("WAYLAND_DISPLAY", "");
    environment.set("XDG_SESSION_TYPE", "x11");
    environment.set("XAUTHORITY", authority);
    Ok(HelperLaunch {
        helper: Helper::XServer,
        program,
        arguments,
        own: vec![("WAYLAND_DISPLAY", compositor)],
        connects: false,
        opened: None,
        ready: Sign::Announcement,
        said: Some(("DISPLAY", ":")),
    })
}

/// Makes the directory of X servers' sockets where the system did not make it at boot. An X server
/// does that only as root.
pub(crate) fn x_sockets() -> Result<(), PlaceError> {
    let path = Path::new("/tmp/.X11-unix");
    let mode = 0o1777;
    match DirBuilder::new().mode(mode).create(path) {
        // The umask removed some of the mode.
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(mode)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
    .map_err(places::at(path))
}

/// Writes a new cookie, without which the X server admits no client.
fn write_cookie(path: &Path) -> Result<(), HelperError> {
    let mut cookie = [0; 16];
    getrandom::fill(&mut cookie).map_err(|_| HelperError::NoRandomness)?;
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(&authority(&cookie))
    };
    Ok(write().map_err(places::at(path))?)
}

/// One entry of an authority file: family, address, display, name and data, each but the first
/// preceded by its length (libXau, `AuWrite.c`). It applies to any address and any display.
fn authority(cookie: &[u8; 16]) -> Vec<u8> {
    const FAMILY_WILD: u16 = 0xffff;
    let mut entry = FAMILY_WILD.to_be_bytes().to_vec();
    for part in [b"".as_slice(), b"", b"MIT-MAGIC-COOKIE-1", cookie] {
        let length = u16::try_from(part.len()).unwrap_or_default();
        entry.extend(length.to_be_bytes());
        entry.extend(part);
    }
    entry
}

/// A hint for an app that ended because it found no X server.
pub(crate) fn hint<'lines>(mut last_lines: impl Iterator<Item = &'lines String>) -> &'static str {
    const COMPLAINTS: [&str; 6] = [
        "open display",
        "open x display",
        "connect to display",
        "connect to x server",
        "connect to the x server",
        "missing x server",
    ];
    let complains = last_lines.any(|line| {
        let line = line.to_lowercase();
        COMPLAINTS.iter().any(|complaint| line.contains(complaint))
    });
    if complains { " It seems to need X: start it by `lumen run --x11 -- APP`." } else { "" }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn unix_address_leads_back_to_its_path() {
        for path in ["/run/user/1000/bus", "/tmp/a b;c,d=e%/\u{e4}"] {
            let address = unix(Path::new(path)).into_string().expect("ASCII");
            let parts = address.strip_prefix("unix:").expect("unix");
            assert!(!parts.trim_start_matches("path=").contains([',', ';', '=', ' ']), "{parts}");
            assert_eq!(path_of(parts).as_deref(), Some(Path::new(path)));
        }
    }

    #[test]
    fn desktop_beside_another_has_a_bus_of_its_own_although_the_user_has_one() {
        let folder = std::env::temp_dir().join(format!("lumen-bus-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let listener = UnixListener::bind(folder.join("bus")).expect("free");
        let path = std::env::var_os("PATH").unwrap_or_default();
        let of = |which| {
            let mut environment = Environment::from_iter([("PATH", path.clone())]);
            let inside = folder.join("helpers");
            let helpers = needed((false, which), &mut environment, &folder, &inside);
            let address = environment.get(BUS_ADDRESS).map(OsStr::to_owned);
            (helpers.expect("found").len(), address)
        };
        assert_eq!(of(WhichBus::Users), (0, Some(unix(&folder.join("bus")))));
        assert_eq!(of(WhichBus::Own), (1, Some(unix(&folder.join("helpers/bus")))));
        drop(listener);
        fs::remove_dir_all(&folder).expect("ours");
    }

    #[test]
    fn address_of_a_path_where_nobody_listens_does_not_answer() {
        assert!(!answers("unix:path=/nowhere/bus,guid=1".as_ref()));
        assert!(!answers("".as_ref()));
        assert!(answers("unix:abstract=somewhere".as_ref()), "cannot be told from here");
        assert!(answers("unix:path=/nowhere/bus;tcp:host=localhost".as_ref()));
    }

    #[test]
    fn authority_is_an_entry_for_any_display() {
        let entry = authority(&[7; 16]);
        assert_eq!(entry.get(..8), Some(&[0xff, 0xff, 0, 0, 0, 0, 0, 18][..]));
        assert_eq!(entry.get(8..26), Some(&b"MIT-MAGIC-COOKIE-1"[..]));
        assert_eq!(entry.get(26..28), Some(&[0, 16][..]));
        assert_eq!(entry.get(28..), Some(&[7; 16][..]));
    }

    #[test]
    fn hint_comes_for_whoever_misses_an_x_server_and_nobody_else() {
        for line in [
            "Error: Can't open display: ",
            "xterm: Xt error: Can't open display: ",
            "(pcmanfm:7): Gtk-WARNING **: 10:00:00.000: cannot open display: ",
            "qt.qpa.xcb: could not connect to display ",
            "[1:1:ERROR:ozone_platform_x11.cc(239)] Missing X server or $DISPLAY",
        ] {
            let lines = ["first".to_owned(), line.to_owned()];
            assert!(hint(lines.iter()).contains("--x11"), "{line}");
        }
        assert_eq!(hint(["no such file".to_owned()].iter()), "");
    }
}
