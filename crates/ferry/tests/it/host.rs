//! `ferry host add`: trusting a key, giving a password.

use api::problem::{Code, Problem};

use crate::sample::host;
use crate::server::{Reply, Server};
use crate::support::{ferry, ferry_with};

const ADD: &str = "host add kvm2 qemu+ssh://root@kvm2/system";
const POST: &str = "POST /api/v1/hosts";
const KEY: &str = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn key_unknown() -> Problem {
    let mut problem = Problem::new(Code::HostKeyUnknown, "The ssh key of kvm2 is not known yet.");
    problem.fingerprint = Some(KEY.to_owned());
    problem
}

#[test]
fn a_host_is_registered() {
    let server =
        Server::start([(POST, Reply::json(201, &host("kvm2"))), (POST, Reply::json(201, &host("kvm2")))]);
    let output = ferry(&server, &format!("{ADD} --peer-uri qemu+tls://kvm2/system"));
    assert_eq!(output.code, 0, "{output:?}");
    assert_eq!(output.stdout, "kvm2 is registered (kvm2.example, QEMU 7.2.22, libvirt 9.0.0).\n");
    assert_eq!(
        server.request().json(),
        serde_json::json!({
            "name": "kvm2", "uri": "qemu+ssh://root@kvm2/system", "peer_uri": "qemu+tls://kvm2/system"
        })
    );
    let output = ferry(&server, &format!("{ADD} --json"));
    assert_eq!(output.json(), serde_json::to_value(host("kvm2")).unwrap());
}

#[test]
fn an_unknown_key_is_shown_with_the_option_that_trusts_it() {
    let server =
        Server::start([(POST, Reply::problem(&key_unknown())), (POST, Reply::json(201, &host("kvm2")))]);
    let output = ferry(&server, ADD);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
    assert!(output.stderr.contains(&format!("--fingerprint {KEY}")), "{}", output.stderr);
    server.request();
    let output = ferry(&server, &format!("{ADD} --fingerprint {KEY}"));
    assert_eq!(output.code, 0);
    assert_eq!(server.request().json()["fingerprint"], KEY);
}

#[test]
fn another_key_than_the_given_one_is_told() {
    let server = Server::start([(POST, Reply::problem(&key_unknown()))]);
    let other = KEY.replace("AAA", "BBB");
    let output = ferry(&server, &format!("{ADD} --json --fingerprint {other}"));
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("not the one given with --fingerprint"), "{}", output.stderr);
    assert!(output.stderr.contains(KEY), "{}", output.stderr);
    assert_eq!(output.json(), serde_json::to_value(key_unknown()).unwrap());
}

#[test]
fn a_password_is_read_from_standard_input_and_shown_nowhere() {
    let denied = Problem::new(Code::AccessDenied, "kvm2 refused the login.");
    let server = Server::start([
        (POST, Reply::problem(&denied)),
        (POST, Reply::problem(&denied)),
        (POST, Reply::json(201, &host("kvm2"))),
    ]);
    let output = ferry(&server, ADD);
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("--password-stdin"), "{}", output.stderr);
    // One that is wrong is not asked for again.
    let output = ferry_with(&server, &format!("{ADD} --password-stdin"), "secret wörd\r\nrest\n");
    assert_eq!(output.code, 1);
    assert!(!output.stderr.contains("--password-stdin"), "{}", output.stderr);
    assert!(!output.stderr.contains("secret") && !output.stderr.contains("Password"), "{}", output.stderr);
    server.request();
    assert_eq!(server.request().json()["password"], "secret wörd");
    let output = ferry_with(&server, &format!("{ADD} --password-stdin"), "no line feed");
    assert_eq!(output.code, 0);
    assert_eq!(server.request().json()["password"], "no line feed");
}

#[test]
fn without_a_password_to_read_nothing_is_sent() {
    let server = Server::start([]);
    for input in ["", "\n", &"x".repeat(5000)] {
        let output = ferry_with(&server, &format!("{ADD} --password-stdin"), input);
        assert_eq!(output.code, 1, "{output:?}");
    }
    assert_eq!(server.lines(), Vec::<String>::new());
}

#[test]
fn a_password_does_not_leave_the_machine_unencrypted() {
    let server = Server::start([]);
    let output =
        ferry_with(&server, &format!("{ADD} --password-stdin --server http://kvm1.invalid:1"), "secret\n");
    assert_eq!(output.code, 1);
    assert!(output.stderr.contains("not sent unencrypted to http://kvm1.invalid:1"), "{}", output.stderr);
}
