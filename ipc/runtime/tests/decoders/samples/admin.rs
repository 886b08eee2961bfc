//! Samples of the `admin` link.

use std::net::Ipv4Addr;

use lumen_ipc::{
    log::{LogLine, LogPage, LogSource},
    login::{LoginId, Revocation, SignIn, SignInMethod},
    process::Worker,
    service::{AdminRequest, AdminResponse, EndCause, Ends, SessionSummary, Watcher},
    text::Text,
    units::SessionId,
};

use super::{reply, request};

pub(super) fn admin_samples() -> Vec<Vec<u8>> {
    vec![
        request(AdminRequest::Logs {
            session: Some(SessionId(3)),
            source: Some(LogSource::Worker(Worker::Rtc)),
            after: 7,
        }),
        request(AdminRequest::Stop { session: SessionId(3) }),
        reply(AdminResponse::Logs(Ok(Some(LogPage {
            lines: vec![LogLine {
                number: 70_000,
                source: LogSource::App,
                sequence: 300,
                text: Text::truncated("a line"),
            }],
        })))),
        reply(AdminResponse::Sessions(vec![SessionSummary {
            id: SessionId(3),
            name: Text::truncated("work"),
            shares_log: true,
            owner: 1000,
            supervisor_pid: 70_000,
            age_seconds: 300,
            watchers: vec![Watcher {
                from: Ipv4Addr::LOCALHOST.into(),
                since_seconds: 300,
                pages: 2,
            }],
            ends: Some(Ends { in_seconds: 300, because: EndCause::Idle }),
        }])),
        request(AdminRequest::Revoke { which: Revocation::User(1000) }),
        request(AdminRequest::Revoke { which: Revocation::Login(LoginId(u64::MAX)) }),
        reply(AdminResponse::Revoke(Ok(3))),
        reply(AdminResponse::SignIns(vec![sign_in()])),
    ]
}

pub(super) fn sign_in() -> SignIn {
    SignIn {
        id: LoginId(7),
        session: SessionId(3),
        method: SignInMethod::Token,
        from: Ipv4Addr::LOCALHOST.into(),
        given_seconds: 300,
        used_seconds: 3,
        pages: 1,
    }
}
