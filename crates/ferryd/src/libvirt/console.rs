//! A domain's screen and its serial console.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use virt::connect::Connect;
use virt::stream::Stream;

use super::error::{HostError, LibvirtError, OPERATION_ABORTED, XML_ERROR};
use super::ffi::console::{ConsoleStream, Incoming, OnIncoming, Reader, open_console, open_graphics};
use super::host::{lookup, sight};
use super::link::{Link, LinkState};
use super::xml;
use crate::model::DomainUuid;
use crate::model::action::is_active;
use crate::model::definition::Graphics;

type Told<T> = Result<T, LibvirtError>;

/// No picture of a screen is larger: one of 3840 by 2160 has 25 MB.
const MAX_PICTURE_BYTES: usize = 128 << 20;
/// How much is taken out of a stream at once.
const AT_ONCE: usize = 1 << 16;
/// Pieces that wait for whoever watches a console, before no more are taken.
const WAITING: usize = 64;
/// Pieces on a line, each way.
const ON_THE_WAY: usize = 4;

/// One end of a line that carries bytes both ways, with room for a few pieces on the way. Dropping it ends it at both ends.
#[derive(Debug)]
pub struct Line {
    /// What comes.
    pub from: mpsc::Receiver<Vec<u8>>,
    /// What goes.
    pub to: mpsc::Sender<Vec<u8>>,
}

impl Line {
    /// Both ends of a line.
    #[must_use]
    pub fn pair() -> (Self, Self) {
        let ((to, from_here), (to_here, from)) = (mpsc::channel(ON_THE_WAY), mpsc::channel(ON_THE_WAY));
        (Self { from, to }, Self { from: from_here, to: to_here })
    }
}

/// Where a domain can be seen and spoken to now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outlets {
    /// It runs, or is paused: it has a QEMU.
    pub active: bool,
    /// The alias of its serial console.
    pub serial: Option<String>,
    /// Its first screen that is reached by VNC or SPICE, with its number among all.
    pub screen: Option<(u32, Graphics)>,
}

/// Looks where a domain can be seen and spoken to.
///
/// # Errors
/// What libvirt says.
pub fn outlets(connect: &Connect, domain: DomainUuid) -> Told<Outlets> {
    let domain = lookup(connect, domain)?;
    if !is_active(sight(&domain)?.state) {
        return Ok(Outlets::default());
    }
    let unreadable = |error: xml::XmlError| LibvirtError::of(XML_ERROR, error.to_string());
    // Without VIR_DOMAIN_XML_SECURE: no password is read.
    let text = domain.xml_desc(0)?;
    let screens = xml::definition(&text).map_err(unreadable)?.graphics;
    let mut screens = (0..).zip(screens);
    Ok(Outlets {
        active: true,
        serial: xml::serial_console(&text).map_err(unreadable)?,
        screen: screens.find(|(_, screen)| matches!(screen.kind.as_str(), "vnc" | "spice")),
    })
}

/// The picture on a domain's first screen (`virDomainScreenshot`): a portable pixmap, as QEMU makes it, or a PNG.
///
/// # Errors
/// What libvirt says; that the picture is larger than any.
pub fn screenshot(connect: &Connect, domain: DomainUuid) -> Told<Vec<u8>> {
    let stream = Stream::new(connect, 0)?;
    lookup(connect, domain)?.screenshot(&stream, 0, 0)?;
    let (mut picture, mut buffer) = (Vec::new(), vec![0; AT_ONCE]);
    loop {
        let count = usize::try_from(stream.recv(&mut buffer)?).unwrap_or(0);
        if count == 0 {
            break;
        }
        if picture.len() + count > MAX_PICTURE_BYTES {
            stream.abort()?;
            return Err(LibvirtError::of(OPERATION_ABORTED, "the picture is larger than any screen"));
        }
        picture.extend_from_slice(&buffer[..count]);
    }
    stream.finish()?;
    Ok(picture)
}

/// A connection to a screen of a domain on this machine.
///
/// # Errors
/// What libvirt says.
pub fn local_screen(connect: &Connect, domain: DomainUuid, index: u32) -> Told<OwnedFd> {
    open_graphics(&lookup(connect, domain)?, index)
}

/// What the thread of a console is to do.
enum Order {
    /// Sends this to the guest.
    Send(Vec<u8>),
    /// Takes again what the guest says.
    Follow,
}

/// What the guest says, on its way out of libvirt's event thread.
struct Taker {
    /// None once the guest has ended.
    out: Mutex<Option<mpsc::Sender<Vec<u8>>>>,
    /// Nothing is taken until who watches has caught up.
    paused: Arc<AtomicBool>,
}

impl Taker {
    /// Takes what has come, as long as there is room for it. Never blocks.
    fn take(&self, reader: &Reader) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = vec![0; AT_ONCE];
        while let Some(sender) = &*out {
            let room = match sender.try_reserve() {
                Ok(room) => room,
                Err(TrySendError::Full(())) if self.pause(sender, reader) => return,
                Err(TrySendError::Full(())) => continue,
                Err(TrySendError::Closed(())) => break,
            };
            match reader.receive(&mut buffer) {
                Ok(Incoming::Data(count)) => room.send(buffer[..count].to_vec()),
                Ok(Incoming::Nothing) => return,
                Ok(Incoming::End) => break,
                Err(error) => {
                    tracing::debug!(%error, "a console ended");
                    break;
                }
            }
        }
        *out = None;
        // It would be called for ever.
        let _ = reader.follow(false);
    }

    /// Takes nothing more for now; false where there is room again already. In this order: who makes room looks at `paused`
    /// after it, so that either of both sees the other.
    fn pause(&self, sender: &mpsc::Sender<Vec<u8>>, reader: &Reader) -> bool {
        if reader.follow(false).is_err() {
            return true;
        }
        self.paused.store(true, Ordering::SeqCst);
        if sender.capacity() == 0 || !self.paused.swap(false, Ordering::SeqCst) {
            return true;
        }
        reader.follow(true).is_err()
    }
}

/// Opens a domain's serial console on a connection and a thread of its own, both of which `keep` outlives. It ends when the guest
/// does, when the host is lost, and when either end of the line is dropped.
///
/// # Errors
/// No connection, or what libvirt says.
pub async fn serial<K: Send + 'static>(
    link: &Link,
    domain: DomainUuid,
    device: String,
    keep: K,
) -> Result<Line, HostError> {
    let limits = link.limits();
    let connect = link.own_connection(limits.keep_alive_s, limits.keep_alive_count).await?;
    let (said, from_guest) = mpsc::channel(WAITING);
    let (orders, to_do) = mpsc::channel(WAITING);
    let paused = Arc::new(AtomicBool::new(false));
    let taker = Taker { out: Mutex::new(Some(said)), paused: paused.clone() };
    let (opened, opening) = oneshot::channel();
    let thread = std::thread::Builder::new().name("console".to_owned()).spawn(move || {
        let on_incoming: OnIncoming = Box::new(move |reader| taker.take(reader));
        let stream =
            lookup(&connect, domain).and_then(|domain| open_console(&connect, &domain, &device, on_incoming));
        match stream {
            Ok(stream) => {
                if opened.send(Ok(())).is_ok() {
                    obey(&stream, to_do);
                }
                drop(stream);
            }
            // Where nobody waits for it any more, nobody needs to know.
            Err(error) => drop(opened.send(Err(error))),
        }
        drop(connect);
        drop(keep);
    });
    let host = || link.host().to_owned();
    let broken = |reason: String| HostError::Unreachable { host: host(), reason };
    thread.map_err(|error| broken(error.to_string()))?;
    let answer = tokio::time::timeout(limits.call, opening).await;
    match answer {
        Ok(Ok(Ok(()))) => Ok(relay(link, from_guest, orders, paused)),
        Ok(Ok(Err(source))) => Err(HostError::Libvirt { host: host(), call: "console", source }),
        Ok(Err(_)) => Err(broken("its console was broken off".to_owned())),
        Err(_) => Err(HostError::timed_out(link.host(), "console", limits.call)),
    }
}

/// Carries out orders until nobody gives any, or libvirt does not take them.
fn obey(stream: &ConsoleStream, mut orders: mpsc::Receiver<Order>) {
    while let Some(order) = orders.blocking_recv() {
        let done = match order {
            Order::Send(bytes) => stream.send(&bytes),
            Order::Follow => stream.follow(),
        };
        if let Err(error) = done {
            tracing::debug!(%error, "a console ended");
            return;
        }
    }
}

/// Between the line and the console: what is said goes on, and where there is room again, more is taken.
fn relay(
    link: &Link,
    mut from_guest: mpsc::Receiver<Vec<u8>>,
    orders: mpsc::Sender<Order>,
    paused: Arc<AtomicBool>,
) -> Line {
    let (line, mut far) = Line::pair();
    let mut state = link.state();
    // An error says that the host was removed.
    let lost = async move { drop(state.wait_for(|state| matches!(state, LinkState::Down(_))).await) };
    let typed = orders.clone();
    let said = async move {
        while let Some(piece) = from_guest.recv().await {
            let follow = paused.swap(false, Ordering::SeqCst);
            if (follow && orders.send(Order::Follow).await.is_err()) || far.to.send(piece).await.is_err() {
                return;
            }
        }
    };
    let heard = async move {
        while let Some(bytes) = far.from.recv().await {
            if typed.send(Order::Send(bytes)).await.is_err() {
                return;
            }
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            () = said => {}
            () = heard => {}
            () = lost => {}
        }
    });
    line
}
