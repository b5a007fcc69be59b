//! The connections from controllers to hosts: requests that arrive, wait or get lost; answers likewise; events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ferryd::libvirt::error::LibvirtError;
use ferryd::model::DomainUuid;
use ferryd::model::domain::{DomainEvent, Process};
use tokio::sync::{Notify, broadcast, oneshot};

use super::host::Daemon;
use super::{Act, Ms, NAMES, World};

/// What a call comes to on the host.
pub type Told<T> = Result<T, LibvirtError>;

/// A request on its way.
pub struct Request {
    /// Whose.
    pub controller: usize,
    /// On which of its connections.
    pub epoch: u64,
    /// What it does there.
    pub act: Act,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("controller", &self.controller).finish_non_exhaustive()
    }
}

/// A connection's life. Calls that wait learn of its end in the order in which they were made, so that a history can be played
/// again.
#[derive(Debug, Default)]
pub struct Life {
    ended: AtomicBool,
    end: Notify,
}

impl Life {
    /// Waits for the end.
    pub async fn ends(&self) {
        while !self.ended.load(Ordering::Relaxed) {
            self.end.notified().await;
        }
    }
}

/// One controller's connection to one host.
#[derive(Debug)]
pub struct Link {
    up: bool,
    /// The start of the host's daemon that it leads to.
    daemon: u64,
    epoch: u64,
    /// Ends when the connection is lost.
    life: Option<Arc<Life>>,
    /// How long the host is silent until keep-alive gives it up.
    keep_alive: Ms,
    events: broadcast::Sender<(DomainUuid, DomainEvent)>,
}

impl Link {
    fn new(keep_alive: Ms) -> Self {
        Self { up: false, daemon: 0, epoch: 0, life: None, keep_alive, events: broadcast::Sender::new(1024) }
    }

    /// Whether this is the connection it was.
    #[must_use]
    pub fn is(&self, epoch: u64) -> bool {
        self.up && self.epoch == epoch
    }

    /// Which connection it is.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether there is a connection.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Follows what the host tells.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<(DomainUuid, DomainEvent)> {
        self.events.subscribe()
    }

    fn open(&mut self, daemon: u64) {
        self.up = true;
        self.daemon = daemon;
        self.epoch += 1;
        self.life = Some(Arc::default());
    }

    fn close(&mut self) {
        self.up = false;
        if let Some(life) = self.life.take() {
            life.ended.store(true, Ordering::Relaxed);
            life.end.notify_waiters();
        }
    }
}

/// The way back of an answer.
#[derive(Debug)]
pub struct Reply<T> {
    tell: oneshot::Sender<Told<T>>,
    host: usize,
    muted: bool,
}

impl<T: Send + 'static> Reply<T> {
    /// Sends the answer.
    pub fn send(self, world: &mut World, answer: Told<T>) {
        if !self.muted {
            let latency = world.latency();
            world.after(latency, move |world| self.arrive(world, answer, 0));
        }
    }

    fn arrive(self, world: &mut World, answer: Told<T>, tries: u32) {
        let host = &world.hosts[self.host];
        if host.reachable() {
            // An error says that nobody waits any more.
            let _ = self.tell.send(answer);
        } else if host.power && tries < 120 && !self.tell.is_closed() {
            world.after(500, move |world| self.arrive(world, answer, tries + 1));
        }
    }
}

/// A call under way, as its caller holds it.
#[derive(Debug)]
pub struct Pending<T> {
    /// The answer.
    pub answer: oneshot::Receiver<Told<T>>,
    /// Ends when the connection does.
    pub life: Arc<Life>,
}

/// What becomes of a call besides what the host makes of it.
enum Fate {
    Ordinary,
    Slow(Ms),
    AnswerLost,
    Late(Ms),
    Refused,
}

impl World {
    /// A controller begins to connect; answers its number.
    pub fn new_controller(&mut self, at_once: bool) -> usize {
        let number = self.links.len();
        let links = [0, 1].map(|_| Link::new(self.dice.between(12_000, 15_000)));
        self.links.push(links);
        for host in 0..2 {
            let delay = if at_once { 0 } else { self.dice.between(50, 600) };
            self.after(delay, move |world| world.link_tick(number, host));
        }
        number
    }

    fn link_tick(&mut self, controller: usize, host: usize) {
        let (answers, now) = (self.hosts[host].answers(), self.now);
        let (refuses, power) = {
            let host = &self.hosts[host];
            (host.reachable() && host.daemon == Daemon::Dead, host.power)
        };
        let daemon = self.hosts[host].daemon_starts;
        let link = &mut self.links[controller][host];
        let mut next = 1_000;
        if link.up {
            if answers && link.daemon != daemon {
                // The host knows of no such connection any more, and says so to the next message.
                link.close();
                self.tell(|| format!("connection {controller}-{} is refused", NAMES[host]));
            } else if answers {
                self.hosts[host].silent_since = None;
            } else {
                let since = *self.hosts[host].silent_since.get_or_insert(now);
                if refuses || now - since >= link.keep_alive {
                    link.close();
                    self.tell(|| format!("connection {controller}-{} is given up", NAMES[host]));
                }
            }
        } else if answers {
            self.hosts[host].silent_since = None;
            link.open(daemon);
            self.guest.frozen_since = None;
            self.tell(|| format!("connection {controller}-{} is up", NAMES[host]));
        } else {
            next = if power { self.dice.between(3_000, 5_000) } else { 5_000 };
        }
        if !self.gates[controller].is_dead() {
            self.after(next, move |world| world.link_tick(controller, host));
        }
    }

    /// The host's side of all connections is gone, and says so where a cable lets it.
    pub(super) fn links_closed_by(&mut self, host: usize) {
        if self.hosts[host].reachable() {
            for links in &mut self.links {
                links[host].close();
            }
        }
    }

    /// The controllers' connections to a host break, those of their watchers too.
    pub(super) fn links_break(&mut self, host: usize) {
        self.links_closed_by(host);
        for watcher in std::mem::take(&mut self.hosts[host].watchers) {
            // Nobody may be waiting any more.
            let _ = watcher.tell.send(false);
        }
    }

    /// The time a message takes.
    pub fn latency(&mut self) -> Ms {
        if self.noisy && self.dice.per_mille(self.scenario.noise.slow) {
            return self.dice.between(20, 1_500);
        }
        self.dice.between(0, 2)
    }

    fn fate(&mut self) -> Fate {
        if !self.noisy {
            return Fate::Ordinary;
        }
        let noise = self.scenario.noise;
        if self.dice.per_mille(noise.lost) {
            return Fate::AnswerLost;
        }
        if self.dice.per_mille(noise.late) {
            return Fate::Late(self.dice.between(10, 7_000));
        }
        if self.dice.per_mille(noise.refused) {
            return Fate::Refused;
        }
        if self.dice.per_mille(noise.slow) {
            Fate::Slow(self.dice.between(20, 3_000))
        } else {
            Fate::Ordinary
        }
    }

    /// Sends a request; none when there is no connection. One that `lasts` (the migration's) is answered when libvirt's call ends,
    /// or its connection does: no answer of it is lost otherwise.
    pub fn ask<T: Send + 'static>(
        &mut self,
        controller: usize,
        host: usize,
        lasts: bool,
        act: impl FnOnce(&mut Self, Reply<T>) + Send + 'static,
    ) -> Option<Pending<T>> {
        let link = &self.links[controller][host];
        let (epoch, life) = (link.epoch, link.life.clone()?);
        let (tell, answer) = oneshot::channel();
        let mut reply = Reply { tell, host, muted: false };
        let mut delay = self.latency();
        let fate = if lasts { Fate::Ordinary } else { self.fate() };
        match fate {
            Fate::Ordinary => {}
            Fate::Slow(by) => delay += by,
            Fate::AnswerLost => reply.muted = true,
            Fate::Late(by) => {
                reply.muted = true;
                delay += by;
            }
            Fate::Refused => {
                let refusal = refusal(1, "internal error: planned by the history");
                self.after(delay, move |world| reply.send(world, Err(refusal)));
                return Some(Pending { answer, life });
            }
        }
        let act: Act = Box::new(move |world| act(world, reply));
        let request = Request { controller, epoch, act };
        self.after(delay, move |world| world.arrive(host, request, 0));
        Some(Pending { answer, life })
    }

    /// A request comes to a host, or not yet.
    pub(super) fn arrive(&mut self, host: usize, request: Request, tries: u32) {
        let there = &self.hosts[host];
        if !there.power || (there.cable && there.daemon == Daemon::Dead) {
            return;
        }
        if !there.cable {
            // TCP sends it again; after the connection was given up only sometimes.
            let given_up = !self.links[request.controller][host].is(request.epoch);
            if tries < 120 && (!given_up || tries == 0 || self.dice.per_mille(950)) {
                self.after(500, move |world| world.arrive(host, request, tries + 1));
            }
        } else if there.daemon == Daemon::Frozen {
            self.hosts[host].inbox.push(request);
        } else {
            (request.act)(self);
        }
    }

    /// libvirt tells what happened to a domain.
    pub(super) fn emit(&mut self, host: usize, uuid: DomainUuid, event: DomainEvent) {
        match self.hosts[host].daemon {
            Daemon::Running => {}
            Daemon::Frozen => return self.hosts[host].untold.push((uuid, event)),
            Daemon::Dead => return,
        }
        for controller in 0..self.links.len() {
            let epoch = self.links[controller][host].epoch;
            // The same for all: a connection keeps the order.
            self.after(1, move |world| world.event_arrives(controller, host, epoch, uuid, event));
        }
    }

    fn event_arrives(
        &mut self,
        controller: usize,
        host: usize,
        epoch: u64,
        uuid: DomainUuid,
        event: DomainEvent,
    ) {
        let link = &self.links[controller][host];
        if !link.is(epoch) {
            return;
        }
        if self.hosts[host].reachable() {
            // An error only says that nobody listens.
            let _ = link.events.send((uuid, event));
        } else {
            self.after(500, move |world| world.event_arrives(controller, host, epoch, uuid, event));
        }
    }

    /// Those who watch a process learn that it has ended.
    pub(super) fn tell_watchers(&mut self, host: usize, process: Process) {
        let all = std::mem::take(&mut self.hosts[host].watchers);
        let (told, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(|watcher| watcher.process == process);
        self.hosts[host].watchers = kept;
        for watcher in told {
            let delay = self.dice.between(2, 8);
            self.after(delay, move |world| world.word_of_death(host, watcher.tell, 0));
        }
    }

    /// The word crosses the cable, or is lost with its connection.
    fn word_of_death(&mut self, host: usize, tell: oneshot::Sender<bool>, waited: Ms) {
        if self.hosts[host].reachable() {
            let _ = tell.send(true);
        } else if !self.hosts[host].power || waited >= 15_000 {
            // Nobody may be waiting any more.
            self.after(15_000_u64.saturating_sub(waited), move |_| {
                let _ = tell.send(false);
            });
        } else {
            self.after(500, move |world| world.word_of_death(host, tell, waited + 500));
        }
    }
}

/// An error of libvirt's.
#[must_use]
pub fn refusal(code: i32, message: &str) -> LibvirtError {
    LibvirtError { domain: 10, ..LibvirtError::of(code, message) }
}
