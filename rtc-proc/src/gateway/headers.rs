//! What every response carries, whatever it answers: the page's rights end here.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// What the page may load and do. Scripts, styles and connections are the gateway's own; pictures
/// are also made by the page itself (cursors as `data:`); nothing may frame it, nothing may turn text
/// into markup.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'self'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Features of the browser the page may use: what a remote desktop has a use for.
const PERMISSIONS_POLICY: &str = "autoplay=(self), clipboard-read=(self), clipboard-write=(self), \
     fullscreen=(self), gamepad=(self), keyboard-map=(self), \
     accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), \
     magnetometer=(), microphone=(), midi=(), payment=(), serial=(), usb=()";

/// Name, value, on every response.
const EVERYWHERE: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    // A file is what its content type says, or nothing.
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // The address may hold a token until the page has taken it out.
    (header::REFERRER_POLICY, "no-referrer"),
    // No other page gets a handle of this window, and no other page embeds what is served here.
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), PERMISSIONS_POLICY),
];

/// Adds what every response carries. Whoever made the response has decided on caching, or it is not
/// kept at all.
pub fn harden(headers: &mut HeaderMap) {
    for (name, value) in EVERYWHERE {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
