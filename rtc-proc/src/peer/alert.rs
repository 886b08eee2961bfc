//! Reads from a datagram the alert with which a browser ends the DTLS handshake, because the
//! implementation reports only that there was one.

use std::fmt;

/// Content type of alerts, level `fatal`, and `handshake_failure`: the two sides support nothing in
/// common (RFC 5246, sections 6.2.1 and 7.2).
const ALERT: u8 = 21;
const FATAL: u8 = 2;
const HANDSHAKE_FAILURE: u8 = 40;

/// Bytes of a record's header (RFC 6347, section 4.1).
const HEADER: usize = 13;

/// The alert with which the other side ended a handshake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FatalAlert {
    description: u8,
}

impl FatalAlert {
    /// The first unencrypted alert in `datagram`, if there is one. It is not authenticated.
    #[must_use]
    pub fn in_clear(datagram: &[u8]) -> Option<Self> {
        let mut rest = datagram;
        loop {
            let (header, behind) = rest.split_first_chunk::<HEADER>()?;
            let [kind, 0xfe, _, epoch_high, epoch_low, .., high, low] = *header else {
                return None;
            };
            let (content, next) =
                behind.split_at_checked(u16::from_be_bytes([high, low]).into())?;
            match (kind, [epoch_high, epoch_low], content) {
                (ALERT, [0, 0], [FATAL, description]) => {
                    return Some(Self { description: *description });
                }
                _ => rest = next,
            }
        }
    }
}

impl fmt::Display for FatalAlert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "with DTLS alert {}", self.description)?;
        if self.description == HANDSHAKE_FAILURE {
            // The implementation accepts only ECDSA signatures, from either side.
            f.write_str(
                ": its certificate must have an ECDSA key (P-256 or P-384); RSA keys are not supported",
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u8, epoch: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).expect("short");
        [&[kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 1, 0, length], content].concat()
    }

    fn said(datagram: &[u8]) -> Option<String> {
        FatalAlert::in_clear(datagram).map(|alert| alert.to_string())
    }

    #[test]
    fn alert_of_a_failed_handshake_says_which_keys_are_taken() {
        let alert = record(ALERT, 0, &[FATAL, HANDSHAKE_FAILURE]);
        assert!(said(&alert).expect("an alert").contains("ECDSA"));
        // It follows a handshake record, which has type 22; 51 is decrypt_error.
        let later = [record(22, 0, &[1, 2, 3]), record(ALERT, 0, &[FATAL, 51])].concat();
        assert_eq!(said(&later).as_deref(), Some("with DTLS alert 51"));
    }

    #[test]
    fn alert_that_is_a_warning_or_encrypted_or_cut_is_none() {
        // A warning has level 1.
        assert_eq!(said(&record(ALERT, 0, &[1, HANDSHAKE_FAILURE])), None);
        assert_eq!(said(&record(ALERT, 1, &[FATAL, HANDSHAKE_FAILURE])), None);
        assert_eq!(said(&record(22, 0, &[FATAL, HANDSHAKE_FAILURE])), None);
        let alert = record(ALERT, 0, &[FATAL, HANDSHAKE_FAILURE]);
        assert!((0..alert.len()).all(|cut| said(&alert[..cut]).is_none()));
    }

    proptest! {
        #[test]
        fn alert_in_any_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = FatalAlert::in_clear(&bytes);
        }
    }
}
