//! Samples of the messages of an attempt to sign in, also by an identity provider, and of an account's login session.

use lumen_ipc::{
    message::{
        login::{
            AccountName, AppEnd, AppNumber, Command, Denial, DisplayName, Given, List, LoginHash,
            Prompt, Style, ToLeader, ToSupervisor, Trust,
        },
        oidc::{FromOidc, OidcFailure, OidcHash, ToOidc},
    },
    text::{Secret, Text},
};

fn account() -> AccountName {
    AccountName::new("alice").expect("legal")
}

pub(super) fn login_samples() -> Vec<ToLeader> {
    let begin = |trust, groups: &[&str]| ToLeader::Begin {
        // The real hash would change this seed with every change of the sources.
        form: LoginHash(300),
        account: account(),
        rhost: Text::truncated("2001:db8::7"),
        trust,
        groups: List::new(
            groups.iter().map(|name| AccountName::new(name).expect("legal")).collect(),
        )
        .expect("few"),
    };
    let answers = ["password", ""].map(|answer| Secret::new(answer).expect("short"));
    let words = ["foot", "-e", "sh"].map(Text::truncated).to_vec();
    let variables = vec![(Text::truncated("LANG"), Text::truncated("de_DE.UTF-8"))];
    let command = Command {
        words: List::new(words).expect("few"),
        variables: List::new(variables).expect("few"),
    };
    vec![
        begin(Trust::Authenticate, &[]),
        begin(Trust::Vouched, &["staff", "lumen-users"]),
        ToLeader::Answers(List::new(answers.to_vec()).expect("few")),
        ToLeader::Open { display: DisplayName::new("wayland-lumen-3").expect("legal") },
        ToLeader::Start { app: AppNumber(300), command: command.clone(), given: Given::default() },
        ToLeader::Start { app: AppNumber(1), command, given: Given::new(2, true).expect("few") },
        ToLeader::End { app: AppNumber(300), now: true },
    ]
}

pub(super) fn login_back_samples() -> Vec<ToSupervisor> {
    let refused = |why| ToSupervisor::Refused { why };
    let styles = [Style::Error, Style::Info, Style::Secret, Style::Visible];
    let prompts = styles.map(|style| Prompt { style, text: Text::truncated("Password: ") });
    let ended = |end| ToSupervisor::Ended { app: AppNumber(300), end };
    vec![
        refused(Denial::Denied),
        refused(Denial::OtherBuild),
        refused(Denial::TooSlow),
        ToSupervisor::Said(List::new(prompts.to_vec()).expect("few")),
        ToSupervisor::Accepted { account: account(), uid: 1000 },
        ToSupervisor::NotOpened,
        ToSupervisor::Opened { runtime_dir: Text::truncated("/run/user/1000") },
        ToSupervisor::Started { app: AppNumber(300), pid: 4711 },
        ended(AppEnd::Code(3)),
        ended(AppEnd::NotStarted),
        ended(AppEnd::Signal(9)),
    ]
}

pub(super) fn oidc_samples() -> Vec<ToOidc> {
    vec![
        ToOidc::Begin {
            // As above.
            form: OidcHash(300),
            callback: Text::truncated("https://desk.example.org/"),
        },
        ToOidc::Returned { query: Text::truncated("code=x&state=x") },
    ]
}

pub(super) fn oidc_back_samples() -> Vec<FromOidc> {
    let failures = [
        OidcFailure::OtherBuild,
        OidcFailure::Unreachable,
        OidcFailure::Settings,
        OidcFailure::Refused,
        OidcFailure::NotOurs,
        OidcFailure::Invalid,
        OidcFailure::NoAccount,
        OidcFailure::TooSlow,
    ];
    let others = [
        FromOidc::Visit { url: Text::truncated("https://id.example.org/auth?state=x") },
        FromOidc::Is { account: account() },
    ];
    failures.map(|reason| FromOidc::Failed { reason }).into_iter().chain(others).collect()
}
