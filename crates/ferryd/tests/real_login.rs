//! How a host is let in: its key is trusted by a person, a password is used once, from then on Ferry's own key opens.

mod support;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use api::host::{Host as Registered, HostState};
use api::problem::{Code, Problem};
use lab::{Daemon, Host, Release};
use serde_json::json;
use support::{SOON, Said, World, until, uri};

/// Root's password on kvm1: a word that stands nowhere else.
const PASSWORD: &str = "korrekt-pferd-7183";
/// A wrong password is told at once, not after a row of tries.
const REFUSED_WITHIN: Duration = Duration::from_secs(8);
const KNOWN_HOSTS: &str = "/root/.ssh/known_hosts";
const HOST_KEY: &str = "/etc/ssh/ssh_host_ed25519_key";

/// A world whose controller is a stranger to kvm1: it knows no key of it, and none of its own opens it.
fn strangers(test: &'static str) -> World {
    let world = World::of(test).host("kvm1", Release::Bookworm).flag("--log-level=trace").up();
    let kvm1 = world.host("kvm1");
    kvm1.run(&["rm", "/root/.ssh/authorized_keys"]).expect("no key opens it");
    kvm1.run_with_input(&["chpasswd"], format!("root:{PASSWORD}\n").as_bytes()).expect("a password");
    world.machine().write(KNOWN_HOSTS, b"").expect("no key is known");
    world
}

/// Asks to register kvm1, with a password where one is given.
fn add(world: &World, password: Option<&str>, more: &[&str]) -> Said {
    let uri = uri("kvm1");
    let line = [&["--json", "host", "add", "kvm1", &uri], more].concat();
    match password {
        Some(password) => {
            world.ferry_with_input(&[&line[..], &["--password-stdin"]].concat(), &format!("{password}\n"))
        }
        None => world.ferry(&line),
    }
}

#[track_caller]
fn refused(said: Said, code: Code) -> Problem {
    let problem: Problem = said.ended(1).json();
    assert_eq!(problem.code, code, "{problem:#?}");
    problem
}

/// The fingerprint of a host's key, as the host itself says it.
fn fingerprint(host: &Host) -> String {
    let told = host.run(&["ssh-keygen", "-lf", &format!("{HOST_KEY}.pub")]).expect("a fingerprint");
    told.split(' ').nth(1).expect("a fingerprint").to_owned()
}

fn registered(world: &World) -> Vec<Registered> {
    world.ferry_json(&["host", "list"])
}

#[test]
fn a_password_is_used_once_and_then_the_key() {
    let world = strangers("password");
    let kvm1 = world.host("kvm1");
    let key = fingerprint(&kvm1);
    let trusted = ["--fingerprint", key.as_str()];

    // Unknown key: nothing is sent to the host before a person has vouched for it, the password least of all.
    let problem = refused(add(&world, Some(PASSWORD), &[]), Code::HostKeyUnknown);
    assert_eq!(problem.fingerprint.as_deref(), Some(key.as_str()), "{problem:#?}");
    let other = format!("SHA256:{}", "A".repeat(43));
    refused(add(&world, Some(PASSWORD), &["--fingerprint", &other]), Code::HostKeyChanged);
    refused(add(&world, None, &trusted), Code::AccessDenied);
    let asked = Instant::now();
    refused(add(&world, Some("wrong"), &trusted), Code::AccessDenied);
    assert!(asked.elapsed() < REFUSED_WITHIN, "a wrong password was told after {:?}", asked.elapsed());
    assert!(
        !kvm1.path("/root/.ssh/authorized_keys").expect("it is on").exists(),
        "nothing was put on the host"
    );
    assert!(registered(&world).is_empty(), "what is refused registers nothing");
    let files = world.machine().run(&["sh", "-c", "ls /var/lib/ferry/ssh/*.d/"]).expect("a list");
    assert!(!files.contains("kvm1\n"), "and leaves no files: {files}");

    let seen =
        in_sight_of_others(world.machine(), || drop(add(&world, Some(PASSWORD), &trusted).succeeded()));
    assert_eq!(seen, Vec::<String>::new(), "the password was in the sight of others");
    let keys = kvm1.read("/root/.ssh/authorized_keys").expect("keys");
    let own = world.machine().read("/var/lib/ferry/ssh/id_ed25519.pub").expect("Ferry's key");
    assert_eq!(keys.trim(), own.trim(), "Ferry's key and no other");

    // From now on without: after a restart, and when it is registered once more.
    kvm1.run_with_input(&["chpasswd"], b"root:another\n").expect("the password is no more");
    world.kill_ferryd();
    world.start_ferryd();
    let connected = |host: &Registered| host.name == "kvm1" && host.state == HostState::Connected;
    until(SOON, "it is not connected", || registered(&world).iter().any(connected).then_some(()));
    world.ferry(&["host", "remove", "kvm1"]).succeeded();
    add(&world, None, &trusted).succeeded();
    assert_eq!(kvm1.read("/root/.ssh/authorized_keys").expect("keys"), keys, "nothing was added");
    assert_kept_nowhere(&world);
}

/// Where a process of the machine shows the password while `work` is done: command line or environment.
fn in_sight_of_others(machine: &Host, work: impl FnOnce()) -> Vec<String> {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut found = Vec::new();
            let mut looks = 0;
            while !ended.load(Relaxed) || looks == 0 {
                for process in machine.processes() {
                    let environment =
                        std::fs::read(format!("/proc/{}/environ", process.pid)).unwrap_or_default();
                    let shown = format!("{:?} {}", process.arguments, String::from_utf8_lossy(&environment));
                    if shown.contains(PASSWORD) {
                        found.push(shown);
                    }
                }
                looks += 1;
            }
            found
        });
        work();
        ended.store(true, Relaxed);
        watcher.join().expect("it looks")
    })
}

/// The password is in no file of the machine and not in the log, which tells everything else.
fn assert_kept_nowhere(world: &World) {
    let places = ["/var", "/run", "/tmp", "/etc", "/root", "/home", "/dev/shm"];
    let search = [&["grep", "-rlF", "-D", "skip", PASSWORD], &places[..]].concat();
    let output = world.machine().output(&search).expect("grep");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "files that hold the password");
    let log = world.log();
    assert!(log.contains("TRACE") && log.contains("/api/v1/hosts"), "it logs in detail");
    assert!(!log.contains(PASSWORD), "the log holds the password");
}

#[test]
fn a_changed_host_key_is_refused_until_a_person_vouches_for_it() {
    let world = World::of("newkey").host("kvm1", Release::Bookworm).up();
    let kvm1 = world.host("kvm1");
    world.register("kvm1");
    let old = fingerprint(&kvm1);
    kvm1.run(&["rm", HOST_KEY, &format!("{HOST_KEY}.pub")]).expect("no key");
    kvm1.run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", HOST_KEY]).expect("a new key");
    kvm1.restart_daemon(Daemon::Sshd).expect("it shows the new key");
    let new = fingerprint(&kvm1);

    // The registered host is not connected to any more, and is told why.
    world.kill_ferryd();
    world.start_ferryd();
    let lost = until(SOON, "it does not notice", || {
        registered(&world).into_iter().find(|host| host.state == HostState::Unreachable)
    });
    assert!(lost.problem.as_ref().is_some_and(|told| told.contains("key")), "{lost:#?}");
    world.ferry(&["host", "remove", "kvm1"]).succeeded();

    let problem = refused(add(&world, None, &[]), Code::HostKeyChanged);
    assert_eq!(problem.fingerprint.as_deref(), Some(new.as_str()), "{problem:#?}");
    assert!(problem.detail.contains(&old), "{problem:#?}");
    refused(add(&world, None, &["--fingerprint", &old]), Code::HostKeyChanged);
    assert!(registered(&world).is_empty(), "what is refused registers nothing");
    add(&world, None, &["--fingerprint", &new]).succeeded();
}

/// The inherited migrate names a user. Whether that one may is asked of the machine whose key a person has vouched for.
#[test]
fn a_user_is_tried_on_a_host_that_is_known_by_its_fingerprint_alone() {
    let world = World::of("user").host("kvm1", Release::Bookworm).host("kvm2", Release::Bookworm).up();
    world.machine().write(KNOWN_HOSTS, b"").expect("no key is known");
    refused(add(&world, None, &[]), Code::HostKeyUnknown);
    for name in ["kvm1", "kvm2"] {
        let key = fingerprint(&world.host(name));
        world.ferry(&["host", "add", name, &uri(name), "--fingerprint", &key]).succeeded();
    }
    let spec = support::guest::quiet("g1");
    world.define_stopped("kvm2", &spec.to_xml(), &spec.name);
    let migrate = |user: &str| {
        let body = json!({ "remoteHost": "kvm1", "user": user });
        world.post("/plugins/kimchi/vms/g1/migrate", &body)
    };
    support::kimchi::refused(&migrate("mallory"), 409, "KCHVM0056E: ");
    assert!(world.tasks().is_empty(), "nothing was begun");
    let ended = support::kimchi::ended(&world, &support::kimchi::begun(&migrate("root")));
    assert_eq!(ended["status"], "finished", "{ended:#}");
    assert_eq!(world.host("kvm1").virsh(&["domstate", "g1"]).expect("it is there").trim(), "shut off");
}
