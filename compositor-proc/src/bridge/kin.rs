//! Which sockets in the runtime directory belong to desktops inside this one. Pure.
//!
//! A user may run several desktops, inside and outside this one, with all their sockets in one directory.
//! The kernel reports which process listens on a socket. The desktop is inside this one if that process
//! descends from this session's supervisor, as all of the session's processes do.

/// Ancestors checked: more than any process of a desktop has.
const MOST_GENERATIONS: usize = 64;

/// Whether a file of this name may be a Wayland socket.
#[must_use]
pub fn is_display(name: &str) -> bool {
    name.starts_with("wayland-") && !name.ends_with(".lock")
}

/// Whether `process` is a descendant of `forefather`. A process is not its own descendant.
pub fn descends(process: u32, forefather: u32, parent_of: impl Fn(u32) -> Option<u32>) -> bool {
    let generations = std::iter::successors(parent_of(process), |process| parent_of(*process));
    generations.take(MOST_GENERATIONS).any(|parent| parent == forefather)
}

/// The parent according to `/proc/PID/stat` (proc_pid_stat(5)). The name before it is in parentheses and
/// may contain any character.
#[must_use]
pub fn parent_in(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descends_looks_at_all_generations_and_ends_where_there_are_none() {
        // 1 ← 2 ← 3 ← 4. 5 is its own parent, which only a race can produce.
        let parent_of = |process| match process {
            2..=4 => Some(process - 1),
            5 => Some(5),
            _ => None,
        };
        assert!(descends(4, 1, parent_of) && descends(2, 1, parent_of));
        for (process, forefather) in [(1, 1), (1, 4), (5, 1), (6, 1)] {
            assert!(!descends(process, forefather, parent_of), "{process} of {forefather}");
        }
    }

    #[test]
    fn parent_is_found_behind_any_name() {
        assert_eq!(parent_in("7 (sway) S 3 7 7 0"), Some(3));
        assert_eq!(parent_in("7 (a) S 99 (b)) R 4 7 7"), Some(4));
        for broken in ["", "7 (sway", "7 (sway) S", "7 (sway) S x"] {
            assert_eq!(parent_in(broken), None, "{broken}");
        }
    }

    #[test]
    fn display_is_a_socket_by_its_name_and_no_lock() {
        assert!(is_display("wayland-1") && is_display("wayland-lumen-test"));
        for other in ["wayland-1.lock", "bus", "pipewire-0"] {
            assert!(!is_display(other), "{other}");
        }
    }
}
