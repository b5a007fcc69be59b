//! With a terminal: the bar, and the questions.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use api::problem::{Code, Problem};
use api::task::{Location, TaskState};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::sample::{accepted, copying, done, ended, event, host};
use crate::server::{PATIENCE, Reply, Server};
use crate::support::command;

const EVENTS: &str = "GET /api/v1/events";
const CANCEL: &str = "POST /api/v1/tasks/0198c0a1-b2c3-7000-8000-000000000001/cancel";
const QUESTION: &str = "[Enter] go on watching: ";

/// `ferry` at a terminal of its own.
struct Terminal {
    child: Child,
    master: File,
    chunks: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn start(server: &Server, line: &str, env: &[(&str, &str)]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        tcsetwinsize(&slave, Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let stdio = || Stdio::from(slave.try_clone().unwrap());
        let mut command = command(server, line);
        command.env("TERM", "xterm").envs(env.iter().copied()).stdin(stdio()).stdout(stdio()).stderr(stdio());
        let child = command.spawn().unwrap();
        let master = File::from(master);
        let (sender, chunks) = channel();
        let mut reader = master.try_clone().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Reading fails when the last end of the terminal was closed.
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                drop(sender.send(buffer[..length].to_vec()));
            }
        });
        Self { child, master, chunks, seen: String::new() }
    }

    /// Waits until this was shown after what was waited for before; gives all up to it.
    fn until(&mut self, text: &str) -> String {
        while !self.seen.contains(text) {
            match self.chunks.recv_timeout(PATIENCE) {
                Ok(chunk) => self.seen.push_str(&String::from_utf8_lossy(&chunk)),
                Err(error) => panic!("{error}: {text} not in {:?}", self.seen),
            }
        }
        let end = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..end).collect()
    }

    fn type_in(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    fn interrupt(&self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
    }

    /// Waits for its end; gives its code and what else was shown.
    fn finish(mut self) -> (i32, String) {
        let code = self.child.wait().unwrap().code().unwrap();
        while let Ok(chunk) = self.chunks.recv_timeout(PATIENCE) {
            self.seen.push_str(&String::from_utf8_lossy(&chunk));
        }
        (code, self.seen)
    }
}

#[test]
fn a_bar_shows_the_figures_and_makes_way_for_the_summary() {
    let (feed, reply) = Reply::feed();
    let server = Server::start([accepted(), (EVENTS, reply)]);
    let mut terminal = Terminal::start(&server, "migrate web1 --to kvm2", &[]);
    feed.send(event(1, &copying())).unwrap();
    terminal.until("web1 kvm1 -> kvm2: copy [");
    terminal.until("212 MiB moved, 44 MiB left, 310 MiB/s, dirty 12 MiB/s, pass 2, pause about 30 ms");
    feed.send(event(2, &done())).unwrap();
    terminal.until("web1 runs on kvm2.");
    let (code, rest) = terminal.finish();
    assert_eq!(code, 0);
    assert!(rest.ends_with("2 passes\r\n"), "{rest:?}");
}

#[test]
fn no_bar_where_none_is_wanted() {
    for env in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let server =
            Server::start([accepted(), (EVENTS, Reply::events([event(1, &copying()), event(2, &done())]))]);
        let (code, shown) = Terminal::start(&server, "migrate web1 --to kvm2", &[env]).finish();
        assert_eq!(code, 0);
        assert!(shown.contains("web1: copy: Memory is copied to kvm2.\r\n"), "{shown:?}");
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
}

#[test]
fn interrupted_a_person_can_cancel() {
    let (feed, reply) = Reply::feed();
    let server = Server::start([accepted(), (EVENTS, reply), (CANCEL, Reply::json(202, &copying()))]);
    let mut terminal = Terminal::start(&server, "migrate web1 --to kvm2", &[]);
    feed.send(event(1, &copying())).unwrap();
    terminal.until("left");
    terminal.interrupt();
    terminal.until(QUESTION);
    terminal.type_in("what?\n");
    terminal.until(QUESTION);
    terminal.type_in("c\n");
    terminal.until("asked to stop");
    let end = ended(TaskState::Cancelled, Location::Source, "web1 runs on at kvm1.");
    feed.send(event(2, &end)).unwrap();
    let (code, rest) = terminal.finish();
    assert_eq!(code, 4);
    assert!(rest.contains("ferry: web1 runs on at kvm1."), "{rest:?}");
    server.assert_used_up();
}

#[test]
fn interrupted_a_person_can_go_on_or_leave() {
    for leave in ["l\n", "\u{4}", "again"] {
        let (feed, reply) = Reply::feed();
        let server = Server::start([accepted(), (EVENTS, reply)]);
        let mut terminal = Terminal::start(&server, "migrate web1 --to kvm2", &[]);
        feed.send(event(1, &copying())).unwrap();
        terminal.until("left");
        terminal.interrupt();
        terminal.until(QUESTION);
        terminal.type_in("\n");
        terminal.until("left");
        terminal.interrupt();
        terminal.until(QUESTION);
        if leave == "again" {
            terminal.interrupt()
        } else {
            terminal.type_in(leave)
        }
        let (code, rest) = terminal.finish();
        assert_eq!(code, 130, "{leave:?}");
        assert!(rest.contains("goes on in ferryd"), "{leave:?}: {rest:?}");
        assert!(!server.lines().iter().any(|line| line.contains("cancel")));
    }
}

#[test]
fn an_end_while_asked_needs_no_answer() {
    let (feed, reply) = Reply::feed();
    let server = Server::start([accepted(), (EVENTS, reply)]);
    let mut terminal = Terminal::start(&server, "migrate web1 --to kvm2", &[]);
    feed.send(event(1, &copying())).unwrap();
    terminal.until("left");
    terminal.interrupt();
    terminal.until(QUESTION);
    feed.send(event(2, &done())).unwrap();
    let (code, rest) = terminal.finish();
    assert_eq!(code, 0);
    assert!(rest.starts_with("\r\nweb1 runs on kvm2."), "{rest:?}");
}

#[test]
fn a_person_can_trust_a_key_and_type_a_password_unseen() {
    const POST: &str = "POST /api/v1/hosts";
    let mut unknown = Problem::new(Code::HostKeyUnknown, "not known");
    unknown.fingerprint = Some("SHA256:x".to_owned());
    let denied = Problem::new(Code::AccessDenied, "refused");
    let server = Server::start([
        (POST, Reply::problem(&unknown)),
        (POST, Reply::problem(&denied)),
        (POST, Reply::json(201, &host("kvm2"))),
    ]);
    let mut terminal = Terminal::start(&server, "host add kvm2 qemu+ssh://root@kvm2/system", &[]);
    let shown = terminal.until("Trust this key? [y/N] ");
    assert!(shown.contains("SHA256:x"), "{shown:?}");
    terminal.type_in("y\n");
    terminal.until("(used once, not stored): ");
    terminal.type_in("secret\n");
    let (code, rest) = terminal.finish();
    assert_eq!(code, 0);
    assert!(!rest.contains("secret") && rest.contains("kvm2 is registered"), "{rest:?}");
    server.request();
    server.request();
    let last = server.request().json();
    assert_eq!((&last["fingerprint"], &last["password"]), (&"SHA256:x".into(), &"secret".into()));
}

#[test]
fn a_person_can_decline_a_key() {
    let mut unknown = Problem::new(Code::HostKeyUnknown, "not known");
    unknown.fingerprint = Some("SHA256:x".to_owned());
    for (typed, code) in [("\n", 1), ("n\n", 1), ("\u{4}", 1), ("", 130)] {
        let server = Server::start([("POST /api/v1/hosts", Reply::problem(&unknown))]);
        let mut terminal = Terminal::start(&server, "host add kvm2 qemu+ssh://root@kvm2/system", &[]);
        terminal.until("Trust this key? [y/N] ");
        if typed.is_empty() {
            terminal.interrupt()
        } else {
            terminal.type_in(typed)
        }
        let (ended, rest) = terminal.finish();
        assert_eq!(ended, code, "{typed:?}: {rest:?}");
        assert_eq!(server.lines().len(), 1);
    }
}

#[test]
fn a_login_is_asked_for_unseen() {
    let server = Server::start([("GET /api/v1/hosts", Reply::json(200, &[host("kvm2")]))]);
    let line = format!("--server http://{} host list", server.listen());
    let mut terminal = Terminal::start(&server, &line, &[("FERRY_USER", "ann")]);
    terminal.until("Password of ann for http://127.0.0.1:");
    terminal.type_in("secret\n");
    let (code, rest) = terminal.finish();
    assert_eq!(code, 0, "{rest:?}");
    assert!(!rest.contains("secret") && rest.contains("kvm2"), "{rest:?}");
    assert_eq!(server.request().header("authorization"), Some("Basic YW5uOnNlY3JldA=="));
}
