//! What browsers are told of the app, over a gateway's real sockets.

use lumen_ipc::{
    message::signalling::Reason,
    service::{AppNews, AppState, AuthMode},
    units::SessionId,
};
use lumen_rtc::gateway::shell::Event;

use crate::rig::{App, Rig};

fn tell(app: &App, number: u32, state: AppState) {
    app.news.send_replace(AppNews { number, session: SessionId::SOLE, state });
}

#[tokio::test]
async fn app_that_ends_is_told_and_a_refused_start_says_why() {
    let (rig, app) = Rig::start_with_app(AuthMode::Token).await;
    let mut browser = rig.browser().await;
    tell(&app, 2, AppState::Ended { reason: Reason::truncated("It ended.") });
    let told = r#"{"type":"app","running":false,"reason":"It ended.","startable":true}"#;
    assert_eq!(browser.hears().await, told);
    browser.say(r#"{"type":"startApp"}"#).await;
    let refused = r#"{"type":"notice","text":"The app of desktop 1 runs."}"#;
    assert_eq!(browser.hears().await, refused);
    tell(&app, 3, AppState::Running);
    let runs = r#"{"type":"app","running":true,"reason":"","startable":false}"#;
    assert_eq!(browser.hears().await, runs);
}

#[tokio::test]
async fn desktop_that_ends_is_told_before_the_gateway_drains() {
    let (rig, mut app) = Rig::start_with_app(AuthMode::Token).await;
    let mut browser = rig.browser().await;
    tell(&app, 2, AppState::Over { reason: Reason::truncated("It is over.") });
    app.told.wait_for(|told| *told == 2).await.expect("the gateway asks on");
    rig.events.send(Event::Drain).await.expect("it serves");
    let over = r#"{"type":"closed","reason":"It is over.","retry":false}"#;
    assert_eq!(browser.hears().await, over);
    assert_eq!(browser.close_code().await, 1012, "RFC 6455: the server restarts");
}
