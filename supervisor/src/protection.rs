//! The protections that some machines lack, in the words with which README, `lumen doctor` and the
//! log report the loss of one. Pure.

/// A protection that can be lost. The others are mandatory: without them a worker does not start.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Loss {
    /// Landlock.
    Landlock,
    /// Limits on a worker's resources.
    Limits,
    /// Separate namespaces of the workers.
    Namespaces,
}

impl Loss {
    /// What the loss means.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Landlock => {
                "no second barrier around files and sockets: only seccomp keeps workers from them"
            }
            Self::Limits => "no limit on the memory that a compromised worker may fill",
            Self::Namespaces => {
                "workers share the host's network, IPC and host name; seccomp keeps them from using those"
            }
        }
    }
}

/// An environment in which Lumen runs.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Its name.
    pub name: &'static str,
    /// How Lumen starts there.
    pub starts: &'static str,
    /// The protections that are lost there.
    pub losses: &'static [Loss],
}

/// The environments in which Lumen is tested.
pub const PLACES: [Place; 9] = [
    Place {
        name: "Debian and Ubuntu as installed, as any user; LXC",
        starts: "with everything",
        losses: &[],
    },
    Place {
        name: "plain podman, as root",
        starts: "as root, workers and app as other users",
        losses: &[],
    },
    Place { name: "plain docker, as root", starts: "the same", losses: &[Loss::Namespaces] },
    Place {
        name: "plain docker with `--user`",
        starts: "as that user, who needs no name and no home",
        losses: &[Loss::Namespaces],
    },
    Place {
        name: "older docker, whose filter knows no newer calls",
        starts: "the same",
        losses: &[Loss::Namespaces, Loss::Landlock],
    },
    Place {
        name: "a hardened Ubuntu (23.10 and later), as an ordinary user",
        starts: "as that user",
        losses: &[Loss::Namespaces],
    },
    Place {
        name: "no user namespaces, as an ordinary user",
        starts: "as that user",
        losses: &[Loss::Namespaces],
    },
    Place {
        name: "no Landlock (Linux before 5.13, or not in `lsm=`; WSL, which is untried, may be such)",
        starts: "as usual",
        losses: &[Loss::Landlock],
    },
    Place { name: "a sandbox without setrlimit", starts: "as usual", losses: &[Loss::Limits] },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The table, as README has it.
    fn table() -> String {
        let row = |place: &Place| {
            let losses: Vec<_> = place.losses.iter().map(|loss| loss.sentence()).collect();
            let lost = if losses.is_empty() { "nothing".to_owned() } else { losses.join("; ") };
            format!("| {} | {} | {lost} |\n", place.name, place.starts)
        };
        let rows: String = PLACES.iter().map(row).collect();
        format!("| where | Lumen starts | what is lost |\n|---|---|---|\n{rows}")
    }

    #[test]
    fn readme_says_what_is_lost_where_in_the_same_words() {
        let table = table();
        assert!(include_str!("../../README.md").contains(&table), "README.md needs\n{table}");
    }
}
