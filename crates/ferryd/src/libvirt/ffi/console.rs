//! A domain's character device and its screen, opened.

use std::ffi::{c_char, c_int, c_void};
use std::os::fd::{FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use virt::connect::Connect;
use virt::domain::Domain;
use virt::stream::Stream;
use virt_sys as sys;

use super::{Result, check, last_error, streams};

/// What there is to take from a console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// So many bytes were put into the buffer.
    Data(usize),
    /// Nothing for now.
    Nothing,
    /// Nothing more comes.
    End,
}

/// The console within its callback.
#[derive(Debug)]
pub struct Reader(sys::virStreamPtr);

impl Reader {
    /// Takes what has come (`virStreamRecv` of a stream that does not block).
    ///
    /// # Errors
    /// What libvirt says: nothing more comes then.
    pub fn receive(&self, buffer: &mut [u8]) -> Result<Incoming> {
        // SAFETY: libvirt keeps the stream alive during the callback; the buffer has the length that is said.
        let got = unsafe { sys::virStreamRecv(self.0, buffer.as_mut_ptr().cast::<c_char>(), buffer.len()) };
        match got {
            0 => Ok(Incoming::End),
            // -2: it would block.
            -2 => Ok(Incoming::Nothing),
            got => usize::try_from(got).map(Incoming::Data).map_err(|_| last_error()),
        }
    }

    /// Whether the callback shall be called when something comes.
    ///
    /// # Errors
    /// What libvirt says.
    pub fn follow(&self, follow: bool) -> Result<()> {
        follow_stream(self.0, follow)
    }
}

fn follow_stream(stream: sys::virStreamPtr, follow: bool) -> Result<()> {
    let events = if follow { sys::VIR_STREAM_EVENT_READABLE } else { 0 };
    // SAFETY: the caller's stream is alive.
    check(unsafe { sys::virStreamEventUpdateCallback(stream, events as c_int) }).map(drop)
}

/// Called on libvirt's event thread when something came, and at the end; must not block.
pub type OnIncoming = Box<dyn Fn(&Reader) + Send + Sync>;

/// An open console.
pub struct ConsoleStream(Stream);

impl std::fmt::Debug for ConsoleStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConsoleStream").finish_non_exhaustive()
    }
}

unsafe extern "C" fn on_event(stream: sys::virStreamPtr, _events: c_int, opaque: *mut c_void) {
    // SAFETY: `opaque` is the box of `open_console`, alive until libvirt calls `free`.
    let on_incoming = unsafe { &*opaque.cast::<OnIncoming>() };
    // A panic must not unwind into C.
    if catch_unwind(AssertUnwindSafe(|| on_incoming(&Reader(stream)))).is_err() {
        tracing::error!("the reader of a console panicked");
    }
}

unsafe extern "C" fn free(opaque: *mut c_void) {
    // SAFETY: made by `Box::into_raw` in `open_console`, freed by libvirt once.
    drop(unsafe { Box::from_raw(opaque.cast::<OnIncoming>()) });
}

/// Opens a domain's character device by its alias (`virDomainOpenConsole`). With `VIR_DOMAIN_CONSOLE_SAFE`: only where libvirt
/// sees to it that nobody else has it open.
///
/// # Errors
/// What libvirt says: it has no such device, it is not a pty, somebody has it open.
pub fn open_console(
    connect: &Connect,
    domain: &Domain,
    device: &str,
    on_incoming: OnIncoming,
) -> Result<ConsoleStream> {
    let stream = Stream::new(connect, sys::VIR_STREAM_NONBLOCK)?;
    domain.open_console(Some(device), &stream, sys::VIR_DOMAIN_CONSOLE_SAFE)?;
    let opaque = Box::into_raw(Box::new(on_incoming));
    // SAFETY: the stream is alive; libvirt calls `free` once it needs `opaque` no more, but for a failure here.
    let added = check(unsafe {
        sys::virStreamEventAddCallback(
            stream.as_ptr(),
            sys::VIR_STREAM_EVENT_READABLE as c_int,
            Some(on_event),
            opaque.cast::<c_void>(),
            Some(free),
        )
    });
    if let Err(error) = added {
        // SAFETY: made above, and libvirt did not take it.
        drop(unsafe { Box::from_raw(opaque) });
        stream.abort()?;
        return Err(error);
    }
    Ok(ConsoleStream(stream))
}

impl ConsoleStream {
    /// Sends all of these bytes; waits until the connection has taken them.
    ///
    /// # Errors
    /// What libvirt says: the console is of no use then.
    pub fn send(&self, bytes: &[u8]) -> Result<()> {
        streams::send(&self.0, bytes)
    }

    /// Has the callback be called again when something comes, or has come.
    ///
    /// # Errors
    /// What libvirt says.
    pub fn follow(&self) -> Result<()> {
        // SAFETY: the stream is alive while it is borrowed.
        follow_stream(unsafe { self.0.as_ptr() }, true)
    }
}

impl Drop for ConsoleStream {
    fn drop(&mut self) {
        // SAFETY: the stream is alive until the field is dropped. That either fails says that it had ended already.
        unsafe {
            sys::virStreamEventRemoveCallback(self.0.as_ptr());
            sys::virStreamAbort(self.0.as_ptr());
        }
    }
}

/// Connects to a screen past its address (`virDomainOpenGraphicsFD`): only over a connection to this machine's libvirt. What
/// password the screen has is asked for.
///
/// # Errors
/// What libvirt says.
pub fn open_graphics(domain: &Domain, index: u32) -> Result<OwnedFd> {
    let fd = c_int::try_from(domain.open_graphics_fd(index, 0)?).unwrap_or(-1);
    // SAFETY: libvirt hands over a new descriptor that is the caller's alone (a number below the limit of descriptors).
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
