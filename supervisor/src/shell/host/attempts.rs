//! Attempts to sign in as an account, with a password or by a proxy's word, for each of which `desk` talks with a `lumen-login`.
//!
//! The browser's requests come one by one, each with a place for its answer; the attempt outlives them. A request
//! whose attempt is gone is refused like a wrong password.

use std::{net::IpAddr, time::Instant};

use lumen_ipc::{
    login::{LoginRefusal, Method, Progress, SignInMethod},
    message::login::{AccountName, Answers, LOGIN_HASH, Prompts, ToLeader, Trust},
    text::{Secret, Text},
    units::SessionId,
};
use nix::unistd::Uid;
use tokio::sync::mpsc;
use tracing::info;

use super::{
    super::{event::AttemptNews, owner},
    Host,
    desk::{Reply, Running, attend},
};
use crate::broker::{AttemptId, audit::MethodName, connection::Connection};

impl Host {
    /// Signs a browser in that needs to be asked nothing.
    pub(super) fn sign_in(&mut self, method: &Method, from: IpAddr, reply: Reply) {
        let listen = &self.stage.front_door.listen;
        let owner = |client| owner::of(Connection { client, server: listen.tcp()? });
        let signed_in = self.access.begin(Instant::now(), method, from, owner);
        match &signed_in {
            Ok(signed_in) if signed_in.key.is_some() => {
                self.record_sign_in(signed_in.login, (SignInMethod::Token, None), from);
            }
            Ok(_) => {}
            Err(refusal) => self.record_refusal((name_of(method), None), from, *refusal),
        }
        let said = Prompts::default();
        let signed_in = signed_in.map(|signed_in| Progress::Done { signed_in, said });
        match signed_in.is_ok() {
            true => self.remember(|| drop(reply.send(signed_in))),
            false => drop(reply.send(signed_in)),
        }
    }

    /// Begins an attempt.
    pub(super) fn begin_attempt(
        &mut self,
        account: AccountName,
        method: SignInMethod,
        from: IpAddr,
        reply: Reply,
    ) {
        // Only a gateway that was taken over names an account where there is no proxy.
        let begun = match method == SignInMethod::Proxy && self.stage.proxy.is_none() {
            true => Err(LoginRefusal::Denied),
            false => self.access.attempt(Instant::now(), from, &account),
        };
        let (id, key) = match begun {
            Ok(begun) => begun,
            Err(refusal) => {
                self.record_refusal((method.name(), Some(account)), from, refusal);
                // The browser may have gone, here and below.
                return drop(reply.send(Err(refusal)));
            }
        };
        // One question is open at a time, so one answer waits.
        let (answers, heard) = mpsc::channel(1);
        let begin = ToLeader::Begin {
            form: LOGIN_HASH,
            account: account.clone(),
            rhost: Text::truncated(from.to_canonical().to_string()),
            trust: match method {
                SignInMethod::Oidc | SignInMethod::Proxy => Trust::Vouched,
                SignInMethod::Password | SignInMethod::Token => Trust::Authenticate,
            },
            groups: self.stage.sign_in.groups.clone(),
        };
        let (socket, events) = (self.stage.sign_in.socket.clone(), self.events.clone());
        tokio::spawn(attend(id, (socket, begin), heard, events));
        let said = Prompts::default();
        let running = Running { key, account, method, from, answers, reply: Some(reply), said };
        self.desk.running.insert(id, running);
    }

    /// Passes on what a browser answers.
    pub(super) fn answer_attempt(&mut self, key: &Secret, answers: Answers, reply: Reply) {
        let running = self.access.answer(key).and_then(|id| self.desk.running.get_mut(&id));
        let Some(running) = running else { return drop(reply.send(Err(LoginRefusal::Denied))) };
        match running.answers.try_send(answers) {
            Ok(()) => running.reply = Some(reply),
            // Its task has ended, and the news of that will come.
            Err(_) => drop(reply.send(Err(LoginRefusal::Denied))),
        }
    }

    /// Ends an attempt whose browser gives it up.
    pub(super) fn abandon_attempt(&mut self, key: &Secret) {
        if let Some(id) = self.access.abandon(key) {
            self.desk.running.remove(&id);
        } else if let Some(id) = self.access.back(key) {
            self.away.remove(&id);
        }
    }

    /// Takes in what `lumen-login` says.
    pub(super) fn take_in_attempt(&mut self, id: AttemptId, news: AttemptNews) {
        match news {
            AttemptNews::Asked(prompts) => {
                let Some(running) = self.desk.running.get_mut(&id) else { return };
                if let Some(reply) = running.reply.take()
                    && self.access.ask(id)
                {
                    let attempt = running.key.clone();
                    drop(reply.send(Ok(Progress::Asked { attempt, prompts })));
                }
            }
            AttemptNews::Denied => {
                self.access.denied(id);
                self.conclude(id, Err(LoginRefusal::Denied));
            }
            AttemptNews::Accepted(accepted) => self.admit(id, *accepted),
        }
    }

    /// Gives a browser its login to a desktop of its user, which is stored before.
    pub(super) fn let_in(&mut self, id: AttemptId, session: SessionId, user: Uid) {
        let Some(Running { account, method, from, .. }) = self.desk.running.get(&id) else {
            return;
        };
        let who = (*method, account);
        let signed_in = match self.access.enter(Instant::now(), (session, user), who, *from) {
            Ok(signed_in) => signed_in,
            Err(refusal) => return self.conclude(id, Err(refusal)),
        };
        let Some(running) = self.desk.running.remove(&id) else { return };
        let Running { account, method, from, reply, said, .. } = running;
        self.on_the_way.sent(Instant::now(), session);
        info!(%session, by = method.name(), "a browser signed in as an account");
        self.record_sign_in(signed_in.login, (method, Some(account)), from);
        let said = self.with_farewell(user, said);
        self.remember(move || {
            if let Some(reply) = reply {
                drop(reply.send(Ok(Progress::Done { signed_in, said })));
            }
        });
    }

    pub(super) fn conclude(&mut self, id: AttemptId, outcome: Result<Progress, LoginRefusal>) {
        let Some(running) = self.desk.running.remove(&id) else { return };
        let Running { account, method, from, reply, .. } = running;
        if let Err(refusal) = &outcome {
            self.record_refusal((method.name(), Some(account)), from, *refusal);
        }
        if let Some(reply) = reply {
            drop(reply.send(outcome));
        }
    }
}

fn name_of(method: &Method) -> MethodName {
    match method {
        Method::Open(_) => "none",
        Method::Password(_) => SignInMethod::Password.name(),
        Method::Provider(_) => SignInMethod::Oidc.name(),
        Method::Proxy(_) => SignInMethod::Proxy.name(),
        Method::Token(_) => SignInMethod::Token.name(),
    }
}
