//! Confinement of `lumen-gamepad`: it may only drive the devices it was given.
//!
//! The supervisor opened `/dev/uinput`, and this process took it out of the deposit before
//! confinement; it opens nothing. Each ioctl request is allowed separately, so that no other
//! device's request gets through if the descriptor is ever that of another device.

use lumen_ipc_runtime::confine::{Condition, Policy};

use crate::uinput::{KINDS, REQUESTS, SET_KEY, SET_KIND};

/// Descriptors: 0–2, control, grants, the deposit, four slots, two link ends, event queue and wakers
/// of the control thread's runtime and of the loop, doubled while links are replaced.
const OPEN_FILES: u64 = 48;

/// The confinement.
#[must_use]
pub fn policy() -> Policy {
    REQUESTS
        .into_iter()
        .fold(Policy::base(), |policy, (request, reason)| {
            let is = Condition::arg(1).equals(request);
            arguments(request).into_iter().fold(policy, |policy, argument| {
                let conditions: Vec<_> = [is].into_iter().chain(argument).collect();
                policy.allow_when(libc::SYS_ioctl, &conditions, reason)
            })
        })
        .open_files(OPEN_FILES)
}

/// Buttons of gamepads, `BTN_SOUTH` to `BTN_THUMBR` (`linux/input-event-codes.h`): the codes from 0x130 to
/// 0x13f.
const BUTTONS: Condition = Condition::arg(2).masked_equals(0xffff_fff0, 0x130);

/// What a request may be about: a device with keys or relative axes could type and point.
fn arguments(request: libc::c_ulong) -> Vec<Option<Condition>> {
    match request {
        SET_KIND => KINDS.map(|kind| Some(Condition::arg(2).equals(kind.0))).into(),
        SET_KEY => vec![Some(BUTTONS)],
        _ => vec![None],
    }
}

#[cfg(test)]
mod tests {
    use lumen_ipc::service::PadIdentity;

    use super::*;
    use crate::identity::Identity;

    #[test]
    fn every_button_of_every_pad_is_allowed_and_no_key_is() {
        let allowed = |code: u16| code & 0xfff0 == 0x130;
        for identity in [
            PadIdentity::DualShock4,
            PadIdentity::SwitchPro,
            PadIdentity::Xbox360,
            PadIdentity::XboxOne,
        ] {
            assert!(Identity::of(identity).buttons.iter().all(|(_, key)| allowed(key.0)));
        }
        assert_eq!(arguments(SET_KEY), [Some(BUTTONS)]);
        // Keyboards' keys and mice's buttons.
        assert!((0..=0x117).chain(0x160..0x2ff).all(|code| !allowed(code)));
    }
}
