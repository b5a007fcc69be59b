//! Whatever is wrong with a request is a problem document that names the field: never a 5xx.

use api::problem::Code::{
    self, BadRequest, BadValue, MethodNotAllowed, NoSuchRoute, TooLarge, TooLate, UnknownHost, UnknownTask,
    UnknownVm, UnsupportedMediaType,
};
use api::task::{Phase, Task, TaskState};
use axum::body::{Body, Bytes};
use axum::http::{Method, Request, StatusCode, header};

use ferryd::model::TaskId;

use crate::{Answer, Served};

const ID: &str = "01890000-0000-7000-8000-000000000000";

/// What takes a body: the address, a body that is right, a field of it that must be there, and a field's wrong value.
fn bodies() -> [(String, &'static str, &'static str, (&'static str, &'static str)); 3] {
    [
        (
            "/api/v1/hosts".to_owned(),
            r#"{"name":"a","uri":"qemu:///system"}"#,
            "uri",
            (r#"{"name":["a"],"uri":""}"#, "name"),
        ),
        (
            "/api/v1/migrations".to_owned(),
            r#"{"vm":"a","destination":"b"}"#,
            "destination",
            (r#"{"vm":"a","destination":"b","max_downtime_ms":"5"}"#, "max_downtime_ms"),
        ),
        (
            format!("/api/v1/tasks/{ID}/resolve"),
            r#"{"keep":"source"}"#,
            "keep",
            (r#"{"keep":"both"}"#, "keep"),
        ),
    ]
}

#[tokio::test]
async fn wrong_bodies() {
    let served = Served::new().await;
    for (path, good, required, (wrong, wrong_field)) in bodies() {
        let unknown = format!("{},\"nonsense\":1}}", good.trim_end_matches('}'));
        let twice = format!("{},{}", good.trim_end_matches('}'), &good[1..]);
        let huge = format!("{{\"{required}\":\"{}\"}}", "x".repeat(70_000));
        let first = good.split('"').nth(1);
        let table: [(Vec<u8>, Code, Option<&str>); 14] = [
            (b"".to_vec(), BadRequest, None),
            (b"  ".to_vec(), BadRequest, None),
            (b"{".to_vec(), BadRequest, None),
            (b"nonsense".to_vec(), BadRequest, None),
            (b"[]".to_vec(), BadRequest, None),
            (b"null".to_vec(), BadRequest, None),
            (b"\"x\"".to_vec(), BadRequest, None),
            (b"{\"\xff\":1}".to_vec(), BadRequest, None),
            (format!("{good}{good}").into_bytes(), BadRequest, None),
            (unknown.into_bytes(), BadRequest, Some("nonsense")),
            (twice.into_bytes(), BadRequest, first),
            (wrong.as_bytes().to_vec(), BadRequest, Some(wrong_field)),
            (huge.into_bytes(), TooLarge, None),
            (vec![b'['; 60_000], BadRequest, None),
        ];
        for (body, code, field) in table {
            served.post(&path, body).await.is_problem(code, field);
        }
        let missing: serde_json::Value = serde_json::from_str(good).unwrap();
        let mut missing = missing.as_object().unwrap().clone();
        missing.remove(required);
        let missing = serde_json::to_vec(&missing).unwrap();
        served.post(&path, missing).await.is_problem(BadRequest, Some(required));
    }
}

#[tokio::test]
async fn a_huge_body_without_a_length_is_not_read_to_its_end() {
    let served = Served::new().await;
    let endless =
        futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 4096])));
    served.post("/api/v1/hosts", Body::from_stream(endless)).await.is_problem(TooLarge, None);
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for() {
    let served = Served::new().await;
    tokio::time::pause();
    let silence = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    let problem = served.post("/api/v1/hosts", Body::from_stream(silence)).await.is_problem(BadRequest, None);
    assert!(problem.detail.contains("did not arrive"), "{}", problem.detail);
}

#[tokio::test]
async fn wrong_content_types() {
    let served = Served::new().await;
    for (path, good, ..) in bodies() {
        for kind in [
            None,
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
            Some("application/json; charset=utf-16"),
        ] {
            let mut request = Request::post(&path);
            if let Some(kind) = kind {
                request = request.header(header::CONTENT_TYPE, kind);
            }
            let answer = served.ask(request.body(Body::from(good)).unwrap()).await;
            answer.is_problem(UnsupportedMediaType, None);
        }
    }
}

#[tokio::test]
async fn a_body_where_none_is_taken() {
    let served = Served::new().await;
    let path = format!("/api/v1/tasks/{ID}/cancel");
    served.post(&path, r#"{"force":true}"#).await.is_problem(BadRequest, Some("force"));
    served.post(&path, "5").await.is_problem(BadRequest, None);
    served.post(&path, "x".repeat(70_000)).await.is_problem(TooLarge, None);
    for none in ["", "{}"] {
        assert_ne!(served.post(&path, none).await.status, StatusCode::BAD_REQUEST, "{none:?}");
    }
}

#[tokio::test]
async fn wrong_arguments() {
    let served = Served::new().await;
    for (path, code, field) in [
        ("/api/v1/vms?state=flying", BadRequest, Some("state")),
        ("/api/v1/vms?nonsense=1", BadRequest, Some("nonsense")),
        ("/api/v1/vms?host=a&host=b", BadRequest, Some("host")),
        ("/api/v1/vms?host=nope", UnknownHost, None),
        ("/api/v1/vms/a?nonsense=1", BadRequest, Some("nonsense")),
        ("/api/v1/tasks?active=maybe", BadRequest, Some("active")),
        ("/api/v1/tasks?state=", BadRequest, Some("state")),
        ("/api/v1/tasks?limit=5", BadRequest, Some("limit")),
        ("/api/v1/migrations?state=x", BadRequest, Some("state")),
        ("/api/v1/events?after=x", BadRequest, Some("after")),
        ("/api/v1/events?after=99999999999999999999", BadRequest, Some("after")),
        ("/api/v1/events?after=-1", BadRequest, Some("after")),
        ("/api/v1/events?after=1", BadRequest, Some("after")),
        ("/api/v1/events?task=5", BadRequest, Some("task")),
        ("/api/v1/events?since=5", BadRequest, Some("since")),
        ("/api/v1/tasks/5", BadRequest, Some("id")),
        ("/api/v1/tasks/01890000-0000-7000-8000-00000000000g", BadRequest, Some("id")),
        ("/api/v1/tasks/01890000-0000-7000-8000-000000000000", UnknownTask, None),
        ("/api/v1/hosts/%FF", BadRequest, Some("path")),
        ("/api/v1/hosts/nowhere", UnknownHost, None),
        ("/api/v1/hosts/..%2F..%2Fetc%2Fpasswd", UnknownHost, None),
        ("/api/v1/vms/ghost", UnknownVm, None),
        ("/api/v1", NoSuchRoute, None),
        ("/api/v1/nothing", NoSuchRoute, None),
        ("/api/v1/hosts/a/b", NoSuchRoute, None),
        ("/api/v1/hosts/", NoSuchRoute, None),
    ] {
        served.get(path).await.is_problem(code, field);
    }
    // Outside of it, in the inherited words.
    for path in ["/", "/api/v2/hosts", "//api/v1/hosts", "/nothing", "/vms/vm1/nothing/", "/tasks/a/b"] {
        let answer = served.get(path).await;
        let told = answer.json();
        assert_eq!(
            (answer.status, &told["reason"]),
            (StatusCode::NOT_FOUND, &"Nothing matches the given URI".into()),
            "{path}"
        );
    }
    for path in ["/api/v1/tasks/5/cancel", "/api/v1/tasks/5/resolve"] {
        served.post(path, r#"{"keep":"source"}"#).await.is_problem(BadRequest, Some("id"));
    }
}

#[tokio::test]
async fn ways_to_travel_that_exclude_each_other() {
    let served = Served::new().await;
    for (options, field) in [
        (r#""secure":true,"tls":true"#, "tls"),
        (r#""parallel":2,"compress":"xbzrle""#, "compress"),
        (r#""compress":"zstd""#, "compress"),
        (r#""parallel":0"#, "parallel"),
        (r#""via":"kvm2""#, "via"),
    ] {
        for path in ["/api/v1/migrations", "/api/v1/migrations/plan", "/api/v1/preflight"] {
            let body = format!(r#"{{"vm":"a","destination":"b",{options}}}"#);
            served.post(path, body).await.is_problem(BadValue, Some(field));
        }
    }
    for (wrong, field) in [(r#""parallel":256"#, "parallel"), (r#""compress":"lz4""#, "compress")] {
        let body = format!(r#"{{"vm":"a","destination":"b",{wrong}}}"#);
        served.post("/api/v1/migrations", body).await.is_problem(BadRequest, Some(field));
    }
}

#[tokio::test]
async fn a_limit_of_what_does_not_copy() {
    let served = Served::new().await;
    let patch = |id: String, body: &'static str| {
        let request =
            Request::patch(format!("/api/v1/tasks/{id}")).header(header::CONTENT_TYPE, "application/json");
        served.ask(request.body(Body::from(body)).unwrap())
    };
    patch(ID.to_owned(), r#"{"bandwidth_mib_s":5}"#).await.is_problem(UnknownTask, None);
    patch(ID.to_owned(), r#"{"bandwidth_mib_s":0}"#).await.is_problem(BadValue, Some("bandwidth_mib_s"));
    patch(ID.to_owned(), r#"{"bandwidth_mib_s":1000001}"#)
        .await
        .is_problem(BadValue, Some("bandwidth_mib_s"));
    patch(ID.to_owned(), "{}").await.is_problem(BadRequest, Some("bandwidth_mib_s"));
    let new = crate::tasks::new_task("web1");
    let store = &served.app.store;
    store.create_task(&new).await.unwrap();
    let lease = store.lease(TaskId(new.task.id), "one", 1_000, 2_000).await.unwrap().unwrap();
    for (phase, state) in [
        (Phase::SwitchOver, TaskState::Running),
        (Phase::Copy, TaskState::Cancelling),
        (Phase::Ended, TaskState::Done),
    ] {
        store.update(&lease, &Task { phase, state, ..new.task.clone() }).await.unwrap();
        patch(new.task.id.to_string(), r#"{"bandwidth_mib_s":5}"#).await.is_problem(TooLate, None);
    }
}

#[tokio::test]
async fn an_endless_argument_is_not_sent_back_whole() {
    let served = Served::new().await;
    for path in
        ["/api/v1/hosts/", "/api/v1/vms/", "/api/v1/tasks/", "/api/v1/vms?state=", "/api/v1/vms?", "/"]
    {
        let answer = served.get(&format!("{path}{}", "x".repeat(20_000))).await;
        assert!(answer.status.is_client_error(), "{path}: {answer:?}");
        assert!(answer.body.len() < 2_000, "{path}: {} bytes", answer.body.len());
    }
}

#[tokio::test]
async fn wrong_methods() {
    let served = Served::new().await;
    for (path, allowed) in [
        ("/api/v1/hosts".to_owned(), &["GET", "HEAD", "POST"][..]),
        ("/api/v1/hosts/a".to_owned(), &["GET", "HEAD", "DELETE"]),
        ("/api/v1/vms".to_owned(), &["GET", "HEAD"]),
        ("/api/v1/vms/a".to_owned(), &["GET", "HEAD"]),
        ("/api/v1/migrations".to_owned(), &["GET", "HEAD", "POST"]),
        ("/api/v1/tasks".to_owned(), &["GET", "HEAD"]),
        (format!("/api/v1/tasks/{ID}"), &["GET", "HEAD", "PATCH"]),
        (format!("/api/v1/tasks/{ID}/cancel"), &["POST"]),
        (format!("/api/v1/tasks/{ID}/resolve"), &["POST"]),
        ("/api/v1/openapi.json".to_owned(), &["GET", "HEAD"]),
        ("/api/v1/events".to_owned(), &["GET", "HEAD"]),
    ] {
        let of = |method: &str| Request::builder().method(method).uri(&path).body(Body::empty()).unwrap();
        let tells = |answer: &Answer| {
            let told: Vec<_> = answer.header("allow").split(',').map(str::to_owned).collect();
            assert!(allowed.iter().all(|method| told.iter().any(|it| it == method)), "{path}: {told:?}");
        };
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW"] {
            if allowed.contains(&method) {
                continue;
            }
            let answer = served.ask(of(method)).await;
            tells(&answer);
            if method == "HEAD" {
                assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
            } else {
                answer.is_problem(MethodNotAllowed, None);
            }
        }
        let options = served.ask(of(Method::OPTIONS.as_str())).await;
        assert_eq!(options.status, StatusCode::NO_CONTENT);
        tells(&options);
    }
    let options = Request::options("/api/v1/nothing").body(Body::empty()).unwrap();
    served.ask(options).await.is_problem(NoSuchRoute, None);
    let head = served.ask(Request::head("/api/v1/hosts").body(Body::empty()).unwrap()).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
}
