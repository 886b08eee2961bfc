//! Illegal command lines.

use anyhow::Result;
use lumen_ipc::process::ExitCode;
use lumen_tests::rig::{Ended, Setup};

fn refused(setup: Setup) -> Result<Ended> {
    let ended = setup.run_to_end()?;
    let code = ended.status.code();
    assert_eq!(code, Some(i32::from(ExitCode::Usage.number())), "{}", ended.said);
    Ok(ended)
}

fn refused_option(name: &str, value: &str) -> Result<Ended> {
    let ended = refused(Setup::new().option(name, value))?;
    assert!(ended.said.contains(name), "names {name}: {}", ended.said);
    Ok(ended)
}

#[test]
fn unknown_option_is_refused_with_the_nearest() -> Result<()> {
    let ended = refused(Setup::new().option("--sise", "1280x720"))?;
    assert!(ended.said.contains("--sise") && ended.said.contains("--size"), "{}", ended.said);
    Ok(())
}

#[test]
fn size_of_zero_is_refused_with_the_limits() -> Result<()> {
    let ended = refused_option("--size", "0x0")?;
    assert!(ended.said.contains("16"), "{}", ended.said);
    Ok(())
}

#[test]
fn size_too_large_is_refused_with_the_limits() -> Result<()> {
    let ended = refused_option("--size", "100000x100000")?;
    assert!(ended.said.contains("4096"), "{}", ended.said);
    Ok(())
}

#[test]
fn size_that_no_decoder_takes_is_refused_with_the_largest_of_its_shape() -> Result<()> {
    for (size, largest) in
        [("3840x2880", "3542x2656"), ("4096x2560", "3872x2420"), ("4096x4096", "3072x3072")]
    {
        let ended = refused_option("--size", size)?;
        assert!(ended.said.contains(largest), "{}", ended.said);
    }
    Ok(())
}

#[test]
fn size_that_is_no_size_is_refused_with_an_example() -> Result<()> {
    let ended = refused_option("--size", "large")?;
    assert!(ended.said.contains("1280x720"), "{}", ended.said);
    Ok(())
}

#[test]
fn size_odd_is_corrected_and_said() -> Result<()> {
    let rig = Setup::new().option("--size", "1281x721").option("--resize", "fixed").start()?;
    assert_eq!(rig.app_log().wait_until_drawn()?, (1280, 720));
    assert!(rig.said().contains("1280x720"), "{}", rig.said());
    Ok(())
}

#[test]
fn frame_rate_of_zero_is_refused() -> Result<()> {
    refused_option("--fps", "0").map(drop)
}

#[test]
fn no_authentication_on_a_public_address_is_refused() -> Result<()> {
    let ended = refused(Setup::new().option("--auth", "none").option("--listen", "0.0.0.0:0"))?;
    assert!(ended.said.contains("loopback"), "{}", ended.said);
    Ok(())
}
