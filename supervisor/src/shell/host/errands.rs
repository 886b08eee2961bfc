//! Browsers that sign in by an identity provider, for each of which a `lumen-oidc` is started: it says where the
//! browser has to go, and finds out from what that brings back whose it is. What follows is an attempt like any other,
//! but for the password: `lumen-login` judges whether the account may sign in.
//!
//! A browser comes back by another request, and shows the key that its page has kept. Whoever opens the address with
//! which somebody else was sent back does not have that key.

use std::{io, net::IpAddr, path::Path, time::Duration};

use lumen_ipc::{
    login::{LoginRefusal, MAX_CALLBACK_BYTES, MAX_RETURN_BYTES, Progress, SignInMethod},
    message::oidc::{FromOidc, OIDC_HASH, OidcFailure, ToOidc},
    text::{Secret, Text},
};
use lumen_ipc_runtime::AsyncChannel;
use tokio::{sync::oneshot, time::timeout};
use tracing::error;

use super::{
    super::event::{ErrandNews, Event, Events},
    Host,
    away::Away,
    desk::{Reply, reach},
};
use crate::broker::ErrandId;

/// How long a browser may be away: somebody finds their second factor.
const WHOLE: Duration = Duration::from_secs(600);

impl Host {
    /// A browser wants to sign in by the identity provider, and to come back to this address.
    pub(super) fn send_away(
        &mut self,
        callback: Text<MAX_CALLBACK_BYTES>,
        from: IpAddr,
        reply: Reply,
    ) {
        let method = SignInMethod::Oidc.name();
        // Only a gateway that was taken over asks for it where there is no provider.
        let socket = self.stage.sign_in.provider.as_ref().map(|provider| provider.socket.clone());
        let begun = match &socket {
            Some(_) => self.access.go(std::time::Instant::now(), from),
            None => Err(LoginRefusal::Denied),
        };
        let (begun, socket) = match (begun, socket) {
            (Ok(begun), Some(socket)) => (begun, socket),
            (Err(refusal), _) => {
                self.record_refusal((method, None), from, refusal);
                // The browser may have gone, here and below.
                return drop(reply.send(Err(refusal)));
            }
            (Ok(_), None) => return,
        };
        if let Some(oldest) = begun.displaced {
            self.away.remove(&oldest);
        }
        let (returned, heard) = oneshot::channel();
        let (id, events) = (begun.id, self.events.clone());
        tokio::spawn(async move {
            let news = accompany(id, (&socket, callback), heard, &events).await;
            // It fails only when the event loop has ended.
            let _ = events.send(Event::Errand(id, news)).await;
        });
        let (returned, reply) = (Some(returned), Some(reply));
        self.away.insert(id, Away { key: begun.key, from, returned, reply });
    }

    /// A browser is back with this query.
    pub(super) fn take_back(&mut self, key: &Secret, query: Text<MAX_RETURN_BYTES>, reply: Reply) {
        let away = self.access.back(key).and_then(|id| self.away.get_mut(&id));
        let Some(away) = away else {
            // It has taken too long, or others have made it go.
            let over = LoginRefusal::Provider(OidcFailure::NotOurs);
            return drop(reply.send(Err(over)));
        };
        away.reply = Some(reply);
        if let Some(returned) = away.returned.take() {
            // If its task has ended, the news of that will come.
            let _ = returned.send(query);
        }
    }

    /// Takes in what `lumen-oidc` says.
    pub(super) fn take_in_errand(&mut self, id: ErrandId, news: ErrandNews) {
        match news {
            ErrandNews::Visit(url) => {
                let Some(away) = self.away.get_mut(&id) else { return };
                if let Some(reply) = away.reply.take() {
                    let attempt = away.key.clone();
                    let _ = reply.send(Ok(Progress::Away { attempt, url }));
                }
            }
            ErrandNews::Is(account) => {
                let Some(Away { from, reply: Some(reply), .. }) = self.away.remove(&id) else {
                    return;
                };
                self.access.believed(from);
                self.begin_attempt(account, SignInMethod::Oidc, from, reply);
            }
            ErrandNews::Failed(failure) => {
                self.access.lost(id);
                let Some(Away { from, reply, .. }) = self.away.remove(&id) else { return };
                let refusal = LoginRefusal::Provider(failure);
                self.record_refusal((SignInMethod::Oidc.name(), None), from, refusal);
                if let Some(reply) = reply {
                    let _ = reply.send(Err(refusal));
                }
            }
        }
    }
}

/// Carries out one errand; returns how it ends.
async fn accompany(
    id: ErrandId,
    (socket, callback): (&Path, Text<MAX_CALLBACK_BYTES>),
    returned: oneshot::Receiver<Text<MAX_RETURN_BYTES>>,
    events: &Events,
) -> ErrandNews {
    let conversation = converse(id, (socket, callback), returned, events);
    match timeout(WHOLE, conversation).await {
        Ok(Ok(news)) => news,
        Ok(Err(failure)) => {
            let socket = socket.display();
            error!(%socket, "nobody can sign in by the identity provider: {failure}");
            ErrandNews::Failed(OidcFailure::Unreachable)
        }
        // Whoever comes back now is told that the attempt is over.
        Err(_) => ErrandNews::Failed(OidcFailure::TooSlow),
    }
}

async fn converse(
    id: ErrandId,
    (socket, callback): (&Path, Text<MAX_CALLBACK_BYTES>),
    returned: oneshot::Receiver<Text<MAX_RETURN_BYTES>>,
    events: &Events,
) -> io::Result<ErrandNews> {
    let link = AsyncChannel::new(reach::<FromOidc, ToOidc>(socket)?)?;
    link.send(&ToOidc::Begin { form: OIDC_HASH, callback }, &[]).await.map_err(io::Error::other)?;
    let mut returned = Some(returned);
    loop {
        match (link.receive().await.map_err(io::Error::other)?.message, returned.take()) {
            (FromOidc::Visit { url }, Some(returned)) => {
                // It fails only when the event loop has ended.
                let _ = events.send(Event::Errand(id, ErrandNews::Visit(url))).await;
                // Without a sender the browser does not come back.
                let Ok(query) = returned.await else {
                    return Ok(ErrandNews::Failed(OidcFailure::Refused));
                };
                let sent = link.send(&ToOidc::Returned { query }, &[]).await;
                sent.map_err(io::Error::other)?;
            }
            (FromOidc::Is { account }, None) => return Ok(ErrandNews::Is(account)),
            (FromOidc::Failed { reason }, _) => return Ok(ErrandNews::Failed(reason)),
            _ => return Err(io::Error::other("lumen-oidc speaks out of turn")),
        }
    }
}
