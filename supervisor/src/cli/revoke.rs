//! `lumen revoke`: ends sign-ins.

use lumen_ipc::{
    login::{Revocation, SignIn},
    process::ExitCode,
    text::counted,
};
use nix::unistd::User;
use tarpc::context;

use super::{
    client::{self, AdminError},
    output,
    sessions::Sessions,
};
use crate::{
    broker::audit::login_number,
    config::{InstanceName, SignInDigits, SignInOperand},
};

pub(super) fn run(name: &InstanceName, which: &SignInOperand) -> Result<ExitCode, AdminError> {
    client::with(name, async |admin| {
        let which = match which {
            SignInOperand::Number(digits) => {
                numbered(&admin.sign_ins(context::current()).await?, digits)?
            }
            SignInOperand::Session(session) => {
                let sessions = Sessions::of(&admin).await?;
                let meant = sessions.meant(Some(session), "lumen revoke session SESSION")?;
                Revocation::Session(meant.id)
            }
            SignInOperand::User(user) => Revocation::User(uid_of(user)?),
        };
        let count = admin.revoke(context::current(), which).await??;
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        Ok(output::print(&format!("{} ended\n", counted(count, "sign-in"))))
    })
}

/// The sign-in whose number begins with these digits.
fn numbered(all: &[SignIn], digits: &SignInDigits) -> Result<Revocation, AdminError> {
    let begins = |sign_in: &&SignIn| login_number(sign_in.id).starts_with(digits.as_str());
    let meant: Vec<&SignIn> = all.iter().filter(begins).collect();
    let digits = digits.as_str();
    match meant.as_slice() {
        [one] => Ok(Revocation::Login(one.id)),
        [] => Err(AdminError::Unknown(format!(
            "no sign-in's number begins with {digits}; `lumen users` shows those that there are"
        ))),
        several => {
            let numbers: Vec<String> =
                several.iter().map(|sign_in| login_number(sign_in.id)).collect();
            Err(AdminError::Unknown(format!(
                "which sign-in? {} begin with {digits}",
                numbers.join(", ")
            )))
        }
    }
}

fn uid_of(user: &str) -> Result<u32, AdminError> {
    if let Ok(uid) = user.parse() {
        return Ok(uid);
    }
    let found = User::from_name(user).ok().flatten();
    let unknown = || AdminError::Unknown(format!("this machine has no user {user}"));
    found.map(|user| user.uid.as_raw()).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use lumen_ipc::{
        login::{LoginId, SignInMethod},
        units::SessionId,
    };

    use super::*;

    #[test]
    fn number_is_found_by_its_first_digits_if_these_are_only_its_own() {
        let sign_in = |id| SignIn {
            id: LoginId(id),
            session: SessionId(1),
            method: SignInMethod::Token,
            from: [192, 0, 2, 7].into(),
            given_seconds: 0,
            used_seconds: 0,
            pages: 0,
        };
        let all =
            [0x3f1c_0000_0000_0001, 0x3f1c_0000_0000_0002, 0x0123_4000_0000_0000].map(sign_in);
        let find = |digits: &str| {
            let digits = SignInDigits::new(digits).expect("digits");
            numbered(&all, &digits).map_err(|error| error.to_string())
        };
        assert_eq!(find("0123"), Ok(Revocation::Login(LoginId(0x0123_4000_0000_0000))));
        assert_eq!(find("3f1c000000000002"), Ok(Revocation::Login(LoginId(0x3f1c_0000_0000_0002))));
        let several = find("3f1c").expect_err("two");
        assert!(several.contains("3f1c000000000001, 3f1c000000000002"), "{several}");
        assert!(find("ffff").expect_err("none").contains("`lumen users`"));
    }
}
