//! The event stream: nothing is lost, nothing comes twice.

use std::sync::Arc;
use std::time::Duration;

use api::event::Event;
use api::problem::Code;
use api::task::TaskState;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::Sse;
use ferryd::http::events::{Source, follow};
use ferryd::model::TaskId;
use ferryd::store::Lease;
use futures_util::{FutureExt, StreamExt};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

use crate::Served;
use crate::tasks::{new_task, with_state};

/// One message of a stream: its id, and its event where it has one.
type Message = (i64, Option<Event>);

/// A stream that is being read.
struct Reading {
    body: axum::body::BodyDataStream,
    text: String,
}

impl Reading {
    fn new(body: Body) -> Self {
        Self { body: body.into_data_stream(), text: String::new() }
    }

    /// The next message; none at the stream's end.
    async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some((message, rest)) = self.text.split_once("\n\n") {
                let (message, rest) = (message.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(read(&message));
            }
            let chunk = tokio::time::timeout(Duration::from_secs(10), self.body.next()).await.unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    /// The ids of the next `count` events.
    async fn ids(&mut self, count: usize) -> Vec<i64> {
        let mut ids = Vec::new();
        while ids.len() < count {
            let (id, event) = self.next().await.expect("the stream has ended");
            if let Some(event) = event {
                assert_eq!(event.id, id);
                ids.push(id);
            }
        }
        ids
    }

    /// Whether there is nothing to read now.
    async fn is_quiet(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(50), self.body.next()).await.is_err()
    }
}

fn read(message: &str) -> Message {
    let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name));
    let event = field("data: ").map(|data| {
        assert_eq!(field("event: "), Some("task"));
        serde_json::from_str(data).unwrap()
    });
    (field("id: ").unwrap().parse().unwrap(), event)
}

async fn open(served: &Served, path: &str, last: Option<&str>) -> Reading {
    let mut request = Request::get(path);
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let router = served.router(ferryd::http::Door::Socket);
    let answer = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    Reading::new(answer.into_body())
}

/// Two tasks with three events each, by turns: the first has the odd ids.
async fn two_tasks(served: &Served) -> [(Uuid, Lease); 2] {
    let store = &served.app.store;
    let news = [new_task("a"), new_task("b")];
    let mut tasks = Vec::new();
    for new in &news {
        store.create_task(new).await.unwrap();
        let lease = store.lease(TaskId(new.task.id), "test", 0, 1).await.unwrap().unwrap();
        tasks.push((new.task.id, lease));
    }
    for state in [TaskState::Running, TaskState::Cancelling] {
        for (new, (_, lease)) in news.iter().zip(&tasks) {
            store.update(lease, &with_state(&new.task, state)).await.unwrap();
        }
    }
    tasks.try_into().unwrap()
}

#[tokio::test]
async fn a_stream_begins_where_the_client_says() {
    let served = Served::new().await;
    let [(a, _), (b, _)] = two_tasks(&served).await;
    let all = "/api/v1/events?after=0";
    assert_eq!(open(&served, all, None).await.ids(6).await, [1, 2, 3, 4, 5, 6]);
    assert_eq!(open(&served, "/api/v1/events?after=4", None).await.ids(2).await, [5, 6]);
    assert_eq!(open(&served, all, Some("5")).await.ids(1).await, [6], "the header goes before the argument");
    assert_eq!(open(&served, all, Some("")).await.ids(1).await, [1], "an empty header is none");
    let of_a = format!("/api/v1/events?after=0&task={a}");
    assert_eq!(open(&served, &of_a, None).await.ids(3).await, [1, 3, 5]);
    let of_b = format!("/api/v1/events?after=3&task={b}");
    assert_eq!(open(&served, &of_b, None).await.ids(2).await, [4, 6]);
    let mut now = open(&served, "/api/v1/events", None).await;
    let (id, event) = now.next().await.unwrap();
    assert!(id == 6 && event.is_none(), "a new client is told from where to resume");
    assert!(now.is_quiet().await);
    let mut unknown = open(&served, &format!("/api/v1/events?after=0&task={}", Uuid::new_v4()), None).await;
    unknown.next().await.unwrap();
    assert!(unknown.is_quiet().await);
}

#[tokio::test]
async fn a_wrong_beginning_is_refused() {
    let served = Served::new().await;
    two_tasks(&served).await;
    for wrong in ["x", "-1", "7", "1.5", "99999999999999999999", "0x1", " ", "5, 6"] {
        let request =
            Request::get("/api/v1/events").header("last-event-id", wrong).body(Body::empty()).unwrap();
        served.ask(request).await.is_problem(Code::BadRequest, Some("Last-Event-ID"));
    }
    served.get("/api/v1/events?after=7").await.is_problem(Code::BadRequest, Some("after"));
}

#[tokio::test]
async fn events_come_as_they_are_stored_and_a_resumed_client_misses_none() {
    let served = Served::new().await;
    let [(a, lease), _] = two_tasks(&served).await;
    let newest = tokio::sync::watch::Sender::new(6);
    let source = Source {
        store: Arc::clone(&served.app.store),
        newest: newest.subscribe(),
        shutdown: CancellationToken::new(),
    };
    let open = |after, task| {
        let events = follow(source.clone(), after, task);
        Reading::new(Sse::new(events).into_response().into_body())
    };
    let mut reading = open(6, Some(TaskId(a)));
    assert_eq!(reading.next().await, Some((6, None)));
    assert!(reading.is_quiet().await);

    let task = served.app.store.task(TaskId(a)).await.unwrap().unwrap().task;
    for id in 7..300 {
        let event = served.app.store.update(&lease, &with_state(&task, TaskState::Running)).await.unwrap();
        assert_eq!(event.id, id);
        newest.send_replace(id);
    }
    assert_eq!(reading.ids(293).await, (7..300).collect::<Vec<_>>());
    // Told of what it has sent already: it stays quiet.
    newest.send_replace(299);
    assert!(reading.is_quiet().await);
    drop(reading);
    assert_eq!(open(150, None).ids(149).await, (151..300).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_ends_at_shutdown() {
    let served = Served::new().await;
    let mut reading = open(&served, "/api/v1/events?after=0", None).await;
    assert_eq!(reading.next().await, Some((0, None)));
    assert_eq!(reading.next().now_or_never(), None);
    served.app.shutdown.cancel();
    assert_eq!(reading.next().await, None);
}

#[tokio::test]
async fn a_quiet_stream_shows_that_it_lives() {
    let served = Served::new().await;
    let mut reading = open(&served, "/api/v1/events?after=0", None).await;
    reading.next().await.unwrap();
    assert!(reading.is_quiet().await);
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let chunk = reading.body.next().await.unwrap().unwrap();
    assert!(chunk.starts_with(b":"), "{chunk:?}");
    assert!(begun.elapsed() <= Duration::from_secs(15));
}
