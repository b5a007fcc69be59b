//! The inherited `vms`, without hosts: what is refused, in which order, and what is published.

use api::task::TaskState;
use axum::body::Body;
use axum::http::Request;
use ferryd::model::TaskId;
use ferryd::store::HostRecord;
use serde_json::{Value, json};

use crate::recorded::{self, Exchange, Given};
use crate::tasks::{new_task, with_state};
use crate::{Answer, Served};

pub(crate) async fn ask(served: &Served, method: &str, path: &str, body: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(body) = body {
        request = request.header("content-length", body.len()).header("content-type", "application/json");
    }
    served.ask(request.body(Body::from(body.unwrap_or_default().to_owned())).unwrap()).await
}

async fn replay(served: &Served, exchange: &Exchange) {
    let mut request = Request::builder().method(exchange.method.as_str()).uri(&exchange.path);
    if let Some(body) = &exchange.body {
        let content_type = exchange.content_type.as_deref().unwrap_or("application/json");
        request = request.header("content-length", body.len()).header("content-type", content_type);
    }
    let body = Body::from(exchange.body.clone().unwrap_or_default());
    let answer = served.ask(request.body(body).unwrap()).await;
    let header = |name: &str| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    exchange.assert_kept(&Given { status: answer.status.as_u16(), header: &header, body: &answer.body });
}

#[tokio::test]
async fn what_was_recorded_and_needs_no_host_is_answered_as_it_was() {
    let served = Served::new().await;
    let all = recorded::all();
    for name in recorded::DO_NOTHING.iter().chain(&["32d-filter"]) {
        replay(&served, &all[*name]).await;
    }
    let capabilities = served.get("/plugins/kimchi/config/capabilities").await.json();
    let mut expected = all["33-config-capabilities"].answer.clone().unwrap();
    // Recorded with a host that answered; there is none here, and of none nothing is claimed.
    expected["libvirtd_running"] = json!(false);
    expected["libvirt_stream_protocols"] = json!([]);
    assert_eq!(capabilities, expected);
}

/// What tasks were recorded to tell, whatever they had come to. That a migration comes to it is the matter of tests with hosts.
const TOLD: &[&str] = &[
    "12-task-running",
    "13-task-finished",
    "40-already-running-on-dest-task",
    "40r1-already-running-on-dest-task",
    "40r2-already-running-on-dest-task",
    "41-already-defined-on-dest-task",
    "45-shutoff-again-task",
    "50a-simultaneous-first-task",
    "50b-simultaneous-second-task",
    "51f-task-end",
    "53-dest-killed-task",
    "54-source-libvirtd-killed-task",
    "60d-joe-task",
    "70a-shared-disk-task",
    "71-nonshared-disk-task",
    "71r-nonshared-disk-retry-task",
    "72a-shutoff-local-disk-task",
    "72b-shutoff-local-disk-retry-task",
];

#[tokio::test]
async fn tasks_are_told_as_they_were_and_stop_when_asked() {
    let served = Served::new().await;
    let store = &served.app.store;
    let running = new_task("vm1");
    store.create_task(&running).await.unwrap();
    let ended = new_task("vm1");
    store.create_task(&ended).await.unwrap();
    let lease = store.lease(TaskId(ended.task.id), "test", 0, 1).await.unwrap().unwrap();
    store.update(&lease, &with_state(&ended.task, TaskState::Done)).await.unwrap();

    let all = recorded::all();
    for name in TOLD {
        told_as_recorded(&served, &all[*name]).await;
    }
    for exchange in ["28f-task-list", "50c-tasks-after"] {
        replay(&served, &all[exchange]).await;
    }

    let path = |id: uuid::Uuid| format!("/plugins/kimchi/tasks/{id}");
    let cancelled = ask(&served, "DELETE", &path(running.task.id), None).await;
    assert_eq!((cancelled.status.as_u16(), cancelled.body.len()), (204, 0));
    assert!(store.task(TaskId(running.task.id)).await.unwrap().unwrap().cancel_requested);
    let too_late = ask(&served, "DELETE", &path(ended.task.id), None).await;
    assert_eq!((too_late.status.as_u16(), too_late.body.len()), (204, 0), "that it has ended is no fault");
    let unknown = ask(&served, "DELETE", &path(uuid::Uuid::nil()), None).await;
    refused(&unknown, "404 Not Found", "WOKASYNC0001E: Unable to find task id: ");
}

/// A task that came to what a recorded one came to is told in its words. That a migration comes to it is another test's matter.
async fn told_as_recorded(served: &Served, exchange: &Exchange) {
    let expected = exchange.answer.as_ref().unwrap();
    let uri = expected["target_uri"].as_str().unwrap();
    let vm = uri.strip_prefix("/plugins/kimchi/vms/").unwrap().strip_suffix("/migrate").unwrap();
    let state = match expected["status"].as_str().unwrap() {
        "running" => TaskState::Running,
        "finished" => TaskState::Done,
        "failed" => TaskState::Failed,
        other => panic!("{}: {other}", exchange.name),
    };
    let mut new = new_task(vm);
    let failed = format!("KCHVM0058E: Failed to migrate virtual machine {vm} due error: ");
    let said = expected["message"].as_str().unwrap();
    new.task.message = said.strip_prefix(&failed).unwrap_or("what is told in Ferry's own words").to_owned();
    new.task.vm_uuid = uuid::Uuid::new_v4();
    let store = &served.app.store;
    store.create_task(&new).await.unwrap();
    let lease = store.lease(TaskId(new.task.id), "test", 0, 1).await.unwrap().unwrap();
    store.update(&lease, &with_state(&new.task, state)).await.unwrap();
    let mut told = served.get(&format!("/plugins/kimchi/tasks/{}", new.task.id)).await.json();
    told["id"] = expected["id"].clone();
    assert_eq!(&told, expected, "{}", exchange.name);
}

#[track_caller]
pub(crate) fn refused(answer: &Answer, code: &str, reason: &str) {
    let body = answer.json();
    assert_eq!(body["code"], code, "{}: {body}", answer.asked);
    assert!(body["reason"].as_str().unwrap().starts_with(reason), "{}: {body}", answer.asked);
    assert_eq!(answer.header("content-type"), "application/json;charset=utf-8");
}

#[tokio::test]
async fn a_slash_at_the_end_changes_nothing() {
    let served = Served::new().await;
    for prefix in ["", "/plugins/kimchi"] {
        for (path, status) in
            [("/vms/", 200), ("/tasks/?status=running", 200), ("/vms/ghost/", 404), ("/vms//", 404)]
        {
            let answer = served.get(&format!("{prefix}{path}")).await;
            assert_eq!(answer.status.as_u16(), status, "{}: {}", answer.asked, answer.json());
        }
        refused(&served.get(&format!("{prefix}/vms/ghost/")).await, "404 Not Found", "KCHVM0002E: ");
    }
}

/// What is missing is told before what is wrong, and that before what is unknown.
#[tokio::test]
async fn of_several_faults_of_a_body_the_first_is_told() {
    let served = Served::new().await;
    let missing =
        "WOKAPI0008E: Parameters does not match requirement in schema: 'remote_host' is a required property";
    for (body, reason) in [
        (json!({ "user": 5 }), missing),
        (json!({ "x": 1 }), missing),
        (json!({ "remote_host": "h", "a": 1, "user": 5 }), "KCHVM0059E: "),
        (json!({ "remote_host": "h", "a": 1 }), "WOKAPI0008E: "),
    ] {
        let answer = ask(&served, "POST", "/vms/ghost/migrate", Some(&body.to_string())).await;
        refused(&answer, "400 Bad Request", reason);
    }
    for (body, reason) in [
        (json!({ "cpu_info": 5 }), "KCHCPUINF0008E: "),
        (json!({ "cpu_info": { "x": 1 } }), "KCHCPUINF0008E: "),
        // No XML can hold these.
        (json!({ "title": "\u{ffff}" }), "KCHVM0085E: "),
        (json!({ "description": "\u{fffe}" }), "KCHVM0086E: "),
        (json!({ "name": "a\u{ffff}" }), "KCHVM0011E: "),
        (json!({ "users": ["\u{fffe}"] }), "KCHVM0024E: "),
    ] {
        let answer = ask(&served, "PUT", "/vms/ghost", Some(&body.to_string())).await;
        refused(&answer, "400 Bad Request", reason);
    }
}

/// Method, body that cannot be read, body that does not fit, thing that is not there: whichever comes first is told.
#[tokio::test]
async fn of_several_faults_the_first_is_told() {
    let served = Served::new().await;
    for prefix in ["", "/plugins/kimchi"] {
        let vm = format!("{prefix}/vms/ghost");
        for action in ["start", "poweroff", "shutdown", "reset", "suspend", "resume", "clone"] {
            let path = format!("{vm}/{action}");
            for method in ["GET", "PUT", "DELETE"] {
                refused(
                    &ask(&served, method, &path, None).await,
                    "405 Method Not Allowed",
                    "Specified method",
                );
            }
            refused(&ask(&served, "POST", &path, Some("{")).await, "400 Bad Request", "WOKAPI0006E: ");
            refused(&ask(&served, "POST", &path, Some("[]")).await, "400 Bad Request", "WOKAPI0008E: ");
            for body in [None, Some(""), Some("{}")] {
                refused(&ask(&served, "POST", &path, body).await, "404 Not Found", "KCHVM0002E: ");
            }
        }
        for (body, code, reason) in [
            (None, "411 Length Required", "Client must"),
            (Some("{"), "400 Bad Request", "WOKAPI0006E: "),
            (Some("{\"nonsense\":1}"), "400 Bad Request", "WOKAPI0008E: "),
            (Some("{\"name\":\"a/b\"}"), "400 Bad Request", "KCHVM0011E: "),
            (Some("{\"users\":[5]}"), "400 Bad Request", "KCHVM0024E: User name must be a string"),
            (Some("{\"title\":\"x\"}"), "404 Not Found", "KCHVM0002E: Virtual machine ghost does not exist"),
        ] {
            refused(&ask(&served, "PUT", &vm, body).await, code, reason);
        }
        refused(
            &ask(&served, "DELETE", &format!("{vm}?disks="), None).await,
            "400 Bad Request",
            "WOKAPI0008E: ",
        );
        for path in [vm.clone(), format!("{vm}?host=nowhere"), format!("{vm}?disks=all&nvram=true")] {
            refused(&ask(&served, "DELETE", &path, None).await, "404 Not Found", "KCHVM0002E: ");
        }
        let vms = format!("{prefix}/vms");
        for (body, code, reason) in [
            (None, "411 Length Required", "Client must"),
            (Some("{"), "400 Bad Request", "WOKAPI0006E: "),
            (Some("{}"), "400 Bad Request", "WOKAPI0008E: "),
            (Some("{\"name\":\"a\",\"memory\":0}"), "400 Bad Request", "KCHTMPL0013E: "),
            (Some("{\"name\":\"a\",\"memory\":64}"), "409 Conflict", "KCHVM0007E: "),
        ] {
            refused(&ask(&served, "POST", &vms, body).await, code, reason);
        }
        let (nowhere, least) = (format!("{vms}?host=no"), "{\"name\":\"a\",\"memory\":64}");
        refused(&ask(&served, "POST", &nowhere, Some(least)).await, "404 Not Found", "KCHVM0007E: ");
        refused(&ask(&served, "PUT", &vms, Some("{}")).await, "405 Method Not Allowed", "");
    }
}

/// A machine that is on no host that answers may be on one that does not.
#[tokio::test]
async fn a_machine_that_may_be_on_a_silent_host_is_not_said_to_be_missing() {
    let uri = "qemu+tcp://127.0.0.1:1/system".to_owned();
    let silent = HostRecord { name: "kvm1".to_owned(), uri, peer_uri: None, migrate_via: None };
    let served = Served::with_hosts(&[silent]).await;
    for prefix in ["", "/plugins/kimchi"] {
        let vm = format!("{prefix}/vms/ghost");
        for (method, path, body) in [
            ("GET", vm.clone(), None),
            ("PUT", vm.clone(), Some("{\"title\":\"x\"}")),
            ("DELETE", vm.clone(), None),
            ("POST", format!("{vm}/start"), Some("{}")),
            ("POST", format!("{vm}/clone"), Some("{}")),
            ("POST", format!("{vm}/migrate"), Some("{\"remote_host\":\"127.0.0.1\"}")),
            ("GET", format!("{vm}/snapshots"), None),
            ("GET", format!("{vm}/screenshot"), None),
        ] {
            let answer = ask(&served, method, &path, body).await;
            refused(&answer, "503 Service Unavailable", "KCHVM0009E: ");
        }
    }
}

#[tokio::test]
async fn what_is_seen_of_machines_is_refused_for_the_first_fault() {
    let served = Served::new().await;
    for prefix in ["", "/plugins/kimchi"] {
        let vm = format!("{prefix}/vms/ghost");
        let picture = ask(&served, "GET", &format!("{vm}/screenshot"), None).await;
        refused(&picture, "404 Not Found", "KCHVM0002E: ");
        for action in ["serial", "connect"] {
            let path = format!("{vm}/{action}");
            refused(&ask(&served, "GET", &path, None).await, "405 Method Not Allowed", "Specified method");
            refused(&ask(&served, "POST", &path, Some("{")).await, "400 Bad Request", "WOKAPI0006E: ");
            refused(&ask(&served, "POST", &path, Some("[]")).await, "400 Bad Request", "WOKAPI0008E: ");
            for body in [None, Some(""), Some("{}")] {
                refused(&ask(&served, "POST", &path, body).await, "404 Not Found", "KCHVM0002E: ");
            }
        }
        let console = ask(&served, "GET", &format!("{vm}/console?ticket=x"), None).await;
        refused(&console, "400 Bad Request", "FERRYVM0001E: ");
    }
}

/// Over a real connection: only there a request can be upgraded.
#[tokio::test]
async fn a_console_opens_to_its_ticket_alone() {
    let served = Served::new().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ferry.sock");
    let listener = ferryd::http::listen::unix(&path).await.unwrap();
    let shutdown = served.app.shutdown.clone();
    let router = served.router(ferryd::http::Door::Loopback);
    let serving = tokio::spawn(ferryd::http::listen::serve(listener, router, shutdown.clone()));
    let open = async |origin: Option<&str>, query: &str| {
        let address = format!("ws://127.0.0.1:8080/plugins/kimchi/vms/ghost/console{query}");
        let mut request =
            tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(address).unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        let stream = tokio::net::UnixStream::connect(&path).await.unwrap();
        match tokio_tungstenite::client_async(request, stream).await {
            Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => {
                (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap().to_owned())
            }
            other => panic!("{other:?}"),
        }
    };
    let by_the_ticket = (403, "application/json;charset=utf-8".to_owned());
    for query in ["", "?ticket=", "?ticket=0123456789abcdef", "?ticket=%00", "?ticket=%ff"] {
        assert_eq!(open(None, query).await, by_the_ticket, "{query}");
        assert_eq!(open(Some("http://127.0.0.1:8080"), query).await, by_the_ticket, "{query}");
    }
    let foreign = open(Some("http://evil.example"), "?ticket=x").await;
    assert_eq!(foreign, by_the_ticket, "before the ticket is looked at");
    shutdown.cancel();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn schemas_and_description_are_published_and_true() {
    let served = Served::new().await;
    let document = served.get("/plugins/kimchi/openapi.json").await.json();
    let schemas = served.get("/plugins/kimchi/schemas").await.json();
    for (name, schema) in schemas.as_object().unwrap() {
        let mut published = schema.clone();
        published.as_object_mut().unwrap().remove("$schema").unwrap();
        assert_eq!(document["components"]["schemas"][name], published);
    }
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let methods = item.as_object().unwrap().keys().filter(|key| *key != "parameters");
        for method in methods {
            let filled = path
                .replace("{name}", "ghost")
                .replace("{id}", "ghost")
                .replace("{snapshot}", "ghost")
                .replace("{device}", "ghost");
            let filled = format!("/plugins/kimchi{filled}");
            let answer = ask(&served, &method.to_uppercase(), &filled, Some("{}")).await;
            let told = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(
                !told.contains("Nothing matches") && !told.contains("Specified method"),
                "{method} {path}: {told}"
            );
            let status = answer.status.as_u16().to_string();
            assert!(
                item[method]["responses"][&status].is_object(),
                "{method} {path}: {status} is not described"
            );
            let body = &item[method]["requestBody"]["content"]["application/json"]["schema"]["$ref"];
            if let Some(body) = body.as_str() {
                let name = body.rsplit('/').next().unwrap();
                assert!(schemas[name].is_object(), "{method} {path}: {name} is not published");
            }
            operations += 1;
        }
    }
    assert_eq!(operations, 36);
    every_reference_leads_somewhere(&document, &document);
}

fn every_reference_leads_somewhere(document: &Value, value: &Value) {
    match value {
        Value::Object(object) => {
            if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
                assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            }
            object.values().for_each(|value| every_reference_leads_somewhere(document, value));
        }
        Value::Array(array) => {
            array.iter().for_each(|value| every_reference_leads_somewhere(document, value))
        }
        _ => {}
    }
}
