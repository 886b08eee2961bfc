//! The bridge's process: acquire, confine, and wait for what happens at any side.

mod find;
mod side;

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    io::{self, Write},
    os::fd::AsFd,
    path::PathBuf,
    process::ExitCode as ProcessExitCode,
    time::Instant,
};

use lumen_ipc::process::ExitCode;
use lumen_ipc_runtime::{bootstrap, confine, log};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use tracing::{debug, error, info};

use self::{
    find::Finder,
    side::{News, Side},
};
use super::{
    PROGRAM,
    hub::{Action, Hub, SideId},
    policy,
};
use crate::selections::SETTLED_MARK;

/// Our own compositor.
const OURS: SideId = SideId(0);

/// Desktops that take part at once; each has a connection.
const MOST_SIDES: usize = 32;

type Cause = Box<dyn Error>;

/// The bridge.
struct Bridge {
    hub: Hub,
    sides: BTreeMap<SideId, (String, Side)>,
    numbered: u32,
    /// The sides that have yet to say that they have what a page offers, and the number of that.
    settling: (u32, BTreeSet<SideId>),
    finder: Finder,
}

/// Runs the program from exec to exit.
#[must_use]
pub fn run() -> ProcessExitCode {
    bootstrap::end_on_panic(PROGRAM);
    bootstrap::show_name(PROGRAM);
    let _ = log::start();
    let fail = |code: ExitCode, error: Cause| {
        error!("{error}");
        code.into()
    };
    let (bridge, mut ready) = match Bridge::acquire() {
        Ok(acquired) => acquired,
        Err(error) => return fail(ExitCode::CouldNotStart, error),
    };
    if let Err(error) = confine::confine(&policy::policy(), PROGRAM) {
        return fail(ExitCode::CouldNotConfine, error.into());
    }
    // Whoever does not hear it has ended.
    let _ = ready.write_all(b"ready\n");
    drop(ready);
    match bridge.serve() {
        Ok(()) => ExitCode::Ok.into(),
        Err(error) => fail(ExitCode::Failed, error),
    }
}

impl Bridge {
    /// Opens all that needs to be opened, and the descriptor on which readiness is said.
    fn acquire() -> Result<(Self, impl Write), Cause> {
        let directory = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let directory = directory.ok_or("there is no XDG_RUNTIME_DIR")?;
        let ready = bootstrap::take_readiness().ok_or("the supervisor waits for no word")?;
        let finder = Finder::new(Instant::now(), &directory)?;
        let ours = ("the desktop".to_owned(), Side::granted()?);
        let sides = BTreeMap::from([(OURS, ours)]);
        Ok((
            Self { hub: Hub::default(), sides, numbered: 0, settling: Default::default(), finder },
            ready,
        ))
    }

    /// Serves until our compositor is gone.
    fn serve(mut self) -> Result<(), Cause> {
        while self.sides.contains_key(&OURS) {
            self.flush();
            let ready = self.wait()?;
            let now = Instant::now();
            self.finder.read(now)?;
            for (name, stream) in self.finder.connect(now) {
                match Side::new(stream) {
                    Ok(side) => self.add(name, side),
                    Err(error) => debug!(name, %error, "no desktop"),
                }
            }
            ready.into_iter().for_each(|side| self.read(side));
        }
        Ok(())
    }

    fn add(&mut self, name: String, side: Side) {
        if self.sides.len() >= MOST_SIDES {
            return info!(name, "more desktops inside this one than can share its clipboard");
        }
        self.numbered += 1;
        self.sides.insert(SideId(self.numbered), (name, side));
    }

    /// Sleeps until something happens; returns the sides where something does.
    fn wait(&self) -> Result<Vec<SideId>, Errno> {
        let mut waits = vec![PollFd::from_borrowed_fd(self.finder.descriptor(), PollFlags::IN)];
        for (_, side) in self.sides.values() {
            let writes = if side.wants_to_send() { PollFlags::OUT } else { PollFlags::empty() };
            waits.push(PollFd::from_borrowed_fd(side.descriptor(), PollFlags::IN | writes));
        }
        let patience = self.finder.due().map(|at| at.saturating_duration_since(Instant::now()));
        let patience = patience.map(|time| Timespec {
            tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        });
        match poll(&mut waits, patience.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        let happened = |wait: &PollFd<'_>| !wait.revents().is_empty();
        let sides = self.sides.keys().zip(waits.iter().skip(1));
        Ok(sides.filter(|(_, wait)| happened(wait)).map(|(side, _)| *side).collect())
    }

    fn flush(&mut self) {
        let flushed = self.sides.iter_mut().map(|(id, (_, side))| (*id, side.flush()));
        let over: Vec<_> = flushed.filter_map(|(id, flushed)| Some((id, flushed.err()?))).collect();
        for (side, error) in over {
            debug!(%error, "a desktop does not take what is sent");
            self.remove(side);
        }
    }

    fn read(&mut self, id: SideId) {
        let Some((_, side)) = self.sides.get_mut(&id) else { return };
        match side.read() {
            Ok(news) => news.into_iter().for_each(|news| self.take_in(id, news)),
            Err(error) => {
                debug!(%error, "a desktop is gone");
                self.remove(id);
            }
        }
    }

    fn take_in(&mut self, id: SideId, news: News) {
        match news {
            News::Asked(pipe) => {
                let holder = self.hub.holder().and_then(|(holder, name)| {
                    Some((&self.sides.get(&holder).filter(|_| holder != id)?.1, name))
                });
                // Without one the pipe is closed, which is an end of file.
                if let Some((holder, name)) = holder {
                    holder.ask(name, pipe.as_fd());
                }
            }
            News::Joined => {
                if id != OURS
                    && let Some((name, _)) = self.sides.get(&id)
                {
                    info!(name, "a desktop inside this one shares its clipboard");
                }
                let action = self.hub.join(id);
                self.act(action);
            }
            News::Selected(content) => {
                let actions = self.hub.select(id, content);
                self.act(actions);
                if content.is_some_and(|content| content.settles()) {
                    self.settle();
                }
            }
            News::Synced(number) => {
                if self.settling.0 == number {
                    self.settled(id);
                }
            }
            News::Useless => self.remove(id),
        }
    }

    /// Finds out when all sides have what they have just been offered.
    fn settle(&mut self) {
        let number = self.settling.0.wrapping_add(1).max(1);
        let sides: BTreeSet<_> = self.sides.keys().copied().filter(|side| *side != OURS).collect();
        for (id, (_, side)) in &self.sides {
            if sides.contains(id) {
                side.sync(number);
            }
        }
        self.settling = (number, sides);
        self.tell_settled();
    }

    /// A side has it, or is gone.
    fn settled(&mut self, id: SideId) {
        if self.settling.1.remove(&id) {
            self.tell_settled();
        }
    }

    fn tell_settled(&self) {
        if let Some((_, ours)) = self.sides.get(&OURS).filter(|_| self.settling.1.is_empty()) {
            // Some descriptor has to go with it. Nobody reads or writes this one.
            ours.ask(SETTLED_MARK, io::stdin().as_fd());
        }
    }

    fn act(&mut self, actions: impl IntoIterator<Item = Action>) {
        for action in actions {
            let (Action::Clear(id) | Action::Offer(id)) = action;
            match (action, self.sides.get_mut(&id)) {
                (Action::Clear(_), Some((_, side))) => side.clear(),
                (Action::Offer(_), Some((_, side))) => side.offer(),
                (_, None) => {}
            }
        }
    }

    fn remove(&mut self, id: SideId) {
        self.sides.remove(&id);
        self.settled(id);
        let actions = self.hub.leave(id);
        self.act(actions);
    }
}
