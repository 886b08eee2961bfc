//! The file in which a host stores what must outlive its process: read at the start, and replaced
//! as a whole by a thread of its own, because a disk may block the writer.
//!
//! INVARIANT: the file's content is at least as new as the last [`Keeper::keep`] that has been
//! answered. If the file cannot be replaced, it is removed: a full disk must not make an ended login
//! valid again.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, Sender, channel},
    thread::{self, JoinHandle},
};

use nix::{
    libc::{O_NOFOLLOW, O_NONBLOCK},
    unistd::Uid,
};
use tracing::warn;
use zeroize::Zeroizing;

use crate::broker::state::{MOST_BYTES, NotAState, State};

/// Why a file is not trusted.
#[derive(Debug, thiserror::Error)]
enum NotBelieved {
    #[error("it cannot be read")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Content(#[from] NotAState),
    #[error("others than this user could have written or read it")]
    NotPrivate,
    #[error("it is longer than anything that was ever kept")]
    TooLong,
}

/// Called once a state is stored.
type Then = Box<dyn FnOnce() + Send>;

struct Job {
    bytes: Zeroizing<Vec<u8>>,
    then: Then,
}

/// Stores states of one host, always the newest.
pub(super) struct Keeper {
    jobs: Option<Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Stores states in the file at `path`.
    pub(super) fn start(path: PathBuf) -> io::Result<Self> {
        let (jobs, waiting) = channel();
        let writer = thread::Builder::new().name("keeper".to_owned());
        let writer = writer.spawn(move || write_all(&path, &waiting))?;
        Ok(Self { jobs: Some(jobs), writer: Some(writer) })
    }

    /// Stores a state. When that is done, or has failed, another thread calls `then`.
    pub(super) fn keep(&self, state: &State, then: impl FnOnce() + Send + 'static) {
        let job = Job { bytes: state.encode(), then: Box::new(then) };
        // The writer ends only with this value.
        let _ = self.jobs.as_ref().map(|jobs| jobs.send(job));
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.jobs = None;
        // A writer that panicked has already reported it.
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

/// Reads the state at `path`. A file that is not trusted is reported in the log and ignored.
pub(super) fn load(path: &Path) -> Option<State> {
    match read(path) {
        Ok(state) => state,
        Err(error) => {
            let (path, error) = (path.display(), super::sentence(&error));
            warn!("{path} is not believed: {error}; nobody is signed in any more");
            None
        }
    }
}

fn read(path: &Path) -> Result<Option<State>, NotBelieved> {
    // Without blocking: the path may be a pipe without a writer.
    let flags = O_NOFOLLOW | O_NONBLOCK;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let found = file.metadata()?;
    let own = found.uid() == Uid::effective().as_raw();
    if !found.is_file() || !own || found.mode() & 0o077 != 0 {
        return Err(NotBelieved::NotPrivate);
    }
    // Reserved in full, so that no reallocation leaves a copy of a secret behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 1));
    let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
    file.take(most + 1).read_to_end(&mut bytes)?;
    match bytes.len() > MOST_BYTES {
        true => Err(NotBelieved::TooLong),
        false => Ok(Some(State::decode(&bytes)?)),
    }
}

fn write_all(path: &Path, waiting: &Receiver<Job>) {
    let mut failing = false;
    while let Ok(first) = waiting.recv() {
        // Only the newest of the waiting states is written.
        let mut jobs = vec![first];
        jobs.extend(waiting.try_iter());
        let Some(newest) = jobs.last() else { continue };
        if let Err(error) = write(path, &newest.bytes) {
            // It fails if there is no file, which is as good.
            let _ = fs::remove_file(path);
            if !std::mem::replace(&mut failing, true) {
                let path = path.display();
                warn!(%error, "{path} cannot be written; after a restart nobody is signed in");
            }
        } else {
            failing = false;
        }
        for job in jobs {
            (job.then)();
        }
    }
}

/// Replaces the file: a reader finds the old bytes or the new ones, even after a crash.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // A process that was killed may have left one.
    let _ = fs::remove_file(&new);
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).clone();
    let mut file = options.open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let directory = path.parent().unwrap_or_else(|| Path::new("/"));
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use nix::sys::stat::Mode;

    use super::*;

    /// A directory for one test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("lumen-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a directory");
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("host.state")
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            // A failure only leaves the directory behind.
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn state(last: u32) -> State {
        State { last, ..State::default() }
    }

    fn keep(path: &Path, state: &State) {
        let keeper = Keeper::start(path.to_owned()).expect("a thread");
        let (done, kept) = channel();
        keeper.keep(state, move || done.send(()).expect("waited for"));
        kept.recv().expect("kept");
    }

    #[test]
    fn state_that_was_kept_is_there_when_that_is_answered() {
        let folder = Folder::new("keeper-kept");
        assert_eq!(load(&folder.file()), None);
        for last in [1, 2] {
            keep(&folder.file(), &state(last));
            assert_eq!(load(&folder.file()), Some(state(last)));
        }
        let mode = fs::metadata(folder.file()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&folder.0).expect("there").count(), 1, "and nothing else");
    }

    #[test]
    fn every_keep_is_answered_in_its_turn_and_the_newest_state_is_there_at_the_end() {
        let folder = Folder::new("keeper-turns");
        let (done, kept) = channel();
        let keeper = Keeper::start(folder.file()).expect("a thread");
        for last in 1..100 {
            let done = done.clone();
            keeper.keep(&state(last), move || done.send(last).expect("waited for"));
        }
        drop(keeper);
        assert_eq!(kept.try_iter().collect::<Vec<_>>(), (1..100).collect::<Vec<_>>());
        assert_eq!(load(&folder.file()), Some(state(99)));
    }

    #[test]
    fn file_that_others_can_read_or_that_is_no_file_is_not_believed() {
        let folder = Folder::new("keeper-private");
        let path = folder.file();
        keep(&path, &state(1));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("ours");
        assert_eq!(load(&path), None);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
        let aside = folder.0.join("aside");
        fs::rename(&path, &aside).expect("ours");
        std::os::unix::fs::symlink(&aside, &path).expect("ours");
        assert_eq!(load(&path), None);
        fs::remove_file(&path).expect("ours");
        fs::write(&aside, vec![0; MOST_BYTES + 1]).expect("ours");
        fs::rename(&aside, &path).expect("ours");
        assert_eq!(load(&path), None);
        fs::remove_file(&path).expect("ours");
        nix::unistd::mkfifo(&path, Mode::from_bits_truncate(0o600)).expect("ours");
        assert_eq!(load(&path), None);
    }

    #[test]
    fn file_that_cannot_be_replaced_is_removed_and_the_keep_answered() {
        let folder = Folder::new("keeper-full");
        let path = folder.file();
        keep(&path, &state(1));
        // A directory takes the place of the new file.
        fs::create_dir_all(folder.0.join("host.state.new/full")).expect("ours");
        keep(&path, &state(2));
        assert_eq!(load(&path), None);
    }
}
