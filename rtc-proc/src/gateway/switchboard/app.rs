//! What browsers are told about the app and the end of its desktop, and what they may request.

use std::time::{Duration, Instant};

use lumen_ipc::{message::signalling::Reason, service::AppState};

use super::{
    super::signal::ToBrowser,
    {BrowserId, Output, Switchboard},
};

impl Switchboard {
    /// Tells every browser that has had its first message; the others are told after it.
    pub(super) fn app_is(&mut self, state: AppState) {
        if state == self.app {
            return;
        }
        self.app = state;
        let welcomed = self.browsers.iter().filter(|(_, browser)| browser.relay.welcomed);
        for browser in welcomed.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.tell_app(browser);
        }
    }

    pub(super) fn tell_app(&mut self, browser: BrowserId) {
        let Some(told) = self.browsers.get(&browser) else { return };
        let startable = told.login.rights.control;
        let message = match self.app.clone() {
            AppState::Ended { reason } => ToBrowser::App { running: false, reason, startable },
            AppState::Over { reason } => {
                self.give_up_call(browser);
                return self.tell_closed(browser, reason, false);
            }
            AppState::Running => {
                ToBrowser::App { running: true, reason: Reason::default(), startable: false }
            }
        };
        self.outputs.push_back(Output::ToBrowser(browser, message));
    }

    /// The session ends after so many seconds, unless somebody acts; or it stays.
    pub(super) fn ends_soon(&mut self, now: Instant, seconds: Option<u16>) {
        self.ends_at = seconds.map(|seconds| now + Duration::from_secs(seconds.into()));
        let welcomed = self.browsers.iter().filter(|(_, browser)| browser.relay.welcomed);
        for browser in welcomed.map(|(id, _)| *id) {
            self.outputs.push_back(Output::ToBrowser(browser, ToBrowser::EndsSoon { seconds }));
        }
    }

    /// Tells a browser that has had its first message when the session ends, if it is to.
    pub(super) fn tell_end(&mut self, now: Instant, browser: BrowserId) {
        let Some(at) = self.ends_at else { return };
        let left = at.saturating_duration_since(now).as_secs();
        let seconds = Some(u16::try_from(left).unwrap_or(u16::MAX));
        self.outputs.push_back(Output::ToBrowser(browser, ToBrowser::EndsSoon { seconds }));
    }

    /// Requests a start on behalf of a browser that may control the desktop. One that may only
    /// watch gets no answer, because its page offers no start.
    pub(super) fn start_app(&mut self, browser: BrowserId) {
        let Some(asking) = self.browsers.get(&browser).filter(|asking| asking.login.rights.control)
        else {
            return;
        };
        self.outputs.push_back(Output::StartApp(browser, asking.login.session));
    }

    pub(super) fn app_refused(&mut self, browser: BrowserId, text: Reason) {
        if self.browsers.contains_key(&browser) {
            self.outputs.push_back(Output::ToBrowser(browser, ToBrowser::Notice { text }));
        }
    }
}
