//! The whole matrix of faults on real libvirt and QEMU: `./test --all-faults`. With `FERRY_FAULT_TABLE` set each cell adds its
//! row to that file.

mod faults;
mod support;

use faults::Moment::*;
use faults::cell::{Cell, run};
use faults::strike::Fault;

macro_rules! matrix {
    ($make:ident; $($group:ident: $fault:ident at $($name:ident $moment:ident),+;)*) => {
        $(mod $group {
            use super::*;
            $(#[test] fn $name() { run(Cell::$make(Fault::$fault, $moment)); })+
        })*
    };
}

mod live {
    use super::*;

    matrix! { new;
        control: None at t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
        controller_killed: ControllerKilled at t0 T0, t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
        connection_to_source_dropped: LinkToSourceDropped at t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
        connection_to_destination_dropped: LinkToDestinationDropped at
            t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
        connection_between_hosts_dropped: LinkBetweenDropped at t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6;
        source_libvirtd_killed: SourceDaemonKilled at t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
        source_libvirtd_frozen: SourceDaemonFrozen at t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
        destination_libvirtd_killed: DestinationDaemonKilled at
            t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
        destination_libvirtd_frozen: DestinationDaemonFrozen at
            t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
        source_qemu_killed: SourceQemuKilled at t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6;
        destination_qemu_killed: DestinationQemuKilled at t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
        cable_out_5s: CableOut5s at t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
        cable_out_50s: CableOut50s at t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
        // Later the domain may be where the cable is out: the task waits for it.
        cable_out_for_good: CableOutForGood at t1 T1, t2 T2, t3 T3, t4 T4;
        destination_power_off: DestinationPowerOff at t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
        destination_power_off_for_good: DestinationPowerOffForGood at t1 T1, t2 T2, t3 T3, t4 T4;
        source_power_off_autostart: SourcePowerOffAutostart at t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
        source_power_off: SourcePowerOff at t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
        cancel: Cancel at t0 T0, t1 T1, t2 T2, t3 T3, t4 T4, t5 T5, t6 T6, t7 T7;
        source_defined_again: SourceDefinedAgain at t7 T7;
        removed_from_destination: RemovedFromDestination at t7 T7;
        source_libvirtd_and_destination_qemu_killed: SourceDaemonAndDestinationQemuKilled at t3 T3, t4 T4;
    }
}

/// Through libvirt's own connection. (T4 is told by the connection between the QEMUs, of which there is none here; and what would
/// hold the answers of T5 and T6 holds the memory too, which goes the same way.)
mod secure {
    use super::*;

    matrix! { secure;
        control: None at t2 T2, t3 T3, t7 T7;
        controller_killed: ControllerKilled at t2 T2, t3 T3, t7 T7;
        connection_between_hosts_dropped: LinkBetweenDropped at t2 T2, t3 T3;
        source_libvirtd_killed: SourceDaemonKilled at t2 T2, t3 T3;
        destination_libvirtd_killed: DestinationDaemonKilled at t2 T2, t3 T3;
        cable_out_50s: CableOut50s at t2 T2, t3 T3;
        cancel: Cancel at t2 T2, t3 T3, t7 T7;
    }
}

/// Switched to post-copy, while memory follows; and before the switch, where it is an ordinary copy that nobody hands over.
mod post_copy {
    use super::*;

    matrix! { post_copy;
        control: None at t1 T1, p P;
        controller_killed: ControllerKilled at t1 T1, p P;
        connection_to_source_dropped: LinkToSourceDropped at p P;
        connection_to_destination_dropped: LinkToDestinationDropped at p P;
        connection_between_hosts_dropped: LinkBetweenDropped at t1 T1, p P;
        source_libvirtd_killed: SourceDaemonKilled at t1 T1, p P;
        destination_libvirtd_killed: DestinationDaemonKilled at t1 T1, p P;
        source_qemu_killed: SourceQemuKilled at p P;
        destination_qemu_killed: DestinationQemuKilled at p P;
        cable_out_5s: CableOut5s at p P;
        cable_out_50s: CableOut50s at t1 T1, p P;
        destination_power_off: DestinationPowerOff at p P;
        source_power_off: SourcePowerOff at p P;
        cancel: Cancel at t1 T1, p P;
    }
}

/// With disks that only the source has: while one is copied, while memory follows it, and at the switch-over.
mod disks {
    use super::*;

    matrix! { disks;
        control: None at d D, t3 T3;
        controller_killed: ControllerKilled at d D, t2 T2, t3 T3;
        connection_between_hosts_dropped: LinkBetweenDropped at d D, t3 T3;
        source_libvirtd_killed: SourceDaemonKilled at d D, t2 T2;
        destination_libvirtd_killed: DestinationDaemonKilled at d D, t2 T2;
        source_qemu_killed: SourceQemuKilled at d D;
        destination_qemu_killed: DestinationQemuKilled at d D, t2 T2;
        cable_out_5s: CableOut5s at d D;
        cable_out_50s: CableOut50s at d D, t3 T3;
        destination_power_off: DestinationPowerOff at d D;
        source_power_off: SourcePowerOff at d D;
        cancel: Cancel at d D, t2 T2, t3 T3;
        destination_full: DestinationFull at d D;
        destination_pool_stopped: DestinationPoolStopped at d D;
    }
}

/// One that does not run, while its disks are carried.
mod stopped {
    use super::*;

    matrix! { stopped;
        control: None at s S;
        controller_killed: ControllerKilled at s S;
        connection_to_source_dropped: LinkToSourceDropped at s S;
        connection_to_destination_dropped: LinkToDestinationDropped at s S;
        source_libvirtd_killed: SourceDaemonKilled at s S;
        source_libvirtd_frozen: SourceDaemonFrozen at s S;
        destination_libvirtd_killed: DestinationDaemonKilled at s S;
        destination_libvirtd_frozen: DestinationDaemonFrozen at s S;
        cable_out_5s: CableOut5s at s S;
        cable_out_50s: CableOut50s at s S;
        cable_out_for_good: CableOutForGood at s S;
        destination_power_off: DestinationPowerOff at s S;
        destination_power_off_for_good: DestinationPowerOffForGood at s S;
        source_power_off_autostart: SourcePowerOffAutostart at s S;
        source_power_off: SourcePowerOff at s S;
        cancel: Cancel at s S;
        destination_full: DestinationFull at s S;
        destination_pool_stopped: DestinationPoolStopped at s S;
        destination_garbles: DestinationGarbles at s S;
        source_written: SourceWritten at s S;
        source_started: SourceStarted at s S;
    }
}
