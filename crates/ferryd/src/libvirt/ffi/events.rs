//! What libvirt tells without being asked.

use std::ffi::{c_char, c_int, c_ulonglong, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use uuid::Uuid;
use virt::connect::Connect;
use virt_sys as sys;

use super::params::read_params;
use super::{Result, TypedParams, check, identity, last_error};

/// Something that libvirt told without being asked.
#[derive(Clone, Debug, PartialEq)]
pub enum RawEvent {
    /// A domain changed its state: `virDomainEventType` and its detail.
    Lifecycle {
        /// Which domain.
        uuid: Uuid,
        /// `virDomainEventType`.
        event: i32,
        /// The detail type that goes with the event.
        detail: i32,
    },
    /// A migration began another pass over the memory.
    Iteration {
        /// Which domain.
        uuid: Uuid,
        /// Number of the pass, from 1.
        iteration: u64,
    },
    /// A job ended, with all its figures.
    JobCompleted {
        /// Which domain.
        uuid: Uuid,
        /// The figures.
        params: TypedParams,
    },
    /// Its title, description or metadata changed, or its memory (balloon).
    Changed {
        /// Which domain.
        uuid: Uuid,
    },
    /// The connection was lost (`virConnectCloseReason`).
    Closed {
        /// Why.
        reason: i32,
    },
}

/// Who is told of events; called on libvirt's event thread, so it must not block.
pub type Listener = Box<dyn Fn(RawEvent) + Send + Sync>;

/// The listener behind the `void *` of a callback, one per registration: libvirt frees each with [`free_listener`].
struct Opaque(std::sync::Arc<Listener>);

fn tell(opaque: *mut c_void, event: RawEvent) {
    // SAFETY: `opaque` is the `Opaque` of the registration, alive until libvirt calls `free_listener`.
    let listener = unsafe { &*opaque.cast::<Opaque>() };
    // A panic must not unwind into C.
    if catch_unwind(AssertUnwindSafe(|| (listener.0)(event))).is_err() {
        tracing::error!("an event listener panicked");
    }
}

unsafe extern "C" fn free_listener(opaque: *mut c_void) {
    // SAFETY: made by `Box::into_raw` at the registration, freed by libvirt once.
    drop(unsafe { Box::from_raw(opaque.cast::<Opaque>()) });
}

unsafe extern "C" fn on_lifecycle(
    _connect: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    event: c_int,
    detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: libvirt passes a valid domain.
    if let Ok((uuid, _)) = unsafe { identity(domain) } {
        tell(opaque, RawEvent::Lifecycle { uuid, event, detail });
    }
    0
}

unsafe extern "C" fn on_iteration(
    _connect: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    iteration: c_int,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes a valid domain.
    if let Ok((uuid, _)) = unsafe { identity(domain) } {
        tell(opaque, RawEvent::Iteration { uuid, iteration: u64::try_from(iteration).unwrap_or(0) });
    }
}

unsafe extern "C" fn on_job_completed(
    _connect: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    params: sys::virTypedParameterPtr,
    count: c_int,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes a valid domain and `count` valid parameters, which it frees itself.
    if let (Ok((uuid, _)), params) = unsafe { (identity(domain), read_params(params, count)) } {
        tell(opaque, RawEvent::JobCompleted { uuid, params });
    }
}

unsafe extern "C" fn on_metadata(
    _connect: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _kind: c_int,
    _namespace: *const c_char,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes a valid domain.
    if let Ok((uuid, _)) = unsafe { identity(domain) } {
        tell(opaque, RawEvent::Changed { uuid });
    }
}

unsafe extern "C" fn on_balloon(
    _connect: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    _actual: c_ulonglong,
    opaque: *mut c_void,
) {
    // SAFETY: libvirt passes a valid domain.
    if let Ok((uuid, _)) = unsafe { identity(domain) } {
        tell(opaque, RawEvent::Changed { uuid });
    }
}

unsafe extern "C" fn on_close(_connect: sys::virConnectPtr, reason: c_int, opaque: *mut c_void) {
    tell(opaque, RawEvent::Closed { reason });
}

/// A connection with its events; deregisters them before it closes, as libvirt demands (else the connection and its ssh
/// process stay for ever).
pub struct EventedConnect {
    connect: Connect,
    callbacks: Vec<c_int>,
}

impl EventedConnect {
    /// Takes an open connection and registers `listener` for its life-cycle, iteration, job, metadata, balloon and close
    /// events.
    ///
    /// # Errors
    /// What libvirt says; the connection is closed then.
    pub fn new(connect: Connect, listener: Listener) -> Result<Self> {
        let listener = std::sync::Arc::new(listener);
        let mut evented = Self { connect, callbacks: Vec::new() };
        type Generic = sys::virConnectDomainEventGenericCallback;
        // SAFETY: libvirt defines the generic callback type as a stand-in for the one that belongs to the event id; each
        // function here has exactly the signature of its id.
        let (lifecycle, iteration, completed, metadata, balloon) = unsafe {
            (
                std::mem::transmute::<sys::virConnectDomainEventCallback, Generic>(Some(on_lifecycle)),
                std::mem::transmute::<sys::virConnectDomainEventMigrationIterationCallback, Generic>(Some(
                    on_iteration,
                )),
                std::mem::transmute::<sys::virConnectDomainEventJobCompletedCallback, Generic>(Some(
                    on_job_completed,
                )),
                std::mem::transmute::<sys::virConnectDomainEventMetadataChangeCallback, Generic>(Some(
                    on_metadata,
                )),
                std::mem::transmute::<sys::virConnectDomainEventBalloonChangeCallback, Generic>(Some(
                    on_balloon,
                )),
            )
        };
        evented.register(sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle, &listener)?;
        evented.register(sys::VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, iteration, &listener)?;
        evented.register(sys::VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, completed, &listener)?;
        evented.register(sys::VIR_DOMAIN_EVENT_ID_METADATA_CHANGE, metadata, &listener)?;
        evented.register(sys::VIR_DOMAIN_EVENT_ID_BALLOON_CHANGE, balloon, &listener)?;
        let opaque = Box::into_raw(Box::new(Opaque(listener))).cast::<c_void>();
        // SAFETY: the connection is alive, the opaque is freed by libvirt with `free_listener`.
        let result = unsafe {
            let connect = evented.connect.as_ptr();
            sys::virConnectRegisterCloseCallback(connect, Some(on_close), opaque, Some(free_listener))
        };
        check(result).inspect_err(|_| {
            // SAFETY: libvirt did not take the opaque.
            unsafe { free_listener(opaque) }
        })?;
        Ok(evented)
    }

    fn register(
        &mut self,
        event_id: sys::virDomainEventID,
        callback: sys::virConnectDomainEventGenericCallback,
        listener: &std::sync::Arc<Listener>,
    ) -> Result<()> {
        let opaque = Box::into_raw(Box::new(Opaque(listener.clone()))).cast::<c_void>();
        // SAFETY: the connection is alive; a null domain means all; the opaque is freed by libvirt, except on failure.
        let id = unsafe {
            sys::virConnectDomainEventRegisterAny(
                self.connect.as_ptr(),
                ptr::null_mut(),
                c_int::try_from(event_id).unwrap_or(0),
                callback,
                opaque,
                Some(free_listener),
            )
        };
        if id < 0 {
            let error = last_error();
            // SAFETY: libvirt did not take the opaque.
            unsafe { free_listener(opaque) };
            return Err(error);
        }
        self.callbacks.push(id);
        Ok(())
    }

    /// The connection.
    #[must_use]
    pub fn connect(&self) -> &Connect {
        &self.connect
    }
}

impl std::fmt::Debug for EventedConnect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventedConnect").field("callbacks", &self.callbacks).finish_non_exhaustive()
    }
}

impl Drop for EventedConnect {
    fn drop(&mut self) {
        // SAFETY: the connection is alive until after this; failures (connection broken) leave nothing to do.
        unsafe {
            for id in &self.callbacks {
                sys::virConnectDomainEventDeregisterAny(self.connect.as_ptr(), *id);
            }
            sys::virConnectUnregisterCloseCallback(self.connect.as_ptr(), Some(on_close));
        }
    }
}
