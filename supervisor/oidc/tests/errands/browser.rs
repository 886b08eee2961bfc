//! As much of a browser as a provider's pages need: cookies, redirections, and a form.

use std::{collections::BTreeMap, time::Duration};

use http::{Method, Request, header};
use openidconnect::url::Url;
use ureq::Agent;

use crate::program::CALLBACK;

/// Most pages on the way.
const MOST_STEPS: usize = 20;

/// What the person does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Person<'a> {
    /// Signs in by this name and allows what is asked for.
    Agrees(&'a str),
    /// Signs in by this name and does not allow it.
    Objects(&'a str),
    /// Does not even sign in.
    Leaves,
}

/// Goes to the provider; the query with which it sends the browser back.
pub(crate) fn visit(address: &Url, person: Person<'_>) -> String {
    let config = Agent::config_builder()
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(60)));
    let agent = Agent::new_with_config(config.build());
    let mut cookies = BTreeMap::new();
    let mut next = (address.clone(), None);
    for _ in 0..MOST_STEPS {
        let (here, form) = next;
        if here.as_str().starts_with(CALLBACK) {
            return here.query().unwrap_or_default().to_owned();
        }
        next = step(&agent, &mut cookies, here, form, person);
    }
    panic!("the provider leads in circles");
}

/// Opens a page, sending it a form if there is one; where to go then, with which form.
fn step(
    agent: &Agent,
    cookies: &mut BTreeMap<String, String>,
    here: Url,
    form: Option<String>,
    person: Person<'_>,
) -> (Url, Option<String>) {
    let sent: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = Request::builder().uri(here.as_str()).header(header::COOKIE, sent.join("; "));
    let response = match form {
        None => agent.run(request.method(Method::GET).body(()).expect("a request")),
        Some(form) => {
            let request = request.method(Method::POST);
            let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            agent.run(request.body(form).expect("a request"))
        }
    };
    let mut response = response.unwrap_or_else(|error| panic!("{here}: {error}"));
    for cookie in response.headers().get_all(header::SET_COOKIE) {
        let pair = cookie.to_str().expect("text").split(';').next().unwrap_or_default();
        let (name, value) = pair.split_once('=').expect("a cookie");
        match value {
            "" => drop(cookies.remove(name)),
            _ => drop(cookies.insert(name.to_owned(), value.to_owned())),
        }
    }
    let to = |link: &str| here.join(link).expect("a link");
    if let Some(place) = response.headers().get(header::LOCATION) {
        return (to(place.to_str().expect("text")), None);
    }
    let page = response.body_mut().read_to_string().expect("a page");
    let part = |before: &str| {
        let (_, rest) = page.split_once(before)?;
        rest.split_once('"').map(|(part, _)| part)
    };
    let prompt = part("name=\"prompt\" value=\"")
        .unwrap_or_else(|| panic!("{here}: {}: {page}", response.status()));
    let form = match (prompt, person) {
        ("login", Person::Agrees(name) | Person::Objects(name)) => {
            Some(format!("prompt=login&login={name}&password=x"))
        }
        ("consent", Person::Agrees(_)) => Some("prompt=consent".to_owned()),
        ("login", Person::Leaves) | ("consent", Person::Objects(_)) => None,
        other => panic!("{other:?}: {page}"),
    };
    match form {
        Some(form) => (to(part(" action=\"").expect("a form")), Some(form)),
        None => {
            let before = page.split("/abort\"").next().expect("a part");
            let link = before.rsplit('"').next().expect("a part");
            (to(&format!("{link}/abort")), None)
        }
    }
}
