//! Browsers' relay credentials, and when they get more.

use std::time::{Duration, Instant};

use lumen_ipc::{
    message::signalling::ToRtc,
    service::{AppState, RelayCredentials, RelayPair},
};

use super::{
    super::signal::{RelayServer, ToBrowser},
    budget::Payer,
    call::Call,
    {BrowserId, Output, Purpose, Switchboard},
};

/// Credentials are renewed when half of their life is over, but not more often than this.
const LEAST_RENEWAL: Duration = Duration::from_secs(60);

/// A browser's relay state.
#[derive(Debug, Default)]
pub(super) struct Relay {
    /// It has been sent its first message.
    pub(super) welcomed: bool,
    /// It has not been told yet that the relay was restarted.
    restarted: bool,
    /// Rtc's half of the credentials.
    pub(super) rtc: Option<RelayCredentials>,
    /// Until when they are valid.
    good_until: Option<Instant>,
    /// When the credentials must be renewed.
    pub(super) renewal: Option<Instant>,
    /// The credentials of its last test of the relay, and until when they are valid.
    probe: Option<(RelayServer, Instant)>,
}

impl Switchboard {
    /// Requests credentials, within the login's budget. A browser beyond it keeps those it has: the
    /// relay replaces an allocation that was made with the same ones.
    pub(super) fn mint(&mut self, now: Instant, browser: BrowserId, purpose: Purpose) {
        let Some(asking) = self.browsers.get_mut(&browser) else { return };
        let payer = Payer::of(asking.login.id, browser);
        if let Err(next) = self.credentials.spend(now, payer) {
            match purpose {
                Purpose::Probe => self.probe_minted(now, browser, None),
                Purpose::Stream => {
                    self.minted(now, browser, None);
                    if let Some(asking) = self.browsers.get_mut(&browser) {
                        asking.relay.renewal = Some(next);
                    }
                }
            }
            return;
        }
        let (session, grantee) = (asking.login.session, asking.grantee);
        let peer = match purpose {
            Purpose::Probe => self.number_peer(),
            Purpose::Stream => {
                asking.relay.renewal = None;
                grantee
            }
        };
        self.outputs.push_back(Output::Mint { browser, purpose, session, peer });
    }

    /// Answers a browser that wants to test the relay, with its last test's credentials if there
    /// are no new ones.
    pub(super) fn probe_minted(
        &mut self,
        now: Instant,
        browser: BrowserId,
        pair: Option<RelayPair>,
    ) {
        let Some(asking) = self.browsers.get_mut(&browser) else { return };
        let probe = &mut asking.relay.probe;
        if let Some(RelayPair { viewer, .. }) = pair {
            let good_until = now + life_of(&viewer);
            *probe = Some((viewer.into(), good_until));
        }
        let good = probe.as_ref().filter(|(_, until)| *until > now);
        let relay = good.map(|(relay, _)| relay.clone());
        self.outputs.push_back(Output::ToBrowser(browser, ToBrowser::Probe { relay }));
    }

    /// Passes credentials to both sides. Without new ones, the current ones stay until they expire.
    pub(super) fn minted(&mut self, now: Instant, browser: BrowserId, pair: Option<RelayPair>) {
        let Some(holder) = self.browsers.get_mut(&browser) else { return };
        let relay = &mut holder.relay;
        if pair.is_none() && relay.good_until.is_some_and(|until| until > now) {
            relay.renewal = Some(now + LEAST_RENEWAL);
            return;
        }
        // A page that has already made its offer uses its first credentials at once.
        let used = !relay.welcomed && pair.is_some() && matches!(holder.call, Call::Joined { .. });
        let (viewer, rtc) = pair.map_or((None, None), |pair| (Some(pair.viewer), Some(pair.rtc)));
        relay.good_until = rtc.as_ref().map(|rtc| now + life_of(rtc));
        relay.renewal = rtc.as_ref().map(|rtc| now + (life_of(rtc) / 2).max(LEAST_RENEWAL));
        relay.rtc.clone_from(&rtc);
        let message = match viewer.map(Into::into) {
            viewer if !relay.welcomed => Some(ToBrowser::Welcome { relay: viewer }),
            Some(viewer) => {
                let restarted = std::mem::take(&mut relay.restarted);
                Some(ToBrowser::Relay { relay: viewer, restarted })
            }
            None => None,
        };
        let newcomer = !std::mem::replace(&mut relay.welcomed, true);
        self.outputs.extend(message.map(|message| Output::ToBrowser(browser, message)));
        if let (Call::Joined { peer, .. }, Some(relay)) = (&holder.call, rtc) {
            self.outputs.push_back(Output::ToRtc(ToRtc::RelayRenewed { peer: *peer, relay }));
        }
        if used {
            self.mint(now, browser, Purpose::Stream);
        }
        if newcomer {
            self.tell_end(now, browser);
        }
        if newcomer && self.app != AppState::Running {
            self.tell_app(browser);
        }
    }

    pub(super) fn relay_replaced(&mut self, now: Instant) {
        for browser in self.browsers.keys().copied().collect::<Vec<_>>() {
            if let Some(holder) = self.browsers.get_mut(&browser) {
                holder.relay.restarted = holder.relay.welcomed;
            }
            self.mint(now, browser, Purpose::Stream);
        }
    }
}

fn life_of(credentials: &RelayCredentials) -> Duration {
    Duration::from_secs(credentials.lifetime_seconds.into())
}
