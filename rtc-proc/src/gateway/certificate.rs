//! The page's certificate: whether a granted pair can be used, and for how long it is good.
//!
//! The pair is the administrator's, so it is not hostile; but it may be wrong in every way that files can
//! be, and each of these has a sentence of its own. This process has to parse it: the supervisor parses
//! nothing, and whoever answers for the page signs with the key.

use std::{sync::Arc, time::Duration};

use lumen_ipc::tls::{NotAPair, Pair, PairForm};
use rustls::{
    Error as TlsError, InconsistentKeys,
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use x509_cert::{Certificate as Parsed, der::Decode};

/// Why a pair cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The bytes are not a pair.
    #[error(transparent)]
    NotAPair(#[from] NotAPair),
    /// The certificate file is not PEM, or has no certificate.
    #[error("the certificate is not PEM: {0}")]
    Certificate(pem::Error),
    /// The key file is not PEM, or has no key.
    #[error("the key is not PEM: {0}")]
    Key(pem::Error),
    /// The key is another certificate's.
    #[error("the key is not that of the certificate")]
    OtherKey,
    /// TLS cannot use it.
    #[error("TLS cannot use the certificate with this key: {0}")]
    Unusable(TlsError),
    /// It is not a certificate.
    #[error("part {number} of the certificate file is not a certificate: {reason}")]
    Unreadable {
        /// Which one, from 1.
        number: usize,
        /// Why.
        reason: String,
    },
    /// It is out of its time, and the present one is not.
    #[error("{0}, and the present one is good")]
    Untimely(Untimely),
}

/// A certificate that browsers refuse because of its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Untimely {
    /// Its time is over.
    #[error("the certificate has expired {0} ago")]
    Expired(Ago),
    /// Its time has not begun.
    #[error("the certificate begins to be valid only in {0}; is the clock of this machine right?")]
    Early(Ago),
}

/// A length of time for people: in the largest unit that it fills.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ago(Duration);

impl std::fmt::Display for Ago {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.0.as_secs();
        let (count, unit) = match (seconds / 86_400, seconds / 3600, seconds / 60) {
            (days @ 1.., _, _) => (days, "day"),
            (0, hours @ 1.., _) => (hours, "hour"),
            (0, 0, minutes) => (minutes, "minute"),
        };
        let ending = if count == 1 { "" } else { "s" };
        write!(f, "{count} {unit}{ending}")
    }
}

/// A certificate with its key, ready for TLS.
#[derive(Clone, Debug)]
pub struct PageCertificate {
    /// For the handshake.
    pub key: Arc<CertifiedKey>,
    /// Its number.
    pub serial: u32,
    /// From when to when it is valid, since 1970.
    valid: (Duration, Duration),
}

impl PageCertificate {
    /// Parses a granted pair.
    ///
    /// # Errors
    /// [`CertificateError`] is a sentence for the administrator.
    pub fn parse(granted: &[u8]) -> Result<Self, CertificateError> {
        let Pair { form, serial, chain, key } = Pair::decode(granted)?;
        let (chain, key) = match form {
            PairForm::Der => {
                let key = PrivatePkcs8KeyDer::from(key.to_vec());
                (vec![CertificateDer::from(chain.to_vec())], PrivateKeyDer::from(key))
            }
            PairForm::Pem => {
                let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
                    .collect::<Result<_, _>>()
                    .map_err(CertificateError::Certificate)?;
                if chain.is_empty() {
                    return Err(CertificateError::Certificate(pem::Error::NoItemsFound));
                }
                (chain, PrivateKeyDer::from_pem_slice(key).map_err(CertificateError::Key)?)
            }
        };
        let mut valid = None;
        for (number, part) in (1..).zip(&chain) {
            let parsed = Parsed::from_der(part).map_err(|error| CertificateError::Unreadable {
                number,
                reason: error.to_string(),
            })?;
            // Only the first one is the page's own.
            valid.get_or_insert_with(|| {
                let times = parsed.tbs_certificate().validity();
                (times.not_before.to_unix_duration(), times.not_after.to_unix_duration())
            });
        }
        let valid = valid.ok_or(CertificateError::Certificate(pem::Error::NoItemsFound))?;
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(
            |error| match error {
                TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    CertificateError::OtherKey
                }
                other => CertificateError::Unusable(other),
            },
        )?;
        Ok(Self { key: Arc::new(key), serial, valid })
    }

    /// Why browsers refuse it at this time since 1970, if they do.
    #[must_use]
    pub fn untimely(&self, now: Duration) -> Option<Untimely> {
        let (from, until) = self.valid;
        match (from.checked_sub(now), now.checked_sub(until)) {
            (_, Some(ago)) if !ago.is_zero() => Some(Untimely::Expired(Ago(ago))),
            (Some(early), _) if !early.is_zero() => Some(Untimely::Early(Ago(early))),
            _ => None,
        }
    }

    /// Judges a pair that is to replace this one: it must not be worse.
    ///
    /// # Errors
    /// [`CertificateError`] when it cannot be used, or is out of its time while this one is not.
    pub fn replaced_by(&self, granted: &[u8], now: Duration) -> Result<Self, CertificateError> {
        let next = Self::parse(granted)?;
        match next.untimely(now).filter(|_| self.untimely(now).is_none()) {
            Some(untimely) => Err(CertificateError::Untimely(untimely)),
            None => Ok(next),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// The first second of 2030.
    const NOW: Duration = Duration::from_secs(1_893_456_000);

    /// A certificate of these years and its key, in PEM.
    fn pem_pair(years: (i32, i32)) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(["desk.example".to_owned()]).expect("a name");
        params.not_before = date_time_ymd(years.0, 1, 1);
        params.not_after = date_time_ymd(years.1, 1, 1);
        let certificate = params.self_signed(&key).expect("signed");
        let pem = |label: &str, der: &[u8]| {
            let text = base64(der);
            format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
        };
        (pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", &key.serialize_der()))
    }

    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let lines = bytes.chunks(48).map(|line| {
            let groups = line.chunks(3).map(|group| {
                let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
                let bits = bits << (8 * (3 - group.len()));
                let digit = |at: usize| char::from(DIGITS[(bits >> (18 - 6 * at)) as usize & 63]);
                let digits = (0..4).map(|at| if at <= group.len() { digit(at) } else { '=' });
                digits.collect::<String>()
            });
            groups.collect::<String>()
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    fn granted(chain: &str, key: &str) -> Vec<u8> {
        let (chain, key) = (chain.as_bytes(), key.as_bytes());
        Pair { form: PairForm::Pem, serial: 7, chain, key }.encode()
    }

    #[test]
    fn parse_says_what_is_wrong_with_a_pair() {
        let (chain, key) = pem_pair((2029, 2031));
        let (_, other) = pem_pair((2029, 2031));
        let broken = chain.replace('M', "!");
        let no_certificate = chain.replace("MII", "AAA");
        let text = "-----BEGIN CERTIFICATE-----\nAAAA\n";
        for (chain, key, said) in [
            (&*chain, &*other, "the key is not that of the certificate"),
            (&*broken, &*key, "the certificate is not PEM"),
            (text, &*key, "the certificate is not PEM"),
            ("no PEM", &*key, "the certificate is not PEM"),
            (&*chain, "no PEM", "the key is not PEM"),
            (&*chain, &*chain, "the key is not PEM"),
            (&*no_certificate, &*key, "part 1 of the certificate file is not a certificate"),
            (
                &*format!("{chain}{no_certificate}"),
                &*key,
                "part 2 of the certificate file is not a certificate",
            ),
        ] {
            let error = PageCertificate::parse(&granted(chain, key)).expect_err(said).to_string();
            assert!(error.contains(said), "{error} instead of {said}");
        }
        assert!(PageCertificate::parse(b"").is_err());
        let both = PageCertificate::parse(&granted(&format!("{chain}{chain}"), &key));
        let both = both.expect("a chain");
        assert_eq!((both.key.cert.len(), both.serial), (2, 7));
    }

    #[test]
    fn untimely_is_a_certificate_before_or_after_its_time() {
        let at = |years| {
            let (chain, key) = pem_pair(years);
            let certificate = PageCertificate::parse(&granted(&chain, &key)).expect("a pair");
            certificate.untimely(NOW).map(|untimely| untimely.to_string()).unwrap_or_default()
        };
        assert_eq!(at((2029, 2031)), "");
        assert_eq!(at((2029, 2030)), "", "the last second counts");
        assert!(at((2028, 2029)).contains("expired 365 days ago"), "{}", at((2028, 2029)));
        assert!(at((2031, 2032)).contains("only in 365 days"), "{}", at((2031, 2032)));
    }

    #[test]
    fn replaced_by_an_expired_pair_only_where_the_present_one_is_no_better() {
        let pair = |years| {
            let (chain, key) = pem_pair(years);
            granted(&chain, &key)
        };
        let good = PageCertificate::parse(&pair((2029, 2031))).expect("a pair");
        let expired = PageCertificate::parse(&pair((2027, 2028))).expect("a pair");
        let error = good.replaced_by(&pair((2028, 2029)), NOW).expect_err("expired").to_string();
        assert!(error.contains("has expired"), "{error}");
        assert!(good.replaced_by(&pair((2031, 2032)), NOW).is_err(), "not valid yet");
        assert!(good.replaced_by(&pair((2029, 2032)), NOW).is_ok());
        assert!(expired.replaced_by(&pair((2028, 2029)), NOW).is_ok());
    }

    #[test]
    fn ago_is_in_the_largest_unit() {
        let shown = [59, 60, 3600, 86_400 * 2].map(|seconds| Ago(Duration::from_secs(seconds)));
        assert_eq!(shown.map(|ago| ago.to_string()), ["0 minutes", "1 minute", "1 hour", "2 days"]);
    }
}
