//! Machines seen and spoken to: pictures of a real screen, a real serial console, VNC and SPICE through WebSockets, of a machine on
//! `ferryd`'s own host and of one that is reached through ssh.

mod support;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use lab::Release;
use rsa::pkcs8::DecodePublicKey;
use rsa::{Oaep, RsaPublicKey};
use serde_json::{Value, json};
use sha1::Sha1;
use support::guest::quiet;
use support::http::{Answer, request};
use support::kimchi::at_home;
use support::screen::{Picture, text_on_screen};
use support::{SOON, World, until, until_seen};
use tokio::net::UnixStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Error, Message};

/// A guest boots under emulation, on a machine that does other things meanwhile.
const BOOTS_WITHIN: Duration = Duration::from_secs(180);

/// What the firmware writes on the screen first, with its version after that; it stays there while the guest runs.
const FIRMWARE: &str = "SeaBIOS (version ";

const TYPE_AGAIN: Duration = Duration::from_secs(1);

type Socket = WebSocketStream<UnixStream>;

/// Starts a guest whose serial line, with its ticks, is a pty, and with a screen (`vnc`, `spice`) that its firmware writes to.
fn start(world: &World, name: &str, screen: &str) {
    let mut spec = quiet(name);
    spec.extra_devices = format!(
        "    <graphics type='{screen}' port='-1' autoport='yes' listen='127.0.0.1'/>
    <video><model type='vga'/></video>
"
    );
    let xml = spec.to_xml();
    let (before, rest) = xml.split_once("<serial type='file'>").expect("a serial line");
    let (_, after) = rest.split_once("</serial>").expect("its end");
    let xml = format!("{before}<serial type='pty'><target port='0'/></serial>{after}");
    let host = world.host(host_of(name));
    // As on every machine with systemd: there libvirt locks the ptys that it gives to one alone.
    host.run(&["mkdir", "-p", "/run/lock"]).expect("a directory");
    let define = ["virsh", "-q", "-c", "qemu:///system", "define", "/dev/stdin"];
    host.run_with_input(&define, xml.as_bytes()).expect("defined");
    host.virsh(&["start", name]).expect("started");
}

fn vm(name: &str) -> String {
    format!("/plugins/kimchi/vms/{name}")
}

#[track_caller]
fn refused(answer: &Answer, status: u16, reason: &str) {
    let body: Value = answer.json();
    let said = body["reason"].as_str().unwrap_or_default();
    assert!(answer.status == status && said.starts_with(reason), "{status} {reason}: {answer:#?}");
}

/// Asks for a ticket; the answer is the machine, and the address of its console.
#[track_caller]
fn ticket(world: &World, name: &str, action: &str) -> String {
    let answer = world.post(&format!("{}/{action}", vm(name)), &json!({}));
    assert_eq!(answer.status, 200, "{answer:#?}");
    let told: Value = answer.json();
    assert_eq!((&told["name"], &told["ticket_valid_s"]), (&json!(name), &json!(30)), "{told:#}");
    told["websocket"].as_str().expect("an address").to_owned()
}

/// Waits for something, at most `limit`; none where it did not come.
fn within<T>(world: &World, limit: Duration, wanted: impl Future<Output = T>) -> Option<T> {
    // Made within the runtime, which counts the time.
    world.block_on(async { timeout(limit, wanted).await.ok() })
}

/// Opens a console; status and body where it is refused.
fn open(world: &World, address: &str) -> Result<Socket, (u16, String)> {
    world.block_on(async {
        let stream = UnixStream::connect(world.socket()).await.expect("ferryd listens");
        match tokio_tungstenite::client_async(format!("ws://ferry{address}"), stream).await {
            Ok((socket, _)) => Ok(socket),
            Err(Error::Http(answer)) => {
                let said = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                Err((answer.status().as_u16(), said.into_owned()))
            }
            Err(error) => panic!("{error}"),
        }
    })
}

/// The status with which a console is refused.
fn refusal(world: &World, address: &str) -> Option<u16> {
    open(world, address).err().map(|(status, _)| status)
}

/// Waits until a part of what comes is `wanted`; all that came.
#[track_caller]
fn hear(world: &World, socket: &mut Socket, wanted: &str, limit: Duration) -> String {
    let mut heard = String::new();
    let found = within(world, limit, async {
        while !heard.contains(wanted) {
            match socket.next().await {
                Some(Ok(Message::Binary(bytes))) => heard.push_str(&String::from_utf8_lossy(&bytes)),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?} after {heard}"),
            }
        }
    });
    assert!(found.is_some(), "not within {limit:?}: {wanted:?} in {heard:?}");
    heard
}

/// Types until the guest's kernel echoes it: before it has come far enough in its boot, nobody listens.
#[track_caller]
fn echoes(world: &World, socket: &mut Socket, typed: &str) {
    let mut heard = String::new();
    let found = within(world, BOOTS_WITHIN, async {
        while !heard.contains(typed) {
            socket.send(Message::Text(format!("{typed}\n").into())).await.expect("it is sent");
            match timeout(TYPE_AGAIN, socket.next()).await {
                Ok(Some(Ok(Message::Binary(bytes)))) => heard.push_str(&String::from_utf8_lossy(&bytes)),
                Ok(other) => panic!("{other:?} after {heard}"),
                Err(_) => {}
            }
        }
    });
    assert!(found.is_some(), "no echo of {typed:?} in {heard:?}");
}

/// Waits until a console is closed.
#[track_caller]
fn closes(world: &World, socket: &mut Socket) {
    let closed = within(world, SOON, async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            }
        }
    });
    assert!(closed.is_some(), "it stays open");
}

/// The bytes of a picture, with the head of the answer.
fn picture(world: &World, name: &str) -> (String, Vec<u8>) {
    world.block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = UnixStream::connect(world.socket()).await.expect("ferryd listens");
        stream.write_all(&request("GET", &format!("{}/screenshot", vm(name)), "", b"")).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("an answer");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        (String::from_utf8_lossy(&answer[..end]).to_lowercase(), answer[end + 4..].to_vec())
    })
}

/// The picture on the screen shows the text that the machine has put there, letter by letter.
fn screen_is_seen(world: &World, name: &str) {
    let listed: Value = world.get(&vm(name)).json();
    assert_eq!(listed["screenshot"], format!("{}/screenshot", vm(name)));
    // Until the firmware has written something, it is black; and a picture may be some seconds older than the text.
    until_seen(BOOTS_WITHIN, "the text is not on the picture", || {
        let text = text_on_screen(&world.host(host_of(name)), name);
        let (head, body) = picture(world, name);
        assert!(head.starts_with("http/1.1 200") && head.contains("content-type: image/png"), "{head}");
        let picture = Picture::of(&body);
        let written = String::from_utf8_lossy(&text).into_owned();
        if !written.contains(FIRMWARE) {
            return Err(format!("{FIRMWARE:?} in {written:?}"));
        }
        picture.shows(&text)?;
        // It is no picture of just anything: the same text one place further on is not what it shows.
        let mut moved = text.clone();
        moved.rotate_right(1);
        assert!(picture.shows(&moved).is_err(), "it shows whatever is looked for");
        Ok(())
    });
}

/// What the guest says comes, and what is typed comes back as its echo.
fn serial_speaks(world: &World, name: &str) {
    let address = ticket(world, name, "serial");
    let second = ticket(world, name, "serial");
    let mut socket = open(world, &address).expect("it opens");
    assert_eq!(refusal(world, &address), Some(403), "a ticket is used up");
    assert_eq!(refusal(world, &second), Some(409), "one at a time has the console");
    hear(world, &mut socket, " e0 p", BOOTS_WITHIN);
    echoes(world, &mut socket, "hello ferry");
    world.block_on(socket.close(None)).expect("it is closed");
    closes(world, &mut socket);
    // It is free again for the next one, as soon as libvirt has heard of it.
    let mut socket = until(SOON, "it is not let go", || open(world, &ticket(world, name, "serial")).ok());
    echoes(world, &mut socket, "again");
    world.host(host_of(name)).virsh(&["destroy", name]).expect("virsh");
    closes(world, &mut socket);
}

/// The VNC server greets.
fn screen_greets(world: &World, name: &str) {
    let address = ticket(world, name, "connect");
    let other_machine = address.replace(name, "nobody");
    assert_eq!(refusal(world, &other_machine), Some(403), "a ticket is one machine's");
    let mut socket = open(world, &address).expect("it opens");
    assert!(hear(world, &mut socket, "\n", SOON).starts_with("RFB 003.008\n"));
    world.block_on(socket.send(Message::Binary(b"RFB 003.008\n".to_vec().into()))).expect("it is sent");
    // One kind of security, none: no password is set.
    assert!(hear(world, &mut socket, "\u{1}", SOON).starts_with("\u{1}\u{1}"));
    world.block_on(socket.close(None)).expect("it is closed");
    closes(world, &mut socket);
    let log = world.log();
    assert!(!log.contains("ticket="), "no ticket is logged");
}

/// The SPICE server answers.
fn spice_answers(world: &World, name: &str) {
    let mut client = SpiceClient::asking(world, name);
    client.take_reply();
    world.block_on(client.socket.close(None)).expect("it is closed");
    closes(world, &mut client.socket);
}

/// A client of a SPICE server's main channel (`SpiceLinkHeader`, `SpiceLinkMess`, `SpiceLinkReply` of the protocol), with no capability
/// beyond those of the first version.
struct SpiceClient<'a> {
    world: &'a World,
    socket: Socket,
    /// What came and was not taken yet.
    came: Vec<u8>,
}

fn little_endian(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

impl<'a> SpiceClient<'a> {
    /// One that has asked for the main channel.
    fn asking(world: &'a World, name: &str) -> Self {
        let told: Value = world.get(&vm(name)).json();
        assert_eq!(told["graphics"]["type"], "spice", "{told:#}");
        let socket = open(world, &ticket(world, name, "connect")).expect("it opens");
        let mut client = Self { world, socket, came: Vec::new() };
        let (version, main_channel) = ([2, 2], [1, 0]);
        // No session yet; the channel and its number; no capabilities, which would follow after these 18 bytes.
        let asked = [little_endian(&[0]), main_channel.to_vec(), little_endian(&[0, 0, 18])].concat();
        client.send([b"REDQ".to_vec(), little_endian(&version), little_endian(&[18]), asked].concat());
        client
    }

    /// The server's key, with which a ticket is encrypted.
    fn take_reply(&mut self) -> RsaPublicKey {
        const KEY_BYTES: usize = 162;
        let header = self.take(16);
        let version = little_endian(&[2, 2]);
        assert_eq!((&header[..4], &header[4..12]), (&b"REDQ"[..], &version[..]), "{header:?}");
        let length = u32::from_le_bytes(header[12..].try_into().expect("a length"));
        let reply = self.take(usize::try_from(length).expect("a length"));
        assert_eq!(reply[..4], little_endian(&[0]), "no error: {reply:?}");
        RsaPublicKey::from_public_key_der(&reply[4..4 + KEY_BYTES]).expect("a key")
    }

    /// Sends a ticket without a password, which is taken where none is set.
    fn log_in(&mut self, key: &RsaPublicKey) {
        let ticket = key.encrypt(&mut rand::rng(), Oaep::<Sha1>::new(), b"\0").expect("a ticket");
        self.send(ticket);
        assert_eq!(self.take(4), little_endian(&[0]), "it may come in");
    }

    /// Waits for a message of this kind; what it says. (`SpiceDataHeader`: a number, the kind, the length, the rest of a list.)
    fn wait_message(&mut self, kind: u16) -> Vec<u8> {
        loop {
            let header = self.take(18);
            let length = u32::from_le_bytes(header[10..14].try_into().expect("a length"));
            let body = self.take(usize::try_from(length).expect("a length"));
            if header[8..10] == kind.to_le_bytes() {
                return body;
            }
        }
    }

    fn send(&mut self, bytes: Vec<u8>) {
        self.world.block_on(self.socket.send(Message::Binary(bytes.into()))).expect("it is sent");
    }

    /// The next bytes that come.
    #[track_caller]
    fn take(&mut self, count: usize) -> Vec<u8> {
        let (socket, came) = (&mut self.socket, &mut self.came);
        let enough = within(self.world, SOON, async {
            while came.len() < count {
                match socket.next().await {
                    Some(Ok(Message::Binary(bytes))) => came.extend_from_slice(&bytes),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    other => panic!("{other:?} after {came:?}"),
                }
            }
        });
        assert!(enough.is_some(), "{count} bytes did not come, but {:?}", self.came);
        self.came.drain(..count).collect()
    }
}

fn host_of(name: &str) -> &'static str {
    if name == "here" { "kvm1" } else { "kvm2" }
}

#[test]
fn machines_are_seen_and_spoken_to_here_and_through_ssh() {
    let plan = World::of("cons").host("kvm1", Release::Bookworm).host("kvm2", Release::Bookworm);
    let world = at_home(plan);
    world.register("kvm2");
    for (name, screen) in [("here", "vnc"), ("there", "vnc"), ("spice", "spice")] {
        start(&world, name, screen);
    }
    for name in ["here", "there"] {
        world.wait_listed("it does not show", |vm| vm.name == name);
        screen_is_seen(&world, name);
        screen_greets(&world, name);
        serial_speaks(&world, name);
        until(SOON, "it does not show that it is off", || {
            (world.get(&vm(name)).json::<Value>()["state"] == "shutoff").then_some(())
        });
        assert_eq!(world.get(&vm(name)).json::<Value>()["screenshot"], Value::Null);
        refused(&world.get(&format!("{}/screenshot", vm(name))), 404, "KCHVM0004E: ");
        refused(&world.post(&format!("{}/connect", vm(name)), &json!({})), 409, "KCHVM0010E: ");
        refused(&world.post(&format!("{}/serial", vm(name)), &json!({})), 409, "KCHVM0077E: ");
    }
    spice_answers(&world, "spice");
    has_none(&world);
}

/// A machine without a screen and without a pty.
fn has_none(world: &World) {
    world.lab.start_guest(&quiet("none"), "kvm1").expect("the guest starts");
    world.wait_listed("it does not show", |vm| vm.name == "none");
    until(SOON, "it does not run", || {
        (world.get(&vm("none")).json::<Value>()["state"] == "running").then_some(())
    });
    assert_eq!(world.get(&vm("none")).json::<Value>()["screenshot"], Value::Null);
    refused(&world.get(&format!("{}/screenshot", vm("none"))), 404, "KCHVM0006E: ");
    refused(&world.post(&format!("{}/connect", vm("none")), &json!({})), 409, "FERRYVM0002E: ");
    refused(&world.post(&format!("{}/serial", vm("none")), &json!({})), 400, "KCHVM0076E: ");
}

#[test]
fn who_looks_at_a_spice_screen_is_sent_to_where_the_machine_goes() {
    /// `SPICE_MSG_MAIN_MIGRATE_SWITCH_HOST`: the ports, without encryption and with it, then the host.
    const SWITCH_HOST: u16 = 111;
    const PORT: u16 = 5999;
    let world = World::pair("spicegoes");
    start(&world, "spice", "spice");
    world.wait_listed("it does not show", |vm| vm.name == "spice");
    let mut client = SpiceClient::asking(&world, "spice");
    let key = client.take_reply();
    client.log_in(&key);
    let uri = format!("spice://screens.example:{PORT}");
    world.ferry(&["migrate", "spice", "--to", "kvm1", "--graphics-uri", &uri]).succeeded();
    let told = client.wait_message(SWITCH_HOST);
    assert_eq!(told[..2], PORT.to_le_bytes(), "{told:?}");
    assert!(String::from_utf8_lossy(&told).contains("screens.example"), "{told:?}");
}
