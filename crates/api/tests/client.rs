//! The client against servers that behave badly.

#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

#[path = "support/server.rs"]
#[expect(dead_code, reason = "shared with the tests of the command line, which use more of it")]
mod server;

use std::io::{Read, Write};
use std::time::Duration;

use api::client::{Client, ClientError, EventStream, Item, Retry};
use api::event::Event;
use api::task::{Phase, Task, TaskKind, TaskState};
use uuid::Uuid;

use crate::server::{Reply, Server};

const EVENTS: &str = "GET /api/v1/events";

/// Waits as short as can be between tries; a quiet connection counts as dead soon.
const RETRY: Retry = Retry {
    tries: 3,
    first_wait: Duration::from_millis(1),
    longest_wait: Duration::from_millis(2),
    silence: Duration::from_millis(100),
};

fn client(server: &Server) -> Client {
    Client::from_address(&server.address()).unwrap().with_retry(RETRY)
}

fn event(id: i64) -> String {
    let task = Task {
        id: Uuid::from_u128(1),
        kind: TaskKind::Migration,
        state: TaskState::Running,
        phase: Phase::Copy,
        message: String::new(),
        cause: None,
        vm: "web1".to_owned(),
        vm_uuid: Uuid::from_u128(7),
        source: "kvm1".to_owned(),
        destination: "kvm2".to_owned(),
        made: None,
        created_at_ms: 1,
        updated_at_ms: 1,
        ended_at_ms: None,
        progress: None,
        bandwidth_mib_s: None,
        outcome: None,
        findings: vec![],
        choices: vec![],
        offers: vec![],
    };
    let event = Event { id, at_ms: 1, task_id: task.id, task };
    format!("id: {id}\r\nevent: task\r\ndata: {}\r\n\r\n", serde_json::to_string(&event).unwrap())
}

/// The ids of the events until the stream gives up, 0 for each loss, and why it gave up.
async fn drain(stream: &mut EventStream) -> (Vec<i64>, ClientError) {
    let mut ids = Vec::new();
    loop {
        match stream.next().await {
            Ok(Item::Event(event)) => ids.push(event.id),
            Ok(Item::Lost(_)) => ids.push(0),
            Err(error) => return (ids, error),
        }
    }
}

#[tokio::test]
async fn a_stream_gives_up_after_its_tries_and_can_be_begun_anew() {
    let server = Server::start([
        (EVENTS, Reply::events([event(1)])),
        (EVENTS, Reply::Nothing),
        (EVENTS, Reply::events([": nothing new\n\n".to_owned()])),
        (EVENTS, Reply::Nothing),
        (EVENTS, Reply::events([event(2)])),
    ]);
    let mut stream = client(&server).events(None, 0);
    let (ids, error) = drain(&mut stream).await;
    assert!(matches!(error, ClientError::Broken { .. }), "{error}");
    // One loss after the event, one after the connection that gave none.
    assert_eq!(ids, [1, 0, 0]);
    assert_eq!(server.lines().len(), 4);
    assert!(matches!(stream.next().await, Ok(Item::Event(event)) if event.id == 2));
}

#[tokio::test]
async fn a_silent_connection_counts_as_dead() {
    let (_feed, silent) = Reply::feed();
    let server = Server::start([(EVENTS, silent), (EVENTS, Reply::events([event(4)]))]);
    let mut stream = client(&server).events(None, 3);
    assert!(matches!(stream.next().await, Ok(Item::Lost(ClientError::Timeout { .. }))));
    assert!(matches!(stream.next().await, Ok(Item::Event(event)) if event.id == 4));
    assert_eq!(server.lines(), ["GET /api/v1/events?after=3", "GET /api/v1/events?after=3"]);
}

#[tokio::test]
async fn a_future_that_is_dropped_loses_nothing() {
    let (feed, reply) = Reply::feed();
    let server = Server::start([(EVENTS, reply)]);
    let mut stream = client(&server).with_retry(Retry::default()).events(None, 0);
    let text = event(1);
    let (first, second) = text.split_at(text.len() / 2);
    feed.send(first.to_owned()).unwrap();
    let half = tokio::time::timeout(Duration::from_millis(50), stream.next()).await;
    assert!(half.is_err());
    feed.send(second.to_owned()).unwrap();
    assert!(matches!(stream.next().await, Ok(Item::Event(event)) if event.id == 1));
    assert_eq!(server.lines().len(), 1);
}

#[tokio::test]
async fn what_is_no_stream_of_events_is_not_tried_again() {
    for reply in [
        Reply::Text(200, "application/json", "[]".to_owned()),
        Reply::Text(500, "text/plain", "x".to_owned()),
        Reply::events(["event: task\ndata: {}\n\n".to_owned()]),
        Reply::events(["data: \u{fffd}\n\n".to_owned()]),
    ] {
        let server = Server::start([(EVENTS, reply)]);
        let (ids, error) = drain(&mut client(&server).events(None, 0)).await;
        assert!(matches!(error, ClientError::Protocol { .. }), "{error}");
        assert_eq!((ids.len(), server.lines().len()), (0, 1));
    }
}

#[tokio::test]
async fn unknown_kinds_of_events_are_passed_over() {
    let server = Server::start([(EVENTS, Reply::events(["event: new\ndata: {}\n\n".to_owned(), event(1)]))]);
    assert!(matches!(client(&server).events(None, 0).next().await, Ok(Item::Event(event)) if event.id == 1));
}

#[tokio::test]
async fn a_call_has_a_time_limit() {
    let (_feed, silent) = Reply::feed();
    let server = Server::start([("GET /api/v1/hosts", silent)]);
    let error = client(&server).with_limit(Duration::from_millis(50)).hosts().await.unwrap_err();
    assert!(matches!(error, ClientError::Timeout { .. }), "{error}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn http_works_as_the_socket_does() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]").unwrap();
        String::from_utf8(request).unwrap()
    });
    let client = Client::from_address(&address).unwrap();
    assert_eq!(client.migrations().await.unwrap(), vec![]);
    let request = served.join().unwrap();
    assert!(request.starts_with("GET /api/v1/migrations HTTP/1.1\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nhost: {}\r\n", &address[7..])), "{request}");
    // Nobody listens there any more.
    let error = client.hosts().await.unwrap_err();
    assert!(error.to_string().starts_with("nothing listens at http://127.0.0.1:"), "{error}");
}
