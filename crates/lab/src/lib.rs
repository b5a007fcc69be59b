//! Hosts, networks, guests and faults on one machine, for Ferry's demo, tests and benchmarks.
//!
//! A *host* is an overlay of a Debian root in namespaces of its own with its own libvirtd and sshd. Everything of a
//! lab hangs on processes: when they are dead, the kernel has taken its mounts, bridges and namespaces away, and
//! only files under the lab's own directories are left for `down` to remove.
//!
//! | module | what it does |
//! |---|---|
//! | [`Lab`], [`LabBuilder`] (`lab`) | bringing up, taking down, the keeper that outlives a killed owner |
//! | [`Host`] (`host`, `faults`, `hold`) | running programs on a host, its files; power, cable, bandwidth, daemons, held replies |
//! | [`GuestSpec`] (`guest`), [`GuestLog`] (`serial`) | test guests and what they say on their serial lines |
//! | [`Oracle`] (`oracle`) | whether exactly one copy runs, unharmed, and nothing is left over |
//! | `roots`, `mirror` | the cached Debian roots |
//! | `boot_files`, `cpio` | kernel and initramfs of the guests |
//! | `furnish` | the files that make a machine out of a root |
//! | `boot`, `net`, `enter` | the helper processes: PID 1 of a machine, the switch, entering a machine |
//! | `state`, `process` | what is remembered of a lab; processes of the machine |

mod boot;
mod boot_files;
mod cpio;
mod enter;
mod faults;
mod furnish;
mod guest;
mod helper;
mod hold;
mod host;
mod lab;
mod mirror;
mod net;
mod oracle;
mod process;
mod release;
mod roots;
mod say;
mod serial;
mod state;
mod sys;

pub mod cli;

pub use faults::{Daemon, Target};
pub use guest::{DiskSpec, GuestSpec};
pub use host::Host;
pub use lab::{Lab, LabBuilder, NotRoot, require_root};
pub use oracle::{Expect, Oracle, Verdict};
pub use process::{ProcessId, ProcessInfo};
pub use release::Release;
pub use roots::ROOT_PASSWORD;
pub use serial::{GuestLog, Line, Tick};
pub use state::{CONTROLLER, LabState, Machine, Role, lab_names, random_uuid};
