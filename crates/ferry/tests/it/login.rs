//! `--user`: a login at an http address.

use std::fs;

use api::problem::{Code, Problem};

use crate::sample::{accepted, done, event, host};
use crate::server::{Reply, Server};
use crate::support::{Output, ferry, ferry_with};

const HOSTS: &str = "GET /api/v1/hosts";
/// `ann:wörd: 1` as HTTP Basic has it.
const ANN: &str = "Basic YW5uOnfDtnJkOiAx";

fn hosts() -> (&'static str, Reply) {
    (HOSTS, Reply::json(200, &[host("kvm2")]))
}

/// `ferry` at a loopback address of the server, with something on its standard input.
fn at_loopback(server: &Server, line: &str, input: &str) -> Output {
    ferry_with(server, &format!("--server http://{} {line}", server.listen()), input)
}

#[test]
fn the_password_comes_from_a_file_or_standard_input() {
    let server = Server::start([hosts(), hosts(), hosts()]);
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "wörd: 1\r\nthe second line is none of it\n").unwrap();
    let path = file.path().display();
    for (line, input) in [
        (format!("host list --user ann --password-file {path}"), ""),
        ("--user ann --password-file - host list".to_owned(), "wörd: 1\nrest\n"),
        ("host --user ann list --password-file -".to_owned(), "wörd: 1"),
    ] {
        let output = at_loopback(&server, &line, input);
        assert_eq!(output.code, 0, "{line}: {output:?}");
        assert_eq!(server.request().header("authorization"), Some(ANN), "{line}");
        assert!(!output.stderr.contains("Password"), "{output:?}");
    }
}

#[test]
fn every_request_shows_the_login_also_that_for_events() {
    let events = Reply::events([event(1, &done())]);
    let server = Server::start([accepted(), ("GET /api/v1/events", events)]);
    let output = at_loopback(&server, "migrate web1 --to kvm2 --user ann --password-file -", "wörd: 1\n");
    assert_eq!(output.code, 0, "{output:?}");
    for _ in 0..2 {
        let request = server.request();
        assert_eq!(request.header("authorization"), Some(ANN), "{}", request.line);
    }
    server.assert_used_up();
}

#[test]
fn two_passwords_on_standard_input_are_one_after_the_other() {
    let server = Server::start([("POST /api/v1/hosts", Reply::json(201, &host("kvm2")))]);
    let line = "host add kvm2 qemu+ssh://root@kvm2/system --password-stdin --user ann --password-file -";
    assert_eq!(at_loopback(&server, line, "wörd: 1\nthe host's\n").code, 0);
    let request = server.request();
    assert_eq!(
        (request.header("authorization"), &request.json()["password"]),
        (Some(ANN), &"the host's".into())
    );
}

#[test]
fn the_socket_needs_no_login_and_is_shown_none() {
    let server = Server::start([hosts(), hosts()]);
    for line in ["host list --user ann", "host list --user ann --password-file /nowhere"] {
        assert_eq!(ferry(&server, line).code, 0, "{line}");
        assert_eq!(server.request().header("authorization"), None, "{line}");
    }
}

#[test]
fn what_lacks_is_said_before_anything_is_asked() {
    let server = Server::start([]);
    let far = "--server http://192.0.2.1:8070 host list --user ann --password-file -";
    let output = ferry_with(&server, far, "secret\n");
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("not sent unencrypted to http://192.0.2.1:8070"), "{output:?}");
    for (line, input, code, said) in [
        ("host list --user ann", "secret\n", 2, "give --password-file FILE (- is standard input)"),
        ("host list --password-file -", "secret\n", 2, "--password-file needs --user"),
        ("host list --user ann --password-file -", "\nsecret\n", 1, "no password was given"),
        ("host list --user ann --password-file -", "", 1, "no password was given"),
        (
            "host list --user ann --password-file /nowhere",
            "",
            1,
            "cannot be read from /nowhere: No such file",
        ),
        ("host list --user a:b --password-file -", "secret\n", 2, "neither a colon"),
    ] {
        let output = at_loopback(&server, line, input);
        assert_eq!(output.code, code, "{line}: {output:?}");
        assert!(output.stderr.contains(said) && !output.stderr.contains("secret"), "{line}: {output:?}");
    }
    assert!(server.lines().is_empty());
}

#[test]
fn who_is_not_let_in_is_told_how() {
    let refused = || (HOSTS, Reply::problem(&Problem::new(Code::LoginRequired, "there is no user ann")));
    let server = Server::start([refused(), refused()]);
    let output = at_loopback(&server, "host list", "");
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("Log in with --user NAME."), "{output:?}");
    assert_eq!(server.request().header("authorization"), None);
    let output = at_loopback(&server, "host list --user ann --password-file -", "secret\n");
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("there is no user ann"), "{output:?}");
    assert!(!output.stderr.contains("--user") && !output.stderr.contains("secret"), "{output:?}");
}
