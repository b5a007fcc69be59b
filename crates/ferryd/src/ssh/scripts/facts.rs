//! The scripts that find facts for the checks, and what they print.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::super::uri::{LibvirtUri, Transport};
use super::super::wrapper::shell_quoted;
use crate::model::facts::{
    BridgeFacts, Login, PathFacts, PathKind, PortProbe, Resolved, ServerProbe, ShellFacts,
};
use crate::ssh::classify;

/// What to ask a host beyond what every check needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// Paths to look at.
    pub paths: Vec<String>,
    /// swtpm's version.
    pub tpm: bool,
    /// sshd's limits.
    pub sshd: bool,
}

/// A script that tells what the checks want to know of a host. Its output is read by [`parse_inspection`].
#[must_use]
pub fn inspect(inspection: &Inspection) -> String {
    let flag = u8::from;
    format!(
        "{}{}WANT_TPM={} WANT_SSHD={}\n{}",
        include_str!("home_only.sh"),
        arguments(&inspection.paths),
        flag(inspection.tpm),
        flag(inspection.sshd),
        include_str!("inspect.sh")
    )
}

/// The positional parameters of a script. A path that holds a line's end could not be told apart in what is printed: it is left
/// out, and so is one that is not absolute.
pub(super) fn arguments(paths: &[String]) -> String {
    let fine = |path: &&String| path.starts_with('/') && !path.chars().any(char::is_control);
    let words: Vec<String> = paths.iter().filter(fine).map(|path| shell_quoted(path)).collect();
    format!("set -- {}\n", words.join(" "))
}

/// What [`inspect`] printed; none if it is not whole. `now_ms` is the controller's time when the answer was asked for, and
/// `took_ms` how long it took: the host's clock was read somewhere in between.
#[must_use]
pub fn parse_inspection(output: &str, now_ms: u64, took_ms: u64) -> Option<ShellFacts> {
    let mut facts = ShellFacts::default();
    let mut places: BTreeMap<&str, &str> = BTreeMap::new();
    let mut spaces: BTreeMap<&str, (u64, &str, &str)> = BTreeMap::new();
    let (mut total_kib, mut swap_kib) = (None, None);
    let (mut first_port, mut last_port) = (None, None);
    let mut whole = false;
    for line in output.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        let number = |at: usize| words.get(at).and_then(|word| word.trim().parse::<u64>().ok());
        match words.as_slice() {
            ["clock", _] => facts.clock_offset_ms = clock_offset_ms(number(1)?, now_ms, took_ms),
            ["memory", "MemTotal", _] => total_kib = number(2),
            ["memory", "SwapTotal", _] => swap_kib = number(2),
            ["memory", "MemAvailable", _] => facts.memory_available_bytes = number(2).map(|kib| kib << 10),
            ["limit", what, text] => {
                // The soft limit comes first, then the hard one.
                let mut limits = text.split_whitespace().map(|word| word.parse().unwrap_or(u64::MAX));
                match *what {
                    "address-space" => facts.daemon_address_space_bytes = limits.next(),
                    _ => facts.daemon_locked_memory_limit_bytes = limits.nth(1),
                }
            }
            ["hugepages", _, _] => drop(facts.huge_pages_free.insert(number(1)?, number(2)?)),
            ["userfaultfd", _] => facts.userfaultfd = number(1).map(|allowed| allowed != 0),
            ["openvswitch"] => facts.open_vswitch = true,
            ["link", name, kind, _] => {
                let mtu = number(3).and_then(|mtu| u32::try_from(mtu).ok());
                facts.bridges.insert((*name).to_owned(), BridgeFacts { kind: (*kind).to_owned(), mtu });
            }
            ["address", address] => facts.addresses.push((*address).to_owned()),
            ["port", port] => facts.ports_taken.extend(u16::from_str_radix(port, 16)),
            ["migration-port", which, _] => {
                let port = number(2).and_then(|port| u16::try_from(port).ok());
                if *which == "min" { first_port = port } else { last_port = port }
            }
            ["lock-manager", name] => {
                facts.lock_manager = Some(name.trim_matches('"').to_owned()).filter(|name| name != "nop");
            }
            ["root-key", line] => facts.root_key = Some((*line).to_owned()),
            ["swtpm", version] => facts.swtpm = Some((*version).to_owned()).filter(|text| !text.is_empty()),
            ["program", name] => facts.programs.push((*name).to_owned()),
            ["max-startups", _] => {
                facts.ssh_max_startups = number(1).and_then(|count| u32::try_from(count).ok())
            }
            ["path", kind, _, _, _, _, _, path @ ..] => {
                let block_bytes = number(4).unwrap_or(512);
                let found = PathFacts {
                    kind: path_kind(kind),
                    size_bytes: number(2).unwrap_or(0),
                    allocated_bytes: number(3).unwrap_or(0).saturating_mul(block_bytes),
                    inode: number(5).unwrap_or(0),
                    modified_s: number(6).unwrap_or(0),
                    ..PathFacts::default()
                };
                facts.paths.insert(path.join("\t"), found);
            }
            ["serial", serial, path] => {
                facts.paths.entry((*path).to_owned()).or_default().serial = Some(serial.trim().to_owned());
            }
            ["place", path, place] => drop(places.insert(path, place)),
            ["space", place, _, kind, from] => {
                spaces.insert(place, (number(2).unwrap_or(0), kind, from));
            }
            ["end"] => whole = true,
            _ => {}
        }
    }
    for (path, place) in places {
        let entry = facts.paths.entry(path.to_owned()).or_default();
        if let Some((free_bytes, kind, from)) = spaces.get(place) {
            entry.free_bytes = *free_bytes;
            (entry.filesystem, entry.mounted_from) = ((*kind).to_owned(), (*from).to_owned());
        }
    }
    facts.memory_and_swap_bytes = total_kib.map(|total| (total + swap_kib.unwrap_or(0)) << 10);
    if first_port.is_some() || last_port.is_some() {
        facts.migration_ports = Some((first_port.unwrap_or(49152), last_port.unwrap_or(49215)));
    }
    whole.then_some(facts)
}

/// How far a clock is off, beyond what the time between question and answer leaves open.
fn clock_offset_ms(host_ms: u64, asked_ms: u64, took_ms: u64) -> Option<i64> {
    let (host, asked) = (i64::try_from(host_ms).ok()?, i64::try_from(asked_ms).ok()?);
    let answered = asked.checked_add(i64::try_from(took_ms).ok()?)?;
    Some(if host < asked { host - asked } else { (host - answered).max(0) })
}

fn path_kind(word: &str) -> PathKind {
    match word {
        "regular file" | "regular empty file" => PathKind::File,
        "directory" => PathKind::Directory,
        "block special file" => PathKind::Block,
        "character special file" => PathKind::Character,
        "socket" => PathKind::Socket,
        _ => PathKind::Other,
    }
}

/// A script that waits on a port for one connection, for this many seconds at the most, in the range that the host's qemu.conf
/// names, or else in this one; what it prints is read by [`parse_listening`]. It goes on alone, and ends by itself: nothing stays. The highest free port is taken, because libvirt takes
/// the lowest.
#[must_use]
pub fn listen(ports: &RangeInclusive<u16>, seconds: u32) -> String {
    let (pearl, snake) = (include_str!("listen.pl"), include_str!("listen.py"));
    debug_assert!(!pearl.contains('\'') && !snake.contains('\''));
    let words = format!("\"$FIRST\" \"$LAST\" {seconds}");
    let configured = |which: &str| {
        format!(
            "sed -n 's/^[[:space:]]*migration_port_{which}[[:space:]]*=[[:space:]]*\\([0-9]*\\).*/\\1/p' /etc/libvirt/qemu.conf 2>/dev/null"
        )
    };
    format!(
        "FIRST=$({}) LAST=$({})\n: \"${{FIRST:={}}}\" \"${{LAST:={}}}\"\nif command -v perl >/dev/null; then perl -e '{pearl}' {words}; exit 0; fi\n\
         for python in python3 /usr/libexec/platform-python; do\n\
         if command -v $python >/dev/null; then $python -c '{snake}' {words}; exit 0; fi\n\
         done",
        configured("min"),
        configured("max"),
        ports.start(),
        ports.end()
    )
}

/// The port that [`listen`] waits on; `Some(None)` where none was free, none where the host cannot listen at all.
#[must_use]
pub fn parse_listening(output: &str) -> Option<Option<u16>> {
    let port = output.lines().find_map(|line| line.strip_prefix("port\t"))?;
    Some(port.trim().parse().ok())
}

/// What the source is to find out about the way to the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeetingQuestion {
    /// The URI by which its libvirt reaches the destination's.
    pub peer_uri: LibvirtUri,
    /// The destination's own host name.
    pub hostname: String,
    /// The port that the destination waits on.
    pub port: Option<u16>,
    /// How long a connection may take.
    pub wait_s: u32,
}

/// A script for the source; its output is read by [`parse_meeting`].
#[must_use]
pub fn meet(question: &MeetingQuestion) -> String {
    let quoted = |text: &str| shell_quoted(text);
    let peer = question.peer_uri.host().unwrap_or_default();
    let login = match question.peer_uri.transport() {
        Transport::Ssh(target) => {
            let words: Vec<String> = target.arguments().iter().map(|word| shell_quoted(word)).collect();
            format!(
                "login() {{ ssh -T -o BatchMode=yes -o ConnectTimeout={} {} \"$@\"; }}\n",
                question.wait_s,
                words.join(" ")
            )
        }
        _ => "login() { :; }\n".to_owned(),
    };
    let port = question.port.map(|port| port.to_string()).unwrap_or_default();
    format!(
        "{}PEER={} NAME={} PORT={port} WAIT={}\nCONNECT_PL={}\nCONNECT_PY={}\n{login}{}",
        include_str!("home_only.sh"),
        quoted(peer),
        quoted(&question.hostname),
        question.wait_s,
        quoted(include_str!("connect.pl")),
        quoted(include_str!("connect.py")),
        include_str!("meet.sh")
    )
}

/// What the source said of the way to the destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeetingAnswer {
    /// The address in the peer URI.
    pub peer: Option<Resolved>,
    /// The destination's host name.
    pub hostname: Option<Resolved>,
    /// The login.
    pub login: Option<Login>,
    /// The port.
    pub port: Option<PortProbe>,
}

/// What [`meet`] printed; none if it is not whole.
#[must_use]
pub fn parse_meeting(output: &str, question: &MeetingQuestion) -> Option<MeetingAnswer> {
    let mut answer = MeetingAnswer::default();
    let resolved = |name: &str, addresses: &str| Resolved {
        name: name.to_owned(),
        addresses: addresses.split_whitespace().map(str::to_owned).collect(),
    };
    let mut whole = false;
    for line in output.lines() {
        let words: Vec<&str> = line.split('\t').collect();
        match words.as_slice() {
            ["peer", addresses] => {
                answer.peer = question.peer_uri.host().map(|host| resolved(host, addresses));
            }
            ["name", addresses] => answer.hostname = Some(resolved(&question.hostname, addresses)),
            ["open", _] => answer.port = question.port.map(PortProbe::Open),
            ["shut", address, said] => {
                let shut =
                    |port| PortProbe::Shut { port, address: (*address).to_owned(), said: (*said).to_owned() };
                answer.port = question.port.map(shut);
            }
            ["login", "works", ""] => answer.login = Some(Login::Works),
            ["login", "works", found] => answer.login = Some(Login::NoLibvirt((*found).to_owned())),
            ["login", "fails", said] => {
                let said = said.trim().to_owned();
                answer.login = Some(Login::Fails { failure: classify(&said), said });
            }
            ["end"] => whole = true,
            _ => {}
        }
    }
    whole.then_some(answer)
}

/// A script that connects to each of these servers; read by [`parse_probes`].
#[must_use]
pub fn probe(servers: &[(String, u16)], wait_s: u32) -> String {
    let (pearl, snake) = (include_str!("connect.pl"), include_str!("connect.py"));
    let mut script = format!(
        "CONNECT_PL={}\nCONNECT_PY={}\nconnect() {{\n\
         addresses=$(getent ahosts -- \"$1\" 2>/dev/null | while read -r address _; do echo \"$address\"; done | sort -u)\n\
         [ -n \"$addresses\" ] || {{ printf 'shut\\t%s\\tthe name is not known\\n' \"$1\"; return; }}\n\
         if command -v perl >/dev/null; then perl -e \"$CONNECT_PL\" {wait_s} \"$2\" $addresses; return; fi\n\
         for python in python3 /usr/libexec/platform-python; do\n\
         if command -v $python >/dev/null; then $python -c \"$CONNECT_PY\" {wait_s} \"$2\" $addresses; return; fi\n\
         done\n}}\n",
        shell_quoted(pearl),
        shell_quoted(snake)
    );
    for (name, port) in servers {
        script.push_str(&format!("connect {} {port}\n", shell_quoted(name)));
    }
    script.push_str("echo end");
    script
}

/// What [`probe`] printed; none if it is not whole.
#[must_use]
pub fn parse_probes(output: &str, servers: &[(String, u16)]) -> Option<Vec<ServerProbe>> {
    let (answers, end) = output.trim_end().rsplit_once('\n')?;
    if end != "end" {
        return None;
    }
    let told = answers.lines().map(|line| match line.split('\t').collect::<Vec<_>>().as_slice() {
        ["open", _] => Ok(()),
        ["shut", address, why] => Err(format!("{address}: {why}")),
        _ => Err(line.to_owned()),
    });
    let probe = |((server, port), reached): (&(String, u16), _)| ServerProbe {
        server: server.clone(),
        port: *port,
        reached,
    };
    let probed: Vec<_> = servers.iter().zip(told).map(probe).collect();
    (probed.len() == servers.len()).then_some(probed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ConnectFailure;
    use crate::ssh::Shell;
    use std::time::Duration;

    const LIMIT: Duration = Duration::from_secs(20);

    async fn run(script: &str) -> String {
        let output = Shell::local().run(script, LIMIT).await.expect("it runs");
        assert!(output.success(), "{output:?}");
        output.stdout
    }

    #[tokio::test]
    async fn a_machine_is_inspected() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("an image.raw").display().to_string();
        std::fs::write(&file, [7; 5000]).expect("a file");
        let missing = dir.path().join("no/such/file").display().to_string();
        let paths = vec![file.clone(), missing.clone(), "/dev/null".to_owned(), "not absolute".to_owned()];
        let output = run(&inspect(&Inspection { paths, tpm: false, sshd: false })).await;
        let facts = parse_inspection(&output, 0, u64::from(u32::MAX) << 20).expect("it is whole");
        assert_eq!(facts.clock_offset_ms, Some(0), "it lies between question and answer");
        assert!(
            facts.memory_and_swap_bytes.expect("memory") >= facts.memory_available_bytes.expect("memory")
        );
        assert_eq!(facts.bridges["lo"].kind, "other");
        let found = facts.path(&file).expect("it was asked for");
        assert_eq!((found.kind, found.size_bytes), (PathKind::File, 5000));
        assert!(found.allocated_bytes > 0 && found.inode > 0 && !found.filesystem.is_empty());
        let absent = facts.path(&missing).expect("it was asked for");
        assert_eq!((absent.exists(), absent.free_bytes > 0), (false, true));
        assert_eq!(facts.path("/dev/null").expect("it was asked for").kind, PathKind::Character);
        assert_eq!(facts.paths.len(), 3);
        assert!(
            parse_inspection(output.trim_end().trim_end_matches("end"), 0, 0).is_none(),
            "half an answer is none"
        );
    }

    #[tokio::test]
    async fn servers_are_probed() {
        let listening = run(&listen(&(49306..=49310), 5)).await;
        let port = parse_listening(&listening).expect("it can").expect("one is free");
        let servers =
            [("127.0.0.1".to_owned(), port), ("127.0.0.1".to_owned(), 1), ("nowhere.invalid".to_owned(), 9)];
        let probed = parse_probes(&run(&probe(&servers, 3)).await, &servers).expect("it is whole");
        let open: Vec<bool> = probed.iter().map(|probe| probe.reached.is_ok()).collect();
        assert_eq!(open, [true, false, false], "{probed:?}");
    }

    #[test]
    fn a_clock_is_off_only_beyond_the_answers_delay() {
        assert_eq!(clock_offset_ms(1_000, 1_000, 300), Some(0));
        assert_eq!(clock_offset_ms(1_250, 1_000, 300), Some(0));
        assert_eq!(clock_offset_ms(9_300, 1_000, 300), Some(8_000));
        assert_eq!(clock_offset_ms(400, 1_000, 300), Some(-600));
    }

    #[tokio::test]
    async fn a_port_is_found_open_or_shut() {
        let uri: LibvirtUri = "qemu+tcp://127.0.0.1/system".parse().expect("a URI");
        let listening = run(&listen(&(49301..=49305), 5)).await;
        let port = parse_listening(&listening).expect("it can").expect("one is free");
        assert!((49301..=49305).contains(&port));
        let mut question =
            MeetingQuestion { peer_uri: uri, hostname: "127.0.0.1".to_owned(), port: Some(port), wait_s: 3 };
        let answer = parse_meeting(&run(&meet(&question)).await, &question).expect("it is whole");
        assert_eq!(answer.port, Some(PortProbe::Open(port)));
        assert_eq!(answer.hostname.expect("resolved").addresses, ["127.0.0.1"]);
        assert_eq!(answer.login, None, "there is none by TCP");
        question.port = Some(1);
        question.hostname = "nowhere.invalid".to_owned();
        let answer = parse_meeting(&run(&meet(&question)).await, &question).expect("it is whole");
        assert_eq!((answer.hostname.expect("asked").addresses.len(), answer.port), (0, None));
        question.hostname = "127.0.0.1".to_owned();
        let answer = parse_meeting(&run(&meet(&question)).await, &question).expect("it is whole");
        assert!(matches!(answer.port, Some(PortProbe::Shut { port: 1, .. })), "{answer:?}");
    }

    #[test]
    fn a_login_is_told_apart() {
        let uri: LibvirtUri = "qemu+ssh://root@kvm2/system".parse().expect("a URI");
        let question = MeetingQuestion { peer_uri: uri, hostname: "kvm2".to_owned(), port: None, wait_s: 3 };
        let login = |line: &str| parse_meeting(&format!("{line}\nend\n"), &question).expect("whole").login;
        assert_eq!(login("login\tworks\t"), Some(Login::Works));
        assert!(matches!(login("login\tworks\tlibvirt has no socket there"), Some(Login::NoLibvirt(_))));
        let denied = login("login\tfails\troot@kvm2: Permission denied (publickey,password).");
        assert!(matches!(denied, Some(Login::Fails { failure: ConnectFailure::Denied, .. })), "{denied:?}");
        let script = meet(&question);
        assert!(script.contains("login() { ssh -T -o BatchMode=yes"), "{script}");
    }
}
