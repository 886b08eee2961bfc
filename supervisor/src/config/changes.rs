//! What has changed between the configuration of a host that runs and the one that was read anew.

use lumen_ipc::{message::login::AccountName, text::Text};

use super::HostConfig;
use crate::broker::{Lifetimes, limits::Limits};

/// What a host does about a new configuration.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    /// How long logins last, if that has changed; it takes effect at once.
    pub lifetimes: Option<Lifetimes>,
    /// How long sessions last and how many there may be, if that has changed; it takes effect at once.
    pub session_limits: Option<Limits>,
    /// The log filter, if that has changed; it takes effect at once for lumen itself, and for each worker when
    /// that is started again.
    pub log: Option<Text<128>>,
    /// The options that take effect when the host is started again: sockets are bound and workers hold them.
    pub waiting: Vec<&'static str>,
}

impl HostConfig {
    /// The changes from this configuration to `new`.
    #[must_use]
    pub fn changes_to(&self, new: &Self) -> Changes {
        let fixed = self.fixed().into_iter().zip(new.fixed());
        Changes {
            lifetimes: (self.lifetimes != new.lifetimes).then_some(new.lifetimes),
            session_limits: (self.session_limits != new.session_limits)
                .then_some(new.session_limits),
            log: (self.log != new.log).then(|| new.log.clone()),
            waiting: fixed.filter(|(old, new)| old != new).map(|((name, _), _)| name).collect(),
        }
    }

    /// The options that cannot change while the host runs, and their values as text.
    fn fixed(&self) -> [(&'static str, String); 20] {
        let Self {
            name,
            front_door,
            tls,
            tls_by_address: _,
            auth,
            sign_in,
            proxy,
            lifetimes: _,
            session_limits: _,
            metrics_token,
            public_address,
            relay,
            log: _,
            workers_dir,
        } = self;
        let relays = relay.as_ref().and_then(|relay| relay.tls.as_ref());
        let of_tls = relays.map(|tls| (&tls.certificate, &tls.key, &tls.name));
        let groups = sign_in.groups.as_slice().iter().map(AccountName::as_str);
        [
            ("name", name.to_string()),
            ("listen", front_door.listen.to_string()),
            ("trusted-proxy", format!("{:?}", front_door.trusted)),
            ("base-path", front_door.base.to_string()),
            ("tls, tls-cert, tls-key", format!("{tls:?}")),
            ("auth", format!("{auth:?}")),
            ("login-socket", sign_in.socket.display().to_string()),
            ("session-socket", sign_in.session_socket.display().to_string()),
            ("login-groups", groups.collect::<Vec<_>>().join(",")),
            ("oidc-socket, oidc-name", format!("{:?}", sign_in.provider)),
            (
                "proxy-socket, proxy-user",
                format!("{:?}", proxy.as_ref().map(|proxy| (&proxy.listen, &proxy.user))),
            ),
            ("proxy-header", format!("{:?}", proxy.as_ref().map(|proxy| &proxy.header))),
            ("metrics-token-file", format!("{metrics_token:?}")),
            ("public-address", format!("{public_address:?}")),
            ("relay", relay.is_some().to_string()),
            ("relay-port", format!("{:?}", relay.as_ref().map(|relay| relay.port))),
            ("relay-tls-port", format!("{:?}", relays.map(|tls| tls.port))),
            ("relay-cert, relay-key", format!("{:?}", of_tls.map(|(cert, key, _)| (cert, key)))),
            ("relay-name", format!("{:?}", of_tls.map(|(_, _, name)| name))),
            ("workers-dir", format!("{workers_dir:?}")),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Invocation, parse};
    use super::*;
    use crate::broker::in_use::InUse;

    fn host(line: &str) -> HostConfig {
        let line = format!("serve {line}");
        match parse(line.split_whitespace().map(Into::into), &|_: &str| None) {
            Ok((Invocation::Serve(config), _)) => *config,
            other => panic!("not serve: {other:?}"),
        }
    }

    #[test]
    fn lifetimes_limits_and_log_change_at_once_and_all_else_at_the_next_start() {
        let new = "--login-idle 1h --session-idle 30m --session-in-use new --sessions-total 9 \
                   --log debug";
        let changes = host("").changes_to(&host(new));
        let limits = changes.session_limits.expect("they have changed");
        assert_eq!((limits.idle.map(|time| time.as_secs()), limits.in_all), (Some(1800), 9));
        assert_eq!(limits.in_use, InUse::New);
        assert_eq!(changes.lifetimes.map(|times| times.idle.as_secs()), Some(3600));
        assert_eq!(changes.log.map(|log| log.as_str().to_owned()).as_deref(), Some("debug"));
        assert_eq!(changes.waiting, Vec::<&str>::new());
    }

    #[test]
    fn each_option_that_waits_for_a_restart_is_named() {
        let cases = [
            ("--listen 127.0.0.1:9", vec!["listen"]),
            ("--trusted-proxy ::1", vec!["trusted-proxy"]),
            ("--base-path /desk/", vec!["base-path"]),
            ("--auth password", vec!["auth"]),
            ("--login-socket /x", vec!["login-socket"]),
            ("--session-socket /x", vec!["session-socket"]),
            ("--login-groups staff", vec!["login-groups"]),
            (
                "--auth password --proxy-socket /p --proxy-user www-data",
                vec!["auth", "proxy-socket, proxy-user", "proxy-header"],
            ),
            ("--tls on", vec!["tls, tls-cert, tls-key"]),
            ("--metrics-token-file /t", vec!["metrics-token-file"]),
            ("--public-address 203.0.113.5", vec!["public-address"]),
            ("--relay off", vec!["relay", "relay-port"]),
            ("--relay-port 9", vec!["relay-port"]),
            ("--workers-dir /x", vec!["workers-dir"]),
            ("--name x", vec!["name"]),
            (
                "--relay-cert /c --relay-key /k --relay-name relay.example.org",
                vec!["relay-tls-port", "relay-cert, relay-key", "relay-name"],
            ),
        ];
        for (line, waiting) in cases {
            assert_eq!(host("").changes_to(&host(line)).waiting, waiting, "{line}");
        }
        assert_eq!(host("").changes_to(&host("")), Changes::default());
    }
}
