//! What the pages are told of the app: the newest news, and which gateway waits for the next.

use lumen_ipc::{
    message::signalling::Reason,
    service::{AppNews, AppState},
    units::SessionId,
};
use nix::sys::signal::Signal;
use tokio::sync::oneshot;

use crate::lifecycle::{News, Outcome, Verdict};

/// The newest news of the app.
pub(super) struct Bulletin {
    newest: AppNews,
    /// The gateway that knows it. One at a time: whoever asks later takes the place.
    waiting: Option<oneshot::Sender<AppNews>>,
}

impl Bulletin {
    pub(super) fn new() -> Self {
        Self {
            newest: AppNews { number: 1, session: SessionId::SOLE, state: AppState::Running },
            waiting: None,
        }
    }

    pub(super) fn tell(&mut self, state: AppState) {
        let number = self.newest.number.wrapping_add(1);
        self.newest = AppNews { number, session: SessionId::SOLE, state };
        if let Some(waiting) = self.waiting.take() {
            // A gateway that has gone asks again.
            let _ = waiting.send(self.newest.clone());
        }
    }

    /// Answers a gateway that knows the news numbered `seen`, now or later; whether it, and with it
    /// every page, knows the newest.
    pub(super) fn ask(&mut self, seen: u32, reply: oneshot::Sender<AppNews>) -> bool {
        if seen == self.newest.number {
            self.waiting = Some(reply);
            return true;
        }
        let _ = reply.send(self.newest.clone());
        false
    }
}

/// News as a viewer reads them. `hint` says what else may help, and is empty mostly.
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

    fn number_told(answer: &mut oneshot::Receiver<AppNews>) -> Option<u32> {
        answer.try_recv().ok().map(|news| news.number)
    }

    #[test]
    fn bulletin_answers_at_once_who_has_missed_something() {
        let mut bulletin = Bulletin::new();
        let (reply, mut answer) = oneshot::channel();
        assert!(!bulletin.ask(0, reply));
        assert_eq!(number_told(&mut answer), Some(1));
    }

    #[test]
    fn bulletin_answers_who_waits_with_the_next_news() {
        let mut bulletin = Bulletin::new();
        let (reply, mut answer) = oneshot::channel();
        assert!(bulletin.ask(1, reply), "it knows all there is");
        assert_eq!(number_told(&mut answer), None);
        bulletin.tell(AppState::Running);
        assert_eq!(number_told(&mut answer), Some(2));
    }

    #[test]
    fn bulletin_keeps_one_gateway_waiting() {
        let mut bulletin = Bulletin::new();
        let ((first, mut early), (second, mut late)) = (oneshot::channel(), oneshot::channel());
        bulletin.ask(1, first);
        bulletin.ask(1, second);
        assert_eq!(early.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        bulletin.tell(AppState::Running);
        assert_eq!(number_told(&mut late), Some(2));
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
