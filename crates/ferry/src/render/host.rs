//! Hosts.

use api::host::Host;

use super::table::{Align, list, table};
use super::{unit, word};

/// All hosts, by name.
pub(crate) fn hosts(mut hosts: Vec<Host>) -> String {
    if hosts.is_empty() {
        return "No host is registered; `ferry host add NAME URI` registers one.".to_owned();
    }
    hosts.sort_by(|a, b| a.name.cmp(&b.name));
    let columns = [
        ("NAME", Align::Left),
        ("STATE", Align::Left),
        ("VMS", Align::Right),
        ("RUNNING", Align::Right),
        ("CPUS", Align::Right),
        ("MEMORY", Align::Right),
        ("LIBVIRT", Align::Left),
        ("URI", Align::Left),
    ];
    let rows: Vec<_> = hosts
        .iter()
        .map(|host| {
            let of = |pick: fn(&api::host::HostInfo) -> String| {
                host.info.as_ref().map_or_else(|| "-".to_owned(), pick)
            };
            [
                host.name.clone(),
                word(&host.state),
                host.vms_total.to_string(),
                host.vms_running.to_string(),
                of(|info| info.cpus.to_string()),
                of(|info| unit::bytes(info.memory_bytes)),
                of(|info| info.libvirt_version.clone()),
                host.uri.clone(),
            ]
        })
        .collect();
    let problems =
        hosts.iter().filter_map(|host| Some(format!("\n{}: {}", host.name, host.problem.as_ref()?)));
    let problems: String = problems.collect();
    let gap = if problems.is_empty() { "" } else { "\n" };
    format!("{}{gap}{problems}", table(columns, &rows))
}

/// One host.
pub(crate) fn host(host: &Host) -> String {
    let mut pairs = vec![
        ("name", host.name.clone()),
        ("state", word(&host.state)),
        ("problem", host.problem.clone().unwrap_or_default()),
        ("uri", host.uri.clone()),
        ("peer uri", host.peer_uri.clone().unwrap_or_default()),
        ("memory by", host.migrate_via.clone().unwrap_or_default()),
        ("machines", format!("{} running of {}", host.vms_running, host.vms_total)),
    ];
    if let Some(info) = &host.info {
        pairs.extend([
            ("host name", info.hostname.clone()),
            ("uuid", info.uuid.to_string()),
            ("cpus", format!("{} ({})", info.cpus, info.architecture)),
            ("memory", unit::bytes(info.memory_bytes)),
            ("libvirt", info.libvirt_version.clone()),
            ("hypervisor", format!("{} {}", info.hypervisor, info.hypervisor_version)),
        ]);
    }
    list(&pairs)
}

#[cfg(test)]
mod tests {
    use api::host::{HostInfo, HostState};

    use super::*;

    fn sample(name: &str) -> Host {
        Host {
            name: name.to_owned(),
            uri: format!("qemu+ssh://root@{name}/system"),
            peer_uri: None,
            migrate_via: None,
            state: HostState::Connected,
            problem: None,
            info: Some(HostInfo {
                hostname: name.to_owned(),
                uuid: uuid::Uuid::from_u128(1),
                hypervisor: "QEMU".to_owned(),
                architecture: "x86_64".to_owned(),
                libvirt_version: "9.0.0".to_owned(),
                hypervisor_version: "7.2.22".to_owned(),
                cpus: 8,
                memory_bytes: 16 << 30,
            }),
            vms_running: 2,
            vms_total: 11,
        }
    }

    #[test]
    fn hosts_are_listed_by_name_with_their_problems() {
        let mut gone = sample("kvm2");
        gone.state = HostState::Unreachable;
        gone.info = None;
        gone.problem = Some("no answer within 10 s".to_owned());
        assert_eq!(
            hosts(vec![gone, sample("kvm1")]),
            "\
NAME  STATE        VMS  RUNNING  CPUS  MEMORY  LIBVIRT  URI
kvm1  connected     11        2     8  16 GiB  9.0.0    qemu+ssh://root@kvm1/system
kvm2  unreachable   11        2     -       -  -        qemu+ssh://root@kvm2/system

kvm2: no answer within 10 s"
        );
        assert!(hosts(vec![]).contains("host add"));
    }

    #[test]
    fn one_host_in_full() {
        assert_eq!(
            host(&sample("kvm1")),
            "\
name        kvm1
state       connected
uri         qemu+ssh://root@kvm1/system
machines    2 running of 11
host name   kvm1
uuid        00000000-0000-0000-0000-000000000001
cpus        8 (x86_64)
memory      16 GiB
libvirt     9.0.0
hypervisor  QEMU 7.2.22"
        );
    }
}
