//! The cells of the matrix of faults that were found broken in plain libvirt, on real libvirt and QEMU; `faults_all` has all.

mod faults;
mod support;

use faults::Moment::*;
use faults::cell::{Cell, run};
use faults::strike::Fault;
use faults::{gone, two};

macro_rules! cells {
    ($($group:ident: $fault:ident at $($name:ident $moment:ident),+;)*) => {
        $(mod $group {
            use super::*;
            $(#[test] fn $name() { run(Cell::new(Fault::$fault, $moment)); })+
        })*
    };
}

cells! {
    control: None at t2 T2, t3 T3, t7 T7;
    controller_killed: ControllerKilled at t0 T0, t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
    connection_to_source_dropped: LinkToSourceDropped at t5 T5;
    connection_to_destination_dropped: LinkToDestinationDropped at t5 T5;
    connection_between_hosts_dropped: LinkBetweenDropped at t5 T5;
    source_libvirtd_killed: SourceDaemonKilled at t4 T4, t6 T6;
    source_libvirtd_frozen: SourceDaemonFrozen at t4 T4, t6 T6;
    destination_libvirtd_killed: DestinationDaemonKilled at t5 T5;
    destination_libvirtd_frozen: DestinationDaemonFrozen at t5 T5;
    destination_qemu_killed: DestinationQemuKilled at t7 T7;
    cable_out_5s: CableOut5s at t3 T3;
    cable_out_50s: CableOut50s at t3 T3;
    cable_out_for_good: CableOutForGood at t3 T3;
    destination_power_off: DestinationPowerOff at t3 T3;
    destination_power_off_for_good: DestinationPowerOffForGood at t3 T3;
    source_power_off_autostart: SourcePowerOffAutostart at t5 T5;
    cancel: Cancel at t3 T3;
    source_defined_again: SourceDefinedAgain at t7 T7;
}

/// Post-copy, while memory follows.
mod post_copy {
    use super::*;

    #[test]
    fn control() {
        run(Cell::post_copy(Fault::None, P));
    }

    #[test]
    fn controller_killed() {
        run(Cell::post_copy(Fault::ControllerKilled, P));
    }

    #[test]
    fn cable_out_50s() {
        run(Cell::post_copy(Fault::CableOut50s, P));
    }

    #[test]
    fn destination_qemu_killed() {
        run(Cell::post_copy(Fault::DestinationQemuKilled, P));
    }

    #[test]
    fn cancel() {
        run(Cell::post_copy(Fault::Cancel, P));
    }
}

/// With disks that are copied along.
mod disks {
    use super::*;

    #[test]
    fn cable_out_50s() {
        run(Cell::disks(Fault::CableOut50s, D));
    }

    #[test]
    fn controller_killed() {
        run(Cell::disks(Fault::ControllerKilled, T3));
    }
}

/// libvirtd of the destination ends by itself when it finds no space.
#[test]
fn of_a_stopped_one_whose_destination_is_full() {
    run(Cell::stopped(Fault::DestinationFull, S));
}

#[test]
fn of_two_running_copies_the_moved_one_is_kept() {
    two::found(api::task::Side::Destination);
}

#[test]
fn of_two_running_copies_the_one_started_again_is_kept() {
    two::found(api::task::Side::Source);
}

#[test]
fn a_source_that_is_gone_for_good_does_not_take_the_domain_with_it() {
    gone::started_anew();
}

#[test]
fn a_leftover_that_somebody_started_is_handed_to_a_person_who_keeps_it() {
    two::leftover_is_started(api::task::Side::Source);
}

#[test]
fn a_leftover_that_somebody_started_is_handed_to_a_person_who_keeps_the_moved_one() {
    two::leftover_is_started(api::task::Side::Destination);
}
