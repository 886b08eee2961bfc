//! What command lines mean, and why others are refused.

use lumen_ipc::{
    message::session::SessionName,
    service::{AuthMode, ResizePolicy},
};

use super::{super::audience, *};

fn parsed(line: &str) -> Result<(Invocation, Vec<Note>), UsageError> {
    parsed_with(line, &[])
}

fn parsed_with(
    line: &str,
    environment: &[(&str, &str)],
) -> Result<(Invocation, Vec<Note>), UsageError> {
    let lookup = |name: &str| {
        environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    };
    parse(line.split_whitespace().map(OsString::from), &lookup)
}

fn run(line: &str) -> RunConfig {
    let (invocation, _) = parsed(line).expect("legal");
    let Invocation::Run(config) = invocation else { panic!("not run: {invocation:?}") };
    *config
}

fn refusal(line: &str) -> String {
    parsed(line).expect_err("illegal").to_string()
}

#[test]
fn run_without_options_has_the_defaults() {
    let config = run("run");
    assert_eq!(config.host.front_door.listen.to_string(), "127.0.0.1:8080");
    assert!(config.host.front_door.trusted.is_empty() && config.host.front_door.base.is_root());
    assert_eq!(config.session.size.to_string(), "1920x1080");
    assert_eq!((config.session.fps.value(), config.session.bitrate.value()), (60, 8000));
    assert_eq!((config.session.resize, config.host.auth), (ResizePolicy::Follow, AuthMode::Token));
    assert_eq!(config.session.app, AppChoice::Demo);
    assert!(config.host.name.is_default());
}

#[test]
fn command_line_wins_over_environment() {
    let (invocation, _) =
        parsed_with("run --fps=30", &[("LUMEN_FPS", "24"), ("LUMEN_SIZE", "640x480")])
            .expect("legal");
    let Invocation::Run(config) = invocation else { panic!("not run") };
    assert_eq!(
        (config.session.fps.value(), config.session.size.to_string()),
        (30, "640x480".to_owned())
    );
}

#[test]
fn everything_after_the_dashes_is_the_app() {
    let config = run("run --fps 30 -- foot --title x");
    assert_eq!(
        config.session.app,
        AppChoice::Command(["foot", "--title", "x"].map(Into::into).into())
    );
}

#[test]
fn unknown_words_name_the_nearest_known_one() {
    assert!(refusal("run --lisen :1").contains("did you mean --listen?"));
    assert!(refusal("rnu").contains("did you mean run?"));
    assert!(refusal("restart medai").contains("did you mean media?"));
    assert!(refusal("status --fps 3").contains("belongs to `lumen run`"));
}

#[test]
fn odd_size_is_corrected_down_and_said() {
    let (invocation, notes) = parsed("run --size 1281x721").expect("legal");
    let Invocation::Run(config) = invocation else { panic!("not run") };
    assert_eq!(config.session.size.to_string(), "1280x720");
    assert!(notes[0].0.contains("1281x721"), "{notes:?}");
}

#[test]
fn impossible_values_are_refused_with_the_reason() {
    let cases = [
        ("run --size 0x720", "outside 16 to 4096"),
        ("run --size 99999999x720", "outside 16 to 4096"),
        ("run --size 3840x2880", "the largest size of this shape is 3542x2656"),
        ("run --size 4096x4096", "level 5.2"),
        ("run --size big", "WIDTHxHEIGHT"),
        ("run --fps 0", "outside 1 to 240"),
        ("run --bitrate 5", "outside 100 to 200000"),
        ("run --listen 8080", "an address and a port"),
        ("run --listen unix:web.sock", "the absolute path"),
        ("run --trusted-proxy proxy.example", "an address or a network"),
        ("run --trusted-proxy 10.0.0.1,", "an address or a network"),
        ("run --trusted-proxy 10.1.0.0/8", "10.0.0.0/8"),
        ("run --trusted-proxy 0.0.0.0/0", "every client"),
        ("run --base-path desk", "begins and ends with a slash"),
        ("run --auth maybe", "token, password or none"),
        ("run --gpu fast", "auto, off or the absolute path"),
        ("run --encoder gpu", "auto, cpu or vaapi"),
        ("run --pad n64", "switchpro or off"),
        ("run --sound loud", "on or off"),
        ("run --microphone loud", "on or off"),
        ("run --sound-bitrate 8", "16 to 510"),
        ("run --sound off --sound-bitrate 511", "16 to 510"),
        ("run --pad-grace 0", "1 to 3600"),
        ("run --login-idle 12", "such as 90m"),
        ("run --login-life 0d", "from 1s to 366d"),
        ("run --relay maybe", "on or off"),
        ("run --relay-port 70000", "a port"),
        ("run --relay-cert a.pem", "--relay-key"),
        ("run --relay-key a.pem", "--relay-cert"),
        ("run --relay-name relay.example.org", "--relay-cert"),
        ("run --relay-name a_b --relay-cert a --relay-key b", "letters, digits"),
        ("run --public-address example.org", "an IP address"),
        ("run --public-address 0.0.0.0", "of one host"),
        ("run --name a/b", "letters"),
        ("session --name 7", "a number nor a word"),
        ("session --name rtc", "a word that `lumen logs` knows"),
        ("session --host a/b", "letters"),
        ("session --listen 127.0.0.1:80", "belongs to `lumen run`, `lumen serve`"),
        ("session foot", "lumen session -- foot"),
        ("serve --fps 30", "belongs to `lumen run`, `lumen session`"),
        ("serve --auth none", "by its token"),
        ("serve -- foot", "starts no app"),
        ("run --fps", "needs a value"),
        ("status --json=1", "takes no value"),
        ("run foot", "lumen run -- foot"),
        ("run --app x -- y", "both --app"),
        ("run --", "nothing follows"),
        ("restart", "which worker"),
        ("restart media work", "lumen restart work media"),
        ("restart work gateway", "gateway is the host's and serves all sessions"),
        ("restart work medai", "did you mean media?"),
        ("restart work media now", "no use for `now`"),
        ("logs work rct", "did you mean rtc?"),
        (
            "logs work nobody",
            "those who log are lumen, app, bus, xserver, clipboard, pipewire, wireplumber",
        ),
        ("logs rtc work", "lumen logs work rtc"),
        ("logs work turn", "turn is the host's"),
        ("stop a/b", "is no name of a session"),
        ("stop 99999999999", "there is no session 99999999999"),
        ("stop rtc", "is no name of a session"),
        ("stop work now", "no use for `now`"),
        ("status work", "no use for `work`"),
    ];
    let wrong: Vec<_> = cases
        .iter()
        .map(|(line, reason)| (line, reason, refusal(line)))
        .filter(|(_, reason, said)| !said.contains(*reason))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn relay_is_on_without_tls_unless_told() {
    let relay = run("run").host.relay.expect("on");
    assert_eq!((relay.port, relay.tls), (3478, None));
    assert_eq!(run("run --relay off --relay-cert a.pem").host.relay, None);
}

#[test]
fn relay_with_a_certificate_has_tls_and_maybe_a_name() {
    let line = "run --relay-cert c.pem --relay-key k.pem --relay-name Relay.Example.org";
    let tls = run(line).host.relay.and_then(|relay| relay.tls).expect("there is a certificate");
    assert_eq!((tls.port, tls.certificate), (5349, "c.pem".into()));
    assert_eq!(tls.name.expect("named").as_str(), "relay.example.org");
}

#[test]
fn session_names_its_host_and_itself_and_takes_an_app() {
    let line = "session --host shared --name work --fps 30 -- foot -x";
    let (invocation, _) = parsed_with(line, &[("LUMEN_NAME", "other")]).expect("legal");
    let Invocation::Session(config) = invocation else { panic!("not session") };
    let name = config.name.as_ref().map(SessionName::as_str);
    assert_eq!((config.host.as_str(), name), ("shared", Some("work")));
    assert_eq!(config.app, AppChoice::Command(["foot", "-x"].map(Into::into).into()));
    let (invocation, _) = parsed_with("session", &[("LUMEN_NAME", "other")]).expect("legal");
    let Invocation::Session(config) = invocation else { panic!("not session") };
    assert_eq!((config.host.as_str(), config.name), ("other", None));
}

#[test]
fn auth_none_is_for_loopback_only() {
    assert_eq!(run("run --auth none").host.auth, AuthMode::None);
    assert!(refusal("run --auth none --listen 0.0.0.0:80").contains("own the desktop"));
}

#[test]
fn auth_none_is_not_for_those_whom_a_proxy_passes_on() {
    for line in
        ["run --auth none --trusted-proxy 127.0.0.1", "run --auth none --listen unix:/run/a.sock"]
    {
        assert!(refusal(line).contains("own the desktop"), "{line}");
    }
}

#[test]
fn media_socket_is_on_loopback_only_where_the_page_is_and_nobody_says_otherwise() {
    let local = Some("127.0.0.1".parse().expect("an address"));
    for (line, expected) in [
        ("run", local),
        ("run --listen 127.0.0.1:9", local),
        ("run --listen 0.0.0.0:9", None),
        ("run --listen unix:/run/desk.sock", None),
        ("run --trusted-proxy 127.0.0.1", None),
        ("run --public-address 203.0.113.5", None),
        ("run --udp-listen 0.0.0.0", None),
        ("run --listen 0.0.0.0:9 --udp-listen 127.0.0.1", local),
        ("run --udp-listen 192.0.2.7", "192.0.2.7".parse().ok()),
    ] {
        let RunConfig { host, session } = run(line);
        let audience = audience(&host.front_door, host.public_address);
        assert_eq!(session.udp_listen.address(audience), expected, "{line}");
    }
}

#[test]
fn front_door_behind_a_proxy_has_its_networks_and_its_path() {
    let line = "run --listen unix:/run/web.sock --trusted-proxy 127.0.0.1,2001:db8::/64 \
                --base-path /desk/";
    let door = run(line).host.front_door;
    assert_eq!(door.listen.to_string(), "unix:/run/web.sock");
    let trusted: Vec<_> = door.trusted.iter().map(ToString::to_string).collect();
    assert_eq!(trusted, ["127.0.0.1/32", "2001:db8::/64"]);
    assert_eq!(door.base.as_str(), "/desk/");
}

#[test]
fn bad_variable_is_named_in_the_error() {
    let error = parsed_with("run", &[("LUMEN_SIZE", "0x0")]).expect_err("illegal");
    assert!(error.to_string().starts_with("LUMEN_SIZE=0x0: "), "{error}");
}
