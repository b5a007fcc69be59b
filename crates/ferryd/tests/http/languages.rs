//! Texts are told in the language that a request asks for.

use api::problem::{Code, MEDIA_TYPE, Problem};
use api::task::TaskState;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode};
use ferryd::http::Door;
use ferryd::model::TaskId;
use serde_json::{Value, json};

use crate::tasks::{new_task, with_state};
use crate::{Answer, Served, ask};

const ENGLISH: &str = "KCHVM0002E: Virtual machine ghost does not exist";
const GERMAN: &str = "KCHVM0002E: Die virtuelle Maschine „ghost“ gibt es nicht";
const FRENCH: &str = "KCHVM0002E: La machine virtuelle «\u{a0}ghost\u{a0}» n’existe pas";

fn request(method: Method, path: &str, languages: &[&[u8]]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for line in languages {
        request = request.header("accept-language", HeaderValue::from_bytes(line).unwrap());
    }
    request.body(Body::empty()).unwrap()
}

async fn asked_in(served: &Served, method: Method, path: &str, languages: &str) -> Answer {
    served.ask(request(method, path, &[languages.as_bytes()])).await
}

#[track_caller]
fn is_told(answer: &Answer, language: &str, reason: &str) {
    assert_eq!(answer.json()["reason"], reason);
    assert_eq!(answer.header("content-language"), language);
    assert_eq!(answer.header("vary"), "Accept-Language");
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    assert_eq!(answer.header("content-type"), "application/json;charset=utf-8");
    assert_eq!(answer.header("cache-control").split(',').next(), Some("no-store"));
}

#[tokio::test]
async fn an_error_is_told_in_the_language_that_is_asked_for() {
    let served = Served::new().await;
    for prefix in ["/plugins/kimchi", ""] {
        let path = format!("{prefix}/vms/ghost");
        for (lines, language, reason) in [
            (&[][..], "en", ENGLISH),
            (&[&b"de"[..]], "de", GERMAN),
            (&[b"de-CH, en;q=0.9"], "de", GERMAN),
            (&[b"fr;q=0.8, en;q=0.5"], "fr", FRENCH),
            (&[b"en;q=0.5", b"fr;q=0.8"], "fr", FRENCH),
            (&[b"xx"], "en", ENGLISH),
            (&[b"*"], "en", ENGLISH),
            (&[b""], "en", ENGLISH),
            (&[b";;q=,=;de;q=x,,"], "en", ENGLISH),
            (&[b"\xff\xfe"], "en", ENGLISH),
            (&[b"\xff", b"de"], "de", GERMAN),
        ] {
            let answer = served.ask(request(Method::GET, &path, lines)).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND);
            assert_eq!(answer.json()["code"], "404 Not Found");
            is_told(&answer, language, reason);
        }
    }
    let head = asked_in(&served, Method::HEAD, "/vms/ghost", "de").await;
    assert_eq!((head.status, head.body.len()), (StatusCode::NOT_FOUND, 0));
    let whole = asked_in(&served, Method::GET, "/vms/ghost", "de").await;
    assert_eq!(head.header("content-length"), whole.header("content-length"));
    assert_eq!(head.header("content-language"), "de");
}

#[tokio::test]
async fn whatever_refuses_a_request_tells_it_so() {
    let served = Served::new().await;
    for (method, path, reason) in [
        (Method::GET, "/plugins/kimchi/nothing", "Unter dieser Adresse gibt es nichts"),
        (Method::GET, "/vms/a/start", "Diese Methode ist bei dieser Adresse nicht möglich"),
        (Method::POST, "/vms/a/migrate", "Die Anfrage muss Content-Length angeben"),
        (
            Method::DELETE,
            "/vms/a?disks=",
            "WOKAPI0008E: Die Angaben entsprechen nicht dem Schema: „disks“ muss „all“ sein oder Namen von Festplatten nennen \
             (vda,vdb)",
        ),
        (Method::GET, "/tasks/x", "WOKASYNC0001E: Es gibt keine Aufgabe mit der Kennung x"),
    ] {
        is_told(&asked_in(&served, method, path, "de").await, "de", reason);
    }
    // Before it is anybody's.
    let mut lonely = request(Method::GET, "/vms", &[b"fr"]);
    lonely.headers_mut().insert("host", HeaderValue::from_static("127.0.0.1"));
    let answer = ask(served.router(Door::Loopback), lonely).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let reason = "WOKAUTH0002E: Vous n’êtes pas autorisé à accéder à Wok. Veuillez d’abord vous connecter.";
    is_told(&answer, "fr", reason);
}

#[tokio::test]
async fn a_task_tells_what_it_is_at_and_keeps_what_it_was_told_itself() {
    let served = Served::new().await;
    let store = &served.app.store;
    for (state, english, german) in [
        (TaskState::Running, "starting a migration", "Migration wird gestartet"),
        (TaskState::Done, "Migrate finished", "Migration abgeschlossen"),
        (
            TaskState::Failed,
            "KCHVM0058E: Failed to migrate virtual machine vm due error: it broke (code 38)",
            "KCHVM0058E: Die Migration der virtuellen Maschine „vm“ ist fehlgeschlagen: it broke (code 38)",
        ),
    ] {
        let mut new = new_task("vm");
        new.task.message = "it broke".to_owned();
        new.task.cause = Some("code 38".to_owned());
        store.create_task(&new).await.unwrap();
        let lease = store.lease(TaskId(new.task.id), "test", 0, 1).await.unwrap().unwrap();
        store.update(&lease, &with_state(&new.task, state)).await.unwrap();
        let path = format!("/tasks/{}", new.task.id);
        for (language, message) in [("en", english), ("de", german)] {
            let answer = asked_in(&served, Method::GET, &path, language).await;
            assert_eq!(answer.json()["message"], message);
            assert_eq!(answer.header("content-language"), language);
            assert_eq!(answer.header("vary"), "Accept-Language");
        }
        if state == TaskState::Running {
            store.update(&lease, &with_state(&new.task, TaskState::Done)).await.unwrap();
        }
    }
    // A filter goes by what is told.
    let filtered = async |language: &str| -> Value {
        asked_in(&served, Method::GET, "/tasks?message=Migration%20abg", language).await.json()
    };
    assert_eq!(filtered("en").await, json!([]));
    assert_eq!(filtered("de").await.as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_problem_of_our_own_has_its_title_in_the_language_that_is_asked_for() {
    let served = Served::new().await;
    for (languages, language, title) in [
        ("en", "en", Code::UnknownVm.title()),
        ("xx", "en", Code::UnknownVm.title()),
        ("de", "de", "Die virtuelle Maschine ist nicht bekannt"),
        ("fr-CA", "fr", "La machine virtuelle n’est pas connue"),
    ] {
        let answer = asked_in(&served, Method::GET, "/api/v1/vms/ghost", languages).await;
        let problem: Problem = serde_json::from_value(answer.json()).unwrap();
        assert_eq!((problem.code, problem.title.as_str()), (Code::UnknownVm, title));
        assert_eq!(answer.header("content-language"), language);
        assert_eq!(answer.header("vary"), "Accept-Language");
        assert_eq!(answer.header("content-type"), MEDIA_TYPE);
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    }
    // A page of another name is refused before anything is looked at.
    for (address, key, said) in
        [("/api/v1/vms", "title", "Die Anfrage ist nicht erlaubt"), ("/vms", "reason", "WOKAPI0009E: ")]
    {
        let mut foreign = request(Method::GET, address, &[b"de"]);
        foreign.headers_mut().insert("host", HeaderValue::from_static("evil.example"));
        let answer = ask(served.router(Door::Loopback), foreign).await;
        assert!(answer.json()[key].as_str().unwrap().starts_with(said), "{}", answer.json());
    }
}

#[tokio::test]
async fn what_has_no_texts_has_no_language() {
    let served = Served::new().await;
    let answer = asked_in(&served, Method::GET, "/vms", "de").await;
    assert_eq!(answer.json(), json!([]));
    assert_eq!((answer.header("content-language"), answer.header("vary")), ("", ""));
    assert_eq!(answer.status, StatusCode::OK);
}
