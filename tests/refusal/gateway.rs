//! What the gateway refuses: strangers, foreign pages, and malformed messages.

use anyhow::{Context, Result};
use lumen_tests::{
    rig::{Rig, Setup},
    viewer::{Handshake, Signalling, Viewer, get, login, post},
};

/// Size of a signalling message that is too long however the limit of 64 KiB is counted.
const TOO_LONG: usize = 80 * 1024;

#[test]
fn login_with_a_wrong_token_is_refused() -> Result<()> {
    let rig = Rig::start()?;
    let reply = login(rig.address(), "wrong")?;
    assert_eq!((reply.status, reply.cookie()), (401, None));
    Ok(())
}

#[test]
fn login_guessed_often_is_told_to_wait_and_the_right_token_gets_in_all_the_same() -> Result<()> {
    let rig = Rig::start()?;
    let statuses: Vec<u16> = (0..50)
        .map(|attempt| Ok(login(rig.address(), &format!("guess-{attempt}"))?.status))
        .collect::<Result<_>>()?;
    assert!(statuses.contains(&429), "{statuses:?}");
    // From the same address, as behind a tunnel.
    assert_eq!(login(rig.address(), rig.token())?.status, 200);
    Ok(())
}

#[test]
fn login_guessed_often_through_a_proxy_slows_down_who_guesses() -> Result<()> {
    let rig = Setup::new().option("--trusted-proxy", "127.0.0.1").start()?;
    let origin = format!("http://{}", rig.address());
    let log_in = |from: &str, token: &str| -> Result<u16> {
        let body = serde_json::json!({ "token": token }).to_string();
        let headers = [("Origin", &*origin), ("X-Forwarded-For", from)];
        Ok(post(rig.address(), "/login", &headers, &body)?.status)
    };
    // Addresses that a browser puts before its proxy's do not make it somebody else.
    let guesses: Vec<u16> = (0..10)
        .map(|guess| log_in(&format!("198.51.100.{guess}, 192.0.2.7"), "guess"))
        .collect::<Result<_>>()?;
    assert!(guesses.contains(&429), "{guesses:?}");
    assert_eq!(log_in("192.0.2.8", "guess")?, 401, "another browser's mistake costs it nothing");
    assert_eq!(log_in("192.0.2.7", rig.token())?, 200);
    assert!(rig.said().contains("192.0.2.7"), "the log names the proxy instead: {}", rig.said());
    Ok(())
}

#[test]
fn login_from_a_foreign_page_is_refused() -> Result<()> {
    let rig = Rig::start()?;
    let body = serde_json::json!({ "token": rig.token() }).to_string();
    let reply = post(rig.address(), "/login", &[("Origin", "http://evil.example")], &body)?;
    assert_eq!((reply.status, reply.cookie()), (403, None));
    Ok(())
}

#[test]
fn signalling_without_a_cookie_is_refused() -> Result<()> {
    let rig = Rig::start()?;
    let error = Signalling::open(Handshake::of(rig.address())).err().context("let in")?;
    assert!(error.to_string().contains("401"), "{error}");
    Ok(())
}

#[test]
fn signalling_with_an_invented_cookie_is_refused() -> Result<()> {
    let rig = Rig::start()?;
    let handshake = Handshake::of(rig.address()).cookie("lumen=invented");
    let error = Signalling::open(handshake).err().context("let in")?;
    assert!(error.to_string().contains("401"), "{error}");
    Ok(())
}

#[test]
fn signalling_from_a_foreign_page_is_refused() -> Result<()> {
    let rig = Rig::start()?;
    let signed_in = login(rig.address(), rig.token())?.signed_in()?;
    let handshake =
        Handshake::of(rig.address()).signed_in(&signed_in).origin("http://evil.example");
    let error = Signalling::open(handshake).err().context("let in")?;
    assert!(error.to_string().contains("403"), "{error}");
    Ok(())
}

#[test]
fn cookie_is_out_of_reach_of_scripts_and_other_sites() -> Result<()> {
    let rig = Rig::start()?;
    let reply = login(rig.address(), rig.token())?;
    assert_eq!(reply.status, 200);
    let cookie = reply.header("set-cookie").context("no cookie")?;
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(cookie.contains(attribute), "no {attribute} in {cookie}");
    }
    Ok(())
}

#[test]
fn page_is_served_under_a_strict_policy() -> Result<()> {
    let rig = Rig::start()?;
    let reply = get(rig.address(), "/", &[])?;
    assert_eq!(reply.status, 200);
    let policy = reply.header("content-security-policy").context("no policy")?;
    assert!(policy.contains("default-src 'none'") || policy.contains("default-src 'self'"));
    assert!(!policy.contains("unsafe-inline") && !policy.contains("unsafe-eval"), "{policy}");
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    Ok(())
}

#[test]
fn path_outside_the_client_is_not_found() -> Result<()> {
    let rig = Rig::start()?;
    for path in ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/src/../../Cargo.toml"] {
        let reply = get(rig.address(), path, &[])?;
        assert!(matches!(reply.status, 400 | 404), "{path}: {}", reply.status);
    }
    Ok(())
}

/// Opens a signalling connection, breaks it with `breach`, and checks that it is closed while a
/// viewer who was there before goes on to get pictures.
fn breach_costs_its_sender_only(breach: impl FnOnce(&mut Signalling) -> Result<()>) -> Result<()> {
    let rig = Rig::start()?;
    let witness = Viewer::join(&rig)?;
    witness.wait_for_frame(0)?;
    let signed_in = login(rig.address(), rig.token())?.signed_in()?;
    let mut offender = Signalling::open(Handshake::of(rig.address()).signed_in(&signed_in))?;
    // The gateway may close before all of it is written; the next step shows it.
    let _ = breach(&mut offender);
    offender.wait_until_closed()?;
    witness_is_undisturbed(&rig, &witness)
}

/// A key press still changes the picture, and nothing was restarted.
pub(crate) fn witness_is_undisturbed(rig: &Rig, witness: &Viewer) -> Result<()> {
    let frames = witness.seen().frames.len();
    witness.wait_until_connected()?;
    witness.key(30, true)?;
    witness.key(30, false)?;
    witness.wait_for_frame(frames)?;
    assert_eq!(witness.seen().closed, None);
    let restarts: Vec<_> =
        rig.status()?.processes().map(|one| (one.process.kind(), one.restarts)).collect();
    assert!(restarts.iter().all(|(_, restarts)| *restarts == 0), "{restarts:?}");
    Ok(())
}

#[test]
fn signalling_message_oversized_closes_its_sender() -> Result<()> {
    breach_costs_its_sender_only(|offender| offender.send("x".repeat(TOO_LONG)))
}

#[test]
fn signalling_message_that_is_no_json_closes_its_sender() -> Result<()> {
    breach_costs_its_sender_only(|offender| offender.send("{{{"))
}

#[test]
fn signalling_message_of_unknown_type_closes_its_sender() -> Result<()> {
    breach_costs_its_sender_only(|offender| offender.send(r#"{"type":"shutdown"}"#))
}

#[test]
fn signalling_message_in_binary_closes_its_sender() -> Result<()> {
    breach_costs_its_sender_only(|offender| offender.send_binary(vec![0; 16]))
}

#[test]
fn offer_that_is_no_sdp_closes_its_sender() -> Result<()> {
    breach_costs_its_sender_only(|offender| offender.send(r#"{"type":"offer","sdp":"v=nonsense"}"#))
}
