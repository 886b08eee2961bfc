//! A real identity provider, of npm, on a port of this machine. It ends with its test.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::stage::Folder;

/// Where its program is, which the tests of `lumen-oidc` use, too.
const HOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../supervisor/oidc/tests/provider");

/// A provider with a client `lumen`.
#[derive(Debug)]
pub struct IdentityProvider {
    node: Child,
    issuer: String,
    log: Folder,
}

impl IdentityProvider {
    /// Starts one that sends browsers back to this address, and knows its client by this secret.
    ///
    /// # Errors
    /// When it is not installed, or ends instead of serving.
    pub fn start(callback: &str, secret: &str) -> Result<Self> {
        ensure!(
            Path::new(HOME).join("node_modules/oidc-provider/package.json").exists(),
            "the identity provider is missing: npm --prefix supervisor/oidc/tests/provider ci"
        );
        let log = Folder::new("provider", 0o755)?;
        let mut node = Command::new("node")
            .arg(Path::new(HOME).join("provider.mjs"))
            .args([callback, secret, "client_secret_basic"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(log.path().join("log"))?)
            .spawn()
            .context("starting node")?;
        let mut issuer = String::new();
        let stdout = node.stdout.take().context("its output")?;
        let read = BufReader::new(stdout).read_line(&mut issuer);
        let provider = Self { node, issuer: issuer.trim_end().to_owned(), log };
        read?;
        ensure!(issuer.ends_with('\n'), "the identity provider does not start");
        Ok(provider)
    }

    /// Its address, which is what it calls itself.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What `lumen-oidc` needs to know of it.
    #[must_use]
    pub fn settings(&self) -> String {
        format!("issuer = '{}'\nclient_id = 'lumen'\n", self.issuer)
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        // It serves until its input ends.
        drop(self.node.stdin.take());
        let _ = self.node.wait();
        // The test runner shows this only for a test that fails.
        let said = std::fs::read_to_string(self.log.path().join("log")).unwrap_or_default();
        println!("--- what the identity provider wrote ---\n{said}--- end ---");
    }
}
