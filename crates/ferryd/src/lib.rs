//! Ferry's controller. This is the map of the crate; `ARCHITECTURE.md` tells the way of one migration through it.
//!
//! * [`model`] – plain data and identifiers; no input or output.
//! * [`libvirt`] – the only place that knows `virt`/`virt-sys`: connections, domains, jobs, events, XML, errors.
//! * [`ssh`] – logins: keys, known hosts, the wrapper that libvirt connects through, commands on a host.
//! * [`hypervisor`] – the seam between the migration engine and the hosts.
//! * [`inventory`] – what the hosts are and run, kept by events; the facts of one migration, read fresh.
//! * [`lifecycle`] – what is done to a domain where it is: started, stopped, changed, cloned, removed, its snapshots; never while it moves.
//! * [`console`] – domains seen and spoken to: pictures of their screens, tickets for a screen or a serial console.
//! * [`access`] – who asks, and what they may do: passwords, sessions, roles.
//! * [`preflight`] – pure checks over facts.
//! * [`plan`] – facts and request become the complete plan of a migration; pure.
//! * [`migration`] – the steps of a migration, the hand-over, where the domain is, what to do about it.
//! * [`task`] – the durable engine: queue, lease, log, cancellation. Knows nothing of migration.
//! * [`store`] – hosts, tasks, their log and events in a database.
//! * [`http`] – our API, the inherited contract, the event stream.
//! * [`messages`] – what is told to people over HTTP, in their language.
//! * [`tls`] – a small certificate authority for encrypted migrations.
//! * [`config`] – configuration: file, environment, flags.

pub mod access;
pub mod config;
pub mod console;
pub mod http;
pub mod hypervisor;
pub mod inventory;
pub mod libvirt;
pub mod lifecycle;
pub mod messages;
pub mod migration;
pub mod model;
pub mod plan;
pub mod preflight;
pub mod ssh;
pub mod store;
pub mod task;
pub mod tls;
