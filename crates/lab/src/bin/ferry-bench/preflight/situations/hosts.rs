//! The two hosts and the way between them.

use super::super::situation::{Situation, What};

/// Policy routing stands in for a firewall: what goes to the migration ports is not let out.
const SHUT: &str = "ip rule add ipproto tcp dport 49152-49215 prohibit";
const OPEN: &str = "ip rule del ipproto tcp dport 49152-49215 prohibit";
const SAVE_HOSTS: &str = "cp /etc/hosts /etc/hosts.before";
const RESTORE_HOSTS: &str = "cat /etc/hosts.before >/etc/hosts";
const SAVE_SSH: &str = "rm -rf /root/.ssh.before && cp -a /root/.ssh /root/.ssh.before";
const RESTORE_SSH: &str = "rm -rf /root/.ssh && mv /root/.ssh.before /root/.ssh";
/// Takes every port that libvirt receives migrations on, until `TAKEN_PID` ends.
const TAKE_PORTS: &str = "perl -MSocket -e 'for (49152..49215) { socket($s[$_], AF_INET, SOCK_STREAM, 0) or die; \
     setsockopt($s[$_], SOL_SOCKET, SO_REUSEADDR, 1); until (bind($s[$_], sockaddr_in($_, INADDR_ANY))) { select(undef, undef, undef, 0.1) } listen($s[$_], 1) } \
     if (fork) { exit } close STDIN; close STDOUT; close STDERR; open F, \">/run/taken.pid\"; print F $$; close F; sleep 600' \
     && until [ -s /run/taken.pid ]; do sleep 0.1; done";
const GIVE_PORTS: &str = "[ ! -e /run/taken.pid ] || { kill $(cat /run/taken.pid); rm /run/taken.pid; }";

pub(super) fn all() -> Vec<Situation> {
    [machines(), names(), logins(), ports()].concat()
}

fn machines() -> Vec<Situation> {
    vec![
        Situation::go("hosts", "two alike"),
        Situation::go("hosts", "to a newer release").between("kvm1", "kvm3"),
        Situation::go("hosts", "to an older release, a machine that both know").between("kvm3", "kvm1"),
        Situation::stop("hosts", "to the host it is on", "same-host").between("kvm1", "kvm1"),
        Situation::stop("hosts", "the destination's daemon is limited to little memory", "memory-limit")
            .shape(|shape| shape.memory_mib = 1024)
            .before("kvm2", "prlimit --as=1500000000: --pid $(cat /run/libvirtd.pid)")
            .undo("kvm2", "prlimit --as=unlimited: --pid $(cat /run/libvirtd.pid)"),
        Situation::stop("hosts", "the destination's libvirt does not run", "host-no-libvirt")
            .after("kvm2", What::StopLibvirt)
            .by_hand("kvm2", What::StartLibvirt),
        Situation::stop("hosts", "the destination's libvirt stands still", "host-not-answering")
            .after("kvm2", What::FreezeLibvirt)
            .by_hand("kvm2", What::ThawLibvirt),
        Situation::stop("hosts", "the destination's cable is out", "host-not-answering")
            .after("kvm2", What::CableOut)
            .by_hand("kvm2", What::CableIn),
    ]
}

fn names() -> Vec<Situation> {
    vec![
        Situation::stop("access", "the source does not know the destination's name", "peer-name-unknown")
            .before("kvm1", format!("{SAVE_HOSTS} && sed '/ kvm2$/d' /etc/hosts.before >/etc/hosts"))
            .undo("kvm1", RESTORE_HOSTS),
        Situation::stop(
            "access",
            "the destination's name leads to the source itself there",
            "peer-name-loopback",
        )
        .before(
            "kvm1",
            format!("{SAVE_HOSTS} && sed 's/^.* kvm2$/127.0.1.1 kvm2/' /etc/hosts.before >/etc/hosts"),
        )
        .undo("kvm1", RESTORE_HOSTS),
        Situation::stop("access", "the destination calls itself localhost", "hostname-localhost")
            .before("kvm2", "hostname localhost")
            .undo("kvm2", "hostname kvm2"),
        Situation::stop(
            "access",
            "the destination calls itself by a name that the source does not know",
            "hostname-unknown",
        )
        .before("kvm2", "hostname rack7")
        .before("kvm1", SAVE_HOSTS)
        .undo("kvm1", RESTORE_HOSTS)
        .undo("kvm2", "hostname kvm2"),
        Situation::stop(
            "access",
            "the destination's own name is one of the source's loopback",
            "hostname-loopback",
        )
        .before("kvm2", "hostname debian")
        .before("kvm1", format!("{SAVE_HOSTS} && echo 127.0.1.1 debian >>/etc/hosts"))
        .undo("kvm1", RESTORE_HOSTS)
        .undo("kvm2", "hostname kvm2"),
    ]
}

fn logins() -> Vec<Situation> {
    vec![
        Situation::stop("access", "the destination does not let the source's root in", "peer-login-denied")
            .before("kvm2", SAVE_SSH)
            .before(
                "kvm1",
                format!("{SAVE_SSH} && rm /root/.ssh/id_ed25519* && ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519"),
            )
            .undo("kvm1", RESTORE_SSH)
            .undo("kvm2", RESTORE_SSH),
        Situation::stop("access", "root of the source has no key", "peer-login-denied")
            .before("kvm2", SAVE_SSH)
            .before("kvm1", format!("{SAVE_SSH} && rm /root/.ssh/id_ed25519*"))
            .by_hand("kvm1", "ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519 && cp ~/.ssh/id_ed25519.pub /srv/shared/key")
            .by_hand("kvm2", "cat /srv/shared/key >>/root/.ssh/authorized_keys")
            .undo("kvm1", RESTORE_SSH)
            .undo("kvm2", RESTORE_SSH),
        Situation::stop("access", "the source does not know the destination's ssh key", "peer-host-key-unknown")
            .before("kvm1", format!("{SAVE_SSH} && rm /root/.ssh/known_hosts"))
            .undo("kvm1", RESTORE_SSH),
        Situation::stop("access", "the source knows another ssh key of the destination", "peer-host-key-changed")
            .before(
                "kvm1",
                format!(
                    "{SAVE_SSH} && ssh-keygen -q -t ed25519 -N '' -f /tmp/wrong && \
                     echo \"kvm2 $(cut -d' ' -f1,2 /tmp/wrong.pub)\" >/root/.ssh/known_hosts && rm /tmp/wrong*"
                ),
            )
            .undo("kvm1", RESTORE_SSH),
    ]
}

fn ports() -> Vec<Situation> {
    vec![
        Situation::stop("access", "the ports for migrations are shut", "migration-port-shut")
            .before("kvm1", SHUT)
            .by_hand("kvm1", OPEN)
            .undo("kvm1", format!("{OPEN} 2>/dev/null || true")),
        Situation::go("access", "the ports are shut, and everything goes through ssh")
            .secure()
            .before("kvm1", SHUT)
            .undo("kvm1", OPEN),
        Situation::stop("access", "every port for migrations is taken", "migration-ports-taken")
            .before("kvm2", TAKE_PORTS)
            .by_hand("kvm2", GIVE_PORTS)
            .undo("kvm2", GIVE_PORTS),
        Situation::go("access", "the destination's sshd lets few in at once")
            .before("kvm2", "cp -p /etc/ssh/sshd_config /etc/ssh/before && sed -i 's/^MaxStartups.*/MaxStartups 4/' /etc/ssh/sshd_config")
            .before("kvm2", What::RestartSshd)
            .undo("kvm2", "cat /etc/ssh/before >/etc/ssh/sshd_config")
            .undo("kvm2", What::RestartSshd),
    ]
}
