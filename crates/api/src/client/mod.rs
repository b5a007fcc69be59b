//! A typed client of `ferryd`: one method per operation of `/api/v1`.
//!
//! * [`address`] – where `ferryd` is;
//! * [`error`] – what can go wrong, in words for a person;
//! * [`events`] – the event stream that mends itself.
//!
//! Every call opens a connection of its own and has a time limit ([`LIMIT`], or [`SLOW_LIMIT`] for those that make
//! `ferryd` talk to other hosts first); only the event stream has none. The methods need a Tokio runtime with time and
//! input/output enabled.

pub mod address;
pub mod error;
pub mod events;
mod sse;
mod transport;

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;
use zeroize::Zeroizing;

pub use self::address::{Address, AddressError};
pub use self::error::ClientError;
pub use self::events::{EventStream, Item, Retry};
use self::transport::Answer;
use crate::host::{Host, HostRequest};
use crate::plan::PlanReport;
use crate::preflight::{PreflightRequest, Report};
use crate::problem::Problem;
use crate::task::{MigrationRequest, ResolveRequest, Task, TaskChange, TaskQuery};
use crate::vm::{Vm, VmQuery};

/// Result of a call.
pub type Result<T, E = ClientError> = std::result::Result<T, E>;

/// Time limit of a call.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Time limit of the calls for which `ferryd` first asks other hosts, each of them with a limit of its own.
pub const SLOW_LIMIT: Duration = Duration::from_secs(90);

/// Largest answer that is read.
const ANSWER_LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// What stands in a path as it is (RFC 3986, unreserved); everything else is encoded.
const PATH_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A client of one `ferryd`. Cheap to make and to clone: nothing is connected until the first call.
#[derive(Clone, Debug)]
pub struct Client {
    address: Address,
    /// What shows who asks; marked as secret, so that it is in no output made for debugging.
    login: Option<HeaderValue>,
    limit: Duration,
    slow_limit: Duration,
    retry: Retry,
}

impl Client {
    /// A client of the `ferryd` at this address.
    #[must_use]
    pub fn new(address: Address) -> Self {
        Self { address, login: None, limit: LIMIT, slow_limit: SLOW_LIMIT, retry: Retry::default() }
    }

    /// A client of the `ferryd` at `unix:/run/ferry/ferry.sock` or `http://127.0.0.1:8070`.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn from_address(text: &str) -> Result<Self, AddressError> {
        text.parse().map(Self::new)
    }

    /// The same as this user of the machine that `ferryd` runs on: with every request goes the password (HTTP Basic). Only for an
    /// [`Address`] that is local: nothing is encrypted. A name with a colon in it is no name.
    #[must_use]
    pub fn with_login(mut self, user: &str, password: &str) -> Self {
        let both = Zeroizing::new(format!("{user}:{password}"));
        let value = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(both.as_bytes())));
        self.login = HeaderValue::from_str(&value).ok().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        self
    }

    /// The same with one time limit for every call.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        (self.limit, self.slow_limit) = (limit, limit);
        self
    }

    /// The same with another way to mend event streams.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Where `ferryd` is.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// All registered hosts.
    ///
    /// # Errors
    /// See [`ClientError`]; so for every other call.
    pub async fn hosts(&self) -> Result<Vec<Host>> {
        self.get("hosts").await
    }

    /// One registered host.
    ///
    /// # Errors
    /// A problem `unknown-host`, or any other [`ClientError`].
    pub async fn host(&self, name: &str) -> Result<Host> {
        self.get(&format!("hosts/{}", segment(name))).await
    }

    /// Registers a host.
    ///
    /// # Errors
    /// A problem: `host-key-unknown` (holds the fingerprint to confirm), `host-key-changed`, `access-denied`,
    /// `host-unreachable`, `host-exists`, `bad-value`; or any other [`ClientError`].
    pub async fn add_host(&self, request: &HostRequest) -> Result<Host> {
        self.post("hosts", Some(request), self.slow_limit).await
    }

    /// Forgets a host.
    ///
    /// # Errors
    /// A problem `unknown-host` or `host-busy`, or any other [`ClientError`].
    pub async fn remove_host(&self, name: &str, force: bool) -> Result<()> {
        let path = format!("hosts/{}{}", segment(name), if force { "?force=true" } else { "" });
        self.call(Method::DELETE, &path, None, self.limit).await.map(drop)
    }

    /// Virtual machines by filter.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn vms(&self, query: &VmQuery) -> Result<Vec<Vm>> {
        self.get(&self.query("vms", query)?).await
    }

    /// One virtual machine by its name or UUID; `host` where several have one of that name.
    ///
    /// # Errors
    /// A problem `unknown-vm` or `ambiguous-vm`, or any other [`ClientError`].
    pub async fn vm(&self, vm: &str, host: Option<&str>) -> Result<Vm> {
        let query = VmQuery { host: host.map(str::to_owned), state: None };
        self.get(&self.query(&format!("vms/{}", segment(vm)), &query)?).await
    }

    /// What a migration would do, without doing it.
    ///
    /// # Errors
    /// Any [`ClientError`]; a refusal by the checks holds everything they found.
    pub async fn plan(&self, request: &MigrationRequest) -> Result<PlanReport, ClientError> {
        self.post("migrations/plan", Some(request), self.slow_limit).await
    }

    /// Everything that stands against a migration, for each destination; nothing is changed.
    ///
    /// # Errors
    /// A problem: `unknown-vm`, `ambiguous-vm`, `unknown-host`, `bad-value`; or any other [`ClientError`].
    pub async fn check(&self, request: &PreflightRequest) -> Result<Vec<Report>> {
        self.post("preflight", Some(request), self.slow_limit).await
    }

    /// Starts a migration and gives its task as it was accepted.
    ///
    /// # Errors
    /// A problem: `refused-by-checks` (holds the findings), `already-migrating`, `unknown-vm`, `ambiguous-vm`,
    /// `unknown-host`, `host-unreachable`, `bad-value`; or any other [`ClientError`]. After [`ClientError::Timeout`] and
    /// [`ClientError::Broken`] it is not known whether the migration was started.
    pub async fn migrate(&self, request: &MigrationRequest) -> Result<Task> {
        self.post("migrations", Some(request), self.slow_limit).await
    }

    /// All migrations, newest first.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn migrations(&self) -> Result<Vec<Task>> {
        self.get("migrations").await
    }

    /// Tasks by filter.
    ///
    /// # Errors
    /// Any [`ClientError`].
    pub async fn tasks(&self, query: &TaskQuery) -> Result<Vec<Task>> {
        self.get(&self.query("tasks", query)?).await
    }

    /// One task.
    ///
    /// # Errors
    /// A problem `unknown-task`, or any other [`ClientError`].
    pub async fn task(&self, id: Uuid) -> Result<Task> {
        self.get(&format!("tasks/{id}")).await
    }

    /// Asks a task to stop; gives it as it is then, which need not be its end.
    ///
    /// # Errors
    /// A problem `unknown-task` or `too-late`, or any other [`ClientError`].
    pub async fn cancel(&self, id: Uuid) -> Result<Task> {
        self.post(&format!("tasks/{id}/cancel"), None::<&()>, self.limit).await
    }

    /// Changes the limit of the bandwidth of a migration under way; gives the task as it is then.
    ///
    /// # Errors
    /// A problem `unknown-task`, `too-late` or `bad-value`, or any other [`ClientError`].
    pub async fn change(&self, id: Uuid, change: &TaskChange) -> Result<Task> {
        let body = serde_json::to_vec(change).map_err(|error| self.protocol(error.to_string()))?;
        let answer = self.call(Method::PATCH, &format!("tasks/{id}"), Some(body), self.limit).await?;
        self.read(&answer)
    }

    /// Gives a person's decision on a task that needs attention.
    ///
    /// # Errors
    /// A problem `unknown-task` or `too-late`, or any other [`ClientError`].
    pub async fn resolve(&self, id: Uuid, request: &ResolveRequest) -> Result<Task> {
        self.post(&format!("tasks/{id}/resolve"), Some(request), self.slow_limit).await
    }

    /// The events after the one with the id `after` (0: from the first that is kept), of one task where given. Connects with
    /// the first call of [`EventStream::next`].
    #[must_use]
    pub fn events(&self, task: Option<Uuid>, after: i64) -> EventStream {
        EventStream::new(self.clone(), task, after)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let body = self.call(Method::GET, path, None, self.limit).await?;
        self.read(&body)
    }

    async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&B>,
        limit: Duration,
    ) -> Result<T> {
        let body = match body {
            Some(body) => Some(serde_json::to_vec(body).map_err(|error| self.protocol(error.to_string()))?),
            None => None,
        };
        let answer = self.call(Method::POST, path, body, limit).await?;
        self.read(&answer)
    }

    /// One call within its time limit; gives the body of a good answer.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        limit: Duration,
    ) -> Result<Bytes> {
        let exchange = async {
            let answer = self.send(method, path, "application/json", None, body).await?;
            self.body(answer).await
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::Timeout { address: self.address.clone(), limit }),
        }
    }

    /// Opens the stream of events; the time limit is for its head only.
    async fn open_events(&self, task: Option<Uuid>, after: i64, resume: bool) -> Result<Answer> {
        let task = task.map(|id| format!("task={id}&")).unwrap_or_default();
        let path = format!("events?{task}after={after}");
        let resume = resume.then(|| after.to_string());
        let opened = async {
            let answer = self.send(Method::GET, &path, "text/event-stream", resume.as_deref(), None).await?;
            if !answer.response.status().is_success() {
                self.body(answer).await?;
                return Err(self.protocol("the event stream was answered without a stream"));
            }
            match answer.response.headers().get(CONTENT_TYPE) {
                Some(kind) if kind.as_bytes().starts_with(b"text/event-stream") => Ok(answer),
                _ => Err(self.protocol("the event stream is not of type text/event-stream")),
            }
        };
        match tokio::time::timeout(self.limit, opened).await {
            Ok(result) => result,
            Err(_) => Err(ClientError::Timeout { address: self.address.clone(), limit: self.limit }),
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        resume: Option<&str>,
        body: Option<Vec<u8>>,
    ) -> Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{path}"))
            .header(HOST, self.address.authority())
            .header(USER_AGENT, concat!("ferry/", env!("CARGO_PKG_VERSION")))
            .header(ACCEPT, accept);
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(login) = &self.login {
            request = request.header(AUTHORIZATION, login);
        }
        if let Some(id) = resume {
            request = request.header("last-event-id", id);
        }
        let request = request
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| self.protocol(error.to_string()))?;
        transport::send(&self.address, request).await
    }

    /// Reads the whole body; an answer that is not good becomes an error.
    async fn body(&self, answer: Answer) -> Result<Bytes> {
        let status = answer.response.status();
        // `answer` as a whole must live on: with it the connection goes.
        let mut answer = answer;
        let body = Limited::new(answer.response.body_mut(), ANSWER_LIMIT_BYTES).collect().await;
        let body =
            body.map_err(|source| ClientError::Broken { address: self.address.clone(), source })?.to_bytes();
        if status.is_success() { Ok(body) } else { Err(self.refusal(status, &body)) }
    }

    fn refusal(&self, status: StatusCode, body: &[u8]) -> ClientError {
        if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
            return ClientError::Problem(Box::new(problem));
        }
        // A newer ferryd may know codes that this client does not; what it says is still worth showing.
        let detail = serde_json::from_slice::<serde_json::Value>(body)
            .ok()
            .and_then(|value| value.get("detail")?.as_str().map(str::to_owned));
        self.protocol(match detail {
            Some(detail) => format!("it answered {status}: {detail}"),
            None => format!("it answered {status} without saying why"),
        })
    }

    fn read<T: DeserializeOwned>(&self, body: &[u8]) -> Result<T> {
        serde_json::from_slice(body)
            .map_err(|error| self.protocol(format!("its answer cannot be read: {error}")))
    }

    /// The path with the filters that are set.
    fn query<Q: Serialize>(&self, path: &str, query: &Q) -> Result<String> {
        let query = serde_urlencoded::to_string(query).map_err(|error| self.protocol(error.to_string()))?;
        Ok(if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") })
    }

    fn protocol(&self, what: impl Into<String>) -> ClientError {
        ClientError::Protocol { address: self.address.clone(), what: what.into() }
    }
}

/// A text as one segment of a path.
fn segment(text: &str) -> String {
    utf8_percent_encode(text, PATH_SEGMENT).to_string()
}
