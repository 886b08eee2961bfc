//! A cryptography library that hides and proves nothing: a handshake of two datagrams, and packets that are
//! sent as they are. With it a fuzzer can say what a hostile browser can say after an honest handshake, and
//! a connection costs next to nothing.
//!
//! A datagram of DTLS is a byte of kind, which is a content type of DTLS, and the content. A packet of SRTP
//! or SRTCP has zeroes where the tag belongs.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use str0m::{
    config::{CryptoProvider, DtlsCert, DtlsVersion, KeyingMaterial},
    crypto::{
        AeadAes256GcmCipher, CryptoError, SrtpProvider, SupportedAeadAes128Gcm,
        SupportedAeadAes256Gcm, SupportedAes128CmSha1_80,
        dtls::{
            DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion, SrtpProfile,
        },
        from_feature_flags,
    },
};

/// Content types of DTLS (RFC 6347, section 4.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// The authentication tag of AES in Galois/Counter mode, and of the keys of both sides together.
const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 2 * (32 + 12);

/// The provider.
pub(crate) fn provider() -> CryptoProvider {
    CryptoProvider { srtp_provider: &Plain, dtls_provider: &Plain, ..from_feature_flags() }
}

/// What a datagram says to the layer above DTLS; `None` if that is nothing.
pub(crate) fn application_data(datagram: &[u8]) -> Option<&[u8]> {
    datagram.strip_prefix(&[APPLICATION_DATA])
}

/// A datagram that says this to the layer above DTLS.
pub(crate) fn with_application_data(data: &[u8]) -> Vec<u8> {
    [&[APPLICATION_DATA], data].concat()
}

/// A packet of SRTP with this content.
pub(crate) fn srtp(packet: &[u8]) -> Vec<u8> {
    [packet, &[0; TAG_BYTES]].concat()
}

/// A packet of SRTCP with this content, which claims to be encrypted (RFC 7714, section 9.2).
pub(crate) fn srtcp(packet: &[u8], index: u32) -> Vec<u8> {
    [packet, &[0; TAG_BYTES], &(index | 1 << 31).to_be_bytes()].concat()
}

#[derive(Debug)]
struct Plain;

impl SrtpProvider for Plain {
    fn aes_128_cm_sha1_80(&self) -> &'static dyn SupportedAes128CmSha1_80 {
        from_feature_flags().srtp_provider.aes_128_cm_sha1_80()
    }

    fn aead_aes_128_gcm(&self) -> &'static dyn SupportedAeadAes128Gcm {
        from_feature_flags().srtp_provider.aead_aes_128_gcm()
    }

    fn aead_aes_256_gcm(&self) -> &'static dyn SupportedAeadAes256Gcm {
        &Self
    }

    fn srtp_aes_128_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        from_feature_flags().srtp_provider.srtp_aes_128_ecb_round(key, input, output);
    }

    fn srtp_aes_256_ecb_round(&self, key: &[u8], input: &[u8], output: &mut [u8]) {
        from_feature_flags().srtp_provider.srtp_aes_256_ecb_round(key, input, output);
    }
}

impl SupportedAeadAes256Gcm for Plain {
    fn create_cipher(&self, _: [u8; 32], _: bool) -> Box<dyn AeadAes256GcmCipher> {
        Box::new(Self)
    }
}

impl AeadAes256GcmCipher for Plain {
    fn encrypt(
        &mut self,
        _: &[u8; 12],
        _: &[u8],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<(), CryptoError> {
        output[..input.len()].copy_from_slice(input);
        output[input.len()..].fill(0);
        Ok(())
    }

    fn decrypt(
        &mut self,
        _: &[u8; 12],
        _: &[&[u8]],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<usize, CryptoError> {
        let length = input.len().saturating_sub(TAG_BYTES);
        output[..length].copy_from_slice(&input[..length]);
        Ok(length)
    }
}

impl DtlsProvider for Plain {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        from_feature_flags().dtls_provider.generate_certificate()
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        _: DtlsVersion,
        _: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        Ok(Box::new(End {
            certificate: certificate.certificate.clone(),
            now,
            active: false,
            connected: false,
            closed: false,
            outputs: VecDeque::new(),
        }))
    }
}

/// One end of a connection.
#[derive(Debug)]
struct End {
    certificate: Vec<u8>,
    now: Instant,
    active: bool,
    connected: bool,
    closed: bool,
    outputs: VecDeque<Due>,
}

/// What is due to be said.
#[derive(Debug)]
enum Due {
    Certificate(Vec<u8>),
    Closed,
    Connected,
    Data(Vec<u8>),
    Keys,
    Packet(Vec<u8>),
}

impl End {
    /// Each end introduces itself with its certificate.
    fn introduce(&mut self) {
        let packet = [&[HANDSHAKE], &*self.certificate].concat();
        self.outputs.push_back(Due::Packet(packet));
    }
}

impl DtlsInstance for End {
    fn set_active(&mut self, active: bool) {
        self.active = active;
        if active {
            self.introduce();
        }
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        match packet.split_first() {
            Some((&HANDSHAKE, certificate)) if !self.connected => {
                self.connected = true;
                if !self.active {
                    self.introduce();
                }
                self.outputs.push_back(Due::Certificate(certificate.to_vec()));
                self.outputs.extend([Due::Keys, Due::Connected]);
            }
            Some((&APPLICATION_DATA, data)) if self.connected => {
                self.outputs.push_back(Due::Data(data.to_vec()));
            }
            Some((&ALERT, _)) if self.connected => self.outputs.push_back(Due::Closed),
            _ => {}
        }
        Ok(())
    }

    fn poll_output<'a>(&mut self, buffer: &'a mut [u8]) -> DtlsOutput<'a> {
        let Some(due) = self.outputs.pop_front() else {
            return DtlsOutput::Timeout(self.now + Duration::from_secs(3600));
        };
        let mut filled = |bytes: Vec<u8>| {
            let length = bytes.len().min(buffer.len());
            buffer[..length].copy_from_slice(&bytes[..length]);
            length
        };
        match due {
            Due::Certificate(bytes) => {
                let length = filled(bytes);
                DtlsOutput::PeerCert(&buffer[..length])
            }
            Due::Closed => DtlsOutput::CloseNotify,
            Due::Connected => DtlsOutput::Connected,
            Due::Data(bytes) => {
                let length = filled(bytes);
                DtlsOutput::ApplicationData(&buffer[..length])
            }
            Due::Keys => {
                let keys = KeyingMaterial::new(&[0; KEY_BYTES]);
                DtlsOutput::KeyingMaterial(keys, SrtpProfile::AEAD_AES_256_GCM)
            }
            Due::Packet(bytes) => {
                let length = filled(bytes);
                DtlsOutput::Packet(&buffer[..length])
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.now = now;
        Ok(())
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        if !self.connected {
            return Ok(0);
        }
        self.outputs.push_back(Due::Packet(with_application_data(data)));
        Ok(data.len())
    }

    fn is_active(&self) -> bool {
        self.active
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.connected.then_some(ProtocolVersion::DTLS1_2)
    }

    fn is_closing(&self) -> bool {
        self.closed
    }

    fn is_closed(&self) -> bool {
        self.closed && self.outputs.is_empty()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.outputs.push_back(Due::Packet(vec![ALERT]));
        self.closed = true;
        Ok(())
    }
}
