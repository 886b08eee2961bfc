//! The browser client's files, embedded by the build script: no request can name a path.

/// One file.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its path in the address.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Its strong entity tag, quotes included (RFC 9110, section 8.8.3).
    pub etag: &'static str,
    /// What is in it.
    pub bytes: &'static [u8],
}

/// Every file.
pub const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

impl Asset {
    /// The file at `path`.
    #[must_use]
    pub fn find(path: &str) -> Option<&'static Self> {
        let path = if path == "/index.html" { "/" } else { path };
        ASSETS.iter().find(|asset| asset.path == path)
    }

    /// Whether a browser that sent `If-None-Match: …` has this version already. A weak tag is as
    /// good here as a strong one (RFC 9110, section 13.1.2).
    #[must_use]
    pub fn is_known_by(&self, if_none_match: &str) -> bool {
        if_none_match
            .split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.etag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_page_and_modules_and_nothing_else() {
        for path in ["/", "/index.html", "/style.css", "/src/page/main.js"] {
            assert!(Asset::find(path).is_some(), "{path}");
        }
        for path in ["", "/src", "/package.json", "/../web/index.html", "/test/wheel.test.js"] {
            assert!(Asset::find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn is_known_by_any_of_a_list_strong_or_weak() {
        let asset = Asset::find("/").expect("there is a page");
        let etag = asset.etag;
        for tags in [etag.to_owned(), format!("W/{etag}"), format!("\"x\", {etag}"), "*".to_owned()]
        {
            assert!(asset.is_known_by(&tags), "{tags}");
        }
        assert!(!asset.is_known_by("\"x\", W/\"y\""));
    }

    #[test]
    fn page_loads_every_module_at_once() {
        let page = String::from_utf8_lossy(Asset::find("/").expect("there is a page").bytes);
        for asset in ASSETS.iter().filter(|asset| asset.path.ends_with(".js")) {
            assert!(page.contains(&format!("\"{}\"", asset.path)), "{} is missing", asset.path);
        }
    }
}
