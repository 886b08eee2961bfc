//! The page by TLS of its own: a certificate that Lumen makes, one that is given and replaced, and ones that
//! are wrong; and what those get who watch over Lumen.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use lumen_ipc::process::Worker;
use lumen_tests::{
    browser::Browser,
    certificate::{Certificate, fingerprint_at},
    patience::{wait_for_ok, wait_until},
    rig::{Rig, Setup},
    stage::Folder,
};

/// What curl prints, told to believe any certificate.
fn curl(arguments: &[&str]) -> Result<String> {
    let said = Command::new("curl")
        .args(["--silent", "--show-error", "--insecure"])
        .args(arguments)
        .output()
        .context("curl; `tests/install.sh test` installs it")?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    Ok(String::from_utf8(said.stdout)?)
}

#[test]
fn page_reachable_from_elsewhere_has_a_certificate_whose_fingerprint_is_printed() -> Result<()> {
    let rig = Setup::new().listen("0.0.0.0:0").start()?;
    assert!(rig.url().starts_with("https://127.0.0.1:"), "{}", rig.url());
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    page.ensure_connected_once()?;
    assert!(page.evaluate::<bool>("isSecureContext")?);
    let shown = fingerprint_at(rig.address())?;
    assert!(rig.said().contains(&shown), "{shown} is not in {}", rig.said());
    let status = String::from_utf8(rig.lumen(&["status"])?.stdout)?;
    assert!(status.contains(&format!("certificate SHA-256 {shown}")), "{status}");
    rig.kill(Worker::Gateway)?;
    wait_for_ok("the next gateway has the same certificate", || {
        let again = fingerprint_at(rig.address())?;
        ensure!(again == shown, "{again}");
        Ok(())
    })?;
    page.reload()?;
    page.wait_for_picture()
}

#[test]
fn curl_speaks_both_versions_of_http_and_is_sent_to_tls() -> Result<()> {
    let rig = Setup::new().option("--tls", "on").start()?;
    let written = "%{http_version} %{response_code} %{redirect_url}";
    let asks = |more: &[&str], url: &str| {
        let quietly = ["--output", "/dev/null", "--write-out", written];
        curl(&[&quietly[..], more, &[url]].concat())
    };
    let origin = rig.origin();
    assert_eq!(asks(&["--http2"], &origin)?, "2 200 ");
    assert_eq!(asks(&["--http1.1"], &origin)?, "1.1 200 ");
    assert_eq!(asks(&["--http1.1", "--tls-max", "1.2"], &origin)?, "1.1 200 ");
    let plain = origin.replace("https://", "http://");
    assert_eq!(asks(&[], &plain)?, format!("1.1 307 {origin}/"));
    Ok(())
}

#[test]
fn pair_that_is_wrong_ends_the_start_with_its_sentence() -> Result<()> {
    let (one, other) = (Certificate::make()?, Certificate::make()?);
    for (certificate, key, said) in [
        (one.chain(), other.key(), "the key is not that of the certificate"),
        (one.key(), one.key(), "has no certificate in PEM"),
        (one.chain(), one.chain(), "has no private key in PEM"),
        ("/nonexistent.pem", one.key(), "cannot read /nonexistent.pem"),
    ] {
        let setup = Setup::new().option("--tls-cert", certificate).option("--tls-key", key);
        let ended = setup.run_to_end()?;
        assert!(!ended.status.success() && ended.said.contains(said), "{said}: {}", ended.said);
    }
    Ok(())
}

#[test]
fn pair_that_has_expired_is_used_at_the_start_with_a_warning() -> Result<()> {
    let expired = Certificate::expired()?;
    let rig = given(expired.chain(), expired.key())?;
    assert!(rig.said().contains("the certificate has expired"), "{}", rig.said());
    assert_eq!(fingerprint_at(rig.address())?, expired.fingerprint()?);
    Ok(())
}

/// Lumen with this pair.
fn given(chain: &str, key: &str) -> Result<Rig> {
    Setup::new().option("--tls-cert", chain).option("--tls-key", key).start()
}

/// Puts a pair in the place of another, as certbot and others do: a new file takes the old one's name.
fn replace(pair: &Certificate, folder: &Path) -> Result<()> {
    for (from, name) in [(pair.chain(), "chain.pem"), (pair.key(), "key.pem")] {
        let new = folder.join(format!("{name}.new"));
        fs::copy(from, &new)?;
        fs::rename(new, folder.join(name))?;
    }
    Ok(())
}

fn shows(rig: &Rig, pair: &Certificate) -> Result<()> {
    let wanted = pair.fingerprint()?;
    wait_for_ok("the page has another certificate", || {
        let shown = fingerprint_at(rig.address())?;
        ensure!(shown == wanted, "{shown} instead of {wanted}");
        Ok(())
    })
}

#[test]
fn pair_that_is_replaced_is_used_without_a_restart_and_a_wrong_one_is_not() -> Result<()> {
    let (first, second, expired) =
        (Certificate::make()?, Certificate::make()?, Certificate::expired()?);
    let folder = Folder::new("replaced", 0o755)?;
    replace(&first, folder.path())?;
    let file = |name: &str| folder.path().join(name).display().to_string();
    let rig = given(&file("chain.pem"), &file("key.pem"))?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    shows(&rig, &first)?;
    replace(&second, folder.path())?;
    shows(&rig, &second)?;
    replace(&expired, folder.path())?;
    wait_until("the log says why it is not used", || {
        let said = rig.said();
        said.contains("is not used") && said.contains("the certificate has expired")
    })?;
    shows(&rig, &second)?;
    fs::write(folder.path().join("key.pem"), "no key")?;
    wait_until("the log says what is wrong", || rig.said().contains("has no private key in PEM"))?;
    rig.kill(Worker::Gateway)?;
    shows(&rig, &second)?;
    page.ensure_connected_once()
}

#[test]
fn those_who_watch_over_it_are_told_how_it_is() -> Result<()> {
    let folder = Folder::new("metrics", 0o755)?;
    let token = folder.path().join("token");
    fs::write(&token, "a-token-for-metrics\n")?;
    let rig = Setup::new().option("--metrics-token-file", &token.display().to_string()).start()?;
    let browser = Browser::start()?;
    let page = browser.open(rig.url())?;
    page.wait_for_picture()?;
    let url = |path: &str| format!("{}{path}", rig.origin());
    let (alive, ready, figures) = (url("/healthz"), url("/readyz"), url("/metrics"));
    assert_eq!(curl(&[alive.as_str()])?, "ok\n");
    assert_eq!(curl(&[ready.as_str()])?, "ready\n");
    let metrics = curl(&[figures.as_str()])?;
    for name in ["lumen_frames_rendered_total", "lumen_encode_seconds_count", "lumen_peers"] {
        assert!(metrics.contains(&format!("\n{name}{{session=\"1\",worker=")), "{name}: {metrics}");
    }
    assert!(!metrics.contains("A figure that is not described."), "{metrics}");
    let stranger = ["--header", "X-Forwarded-For: 192.0.2.7", "--write-out", "%{response_code}"];
    let refused = curl(&[&stranger[..], &[figures.as_str()]].concat())?;
    assert_eq!(refused, "Forbidden.\n403");
    let bearer = ["--header", "Authorization: Bearer a-token-for-metrics"];
    let shown = curl(&[&stranger[..2], &bearer, &[figures.as_str()]].concat())?;
    assert!(shown.contains("lumen_sessions 1\n"), "{shown}");
    Ok(())
}
