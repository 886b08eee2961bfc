//! PAM, step by step. Every failure is named in the log, and nowhere else.

use std::time::Instant;

use lumen_ipc::message::login::{AccountName, Trust};
use pam_client2::{Context, ErrorCode, Flag};
use tracing::{info, warn};

use super::{
    account::{self, Account},
    ffi,
    talk::{Silence, Talk},
};
use crate::{
    accounts::Rules,
    attempt::{Attempt, Outcome, Step},
    environment::KIND,
};

/// What PAM's modules see in place of a terminal.
const TTY: &str = "lumen";

/// One attempt, with PAM's handle.
pub(super) struct Pam {
    pub(super) context: Context<Talk>,
    rhost: String,
}

/// Who wants to sign in.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) account: AccountName,
    pub(super) rhost: String,
    pub(super) trust: Trust,
    /// Whose members may.
    pub(super) groups: Vec<AccountName>,
}

impl Pam {
    /// Begins.
    pub(super) fn start(
        service: &str,
        candidate: &Candidate,
        talk: Talk,
    ) -> pam_client2::Result<Self> {
        let mut context = Context::new(service, Some(candidate.account.as_str()), talk)?;
        context.set_rhost(Some(&candidate.rhost))?;
        context.set_tty(Some(TTY))?;
        ffi::without_delay(&mut context)?;
        for variable in KIND {
            context.putenv(variable)?;
        }
        Ok(Self { context, rhost: candidate.rhost.clone() })
    }

    /// Takes all steps; returns the account if it is accepted.
    pub(super) fn sign_in(&mut self, candidate: &Candidate) -> Option<Account> {
        let mut attempt = Attempt::new(candidate.trust);
        let mut found = None;
        loop {
            let outcome = match attempt.step() {
                Step::Authenticate => self.authenticate(),
                Step::CheckAccount => self.check_account(),
                Step::ChangePassword => self.change_password(),
                Step::Admit => match self.admit(&candidate.groups) {
                    Some(account) => {
                        found = Some(account);
                        Outcome::Done
                    }
                    None => Outcome::Failed,
                },
                Step::Accept => return found,
                Step::Refuse => return None,
            };
            // Nobody is there any more: nothing more is tried, whatever the module made of it.
            let silence = self.context.conversation().silence();
            attempt.took(if silence.is_some() { Outcome::Failed } else { outcome });
        }
    }

    fn authenticate(&mut self) -> Outcome {
        // An account without a password is open to whoever stands before the machine, not to the network.
        match self.context.authenticate(Flag::DISALLOW_NULL_AUTHTOK) {
            Ok(()) => Outcome::Done,
            Err(error) => self.failed("authenticate", &error),
        }
    }

    fn check_account(&mut self) -> Outcome {
        match self.context.acct_mgmt(Flag::DISALLOW_NULL_AUTHTOK) {
            Ok(()) => Outcome::Done,
            Err(error) if error.code() == ErrorCode::NEW_AUTHTOK_REQD => {
                info!(account = self.known_name(), "the password has expired");
                Outcome::PasswordExpired
            }
            Err(error) => self.failed("check the account", &error),
        }
    }

    fn change_password(&mut self) -> Outcome {
        let Err(error) = self.context.chauthtok(Flag::CHANGE_EXPIRED_AUTHTOK) else {
            info!(account = self.known_name(), "the expired password was changed");
            return Outcome::Done;
        };
        let outcome = self.failed("change the expired password", &error);
        match error.code() {
            // The library shows codes that it does not know, PAM_TRY_AGAIN among them, as ABORT.
            ErrorCode::ABORT
            | ErrorCode::AUTHTOK_ERR
            | ErrorCode::AUTHTOK_RECOVERY_ERR
            | ErrorCode::MAXTRIES => Outcome::NotTaken,
            _ => outcome,
        }
    }

    fn admit(&self, groups: &[AccountName]) -> Option<Account> {
        let refused = |reason: &dyn std::fmt::Display| {
            warn!(account = self.known_name(), rhost = self.rhost, %reason, "the account is not admitted");
        };
        // A module may have put another name in place of the one that was typed.
        let name = self.context.user().inspect_err(|error| refused(error)).ok()?;
        let found = Account::of(&name).inspect_err(|error| refused(error)).ok()?;
        let names: Vec<&str> = groups.iter().map(AccountName::as_str).collect();
        let rules: Rules = account::rules(&names).inspect_err(|error| refused(error)).ok()?;
        rules.admit(&found.facts()).inspect_err(|error| refused(error)).ok()?;
        Some(found)
    }

    fn failed(&self, what: &str, error: &pam_client2::Error) -> Outcome {
        let (account, rhost, code) = (self.known_name(), self.rhost.as_str(), error.code());
        match self.context.conversation().silence() {
            Some(Silence::Gone) => info!(account, rhost, "the attempt was given up"),
            Some(Silence::TooSlow) => info!(account, rhost, "the attempt took too long"),
            _ => warn!(account, rhost, ?code, %error, "PAM refuses to {what}"),
        }
        Outcome::Failed
    }

    /// The account's name, if there is such an account: people type passwords into the wrong field.
    fn known_name(&self) -> String {
        let known = self.context.user().ok().and_then(|name| Account::of(&name).ok());
        known.map_or_else(|| "(unknown)".to_owned(), |account| account.person.name)
    }

    /// When a refusal is answered.
    pub(super) fn refusal_at(&self) -> Instant {
        self.context.conversation().pace.refusal_at(Instant::now())
    }
}
