//! The order of an attempt to sign in: which step comes next, and when the account is accepted. Pure; the shell
//! carries out the steps.
//!
//! INVARIANT: an account is accepted only after it was authenticated, unless somebody has vouched for it; after
//! PAM has said that it may be used, with no change of the password outstanding; and after our own rules have
//! admitted it. A step that fails ends the attempt.

use lumen_ipc::message::login::Trust;

/// How often a new password is asked for in place of an expired one.
const MOST_CHANGES: u32 = 3;

/// One step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Ask for the password and other factors.
    Authenticate,
    /// Ask PAM whether the account may be used.
    CheckAccount,
    /// Have an expired password changed.
    ChangePassword,
    /// Compare the account with our own rules.
    Admit,
    /// Nothing is left to do: the account is accepted.
    Accept,
    /// The attempt has failed.
    Refuse,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It succeeded.
    Done,
    /// It failed.
    Failed,
    /// The account may be used once its password has been changed; of [`Step::CheckAccount`].
    PasswordExpired,
    /// The new password was not taken, for example because it is too simple; of [`Step::ChangePassword`].
    NotTaken,
}

/// An attempt.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    step: Step,
    changes: u32,
}

impl Attempt {
    /// An attempt that begins.
    #[must_use]
    pub const fn new(trust: Trust) -> Self {
        let step = match trust {
            Trust::Authenticate => Step::Authenticate,
            Trust::Vouched => Step::CheckAccount,
        };
        Self { step, changes: 0 }
    }

    /// What to do.
    #[must_use]
    pub const fn step(self) -> Step {
        self.step
    }

    /// The step was carried out.
    pub const fn took(&mut self, outcome: Outcome) {
        self.step = match (self.step, outcome) {
            (Step::Authenticate, Outcome::Done) => Step::CheckAccount,
            (Step::CheckAccount, Outcome::Done) => Step::Admit,
            (Step::CheckAccount, Outcome::PasswordExpired)
            | (Step::ChangePassword, Outcome::NotTaken)
                if self.changes < MOST_CHANGES =>
            {
                self.changes += 1;
                Step::ChangePassword
            }
            // PAM is asked once more: that a password was changed does not mean that it is a good one.
            (Step::ChangePassword, Outcome::Done) => Step::CheckAccount,
            (Step::Admit | Step::Accept, Outcome::Done) => Step::Accept,
            _ => Step::Refuse,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(trust: Trust, outcomes: &[Outcome]) -> Step {
        let mut attempt = Attempt::new(trust);
        for outcome in outcomes {
            attempt.took(*outcome);
        }
        attempt.step()
    }

    #[test]
    fn right_password_of_an_account_in_order_is_accepted_after_both_checks() {
        use Outcome::Done;
        assert_eq!(after(Trust::Authenticate, &[]), Step::Authenticate);
        assert_eq!(after(Trust::Authenticate, &[Done]), Step::CheckAccount);
        assert_eq!(after(Trust::Authenticate, &[Done, Done]), Step::Admit);
        assert_eq!(after(Trust::Authenticate, &[Done, Done, Done]), Step::Accept);
    }

    #[test]
    fn vouched_account_is_checked_all_the_same() {
        use Outcome::{Done, Failed};
        assert_eq!(after(Trust::Vouched, &[]), Step::CheckAccount);
        assert_eq!(after(Trust::Vouched, &[Done]), Step::Admit);
        assert_eq!(after(Trust::Vouched, &[Failed]), Step::Refuse);
    }

    #[test]
    fn expired_password_is_changed_in_three_tries_and_the_account_is_checked_again() {
        use Outcome::{Done, NotTaken, PasswordExpired};
        let expired = [Done, PasswordExpired];
        let then = |rest: &[Outcome]| after(Trust::Authenticate, &[&expired[..], rest].concat());
        assert_eq!(then(&[]), Step::ChangePassword);
        assert_eq!(then(&[Done]), Step::CheckAccount);
        assert_eq!(then(&[NotTaken, NotTaken]), Step::ChangePassword);
        assert_eq!(then(&[NotTaken, NotTaken, NotTaken]), Step::Refuse);
        let still = [Done, PasswordExpired, Done, PasswordExpired, Done, PasswordExpired];
        assert_eq!(
            then(&still),
            Step::Refuse,
            "a change that changes nothing is not tried for ever"
        );
    }

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Done),
            Just(Outcome::Failed),
            Just(Outcome::PasswordExpired),
            Just(Outcome::NotTaken),
        ]
    }

    proptest! {
        #[test]
        fn accepted_account_has_passed_every_step_and_every_attempt_ends(
            vouched: bool,
            outcomes in prop::collection::vec(any_outcome(), 0..40),
        ) {
            let trust = if vouched { Trust::Vouched } else { Trust::Authenticate };
            let mut attempt = Attempt::new(trust);
            let mut passed = Vec::new();
            for outcome in outcomes {
                let step = attempt.step();
                if outcome == Outcome::Done {
                    passed.push(step);
                }
                attempt.took(outcome);
                if matches!(step, Step::Refuse) {
                    prop_assert_eq!(attempt.step(), Step::Refuse, "a refusal is for good");
                }
                if attempt.step() == Step::Accept {
                    prop_assert!(vouched || passed.contains(&Step::Authenticate));
                    let checked = passed.iter().rposition(|step| *step == Step::CheckAccount);
                    let changed = passed.iter().rposition(|step| *step == Step::ChangePassword);
                    prop_assert!(checked.is_some() && checked > changed, "{:?}", passed);
                    prop_assert!(passed.contains(&Step::Admit));
                }
            }
            // Whatever PAM goes on saying, the attempt is over after a bounded number of steps.
            for outcome in [Outcome::PasswordExpired, Outcome::Done].into_iter().cycle().take(12) {
                attempt.took(outcome);
            }
            prop_assert!(matches!(attempt.step(), Step::Accept | Step::Refuse));
        }
    }
}
