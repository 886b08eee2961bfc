//! The headers of every response: they limit what the page may do.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

/// What the page may load and do. Scripts, styles and connections come from the gateway; images may
/// also be made by the page (cursors as `data:`); no page may frame it, and no text may become
/// markup.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'self'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

/// Browser features that the page may use: those that a remote desktop needs.
const PERMISSIONS_POLICY: &str = "autoplay=(self), clipboard-read=(self), clipboard-write=(self), \
     fullscreen=(self), gamepad=(self), keyboard-map=(self), microphone=(self), \
     accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), \
     magnetometer=(), midi=(), payment=(), serial=(), usb=()";

/// Name and value of the headers on every response.
const EVERYWHERE: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    // The browser does not guess content types.
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // The URL may hold a token until the page has removed it.
    (header::REFERRER_POLICY, "no-referrer"),
    // No other page gets a handle to this window, and none embeds what is served here.
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), PERMISSIONS_POLICY),
];

/// Adds the headers of every response. A response without a caching header is not cached at all.
pub fn harden(headers: &mut HeaderMap) {
    for (name, value) in EVERYWHERE {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}
