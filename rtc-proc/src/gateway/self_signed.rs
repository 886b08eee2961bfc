//! A certificate of the gateway's own, for a page that is reachable from elsewhere and has no other.
//!
//! Nobody vouches for it: whoever sees it first compares its fingerprint with the one that `lumen` prints.
//! It never expires, because a new one would have another fingerprint, and browsers would warn again.

use std::net::IpAddr;

use lumen_ipc::tls::{Pair, PairForm};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, date_time_ymd,
};

/// Makes a certificate for a machine with this name that listens at this address; a granted pair.
///
/// # Errors
/// When the library cannot draw a key.
pub fn make(hostname: &str, listen: Option<IpAddr>) -> Result<Vec<u8>, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    // RFC 5280, section 4.1.2.5: the end of a certificate that has no well-defined one.
    (params.not_before, params.not_after) =
        (date_time_ymd(2025, 1, 1), date_time_ymd(9999, 12, 31));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Lumen");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // A machine's name may not be a name of the DNS; then the certificate does without.
    let names = ["localhost", hostname];
    let names = names.into_iter().filter_map(|name| Some(SanType::DnsName(name.try_into().ok()?)));
    let loopback = ["127.0.0.1", "::1"].into_iter().filter_map(|address| address.parse().ok());
    let listen = listen.filter(|address| !address.is_unspecified() && !address.is_loopback());
    params.subject_alt_names =
        names.chain(loopback.chain(listen).map(SanType::IpAddress)).collect();
    let certificate = params.self_signed(&key)?;
    let secret = key.serialize_der();
    let pair = Pair { form: PairForm::Der, serial: 0, chain: certificate.der(), key: &secret };
    Ok(pair.encode())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::certificate::PageCertificate, *};

    #[test]
    fn certificate_that_is_made_can_be_used_at_once_and_in_a_thousand_years() {
        for hostname in ["desk", "not a name", "", "desk.example"] {
            let made = make(hostname, Some([192, 0, 2, 7].into())).expect("made");
            let certificate = PageCertificate::parse(&made).expect("a pair");
            for year in [2026, 3026] {
                let then = Duration::from_secs((year - 1970) * 31_557_600);
                assert_eq!(certificate.untimely(then), None);
            }
        }
    }

    #[test]
    fn certificates_of_two_machines_have_two_keys() {
        let made = || make("desk", None).expect("made");
        assert_ne!(made(), made());
    }
}
