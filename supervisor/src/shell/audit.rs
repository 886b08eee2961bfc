//! Writes what is recorded of deeds to systemd's journal, as fields, by its native protocol
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>); where there is none, to the log.
//!
//! The socket is connected at the start, because a host gives up connect(2) before its first worker; it is
//! systemd's own, so it outlives a restart of the journal. Nobody waits for a journal that does not read:
//! then the line goes to the log.

use std::{
    io,
    os::{fd::AsRawFd, unix::net::UnixDatagram},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use nix::sys::socket::{MsgFlags, send};
use tracing::{info, warn};

use crate::broker::audit::{Deed, Line, Recorder};

/// Where systemd's journal takes lines.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Records deeds. Cheap to clone; without a recorder, as with `lumen run`, nothing is recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct Audit(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    recorder: Mutex<Recorder>,
    journal: Option<UnixDatagram>,
}

impl Audit {
    /// Records to the journal, if there is one, and otherwise to the log.
    pub(super) fn start() -> Self {
        Self::at(Path::new(JOURNAL))
    }

    fn at(path: &Path) -> Self {
        let journal = connected(path).inspect_err(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                warn!(%error, "the journal cannot be reached; what is recorded goes to the log");
            }
        });
        let recorder = Mutex::new(Recorder::new(Instant::now()));
        Self(Some(Arc::new(Shared { recorder, journal: journal.ok() })))
    }

    /// Records a deed.
    pub(super) fn record(&self, deed: &Deed) {
        let Some(shared) = &self.0 else { return };
        let mut recorder = shared.recorder.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(line) = recorder.line(Instant::now(), deed) else { return };
        drop(recorder);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let sent = shared
            .journal
            .as_ref()
            .map(|journal| send(journal.as_raw_fd(), encoded(&line).as_bytes(), flags));
        if !matches!(sent, Some(Ok(_))) {
            log(&line);
        }
    }
}

fn connected(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    Ok(socket)
}

/// A datagram of fields. No value contains the end of a line.
fn encoded(line: &Line) -> String {
    // syslog(3): 4 is a warning, 5 a notice.
    let priority = if line.warns { 4 } else { 5 };
    let mut text =
        format!("MESSAGE={}\nPRIORITY={priority}\nSYSLOG_IDENTIFIER=lumen\n", line.message);
    for (name, value) in &line.fields {
        text.push_str(&format!("{name}={value}\n"));
    }
    text
}

fn log(line: &Line) {
    let fields: Vec<String> =
        line.fields.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let fields = fields.join(" ");
    match line.warns {
        true => warn!("audit: {}; {fields}", line.message),
        false => info!("audit: {}; {fields}", line.message),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use lumen_ipc::units::SessionId;

    use super::*;

    #[test]
    fn deed_reaches_the_journal_as_fields_and_one_that_does_not_read_delays_nobody() {
        let path = std::env::temp_dir().join(format!("lumen-journal-{}", std::process::id()));
        let journal = UnixDatagram::bind(&path).expect("ours");
        let audit = Audit::at(&path);
        let deed = Deed::Stopped { session: SessionId(7), by: 1000 };
        audit.record(&deed);
        let mut bytes = [0; 1024];
        let length = journal.recv(&mut bytes).expect("a line");
        let text = std::str::from_utf8(&bytes[..length]).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "MESSAGE=uid 1000 stopped session 7",
                "PRIORITY=5",
                "SYSLOG_IDENTIFIER=lumen",
                "LUMEN_AUDIT=stopped",
                "LUMEN_SESSION=7",
                "LUMEN_BY_UID=1000",
            ]
        );
        // More than its queue holds, of which nobody reads anything.
        for _ in 0..10_000 {
            audit.record(&deed);
        }
        drop(journal);
        audit.record(&deed);
        fs::remove_file(&path).expect("ours");
    }
}
