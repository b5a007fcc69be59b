//! After the fault the same domain migrates as if nothing had been.

use api::task::{Task, TaskState};
use lab::{Daemon, Expect};

use super::subject::{BOOTS_WITHIN, Subject};
use super::{DESTINATION, GUEST, SOURCE, sides};
use crate::support::World;

/// The host on which a guest whose memory was lost is defined.
fn defined_on(world: &World) -> &'static str {
    let has = |host: &&str| sides::has_definition(&world.host(host));
    [SOURCE, DESTINATION].into_iter().find(has).expect("the definition is never lost")
}

/// Does what the task says where libvirt keeps a job that has ended: 9.0 was seen to, of a post-copy whose QEMU died, and then neither sets
/// autostart nor starts anything of that name.
pub(crate) fn do_as_told(world: &World, task: &Task) {
    if task.message.contains("restart libvirtd") {
        let host = world.host(defined_on(world));
        host.kill_daemon(Daemon::Libvirtd).expect("it is ended");
        host.start_daemon(Daemon::Libvirtd).expect("it is started");
        host.virsh(&["autostart", GUEST]).expect("autostart is set");
    }
}

/// Starts a guest whose memory was lost where its definition is; that host.
pub(crate) fn start_afresh(world: &World, subject: &Subject) -> String {
    let host = defined_on(world);
    world.host(host).virsh(&["start", GUEST]).expect("it starts where it is defined");
    subject.log.wait_next_tick(host, BOOTS_WITHIN).expect("it boots");
    host.to_owned()
}

/// Moves the guest from its owner to the other host, and looks at everything again.
pub(crate) fn migrates(world: &World, subject: &Subject, owner: &str) {
    let other = moves_on(world, subject, owner);
    subject.assert_well(world, Expect::Running, Some(other));
    assert_none_hangs(world);
}

/// Moves the domain from its owner to the other host; that host.
pub(super) fn moves_on(world: &World, subject: &Subject, owner: &str) -> &'static str {
    let other = if owner == SOURCE { DESTINATION } else { SOURCE };
    subject.clear_the_way(world, other);
    let task: Task = world.ferry_json(&["migrate", GUEST, "--to", other]);
    assert_eq!(task.state, TaskState::Done, "{task:#?}");
    other
}

/// No task is left at work.
pub(super) fn assert_none_hangs(world: &World) {
    let active: Vec<Task> = world.ferry_json(&["task", "list"]);
    assert!(active.is_empty(), "hung tasks: {active:#?}");
}
