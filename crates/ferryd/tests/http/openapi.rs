//! The description of the API is true of it.

use std::collections::BTreeSet;

use api::problem::{Code, MEDIA_TYPE};
use axum::body::Body;
use axum::http::Request;
use serde_json::Value;

use crate::Served;

const ROUTES: &[(&str, &str)] = &[
    ("delete", "/api/v1/hosts/{name}"),
    ("get", "/api/v1/events"),
    ("get", "/api/v1/hosts"),
    ("get", "/api/v1/hosts/{name}"),
    ("get", "/api/v1/migrations"),
    ("get", "/api/v1/openapi.json"),
    ("get", "/api/v1/tasks"),
    ("get", "/api/v1/tasks/{id}"),
    ("get", "/api/v1/vms"),
    ("get", "/api/v1/vms/{vm}"),
    ("patch", "/api/v1/tasks/{id}"),
    ("post", "/api/v1/hosts"),
    ("post", "/api/v1/migrations"),
    ("post", "/api/v1/migrations/plan"),
    ("post", "/api/v1/preflight"),
    ("post", "/api/v1/tasks/{id}/cancel"),
    ("post", "/api/v1/tasks/{id}/resolve"),
];

/// Every operation of the document: method, path, operation.
fn operations(document: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, it)| (method.as_str(), path.as_str(), it))
        })
        .collect()
}

async fn document(served: &Served) -> Value {
    let answer = served.get("/api/v1/openapi.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json()
}

#[tokio::test]
async fn it_lists_every_route_and_every_route_is_there() {
    let served = Served::new().await;
    let document = document(&served).await;
    let listed: BTreeSet<_> =
        operations(&document).iter().map(|(method, path, _)| (*method, *path)).collect();
    assert_eq!(listed, ROUTES.iter().copied().collect::<BTreeSet<_>>());
    for (method, path) in ROUTES {
        let filled = path.replace("{id}", "01890000-0000-7000-8000-000000000000").replace(['{', '}'], "");
        let request = Request::builder().method(method.to_uppercase().as_str()).uri(filled);
        let router = served.router(ferryd::http::Door::Socket);
        // Only the head: one of them is an endless stream.
        let answer = tower::ServiceExt::oneshot(router, request.body(Body::empty()).unwrap()).await.unwrap();
        assert_ne!(answer.status().as_u16(), Code::MethodNotAllowed.status(), "{method} {path}");
        if answer.status().as_u16() == 404 {
            let body = axum::body::to_bytes(answer.into_body(), 9999).await.unwrap();
            assert!(!String::from_utf8_lossy(&body).contains("no-such-route"), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn every_operation_is_described_whole() {
    let served = Served::new().await;
    let document = document(&served).await;
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let told = format!("{method} {path}");
        assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{told}: its id is another's too");
        assert!(operation["summary"].is_string(), "{told}: no summary");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{told}: no good answer");
        for (status, response) in responses {
            assert!(!response["description"].as_str().unwrap().is_empty(), "{told} {status}");
            let problem = &response["content"][MEDIA_TYPE]["schema"]["$ref"];
            assert_eq!(
                *problem == "#/components/schemas/Problem",
                !status.starts_with('2'),
                "{told} {status}"
            );
        }
        for status in ["401", "403", "405", "500", "503"] {
            assert!(responses.contains_key(status), "{told}: {status} is missing");
        }
        let declared: BTreeSet<_> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let used: BTreeSet<_> = path.split(['{', '}']).skip(1).step_by(2).collect();
        assert_eq!(declared, used, "{told}");
    }
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| walk(value, found));
            }
            Value::Array(array) => array.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let served = Served::new().await;
    let document = document(&served).await;
    let mut found = Vec::new();
    walk(&document, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let codes = &document["components"]["schemas"]["Code"]["enum"];
    let codes: Vec<_> = codes.as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    assert_eq!(
        codes,
        Code::ALL.iter().map(|code| code.as_str()).collect::<Vec<_>>(),
        "as they stand in answers"
    );
}
