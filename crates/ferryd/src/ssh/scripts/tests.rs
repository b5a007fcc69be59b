//! The scripts, run by this machine's own shell.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::super::{Output, Shell, SshDir};
use super::*;

const LIMIT: Duration = Duration::from_secs(20);

async fn run(script: &str) -> Output {
    Shell::local().run(script, LIMIT).await.expect("run")
}

/// A process with several threads would be nearer to QEMU; one suffices for what is looked at here.
struct Victim(Child);

impl Victim {
    fn start(arguments: &[&str]) -> Self {
        let (program, rest) = arguments.split_first().expect("a program");
        Self(
            Command::new(program)
                .args(rest)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .expect("spawn"),
        )
    }

    fn id(&self) -> ProcessId {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("stat");
        let start_time = text.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(19)).expect("field");
        ProcessId { pid: self.0.id(), start_time: start_time.parse().expect("number") }
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The watch as it runs where only some of the interpreters are installed.
fn watch_with(interpreters: &[&str], process: ProcessId) -> String {
    let mut script = watch_death(process);
    for interpreter in ["perl", "python3", "/usr/libexec/platform-python"] {
        if !interpreters.contains(&interpreter) {
            script = script.replace(&format!("command -v {interpreter} "), "false ");
            script = script.replace(&format!(" {interpreter} "), " /nonexistent ");
            script = script.replace(&format!(" {interpreter};"), " /nonexistent;");
        }
    }
    script
}

#[tokio::test]
async fn every_kind_of_watch_sees_a_death() {
    for interpreters in [&["perl"][..], &["python3"], &[]] {
        let mut victim = Victim::start(&["sleep", "1000"]);
        let script = watch_with(interpreters, victim.id());
        let mut lines = Shell::local().spawn_lines(&script, LIMIT).await.expect("spawn");
        let mut next = async || lines.next(LIMIT).await.expect("line").as_deref().map(Watch::parse);
        assert_eq!(next().await, Some(Some(Watch::Watching)), "{interpreters:?}");
        // Not waited for, so that it stays a zombie, as under a first process that does not reap.
        victim.0.kill().expect("kill");
        assert_eq!(next().await, Some(Some(Watch::Gone)), "{interpreters:?}");
        assert_eq!(next().await, None, "{interpreters:?}");
    }
}

#[tokio::test]
async fn a_process_that_is_not_there_is_absent() {
    for interpreters in [&["perl"][..], &["python3"], &[]] {
        let victim = Victim::start(&["sleep", "1000"]);
        let right = victim.id();
        let later = ProcessId { start_time: right.start_time + 1, ..right };
        for process in [later, ProcessId { pid: 4_194_305, start_time: 1 }] {
            let script = watch_with(interpreters, process);
            let mut lines = Shell::local().spawn_lines(&script, LIMIT).await.expect("spawn");
            let line = lines.next(LIMIT).await.expect("line").expect("not the end");
            assert_eq!(Watch::parse(&line), Some(Watch::Absent), "{interpreters:?}");
        }
    }
}

#[tokio::test]
async fn a_watch_ends_with_its_input() {
    for interpreters in [&["perl"][..], &["python3"], &[]] {
        let victim = Victim::start(&["sleep", "1000"]);
        // With no input at all it says that it watches, and ends.
        let output = run(&watch_with(interpreters, victim.id())).await;
        assert!(output.stdout == "WATCHING\n" || output.stdout.is_empty(), "{interpreters:?} {output:?}");
    }
}

#[tokio::test]
async fn a_script_can_be_made_to_end_with_its_input() {
    let output = run(&until_end_of_input("echo begun; exec sleep 1000")).await;
    assert_eq!(output.status, 143);
    let mut lines =
        Shell::local().spawn_lines(&until_end_of_input("echo a; exit 5"), LIMIT).await.expect("spawn");
    assert_eq!(lines.next(LIMIT).await.expect("line").as_deref(), Some("a"));
    assert_eq!((lines.next(LIMIT).await.expect("end"), lines.status()), (None, Some(5)));
}

#[tokio::test]
async fn qemu_is_found_by_its_uuid() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let domain = Uuid::new_v4();
    assert_eq!(parse_qemu(&run(&find_qemu(domain)).await.stdout).expect("parse").processes, []);

    // Any program called qemu-… will do, and one that only mentions the UUID will not.
    let program = dir.path().join("qemu-system-test");
    std::fs::copy("/bin/bash", &program).expect("copy");
    let program = program.to_str().expect("path");
    let wait = "kill -STOP $$";
    let uuid = domain.to_string();
    let qemu = Victim::start(&[program, "-c", wait, "-name", "guest=a b", "-uuid", &uuid]);
    let _other = Victim::start(&[program, "-c", wait, "-name", &uuid]);
    let _launcher = Victim::start(&["bash", "-c", wait, "-uuid", &uuid]);
    let sighting = parse_qemu(&run(&find_qemu(domain)).await.stdout).expect("parse");
    assert_eq!(sighting.processes, [qemu.id()]);
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("boot id");
    assert_eq!(sighting.boot_id.to_string(), boot.trim());
    assert!(sighting.boot_age_ms > 0);
}

#[test]
fn half_an_answer_is_no_answer() {
    let boot = Uuid::new_v4();
    assert_eq!(parse_qemu(""), None);
    assert_eq!(parse_qemu(&format!("boot {boot} 12.34\n")), None);
    assert_eq!(parse_qemu(&format!("boot {boot} 12.34\nqemu 12 34\n")), None);
    assert_eq!(parse_qemu(&format!("boot {boot} 12.34\nqemu 12\nend\n")), None);
    assert_eq!(parse_qemu(&format!("boot {boot}\nqemu 12 34\nend\n")), None);
    let whole = parse_qemu(&format!("boot {boot} 12.34\nqemu 12 34\nend\n"));
    let process = ProcessId { pid: 12, start_time: 34 };
    assert_eq!(whole, Some(QemuSighting { boot_id: boot, boot_age_ms: 12_340, processes: vec![process] }));
    assert_eq!(parse_closed("closed a b\n"), None);
    assert_eq!(parse_closed("closed a b\nkept c d\nend\n"), Some(ClosedSockets { closed: 1, kept: 1 }));
}

#[tokio::test]
async fn a_key_is_let_in_once() {
    let home = tempfile::tempdir().expect("temporary directory");
    let key = SshDir::open(&home.path().join("own")).expect("open").public_line().clone();
    let file = home.path().join(".ssh/authorized_keys");
    let here = |script: String| format!("HOME='{}'\n{script}", home.path().display());
    let add = here(authorize(&key));
    let read = |path: &Path| std::fs::read_to_string(path).expect("read");

    for _ in 0..2 {
        assert!(run(&add).await.success());
        assert_eq!(read(&file), format!("{key}\n"));
    }
    // A key that is commented out does not count, and a last line without an end is ended.
    std::fs::write(&file, format!("# {key}\nssh-rsa AAAA other")).expect("write");
    assert!(run(&add).await.success());
    assert_eq!(read(&file), format!("# {key}\nssh-rsa AAAA other\n{key}\n"));
}

#[tokio::test]
async fn what_is_free_beside_a_file_is_read() {
    let told = run(&free_beside("/proc/version")).await;
    assert_eq!(parse_free(&told.stdout), Some(0), "{told:?}");
    assert!(parse_free(&run(&free_beside("/")).await.stdout).is_some_and(|bytes| bytes > 0));
    assert_eq!(parse_free(&run(&free_beside("/nothing/here")).await.stdout), None);
}
