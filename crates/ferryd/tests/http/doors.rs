//! The socket and the loopback address.

use std::os::unix::fs::PermissionsExt;

use api::problem::Code;
use axum::body::Body;
use axum::http::Request;
use ferryd::http::Door;
use ferryd::http::listen::{self, ListenError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::{Answer, Served, ask};

#[tokio::test]
async fn the_socket_is_for_its_owner_and_group_and_answers() {
    let served = Served::new().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/ferry.sock");
    let listener = listen::unix(&path).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let shutdown = served.app.shutdown.clone();
    let serving = tokio::spawn(listen::serve(listener, served.router(Door::Socket), shutdown.clone()));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream
        .write_all(b"GET /api/v1/hosts HTTP/1.1\r\nHost: ferry\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    // A stream under way does not hold up the end.
    let mut events = UnixStream::connect(&path).await.unwrap();
    events.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: ferry\r\n\r\n").await.unwrap();
    assert!(events.read_u8().await.is_ok());
    shutdown.cancel();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stale_socket_is_replaced_a_living_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ferry.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listener = listen::unix(&path).await.unwrap();
    let refused = listen::unix(&path).await.unwrap_err();
    assert!(matches!(refused, ListenError::InUse(_)), "{refused}");
    assert!(UnixStream::connect(&path).await.is_ok(), "the living one is untouched");
    drop(listener);
    listen::unix(&path).await.unwrap();
}

#[tokio::test]
async fn what_is_no_socket_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for path in [&file, &link, &dir.path().to_path_buf()] {
        let refused = listen::unix(path).await.unwrap_err();
        assert!(matches!(refused, ListenError::NotASocket(_)), "{refused}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[tokio::test]
async fn the_loopback_address_refuses_foreign_pages() {
    let served = Served::new().await;
    let at = async |door, method: &str, path: &str, headers: &[(&str, &str)]| -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        ask(served.router(door), request.body(Body::empty()).unwrap()).await
    };
    let hosts = "/api/v1/hosts";
    let own = ("host", "127.0.0.1:8080");
    let root = ("authorization", "Basic cm9vdDpzZWNyZXQ=");
    assert_eq!(at(Door::Loopback, "GET", hosts, &[own, root]).await.status, 200);
    let rebound = at(Door::Loopback, "GET", hosts, &[("host", "evil.example:8080"), root]).await;
    rebound.is_problem(Code::Forbidden, None);
    assert_eq!(at(Door::Socket, "GET", hosts, &[("host", "evil.example:8080")]).await.status, 200);

    let page = [own, root, ("origin", "https://evil.example"), ("content-type", "text/plain")];
    for (method, path) in [
        ("POST", "/api/v1/migrations"),
        ("POST", "/api/v1/tasks/01890000-0000-7000-8000-000000000000/cancel"),
        ("DELETE", "/api/v1/hosts/a"),
        ("POST", "/plugins/kimchi/vms/a/migrate"),
        ("POST", "/vms/a/migrate"),
        ("POST", "/login"),
        ("POST", "/plugins/kimchi/logout"),
    ] {
        let refused = at(Door::Loopback, method, path, &page).await;
        if path.starts_with("/api/") {
            refused.is_problem(Code::Forbidden, None);
        } else {
            let reason = refused.json()["reason"].as_str().unwrap_or_default().to_owned();
            assert!(refused.status == 403 && reason.starts_with("WOKAPI0009E: "), "{path}: {reason}");
        }
    }
    let own_page = [own, root, ("origin", "http://127.0.0.1:8080")];
    let passed = at(Door::Loopback, "POST", "/api/v1/migrations", &own_page).await;
    passed.is_problem(Code::UnsupportedMediaType, None);
}
