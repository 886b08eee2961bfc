//! Makes the configurations of a host, a session and `lumen doctor` from the values of options.

use lumen_ipc::{front_door::FrontDoor, message::session::SessionName, service::AuthMode};

use super::{
    AppChoice, DoctorConfig, HostConfig, IN_CLEAR, InstanceName, SessionConfig, UsageError,
    table::Key, values::Values,
};

pub(super) fn doctor(values: &Values, trial: bool) -> Result<DoctorConfig, UsageError> {
    let front_door = values.front_door()?;
    let report = values.path(Key::Report);
    if report.is_some() && !trial {
        return Err(values.bad(Key::Report, "only --gpu makes a report"));
    }
    Ok(DoctorConfig {
        json: values.switch(Key::Json)?,
        udp_listen: values.udp_listen()?,
        tls: values.page_tls(&front_door)?,
        front_door,
        udp_port: values.udp_port()?,
        public_address: values.public_address()?,
        relay: values.relay()?,
        workers_dir: values.path(Key::WorkersDir),
        limits: values.guest_limits()?,
        gpu: values.gpu()?,
        trial,
        report,
    })
}

pub(super) fn host(
    values: &Values,
    auth: AuthMode,
    front_door: FrontDoor,
) -> Result<HostConfig, UsageError> {
    let config = HostConfig {
        name: values.name()?,
        auth,
        proxy: values.proxy_door(auth, &front_door.listen)?,
        tls: values.page_tls(&front_door)?,
        tls_by_address: values.is_tls_by_address(),
        front_door,
        sign_in: values.sign_in(auth)?,
        lifetimes: values.lifetimes()?,
        session_limits: values.session_limits()?,
        metrics_token: values.path(Key::MetricsTokenFile),
        public_address: values.public_address()?,
        relay: values.relay()?,
        log: values.log()?,
        workers_dir: values.path(Key::WorkersDir),
    };
    // Where the service manager passes a socket, its address counts, which is not known yet.
    if config.shows_passwords() {
        return Err(values.bad(Key::Auth, IN_CLEAR));
    }
    Ok(config)
}

pub(super) fn session(
    values: &mut Values,
    app: AppChoice,
    host: InstanceName,
    name: Option<SessionName>,
) -> Result<SessionConfig, UsageError> {
    let size = values.size()?;
    Ok(SessionConfig {
        host,
        name,
        app,
        size,
        resize: values.resize()?,
        clipboard: values.clipboard()?,
        fps: values.fps()?,
        bitrate: values.bitrate()?,
        gpu: values.gpu()?,
        encoder: values.encoder()?,
        limits: values.guest_limits()?,
        granted: values.switch(Key::Granted)?,
        user: values.optional(Key::User),
        udp_listen: values.udp_listen()?,
        udp_port: values.udp_port()?,
        pad: values.pad()?,
        pad_grace: values.pad_grace()?,
        sound: values.sound()?,
        microphone: values.microphone()?,
        public_address: values.public_address()?,
        x11: values.switch(Key::X11)?,
        keymap: values.keymap()?,
        log: values.log()?,
        workers_dir: values.path(Key::WorkersDir),
    })
}

/// Checks every value that a file can set, and those that depend on each other.
pub(super) fn check(values: &mut Values) -> Result<(), UsageError> {
    let front_door = values.front_door()?;
    let auth = values.auth(&front_door)?;
    host(values, auth, front_door)?;
    let name = values.name()?;
    session(values, AppChoice::Demo, name, None).map(drop)
}
