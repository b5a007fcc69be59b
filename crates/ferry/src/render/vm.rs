//! Virtual machines.

use api::vm::Vm;

use super::table::{Align, list, table};
use super::{unit, yes};

/// Virtual machines, by name and host.
pub(crate) fn vms(mut vms: Vec<Vm>) -> String {
    if vms.is_empty() {
        return "There is no such virtual machine on the registered hosts.".to_owned();
    }
    vms.sort_by(|a, b| (&a.name, &a.host).cmp(&(&b.name, &b.host)));
    let columns = [
        ("NAME", Align::Left),
        ("HOST", Align::Left),
        ("STATE", Align::Left),
        ("VCPUS", Align::Right),
        ("MEMORY", Align::Right),
        ("UUID", Align::Left),
    ];
    let rows: Vec<_> = vms
        .iter()
        .map(|vm| {
            let moving = if vm.task.is_some() { ", moving" } else { "" };
            [
                vm.name.clone(),
                vm.host.clone(),
                format!("{}{moving}", vm.state.as_str()),
                vm.vcpus.to_string(),
                unit::bytes(vm.memory_bytes),
                vm.uuid.to_string(),
            ]
        })
        .collect();
    table(columns, &rows)
}

/// One virtual machine.
pub(crate) fn vm(vm: &Vm) -> String {
    list(&[
        ("name", vm.name.clone()),
        ("uuid", vm.uuid.to_string()),
        ("host", vm.host.clone()),
        ("state", vm.state.as_str().to_owned()),
        ("moved by task", vm.task.map(|id| id.to_string()).unwrap_or_default()),
        ("vcpus", vm.vcpus.to_string()),
        ("memory", format!("{} of {}", unit::bytes(vm.memory_bytes), unit::bytes(vm.max_memory_bytes))),
        ("cpu time", unit::span(vm.cpu_time_ns / 1_000_000)),
        ("persistent", yes(vm.persistent)),
        ("autostart", yes(vm.autostart)),
    ])
}

#[cfg(test)]
mod tests {
    use api::vm::VmState;

    use super::*;

    fn sample(name: &str, host: &str) -> Vm {
        Vm {
            name: name.to_owned(),
            uuid: uuid::Uuid::from_u128(7),
            host: host.to_owned(),
            state: VmState::Running,
            persistent: true,
            autostart: false,
            vcpus: 2,
            max_memory_bytes: 512 << 20,
            memory_bytes: 256 << 20,
            cpu_time_ns: 64_000_000_000,
            task: None,
        }
    }

    #[test]
    fn machines_are_listed_by_name() {
        let mut moving = sample("web1", "kvm1");
        moving.task = Some(uuid::Uuid::from_u128(9));
        assert_eq!(
            vms(vec![moving, sample("web1", "kvm0"), sample("db", "kvm2")]),
            "\
NAME  HOST  STATE            VCPUS   MEMORY  UUID
db    kvm2  running              2  256 MiB  00000000-0000-0000-0000-000000000007
web1  kvm0  running              2  256 MiB  00000000-0000-0000-0000-000000000007
web1  kvm1  running, moving      2  256 MiB  00000000-0000-0000-0000-000000000007"
        );
    }

    #[test]
    fn one_machine_in_full() {
        assert_eq!(
            vm(&sample("web1", "kvm1")),
            "\
name        web1
uuid        00000000-0000-0000-0000-000000000007
host        kvm1
state       running
vcpus       2
memory      256 MiB of 512 MiB
cpu time    1 min 4 s
persistent  yes
autostart   no"
        );
    }
}
