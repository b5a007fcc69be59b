//! Logging in and out, as it was recorded and better.

use axum::body::Body;
use axum::http::Request;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ferryd::http::Door;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::recorded::{self, Given};
use crate::{Answer, Served, ask};

const HOST: &str = "127.0.0.1:8010";

pub(crate) async fn at(
    served: &Served,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = Request::builder().method(method).uri(path).header("host", HOST);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if !body.is_empty() {
        request = request.header("content-length", body.len()).header("content-type", "application/json");
    }
    ask(served.router(Door::Loopback), request.body(Body::from(body.to_owned())).unwrap()).await
}

async fn login(served: &Served, name: &str, password: &str) -> Answer {
    let body = json!({ "username": name, "password": password }).to_string();
    at(served, "POST", "/login", &[], &body).await
}

/// The part of the cookie that a browser sends back.
#[track_caller]
fn cookie(answer: &Answer) -> String {
    let cookie = answer.header("set-cookie");
    let (pair, rules) = cookie.split_once("; ").unwrap();
    assert_eq!(rules, "Path=/; HttpOnly; SameSite=Strict");
    let token = pair.strip_prefix("wok=").unwrap();
    assert!(token.len() == 64 && token.chars().all(|c| c.is_ascii_hexdigit()), "{cookie}");
    pair.to_owned()
}

#[track_caller]
fn refused(answer: &Answer, status: u16, reason: &str) {
    let body = answer.json();
    assert_eq!(answer.status.as_u16(), status, "{}: {body}", answer.asked);
    assert_eq!(body["code"], answer.status.to_string());
    assert!(body["reason"].as_str().unwrap().starts_with(reason), "{}: {body}", answer.asked);
}

#[tokio::test]
async fn who_is_not_let_in_is_told_as_it_was() {
    let served = Served::new().await;
    let all = recorded::all();
    for name in [
        "30a-noauth-json",
        "30b-noauth-migrate",
        "30c-noauth-browser-xhr",
        "30d-noauth-html",
        "30f-basic-malformed",
        "30g-login",
        "30j-cookie-cross-origin-post-no-csrf",
        "31a-user-joe-list",
        "32c-accept-xml",
        "62a-noauth-tasks",
        "62b-noauth-task-of-another-user",
        "62c-noauth-delete-task",
        "62d-noauth-wok-tasks",
    ] {
        let exchange = &all[name];
        let headers: Vec<_> =
            exchange.asks.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let body = exchange.body.as_deref().unwrap_or_default();
        let answer = at(&served, &exchange.method, &exchange.path, &headers, body).await;
        let header = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        exchange.assert_kept(&Given { status: answer.status.as_u16(), header: &header, body: &answer.body });
        // A browser would open its own window for passwords over the page.
        let asks = answer.status == 401 && name != "30c-noauth-browser-xhr";
        assert_eq!(header("www-authenticate").is_some(), asks, "{name}");
    }
}

#[tokio::test]
async fn a_session_begins_lasts_and_ends() {
    let served = Served::new().await;
    let answer = login(&served, "root", "secret").await;
    assert_eq!(
        String::from_utf8_lossy(&answer.body),
        r#"{"username":"root","groups":["root"],"role":"admin"}"#
    );
    assert_eq!(answer.header("content-type"), "application/json;charset=utf-8");
    assert!(answer.header("cache-control").starts_with("no-store"));
    let cookie = cookie(&answer);
    let show = [("cookie", cookie.as_str())];
    let answer = at(&served, "GET", "/plugins/kimchi/vms", &show, "").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!([])));
    let left: f64 = answer.header("session-expires-on").parse().unwrap();
    assert!(left > 590.0 && left <= 600.0, "{left}");
    assert_eq!(at(&served, "GET", "/api/v1/hosts", &show, "").await.status, 200);
    let foreign = [show[0], ("origin", "https://evil.example")];
    assert_eq!(at(&served, "POST", "/logout", &foreign, "").await.status, 403);

    let other = cookie_of(&served, "ann").await;
    assert_ne!(other, cookie);
    let ended = at(&served, "POST", "/plugins/kimchi/logout", &show, "").await;
    assert_eq!((ended.status.as_u16(), ended.json()), (200, json!({})));
    assert_eq!(ended.header("set-cookie"), "wok=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    refused(&at(&served, "GET", "/vms", &show, "").await, 401, "WOKAUTH0002E: ");
    let page = [("cookie", &*format!("{cookie}; lastPage=/x")), ("x-requested-with", "XMLHttpRequest")];
    refused(&at(&served, "GET", "/vms", &page, "").await, 401, "sessionTimeout");
    let over = at(&served, "GET", "/vms", &page[..1], "").await;
    refused(&over, 401, "sessionTimeout");
    assert!(!over.headers.contains_key("www-authenticate"), "the page asks by itself");
    assert_eq!(at(&served, "GET", "/vms", &[("cookie", &other)], "").await.status, 200);
    assert_eq!(at(&served, "POST", "/logout", &[], "").await.status, 200, "nothing to end is no fault");
}

pub(crate) async fn cookie_of(served: &Served, name: &str) -> String {
    cookie(&login(served, name, "secret").await)
}

#[tokio::test]
async fn roles_are_as_they_were() {
    let served = Served::new().await;
    for (name, groups, role) in [
        ("root", json!(["root"]), "admin"),
        ("ann", json!(["ann", "wheel"]), "admin"),
        ("joe", json!(["joe"]), "user"),
    ] {
        let answer = login(&served, name, "secret").await;
        assert_eq!(answer.json(), json!({ "username": name, "groups": groups, "role": role }));
    }
}

#[tokio::test]
async fn a_wrong_login_is_refused_and_many_are_slowed_down() {
    let served = Served::new().await;
    refused(&at(&served, "POST", "/login", &[], "{").await, 400, "WOKAPI0006E: ");
    for body in ["[]", "{}", r#"{"username":"root"}"#, r#"{"username":5,"password":"secret"}"#] {
        refused(&at(&served, "POST", "/login", &[], body).await, 400, "WOKAUTH0007E: You need to specify");
    }
    refused(&at(&served, "POST", "/login", &[], "").await, 411, "Client must");
    for name in ["", "a\nb", "nobody"] {
        refused(&login(&served, name, "secret").await, 401, "WOKAUTH0008E: ");
    }
    refused(&login(&served, "mute", "secret").await, 503, "FERRYAUTH0001E: The system did not say");
    let basic = [("authorization", "Basic bXV0ZTpzZWNyZXQ=")];
    refused(&at(&served, "GET", "/vms", &basic, "").await, 503, "FERRYAUTH0001E: The system did not say");

    let session = cookie_of(&served, "joe").await;
    for _ in 0..2 {
        let wrong = login(&served, "joe", "wrong").await;
        refused(&wrong, 401, "WOKAUTH0008E: The username or password you entered is incorrect.");
        assert!(!wrong.headers.contains_key("set-cookie"));
    }
    let slowed = "WOKAUTH0004E: You have failed to login in too much attempts. Please, wait for 30 seconds";
    refused(&login(&served, "joe", "wrong").await, 403, slowed);
    let basic = [("authorization", "Basic am9lOndyb25n")];
    refused(&at(&served, "GET", "/vms", &basic, "").await, 403, "WOKAUTH0004E: ");
    let problem: Value = at(&served, "GET", "/api/v1/openapi.json", &basic, "").await.json();
    assert_eq!(problem["code"], "forbidden");
    assert_eq!(at(&served, "GET", "/vms", &[("cookie", &session)], "").await.status, 200);
}

#[tokio::test]
async fn no_password_is_looked_at_where_none_is_asked_for() {
    let served = Served::new().await;
    let wrong = [("authorization", "Basic am9lOndyb25n")];
    for _ in 0..4 {
        assert_eq!(at(&served, "GET", "/login.html", &wrong, "").await.status, 200);
        assert_eq!(at(&served, "POST", "/logout", &wrong, "").await.status, 200);
    }
    assert_eq!(login(&served, "joe", "secret").await.status, 200, "none of them counted");
    let cookie = cookie_of(&served, "joe").await;
    let page = at(&served, "GET", "/login.html", &[("cookie", &cookie)], "").await;
    assert!(page.headers.contains_key("session-expires-on"), "a session is seen as before");
}

#[tokio::test]
async fn a_password_with_each_request_is_for_programs() {
    let served = Served::new().await;
    let joe = ("authorization", "Basic am9lOnNlY3JldA==");
    let answer = at(&served, "GET", "/tasks", &[joe], "").await;
    assert_eq!((answer.status.as_u16(), answer.header("session-expires-on")), (200, "600"));
    assert!(!answer.headers.contains_key("set-cookie"));
    let script = ("x-requested-with", "XMLHttpRequest");
    refused(&at(&served, "GET", "/tasks", &[joe, script], "").await, 401, "WOKAUTH0002E: ");
    assert_eq!(at(&served, "GET", "/tasks", &[joe, ("accept", "text/html")], "").await.status, 303);
    let eve = ("authorization", "Basic ZXZlOng=");
    let wrong = "WOKAUTH0001E: Authentication failed for user 'eve'. [Error code: 7]";
    refused(&at(&served, "GET", "/tasks", &[eve], "").await, 401, wrong);
    let answer = at(&served, "GET", "/api/v1/hosts", &[], "").await;
    answer.is_problem(api::problem::Code::LoginRequired, None);
    assert_eq!(answer.header("www-authenticate"), "Basic realm=wok");
    at(&served, "GET", "/api/v1/hosts", &[joe], "").await.is_problem(api::problem::Code::Forbidden, None);
}

/// What Firefox asks for when a person goes somewhere.
const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

#[tokio::test]
async fn a_browser_is_sent_to_the_page_and_comes_back() {
    let served = Served::new().await;
    for path in ["/vms?name=a&state=running", "/plugins/kimchi/tasks"] {
        let answer = at(&served, "GET", path, &[BROWSER], "").await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(!answer.headers.contains_key("www-authenticate"), "no window opens over the page");
        let place = answer.header("location").strip_prefix(&format!("http://{HOST}")).unwrap().to_owned();
        assert!(place.starts_with("/login.html?next="), "{place}");
        let page = at(&served, "GET", &place, &[BROWSER], "").await;
        let next = format!("data-next=\"{}\"", path.replace('&', "&amp;"));
        assert!(text(&page).contains(&next), "{next}: {}", text(&page));
    }
    let changing = at(&served, "POST", "/vms/a/start", &[BROWSER], "").await;
    let place = format!("http://{HOST}/login.html");
    assert_eq!((changing.status.as_u16(), changing.header("location")), (303, place.as_str()));
    // A page cannot show what our own interface answers: there a browser is asked for a password by its own window.
    let own = at(&served, "GET", "/api/v1/hosts", &[BROWSER], "").await;
    assert_eq!((own.status.as_u16(), own.header("www-authenticate")), (401, "Basic realm=wok"));
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[tokio::test]
async fn the_page_loads_nothing_and_runs_only_what_stands_in_it() {
    let served = Served::new().await;
    for path in ["/login.html", "/plugins/kimchi/login.html"] {
        let answer = at(&served, "GET", path, &[BROWSER], "").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), "text/html;charset=utf-8");
        assert!(answer.header("cache-control").starts_with("no-store"));
        let page = text(&answer);
        for loading in ["src=", "href=", "url(", "@import", "http:", "https:", "style=", " on", "import("] {
            // As attributes of the page, not as a word of its script.
            let found = page.split("<script>").next().unwrap().contains(loading);
            assert!(!found, "{loading}: {page}");
        }
        let policy = answer.header("content-security-policy");
        for (kind, element) in [("script-src", "script"), ("style-src", "style")] {
            let (_, rest) = page.split_once(&format!("<{element}>")).unwrap();
            let (content, after) = rest.split_once(&format!("</{element}>")).unwrap();
            assert!(!after.contains(&format!("<{element}")), "one alone");
            let hash = BASE64_STANDARD.encode(Sha256::digest(content));
            assert!(policy.contains(&format!("{kind} 'sha256-{hash}';")), "{policy}");
        }
        assert!(policy.starts_with("default-src 'none';") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(page.contains("fetch('login'"), "it posts to what is beside it");
        let head = at(&served, "HEAD", path, &[], "").await;
        assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    }
}

#[tokio::test]
async fn the_page_leads_to_no_other_server() {
    let served = Served::new().await;
    for (asked, next) in [
        ("", "/plugins/kimchi/vms"),
        ("?next=", "/plugins/kimchi/vms"),
        ("?next=/vms/web1", "/vms/web1"),
        ("?next=%2Fvms%3Fname%3Da%2520b", "/vms?name=a%20b"),
        ("?next=//evil.example", "/plugins/kimchi/vms"),
        ("?next=/%5Cevil.example", "/plugins/kimchi/vms"),
        ("?next=/%09/evil.example", "/plugins/kimchi/vms"),
        ("?next=https://evil.example/", "/plugins/kimchi/vms"),
        ("?next=javascript:alert(1)", "/plugins/kimchi/vms"),
        ("?next=//evil.example&next=/vms", "/plugins/kimchi/vms"),
        (
            "?next=/%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
            "/&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;",
        ),
    ] {
        let answer = at(&served, "GET", &format!("/login.html{asked}"), &[], "").await;
        assert!(text(&answer).contains(&format!(" data-next=\"{next}\" ")), "{asked}: {}", text(&answer));
    }
}

#[tokio::test]
async fn the_page_speaks_the_language_that_is_asked_for() {
    let served = Served::new().await;
    for (asked, tag, title) in [
        ("", "en", "Log in to Ferry"),
        ("de-AT, en;q=0.5", "de", "Anmeldung bei Ferry"),
        ("fr", "fr", "Connexion à Ferry"),
    ] {
        let answer = at(&served, "GET", "/login.html", &[("accept-language", asked)], "").await;
        assert_eq!((answer.header("content-language"), answer.header("vary")), (tag, "Accept-Language"));
        let page = text(&answer);
        assert!(page.contains(&format!("<html lang=\"{tag}\">")), "{page}");
        assert!(page.contains(&format!("<h1>{title}</h1>")), "{page}");
    }
}
