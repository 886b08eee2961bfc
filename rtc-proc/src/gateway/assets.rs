//! The browser client's files, embedded by the build script: no request can name a path.

/// One file.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    /// Its path in the URL.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// As it is.
    pub plain: Form,
    /// Compressed (RFC 1952).
    pub gzip: Form,
}

/// A form in which a file is sent, with the tag that distinguishes it from all others.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Its strong entity tag, quotes included (RFC 9110, section 8.8.3).
    pub etag: &'static str,
    /// Its content.
    pub bytes: &'static [u8],
}

/// The version of all files together.
const VERSION: &str = env!("LUMEN_WEB_VERSION");

/// Every file.
pub const ASSETS: &[Asset] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

impl Asset {
    /// The file at `path`.
    #[must_use]
    pub fn find(path: &str) -> Option<&'static Self> {
        let path = if path == "/index.html" { "/" } else { path };
        ASSETS.iter().find(|asset| asset.path == path)
    }

    /// The file at a `path` of this version, whose content never changes. The page itself has no
    /// such path, so that a browser asks for it each time and learns of new versions.
    #[must_use]
    pub fn find_lasting(path: &str) -> Option<&'static Self> {
        let path = path.strip_prefix('/')?.strip_prefix(VERSION)?;
        Self::find(path).filter(|asset| asset.path != "/")
    }

    /// Whether a browser that sent `If-None-Match: …` has this version already. A weak tag counts
    /// as much as a strong one here (RFC 9110, section 13.1.2).
    #[must_use]
    pub fn is_known_by(&self, if_none_match: &str) -> bool {
        if_none_match
            .split(',')
            .map(str::trim)
            .map(|tag| tag.strip_prefix("W/").unwrap_or(tag))
            .any(|tag| tag == "*" || [self.plain.etag, self.gzip.etag].contains(&tag))
    }
}

/// Whether a browser that sent `Accept-Encoding: …` takes what is compressed by gzip (RFC 9110, section
/// 12.5.3). Who names it with a weight of zero does not.
#[must_use]
pub fn takes_gzip(accept_encoding: &str) -> bool {
    let weight_of = |wanted: &str| {
        accept_encoding.split(',').find_map(|coding| {
            let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
            let is_wanted = name.trim().eq_ignore_ascii_case(wanted);
            let weight = parameters.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
            is_wanted.then_some(weight.unwrap_or(0.0))
        })
    };
    weight_of("gzip").or_else(|| weight_of("*")).is_some_and(|weight| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;

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
        for etag in [asset.plain.etag, asset.gzip.etag] {
            for tags in [etag.to_owned(), format!("W/{etag}"), format!("\"x\", {etag}")] {
                assert!(asset.is_known_by(&tags), "{tags}");
            }
        }
        assert!(asset.is_known_by("*"));
        assert!(!asset.is_known_by("\"x\", W/\"y\""));
    }

    #[test]
    fn compressed_form_is_the_plain_one_and_less_of_it() {
        for asset in ASSETS.iter().filter(|asset| asset.path.ends_with(".js")) {
            let mut unpacked = Vec::new();
            let mut decoder = GzDecoder::new(asset.gzip.bytes);
            decoder.read_to_end(&mut unpacked).expect("it was compressed by gzip");
            assert_eq!(unpacked, asset.plain.bytes, "{}", asset.path);
            assert!(asset.gzip.bytes.len() * 2 < asset.plain.bytes.len(), "{}", asset.path);
            assert_ne!(asset.gzip.etag, asset.plain.etag);
        }
    }

    #[test]
    fn takes_gzip_who_names_it_or_any_without_a_weight_of_zero() {
        for (header, taken) in [
            ("gzip, deflate, br, zstd", true),
            ("br, GZIP;q=0.5", true),
            ("deflate, *;q=0.1", true),
            ("gzip ; q=1", true),
            ("", false),
            ("br", false),
            ("gzip;q=0, *", false),
            ("gzip;q=0.000", false),
            ("gzip;q=many", false),
            ("x-gzip", false),
        ] {
            assert_eq!(takes_gzip(header), taken, "{header}");
        }
    }

    #[test]
    fn find_lasting_is_of_this_version_and_never_the_page() {
        let lasting = |path: &str| Asset::find_lasting(path).map(|asset| asset.path);
        let main = "/src/page/main.js";
        assert_eq!(lasting(&format!("/{VERSION}{main}")), Some(main));
        for path in [main, "/0123456789abcdef/src/page/main.js", "", "/", VERSION] {
            assert_eq!(lasting(path), None, "{path}");
        }
        for page in ["", "/", "/index.html"] {
            assert_eq!(lasting(&format!("/{VERSION}{page}")), None, "{page}");
        }
    }

    #[test]
    fn page_names_its_parts_by_lasting_addresses() {
        let page = String::from_utf8_lossy(Asset::find("/").expect("there is a page").plain.bytes);
        let named: Vec<_> = ["href=\"", "src=\""]
            .iter()
            .flat_map(|attribute| page.split(attribute).skip(1))
            .filter_map(|rest| rest.split('"').next())
            .filter(|address| *address != "manifest.webmanifest")
            .map(|address| (address, Asset::find_lasting(&format!("/{address}")).is_some()))
            .collect();
        assert_eq!(named.len(), 3, "{named:?}");
        assert!(named.iter().all(|(_, found)| *found), "{named:?}");
    }
}
