//! Browsers that sign in by an identity provider.

use lumen_ipc::service::AuthMode;

use super::rig::{ERRAND, KEY, PROVIDER, Rig};

#[tokio::test]
async fn page_is_told_of_the_provider_and_comes_back_from_it() {
    let rig = Rig::start_with_provider("Example Ämter", "/desk/").await;
    let asked = rig.request("GET", "/desk/api/session", "", "").await;
    assert_eq!((asked.status(), asked.header("lumen-sign-in")), (401, Some("password")));
    assert_eq!(asked.header("lumen-provider"), Some("Example%20%C3%84mter"));
    let origin = format!("http://{}", rig.address);
    let headers = format!("Origin: {origin}\r\nContent-Type: application/json\r\n");
    let post = async |body: &str| rig.request("POST", "/desk/login", &headers, body).await;
    let sent = post(r#"{"provider":true}"#).await;
    let visit = format!(r#"{{"attempt":"{ERRAND}","visit":"{PROVIDER}?back={origin}/desk/"}}"#);
    assert_eq!((sent.status(), sent.body()), (202, &*visit));
    assert_eq!(sent.header("set-cookie"), None);
    let back = async |query: &str| {
        post(&format!(r#"{{"attempt":"{ERRAND}","returned":"{query}"}}"#)).await
    };
    let refused = back("code=nobody&state=a").await;
    assert_eq!((refused.status(), refused.header("lumen-refusal")), (401, Some("no-identity")));
    assert!(refused.body().contains("no account here"), "{}", refused.body());
    let forged = back("code=right&state=forged").await;
    assert_eq!((forged.status(), forged.header("lumen-refusal")), (401, Some("denied")));
    let signed_in = back("code=right&state=a").await;
    assert_eq!((signed_in.status(), signed_in.body()), (200, &*format!(r#"{{"key":"{KEY}"}}"#)));
    assert!(signed_in.header("set-cookie").is_some());
}

#[tokio::test]
async fn page_without_a_provider_is_told_of_none() {
    let rig = Rig::start(AuthMode::Password).await;
    let asked = rig.get("/api/session").await;
    assert_eq!((asked.status(), asked.header("lumen-provider")), (401, None));
}
