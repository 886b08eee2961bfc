//! Findings about certificates: the page's and the relay's.

use std::{
    io,
    path::Path,
    process::{Command, Output, Stdio},
};

use super::finding::Finding;
use crate::{
    config::{PageTls, RelayTls},
    shell::certificate::PairFiles,
};

/// A certificate that expires within this time, a week, is worth a warning.
const SOON_SECONDS: &str = "604800";

/// How browsers connect, and the certificate that the administrator named.
pub(super) fn of_page(tls: &PageTls) -> Finding {
    let subject = "certificate of the page";
    match tls {
        PageTls::Off => Finding::ok(subject, "none: browsers connect by plain HTTP"),
        PageTls::Own => Finding::warn(
            subject,
            "Lumen makes one, about which browsers warn",
            "name one that browsers trust with --tls-cert and --tls-key, or --tls off behind a proxy",
        ),
        PageTls::Given { certificate, key } => {
            let advice = "name readable PEM files with --tls-cert and --tls-key";
            examine(subject, certificate, key, advice)
        }
    }
}

/// The relay's.
pub(super) fn of_relay(tls: &RelayTls) -> Finding {
    let advice = "name readable PEM files with --relay-cert and --relay-key";
    examine("relay's certificate", &tls.certificate, &tls.key, advice)
}

pub(super) fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Examines the certificate with `openssl`, because the supervisor contains no parser for it.
fn examine(subject: &str, certificate: &Path, key: &Path, advice: &'static str) -> Finding {
    if let Err(error) = PairFiles::new(certificate, key).read() {
        return Finding::missing(subject, with_cause(&error), advice);
    }
    let asked = openssl(&["x509", "-noout", "-pubkey"], certificate)
        .and_then(|public| Ok((public, openssl(&["pkey", "-pubout"], key)?)));
    let Ok((public, of_key)) = asked else {
        let advice = "install openssl for `lumen doctor` to look into it";
        return Finding::warn(subject, "readable; not examined further", advice);
    };
    if !public.status.success() || !of_key.status.success() {
        let advice = "openssl does not understand one of the two: are they PEM, and the key \
                      without a passphrase?";
        return Finding::missing(subject, certificate.display().to_string(), advice);
    }
    if public.stdout != of_key.stdout {
        let found = format!("{} is not the key of it", key.display());
        return Finding::missing(subject, found, "name the key that the certificate was made for");
    }
    lasts(subject, certificate)
}

fn lasts(subject: &str, certificate: &Path) -> Finding {
    let ends = openssl(&["x509", "-noout", "-enddate"], certificate)
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().replace("notAfter=", ""))
        .unwrap_or_default();
    let lives = |seconds| {
        openssl(&["x509", "-noout", "-checkend", seconds], certificate)
            .is_ok_and(|output| output.status.success())
    };
    if !lives("0") {
        let advice = "browsers refuse it; renew it";
        return Finding::missing(subject, format!("expired on {ends}"), advice);
    }
    if !lives(SOON_SECONDS) {
        return Finding::warn(subject, format!("expires on {ends}"), "renew it");
    }
    Finding::ok(subject, format!("{}, until {ends}", certificate.display()))
}

fn openssl(arguments: &[&str], file: &Path) -> io::Result<Output> {
    Command::new("openssl")
        .args(arguments)
        .arg("-in")
        .arg(file)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
}
