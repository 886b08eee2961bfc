//! The ladder, step by step, in virtual time.

use super::*;

const HUNG: Verdict = Verdict::Exited(ExitCode::GpuHung.number() as i32);

fn node() -> Node {
    Node {
        path: PathBuf::from("/dev/dri/renderD128"),
        number: 226 << 8 | 128,
        driver: "i915".to_owned(),
        software: false,
    }
}

fn draws() -> Judgement {
    let encoding = Encoding::Processor { reason: Text::default() };
    Judgement::Draws { renderer: Text::truncated("Mesa"), encoding }
}

fn vaapi(reason: &str) -> Encoding {
    let driver = Text::truncated("Mesa Gallium");
    Encoding::Vaapi { driver, reason: Text::truncated(reason) }
}

/// A ladder whose first media draws.
fn drawing() -> Ladder {
    let mut ladder = Ladder::new(Ok(node()), EncoderUse::Never, false);
    assert_eq!(ladder.start(), Some(Turn { node: node(), mark: true, encode: EncoderUse::Never }));
    ladder.judged(draws());
    ladder.ready();
    ladder
}

fn rung(ladder: &Ladder) -> (u8, String) {
    let status = ladder.status();
    (status.rung.number(), status.reason.into_string())
}

#[test]
fn media_that_draws_is_on_the_second_rung_and_named() {
    let status = drawing().status();
    assert_eq!((status.rung, status.reason.as_str()), (Rung::Drawn, ""));
    assert_eq!((status.driver.as_str(), status.renderer.as_str()), ("i915", "Mesa"));
}

#[test]
fn what_encodes_is_named_and_why_the_graphics_processor_does_not() {
    let mut ladder = Ladder::new(Ok(node()), EncoderUse::Always, false);
    assert_eq!(ladder.start().map(|turn| turn.told().encode), Some(EncoderUse::Always));
    let renderer = Text::truncated("Mesa");
    let reason = Text::truncated("libva.so.2 cannot be loaded");
    let encoding = Encoding::Processor { reason: reason.clone() };
    ladder.judged(Judgement::Draws { renderer: renderer.clone(), encoding });
    let status = ladder.status();
    assert_eq!((status.rung, status.encoder.as_str(), status.reason), (Rung::Drawn, "", reason));
    let encoding = vaapi("");
    ladder.judged(Judgement::Draws { renderer, encoding });
    let status = ladder.status();
    assert_eq!((status.encoder.as_str(), status.reason.as_str()), ("Mesa Gallium", ""));
    ladder.ended(Instant::now(), HUNG);
    assert_eq!(ladder.status().encoder.as_str(), "");
}

fn in_place(reason: &str) -> Judgement {
    let (driver, reason) = (Text::truncated("Mesa Gallium"), Text::truncated(reason));
    let encoding = Encoding::InPlace { driver, reason };
    Judgement::Draws { renderer: Text::truncated("Mesa"), encoding }
}

#[test]
fn second_end_on_the_first_rung_costs_that_rung_and_two_more_the_next() {
    let mut ladder = Ladder::new(Ok(node()), EncoderUse::IfWorth, false);
    let mut now = Instant::now();
    let mut media = |said: Option<&Judgement>| {
        let turn = ladder.start();
        let told = turn.map(|turn| turn.told().encode);
        said.into_iter().for_each(|said| ladder.judged(said.clone()));
        let (rung, reason) = rung(&ladder);
        now += Duration::from_secs(1);
        (told, rung, reason, ladder.ended(now, HUNG).is_some())
    };
    let better = "VA-API keeps the processor busy for less";
    let first = media(Some(&in_place(better)));
    assert_eq!(first, (Some(EncoderUse::IfWorth), 1, better.to_owned(), false));
    // It is told what was found, and ends before it has tried.
    assert_eq!(media(None), (Some(EncoderUse::Always), 2, String::new(), true));
    let (told, number, reason, descends) = media(Some(&draws()));
    assert_eq!((told, number, descends), (Some(EncoderUse::Never), 2, false));
    assert!(reason.starts_with("media ended 2 times within a minute while it drew and enc"));
    assert!(media(Some(&draws())).3, "the second of those that only draw");
    let (told, number, reason, _) = media(None);
    assert_eq!((told, number), (None, 3));
    assert!(reason.starts_with("media ended 2 times within a minute while it drew, the"));
    ladder.retry();
    assert_eq!(ladder.start().map(|turn| turn.encode), Some(EncoderUse::IfWorth));
}

#[test]
fn second_end_while_pictures_are_copied_to_a_driver_costs_that_driver() {
    let mut ladder = Ladder::new(Ok(node()), EncoderUse::Always, false);
    let renderer = Text::truncated("Mesa");
    for descends in [false, true] {
        assert_eq!(ladder.start().map(|turn| turn.encode), Some(EncoderUse::Always));
        let encoding = vaapi("with a copy, because it shows nothing");
        ladder.judged(Judgement::Draws { renderer: renderer.clone(), encoding });
        assert_eq!(rung(&ladder).0, 2);
        assert_eq!(ladder.ended(Instant::now(), HUNG).is_some(), descends);
    }
    assert_eq!(ladder.start().map(|turn| turn.encode), Some(EncoderUse::Never));
}

#[test]
fn what_encodes_better_is_found_out_once_and_again_after_a_restart_by_hand() {
    let better = "VA-API keeps the processor busy for less";
    let worse = |reason| Encoding::Processor { reason: Text::truncated(reason) };
    let cases = [
        (vaapi(better), EncoderUse::Always, vaapi(""), better),
        (worse("it is slower"), EncoderUse::Never, worse(""), "it is slower"),
        // It has become worse meanwhile.
        (vaapi(better), EncoderUse::Always, worse("it fails"), "it fails"),
    ];
    for (found, told, said, why) in cases {
        let mut ladder = Ladder::new(Ok(node()), EncoderUse::IfWorth, false);
        let mut media = |encoding: &Encoding| {
            let turn = ladder.start().expect("it is still used");
            let (renderer, encoding) = (Text::truncated("Mesa"), encoding.clone());
            ladder.judged(Judgement::Draws { renderer, encoding });
            ladder.ready();
            (turn.told().encode, ladder.status().reason.into_string())
        };
        assert_eq!(media(&found).0, EncoderUse::IfWorth);
        assert_eq!(media(&said), (told, why.to_owned()));
        ladder.retry();
        assert_eq!(ladder.start().map(|turn| turn.encode), Some(EncoderUse::IfWorth));
    }
}

#[test]
fn machine_without_a_node_is_on_the_last_rung_and_says_why() {
    let none = NoNode { reason: "there is none".to_owned(), ..NoNode::default() };
    let mut ladder = Ladder::new(Err(none), EncoderUse::Never, false);
    assert_eq!(ladder.start(), None);
    assert_eq!(rung(&ladder), (3, "there is none".to_owned()));
    ladder.retry();
    assert_eq!((ladder.start(), rung(&ladder).0), (None, 3));
}

#[test]
fn media_that_declines_does_without_until_it_is_restarted_by_hand() {
    let mut ladder = drawing();
    ladder.judged(Judgement::Declines { reason: Text::truncated("it draws wrong") });
    assert_eq!(rung(&ladder), (3, "it draws wrong".to_owned()));
    ladder.ended(Instant::now(), Verdict::Killed(9));
    assert_eq!(ladder.start(), None);
    ladder.judged(draws());
    assert_eq!(rung(&ladder).0, 3, "a media without the node has nothing to judge");
    ladder.retry();
    assert!(ladder.start().is_some());
}

#[test]
fn second_end_within_a_minute_descends_and_later_ones_do_not() {
    for verdict in [HUNG, Verdict::Killed(6), Verdict::Exited(77)] {
        for (apart, descends) in [(59, true), (61, false)] {
            let (mut ladder, now) = (drawing(), Instant::now());
            assert_eq!(ladder.ended(now, verdict), None);
            assert!(ladder.start().is_some_and(|turn| !turn.mark), "proven");
            let reason = ladder.ended(now + Duration::from_secs(apart), verdict);
            assert_eq!(reason.is_some(), descends, "{verdict}, {apart} s");
            assert_eq!(ladder.start().is_none(), descends);
        }
    }
}

#[test]
fn end_that_an_administrator_asked_for_does_not_count_and_later_ones_do() {
    let (mut ladder, now) = (drawing(), Instant::now());
    ladder.retry();
    for descends in [false, false, true] {
        assert_eq!(ladder.ended(now, Verdict::Killed(9)).is_some(), descends);
        assert_eq!(ladder.start().is_some(), !descends);
    }
}

#[test]
fn end_that_no_driver_can_cause_never_descends() {
    let (mut ladder, now) = (drawing(), Instant::now());
    let mut end = |verdict| {
        assert_eq!(ladder.ended(now, verdict), None, "{verdict}");
        assert!(ladder.start().is_some());
    };
    for code in [ExitCode::Ok, ExitCode::LinkViolation, ExitCode::SupervisorGone] {
        (0..3).for_each(|_| end(Verdict::Exited(code.number().into())));
    }
    (0..3).for_each(|_| end(Verdict::NotSpawned));
}

#[test]
fn media_that_dies_for_ever_costs_two_ends_on_each_rung_and_no_loop() {
    let now = Instant::now();
    for (encode, more) in [(EncoderUse::Never, 1), (EncoderUse::Always, 3)] {
        let mut ladder = Ladder::new(Ok(node()), encode, false);
        assert!(ladder.start().is_some());
        let with_node = (0..100).filter(|_| {
            ladder.ended(now, HUNG);
            ladder.start().is_some()
        });
        assert_eq!(with_node.count(), more);
    }
}

#[test]
fn first_trial_is_marked_until_a_media_has_been_ready() {
    let mut ladder = Ladder::new(Ok(node()), EncoderUse::Never, false);
    assert!(ladder.start().is_some_and(|turn| turn.mark));
    ladder.ended(Instant::now(), Verdict::Killed(11));
    assert!(ladder.start().is_some_and(|turn| turn.mark));
    ladder.ready();
    ladder.ended(Instant::now() + WINDOW, Verdict::Exited(0));
    assert!(ladder.start().is_some_and(|turn| !turn.mark));
}

#[test]
fn machine_that_went_down_does_without_until_media_is_restarted_by_hand() {
    let mut ladder = Ladder::new(Ok(node()), EncoderUse::Never, true);
    assert_eq!(ladder.start(), None);
    assert!(rung(&ladder).1.contains("went down"));
    ladder.retry();
    assert!(ladder.start().is_some_and(|turn| turn.mark));
}

#[test]
fn drivers_without_a_processor_of_their_own_are_for_those_who_name_them() {
    assert_eq!((suits("i915", false), suits("amdgpu", true)), (Ok(false), Ok(false)));
    assert_eq!((suits("vgem", true), suits("vgem", false).is_err()), (Ok(true), true));
    assert!(suits("nvidia", true).is_err() && suits("vkms", true).is_err());
}
