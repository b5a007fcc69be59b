//! The inherited contract, as it was recorded.

use api::task::TaskState;
use axum::body::Body;
use axum::http::{Method, Request};
use ferryd::model::TaskId;
use serde_json::json;

use crate::tasks::{new_task, with_state};
use crate::{Answer, Served};

const PREFIXES: [&str; 2] = ["/plugins/kimchi", ""];

async fn post(served: &Served, path: &str, content_type: Option<&str>, body: &str) -> Answer {
    let mut request = Request::post(path).header("content-length", body.len());
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    served.ask(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[track_caller]
fn refused(answer: &Answer, code: &str, reason: &str) {
    let body = answer.json();
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(answer.status.to_string(), code);
    assert!(body["reason"].as_str().unwrap().starts_with(reason), "{body}");
    assert_eq!(body.as_object().unwrap().len(), 2);
    assert_eq!(answer.header("content-type"), "application/json;charset=utf-8");
}

#[tokio::test]
async fn wrong_requests_are_refused_as_recorded_or_better() {
    let served = Served::new().await;
    let json = Some("application/json");
    let bad = "400 Bad Request";
    for prefix in PREFIXES {
        let migrate = format!("{prefix}/vms/vm1/migrate");
        for (content_type, body, code, reason) in [
            (json, "{\"remote_host\": \"kim-h2\"", bad, "WOKAPI0006E: "),
            // A body of no byte is an object of no key.
            (json, "", bad, "WOKAPI0008E: "),
            (
                json,
                "{\"user\":\"root\"}",
                bad,
                "WOKAPI0008E: Parameters does not match requirement in schema: 'remote_host' is a required property",
            ),
            (json, "{}", bad, "WOKAPI0008E: "),
            (json, "[1]", bad, "WOKAPI0008E: "),
            (json, "{\"remote_host\":\"a\",\"x\":1}", bad, "WOKAPI0008E: "),
            (
                json,
                "{\"remote_host\":5}",
                bad,
                "KCHVM0060E: Destination host of the migration must be a string.",
            ),
            (
                json,
                "{\"remote_host\":\"kim-h2\",\"enable_rdma\":\"yes\"}",
                bad,
                "KCHVM0091E: 'enable_rdma' must be of type boolean (true or false).",
            ),
            (Some("text/plain"), "remote_host=kim-h2", "415 Unsupported Media Type", "WOKAPI0007E: "),
            (
                Some("application/x-www-form-urlencoded"),
                "remote_host=kim-h2",
                "415 Unsupported Media Type",
                "WOKAPI0007E: ",
            ),
            (None, "{\"remote_host\":5}", bad, "KCHVM0060E: "),
            (
                json,
                &"x".repeat(70_000),
                "413 Payload Too Large",
                "FERRYAPI0005E: The body is larger than 65536 bytes",
            ),
        ] {
            refused(&post(&served, &migrate, content_type, body).await, code, reason);
        }
        let no_body = served.ask(Request::post(&migrate).body(Body::empty()).unwrap()).await;
        refused(&no_body, "411 Length Required", "Client must specify Content-Length");
        for method in [Method::GET, Method::DELETE, Method::PUT] {
            let request = Request::builder().method(method).uri(&migrate).body(Body::empty()).unwrap();
            let answer = served.ask(request).await;
            refused(&answer, "405 Method Not Allowed", "Specified method is invalid for this resource");
            assert_eq!(answer.header("allow"), "POST");
        }
        for id in ["c2c69aa0-e5f8-11f1-8803-323bc59ced75", "nonsense", "%FF"] {
            let answer = served.get(&format!("{prefix}/tasks/{id}")).await;
            let reason =
                if id == "%FF" { "Nothing matches" } else { "WOKASYNC0001E: Unable to find task id: " };
            refused(&answer, "404 Not Found", reason);
        }
    }
    refused(&served.get("/plugins/kimchi/nothing").await, "404 Not Found", "Nothing matches the given URI");
}

#[tokio::test]
async fn tasks_have_exactly_four_keys() {
    let served = Served::new().await;
    let store = &served.app.store;
    let mut told = Vec::new();
    for (n, (state, status, message)) in [
        (TaskState::Queued, "running", "starting a migration"),
        (TaskState::Running, "running", "starting a migration"),
        (TaskState::Cancelling, "running", "starting a migration"),
        (TaskState::Done, "finished", "Migrate finished"),
        (
            TaskState::Failed,
            "failed",
            "KCHVM0058E: Failed to migrate virtual machine vm due error: it broke (code 38)",
        ),
        (TaskState::Cancelled, "killed", "Migrate cancelled"),
        (
            TaskState::NeedsAttention,
            "failed",
            "KCHVM0058E: Failed to migrate virtual machine vm due error: it broke (code 38)",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let mut new = new_task("vm");
        new.task.created_at_ms += n as u64;
        new.task.message = "it broke".to_owned();
        new.task.cause = Some("code 38".to_owned());
        store.create_task(&new).await.unwrap();
        let lease = store.lease(TaskId(new.task.id), "test", 0, 1).await.unwrap().unwrap();
        store.update(&lease, &with_state(&new.task, state)).await.unwrap();
        told.push(json!({
            "id": new.task.id.to_string(),
            "status": status,
            "message": message,
            "target_uri": "/plugins/kimchi/vms/vm/migrate",
        }));
    }
    for prefix in PREFIXES {
        let list = async |filter: &str| served.get(&format!("{prefix}/tasks{filter}")).await.json();
        assert_eq!(list("").await, json!(told), "oldest first");
        assert_eq!(list("?status=finished").await, json!([told[3]]));
        assert_eq!(list("?status=fini").await, json!([told[3]]), "a regular expression, from the beginning");
        assert_eq!(list("?status=inished").await, json!([]));
        assert_eq!(list("?target_uri=%5E/plugins/kimchi/vms/vm/migrate").await, json!(told));
        assert_eq!(list("?target_uri=%5E/plugins/kimchi/vms/other/migrate").await, json!([]));
        assert_eq!(list("?status=%5B").await, json!([]), "a wrong expression matches nothing");
        assert_eq!(list("?nonsense=1").await, json!([]));
        let id = told[4]["id"].as_str().unwrap();
        assert_eq!(served.get(&format!("{prefix}/tasks/{id}")).await.json(), told[4]);
    }
}
