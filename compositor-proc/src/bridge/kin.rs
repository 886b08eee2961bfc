//! Which sockets in the runtime directory are those of desktops inside this one. Pure.
//!
//! A user may have several desktops at once, inside this one and outside of it, all with sockets in one
//! directory. Whose a socket is says the kernel: the process that listens. It is inside if it descends
//! from this session's supervisor, as all of the session's processes do.

/// Generations looked at: more than any process of a desktop has forefathers.
const MOST_GENERATIONS: usize = 64;

/// Whether a file of this name may be a Wayland socket.
#[must_use]
pub fn is_display(name: &str) -> bool {
    name.starts_with("wayland-") && !name.ends_with(".lock")
}

/// Whether `process` descends from `forefather`, which it is not itself.
pub fn descends(process: u32, forefather: u32, parent_of: impl Fn(u32) -> Option<u32>) -> bool {
    let generations = std::iter::successors(parent_of(process), |process| parent_of(*process));
    generations.take(MOST_GENERATIONS).any(|parent| parent == forefather)
}

/// The parent in what `/proc/PID/stat` says (proc_pid_stat(5)). The name before it stands in brackets and
/// may have any character in it.
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
        // 1 ← 2 ← 3 ← 4, and 5 is its own forefather, as only a race can show it.
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
