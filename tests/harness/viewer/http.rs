//! As much HTTP/1.1 as tests need: one request a connection, with exactly the bytes that the test
//! wants.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::patience::patience;

/// The two halves of a signed-in browser's key.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// Its cookie, as `name=value`.
    pub cookie: String,
    /// What the page stores.
    pub key: String,
}

#[derive(Deserialize)]
struct Kept {
    key: String,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body, as it came.
    pub body: String,
}

impl Reply {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The halves of the key in a response to a login.
    ///
    /// # Errors
    /// When it contains none.
    pub fn signed_in(&self) -> Result<SignedIn> {
        let kept: Kept = serde_json::from_str(&self.body)
            .with_context(|| format!("no key for the page, but {} {}", self.status, self.body))?;
        Ok(SignedIn { cookie: self.cookie().context("no cookie")?, key: kept.key })
    }

    /// The cookie it sets, as `name=value`.
    #[must_use]
    pub fn cookie(&self) -> Option<String> {
        let (cookie, _) = self.header("set-cookie")?.split_once(';')?;
        Some(cookie.to_owned())
    }

    fn parse(text: &str) -> Result<Self> {
        let (head, body) = text.split_once("\r\n\r\n").context("no end of the headers")?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status = status.and_then(|status| status.parse().ok()).context("no status")?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        Ok(Self { status, headers, body: body.to_owned() })
    }
}

/// Requests `path`.
///
/// # Errors
/// When there is no response.
pub fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Reply> {
    exchange(address, "GET", path, headers, "")
}

/// Sends JSON to `path`.
///
/// # Errors
/// When there is no response.
pub fn post(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Reply> {
    let length = body.len().to_string();
    let mut all = vec![("Content-Type", "application/json"), ("Content-Length", length.as_str())];
    all.extend(headers);
    exchange(address, "POST", path, &all, body)
}

/// Exchanges a token for a key, as the page does.
///
/// # Errors
/// When there is no response.
pub fn login(address: SocketAddr, token: &str) -> Result<Reply> {
    let origin = format!("http://{address}");
    let body = serde_json::json!({ "token": token }).to_string();
    post(address, "/login", &[("Origin", &origin)], &body)
}

fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Reply> {
    let mut stream = TcpStream::connect(address).context("connecting to the gateway")?;
    stream.set_read_timeout(Some(patience()))?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("Connection: close\r\n\r\n");
    request.push_str(body);
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("reading the answer")?;
    Reply::parse(&String::from_utf8_lossy(&answer))
}
