//! Calls that last, and those that may wait: on connections of their own, so that nothing else that is asked of the host waits for them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use virt::connect::Connect;

use super::{Inner, Link, LinkLimits, LongConnection, close_elsewhere, lock, open};
use crate::libvirt::error::{HostError, LibvirtError};

impl Link {
    /// Makes a call that may last (a migration) on a connection that serves only such calls. No limit: it ends when libvirt's
    /// call ends, at the latest when the connection is lost.
    ///
    /// # Errors
    /// No connection, or what libvirt says.
    pub async fn long_call<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Connect) -> Result<T, LibvirtError> + Send + 'static,
    ) -> Result<T, HostError> {
        let connection = self.long_connection().await?;
        self.call_on(connection, name, work).await
    }

    /// The same within `limit`: for a call that may take so long that no other should wait for it.
    ///
    /// # Errors
    /// No connection, no answer in time, or what libvirt says.
    pub async fn long_call_within<T: Send + 'static>(
        &self,
        name: &'static str,
        limit: Duration,
        work: impl FnOnce(&Connect) -> Result<T, LibvirtError> + Send + 'static,
    ) -> Result<T, HostError> {
        let called = async {
            // A call that was given up keeps its thread until libvirt answers: there are only so many.
            let turn = self.inner.apart.clone().acquire_owned().await;
            let counted = move |connect: &Connect| {
                let answer = work(connect);
                drop(turn);
                answer
            };
            self.long_call(name, counted).await
        };
        match tokio::time::timeout(limit, called).await {
            Ok(answer) => answer,
            Err(_) => Err(HostError::timed_out(&self.host, name, limit)),
        }
    }

    /// Makes a call that libvirt lets wait for what else it does to the domain, up to 30 s (`QEMU_JOB_WAIT_TIME`), within the default limit:
    /// apart from the open connection, where all that is asked of the host would wait for it.
    ///
    /// # Errors
    /// No connection, no answer in time, or what libvirt says.
    pub async fn call_apart<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Connect) -> Result<T, LibvirtError> + Send + 'static,
    ) -> Result<T, HostError> {
        self.long_call_within(name, self.limits.call, work).await
    }

    /// The same for what a guest stands still for meanwhile: where no connection for such calls is free at once, on the open one.
    ///
    /// # Errors
    /// No connection, no answer in time, or what libvirt says.
    pub async fn urgent_call<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Connect) -> Result<T, LibvirtError> + Send + 'static,
    ) -> Result<T, HostError> {
        match self.free_long_connection() {
            Some(free) => {
                let called = self.call_on(free, name, work);
                tokio::time::timeout(self.limits.call, called)
                    .await
                    .unwrap_or_else(|_| Err(HostError::timed_out(&self.host, name, self.limits.call)))
            }
            None => self.call(name, work).await,
        }
    }

    async fn call_on<T: Send + 'static>(
        &self,
        (connect, turn): (Connect, OwnedSemaphorePermit),
        name: &'static str,
        work: impl FnOnce(&Connect) -> Result<T, LibvirtError> + Send + 'static,
    ) -> Result<T, HostError> {
        let job = tokio::task::spawn_blocking(move || {
            let answer = work(&connect);
            drop(connect);
            drop(turn);
            answer
        });
        self.answer(name, job.await)
    }

    /// Opens a connection that nobody else uses, with other keep-alive probes than the link's: every so many seconds, so many of which may
    /// be missed (libvirt takes them once for each connection).
    ///
    /// # Errors
    /// [`HostError::Unreachable`] with what the attempt said.
    pub async fn own_connection(
        &self,
        keep_alive_s: u32,
        keep_alive_count: u32,
    ) -> Result<Connect, HostError> {
        let limits = LinkLimits { keep_alive_s, keep_alive_count, ..self.limits };
        let uri = self.inner.uris.data.clone();
        let opening = tokio::task::spawn_blocking(move || open(&uri, limits));
        let reason = match tokio::time::timeout(limits.connect, opening).await {
            Ok(Ok(Ok(connect))) => return Ok(connect),
            Ok(Ok(Err(error))) => error.message,
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no connection within {} s", limits.connect.as_secs_f32()),
        };
        Err(self.unreachable(&reason))
    }

    fn free_long_connection(&self) -> Option<(Connect, OwnedSemaphorePermit)> {
        // One that died by itself is replaced when the next one is opened.
        let alive = |long: &&LongConnection| long.connect.is_alive().unwrap_or(false);
        lock(&self.inner.long).iter().filter(alive).find_map(|long| {
            long.turn.clone().try_acquire_owned().ok().map(|turn| (long.connect.clone(), turn))
        })
    }

    async fn long_connection(&self) -> Result<(Connect, OwnedSemaphorePermit), HostError> {
        if let Some(free) = self.free_long_connection() {
            return Ok(free);
        }
        open_long(&self.inner, self.limits).await.map_err(|reason| self.unreachable(&reason))
    }
}

/// Opens another connection for calls that last. It is the caller's turn on it.
pub(super) async fn open_long(
    inner: &Arc<Inner>,
    limits: LinkLimits,
) -> Result<(Connect, OwnedSemaphorePermit), String> {
    let uri = inner.uris.data.clone();
    let opening = tokio::task::spawn_blocking(move || open(&uri, limits));
    match tokio::time::timeout(limits.connect, opening).await {
        Ok(Ok(Ok(connect))) => {
            let turn = Arc::new(Semaphore::new(1));
            let taken = turn.clone().try_acquire_owned().map_err(|error| error.to_string())?;
            let long = LongConnection { connect: connect.clone(), turn };
            let dead: Vec<LongConnection> = {
                let mut all = lock(&inner.long);
                let (alive, dead) = all.drain(..).partition(|long| long.connect.is_alive().unwrap_or(false));
                *all = alive;
                all.push(long);
                dead
            };
            close_elsewhere(dead);
            Ok((connect, taken))
        }
        Ok(Ok(Err(error))) => Err(error.message),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no connection within {} s", limits.connect.as_secs_f32())),
    }
}
