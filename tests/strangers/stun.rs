//! As much STUN (RFC 8489) as strangers need.

const MAGIC: u32 = 0x2112_a442;
pub(crate) const BINDING: u16 = 0x0001;
pub(crate) const BINDING_SUCCESS: u16 = 0x0101;
pub(crate) const ALLOCATE: u16 = 0x0003;
pub(crate) const ALLOCATE_ERROR: u16 = 0x0113;
pub(crate) const USERNAME: u16 = 0x0006;
pub(crate) const MESSAGE_INTEGRITY: u16 = 0x0008;
pub(crate) const REALM: u16 = 0x0014;
pub(crate) const NONCE: u16 = 0x0015;
pub(crate) const REQUESTED_TRANSPORT: u16 = 0x0019;
/// UDP, as REQUESTED-TRANSPORT has it.
pub(crate) const UDP: [u8; 4] = [17, 0, 0, 0];

/// A request with these attributes; `number` makes its transaction its own.
pub(crate) fn request(kind: u16, number: u64, attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in attributes {
        body.extend(name.to_be_bytes());
        body.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    let mut message = kind.to_be_bytes().to_vec();
    message.extend(u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes());
    message.extend(MAGIC.to_be_bytes());
    message.extend([0; 4]);
    message.extend(number.to_be_bytes());
    message.extend(body);
    message
}

/// The value of an attribute of an answer.
pub(crate) fn attribute(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = message.get(20..)?;
    loop {
        let name = u16::from_be_bytes(rest.get(..2)?.try_into().ok()?);
        let length = usize::from(u16::from_be_bytes(rest.get(2..4)?.try_into().ok()?));
        let value = rest.get(4..4 + length)?;
        if name == wanted {
            return Some(value);
        }
        rest = rest.get(4 + length.next_multiple_of(4)..)?;
    }
}
