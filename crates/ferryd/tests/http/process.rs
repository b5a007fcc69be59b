//! The program itself: its configuration, its lock, its beginning and its end.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The program, with nothing of this machine's configuration.
fn ferryd(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferryd"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("FERRYD_")) {
        command.env_remove(name);
    }
    command.env("FERRYD_CONFIG", file(dir, "")).stdin(Stdio::null());
    command
}

fn file(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("ferryd.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// A running program; killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts it and waits until it says that it is ready.
    fn start(dir: &Path) -> Self {
        let ready = dir.join("notify.sock");
        let _ = std::fs::remove_file(&ready);
        let listener = UnixDatagram::bind(&ready).unwrap();
        listener.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let child = serve(dir, "ferry.sock")
            .env("NOTIFY_SOCKET", &ready)
            .stderr(std::fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let running = Self(child);
        let mut message = [0; 64];
        let length = listener.recv(&mut message).expect("ferryd did not become ready");
        assert_eq!(&message[..length], b"READY=1");
        running
    }

    fn end(&mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
        self.0.wait().unwrap().code()
    }
}

fn serve(dir: &Path, socket: &str) -> Command {
    let mut command = ferryd(dir);
    command.arg("--data-dir").arg(dir.join("data")).arg("--socket").arg(dir.join(socket));
    command.args(["--local-host", "off", "--log-level", "trace"]);
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_second_one_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Running::start(dir.path());
    let second = serve(dir.path(), "other.sock").output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    let told = text(&second.stderr);
    assert!(told.contains("another ferryd") && told.contains(&format!("pid {}", first.0.id())), "{told}");
    assert_eq!(first.end(Signal::TERM), Some(0));
    assert!(!dir.path().join("ferry.sock").exists(), "the socket goes with it");
}

#[test]
fn what_a_killed_one_leaves_is_no_obstacle() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Running::start(dir.path());
    assert_eq!(first.end(Signal::KILL), None);
    assert!(dir.path().join("ferry.sock").exists());
    assert_eq!(Running::start(dir.path()).end(Signal::INT), Some(0));
}

#[test]
fn a_password_is_not_logged() {
    use std::io::{Read, Write};
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::start(dir.path());
    let password = "correct-horse-battery";
    for (path, body) in [
        ("/api/v1/hosts", format!(r#"{{"name":"a b","uri":"nonsense://","password":"{password}"}}"#)),
        ("/vms/a/migrate", format!(r#"{{"remoteHost":"-oProxyCommand=x","passwd":"{password}"}}"#)),
        ("/login", format!(r#"{{"username":"nobody-of-this-name","password":"{password}"}}"#)),
    ] {
        let mut stream = std::os::unix::net::UnixStream::connect(dir.path().join("ferry.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(!answer.contains(password), "{answer}");
    }
    running.end(Signal::TERM);
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.contains("/api/v1/hosts"), "{log}");
    assert!(!log.contains(password));
}

#[test]
fn a_flag_goes_before_the_environment_that_before_the_file_that_before_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let value = |flag: Option<&str>, env: Option<&str>, text: &str| -> toml::Table {
        let mut command = ferryd(dir.path());
        command.env("FERRYD_CONFIG", file(dir.path(), text)).arg("config");
        command.args(flag.into_iter().flat_map(|value| ["--call-timeout-s", value]));
        command.envs(env.map(|value| ("FERRYD_CALL_TIMEOUT_S", value)));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", text_of(&output));
        toml::from_str(&String::from_utf8(output.stdout).unwrap()).unwrap()
    };
    let timeout = |table: &toml::Table| table["call_timeout_s"].as_integer().unwrap();
    assert_eq!(timeout(&value(None, None, "")), 5);
    assert_eq!(timeout(&value(None, None, "call_timeout_s = 2")), 2);
    assert_eq!(timeout(&value(None, Some("3"), "call_timeout_s = 2")), 3);
    assert_eq!(timeout(&value(Some("4"), Some("3"), "call_timeout_s = 2")), 4);
    let table = value(None, None, "listen = \"127.0.0.1:8080\"\nlog_format = \"json\"");
    assert_eq!(table["listen"].as_str(), Some("127.0.0.1:8080"));
    assert_eq!(table["data_dir"].as_str(), Some("/var/lib/ferry"));
    let table = value(None, None, "data_dir = \"relative\"");
    assert!(
        table["data_dir"].as_str().is_some_and(|path| path.starts_with('/') && path.ends_with("/relative"))
    );
}

fn text_of(output: &Output) -> String {
    text(&output.stderr)
}

#[test]
fn a_wrong_configuration_is_told_by_its_key() {
    let dir = tempfile::tempdir().unwrap();
    for (arguments, text, told) in [
        (&[][..], "cal_timeout_s = 7", "cal_timeout_s"),
        (&[], "call_timeout_s = \"x\"", "call_timeout_s"),
        (&[], "listen = \"0.0.0.0:80\"", "no TLS yet"),
        (&["--listen", "0.0.0.0:80"], "", "no TLS yet"),
        (&["--call-timeout-s", "0"], "", "call-timeout-s"),
        (&["--log-level", "loud"], "", "loud"),
        (&["--nonsense"], "", "--nonsense"),
        (&[], "data_dir = \"\"", "not a path"),
        (&["--config", "/nonexistent/ferryd.toml"], "", "/nonexistent/ferryd.toml"),
    ] {
        let output = ferryd(dir.path())
            .env("FERRYD_CONFIG", file(dir.path(), text))
            .args(arguments)
            .arg("config")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(text_of(&output).contains(told), "{}", text_of(&output));
    }
}

#[test]
fn every_key_is_in_the_help() {
    let dir = tempfile::tempdir().unwrap();
    let help = ferryd(dir.path()).arg("--help").output().unwrap();
    let help = text(&help.stdout);
    let printed = ferryd(dir.path()).arg("config").output().unwrap();
    let table: toml::Table = toml::from_str(&text(&printed.stdout)).unwrap();
    assert!(table.len() >= 11);
    for key in table.keys() {
        assert!(help.contains(&format!("--{}", key.replace('_', "-"))), "{key}");
        assert!(help.contains(&format!("FERRYD_{}", key.to_uppercase())), "{key}");
    }
}
