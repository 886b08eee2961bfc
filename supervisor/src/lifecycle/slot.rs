//! One worker's part of the machine: its state, its deaths, and their consequences.

use std::time::{Duration, Instant};

use lumen_ipc::process::Worker;

use super::{
    budget::{Budget, MOST_DEATHS, MOST_DEATHS_BEFORE_FIRST_SUCCESS, WINDOW, slow_retry},
    contract::{Instance, Notice, StateName},
    ending::ESCALATION,
    verdict::Verdict,
};

/// A death sooner than this after becoming ready is early.
const EARLY: Duration = Duration::from_secs(10);
/// This many forbidden system calls in a row mean that the policy is wrong, not chance.
const MOST_FORBIDDEN: u32 = 3;
/// A worker whose handshake failed, or that closed its link to the supervisor, is probably exiting;
/// it is killed only after this time, so that its exit code can be read.
const EXIT_GRACE: Duration = Duration::from_secs(1);

/// What an input requires of a worker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Next {
    Drain,
    Kill,
    Nothing,
    Spawn,
    Stays,
    Terminate,
    TooSlow,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// No process, and none is wanted.
    Gone,
    /// In the handshake.
    Starting { deadline: Instant, started: bool },
    /// Serving.
    Ready { since: Instant },
    /// Being ended, at this step.
    Ending(Step),
    /// No process; one is started at `until`.
    Waiting { until: Instant },
    /// No process, because it ended too often; one is tried at `until`, or at an administrator's
    /// request.
    Failed { until: Instant },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Draining {
        deadline: Instant,
    },
    Terminating {
        deadline: Instant,
    },
    /// Expected to exit by itself. `started` says whether it was asked to serve and may have
    /// answered.
    Leaving {
        deadline: Instant,
        started: bool,
    },
    Killed,
}

#[derive(Debug)]
pub(super) struct Slot {
    state: State,
    instance: Instance,
    budget: Budget,
    starts: u32,
    ever_ready: bool,
    /// How often it failed since it last served for a while.
    failures: u32,
    /// Forbidden system calls since it last served for a while.
    forbidden: u32,
    /// An administrator wants this process replaced.
    restart_wanted: bool,
    /// The process turned out to be of another build.
    foreign: bool,
    /// When the current or last process became ready.
    ready_at: Option<Instant>,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            state: State::Gone,
            instance: Instance::default(),
            budget: Budget::default(),
            starts: 0,
            ever_ready: false,
            failures: 0,
            forbidden: 0,
            restart_wanted: false,
            foreign: false,
            ready_at: None,
        }
    }
}

impl Slot {
    /// It has been spawned, and must be ready at the `deadline`.
    pub(super) const fn spawned(&mut self, deadline: Instant) -> Instance {
        self.instance = Instance(self.instance.0.wrapping_add(1));
        self.starts = self.starts.saturating_add(1);
        self.ready_at = None;
        self.restart_wanted = false;
        self.foreign = false;
        self.state = State::Starting { deadline, started: false };
        self.instance
    }

    /// Whether to start it now.
    pub(super) fn configured(&mut self, instance: Instance) -> bool {
        match &mut self.state {
            State::Starting { started, .. } if instance == self.instance => {
                !std::mem::replace(started, true)
            }
            _ => false,
        }
    }

    /// Whether the worker has just become ready.
    pub(super) fn ready(&mut self, now: Instant, instance: Instance) -> bool {
        if instance != self.instance {
            return false;
        }
        match self.state {
            State::Starting { started: true, .. } => self.state = State::Ready { since: now },
            // Its answer and the end of the link may be read in either order.
            State::Ending(Step::Leaving { started: true, .. }) => {}
            _ => return false,
        }
        self.ready_at = Some(now);
        self.ever_ready = true;
        true
    }

    pub(super) fn handshake_failed(&mut self, now: Instant, instance: Instance) {
        if instance == self.instance && matches!(self.state, State::Starting { .. }) {
            self.state =
                State::Ending(Step::Leaving { deadline: now + EXIT_GRACE, started: false });
        }
    }

    /// It cannot be reached any more, so it must exit by itself or be killed.
    pub(super) fn left(&mut self, now: Instant, instance: Instance) {
        let started = match self.state {
            State::Starting { started, .. } => started,
            State::Ready { .. } => false,
            _ => return,
        };
        if instance == self.instance {
            self.state = State::Ending(Step::Leaving { deadline: now + EXIT_GRACE, started });
        }
    }

    /// It must end because of what it did, and at once: draining would let it do more harm.
    pub(super) fn condemned(&mut self) -> Next {
        match self.state {
            State::Ending(Step::Killed) => Next::Nothing,
            State::Starting { .. } | State::Ready { .. } | State::Ending(_) => self.kill(),
            State::Failed { .. } | State::Gone | State::Waiting { .. } => Next::Nothing,
        }
    }

    /// It broke the contract with the supervisor.
    pub(super) fn broke(&mut self, instance: Instance) -> Next {
        if instance == self.instance { self.condemned() } else { Next::Nothing }
    }

    pub(super) fn of_another_build(&mut self, instance: Instance) -> Next {
        let expected = matches!(
            self.state,
            // Its answer and the end of the link may be read in either order.
            State::Starting { .. } | State::Ending(Step::Leaving { .. })
        );
        if instance != self.instance || !expected {
            return Next::Nothing;
        }
        self.foreign = true;
        self.kill()
    }

    /// The process ended: decides what follows. `None` for an old process.
    pub(super) fn exited(
        &mut self,
        now: Instant,
        instance: Instance,
        worker: Worker,
        verdict: Verdict,
        stopping: bool,
    ) -> Option<Option<Notice>> {
        if instance != self.instance || !self.has_process() {
            return None;
        }
        if stopping {
            self.state = State::Gone;
            return Some(None);
        }
        if std::mem::take(&mut self.restart_wanted) {
            self.state = State::Waiting { until: now };
            return Some(None);
        }
        let early = self.ready_at.is_none_or(|at| now.saturating_duration_since(at) < EARLY);
        self.forbidden = match (verdict.is_forbidden_syscall(), early) {
            (true, true) => self.forbidden + 1,
            (true, false) => 1,
            (false, _) => 0,
        };
        match self.hopeless(verdict).map_or_else(|| self.wait(now, early), Err) {
            Ok(wait) => {
                self.state = State::Waiting { until: now + wait };
                Some(Some(Notice::Died(worker, verdict, wait)))
            }
            Err(reason) => {
                let wait = self.fail(now);
                Some(Some(Notice::Failed(worker, verdict, reason, wait)))
            }
        }
    }

    /// Gives it up for a while, twice as long each time.
    fn fail(&mut self, now: Instant) -> Duration {
        let wait = slow_retry(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Failed { until: now + wait };
        wait
    }

    fn hopeless(&self, verdict: Verdict) -> Option<&'static str> {
        if self.foreign {
            return Some("it is of another build; install all programs together");
        }
        if self.forbidden >= MOST_FORBIDDEN {
            return Some(
                "its policy keeps refusing a system call it makes; its log names the call",
            );
        }
        verdict.is_hopeless()
    }

    /// How long to wait before the next start. After a failure it must serve for a while before it
    /// is started again at once.
    fn wait(&mut self, now: Instant, early: bool) -> Result<Duration, &'static str> {
        let served = self.ready_at.map(|at| now.saturating_duration_since(at));
        if self.failures > 0 && served.is_none_or(|served| served < WINDOW) {
            return Err("it ended soon after it was tried again; its log says why");
        }
        self.failures = 0;
        let most = if self.ever_ready { MOST_DEATHS } else { MOST_DEATHS_BEFORE_FIRST_SUCCESS };
        self.budget
            .spend(now, early, most)
            .ok_or("it ended too often; its log says why, `lumen restart` tries it at once")
    }

    pub(super) fn restart(&mut self, now: Instant) -> Next {
        self.budget.refill();
        self.forbidden = 0;
        self.failures = 0;
        match self.state {
            State::Ready { .. } => {
                self.restart_wanted = true;
                self.state = State::Ending(Step::Draining { deadline: now + ESCALATION });
                Next::Drain
            }
            State::Starting { .. } => {
                self.restart_wanted = true;
                self.kill()
            }
            State::Ending(_) => {
                self.restart_wanted = true;
                Next::Nothing
            }
            State::Failed { .. } | State::Waiting { .. } | State::Gone => {
                self.state = State::Waiting { until: now };
                Next::Nothing
            }
        }
    }

    /// Everything is about to end: a worker without a process is not started any more.
    pub(super) fn abandon(&mut self) {
        if !self.has_process() {
            self.state = State::Gone;
        }
    }

    pub(super) fn stop(&mut self, now: Instant) -> Next {
        let deadline = now + ESCALATION;
        match self.state {
            State::Ready { .. } => {
                self.state = State::Ending(Step::Draining { deadline });
                Next::Drain
            }
            State::Starting { .. } => {
                self.state = State::Ending(Step::Terminating { deadline });
                Next::Terminate
            }
            State::Ending(_) | State::Failed { .. } | State::Gone | State::Waiting { .. } => {
                Next::Nothing
            }
        }
    }

    /// Applies a deadline that has passed.
    pub(super) fn advance(&mut self, now: Instant) -> Next {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return Next::Nothing;
        }
        match self.state {
            State::Failed { .. } | State::Waiting { .. } => Next::Spawn,
            State::Starting { .. } => {
                self.state = State::Ending(Step::Killed);
                Next::TooSlow
            }
            State::Ending(Step::Draining { .. }) => {
                self.state = State::Ending(Step::Terminating { deadline: now + ESCALATION });
                Next::Terminate
            }
            State::Ending(Step::Leaving { .. }) => {
                self.state = State::Ending(Step::Killed);
                Next::Stays
            }
            State::Ending(Step::Terminating { .. }) => self.kill(),
            State::Ending(Step::Killed) | State::Gone | State::Ready { .. } => Next::Nothing,
        }
    }

    fn kill(&mut self) -> Next {
        self.state = State::Ending(Step::Killed);
        Next::Kill
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Starting { deadline, .. }
            | State::Ending(
                Step::Draining { deadline }
                | Step::Leaving { deadline, .. }
                | Step::Terminating { deadline },
            )
            | State::Failed { until: deadline }
            | State::Waiting { until: deadline } => Some(deadline),
            State::Ending(Step::Killed) | State::Gone | State::Ready { .. } => None,
        }
    }

    fn has_process(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Ready { .. } | State::Ending(_))
    }

    pub(super) fn takes_links(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Ready { .. })
    }

    pub(super) fn instance(&self) -> Instance {
        self.instance
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready { .. })
    }

    /// Whether its first process ended without ever serving.
    pub(super) fn has_failed_once(&self) -> bool {
        let is_first = self.starts <= 1;
        !is_first || matches!(self.state, State::Failed { .. } | State::Waiting { .. })
    }

    pub(super) fn is_gone(&self) -> bool {
        self.state == State::Gone
    }

    pub(super) fn ready_since(&self) -> Option<Instant> {
        match self.state {
            State::Ready { since } => Some(since),
            _ => None,
        }
    }

    /// When it will be started, if it has no process but should have one.
    pub(super) fn next_try(&self) -> Option<Instant> {
        match self.state {
            State::Failed { until } | State::Waiting { until } => Some(until),
            State::Ending(_) | State::Gone | State::Ready { .. } | State::Starting { .. } => None,
        }
    }

    pub(super) fn restarts(&self) -> u32 {
        self.starts.saturating_sub(1)
    }

    pub(super) fn name(&self) -> StateName {
        match self.state {
            State::Ending(_) => StateName::Ending,
            State::Failed { .. } => StateName::Failed,
            State::Gone => StateName::Gone,
            State::Ready { .. } => StateName::Ready,
            State::Starting { .. } => StateName::Starting,
            State::Waiting { .. } => StateName::Waiting,
        }
    }

    #[cfg(test)]
    pub(super) fn verify_invariants(&self, worker: Worker, stopping: bool) {
        let waits_for_the_kernel =
            matches!(self.state, State::Ending(Step::Killed) | State::Gone | State::Ready { .. });
        assert!(self.deadline().is_some() || waits_for_the_kernel, "{worker}");
        assert!(self.budget.spent() <= MOST_DEATHS, "{worker}");
        if stopping {
            assert!(self.has_process() || self.is_gone(), "{worker}: {:?}", self.state);
        }
    }
}
