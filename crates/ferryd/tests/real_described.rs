//! What the descriptions of both interfaces say is what `ferryd` does: schemathesis makes thousands of requests of them, sensible
//! and not, with one real host behind, and looks at every answer.
//!
//! The same seed asks the same every time. What is there to be found, and what counts as a fault, is in `tools/schemathesis.toml`.

mod support;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use lab::{Host, Release};
use support::World;

/// Requests for each of the two documents: together ten thousand and more.
const REQUESTS_AT_LEAST: u64 = 5000;
/// Requests made up for each operation, besides those that its description alone leads to: enough for that. (The inherited interface has
/// twice as many operations, and most of them ask a host.)
const OWN_EXAMPLES: u32 = 500;
const INHERITED_EXAMPLES: u32 = 200;
/// Machines of the dictionary in `tools/schemathesis.toml`.
const VMS: [&str; 3] = ["web1", "db1", "old1"];
/// How often those that were removed or renamed are defined anew.
const AGAIN: Duration = Duration::from_secs(2);

#[test]
fn the_own_interface_is_as_it_is_described() {
    tried("described-own", "/api/v1/openapi.json", OWN_EXAMPLES);
}

#[test]
fn the_inherited_interface_is_as_it_is_described() {
    tried("described-kimchi", "/plugins/kimchi/openapi.json", INHERITED_EXAMPLES);
}

fn tried(test: &'static str, document: &str, examples: u32) {
    // Hosts that are made up do not answer: that is told as soon as it may be.
    let limits = ["--connect-timeout-s=2", "--call-timeout-s=5"];
    let plan = World::of(test).host("kvm1", Release::Bookworm);
    let world = limits.into_iter().fold(plan, support::Plan::flag).up();
    world.register("kvm1");
    let address = forwarded(world.socket());
    let mut command = Command::new(schemathesis());
    command.arg("--config-file").arg(root().join("tools/schemathesis.toml")).arg("--no-color");
    command.args(["run", &format!("http://{address}{document}"), "--max-examples", &examples.to_string()]);
    command.current_dir(std::env::temp_dir()).env("NO_PROXY", "127.0.0.1").stdin(Stdio::null());
    let output = with_machines(&world.host("kvm1"), &mut command);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let asked = generated(&said).unwrap_or_else(|| panic!("it does not say how much it asked:\n{said}"));
    assert!(asked >= REQUESTS_AT_LEAST, "only {asked} requests:\n{said}");
    assert!(!world.log().contains("panicked at"), "a handler panicked");
    assert_eq!(world.get("/api/v1/hosts").status, 200, "it serves as before");
}

/// Runs it to its end; meanwhile the machines that it is told of are defined again and again.
fn with_machines(host: &Host, command: &mut Command) -> Output {
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("schemathesis starts");
    // Read beside, or it would wait for who reads.
    let (stdout, stderr) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let status = loop {
        for name in VMS {
            // Refused where it is there.
            let _ = host.run_with_input(&["virsh", "-q", "define", "/dev/stdin"], machine(name).as_bytes());
        }
        if let Some(status) = child.try_wait().expect("wait") {
            break status;
        }
        thread::park_timeout(AGAIN);
    };
    Output { status, stdout: stdout.join().expect("read"), stderr: stderr.join().expect("read") }
}

fn reader(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read until it broke off is shown.
        let _ = stream.expect("a pipe").read_to_end(&mut bytes);
        bytes
    })
}

fn machine(name: &str) -> String {
    format!(
        "<domain type='qemu'><name>{name}</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>\
         <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os></domain>"
    )
}

/// How many requests it made: `Test cases:`, and on the next line `5123 generated, …`.
fn generated(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains(" generated, "))?;
    line.split_whitespace().next()?.replace(',', "").parse().ok()
}

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The program, where `tools/prepare --schemathesis` puts it.
fn schemathesis() -> PathBuf {
    let cache =
        std::env::var_os("FERRY_LAB_CACHE").map_or_else(|| "/var/cache/ferry-lab".into(), PathBuf::from);
    let program = cache.join("schemathesis/bin/schemathesis");
    assert!(program.is_file(), "{} is not there: tools/prepare --schemathesis", program.display());
    program
}

/// A loopback address that leads to `ferryd`'s socket, where nobody has to log in, until this process ends.
fn forwarded(socket: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("an address");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            // Without ferryd the client finds the connection closed.
            if let Ok(ferryd) = UnixStream::connect(&socket) {
                let _ = pass(client, ferryd);
            }
        }
    });
    address
}

/// Passes on what each of them says, on two threads.
fn pass(client: TcpStream, ferryd: UnixStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (mut asks, mut asked) = (client.try_clone()?, ferryd.try_clone()?);
    let (mut answers, mut answered) = (ferryd, client);
    thread::spawn(move || {
        let _ = io::copy(&mut asks, &mut asked);
        let _ = asked.shutdown(Shutdown::Write);
    });
    thread::spawn(move || {
        let _ = io::copy(&mut answers, &mut answered);
        let _ = answered.flush();
        let _ = answered.shutdown(Shutdown::Both);
    });
    Ok(())
}
