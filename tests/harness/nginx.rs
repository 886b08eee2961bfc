//! A real nginx in front of Lumen, as people use it. It runs as the ordinary user who runs Lumen,
//! and ends with its test.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpStream},
    path::Path,
    process::{Child, Stdio},
    sync::atomic::{AtomicU8, Ordering},
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{
    certificate::Certificate,
    home::{Home, Starter},
    patience::wait_for,
};

/// The guide for administrators.
const GUIDE: &str = include_str!("../../web/PROXY.md");
/// Lumen's URL in the guide's snippets.
const IN_GUIDE: &str = "http://127.0.0.1:8080";
/// The port it listens on, at an address of its own.
const PORT: u16 = 8088;

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    process: Child,
    address: SocketAddr,
    secure: bool,
    _home: Home,
    _certificate: Option<Certificate>,
}

/// The guide's snippet, with Lumen at `upstream`.
///
/// # Errors
/// When the guide has none.
pub fn documented(upstream: &str) -> Result<String> {
    let rest = GUIDE.split_once("```nginx\n").context("the guide has no snippet for nginx")?.1;
    let snippet = rest.split_once("```").context("the snippet has no end")?.0;
    Ok(snippet.replace(IN_GUIDE, upstream))
}

impl Nginx {
    /// Starts it with these lines in its one server.
    ///
    /// # Errors
    /// When nginx is missing or rejects them.
    pub fn start(locations: &str) -> Result<Self> {
        Self::start_with(locations, None)
    }

    /// As [`Self::start`], over TLS only.
    ///
    /// # Errors
    /// As [`Self::start`], and when there is no certificate.
    pub fn start_secure(locations: &str) -> Result<Self> {
        Self::start_with(locations, Some(Certificate::make()?))
    }

    fn start_with(locations: &str, certificate: Option<Certificate>) -> Result<Self> {
        let home = Home::new(Starter::Ordinary)?;
        let address = SocketAddr::from((own_address(), PORT));
        let tls = certificate.as_ref().map_or(String::new(), |certificate| {
            let (chain, key) = (certificate.chain(), certificate.key());
            format!("ssl_certificate {chain}; ssl_certificate_key {key};")
        });
        let ssl = if certificate.is_some() { " ssl" } else { "" };
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {};\n", home.path(kind).display()))
            .collect();
        let configuration = home.path("nginx.conf");
        let text = format!(
            "daemon off; worker_processes 1; error_log stderr warn; pid {pid};\n\
             events {{ worker_connections 128; }}\n\
             http {{ access_log off;\n{temporary}\
             server {{ listen {address}{ssl}; {tls}\n{locations}\n}} }}\n",
            pid = home.path("nginx.pid").display(),
        );
        fs::write(&configuration, text)?;
        let mut command = home.command(Path::new("nginx"));
        // Debian installs it in a directory that is not in an ordinary user's PATH.
        let searched = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{searched}:/usr/local/sbin:/usr/sbin"));
        command.arg("-p").arg(home.path("")).arg("-c").arg(&configuration).args(["-e", "stderr"]);
        let process = command
            .stdin(Stdio::null())
            .spawn()
            .context("nginx; `tests/install.sh test` installs it")?;
        let secure = certificate.is_some();
        let mut nginx = Self { process, address, secure, _home: home, _certificate: certificate };
        nginx.wait_until_it_listens()?;
        Ok(nginx)
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let ended = wait_for("nginx listens or ends", || match self.process.try_wait() {
            Ok(Some(status)) => Some(Some(status)),
            _ => TcpStream::connect(self.address).is_ok().then_some(None),
        })?;
        match ended {
            Some(status) => bail!("nginx ended with {status}"),
            None => Ok(()),
        }
    }

    /// Its origin for browsers: `http://` or `https://`, address and port.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its worker ends with it.
        if let Ok(pid) = i32::try_from(self.process.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = self.process.wait();
    }
}

/// A loopback address that no other test uses: nginx cannot report which port it got.
fn own_address() -> Ipv4Addr {
    static COUNT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 64, low, COUNT.fetch_add(1, Ordering::Relaxed))
}
