//! The way from source to destination: its libvirt, its key, its name, its ports.

use api::finding::{Finding, Remedy};

use super::say::{advice, blocker, command, note, shell_word};
use crate::model::ConnectFailure;
use crate::model::facts::{Facts, HostFacts, Login, Meeting, PortProbe, SshPlace};

/// sshd drops what begins beyond this many at once; a migration begins two or three.
const STARTUPS_FEW: u32 = 10;

/// The source's libvirt has an address to reach the destination by.
pub(super) fn peer_address(facts: &Facts, findings: &mut Vec<Finding>) {
    if facts.destination_peer_uri.is_some() || facts.goes_by_controller() {
        return;
    }
    let name = facts.destination.name();
    findings.push(blocker(
        "no-peer-uri",
        name,
        format!("{name} is registered by an address that only its own machine understands."),
        "its URI is local, and no peer URI was given".to_owned(),
        command(
            "Register it again with the URI by which the other hosts reach it.",
            format!("ferry host remove {name} && ferry host add {name} qemu:///system --peer-uri qemu+ssh://root@ADDRESS/system"),
            None,
        ),
    ));
}

/// What the two hosts are to each other; none where they need not meet: a stopped domain goes by way of the controller.
fn meeting(facts: &Facts) -> Option<(&HostFacts, &HostFacts, &Meeting)> {
    if facts.is_stopped() {
        return None;
    }
    Some((facts.source.known()?, facts.destination.known()?, facts.meeting.as_ref()?))
}

/// The source can resolve the address in the peer URI.
pub(super) fn peer_name(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, meeting)) = meeting(facts).filter(|_| !facts.goes_by_controller()) else {
        return;
    };
    let Some(peer) = &meeting.peer else { return };
    if peer.addresses.is_empty() {
        findings.push(blocker(
            "peer-name-unknown",
            &source.name,
            format!(
                "{} cannot resolve {}, the address of {} in its peer URI.",
                source.name, peer.name, destination.name
            ),
            format!("getent ahosts {} finds nothing on {}", peer.name, source.name),
            name_remedy(source, destination, &peer.name, &[]),
        ));
    } else if peer.is_loopback() {
        findings.push(blocker(
            "peer-name-loopback",
            &source.name,
            format!("On {}, the name {} leads to {0} itself.", source.name, peer.name),
            format!("{} is {}", peer.name, peer.addresses.join(", ")),
            name_remedy(source, destination, &peer.name, &[]),
        ));
    }
}

/// An address for a name, from those that the destination has, in the source's own table.
fn name_remedy(source: &HostFacts, destination: &HostFacts, name: &str, known: &[String]) -> Option<Remedy> {
    let outside = |address: &&String| {
        !address.starts_with("127.") && !address.starts_with("fe80:") && *address != "::1"
    };
    let own = destination.shell.as_ref().map(|shell| shell.addresses.as_slice()).unwrap_or_default();
    match known.iter().chain(own).find(outside) {
        Some(address) => {
            // Taken off the lines of loopback addresses, which count as well, and on a line of its own. (Written in place: in a
            // container the table is a mount.)
            let off = shell_word(&format!(r"/^(127\.|::1)/s/\s{}(\s|$)/\1/g", name.replace('.', r"\.")));
            let line = shell_word(&format!("1i{address} {name}"));
            command(
                "Add the name to DNS, or to the source's own table.",
                format!(
                    "sed -E -e {off} -e {line} /etc/hosts >/etc/hosts.new && cat /etc/hosts.new >/etc/hosts && rm /etc/hosts.new"
                ),
                Some(&source.name),
            )
        }
        None => advice("Add the name to DNS, or to /etc/hosts of the source."),
    }
}

/// The source's root gets into the destination.
pub(super) fn login(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, meeting)) = meeting(facts).filter(|_| !facts.goes_by_controller()) else {
        return;
    };
    if meeting.peer.as_ref().is_some_and(|peer| peer.addresses.is_empty() || peer.is_loopback()) {
        return;
    }
    let (from, to) = (&source.name, &destination.name);
    match &meeting.login {
        None | Some(Login::Works) => {}
        Some(Login::NoLibvirt(found)) => findings.push(blocker(
            "peer-no-libvirt",
            to,
            format!("{from} gets into {to}, but finds no way to libvirt there."),
            found.clone(),
            advice("Start libvirt there (systemctl enable --now libvirtd.socket); it needs virt-ssh-helper or nc on the host, too."),
        )),
        Some(Login::Fails { failure, said }) => findings.push(login_fails(facts, source, destination, *failure, said)),
    }
}

fn login_fails(
    facts: &Facts,
    source: &HostFacts,
    destination: &HostFacts,
    failure: ConnectFailure,
    said: &str,
) -> Finding {
    let (from, to) = (&source.name, &destination.name);
    let place = facts.meeting.as_ref().and_then(|meeting| meeting.ssh.clone()).unwrap_or_else(|| SshPlace {
        word: format!("root@{}", destination.hostname),
        key_name: destination.hostname.clone(),
    });
    let target = place.word;
    let by_hand = |text: &str, options: &str| {
        command(text, format!("ssh {options}{} true", shell_word(&target)), Some(from))
    };
    let (code, message, remedy) = match failure {
        ConnectFailure::Denied => {
            let key = source.shell.as_ref().and_then(|shell| shell.root_key.as_ref());
            let remedy = match key {
                Some(key) => command(
                    "Let root of the source in.",
                    format!("mkdir -p -m 700 ~/.ssh && echo {} >> ~/.ssh/authorized_keys", shell_word(key)),
                    Some(to),
                ),
                None => command(
                    "Root of the source has no key of its own: make one, and put its public half (~/.ssh/id_ed25519.pub) into \
                     ~/.ssh/authorized_keys on the destination.",
                    "ssh-keygen -q -t ed25519 -N '' -f ~/.ssh/id_ed25519 && cat ~/.ssh/id_ed25519.pub"
                        .to_owned(),
                    Some(from),
                ),
            };
            ("peer-login-denied", format!("{to} does not let root of {from} in."), remedy)
        }
        ConnectFailure::HostKeyUnknown => (
            "peer-host-key-unknown",
            format!("Root of {from} does not know the ssh key of {to}."),
            by_hand(
                "Log in once, and compare the fingerprint with ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub on the destination.",
                "-o StrictHostKeyChecking=accept-new ",
            ),
        ),
        ConnectFailure::HostKeyChanged => (
            "peer-host-key-changed",
            format!("Root of {from} knows another ssh key of {to} than it shows."),
            command(
                "Find out why. If the destination was installed anew, forget its old key, and log in once to learn the new one.",
                format!(
                    "ssh-keygen -R {} && ssh -o StrictHostKeyChecking=accept-new {} true",
                    shell_word(&place.key_name),
                    shell_word(&target)
                ),
                Some(from),
            ),
        ),
        other => (
            "peer-unreachable",
            format!("{from} does not reach libvirt on {to}: {}.", other.explanation()),
            by_hand("See what it says.", ""),
        ),
    };
    blocker(code, to, message, said.to_owned(), remedy)
}

/// The source can resolve the name that the destination calls itself by: there QEMU sends the memory.
pub(super) fn hostname(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, meeting)) = meeting(facts) else { return };
    // Sent to an address, it needs no name.
    let by_name = !facts.wanted.tunnelled && facts.transport.via.is_none();
    let Some(hostname) = meeting.hostname.as_ref().filter(|_| by_name) else { return };
    let known =
        meeting.peer.as_ref().filter(|peer| !peer.is_loopback()).map(|peer| peer.addresses.as_slice());
    let remedy = || name_remedy(source, destination, &hostname.name, known.unwrap_or_default());
    let name = &destination.name;
    if hostname.name.starts_with("localhost") {
        findings.push(blocker(
            "hostname-localhost",
            name,
            format!("{name} calls itself {}: nobody else can send anything there.", hostname.name),
            format!("host name {}", hostname.name),
            command(
                "Give it a name of its own.",
                format!("hostnamectl set-hostname {0} || hostname {0}", shell_word(name)),
                Some(name),
            ),
        ));
    } else if hostname.addresses.is_empty() {
        findings.push(blocker(
            "hostname-unknown",
            &source.name,
            format!(
                "{} cannot resolve {}, the name that {name} calls itself and receives the memory by.",
                source.name, hostname.name
            ),
            format!("getent ahosts {} finds nothing on {}", hostname.name, source.name),
            remedy(),
        ));
    } else if hostname.is_loopback() {
        findings.push(blocker(
            "hostname-loopback",
            &source.name,
            format!("On {}, the name that {name} calls itself leads to {0} itself: the memory would be sent to nobody.", source.name),
            format!("{} is {}", hostname.name, hostname.addresses.join(", ")),
            remedy(),
        ));
    }
}

/// The source gets to a port that the destination receives migrations on.
pub(super) fn migration_port(facts: &Facts, findings: &mut Vec<Finding>) {
    let Some((source, destination, meeting)) = meeting(facts) else { return };
    if facts.wanted.tunnelled
        || meeting.hostname.as_ref().is_none_or(|name| name.addresses.is_empty() || name.is_loopback())
    {
        return;
    }
    let (from, to) = (&source.name, &destination.name);
    let (first, last) =
        destination.shell.as_ref().and_then(|shell| shell.migration_ports).unwrap_or((49152, 49215));
    match &meeting.port {
        Some(PortProbe::Open(_)) => {}
        Some(PortProbe::Shut { port, address, said }) => findings.push(blocker(
            "migration-port-shut",
            to,
            format!("{from} cannot connect to {to} on the ports that memory is sent to."),
            format!("{from} to {address} port {port}: {said}"),
            command(
                &format!(
                    "Open TCP ports {first} to {last} on the destination (firewall-cmd --add-port={first}-{last}/tcp, ufw allow \
                     {first}:{last}/tcp), or send everything through ssh: --secure."
                ),
                format!("iptables -I INPUT -p tcp --dport {first}:{last} -j ACCEPT"),
                Some(to),
            ),
        )),
        Some(PortProbe::NoneFree) => findings.push(blocker(
            "migration-ports-taken",
            to,
            format!("Every port that {to} receives migrations on is taken."),
            format!("ports {first} to {last}"),
            advice("Wait until other migrations have ended, or widen the range (migration_port_max in /etc/libvirt/qemu.conf)."),
        )),
        None => findings.push(note(
            "migration-port-unprobed",
            to,
            format!("Whether {from} reaches the ports that {to} receives memory on was not tried."),
            "a host offers no shell, or neither Perl nor Python".to_owned(),
        )),
    }
}

/// sshd lets enough sessions begin at once.
pub(super) fn sessions(facts: &Facts, findings: &mut Vec<Finding>) {
    for host in [&facts.source, &facts.destination] {
        let Some(limit) = host.shell().and_then(|shell| shell.ssh_max_startups) else { continue };
        if limit < STARTUPS_FEW {
            findings.push(note(
                "ssh-few-sessions",
                host.name(),
                format!(
                    "sshd on {} drops logins when several begin at once: migrations side by side may fail.",
                    host.name()
                ),
                format!("MaxStartups {limit}"),
            ));
        }
    }
}
