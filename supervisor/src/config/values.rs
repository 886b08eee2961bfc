//! Option values by key, from the command line, the environment or a file, parsed into their types.

mod page_tls;
mod proxy_door;
mod time;

use std::{collections::BTreeMap, fmt, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use lumen_ipc::{
    front_door::{BadNetwork, FrontDoor, Listen},
    message::{
        login::{AccountName, List},
        session::SessionName,
        transfer::ClipboardPolicy,
    },
    service::{AuthMode, Keymap, PadIdentity, ResizePolicy},
    sound::SoundKbps,
    text::Text,
    units::{Fps, FrameSize, Kbps, MOST_SESSIONS, PadGrace},
};

use super::{
    EncoderChoice, GpuChoice, GuestLimits, InstanceName, Limit, Note, Provider, RelayConfig,
    RelayTls, SignIn, UdpListen, UsageError,
    file::{Setting, Settings},
    outside::Outside,
    table::{Command, Key, OptionRow},
};
use crate::broker::{Lifetimes, in_use::InUse, limits::Limits, relay::MOST_NAME_BYTES};

/// Where a value came from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Source {
    CommandLine,
    Default,
    Environment,
    /// A place in a file: `PATH:LINE`.
    File(String),
}

/// All options that were set, as text.
#[derive(Debug, Default)]
pub(super) struct Values {
    set: BTreeMap<Key, (String, Source)>,
    /// Messages for the user.
    pub(super) notes: Vec<Note>,
}

impl Values {
    /// Those of these options that the environment sets. An empty variable sets nothing.
    pub(super) fn from_environment(
        options: impl Iterator<Item = &'static OptionRow>,
        outside: &dyn Outside,
    ) -> Self {
        let set = options
            .filter_map(|row| Some((row.key, outside.variable(row.environment)?)))
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key, (value, Source::Environment)))
            .collect();
        Self { set, notes: Vec::new() }
    }

    /// Sets one option from the command line, which overrides the environment.
    pub(super) fn set(&mut self, row: &OptionRow, value: impl Into<String>) {
        self.set.insert(row.key, (value.into(), Source::CommandLine));
    }

    /// Sets what files set and the command takes; the command line and the environment override it.
    pub(super) fn add(&mut self, command: Command, settings: &Settings) {
        let taken = |setting: &&Setting| setting.key.row().commands.contains(&command);
        settings.iter().filter(taken).for_each(|setting| self.set_default(setting));
    }

    /// Sets what a file sets, unless it is set already.
    pub(super) fn set_default(&mut self, setting: &Setting) {
        let value = (setting.value.clone(), Source::File(setting.place.clone()));
        self.set.entry(setting.key).or_insert(value);
    }

    /// Removes what is set.
    pub(super) fn unset(&mut self, key: Key) {
        self.set.remove(&key);
    }

    /// Whether the command line set it.
    pub(super) fn is_on_command_line(&self, key: Key) -> bool {
        *self.text(key).1 == Source::CommandLine
    }

    /// The value as text, and where it came from.
    pub(super) fn text(&self, key: Key) -> (&str, &Source) {
        match self.set.get(&key) {
            Some((value, source)) => (value, source),
            None => (key.row().default, &Source::Default),
        }
    }

    pub(super) fn bad(&self, key: Key, reason: impl Into<String>) -> UsageError {
        let row = key.row();
        let origin = match self.text(key) {
            (value, Source::Environment) => format!("{}={value}", row.environment),
            (value, Source::File(place)) => format!("{place}: {} = {value}", row.name),
            (value, Source::CommandLine | Source::Default) => format!("--{} {value}", row.name),
        };
        UsageError::BadValue { key: Some(key), origin, reason: reason.into() }
    }

    /// Whether a switch is on. The environment may say `1`, `true`, `0` or `false`.
    pub(super) fn switch(&self, key: Key) -> Result<bool, UsageError> {
        match self.text(key).0 {
            "" | "0" | "false" => Ok(false),
            "1" | "true" => Ok(true),
            _ => Err(self.bad(key, "expected 1, true, 0 or false")),
        }
    }

    /// The value of an option that is on or off.
    fn is_on(&self, key: Key) -> Result<bool, UsageError> {
        match self.text(key).0 {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err(self.bad(key, "expected on or off")),
        }
    }

    /// The value of an option without a default.
    pub(super) fn optional(&self, key: Key) -> Option<String> {
        Some(self.text(key).0.to_owned()).filter(|value| !value.is_empty())
    }

    pub(super) fn path(&self, key: Key) -> Option<PathBuf> {
        self.optional(key).map(PathBuf::from)
    }

    pub(super) fn name(&self) -> Result<InstanceName, UsageError> {
        self.instance(Key::Name)
    }

    /// The host that a session belongs to.
    pub(super) fn host(&self) -> Result<InstanceName, UsageError> {
        self.instance(Key::Host)
    }

    fn instance(&self, key: Key) -> Result<InstanceName, UsageError> {
        InstanceName::new(self.text(key).0)
            .ok_or_else(|| self.bad(key, "expected 1 to 32 letters, digits, - and _"))
    }

    /// A session's name for people.
    pub(super) fn session_name(&self) -> Result<Option<SessionName>, UsageError> {
        let Some(name) = self.optional(Key::SessionName) else { return Ok(None) };
        let named = SessionName::new(&name);
        named.map(Some).map_err(|error| self.bad(Key::SessionName, error.to_string()))
    }

    fn number<N: FromStr>(&self, key: Key, expected: &str) -> Result<N, UsageError> {
        self.text(key).0.parse().map_err(|_| self.bad(key, format!("expected {expected}")))
    }

    pub(super) fn front_door(&self) -> Result<FrontDoor, UsageError> {
        let trusted = self.text(Key::TrustedProxy).0;
        let trusted = match trusted.is_empty() {
            true => Vec::new(),
            false => trusted
                .split(',')
                .map(str::parse)
                .collect::<Result<_, _>>()
                .map_err(|error: BadNetwork| self.bad(Key::TrustedProxy, error.to_string()))?,
        };
        Ok(FrontDoor {
            listen: self.parsed(Key::Listen)?,
            trusted,
            base: self.parsed(Key::BasePath)?,
        })
    }

    /// A value whose type says what was expected.
    fn parsed<T: FromStr<Err: fmt::Display>>(&self, key: Key) -> Result<T, UsageError> {
        self.text(key).0.parse().map_err(|error: T::Err| self.bad(key, error.to_string()))
    }

    fn port(&self, key: Key) -> Result<u16, UsageError> {
        self.number(key, "a port, 0 to 65535")
    }

    pub(super) fn udp_port(&self) -> Result<u16, UsageError> {
        self.port(Key::UdpPort)
    }

    /// Where the media socket is bound. A public address is for browsers elsewhere.
    pub(super) fn udp_listen(&self) -> Result<UdpListen, UsageError> {
        if self.text(Key::UdpListen).0 == "auto" {
            return Ok(match self.public_address()? {
                Some(_) => UdpListen::Everywhere,
                None => UdpListen::WithThePage,
            });
        }
        let address: IpAddr =
            self.number(Key::UdpListen, "`auto` or an IP address; 0.0.0.0 is for every one")?;
        match address.is_multicast() {
            true => Err(self.bad(Key::UdpListen, "expected an address of this host")),
            false if address.is_unspecified() => Ok(UdpListen::Everywhere),
            false => Ok(UdpListen::At(address)),
        }
    }

    pub(super) fn public_address(&self) -> Result<Option<IpAddr>, UsageError> {
        if self.text(Key::PublicAddress).0.is_empty() {
            return Ok(None);
        }
        let address: IpAddr =
            self.number(Key::PublicAddress, "an IP address, such as 203.0.113.5")?;
        match address.is_unspecified() || address.is_multicast() {
            true => Err(self.bad(Key::PublicAddress, "expected the address of one host")),
            false => Ok(Some(address)),
        }
    }

    /// The relay. Its other options are ignored when it is off.
    pub(super) fn relay(&self) -> Result<Option<RelayConfig>, UsageError> {
        if !self.is_on(Key::Relay)? {
            return Ok(None);
        }
        let (port, name) = (self.port(Key::RelayPort)?, self.relay_name()?);
        let own = match (self.path(Key::RelayCert), self.path(Key::RelayKey)) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (Some(_), None) => return Err(self.bad(Key::RelayCert, "needs --relay-key too")),
            (None, Some(_)) => return Err(self.bad(Key::RelayKey, "needs --relay-cert too")),
            (None, None) => None,
        };
        let pages = || Some((self.path(Key::TlsCert)?, self.path(Key::TlsKey)?));
        let tls = match own.or_else(pages) {
            Some((certificate, key)) => {
                Some(RelayTls { port: self.port(Key::RelayTlsPort)?, certificate, key, name })
            }
            None if name.is_some() => {
                return Err(self.bad(
                    Key::RelayName,
                    "is a name of TLS, which needs --relay-cert and --relay-key",
                ));
            }
            None => None,
        };
        Ok(Some(RelayConfig { port, tls }))
    }

    fn relay_name(&self) -> Result<Option<Text<253>>, UsageError> {
        let Some(name) = self.optional(Key::RelayName) else { return Ok(None) };
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
        if name.len() > MOST_NAME_BYTES || !name.bytes().all(legal) {
            let expected =
                format!("expected at most {MOST_NAME_BYTES} letters, digits, dots and hyphens");
            return Err(self.bad(Key::RelayName, expected));
        }
        // TLS compares names without regard to case.
        Ok(Some(Text::truncated(name.to_ascii_lowercase())))
    }

    pub(super) fn fps(&self) -> Result<Fps, UsageError> {
        let number = self.number(Key::Fps, "a number, 1 to 240")?;
        Fps::new(number).map_err(|error| self.bad(Key::Fps, error.to_string()))
    }

    pub(super) fn bitrate(&self) -> Result<Kbps, UsageError> {
        let number = self.number(Key::Bitrate, "a number of kilobits per second, 100 to 200000")?;
        Kbps::new(number).map_err(|error| self.bad(Key::Bitrate, error.to_string()))
    }

    /// The output's size. An odd side is corrected, with a note; any other illegal value is
    /// refused.
    pub(super) fn size(&mut self) -> Result<FrameSize, UsageError> {
        let expected = || self.bad(Key::Size, "expected WIDTHxHEIGHT, such as 1280x720");
        let (width, height) = self.text(Key::Size).0.split_once('x').ok_or_else(expected)?;
        let side = |text: &str| text.parse::<u32>().map_err(|_| expected());
        let (width, height) = (side(width)?, side(height)?);
        let even = |side: u32| u16::try_from(side & !1).unwrap_or(u16::MAX - 1);
        let size = FrameSize::new(even(width), even(height))
            .map_err(|error| self.bad(Key::Size, error.to_string()))?;
        if (width | height) & 1 == 1 {
            let note = format!("{width}x{height} has an odd side, which H.264 lacks; using {size}");
            self.notes.push(Note(note));
        }
        Ok(size)
    }

    pub(super) fn resize(&self) -> Result<ResizePolicy, UsageError> {
        match self.text(Key::Resize).0 {
            "follow" => Ok(ResizePolicy::Follow),
            "fixed" => Ok(ResizePolicy::Fixed),
            _ => Err(self.bad(Key::Resize, "expected follow or fixed")),
        }
    }

    pub(super) fn gpu(&self) -> Result<GpuChoice, UsageError> {
        self.parsed(Key::Gpu)
    }

    pub(super) fn encoder(&self) -> Result<EncoderChoice, UsageError> {
        self.parsed(Key::Encoder)
    }

    pub(super) fn clipboard(&self) -> Result<ClipboardPolicy, UsageError> {
        match self.text(Key::Clipboard).0 {
            "both" => Ok(ClipboardPolicy::Both),
            "to-desktop" => Ok(ClipboardPolicy::ToDesktop),
            "from-desktop" => Ok(ClipboardPolicy::FromDesktop),
            "off" => Ok(ClipboardPolicy::Off),
            _ => Err(self.bad(Key::Clipboard, "expected both, to-desktop, from-desktop or off")),
        }
    }

    pub(super) fn pad(&self) -> Result<Option<PadIdentity>, UsageError> {
        match self.text(Key::Pad).0 {
            "xbox360" => Ok(Some(PadIdentity::Xbox360)),
            "xboxone" => Ok(Some(PadIdentity::XboxOne)),
            "dualshock4" => Ok(Some(PadIdentity::DualShock4)),
            "switchpro" => Ok(Some(PadIdentity::SwitchPro)),
            "off" => Ok(None),
            _ => Err(self.bad(Key::Pad, "expected xbox360, xboxone, dualshock4, switchpro or off")),
        }
    }

    pub(super) fn pad_grace(&self) -> Result<PadGrace, UsageError> {
        let number = self.number(Key::PadGrace, "a number of seconds, 1 to 3600")?;
        PadGrace::new(number).map_err(|error| self.bad(Key::PadGrace, error.to_string()))
    }

    /// How much guests may use.
    pub(super) fn guest_limits(&self) -> Result<GuestLimits, UsageError> {
        Ok(GuestLimits { memory: self.limit(Key::AppMemory)?, tasks: self.limit(Key::AppTasks)? })
    }

    fn limit<T: FromStr<Err: fmt::Display>>(&self, key: Key) -> Result<Limit<T>, UsageError> {
        let (text, source) = self.text(key);
        let most = if text == "none" { None } else { Some(self.parsed(key)?) };
        Ok(Limit { most, is_chosen: *source != Source::Default })
    }

    pub(super) fn sound(&self) -> Result<Option<SoundKbps>, UsageError> {
        let number =
            self.number(Key::SoundBitrate, "a number of kilobits per second, 16 to 510")?;
        let bitrate = SoundKbps::new(number)
            .map_err(|error| self.bad(Key::SoundBitrate, error.to_string()))?;
        Ok(self.is_on(Key::Sound)?.then_some(bitrate))
    }

    pub(super) fn microphone(&self) -> Result<bool, UsageError> {
        self.is_on(Key::Microphone)
    }

    /// How browsers authenticate. Without authentication only this machine may connect.
    pub(super) fn auth(&self, front_door: &FrontDoor) -> Result<AuthMode, UsageError> {
        match (self.text(Key::Auth).0, &front_door.listen) {
            ("token", _) => Ok(AuthMode::Token),
            ("password", _) => Ok(AuthMode::Password),
            ("none", _) if front_door.is_local() => Ok(AuthMode::None),
            ("none", Listen::Tcp(address)) if !address.ip().is_loopback() => Err(self.bad(
                Key::Auth,
                format!(
                    "anyone who reaches {address} would own the desktop; listen on a loopback \
                     address such as 127.0.0.1, or keep --auth token"
                ),
            )),
            ("none", _) => Err(self.bad(
                Key::Auth,
                "anyone who reaches the proxy would own the desktop; keep --auth token",
            )),
            _ => Err(self.bad(Key::Auth, "expected token, password or none")),
        }
    }

    /// How browsers authenticate to a host of several sessions.
    pub(super) fn auth_of_many(&self, front_door: &FrontDoor) -> Result<AuthMode, UsageError> {
        match self.auth(front_door)? {
            AuthMode::None => Err(self.bad(
                Key::Auth,
                "a browser chooses among the sessions of `lumen serve` by its token; keep --auth \
                 token, or start a single desktop by `lumen run`",
            )),
            mode => Ok(mode),
        }
    }

    /// How accounts sign in.
    pub(super) fn sign_in(&self, auth: AuthMode) -> Result<SignIn, UsageError> {
        let names = self.text(Key::LoginGroups).0.split(',').filter(|name| !name.is_empty());
        let bad = |error: &dyn fmt::Display| self.bad(Key::LoginGroups, error.to_string());
        let groups = names.map(AccountName::new).collect::<Result<_, _>>();
        let groups = List::new(groups.map_err(|_| bad(&"expected names of groups"))?);
        Ok(SignIn {
            socket: PathBuf::from(self.text(Key::LoginSocket).0),
            session_socket: PathBuf::from(self.text(Key::SessionSocket).0),
            groups: groups.map_err(|error| bad(&error))?,
            provider: self.provider(auth)?,
        })
    }

    /// The identity provider by which browsers sign in, if there is one.
    fn provider(&self, auth: AuthMode) -> Result<Option<Provider>, UsageError> {
        let Some(socket) = self.optional(Key::OidcSocket) else { return Ok(None) };
        if auth != AuthMode::Password {
            let wrong = "needs --auth password: accounts are checked by the same rules";
            return Err(self.bad(Key::OidcSocket, wrong));
        }
        let name = Text::new(self.text(Key::OidcName).0);
        let name = name.map_err(|error| self.bad(Key::OidcName, error.to_string()))?;
        Ok(Some(Provider { socket: PathBuf::from(socket), name }))
    }

    /// How long logins last.
    pub(super) fn lifetimes(&self) -> Result<Lifetimes, UsageError> {
        Ok(Lifetimes { idle: self.time(Key::LoginIdle)?, whole: self.time(Key::LoginLife)? })
    }

    /// How long sessions last, and how many there may be.
    pub(super) fn session_limits(&self) -> Result<Limits, UsageError> {
        Ok(Limits {
            unwatched: self.time_or_none(Key::SessionUnwatched)?,
            idle: self.time_or_none(Key::SessionIdle)?,
            per_user: self.count(Key::SessionsPerUser)?,
            in_all: self.count(Key::SessionsTotal)?,
            in_use: self.in_use()?,
        })
    }

    fn in_use(&self) -> Result<InUse, UsageError> {
        match self.text(Key::SessionInUse).0 {
            "attach" => Ok(InUse::Attach),
            "new" => Ok(InUse::New),
            "refuse" => Ok(InUse::Refuse),
            _ => Err(self.bad(Key::SessionInUse, "expected attach, new or refuse")),
        }
    }

    fn count(&self, key: Key) -> Result<u16, UsageError> {
        let count = self.number(key, "a number from 1 to 128")?;
        match (1..=MOST_SESSIONS).contains(&count) {
            true => Ok(count),
            false => Err(self.bad(key, "expected a number from 1 to 128")),
        }
    }

    fn time_or_none(&self, key: Key) -> Result<Option<Duration>, UsageError> {
        match self.text(key).0 {
            "none" => Ok(None),
            text => time::read(text).map(Some).ok_or_else(|| {
                self.bad(key, "expected a time from 1s to 366d, such as 90m, 12h or 30d, or none")
            }),
        }
    }

    fn time(&self, key: Key) -> Result<Duration, UsageError> {
        time::read(self.text(key).0).ok_or_else(|| {
            self.bad(key, "expected a time from 1s to 366d, such as 90m, 12h or 30d")
        })
    }

    fn limited<const MAX: usize>(&self, key: Key) -> Result<Text<MAX>, UsageError> {
        Text::new(self.text(key).0).map_err(|error| self.bad(key, error.to_string()))
    }

    pub(super) fn log(&self) -> Result<Text<128>, UsageError> {
        self.limited(Key::Log)
    }

    pub(super) fn keymap(&self) -> Result<Keymap, UsageError> {
        Ok(Keymap {
            layout: self.limited(Key::Layout)?,
            variant: self.limited(Key::LayoutVariant)?,
            options: self.limited(Key::LayoutOptions)?,
        })
    }
}
