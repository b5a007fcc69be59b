//! Who may do what: every route there is, asked by nobody, by somebody no machine lists, and by administrators. Which machines list
//! whom is told in the tests of `access::person`.

use std::collections::BTreeSet;

use api::task::TaskState;
use axum::body::Body;
use axum::http::{Method, Request, Response};
use ferryd::http::Door;
use ferryd::http::rights::{INHERITED, OWN, Right, Route};
use ferryd::model::TaskId;
use tower::ServiceExt;

use crate::Served;
use crate::tasks::new_task;

const HOST: &str = "127.0.0.1:8010";
const ROOT: &str = "Basic cm9vdDpzZWNyZXQ=";
const ANN: &str = "Basic YW5uOnNlY3JldA==";
const JOE: &str = "Basic am9lOnNlY3JldA==";
const PREFIX: &str = "/plugins/kimchi";

/// The routes under every address they have.
fn all() -> Vec<(Route, String)> {
    let own = OWN.iter().map(|route| (route.clone(), route.path.to_owned()));
    let inherited = INHERITED.iter().flat_map(|route| {
        let alone = (!matches!(route.path, "/schemas" | "/openapi.json")).then(|| route.path.to_owned());
        let both = alone.into_iter().chain([format!("{PREFIX}{}", route.path)]);
        both.map(move |path| (route.clone(), path))
    });
    own.chain(inherited).collect()
}

/// Asks at the loopback address; only the head of the answer is awaited, one is endless.
async fn head(served: &Served, method: &Method, path: &str, who: Option<&str>) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path).header("host", HOST);
    if let Some(who) = who {
        request = request.header("authorization", who);
    }
    let request = request.header("content-type", "application/json").header("content-length", 2);
    served.router(Door::Loopback).oneshot(request.body(Body::from("{}")).unwrap()).await.unwrap()
}

#[tokio::test]
async fn the_table_has_what_the_descriptions_have() {
    let served = Served::new().await;
    for (document, table) in [("/api/v1/openapi.json", OWN), ("/plugins/kimchi/openapi.json", INHERITED)] {
        let document = served.get(document).await.json();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys().filter(|key| *key != "parameters") {
                described.insert((method.to_uppercase(), path.clone()));
            }
        }
        let listed: BTreeSet<_> =
            table.iter().map(|route| (route.method.to_string(), route.path.to_owned())).collect();
        assert_eq!(listed, described);
    }
}

#[tokio::test]
async fn every_route_asks_who_comes() {
    let served = Served::new().await;
    let task = new_task("vm1");
    served.app.store.create_task(&task).await.unwrap();
    for (route, path) in all() {
        let path = path.replace("{id}", &task.task.id.to_string()).replace(['{', '}'], "");
        let status = async |who| head(&served, &route.method, &path, who).await.status().as_u16();
        let told = format!("{} {path}", route.method);
        let nobody = head(&served, &route.method, &path, None).await;
        let open = route.right == Right::Anyone;
        assert_eq!(nobody.status() == 401, !open, "{told}");
        assert_eq!(nobody.headers().contains_key("www-authenticate"), !open, "{told}");
        if open {
            continue;
        }
        // After some wrong passwords of eve's it is 403: no further one is looked at.
        assert!(matches!(status(Some("Basic ZXZlOng=")).await, 401 | 403), "{told}");
        for unreadable in ["Basic !!!", "Bearer x", "Basic am9l"] {
            assert_eq!(status(Some(unreadable)).await, 401, "{told}");
        }
        let stranger = match route.right {
            Right::Admin | Right::Task => 403,
            Right::Vm => 404,
            Right::Anyone | Right::User => 200,
        };
        let joe = status(Some(JOE)).await;
        // Of the list of tasks, and of one task, everybody reads all.
        assert_eq!(joe, stranger, "{told}");
        assert!(!read(&served, task.task.id).await.1, "{told}: it is not stopped by a stranger");
    }
    for (route, path) in all().into_iter().filter(|(route, _)| route.right != Right::Anyone) {
        let path = path.replace("{id}", &task.task.id.to_string()).replace(['{', '}'], "");
        for admin in [ROOT, ANN] {
            let status = head(&served, &route.method, &path, Some(admin)).await.status().as_u16();
            assert!(!matches!(status, 401 | 403 | 405), "{} {path}: {status}", route.method);
        }
    }
    assert!(read(&served, task.task.id).await.1, "it is stopped by an administrator");
}

async fn read(served: &Served, id: uuid::Uuid) -> (TaskState, bool) {
    let record = served.app.store.task(TaskId(id)).await.unwrap().unwrap();
    (record.task.state, record.cancel_requested)
}

#[tokio::test]
async fn a_method_that_is_not_in_the_table_is_not_there_for_anybody() {
    let served = Served::new().await;
    for (_, path) in all() {
        let path = path.replace(['{', '}'], "");
        for method in [Method::TRACE, Method::from_bytes(b"BREW").unwrap()] {
            assert_eq!(head(&served, &method, &path, None).await.status(), 401, "{method} {path}");
            for who in [JOE, ROOT] {
                assert_eq!(head(&served, &method, &path, Some(who)).await.status(), 405, "{method} {path}");
            }
        }
    }
    for path in [
        "/vms/vm1/nothing",
        "/plugins/kimchi/vms/vm1/nothing",
        "/tasks/a/b",
        "/plugins/kimchi/config/nothing",
    ] {
        assert_eq!(head(&served, &Method::GET, path, None).await.status(), 401, "{path}");
        assert_eq!(head(&served, &Method::GET, path, Some(JOE)).await.status(), 404, "{path}");
    }
    for path in ["/nothing", "/api/v1/nothing", "/plugins/kimchi/nothing", "/plugins/kimchi"] {
        for who in [None, Some(JOE), Some(ROOT)] {
            assert_eq!(head(&served, &Method::GET, path, who).await.status(), 404, "{path}");
        }
    }
}

#[tokio::test]
async fn head_takes_what_get_takes() {
    let served = Served::new().await;
    assert_eq!(head(&served, &Method::HEAD, "/api/v1/hosts", None).await.status(), 401);
    assert_eq!(head(&served, &Method::HEAD, "/api/v1/hosts", Some(JOE)).await.status(), 403);
    assert_eq!(head(&served, &Method::HEAD, "/api/v1/hosts", Some(ROOT)).await.status(), 200);
    assert_eq!(head(&served, &Method::HEAD, "/vms", Some(JOE)).await.status(), 200);
}
