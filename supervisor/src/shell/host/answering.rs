//! What the gateway asks of a host, and how each request is answered.

use std::time::Instant;

use lumen_ipc::{
    login::{Method, SignInMethod},
    message::session::{Question, ToSession},
    service::RelayPair,
    text::{Secret, Text},
    units::{PeerId, SessionId},
};
use tokio::sync::oneshot;
use tracing::warn;

use super::{super::event::BrokerRequest, Host, memory, sessions::Pending};
use crate::broker::audit::Deed;

impl Host {
    pub(super) fn answer_gateway(&mut self, request: BrokerRequest) {
        let now = Instant::now();
        // Sending fails only if the gateway has closed the request.
        match request {
            BrokerRequest::Abandon(attempt) => self.abandon_attempt(&attempt),
            BrokerRequest::Answer(attempt, answers, reply) => {
                self.answer_attempt(&attempt, answers, reply);
            }
            BrokerRequest::Begin(Method::Password(account), from, reply) => {
                self.begin_attempt(account, SignInMethod::Password, from, reply);
            }
            BrokerRequest::Begin(Method::Proxy(account), from, reply) => {
                self.begin_attempt(account, SignInMethod::Proxy, from, reply);
            }
            BrokerRequest::Begin(Method::Provider(callback), from, reply) => {
                self.send_away(callback, from, reply);
            }
            BrokerRequest::Begin(method, from, reply) => self.sign_in(&method, from, reply),
            BrokerRequest::CertificateJudged(serial, refused, reply) => {
                self.stage.certificate_judged(serial, refused.as_ref().map(Text::as_str));
                let _ = reply.send(());
            }
            BrokerRequest::Distrusted(fault, from) => {
                let from = from.to_canonical();
                self.audit.record(&Deed::Distrusted { fault, from });
            }
            BrokerRequest::Keep(key, reply) => {
                let _ = reply.send(self.access.keep(now, &key));
                self.remember_use();
            }
            BrokerRequest::MintLease(key, reply) => self.mint_lease(key.as_ref(), reply),
            BrokerRequest::MintRelayCredentials(session, peer, reply) => {
                let _ = reply.send(self.mint(session, peer));
            }
            BrokerRequest::Renew(key, reply) => self.renew(&key, reply),
            BrokerRequest::Resume(key, named, reply) => {
                let _ = reply.send(self.access.resume_as(now, &key, named.as_ref()));
                self.remember_use();
            }
            BrokerRequest::Returned(key, query, reply) => self.take_back(&key, query, reply),
            BrokerRequest::Revoke(key, login, reply) => self.revoke_for_page(&key, login, reply),
            BrokerRequest::SignIns(key, reply) => drop(reply.send(self.sign_ins_for_page(&key))),
            BrokerRequest::SignOut(key, reply) => {
                let ended = self.access.sign_out(&key);
                if let Some((session, login)) = ended {
                    self.audit.record(&Deed::SignedOut { session, login });
                }
                let answer = move || {
                    let _ = reply.send(ended);
                };
                match ended.is_some() {
                    true => self.remember(answer),
                    // An unknown key must not cause a write.
                    false => answer(),
                }
            }
            BrokerRequest::StartApp(session, reply) => {
                self.ask(session, Question::StartApp, Pending::Done(reply));
            }
            BrokerRequest::Visited(visitors) => self.take_in_visitors(&visitors),
            BrokerRequest::WatchLogins(seen, reply) => self.login_news.ask(seen, reply),
            BrokerRequest::WatchApp(seen, reply) => {
                for (session, serial) in self.bulletin.ask(seen, reply) {
                    self.send(session, &ToSession::PagesTold { serial });
                }
            }
        }
    }

    /// Offers a browser another key, if its own is old. It is stored first: a host that is started anew must know
    /// what browsers have.
    fn renew(&mut self, key: &Secret, reply: oneshot::Sender<Option<Secret>>) {
        let renewed = self.access.renew(Instant::now(), key);
        let renewed = renewed.inspect_err(|error| warn!(%error, "no other key for a login"));
        match renewed.ok().flatten() {
            Some(other) => self.remember(move || drop(reply.send(Some(other)))),
            None => drop(reply.send(None)),
        }
    }

    fn mint(&mut self, session: SessionId, peer: PeerId) -> Option<RelayPair> {
        self.sessions.get(session)?;
        let mint = self.mint.as_mut()?;
        let pair = mint.mint(Instant::now(), memory::unix(), session, peer);
        if pair.is_none() {
            warn!(%peer, "no relay credentials: too many a minute");
        }
        pair
    }
}
