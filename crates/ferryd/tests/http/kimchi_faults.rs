//! Faults that were measured in the original and need no host, each by its number there. The others are in `real_kimchi_faults.rs`.

use axum::body::Body;
use axum::http::{Method, Request};
use ferryd::http::rights::INHERITED;
use ferryd::model::TaskId;
use serde_json::json;

use crate::kimchi_vms::refused;
use crate::login::{at, cookie_of};
use crate::tasks::new_task;
use crate::{Answer, Served};

const PREFIXES: [&str; 2] = ["/plugins/kimchi", ""];

/// A task that is under way.
async fn under_way(served: &Served) -> uuid::Uuid {
    let task = new_task("vm1");
    served.app.store.create_task(&task).await.unwrap();
    task.task.id
}

async fn is_asked_to_stop(served: &Served, id: uuid::Uuid) -> bool {
    served.app.store.task(TaskId(id)).await.unwrap().unwrap().cancel_requested
}

#[tokio::test]
async fn fault_05_tasks_were_read_and_deleted_without_a_login() {
    let served = Served::new().await;
    let id = under_way(&served).await;
    for prefix in PREFIXES {
        let (list, one) = (format!("{prefix}/tasks"), format!("{prefix}/tasks/{id}"));
        for (method, path) in [("GET", &list), ("GET", &one), ("DELETE", &one)] {
            let answer = at(&served, method, path, &[], "").await;
            refused(&answer, "401 Unauthorized", "WOKAUTH0002E: ");
            assert!(!String::from_utf8_lossy(&answer.body).contains("vm1"), "{}", answer.asked);
        }
    }
    assert!(!is_asked_to_stop(&served, id).await, "it goes on");

    let root = [("authorization", "Basic cm9vdDpzZWNyZXQ=")];
    assert_eq!(at(&served, "GET", "/tasks", &root, "").await.json()[0]["id"], json!(id));
    let stopped = at(&served, "DELETE", &format!("/plugins/kimchi/tasks/{id}"), &root, "").await;
    assert_eq!(stopped.status, 204, "who is logged in may");
    assert!(is_asked_to_stop(&served, id).await);
}

/// Every address of the inherited interface by which something is done, of this task and of a machine.
fn doing(id: uuid::Uuid) -> Vec<(Method, String)> {
    let routes = INHERITED.iter().filter(|route| route.method != Method::GET);
    let routes = routes.flat_map(|route| {
        let path = route.path.replace("{id}", &id.to_string()).replace(['{', '}'], "");
        PREFIXES.map(|prefix| (route.method.clone(), format!("{prefix}{path}")))
    });
    routes.collect()
}

#[tokio::test]
async fn fault_07_a_page_of_another_origin_acted_with_the_cookie() {
    let served = Served::new().await;
    let id = under_way(&served).await;
    let cookie = cookie_of(&served, "root").await;
    let session = ("cookie", cookie.as_str());
    let all = doing(id);
    assert!(all.len() > 30, "{all:?}");
    for (method, path) in &all {
        for origin in ["https://evil.example", "http://127.0.0.1:8011", "null"] {
            let foreign = [session, ("origin", origin), ("referer", "https://evil.example/")];
            let answer = at(&served, method.as_str(), path, &foreign, "{}").await;
            assert_eq!(answer.status, 403, "{} from {origin}", answer.asked);
        }
    }
    assert!(!is_asked_to_stop(&served, id).await, "nothing was done");
    assert_eq!(at(&served, "GET", "/vms", &[session], "").await.status, 200, "nobody was logged out");

    let own = [session, ("origin", "http://127.0.0.1:8010")];
    let stopped = at(&served, "DELETE", &format!("/plugins/kimchi/tasks/{id}"), &own, "").await;
    assert_eq!(stopped.status, 204, "our own page may");
    assert!(is_asked_to_stop(&served, id).await);
}

async fn sent(served: &Served, method: &Method, path: &str, body: &[u8]) -> Answer {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let request = request.header("content-length", body.len()).body(Body::from(body.to_vec()));
    served.ask(request.unwrap()).await
}

#[tokio::test]
async fn fault_10_malformed_json_was_a_fault_of_the_servers() {
    let served = Served::new().await;
    let deep = "[".repeat(10_000);
    let wrong: [&[u8]; 6] =
        [b"{\"remote_host\": \"kim-h2\"", b"{", b"{\"a\":}", b"{} {}", b"\xff\xfe{}", deep.as_bytes()];
    let takes_a_body = |(method, path): &(Method, String)| {
        // By those nothing is said in a body.
        method != Method::DELETE && !path.ends_with("/logout")
    };
    let all = doing(uuid::Uuid::nil());
    for (method, path) in all.iter().filter(|route| takes_a_body(route)) {
        for body in wrong {
            let answer = sent(&served, method, path, body).await;
            refused(&answer, "400 Bad Request", "WOKAPI0006E: ");
        }
    }
}
