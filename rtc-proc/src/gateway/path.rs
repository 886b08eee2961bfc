//! The page's path as browsers see it. A proxy that serves Lumen under a path passes the path on or
//! strips it; both work, so neither the proxy nor the administrator has to say which.

use lumen_ipc::front_door::BasePath;

/// Where a request's path leads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Place<'path> {
    /// The base without its last slash: URLs relative to the page would be wrong there.
    Below,
    /// Something that the gateway serves.
    Inside {
        /// Its path below the base.
        path: &'path str,
        /// Whether the request contained the base.
        named: bool,
    },
}

/// Finds the place of `path`.
#[must_use]
pub fn find<'path>(base: &BasePath, path: &'path str) -> Place<'path> {
    match path.strip_prefix(base.prefix()) {
        Some("") => Place::Below,
        Some(inner) if inner.starts_with('/') => Place::Inside { path: inner, named: true },
        Some(_) | None => Place::Inside { path, named: false },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_takes_the_base_off_if_it_is_there() {
        let base = "/desk/".parse().expect("legal");
        for (path, expected) in [
            ("/desk", Place::Below),
            ("/desk/", Place::Inside { path: "/", named: true }),
            ("/desk/ws/signal", Place::Inside { path: "/ws/signal", named: true }),
            ("/desk/desk/", Place::Inside { path: "/desk/", named: true }),
            ("/", Place::Inside { path: "/", named: false }),
            ("/login", Place::Inside { path: "/login", named: false }),
            ("/desktop/", Place::Inside { path: "/desktop/", named: false }),
            ("*", Place::Inside { path: "*", named: false }),
        ] {
            assert_eq!(find(&base, path), expected, "{path}");
        }
    }

    #[test]
    fn find_without_a_base_leaves_every_path_as_it_is() {
        for path in ["/", "/login", "//", "/desk/"] {
            let inside = Place::Inside { path, named: true };
            assert_eq!(find(&BasePath::default(), path), inside, "{path}");
        }
    }
}
