//! Decides whether a proxy says whose each browser is: it needs a socket of its own and a user by whom it is known,
//! and accounts need to be what signs in here.

use lumen_ipc::{front_door::Listen, service::AuthMode};

use super::{
    super::{ProxyDoor, UsageError, table::Key},
    Values,
};

impl Values {
    /// The door of a proxy that vouches for accounts, if there is to be one.
    pub(in super::super) fn proxy_door(
        &self,
        auth: AuthMode,
        browsers: &Listen,
    ) -> Result<Option<ProxyDoor>, UsageError> {
        let header = self.text(Key::ProxyHeader).0.parse();
        let header = header.map_err(|error| self.bad(Key::ProxyHeader, format!("{error}")))?;
        let (socket, user) = (self.optional(Key::ProxySocket), self.optional(Key::ProxyUser));
        let (socket, user) = match (socket, user) {
            (None, None) => return Ok(None),
            (Some(_), None) => {
                let missing =
                    "needs --proxy-user too: whoever else connected there could name any account";
                return Err(self.bad(Key::ProxySocket, missing));
            }
            (None, Some(_)) => return Err(self.bad(Key::ProxyUser, "needs --proxy-socket too")),
            (Some(socket), Some(user)) => (socket, user),
        };
        if auth != AuthMode::Password {
            let wrong = "needs --auth password: accounts are checked by the same rules";
            return Err(self.bad(Key::ProxySocket, wrong));
        }
        let expected = "expected the absolute path of a socket, at most 107 bytes long";
        let listen: Listen =
            format!("unix:{socket}").parse().map_err(|_| self.bad(Key::ProxySocket, expected))?;
        if listen == *browsers {
            let same = "is the socket of --listen, where no proxy vouches for anybody; choose another path";
            return Err(self.bad(Key::ProxySocket, same));
        }
        Ok(Some(ProxyDoor { listen, user, header }))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::super::{Invocation, parse},
        *,
    };

    fn door(line: &str) -> Result<Option<ProxyDoor>, String> {
        match parse(line.split_whitespace().map(Into::into), &|_: &str| None) {
            Ok((Invocation::Serve(config), _)) => Ok(config.proxy),
            Ok((other, _)) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn proxy_is_described_by_its_socket_its_user_and_a_header() {
        let line = "serve --auth password --proxy-socket /run/web/lumen.sock --proxy-user www-data";
        let found = door(line).expect("legal").expect("a proxy");
        assert_eq!(found.path(), Some("/run/web/lumen.sock".into()));
        assert_eq!((found.user.as_str(), found.header.as_str()), ("www-data", "x-remote-user"));
        let found = door(&format!("{line} --proxy-header Remote-User")).expect("legal");
        assert_eq!(found.expect("a proxy").header.as_str(), "remote-user");
        assert_eq!(door("serve --auth password"), Ok(None));
    }

    #[test]
    fn proxy_that_cannot_be_trusted_is_refused_with_the_reason() {
        for (options, reason) in [
            ("--auth password --proxy-socket /run/a.sock", "needs --proxy-user too"),
            ("--auth password --proxy-user www-data", "needs --proxy-socket too"),
            ("--proxy-socket /run/a.sock --proxy-user www-data", "needs --auth password"),
            ("--auth password --proxy-socket a.sock --proxy-user www-data", "absolute path"),
            ("--proxy-header Cookie", "nobody but the proxy writes"),
            (
                "--auth password --listen unix:/run/a.sock --proxy-socket /run/a.sock --proxy-user w",
                "choose another path",
            ),
        ] {
            let said = door(&format!("serve {options}")).expect_err("illegal");
            assert!(said.contains(reason), "{options}: {said}");
        }
    }
}
