//! News of the apps for the pages: the newest of each session, and the gateway that waits for more.

use std::collections::BTreeMap;

use lumen_ipc::{
    message::signalling::Reason,
    service::{AppNews, AppState},
    units::SessionId,
};
use nix::sys::signal::Signal;
use tokio::sync::oneshot;

use crate::lifecycle::{News, Outcome, Verdict};

/// The newest news of each session's app.
#[derive(Default)]
pub(super) struct Bulletin {
    number: u32,
    newest: BTreeMap<SessionId, Entry>,
    /// The gateway that waits, and the number of the news it knows. Only one waits: a later one
    /// takes its place.
    waiting: Option<(u32, oneshot::Sender<AppNews>)>,
}

struct Entry {
    number: u32,
    /// The number that the session gave this news.
    serial: u32,
    state: AppState,
    told: bool,
}

impl Bulletin {
    /// Records news of a session's app.
    pub(super) fn tell(&mut self, session: SessionId, serial: u32, state: AppState) {
        self.number = self.number.wrapping_add(1);
        let entry = Entry { number: self.number, serial, state, told: false };
        self.newest.insert(session, entry);
        if let Some((seen, waiting)) = self.waiting.take() {
            self.answer(seen, waiting);
        }
    }

    /// Pages may wait for a session of which there is no news: its end is news to them.
    pub(super) fn expect(&mut self, session: SessionId) {
        let number = self.number;
        let nothing = Entry { number, serial: 0, state: AppState::Running, told: true };
        self.newest.entry(session).or_insert(nothing);
    }

    /// A session has ended. Unless its pages already know that, they are told `reason`.
    pub(super) fn end(&mut self, session: SessionId, reason: Reason) {
        let newest = self.newest.get(&session).map(|entry| (&entry.state, entry.serial));
        let serial = match newest {
            Some((AppState::Over { .. }, _)) | None => return,
            Some((_, serial)) => serial.wrapping_add(1),
        };
        self.tell(session, serial, AppState::Over { reason });
    }

    /// Answers a gateway that knows the news up to number `seen`, now or later. Returns the news
    /// that every page of a session thereby has, each with the session's own number.
    pub(super) fn ask(
        &mut self,
        seen: u32,
        reply: oneshot::Sender<AppNews>,
    ) -> Vec<(SessionId, u32)> {
        let mut told = Vec::new();
        for (session, entry) in &mut self.newest {
            if entry.number <= seen && !std::mem::replace(&mut entry.told, true) {
                told.push((*session, entry.serial));
            }
        }
        // No news follows the end of a desktop.
        let over = |entry: &Entry| matches!(entry.state, AppState::Over { .. });
        self.newest.retain(|_, entry| !(over(entry) && entry.told));
        self.answer(seen, reply);
        told
    }

    fn answer(&mut self, seen: u32, reply: oneshot::Sender<AppNews>) {
        let unseen = self.newest.iter().filter(|(_, entry)| entry.number > seen);
        match unseen.min_by_key(|(_, entry)| entry.number) {
            Some((session, entry)) => {
                let (number, session, state) = (entry.number, *session, entry.state.clone());
                // If the gateway has closed its request, it asks again.
                let _ = reply.send(AppNews { number, session, state });
            }
            None => self.waiting = Some((seen, reply)),
        }
    }
}

/// News in words for viewers. `hint` names another remedy, and is usually empty.
pub(super) fn state(news: News, hint: &str) -> AppState {
    let sentence = |text: String| Reason::truncated(format!("{text}{hint}"));
    match news {
        News::AppEnded { verdict, early } => {
            AppState::Ended { reason: sentence(format!("The app {}.", ended(verdict, early))) }
        }
        News::AppRuns => AppState::Running,
        News::Over(outcome) => AppState::Over {
            reason: match outcome {
                Outcome::AppEnded { verdict, early } => {
                    sentence(format!("The app {}, and the desktop with it.", ended(verdict, early)))
                }
                Outcome::CouldNotHelp(helper) => {
                    Reason::truncated(format!("The desktop has lost {helper}, and ends."))
                }
                Outcome::CouldNotStart(worker) => {
                    Reason::truncated(format!("The desktop has no {worker}, and ends."))
                }
                Outcome::Stopped => Reason::truncated("The desktop was ended."),
            },
        },
    }
}

/// How an app ended, as the rest of a sentence.
pub(super) fn ended(verdict: Verdict, early: bool) -> String {
    let at_once = if early { " at once" } else { "" };
    match verdict {
        Verdict::Exited(0) => format!("has ended{at_once}"),
        Verdict::Exited(code) => format!("ended{at_once} with exit code {code}"),
        Verdict::Killed(number) => {
            let name = Signal::try_from(number)
                .map_or_else(|_| String::new(), |signal| format!(" ({signal})"));
            format!("was ended{at_once} by signal {number}{name}")
        }
        Verdict::NotSpawned => "could not be executed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: SessionId = SessionId(1);
    const OTHER: SessionId = SessionId(2);

    fn ask(bulletin: &mut Bulletin, seen: u32) -> (Vec<(SessionId, u32)>, Answer) {
        let (reply, answer) = oneshot::channel();
        (bulletin.ask(seen, reply), answer)
    }

    type Answer = oneshot::Receiver<AppNews>;

    fn told(answer: &mut Answer) -> Option<(u32, SessionId)> {
        answer.try_recv().ok().map(|news| (news.number, news.session))
    }

    fn over() -> AppState {
        AppState::Over { reason: Reason::truncated("It is over.") }
    }

    #[test]
    fn bulletin_answers_who_has_missed_something_with_the_oldest_of_it() {
        let mut bulletin = Bulletin::default();
        bulletin.tell(ONE, 1, AppState::Running);
        bulletin.tell(OTHER, 1, AppState::Running);
        bulletin.tell(ONE, 2, AppState::Running);
        assert_eq!(told(&mut ask(&mut bulletin, 0).1), Some((2, OTHER)));
        assert_eq!(told(&mut ask(&mut bulletin, 2).1), Some((3, ONE)));
    }

    #[test]
    fn bulletin_answers_who_waits_with_the_next_news_and_says_what_is_known() {
        let mut bulletin = Bulletin::default();
        bulletin.tell(ONE, 7, AppState::Running);
        let (known, mut answer) = ask(&mut bulletin, 1);
        assert_eq!((known, told(&mut answer)), (vec![(ONE, 7)], None));
        bulletin.tell(OTHER, 1, AppState::Running);
        assert_eq!(told(&mut answer), Some((2, OTHER)));
        assert_eq!(ask(&mut bulletin, 2).0, [(OTHER, 1)], "each is said once");
    }

    #[test]
    fn bulletin_forgets_a_session_that_is_over_once_the_pages_know() {
        let mut bulletin = Bulletin::default();
        bulletin.tell(ONE, 1, over());
        assert_eq!(told(&mut ask(&mut bulletin, 0).1), Some((1, ONE)));
        assert_eq!(ask(&mut bulletin, 1).0, [(ONE, 1)]);
        assert_eq!(told(&mut ask(&mut bulletin, 0).1), None, "a new gateway has nobody to tell");
    }

    #[test]
    fn bulletin_tells_the_end_of_a_session_that_has_not_come_again() {
        let mut bulletin = Bulletin::default();
        bulletin.end(ONE, Reason::truncated("It is over."));
        assert_eq!(told(&mut ask(&mut bulletin, 0).1), None, "nobody waited for it");
        bulletin.expect(OTHER);
        assert_eq!(told(&mut ask(&mut bulletin, 0).1), None, "no news yet");
        bulletin.end(OTHER, Reason::truncated("It is over."));
        assert_eq!(told(&mut ask(&mut bulletin, 0).1), Some((1, OTHER)));
    }

    #[test]
    fn bulletin_keeps_one_gateway_waiting() {
        let mut bulletin = Bulletin::default();
        let ((_, mut early), (_, mut late)) = (ask(&mut bulletin, 0), ask(&mut bulletin, 0));
        assert_eq!(early.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        bulletin.tell(ONE, 1, AppState::Running);
        assert_eq!(told(&mut late), Some((1, ONE)));
    }

    #[test]
    fn ended_says_how_in_words_a_viewer_knows() {
        let end = |verdict| ended(verdict, false);
        assert_eq!(end(Verdict::Exited(0)), "has ended");
        assert_eq!(end(Verdict::Exited(3)), "ended with exit code 3");
        assert_eq!(end(Verdict::Killed(11)), "was ended by signal 11 (SIGSEGV)");
        assert_eq!(ended(Verdict::Exited(1), true), "ended at once with exit code 1");
    }
}
