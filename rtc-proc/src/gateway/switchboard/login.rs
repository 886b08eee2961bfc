//! How browsers leave: with their peers, without them, or because their login has ended.

use lumen_ipc::{
    login::{Login, LoginId},
    message::signalling::{Reason, ToRtc},
};

use super::{
    super::signal::ToBrowser,
    {Browser, BrowserId, Call, MOST_ENDED, Output, Switchboard},
};

impl Switchboard {
    /// Handles a browser that is done.
    pub(super) fn left(&mut self, browser: BrowserId) {
        self.give_up_call(browser);
        self.browsers.remove(&browser);
    }

    /// Handles the loss of a browser's WebSocket.
    pub(super) fn lost(&mut self, browser: BrowserId) {
        if let Some(peer) = self.end_call(browser) {
            self.outputs.push_back(Output::ToRtc(ToRtc::SignallingLost { peer }));
        }
        self.browsers.remove(&browser);
    }

    /// Updates a browser's login, which has been resumed.
    pub(super) fn login_renewed(&mut self, browser: BrowserId, login: Login) {
        let Some(holder) = self.browsers.get_mut(&browser) else { return };
        holder.login = login;
        if let Call::Joined { peer, .. } = holder.call {
            self.outputs.push_back(Output::ToRtc(ToRtc::LoginRenewed { peer, login }));
        }
    }

    /// Shows a text on the pages of other logins.
    pub(super) fn tell_others(&mut self, login: LoginId, text: &Reason) {
        let others = self.browsers.iter().filter(|(_, browser)| browser.login.id != login);
        for (browser, _) in others {
            let notice = ToBrowser::Notice { text: text.clone() };
            self.outputs.push_back(Output::ToBrowser(*browser, notice));
        }
    }

    /// Ends everything that the browsers of a login have, and tells them; and the login's peers
    /// that nobody signals for.
    pub(super) fn login_ended(&mut self, login: LoginId) {
        let of = |browser: &Browser| browser.login.id == login;
        let own = self.browsers.iter().filter(|(_, browser)| of(browser)).map(|(id, _)| *id);
        for browser in own.collect::<Vec<_>>() {
            self.outputs.push_back(Output::ToBrowser(browser, ToBrowser::LoginEnded {}));
            self.outputs.push_back(Output::Dismiss(browser));
            self.left(browser);
        }
        if !self.ended.contains(&login) {
            self.ended.push_back(login);
        }
        if self.ended.len() > MOST_ENDED {
            self.ended.pop_front();
        }
        if self.linked {
            self.outputs.push_back(Output::ToRtc(ToRtc::LoginEnded { login }));
        }
    }
}
