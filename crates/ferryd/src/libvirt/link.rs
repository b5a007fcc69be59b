//! The connections to one host.
//!
//! ```text
//!   Connecting ──opened──▶ Up ──closed (keep-alive, daemon gone)──▶ Down ──┐
//!        ▲                                                            │    │ after a pause, or when someone asks
//!        └────────────────────────────────────────────────────────────┴────┘
//! ```
//! Invariants: libvirt is never called on an async thread; every call has a limit; a call that ran out of time goes on in
//! its thread until libvirt answers, and at most [`MAX_PENDING`] such threads exist per host, and as many of calls that go apart
//! within a limit, so that a host that does not answer costs only the requests that ask for it.
//!
//! On one connection only one call is under way at a time; the others wait for their turn. A libvirt client before 10.4
//! (CVE-2024-4418; Debian 12 has 9.0 without the fix) brings its whole process down when a connection dies while several
//! threads wait on it: the first leaves an event source behind that points into its stack, and the next one runs it.

mod apart;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, broadcast, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use virt::connect::Connect;

use self::apart::open_long;
use super::error::{HostError, LibvirtError};
use super::ffi::{EventedConnect, RawEvent};
use super::translate;
use crate::model::DomainUuid;
use crate::model::domain::DomainEvent;
use crate::ssh::ConnectUris;

/// Calls to one host that may be under way at once.
const MAX_PENDING: usize = 32;
/// Pause before a host that could not be reached is tried again, unless someone asks for it.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// Limits of a link.
#[derive(Clone, Copy, Debug)]
pub struct LinkLimits {
    /// To open a connection.
    pub connect: Duration,
    /// For one call.
    pub call: Duration,
    /// Seconds between keep-alive probes.
    pub keep_alive_s: u32,
    /// Probes without an answer until the connection counts as lost.
    pub keep_alive_count: u32,
}

/// Whether a host is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The first connection is being made.
    Connecting,
    /// Connected.
    Up,
    /// Not connected, and what libvirt or ssh said.
    Down(String),
}

/// The connections to one host, and the task that keeps them.
#[derive(Debug)]
pub struct Link {
    host: String,
    limits: LinkLimits,
    inner: Arc<Inner>,
    keeper: JoinHandle<()>,
}

#[derive(Debug)]
struct Inner {
    uris: ConnectUris,
    state: watch::Sender<LinkState>,
    main: Mutex<Option<Arc<MainConnection>>>,
    long: Mutex<Vec<LongConnection>>,
    events: broadcast::Sender<(DomainUuid, DomainEvent)>,
    pending: Arc<Semaphore>,
    /// Turns of the calls that go apart from the open connection, within a limit.
    apart: Arc<Semaphore>,
    wanted: Notify,
}

/// The connection for short calls and events.
#[derive(Debug)]
struct MainConnection {
    connect: EventedConnect,
    turn: Arc<Semaphore>,
}

/// A connection for calls that last.
#[derive(Debug)]
struct LongConnection {
    connect: Connect,
    turn: Arc<Semaphore>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The data behind these locks is replaced as a whole, so a panic elsewhere cannot leave it half-changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// Begins to connect and keeps connected. `uris` are as libvirt opens them.
    #[must_use]
    pub fn start(host: &str, uris: ConnectUris, limits: LinkLimits) -> Self {
        let inner = Arc::new(Inner {
            uris,
            state: watch::Sender::new(LinkState::Connecting),
            main: Mutex::new(None),
            long: Mutex::new(Vec::new()),
            events: broadcast::Sender::new(1024),
            pending: Arc::new(Semaphore::new(MAX_PENDING)),
            apart: Arc::new(Semaphore::new(MAX_PENDING)),
            wanted: Notify::new(),
        });
        let keeper = tokio::spawn(keep(host.to_owned(), inner.clone(), limits));
        Self { host: host.to_owned(), limits, inner, keeper }
    }

    /// The registered name of the host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> LinkLimits {
        self.limits
    }

    /// Follows the connection's state.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<LinkState> {
        self.inner.state.subscribe()
    }

    /// Follows the host's events.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<(DomainUuid, DomainEvent)> {
        self.inner.events.subscribe()
    }

    /// Tells those who follow the events of something that libvirt has no event for.
    pub fn tell(&self, domain: DomainUuid, event: DomainEvent) {
        // An error only says that nobody listens.
        let _ = self.inner.events.send((domain, event));
    }

    /// Waits until the host is connected, asking for an attempt now if it is not, at most `limit`.
    ///
    /// # Errors
    /// [`HostError::Unreachable`] with what the attempt said.
    pub async fn ready(&self, limit: Duration) -> Result<(), HostError> {
        let mut state = self.state();
        if *state.borrow_and_update() == LinkState::Up {
            return Ok(());
        }
        self.inner.wanted.notify_one();
        let answered = tokio::time::timeout(limit, async {
            loop {
                // The first "down" seen may be an old one: wait for what the attempt that was asked for comes to.
                if state.changed().await.is_err() {
                    return Err(self.unreachable("the host was removed"));
                }
                match &*state.borrow_and_update() {
                    LinkState::Up => return Ok(()),
                    LinkState::Down(reason) => return Err(self.unreachable(reason)),
                    LinkState::Connecting => {}
                }
            }
        });
        match answered.await {
            Ok(answer) => answer,
            Err(_) => {
                let reason = match &*self.inner.state.borrow() {
                    LinkState::Down(reason) => reason.clone(),
                    _ => format!("no connection within {} s", limit.as_secs_f32()),
                };
                Err(self.unreachable(&reason))
            }
        }
    }

    fn unreachable(&self, reason: &str) -> HostError {
        HostError::Unreachable { host: self.host.clone(), reason: reason.to_owned() }
    }

    fn admit(&self) -> Result<OwnedSemaphorePermit, HostError> {
        self.inner
            .pending
            .clone()
            .try_acquire_owned()
            .map_err(|_| self.unreachable(&format!("{MAX_PENDING} calls are waiting for its answer already")))
    }

    /// Makes one call on the open connection, on a thread of its own, within the default limit.
    ///
    /// # Errors
    /// No connection, no answer in time, or what libvirt says.
    pub async fn call<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Connect) -> Result<T, LibvirtError> + Send + 'static,
    ) -> Result<T, HostError> {
        self.call_within(name, self.limits.call, work).await
    }

    /// The same within `limit`.
    ///
    /// # Errors
    /// No connection, no answer in time, or what libvirt says.
    pub async fn call_within<T: Send + 'static>(
        &self,
        name: &'static str,
        limit: Duration,
        work: impl FnOnce(&Connect) -> Result<T, LibvirtError> + Send + 'static,
    ) -> Result<T, HostError> {
        let Some(main) = lock(&self.inner.main).clone() else {
            let reason = match &*self.inner.state.borrow() {
                LinkState::Down(reason) => reason.clone(),
                _ => "the connection is being made".to_owned(),
            };
            return Err(self.unreachable(&reason));
        };
        let deadline = Instant::now() + limit;
        let timed_out = || HostError::timed_out(&self.host, name, limit);
        let Ok(turn) = tokio::time::timeout_at(deadline, main.turn.clone().acquire_owned()).await else {
            return Err(timed_out());
        };
        let permit = self.admit()?;
        let job = tokio::task::spawn_blocking(move || {
            let answer = work(main.connect.connect());
            drop((permit, turn));
            // Perhaps the last handle: closing may block, so it happens on this thread.
            drop(main);
            answer
        });
        match tokio::time::timeout_at(deadline, job).await {
            Ok(joined) => self.answer(name, joined),
            Err(_) => Err(timed_out()),
        }
    }

    fn answer<T>(
        &self,
        call: &'static str,
        joined: Result<Result<T, LibvirtError>, tokio::task::JoinError>,
    ) -> Result<T, HostError> {
        match joined {
            Ok(answer) => {
                answer.map_err(|source| HostError::Libvirt { host: self.host.clone(), call, source })
            }
            Err(error) => Err(self.unreachable(&format!("the call \"{call}\" was broken off: {error}"))),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.keeper.abort();
        let main = lock(&self.inner.main).take();
        let long = std::mem::take(&mut *lock(&self.inner.long));
        close_elsewhere((main, long));
    }
}

/// Closing a connection talks to the host and may block: on a thread of its own.
fn close_elsewhere<T: Send + 'static>(connections: T) {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(move || drop(connections))),
        Err(_) => drop(connections),
    }
}

fn open(uri: &str, limits: LinkLimits) -> Result<Connect, LibvirtError> {
    let connect = Connect::open(Some(uri))?;
    // Where the driver has no keep-alive (a local connection without a daemon) there is nothing to keep alive.
    let interval = i32::try_from(limits.keep_alive_s).unwrap_or(5);
    if let Err(error) = connect.set_keep_alive(interval, limits.keep_alive_count) {
        tracing::debug!(%error, "no keep-alive");
    }
    Ok(connect)
}

fn open_evented(
    uri: &str,
    limits: LinkLimits,
    events: broadcast::Sender<(DomainUuid, DomainEvent)>,
    closed: mpsc::UnboundedSender<i32>,
) -> Result<EventedConnect, LibvirtError> {
    let listener = Box::new(move |raw| {
        if let RawEvent::Closed { reason } = raw {
            // The keeper may be gone already; then nobody needs to know.
            let _ = closed.send(reason);
        } else if let Some(event) = translate::event(raw) {
            // An error only says that nobody listens.
            let _ = events.send(event);
        }
    });
    EventedConnect::new(open(uri, limits)?, listener)
}

/// Opens the connection, waits for its end, opens it again; for ever.
async fn keep(host: String, inner: Arc<Inner>, limits: LinkLimits) {
    loop {
        let (closed, mut closing) = mpsc::unbounded_channel();
        match connect_once(&inner, limits, closed).await {
            Ok(connect) => {
                let turn = Arc::new(Semaphore::new(1));
                *lock(&inner.main) = Some(Arc::new(MainConnection { connect, turn }));
                inner.state.send_replace(LinkState::Up);
                tracing::info!(host, "connected");
                // Made ahead of the first migration, which would otherwise wait for it.
                if let Err(reason) = open_long(&inner, limits).await {
                    tracing::debug!(host, reason, "no second connection yet");
                }
                let reason = closing.recv().await;
                tracing::warn!(host, ?reason, "the connection was lost");
                let main = lock(&inner.main).take();
                let long = std::mem::take(&mut *lock(&inner.long));
                close_elsewhere((main, long));
                inner.state.send_replace(LinkState::Down("the connection was lost".to_owned()));
            }
            Err(reason) => {
                if inner.state.send_replace(LinkState::Down(reason.clone()))
                    != LinkState::Down(reason.clone())
                {
                    tracing::warn!(host, reason, "not reachable");
                }
                // Woken early when somebody asks for this host.
                let _ = tokio::time::timeout(RETRY_PAUSE, inner.wanted.notified()).await;
            }
        }
    }
}

async fn connect_once(
    inner: &Arc<Inner>,
    limits: LinkLimits,
    closed: mpsc::UnboundedSender<i32>,
) -> Result<EventedConnect, String> {
    let (uri, events) = (inner.uris.control.clone(), inner.events.clone());
    let mut opening = tokio::task::spawn_blocking(move || open_evented(&uri, limits, events, closed));
    let joined = match tokio::time::timeout(limits.connect, &mut opening).await {
        Ok(joined) => joined,
        Err(_) => {
            let reason = format!("no answer within {} s", limits.connect.as_secs_f32());
            inner.state.send_replace(LinkState::Down(reason));
            // Never a second attempt beside one that hangs: they would pile up.
            opening.await
        }
    };
    match joined {
        Ok(Ok(connect)) => Ok(connect),
        Ok(Err(error)) => Err(error.message),
        Err(error) => Err(error.to_string()),
    }
}
