//! Machines seen and spoken to: pictures of their screens, and lines to a screen or a serial console.
//!
//! Nothing here changes a machine or goes with it when it moves: a line is to the run on one host, and ends with it. So no turn is
//! taken. What is typed is the guest's business.
//!
//! * `screenshot`, `picture` – pictures, kept for some seconds.
//! * [`tickets`] – who may open a line, once.
//! * `screen` – lines to VNC and SPICE; those to serial consoles are in [`crate::libvirt::console`].
//! * `bounds` – how much is open at a host at once.

mod bounds;
mod picture;
mod refused;
mod screen;
mod screenshot;
pub mod tickets;

use std::sync::Arc;
use std::time::Instant;

pub use refused::Refused;

use self::bounds::Bounds;
use self::screenshot::Shots;
use self::tickets::{Grant, Purpose, Tickets};
use crate::access::Caller;
use crate::inventory::Fleet;
use crate::inventory::known::Known;
use crate::inventory::member::Member;
use crate::libvirt::console::{self, Line, Outlets};
use crate::model::DomainUuid;
use crate::ssh::SshDir;

/// Lines that are open at one host at once: each serial console has a connection and a thread.
const LINES_AT_A_HOST: usize = 32;

/// Where machines are seen and spoken to.
pub struct Consoles {
    fleet: Arc<Fleet>,
    ssh: Arc<SshDir>,
    tickets: Tickets,
    shots: Shots,
    lines: Bounds,
}

impl std::fmt::Debug for Consoles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consoles").finish_non_exhaustive()
    }
}

impl Consoles {
    /// For the machines of `fleet`; `ssh` leads to screens of hosts that are reached so.
    #[must_use]
    pub fn new(fleet: Arc<Fleet>, ssh: Arc<SshDir>) -> Self {
        let lines = Bounds::new(LINES_AT_A_HOST);
        Self { fleet, ssh, tickets: Tickets::default(), shots: Shots::default(), lines }
    }

    /// The machine that is meant by a name, if the caller may use that one.
    fn find(&self, name: &str, caller: &Caller) -> Result<(Known, Arc<Member>), Refused> {
        let vm = self.fleet.sought(name).map_err(Refused::Unknown)?;
        if !caller.may_use(&vm) {
            return Err(Refused::NotAllowed);
        }
        let member = self.fleet.member(&vm.host).ok_or(Refused::Unknown(Vec::new()))?;
        Ok((vm, member))
    }

    /// The picture on a machine's screen, a PNG, at most some seconds old.
    ///
    /// # Errors
    /// The caller may not use it, it does not run, or has no screen, or its host does not answer.
    pub async fn screenshot(&self, name: &str, caller: &Caller) -> Result<Arc<Vec<u8>>, Refused> {
        let (vm, member) = self.find(name, caller)?;
        self.shots.take(&vm, &member).await
    }

    /// Makes a ticket for a line to a machine; it is valid for [`tickets::VALID_FOR`].
    ///
    /// # Errors
    /// The caller may not use it, or there is nothing that a line could lead to.
    pub async fn prepare(
        &self,
        name: &str,
        caller: &Caller,
        purpose: Purpose,
    ) -> Result<(Known, String), Refused> {
        let (vm, member) = self.find(name, caller)?;
        let outlets = outlets(&member, vm.domain()).await?;
        match purpose {
            Purpose::Serial => drop(serial(outlets)?),
            Purpose::Screen => drop(screen_of(outlets)?),
        }
        let grant = Grant { purpose, name: name.to_owned(), domain: vm.domain(), host: vm.host.clone() };
        let ticket = self.tickets.issue(grant, Instant::now());
        Ok((vm, ticket))
    }

    /// Opens the line that a ticket of this machine is for. The ticket is used up, whether it can be opened or not.
    ///
    /// # Errors
    /// There is no such ticket, or nothing any more that it could lead to, or too many are open.
    pub async fn open(&self, name: &str, ticket: &str) -> Result<Line, Refused> {
        let grant = self.tickets.take(ticket, name, Instant::now()).ok_or(Refused::NoTicket)?;
        let member = self.fleet.member(&grant.host).ok_or(Refused::Unknown(Vec::new()))?;
        let permit = self.lines.take(&grant.host).ok_or(Refused::TooMany)?;
        // Fresh: it may have been started anew since, with other ports.
        let outlets = outlets(&member, grant.domain).await?;
        match grant.purpose {
            Purpose::Serial => {
                Ok(console::serial(member.link(), grant.domain, serial(outlets)?, permit).await?)
            }
            Purpose::Screen => {
                screen::open(&member, &self.ssh, grant.domain, screen_of(outlets)?, permit).await
            }
        }
    }
}

async fn outlets(member: &Member, domain: DomainUuid) -> Result<Outlets, Refused> {
    let outlets = member.link().call("outlets", move |connect| console::outlets(connect, domain)).await?;
    if outlets.active { Ok(outlets) } else { Err(Refused::Stopped) }
}

fn serial(outlets: Outlets) -> Result<String, Refused> {
    outlets.serial.ok_or(Refused::NoSerial)
}

fn screen_of(outlets: Outlets) -> Result<(u32, crate::model::definition::Graphics), Refused> {
    outlets.screen.ok_or(Refused::NoScreen)
}
