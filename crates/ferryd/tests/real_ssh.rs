//! Logins over real OpenSSH, between the machines of a lab. Needs root, and `ferry-lab` to be built.
//!
//! [`logins_between_the_machines_of_a_lab`] brings up a lab and runs itself again on its controller, where it works through
//! [`INSIDE`]: only there do the hosts' names and ports exist, and only there may root's ssh configuration be changed.

use std::env;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::Stdio;
use std::time::Duration;

use ferryd::model::HostName;
use ferryd::ssh::hostkey::scan;
use ferryd::ssh::scripts::{self, ProcessId, Watch};
use ferryd::ssh::{
    ConnectFailure, Endpoint, HostKey, LibvirtUri, LoginError, ReachError, Secret, Session, Shell,
    ShellError, SshDir, Trust, install_key,
};
use lab::{Daemon, GuestSpec, Lab, ROOT_PASSWORD, Release};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);
/// The variables by which the outer test tells the inner ones what they cannot see.
const FINGERPRINT: &str = "FERRY_TEST_FINGERPRINT";
const GUEST: &str = "FERRY_TEST_GUEST";

/// Aliases of the controller's root: two ways to kvm2 that lead through kvm1. What the way itself needs is the
/// person's own affair, so it has a key of its own.
const CONFIG: &str = "\
Host jump
  HostName kvm1
  User root
  IdentityFile ~/.ssh/jump
  UserKnownHostsFile ~/.ssh/jump_hosts
Host far-jump
  HostName kvm2
  ProxyJump jump
Host far-command
  HostName kvm2
  HostKeyAlias second
  ProxyCommand ssh -W %h:%p jump
Host kvm1 kvm2
  UserKnownHostsFile /nonexistent
";

/// A check that runs on the controller.
type Check = fn() -> Pin<Box<dyn Future<Output = ()>>>;

/// All of them, by name.
const INSIDE: &[(&str, Check)] = &[
    ("a_host_key_is_shown_trusted_and_missed_when_it_changes", || {
        Box::pin(a_host_key_is_shown_trusted_and_missed_when_it_changes())
    }),
    ("a_host_with_nothing_but_an_rsa_key_is_shown_trusted_and_reached", || {
        Box::pin(a_host_with_nothing_but_an_rsa_key_is_shown_trusted_and_reached())
    }),
    ("a_password_opens_the_door_once_and_the_key_from_then_on", || {
        Box::pin(a_password_opens_the_door_once_and_the_key_from_then_on())
    }),
    ("the_ways_to_fail_are_told_apart", || Box::pin(the_ways_to_fail_are_told_apart())),
    ("the_ssh_configuration_is_obeyed", || Box::pin(the_ssh_configuration_is_obeyed())),
    ("libvirt_connects_through_the_wrapper_or_says_why_not", || {
        Box::pin(libvirt_connects_through_the_wrapper_or_says_why_not())
    }),
    ("a_session_recovers", || Box::pin(a_session_recovers())),
    ("the_death_of_qemu_is_seen", || Box::pin(the_death_of_qemu_is_seen())),
    ("a_watch_ends_when_nobody_listens", || Box::pin(a_watch_ends_when_nobody_listens())),
    ("a_connection_is_closed_from_outside", || Box::pin(a_connection_is_closed_from_outside())),
    ("hosts_are_let_in_at_each_other", || Box::pin(hosts_are_let_in_at_each_other())),
];

/// Works through the checks; each that fails is told, and the others go on.
fn work_through() {
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    let fails = |(name, check): &&(&str, Check)| {
        println!("{name}");
        catch_unwind(AssertUnwindSafe(|| runtime.block_on(check()))).is_err()
    };
    let failed: Vec<&str> = INSIDE.iter().filter(fails).map(|(name, _)| *name).collect();
    assert!(failed.is_empty(), "failed: {failed:?}");
}

#[test]
fn logins_between_the_machines_of_a_lab() {
    if env::var_os(GUEST).is_some() {
        return work_through();
    }
    let this = env::current_exe().expect("this program");
    let (directory, name) = (this.parent().expect("directory"), this.file_name().expect("name"));
    let lab = Lab::builder(&format!("ssh-{}", std::process::id()))
        .host("kvm1", Release::Bookworm)
        .host("kvm2", Release::Trixie)
        .bin_dir(directory)
        .up()
        .expect("a lab");
    let (controller, host) = (lab.controller(), lab.host("kvm1"));
    // The controller begins as a stranger to the hosts.
    controller.run(&["mv", "/root/.ssh/id_ed25519", "/root/.ssh/jump"]).expect("key");
    controller.run(&["mv", "/root/.ssh/known_hosts", "/root/.ssh/jump_hosts"]).expect("known hosts");
    controller.run(&["rm", "/root/.ssh/id_ed25519.pub"]).expect("public key");
    controller.write("/root/.ssh/config", CONFIG.as_bytes()).expect("config");
    controller.run(&["chmod", "600", "/root/.ssh/config"]).expect("mode");
    host.run(&["useradd", "-m", "-s", "/bin/bash", "mover"]).expect("user");
    host.run_with_input(&["chpasswd"], b"mover:moving house\n").expect("password");
    host.run(&["sh", "-c", "printf 'echo what a nice day\\n' | tee ~mover/.bashrc >~mover/.profile"])
        .expect("noise");
    let fingerprint =
        host.run(&["ssh-keygen", "-lf", "/etc/ssh/ssh_host_ed25519_key.pub"]).expect("fingerprint");
    lab.host("kvm2").stop_daemon(Daemon::Libvirtd).expect("stop");
    let guest = GuestSpec::new("web1").expect("guest");
    lab.start_guest(&guest, "kvm1").expect("start");
    let uuid = host.virsh(&["domuuid", "web1"]).expect("uuid");

    let mut tests = controller.command(&format!("/opt/ferry/bin/{}", name.display())).expect("command");
    tests.args(["--exact", "logins_between_the_machines_of_a_lab", "--nocapture"]).stdin(Stdio::null());
    tests.env(FINGERPRINT, fingerprint.split(' ').nth(1).expect("fingerprint")).env(GUEST, uuid.trim());
    let status = tests.status().expect("the tests start");
    drop(lab);
    assert!(status.success(), "tests inside the lab failed: {status}");
}

/// A directory of Ferry's own for one test, and one host as it sees it.
struct Fixture {
    _home: TempDir,
    dir: SshDir,
    name: HostName,
    uri: LibvirtUri,
    endpoint: Endpoint,
}

impl Fixture {
    async fn new(uri: &str) -> Self {
        let home = tempfile::tempdir().expect("temporary directory");
        let dir = SshDir::open(&home.path().join("a place/ssh")).expect("open");
        let uri: LibvirtUri = uri.parse().expect("uri");
        let endpoint = Endpoint::resolve(uri.ssh().expect("ssh"), LIMIT).await.expect("resolve");
        Self { _home: home, dir, name: "host".parse().expect("name"), uri, endpoint }
    }

    /// The same, trusted and with Ferry's key on the host.
    async fn ready(uri: &str) -> Self {
        let fixture = Self::new(uri).await;
        let key = fixture.trust().await;
        fixture.install(ROOT_PASSWORD, key.fingerprint()).await.expect("install");
        fixture
    }

    fn shell(&self) -> Shell {
        Shell::for_host(&self.dir, &self.name, &self.uri).expect("a shell")
    }

    async fn examine(&self) -> (HostKey, Trust) {
        self.dir.examine(&self.name, &self.endpoint, LIMIT).await.expect("examine")
    }

    async fn trust(&self) -> HostKey {
        let (key, _) = self.examine().await;
        self.dir.trust(&self.name, &self.endpoint, &key).expect("trust");
        key
    }

    async fn install(&self, password: &str, fingerprint: &str) -> Result<(), LoginError> {
        let password = Secret::new(password.to_owned());
        install_key(&self.endpoint, &password, fingerprint, self.dir.public_line(), LIMIT).await
    }

    async fn run(&self, script: &str) -> Result<String, ShellError> {
        let output = self.shell().run(script, LIMIT).await?;
        assert!(output.success(), "{output:?}");
        Ok(output.stdout)
    }

    async fn failure(&self) -> ConnectFailure {
        match self.shell().run("true", LIMIT).await {
            Err(ShellError::Connect { failure, .. }) => failure,
            other => panic!("{other:?}"),
        }
    }
}

async fn a_host_key_is_shown_trusted_and_missed_when_it_changes() {
    let host = Fixture::new("qemu+ssh://root@kvm1/system").await;
    let (key, trust) = host.examine().await;
    assert_eq!(trust, Trust::Unknown);
    assert_eq!(key.algorithm(), "ssh-ed25519");
    assert!(key.has_fingerprint(&env::var(FINGERPRINT).expect("fingerprint")));
    assert_eq!(host.failure().await, ConnectFailure::HostKeyUnknown);

    host.dir.trust(&host.name, &host.endpoint, &key).expect("trust");
    assert_eq!(host.examine().await.1, Trust::Known);
    assert_eq!(host.failure().await, ConnectFailure::Denied);

    let other = Fixture::new("qemu+ssh://root@kvm2/system").await;
    let wrong = scan(&other.endpoint, LIMIT).await.expect("scan");
    host.dir.trust(&host.name, &host.endpoint, &wrong).expect("trust another key");
    assert_eq!(host.examine().await.1, Trust::Changed { trusted: vec![wrong.fingerprint().to_owned()] });
    assert_eq!(host.failure().await, ConnectFailure::HostKeyChanged);

    host.dir.forget(&host.name).expect("forget");
    assert_eq!(host.examine().await.1, Trust::Unknown);
}

async fn a_host_with_nothing_but_an_rsa_key_is_shown_trusted_and_reached() {
    let kvm1 = Fixture::ready("qemu+ssh://root@kvm1/system").await;
    let sshd = "/usr/sbin/sshd -f /dev/null -p 2022 -o HostKey=/root/rsa -o PermitRootLogin=yes -o PidFile=/run/rsa.pid";
    kvm1.run(&format!("ssh-keygen -q -t rsa -b 2048 -N '' -f /root/rsa && {sshd}"))
        .await
        .expect("a second sshd");
    let host = Fixture::new("qemu+ssh://root@kvm1:2022/system").await;
    let (key, trust) = host.examine().await;
    assert_eq!((key.algorithm(), trust), ("ssh-rsa", Trust::Unknown));
    host.dir.trust(&host.name, &host.endpoint, &key).expect("trust");
    assert_eq!(host.examine().await.1, Trust::Known);
    host.install(ROOT_PASSWORD, key.fingerprint()).await.expect("install");
    assert_eq!(host.run("hostname").await.expect("run"), "kvm1\n");
    kvm1.run("kill $(cat /run/rsa.pid)").await.expect("the second sshd ends");
}

async fn a_password_opens_the_door_once_and_the_key_from_then_on() {
    let host = Fixture::new("qemu+ssh://mover@kvm1/system").await;
    let key = host.trust().await;
    assert_eq!(host.failure().await, ConnectFailure::Denied);

    let other = host.install("moving house", "SHA256:AAAA").await;
    assert!(
        matches!(&other, Err(LoginError::HostKeyMismatch { shown, .. }) if shown == key.fingerprint()),
        "{other:?}"
    );
    let wrong = host.install("moving out", key.fingerprint()).await;
    assert!(matches!(wrong, Err(LoginError::WrongPassword)), "{wrong:?}");
    assert_eq!(host.failure().await, ConnectFailure::Denied);

    for _ in 0..2 {
        host.install("moving house", key.fingerprint()).await.expect("install");
    }
    // The login prints a greeting, which is none of the command's output.
    assert_eq!(host.run("id -un").await.expect("run"), "mover\n");
    let file = host.run("stat -c %a .ssh .ssh/authorized_keys; cat .ssh/authorized_keys").await.expect("run");
    assert_eq!(file, format!("700\n600\n{}\n", host.dir.public_line()));

    host.run("rm .ssh/authorized_keys").await.expect("nobody is let in any more");
    assert_eq!(host.failure().await, ConnectFailure::Denied);
}

async fn the_ways_to_fail_are_told_apart() {
    for (uri, expected) in [
        ("qemu+ssh://nowhere/system", ConnectFailure::Resolve),
        ("qemu+ssh://kvm1:1/system", ConnectFailure::Refused),
        ("qemu+ssh://203.0.113.1/system", ConnectFailure::NoRoute),
    ] {
        let host = Fixture::new(uri).await;
        assert_eq!(host.failure().await, expected, "{uri}");
        let scanned = scan(&host.endpoint, LIMIT).await.expect_err(uri);
        assert_eq!(scanned.failure(), expected, "{uri}");
        let installed = host.install("x", "SHA256:AAAA").await.expect_err(uri);
        assert!(matches!(&installed, LoginError::Unreachable(e) if e.failure() == expected), "{installed:?}");
    }
    let host = Fixture::new("qemu+ssh://kvm1/system").await;
    let soon = Duration::from_micros(1);
    assert!(matches!(scan(&host.endpoint, soon).await, Err(ReachError::TimedOut(_))));
    assert!(matches!(host.shell().run("true", soon).await, Err(ShellError::TimedOut(_))));
}

async fn the_ssh_configuration_is_obeyed() {
    for (alias, kept_as) in [("far-jump", "kvm2"), ("far-command", "second")] {
        let host = Fixture::ready(&format!("qemu+ssh://root@{alias}/system")).await;
        assert_eq!(host.endpoint.key_name(), kept_as);
        assert_eq!(host.run("hostname").await.expect(alias), "kvm2\n");
    }
}

async fn libvirt_connects_through_the_wrapper_or_says_why_not() {
    let host = Fixture::ready("qemu+ssh://root@kvm1/system").await;
    let uri = host.dir.connect_uris(&host.uri, &host.name).expect("wrapper").control;
    let list = Shell::local().run(&format!("virsh -q -c '{uri}' list --name"), LIMIT).await.expect("virsh");
    assert_eq!((list.status, list.stdout.trim(), list.stderr.as_str()), (0, "web1", ""));

    let stranger = Fixture::new("qemu+ssh://root@kvm1/system").await;
    let known = Fixture::new("qemu+ssh://root@kvm1/system").await;
    known.trust().await;
    let no_daemon = Fixture::ready("qemu+ssh://root@kvm2/system").await;
    let uri = |host: &Fixture| host.dir.connect_uris(&host.uri, &host.name).expect("wrapper").control;
    let wrapped =
        |given: &str| host.dir.connect_uris(&given.parse().expect("uri"), &host.name).expect("wrapper").data;
    for (uri, expected) in [
        (uri(&stranger), ConnectFailure::HostKeyUnknown),
        (uri(&known), ConnectFailure::Denied),
        (uri(&no_daemon), ConnectFailure::NoLibvirt),
        (wrapped("qemu+ssh://nowhere/system"), ConnectFailure::Resolve),
        (wrapped("qemu+ssh://kvm1:1/system"), ConnectFailure::Refused),
        (wrapped("qemu+ssh://203.0.113.1/system"), ConnectFailure::NoRoute),
        (wrapped("qemu+tcp://kvm1/system"), ConnectFailure::Refused),
        (wrapped("qemu+tcp://nowhere/system"), ConnectFailure::Resolve),
        (wrapped("qemu+tls://kvm1/system"), ConnectFailure::TlsCertificate),
        (wrapped("qemu:///system"), ConnectFailure::NoLibvirt),
    ] {
        let list = Shell::local().run(&format!("virsh -q -c '{uri}' list"), LIMIT).await.expect("virsh");
        assert_eq!(ferryd::ssh::classify(&list.stderr), expected, "{uri}: {}", list.stderr);
    }
}

async fn a_session_recovers() {
    let host = Fixture::ready("qemu+ssh://root@kvm2/system").await;
    let session = Session::new(host.shell());
    let shell = async || session.run("echo $$", LIMIT).await.expect("run").stdout;
    let first = shell().await;
    assert_eq!(first, shell().await);

    let soon = Duration::from_millis(100);
    assert!(matches!(session.run("exec sleep 1000", soon).await, Err(ShellError::TimedOut(_))));
    let second = shell().await;
    assert_ne!(first, second);

    // The connection is cut from the other side, in the middle of a command …
    assert!(matches!(session.run("kill -9 $PPID; exec sleep 1000", LIMIT).await, Err(ShellError::Lost(_))));
    // … and between two commands.
    let third = shell().await.trim().to_owned();
    host.run(&format!("kill -9 {third}; tail --pid={third} -f /dev/null")).await.expect("kill");
    session
        .open(LIMIT)
        .await
        .or_else(|e| if matches!(e, ShellError::Lost(_)) { Ok(()) } else { Err(e) })
        .expect("open");
    assert_ne!(third, shell().await.trim());
}

async fn the_death_of_qemu_is_seen() {
    let host = Fixture::ready("qemu+ssh://root@kvm1/system").await;
    let domain = env::var(GUEST).expect("guest").parse().expect("uuid");
    let session = Session::new(host.shell());
    let find = async || {
        let output = session.run(&scripts::find_qemu(domain), LIMIT).await.expect("find");
        scripts::parse_qemu(&output.stdout).expect("whole").processes
    };
    // Which is not this one, but one like it that may die.
    assert_eq!(find().await.len(), 1);
    let define = "virsh -q dumpxml web1 | sed -e 's/web1/web2/g' -e '/<uuid>/d' -e '/<mac address/d' >/tmp/web2.xml\n\
                  virsh -q create /tmp/web2.xml >/dev/null && virsh -q domuuid web2";
    let uuid = host.run(define).await.expect("create");
    let other = uuid.trim().parse().expect("uuid");
    let output = session.run(&scripts::find_qemu(other), LIMIT).await.expect("find");
    let found = scripts::parse_qemu(&output.stdout).expect("whole").processes;
    let [process] = found.as_slice() else { panic!("{found:?}") };

    let mut watch = host.shell().spawn_lines(&scripts::watch_death(*process), LIMIT).await.expect("watch");
    let mut next = async || watch.next(LIMIT).await.expect("line").as_deref().and_then(Watch::parse);
    assert_eq!(next().await, Some(Watch::Watching));
    let destroy = session.run("virsh -q destroy web2 >/dev/null", LIMIT);
    let (destroyed, seen) = tokio::join!(destroy, next());
    assert!(destroyed.expect("destroy").success());
    assert_eq!(seen, Some(Watch::Gone));
    assert_eq!(next().await, None);
    assert_eq!(find().await.len(), 1);
}

async fn a_watch_ends_when_nobody_listens() {
    let host = Fixture::ready("qemu+ssh://root@kvm2/system").await;
    let session = Session::new(host.shell());
    // The first process of the host never dies.
    let start = session
        .run("read -r text </proc/1/stat; set -- ${text##*') '}; echo ${20}", LIMIT)
        .await
        .expect("run");
    let process = ProcessId { pid: 1, start_time: start.stdout.trim().parse().expect("number") };
    let mut watch = host.shell().spawn_lines(&scripts::watch_death(process), LIMIT).await.expect("watch");
    assert_eq!(watch.next(LIMIT).await.expect("line").as_deref(), Some("WATCHING"));
    let pid = session
        .run("grep -lF WATCHING /proc/[0-9]*/cmdline | cut -d/ -f3 | grep -vx $$", LIMIT)
        .await
        .expect("pid");
    let pid = pid.stdout.lines().next().expect("a watcher").to_owned();
    drop(watch);
    let ended = session.run(&format!("tail --pid={pid} -f /dev/null"), LIMIT).await.expect("its end");
    assert!(ended.success());
}

async fn a_connection_is_closed_from_outside() {
    let (near, far) = tokio::join!(
        Fixture::ready("qemu+ssh://root@kvm1/system"),
        Fixture::ready("qemu+ssh://root@kvm2/system")
    );
    let listen = "exec perl -MIO::Socket::INET -e '$| = 1; $s = IO::Socket::INET->new(LocalPort => 49200, Listen => 1);\n\
                  print \"READY\\n\"; $c = $s->accept; sysread($c, $b, 1)'";
    let connect = "exec perl -MIO::Socket::INET -e '$| = 1; $s = IO::Socket::INET->new(\"kvm2:49200\") or exit 1;\n\
                   print \"$$\\n\"; sysread($s, $b, 1); print \"END\\n\"'";
    let mut server = far.shell().spawn_lines(listen, LIMIT).await.expect("server");
    assert_eq!(server.next(LIMIT).await.expect("line").as_deref(), Some("READY"));
    let mut client = near.shell().spawn_lines(connect, LIMIT).await.expect("client");
    let pid: u32 = client.next(LIMIT).await.expect("line").expect("pid").parse().expect("number");
    let close = async |ports| {
        let output = near.run(&scripts::break_off(pid, "kvm2", ports)).await.expect("close");
        scripts::parse_closed(&output).expect("whole")
    };
    assert_eq!(close(49152..=49199).await, scripts::ClosedSockets { closed: 0, kept: 0 });
    assert_eq!(close(49152..=49215).await, scripts::ClosedSockets { closed: 1, kept: 0 });
    assert_eq!(client.next(LIMIT).await.expect("line").as_deref(), Some("END"));
}

async fn hosts_are_let_in_at_each_other() {
    let near = Fixture::ready("qemu+ssh://root@kvm1/system").await;
    let key = near.run("cat .ssh/id_ed25519.pub").await.expect("run");
    let key: ferryd::ssh::PublicLine = key.parse().expect("key");
    assert_eq!(key.algorithm(), "ssh-ed25519");
    let far = Fixture::ready("qemu+ssh://root@kvm2/system").await;
    far.run(&scripts::authorize(&key)).await.expect("authorize");
    assert_eq!(near.run("ssh -o BatchMode=yes kvm2 hostname").await.expect("run"), "kvm2\n");
}
