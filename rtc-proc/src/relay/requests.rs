//! Requests to the relay: sends them, retries until they are answered, and signs them as the relay's
//! challenges require. The parent module decides what an answer changes.

use std::time::{Duration, Instant};

use stun_types::message::TransactionId;

use super::{
    LIFETIME, Output, Relay, Unwrapped,
    wire::{Answer, Login, Request},
};
use crate::peer::Datagram;

/// The first timeout for an answer, which each retry doubles. The relay is on this machine.
const FIRST_PATIENCE: Duration = Duration::from_millis(100);
/// Retries per request: with all timeouts, three seconds.
const REPETITIONS: u8 = 4;
/// Challenges accepted per request: one for the nonce, one for a nonce that expired meanwhile, and one
/// for a relay that was replaced in between.
const MOST_CHALLENGES: u8 = 3;

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) id: TransactionId,
    pub(super) request: Request,
    bytes: Vec<u8>,
    pub(super) repeat_at: Instant,
    patience: Duration,
    repetitions: u8,
    challenges: u8,
}

impl Relay {
    pub(super) fn ask(&mut self, now: Instant, request: Request) {
        self.ask_again(now, request, 0);
    }

    fn ask_again(&mut self, now: Instant, request: Request, challenges: u8) {
        let id = TransactionId::generate();
        let bytes = match request.write(id, self.login.as_ref()) {
            Ok(bytes) => bytes,
            // The relay's realm does not fit into a message.
            Err(error) => {
                tracing::warn!(%error, "cannot send a request to the relay");
                return self.failed(now, request);
            }
        };
        self.transmit(bytes.clone());
        self.transactions.push(Transaction {
            id,
            request,
            bytes,
            repeat_at: now + FIRST_PATIENCE,
            patience: FIRST_PATIENCE,
            repetitions: 0,
            challenges,
        });
    }

    pub(super) fn transmit(&mut self, contents: Vec<u8>) {
        let (source, destination) = (self.local, self.server);
        let datagram = Datagram { source, destination, header: None, contents };
        self.outputs.push_back(Output::Transmit(datagram));
    }

    pub(super) fn repeat(&mut self, now: Instant) {
        let mut given_up = Vec::new();
        let mut repeated = Vec::new();
        self.transactions.retain_mut(|transaction| {
            if transaction.repeat_at > now {
                return true;
            }
            if transaction.repetitions >= REPETITIONS {
                given_up.push(transaction.request);
                return false;
            }
            transaction.repetitions += 1;
            transaction.patience *= 2;
            transaction.repeat_at = now + transaction.patience;
            repeated.push(transaction.bytes.clone());
            true
        });
        for bytes in repeated {
            self.transmit(bytes);
        }
        for request in given_up {
            self.failed(now, request);
        }
    }

    pub(super) fn answered(
        &mut self,
        now: Instant,
        asked: usize,
        answer: Answer,
    ) -> Unwrapped<'static> {
        if matches!(answer, Answer::Unsigned) {
            return Unwrapped::Foreign;
        }
        let Transaction { request, challenges, .. } = self.transactions.swap_remove(asked);
        match answer {
            Answer::Success { relayed, lifetime } => {
                self.granted(now, request, relayed, lifetime.unwrap_or(LIFETIME));
            }
            Answer::Challenge { code, realm, nonce } => {
                let known = self.login.as_ref();
                // A repeated challenge with the same nonce means that the credentials are wrong.
                let hopeless = challenges >= MOST_CHALLENGES
                    || (code == 401 && challenges > 0 && known.is_some_and(|it| it.nonce == nonce));
                let realm = realm.or_else(|| known.map(|login| login.realm.clone()));
                match (self.name(request), realm) {
                    (Some((username, password)), Some(realm)) if !hopeless => {
                        self.login = Some(Login::new(&username, &password, realm, nonce));
                        self.ask_again(now, request, challenges + 1);
                    }
                    _ => self.failed(now, request),
                }
            }
            Answer::Refused(code) => self.refused(now, request, code),
            Answer::Unsigned => {}
        }
        Unwrapped::Control
    }

    /// The credentials for a request: the newest for an allocation, those of the allocation for the rest.
    fn name(&self, request: Request) -> Option<(String, String)> {
        let newest = self.credentials.as_ref();
        let newest = newest.map(|it| (it.username.to_string(), it.password.reveal().to_owned()));
        match request {
            Request::Allocate => newest,
            _ => self.login.as_ref().map(Login::name),
        }
    }
}
