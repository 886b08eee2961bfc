//! Decides whether the kernel may segment datagrams for a destination (UDP segmentation offload).
//!
//! Some errors concern the path: a datagram exceeds its MTU, or its device lacks the offload. They
//! disable segmentation for that destination. Others concern the kernel and disable it for good: it
//! reports that it lacks the option, or refuses the request as invalid before it ever accepted one.

use std::{collections::VecDeque, net::IpAddr};

use nix::errno::Errno;

/// Most destinations remembered; the one refused longest ago is tried again.
const MOST_DESTINATIONS: usize = 64;

/// What is known about the kernel and about destinations.
#[derive(Debug, Default)]
pub struct Segmentation {
    kernel: Kernel,
    refused: VecDeque<IpAddr>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Kernel {
    #[default]
    Untried,
    Able,
    Unable,
}

impl Segmentation {
    /// Whether datagrams for `destination` may be sent together.
    #[must_use]
    pub fn is_allowed(&self, destination: IpAddr) -> bool {
        self.kernel != Kernel::Unable && !self.refused.contains(&destination)
    }

    /// Datagrams were accepted together.
    pub const fn succeeded(&mut self) {
        self.kernel = Kernel::Able;
    }

    /// Datagrams for `destination` were refused together. Returns whether to send them one by one,
    /// because `error` is about segmentation.
    pub fn refused(&mut self, destination: IpAddr, error: Errno) -> bool {
        match error {
            Errno::EOPNOTSUPP | Errno::ENOPROTOOPT => self.kernel = Kernel::Unable,
            Errno::EINVAL if self.kernel == Kernel::Untried => self.kernel = Kernel::Unable,
            // A datagram exceeds the MTU, or the device lacks checksum offload.
            Errno::EINVAL | Errno::EIO | Errno::EMSGSIZE => self.refuse(destination),
            _ => return false,
        }
        true
    }

    fn refuse(&mut self, destination: IpAddr) {
        if self.refused.len() >= MOST_DESTINATIONS {
            self.refused.pop_front();
        }
        self.refused.push_back(destination);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn path_that_is_too_narrow_costs_no_other_path_its_segmentation() {
        for error in [Errno::EMSGSIZE, Errno::EIO] {
            let mut segmentation = Segmentation::default();
            assert!(segmentation.refused(address(1), error));
            assert!(!segmentation.is_allowed(address(1)));
            assert!(segmentation.is_allowed(address(2)), "{error}");
        }
    }

    #[test]
    fn kernel_that_has_none_is_not_asked_again() {
        for error in [Errno::EOPNOTSUPP, Errno::EINVAL] {
            let mut segmentation = Segmentation::default();
            assert!(segmentation.refused(address(1), error));
            assert!(!segmentation.is_allowed(address(2)), "{error}");
        }
    }

    #[test]
    fn kernel_that_has_proved_itself_refuses_a_path_only() {
        let mut segmentation = Segmentation::default();
        segmentation.succeeded();
        assert!(segmentation.refused(address(1), Errno::EINVAL));
        assert!(!segmentation.is_allowed(address(1)) && segmentation.is_allowed(address(2)));
    }

    #[test]
    fn error_that_is_about_something_else_changes_nothing() {
        let mut segmentation = Segmentation::default();
        assert!(!segmentation.refused(address(1), Errno::EHOSTUNREACH));
        assert!(segmentation.is_allowed(address(1)));
    }

    #[test]
    fn destination_refused_longest_ago_is_tried_again_when_there_are_many() {
        let mut segmentation = Segmentation::default();
        for last in 0..=MOST_DESTINATIONS as u8 {
            segmentation.refused(address(last), Errno::EMSGSIZE);
        }
        assert!(segmentation.is_allowed(address(0)) && !segmentation.is_allowed(address(1)));
        assert_eq!(segmentation.refused.len(), MOST_DESTINATIONS);
    }
}
