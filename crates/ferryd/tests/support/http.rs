//! Requests as bytes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use api::problem::Problem;
use serde::de::DeserializeOwned;

use super::World;

const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Where `ferryd` listens besides its socket, and what speaks to it from its own machine.
pub(crate) const AT_LOOPBACK: &str = "--listen=127.0.0.1:8010";
const SPEAK: &str = "exec 3<>/dev/tcp/127.0.0.1/8010 && cat >&3 && cat <&3";

/// An answer. The names of its headers are in small letters.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {head}"));
        let lines = head.split("\r\n").map(|line| match line.split_once(": ") {
            Some((name, value)) => format!("{}: {value}", name.to_ascii_lowercase()),
            None => line.to_owned(),
        });
        Self { status, head: lines.collect::<Vec<_>>().join("\r\n"), body: body.to_owned() }
    }

    /// The value of a header, whose name is told in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
    }

    /// Its body as JSON.
    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The problem document that it is.
    #[track_caller]
    pub(crate) fn problem(&self) -> Problem {
        let problem: Problem = self.json();
        assert_eq!(problem.status, self.status, "{self:#?}");
        assert!(self.head.contains("content-type: application/problem+json"), "{self:#?}");
        problem
    }
}

/// A request whose last byte has not been sent yet: `ferryd` can begin only when it is let go.
pub(crate) struct Held {
    stream: UnixStream,
    last: u8,
}

impl Held {
    /// Sends all of a request but its last byte.
    fn send(socket: &Path, request: &[u8]) -> Self {
        let (last, most) = request.split_last().expect("a request");
        let mut stream = UnixStream::connect(socket).expect("ferryd listens");
        stream.set_read_timeout(Some(ANSWER_WITHIN)).expect("a time limit");
        // A refusal may come, and the connection be closed, before all is sent.
        let _ = stream.write_all(most);
        Self { stream, last: *last }
    }

    /// Sends the last byte and waits for the answer.
    #[track_caller]
    pub(crate) fn let_go(mut self) -> Answer {
        let _ = self.stream.write_all(&[self.last]);
        let mut answer = Vec::new();
        // Of a request that was refused before it was read whole, the rest comes back as a reset.
        let read = self.stream.read_to_end(&mut answer);
        assert!(read.is_ok() || !answer.is_empty(), "no answer: {read:?}");
        Answer::read(&answer)
    }
}

/// The bytes of a request at the loopback address, with all its headers as they are given.
pub(crate) fn loopback_request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:8010\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The bytes of a request with a JSON body.
pub(crate) fn json_request(method: &str, path: &str, body: &str) -> Vec<u8> {
    request(method, path, "Content-Type: application/json\r\n", body.as_bytes())
}

/// The bytes of a request; `headers` are whole lines.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: ferry\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

impl World {
    /// Sends all of a request but its last byte.
    pub(crate) fn hold(&self, request: &[u8]) -> Held {
        Held::send(&self.socket(), request)
    }

    /// Sends bytes and waits for the answer.
    #[track_caller]
    pub(crate) fn send(&self, request: &[u8]) -> Answer {
        self.hold(request).let_go()
    }

    /// Sends bytes to a `ferryd` that dies at what they ask for, perhaps before it has answered.
    pub(crate) fn send_to_dying(&self, request: &[u8]) {
        let Held { mut stream, last } = self.hold(request);
        let _ = stream.write_all(&[last]).and_then(|()| stream.read_to_end(&mut Vec::new()));
    }

    /// Sends bytes to the loopback address, from `ferryd`'s own machine, and waits for the answer.
    #[track_caller]
    pub(crate) fn send_at_loopback(&self, request: &[u8]) -> Answer {
        let said = self.machine().run_with_input(&["bash", "-c", SPEAK], request).expect("ferryd listens");
        Answer::read(said.as_bytes())
    }

    /// Reads an address.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(&request("GET", path, "", b""))
    }

    /// Posts a JSON body.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &serde_json::Value) -> Answer {
        self.send(&json_request("POST", path, &body.to_string()))
    }
}
