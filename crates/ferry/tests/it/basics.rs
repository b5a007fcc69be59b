//! What every command has in common.

use std::process::Command;

use api::problem::{Code, Problem};
use api::vm::VmState;

use crate::sample::{host, vm};
use crate::server::{Reply, Server};
use crate::support::{Output, command, ferry};

fn bare(args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_ferry")).env_clear().args(args).output().unwrap();
    Output {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_missing_socket_is_named_with_what_to_do() {
    let output = bare(&["host", "list", "--server", "unix:/nonexistent/ferry.sock"]);
    assert_eq!(output.code, 1);
    assert_eq!(
        output.stderr,
        "ferry: ferryd is not running here (no socket at /nonexistent/ferry.sock): start it or give --server\n"
    );
    assert_eq!(output.stdout, "");
}

#[test]
fn a_socket_that_nobody_listens_at_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("f.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let output = bare(&["host", "list", "--json", "--server", path.to_str().unwrap()]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert!(output.stderr.contains("nobody listens"), "{}", output.stderr);
}

#[test]
fn help_names_the_exit_codes_and_the_flag_for_the_server() {
    for args in [&["--help"][..], &["migrate", "--help"], &["task", "watch", "--help"]] {
        let output = bare(args);
        assert_eq!((output.code, output.stderr.as_str()), (0, ""));
        for text in ["Exit codes:", "  5    a person must decide", "--server <URL>", "FERRY_SERVER", "--json"]
        {
            assert!(output.stdout.contains(text), "{text} not in {}", output.stdout);
        }
    }
}

#[test]
fn a_hidden_command_is_not_suggested() {
    let output = bare(&["plan", "web1"]);
    assert_eq!(output.code, 2);
    assert!(output.stderr.contains("'plan'") && !output.stderr.contains("'man'"), "{}", output.stderr);
    let output = bare(&["migate", "web1"]);
    assert!(output.stderr.contains("'migrate'"), "{}", output.stderr);
}

#[test]
fn a_wrong_command_line_is_2_and_sends_nothing() {
    let server = Server::start([]);
    for line in [
        "",
        "fly",
        "migrate web1",
        "migrate web1 --to kvm2 --max-downtime 300",
        "migrate web1 --to kvm2 --bandwidth 100MB/s",
        "migrate web1 --to=-kvm2",
        "vm show -- -x",
        "vm list --state flying",
        "task show web1",
        "task resolve 0198 --keep both",
        "host add kvm2 qemu+ssh://-oProxyCommand=x/system",
        "host add kvm2 qemu:///system --fingerprint MD5:00",
        "host list --server https://kvm1",
        "host list --server kvm1",
    ] {
        let output = ferry(&server, line);
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{line}: {output:?}");
        assert!(!output.stderr.is_empty(), "{line}");
    }
    let names = command(&server, "vm show").arg("a b").output().unwrap();
    assert_eq!(names.status.code(), Some(2));
    assert_eq!(server.lines(), Vec::<String>::new());
}

#[test]
fn what_ferryd_calls_a_bad_value_is_2_and_so_is_a_name_that_nothing_has() {
    for (code, exit) in
        [(Code::BadRequest, 2), (Code::BadValue, 2), (Code::UnknownVm, 2), (Code::Internal, 1)]
    {
        let problem = Problem::new(code, "It is so.").field("vm");
        let server = Server::start([("GET /api/v1/vms/web1", Reply::problem(&problem))]);
        let output = ferry(&server, "vm show web1");
        assert_eq!(output.code, exit);
        assert_eq!(output.stderr, format!("ferry: It is so. [{}]\n  field: vm\n", code.as_str()));
    }
}

#[test]
fn lists_are_tables_or_json() {
    let hosts = [host("kvm2"), host("kvm1")];
    let silent = [api::host::Host { state: api::host::HostState::Unreachable, ..host("kvm2") }, host("kvm1")];
    let vms = [vm("web1")];
    let server = Server::start([
        ("GET /api/v1/hosts", Reply::json(200, &hosts)),
        ("GET /api/v1/hosts", Reply::json(200, &hosts)),
        ("GET /api/v1/vms", Reply::json(200, &vms)),
        ("GET /api/v1/hosts", Reply::json(200, &silent)),
        ("GET /api/v1/vms", Reply::json(200, &vms)),
        ("GET /api/v1/vms/web1", Reply::json(200, &vms[0])),
        ("DELETE /api/v1/hosts/kvm2", Reply::Text(204, "text/plain", String::new())),
    ]);
    let table = ferry(&server, "host list");
    assert_eq!(table.code, 0);
    let names: Vec<_> = table.stdout.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["NAME", "kvm1", "kvm2"]);
    assert_eq!(ferry(&server, "--json host list").json(), serde_json::to_value(&hosts).unwrap());
    let listed = ferry(&server, "vm list");
    assert!(listed.stdout.contains("web1  kvm1  running"));
    assert!(listed.stderr.contains("kvm2 cannot be asked now"), "{listed:?}");
    let filtered = ferry(&server, "vm list --json --host kvm1 --state paused");
    assert_eq!(filtered.json(), serde_json::to_value(&vms).unwrap());
    assert_eq!(
        ferry(&server, "vm show web1 --host kvm1 --json").json(),
        serde_json::to_value(&vms[0]).unwrap()
    );
    assert_eq!(ferry(&server, "host remove kvm2").stdout, "kvm2 is forgotten.\n");
    let lines = server.lines();
    assert_eq!(lines[4], format!("GET /api/v1/vms?host=kvm1&state={}", VmState::Paused.as_str()));
    assert_eq!(lines[5], "GET /api/v1/vms/web1?host=kvm1");
}

#[test]
fn names_are_encoded_in_the_address() {
    let server = Server::start([("GET /api/v1/vms/a%2F..%3F%C3%BC", Reply::json(200, &vm("a/..?ü")))]);
    let output = ferry(&server, "vm show a/..?ü");
    assert_eq!(output.code, 0, "{output:?}");
}

#[test]
fn a_piped_output_holds_no_escape_even_where_a_name_does() {
    let mut evil = vm("a\u{1b}[31m");
    evil.host = "kvm1\u{9b}".to_owned();
    let server = Server::start([("GET /api/v1/vms", Reply::json(200, &[evil]))]);
    let output = ferry(&server, "vm list");
    assert!(!output.stdout.chars().any(|c| c != '\n' && c.is_control()), "{:?}", output.stdout);
}

#[test]
fn what_is_not_ferryd_is_told() {
    let server = Server::start([
        ("GET /api/v1/hosts", Reply::Text(200, "text/html", "<html>".to_owned())),
        ("GET /api/v1/hosts", Reply::Text(502, "text/html", "<html>".to_owned())),
        (
            "GET /api/v1/hosts",
            Reply::Text(409, "application/json", r#"{"code":"new","detail":"A new thing."}"#.to_owned()),
        ),
        ("GET /api/v1/hosts", Reply::Nothing),
    ]);
    for text in
        ["cannot be read", "502 Bad Gateway without saying why", "409 Conflict: A new thing.", "broke before"]
    {
        let output = ferry(&server, "host list");
        assert_eq!((output.code, output.stdout.as_str()), (1, ""));
        assert!(output.stderr.contains(text), "{text} not in {}", output.stderr);
    }
}

#[test]
fn completions_and_manual_pages_come_from_the_definition() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = bare(&["completions", shell]);
        assert!(output.code == 0 && output.stdout.contains("migrate"), "{shell}");
    }
    let directory = tempfile::tempdir().unwrap();
    let output = bare(&["man", directory.path().to_str().unwrap()]);
    assert_eq!(output.code, 0, "{output:?}");
    let page = std::fs::read_to_string(directory.path().join("ferry-migrate.1")).unwrap();
    assert!(page.contains("max\\-downtime"), "{page}");
}
