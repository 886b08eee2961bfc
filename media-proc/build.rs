//! Writes Rust declarations of libvpx, by the headers of the library that is linked: the layout of its
//! structures differs between releases, which `vpx_codec_enc_init_ver` checks when an encoder is opened.
//!
//! No crate does this that is maintained and agrees with the other bindings on the version of bindgen.

use std::{env, error::Error, path::PathBuf};

/// The least release with all that is asked of an encoder: Debian 12 has 1.12.
const LEAST: &str = "1.10";

const HEADERS: &str = "#include <vpx/vpx_encoder.h>\n#include <vpx/vp8cx.h>\n";

const FUNCTIONS: [&str; 7] = [
    "vpx_codec_vp8_cx",
    "vpx_codec_enc_config_default",
    "vpx_codec_enc_config_set",
    "vpx_codec_enc_init_ver",
    "vpx_codec_(control_|encode|get_cx_data)",
    "vpx_codec_destroy",
    "vpx_img_wrap",
];

/// Beside those that the functions name.
const TYPES: &str = "vp8e_enc_control_id|vpx_active_map_t";

const VALUES: &str =
    "VPX_ENCODER_ABI_VERSION|VPX_DL_REALTIME|VPX_FRAME_IS_KEY|VPX_EFLAG_FORCE_KF|VP8_EFLAG_.*";

fn main() -> Result<(), Box<dyn Error>> {
    let library = pkg_config::Config::new().atleast_version(LEAST).probe("vpx")?;
    let mut builder = bindgen::builder()
        .header_contents("vpx.h", HEADERS)
        .clang_args(library.include_paths.iter().map(|path| format!("-I{}", path.display())))
        .rust_edition(bindgen::RustEdition::Edition2024)
        .generate_comments(false)
        .layout_tests(false)
        .allowlist_type(TYPES)
        .allowlist_var(VALUES);
    for function in FUNCTIONS {
        builder = builder.allowlist_function(function);
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    builder.generate()?.write_to_file(out.join("vpx.rs"))?;
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
