//! Test guests, and what the oracle says of them.

use std::time::Duration;

use api::vm::{Vm, VmState};
use lab::{Expect, GuestLog, GuestSpec, Oracle};

use super::{SOON, World, until};

/// A guest boots under TCG in seconds, on a machine that does other things meanwhile in more.
const BOOTS_WITHIN: Duration = Duration::from_secs(120);

/// A guest that was started, its serial log, and what was there before anything moved.
pub(crate) struct Guest {
    pub(crate) spec: GuestSpec,
    pub(crate) log: GuestLog,
    oracle: Oracle,
}

/// A guest that rewrites a little of its memory all the time.
pub(crate) fn quiet(name: &str) -> GuestSpec {
    let mut spec = GuestSpec::new(name).expect("a spec");
    (spec.work_mib, spec.dirty_mib_s) = (8, 2);
    spec
}

/// A guest that rewrites its memory faster than [`TOO_SLOW`] lets it be copied: without more bandwidth it never moves.
pub(crate) fn busy(name: &str) -> GuestSpec {
    let mut spec = GuestSpec::new(name).expect("a spec");
    (spec.work_mib, spec.dirty_mib_s, spec.every_page_counts) = (64, 20, true);
    spec
}

/// A limit of the bandwidth below what a [`busy`] guest rewrites.
pub(crate) const TOO_SLOW: &str = "16MiB/s";
/// The same for a request.
pub(crate) const TOO_SLOW_MIB_S: u64 = 16;

impl World {
    /// Starts a guest and waits until it has laid down its patterns.
    pub(crate) fn boot(&self, spec: GuestSpec, host: &str) -> Guest {
        self.boot_all(vec![spec], host).remove(0)
    }

    /// The same for several at once.
    pub(crate) fn boot_all(&self, specs: Vec<GuestSpec>, host: &str) -> Vec<Guest> {
        let begin = |spec: &GuestSpec| {
            let log = self.lab.watch_guest(&spec.name).expect("a log");
            self.lab.start_guest(spec, host).expect("the guest starts");
            log
        };
        let logs: Vec<GuestLog> = specs.iter().map(begin).collect();
        let guests = specs.into_iter().zip(logs).map(|(spec, log)| {
            log.wait_ready(host, BOOTS_WITHIN).expect("the guest boots");
            let oracle = Oracle::before(&self.lab, &spec).expect("a look before");
            Guest { spec, log, oracle }
        });
        guests.collect()
    }

    /// Defines a machine that is stopped, and waits until ferryd knows it.
    pub(crate) fn define_stopped(&self, host: &str, xml: &str, name: &str) {
        let define = ["virsh", "-q", "-c", "qemu:///system", "define", "/dev/stdin"];
        self.host(host).run_with_input(&define, xml.as_bytes()).expect("defined");
        self.wait_listed("it does not show", |vm| vm.name == name && vm.state == VmState::Shutoff);
    }

    /// Waits until `ferry vm list` has one of this kind.
    #[track_caller]
    pub(crate) fn wait_listed(&self, what: &str, wanted: impl Fn(&Vm) -> bool) {
        until(SOON, what, || {
            let vms: Vec<Vm> = self.ferry_json(&["vm", "list"]);
            vms.iter().any(&wanted).then_some(())
        });
    }

    /// From now on what is there now counts as having been there before: another guest has moved meanwhile.
    pub(crate) fn look_anew(&self, guest: &mut Guest) {
        guest.oracle = Oracle::before(&self.lab, &guest.spec).expect("a look before");
    }

    /// A definition of this name may come and go on every host: the guest is given it.
    pub(crate) fn may_be_called(&self, guest: &mut Guest, name: &str) {
        for host in self.lab.hosts().expect("the hosts") {
            guest.oracle.allow(host.name(), format!("/etc/libvirt/qemu/{name}.xml"));
        }
    }

    /// All is well with the guest: exactly one copy, on `owner`, doing as expected, unharmed since its boot, and nothing left
    /// over elsewhere.
    #[track_caller]
    pub(crate) fn assert_well(&self, guest: &Guest, expect: Expect, owner: &str) {
        let verdict = guest.oracle.verdict(&self.lab, &guest.log, expect).expect("a verdict");
        let found = (verdict.violations.as_slice(), verdict.owner.as_deref());
        assert_eq!(found, (&[][..], Some(owner)), "{}", guest.spec.name);
        assert_eq!(guest.log.boots().len(), 1, "{} was moved, never booted again", guest.spec.name);
    }
}
