//! News of logins for the pages: which have ended, and which were given. The gateway waits for them.

use std::collections::VecDeque;

use lumen_ipc::login::{LoginEvent, LoginNews};
use tokio::sync::oneshot;

/// Most news kept for a gateway that is slow to ask. It notices by itself what it missed: it has each login
/// of a page resumed at least once a minute.
const MOST: usize = 512;

/// The news, and the gateway that waits for more.
#[derive(Default)]
pub(super) struct LoginBulletin {
    last: u32,
    news: VecDeque<LoginNews>,
    /// The number of the news that it knows. Only one waits: a later one takes its place.
    waiting: Option<(u32, oneshot::Sender<LoginNews>)>,
}

impl LoginBulletin {
    /// Records that something has happened.
    pub(super) fn tell(&mut self, event: LoginEvent) {
        self.last += 1;
        self.news.push_back(LoginNews { number: self.last, event });
        if self.news.len() > MOST {
            self.news.pop_front();
        }
        if let Some((seen, waiting)) = self.waiting.take() {
            self.answer(seen, waiting);
        }
    }

    /// Answers a gateway that knows the news up to number `seen`, now or later. A new gateway has no page
    /// for which anything older could be news.
    pub(super) fn ask(&mut self, seen: u32, reply: oneshot::Sender<LoginNews>) {
        let seen = if seen == 0 { self.last } else { seen };
        self.news.retain(|news| news.number > seen);
        self.answer(seen, reply);
    }

    fn answer(&mut self, seen: u32, reply: oneshot::Sender<LoginNews>) {
        match self.news.iter().find(|news| news.number > seen) {
            // If the gateway has closed its request, it asks again.
            Some(news) => drop(reply.send(news.clone())),
            None => self.waiting = Some((seen, reply)),
        }
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{login::LoginId, units::SessionId};

    use super::*;

    fn ended(login: u64) -> LoginEvent {
        LoginEvent::Ended { session: SessionId::SOLE, login: LoginId(login) }
    }

    fn ask(bulletin: &mut LoginBulletin, seen: u32) -> oneshot::Receiver<LoginNews> {
        let (reply, answer) = oneshot::channel();
        bulletin.ask(seen, reply);
        answer
    }

    fn told(answer: &mut oneshot::Receiver<LoginNews>) -> Option<LoginNews> {
        answer.try_recv().ok()
    }

    #[test]
    fn new_gateway_is_told_what_happens_from_now_on_and_each_thing_once() {
        let mut bulletin = LoginBulletin::default();
        bulletin.tell(ended(1));
        let mut answer = ask(&mut bulletin, 0);
        assert_eq!(told(&mut answer), None);
        bulletin.tell(ended(2));
        let first = told(&mut answer).expect("news");
        assert_eq!(first.event, ended(2));
        bulletin.tell(ended(3));
        bulletin.tell(ended(4));
        let second = told(&mut ask(&mut bulletin, first.number)).expect("news");
        assert_eq!(second.event, ended(3));
        let again = told(&mut ask(&mut bulletin, first.number)).expect("its answer was lost");
        assert_eq!(again, second);
        let third = told(&mut ask(&mut bulletin, second.number)).expect("news");
        assert_eq!(third.event, ended(4));
        assert_eq!(told(&mut ask(&mut bulletin, third.number)), None);
    }

    #[test]
    fn news_for_a_gateway_that_does_not_ask_stay_bounded() {
        let mut bulletin = LoginBulletin::default();
        for login in 0..2 * MOST as u64 {
            bulletin.tell(ended(login));
        }
        assert_eq!(bulletin.news.len(), MOST);
    }

    #[test]
    fn later_gateway_takes_the_place_of_the_one_before() {
        let mut bulletin = LoginBulletin::default();
        let (mut early, mut late) = (ask(&mut bulletin, 0), ask(&mut bulletin, 0));
        assert_eq!(early.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        bulletin.tell(ended(1));
        assert!(told(&mut late).is_some());
    }
}
