//! Small policies and the lines they become.

#![cfg(target_arch = "x86_64")]

use super::*;
use crate::confine::Condition;

const REASON: &str = "this test";

fn table(policy: Policy) -> Table {
    Table::of(&policy).unwrap()
}

/// The lines of a policy, without the introduction.
fn lines_of(policy: Policy) -> String {
    let text = table(policy).text();
    text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
}

#[test]
fn call_without_conditions_is_a_line_of_its_name() {
    assert_eq!(lines_of(Policy::nothing().allow(libc::SYS_getppid, REASON)), "getppid");
}

#[test]
fn call_with_conditions_is_a_line_of_the_arguments_that_are_let_through() {
    let flags = Condition::arg(3).only(libc::SOCK_CLOEXEC);
    let how = Condition::arg(1).equals(libc::SHUT_WR);
    let policy = Policy::nothing().allow_when(libc::SYS_accept4, &[flags], REASON).allow_when(
        libc::SYS_shutdown,
        &[how],
        REASON,
    );
    assert_eq!(lines_of(policy), "accept4 flags=[SOCK_CLOEXEC]\nshutdown how=SHUT_WR");
}

#[test]
fn option_is_let_through_at_its_level_only() {
    let level = Condition::arg(1).equals(libc::IPPROTO_TCP);
    let option = Condition::arg(2).equals(libc::TCP_NODELAY);
    let one = Policy::nothing().allow_when(libc::SYS_setsockopt, &[level, option], REASON);
    assert_eq!(lines_of(one), "setsockopt option=TCP_NODELAY");
    // Without the level it is the same number at all levels, those without a name among them.
    let all = lines_of(Policy::nothing().allow_when(libc::SYS_setsockopt, &[option], REASON));
    assert!(all.contains("SO_DEBUG") && all.contains("299/1"), "{all}");
}

#[test]
fn refused_call_is_a_line_with_its_error() {
    let policy = Policy::nothing().refuse(libc::SYS_getppid, libc::EPERM, REASON);
    assert_eq!(lines_of(policy), "getppid : EPERM");
}

#[test]
fn rule_about_an_argument_that_is_not_tried_makes_no_table() {
    let rule = [Condition::arg(5).equals(7)];
    let policy = Policy::nothing().allow_when(libc::SYS_accept4, &rule, REASON);
    assert!(matches!(Table::of(&policy), Err(TableError::Untried { argument: 5, .. })));
}

#[test]
fn rule_that_reads_more_of_a_number_than_the_kernel_makes_no_table() {
    let rule = [Condition::arg(1).masked_equals(u64::MAX, 1)];
    let policy = Policy::nothing().allow_when(libc::SYS_shutdown, &rule, REASON);
    assert!(matches!(Table::of(&policy), Err(TableError::Unsteady { .. })));
}

#[test]
fn table_read_from_its_text_is_the_same_and_decides_the_same() {
    let table = table(Policy::base());
    let again = Table::parse(&table.text(), std::process::id()).unwrap();
    assert_eq!(again, table);
    let tries = table.tries().zip(again.tries());
    let differ = tries.filter(|(one, other)| one.verdict != other.verdict);
    assert_eq!(differ.count(), 0);
    assert!(Table::parse("accept4 flags=", 1).is_err());
    assert!(Table::parse("no_call", 1).is_err());
}

#[test]
fn counts_say_what_is_let_through() {
    let how = Condition::arg(1).equals(libc::SHUT_WR);
    let policy = Policy::nothing()
        .allow(libc::SYS_getppid, REASON)
        .allow_when(libc::SYS_shutdown, &[how], REASON)
        .refuse(libc::SYS_getpgid, libc::EPERM, REASON);
    let counts = table(policy).counts();
    assert_eq!((counts.rules, counts.calls, counts.by_argument), (2, 2, 1));
    assert_eq!(counts.combinations, 1);
}

#[test]
fn rule_about_what_a_device_declares_is_listed_by_value_and_read_again() {
    const SET_KEY: u64 = 0x4004_5565;
    let request = Condition::arg(1).equals(SET_KEY as i64);
    let buttons = [request, Condition::arg(2).masked_equals(0xffff_fff0, 0x130)];
    let policy = Policy::nothing().allow_when(libc::SYS_ioctl, &buttons, REASON).allow_when(
        libc::SYS_ioctl,
        &[Condition::arg(1).equals(0x5501)],
        REASON,
    );
    let table = table(policy);
    let text = table.text();
    let line = "ioctl request=UI_DEV_CREATE,UI_SET_KEYBIT/304-UI_SET_KEYBIT/319\n";
    assert!(text.ends_with(line), "{text}");
    assert_eq!(Table::parse(&text, std::process::id()).unwrap(), table);
    let allowed = table.tries_of(libc::SYS_ioctl).into_iter().filter_map(|one| {
        (one.verdict == Verdict::Allowed && one.arguments[1] == SET_KEY).then_some(one.arguments[2])
    });
    assert!(allowed.eq(0x130..=0x13f));
    assert!(Table::parse("ioctl request=UI_SET_NOTHING/1", 1).is_err());
}

#[test]
fn rule_about_what_follows_another_request_makes_no_table() {
    let rule = [Condition::arg(1).equals(0x5421), Condition::arg(2).equals(1)];
    let policy = Policy::nothing().allow_when(libc::SYS_ioctl, &rule, REASON);
    assert!(matches!(Table::of(&policy), Err(TableError::Untried { argument: 1, .. })));
}
