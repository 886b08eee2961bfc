//! Stamps the crate with a hash of its sources, so that two processes of different builds refuse
//! each other at `Hello` instead of misreading each other later. Narrower hashes cover the links
//! between a host and its sessions, and between a host and `lumen-login` or `lumen-oidc`, which may be
//! of different builds.

use std::{env, fs, io, path::Path};

/// FNV-1a, 64 bit: stable over toolchains, which `DefaultHasher` does not promise.
/// Source: <https://datatracker.ietf.org/doc/html/draft-eastlake-fnv>.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The sources of the messages of the `session` and `signalling` links.
const SESSION_SOURCES: [&str; 17] = [
    "codec.rs",
    "graphics.rs",
    "identity.rs",
    "lease.rs",
    "log.rs",
    "login.rs",
    "message/login.rs",
    "message/login/program.rs",
    "message/oidc.rs",
    "message/session.rs",
    "message/signalling.rs",
    "phase.rs",
    "process.rs",
    "relay.rs",
    "status.rs",
    "text.rs",
    "tls.rs",
];

/// The sources of the messages of the `login` link.
const LOGIN_SOURCES: [&str; 4] =
    ["codec.rs", "message/login.rs", "message/login/program.rs", "text.rs"];

/// The sources of the messages to and from `lumen-oidc`.
const OIDC_SOURCES: [&str; 5] =
    ["codec.rs", "login.rs", "message/login.rs", "message/oidc.rs", "text.rs"];

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=src");
    let mut hash = FNV_OFFSET;
    absorb(env!("CARGO_PKG_VERSION").as_bytes(), &mut hash);
    absorb_folder(Path::new("src"), &mut hash)?;
    println!("cargo::rustc-env=LUMEN_PROTO_HASH={hash}");
    println!("cargo::rustc-env=LUMEN_SESSION_HASH={}", hash_of(&SESSION_SOURCES)?);
    println!("cargo::rustc-env=LUMEN_SESSION_SOURCES={}", SESSION_SOURCES.join(" "));
    println!("cargo::rustc-env=LUMEN_LOGIN_HASH={}", hash_of(&LOGIN_SOURCES)?);
    println!("cargo::rustc-env=LUMEN_OIDC_HASH={}", hash_of(&OIDC_SOURCES)?);
    Ok(())
}

fn hash_of(sources: &[&str]) -> io::Result<u64> {
    let mut hash = FNV_OFFSET;
    for path in sources {
        absorb(&fs::read(Path::new("src").join(path))?, &mut hash);
    }
    Ok(hash)
}

fn absorb_folder(folder: &Path, hash: &mut u64) -> io::Result<()> {
    let mut paths = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            absorb_folder(&path, hash)?;
        } else {
            absorb(&fs::read(&path)?, hash);
        }
    }
    Ok(())
}

fn absorb(bytes: &[u8], hash: &mut u64) {
    for byte in bytes {
        *hash = (*hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
    }
}
