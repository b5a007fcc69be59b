//! The doors, in this process where that is enough, and the program itself where it is not.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::sync::Arc;
use std::time::Duration;

use api::problem::{Code, MEDIA_TYPE, Problem};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use ferryd::access::{Access, Account, CheckFailed, PasswordCheck};
use ferryd::config::Config;
use ferryd::console::Consoles;
use ferryd::http::{AppState, Door, router};
use ferryd::inventory::Fleet;
use ferryd::migration::Migrations;
use ferryd::migration::debts::Sweeper;
use ferryd::ssh::{Secret, SshDir};
use ferryd::store::sqlite::SqliteStore;
use ferryd::store::{HostRecord, Store};
use ferryd::task::{Clock, Engine};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

#[path = "http/bad_input.rs"]
mod bad_input;
#[path = "http/doors.rs"]
mod doors;
#[path = "http/events.rs"]
mod events;
#[path = "http/kimchi.rs"]
mod kimchi;
#[path = "http/kimchi_faults.rs"]
mod kimchi_faults;
#[path = "http/kimchi_recorded.rs"]
mod kimchi_recorded;
#[path = "http/kimchi_snapshots.rs"]
mod kimchi_snapshots;
#[path = "http/kimchi_vms.rs"]
mod kimchi_vms;
#[path = "http/languages.rs"]
mod languages;
#[path = "http/login.rs"]
mod login;
#[path = "http/machines.rs"]
mod machines;
#[path = "http/openapi.rs"]
mod openapi;
#[path = "http/process.rs"]
mod process;
#[path = "support/recorded.rs"]
mod recorded;
#[path = "http/rights.rs"]
mod rights;
#[path = "store/suite.rs"]
#[allow(dead_code, reason = "the makers of tasks alone are used here")]
mod tasks;

/// Users without a system: root, ann who is a member of wheel, and joe, whose passwords are all `secret`. That of `mute` is not answered for.
struct Users;

impl PasswordCheck for Users {
    fn check(&self, name: &str, password: &Secret) -> Result<Option<Account>, CheckFailed> {
        let (uid, groups): (u32, &[&str]) = match name {
            "root" => (0, &["root"]),
            "ann" => (1000, &["ann", "wheel"]),
            "joe" => (1001, &["joe"]),
            "mute" => return Err(CheckFailed("it does not answer".to_owned())),
            _ => return Ok(None),
        };
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        let account = Account { name: name.to_owned(), uid, groups };
        Ok((password.reveal() == "secret").then_some(account))
    }
}

/// A `ferryd` without hosts, in this process.
struct Served {
    app: AppState,
    dir: tempfile::TempDir,
}

impl Served {
    async fn new() -> Self {
        Self::with_hosts(&[]).await
    }

    /// With these hosts.
    async fn with_hosts(hosts: &[HostRecord]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&dir.path().join("ferry.db")).await.unwrap());
        for host in hosts {
            store.add_host(host, 0).await.unwrap();
        }
        let clock = Clock::system();
        let ssh = Arc::new(SshDir::open(&dir.path().join("ssh")).unwrap());
        let limits = Config::default().link_limits();
        let fleet = Fleet::open(store.clone(), clock.clone(), ssh.clone(), limits).await.unwrap();
        let engine = Engine::new(store.clone(), clock, "test".to_owned());
        let sweeper = Sweeper::new(engine.clone(), store.clone(), Arc::new(|_| None));
        let limit = Duration::from_secs(1);
        let migrations = Migrations::new(fleet.clone(), engine.clone(), store.clone(), sweeper, limit);
        let shutdown = CancellationToken::new();
        let consoles = Arc::new(Consoles::new(fleet.clone(), ssh));
        let access = Access::new(Arc::new(Users), Config::default().admin_groups.0).unwrap();
        let app =
            AppState { fleet, migrations: Arc::new(migrations), consoles, engine, access, store, shutdown };
        Self { app, dir }
    }

    fn router(&self, door: Door) -> Router {
        router(self.app.clone(), door)
    }

    /// Asks at the socket.
    async fn ask(&self, request: Request<Body>) -> Answer {
        ask(self.router(Door::Socket), request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
        self.ask(request.body(body.into()).unwrap()).await
    }
}

/// A whole answer.
#[derive(Debug)]
struct Answer {
    asked: String,
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem document that this is, with this code and field.
    #[track_caller]
    fn is_problem(&self, code: Code, field: Option<&str>) -> Problem {
        let problem: Problem = serde_json::from_value(self.json()).unwrap();
        assert_eq!(problem.code, code, "{}: {problem:?}", self.asked);
        assert_eq!(self.status.as_u16(), code.status());
        assert_eq!((problem.status, problem.title.as_str()), (code.status(), code.title()));
        assert_eq!(problem.field.as_deref(), field, "{}: {problem:?}", self.asked);
        assert!(!problem.detail.is_empty());
        assert_eq!(self.header("content-type"), MEDIA_TYPE);
        problem
    }
}

async fn ask(router: Router, request: Request<Body>) -> Answer {
    let asked: String = format!("{} {}", request.method(), request.uri()).chars().take(120).collect();
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answer { asked, status: parts.status, headers: parts.headers, body }
}
