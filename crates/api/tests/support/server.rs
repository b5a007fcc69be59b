//! A `ferryd` that says what it was told to: HTTP/1.1 on a Unix socket or a loopback address, one request per connection, with nothing but the
//! standard library, so that what is tested meets bytes that no library of its own has made.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a test waits for what must come; only a failing test waits as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What came in.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `GET /api/v1/hosts?x=y`
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null where there is none.
    pub(crate) fn json(&self) -> serde_json::Value {
        if self.body.is_empty() { serde_json::Value::Null } else { serde_json::from_str(&self.body).unwrap() }
    }
}

/// What goes out.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Status, content type and body.
    Text(u16, &'static str, String),
    /// Server-Sent Events: each text as it comes; when the sender goes, the connection breaks off.
    Stream(Receiver<String>),
    /// The connection breaks off before an answer.
    Nothing,
}

impl Reply {
    pub(crate) fn json(status: u16, value: &(impl serde::Serialize + ?Sized)) -> Self {
        Self::Text(status, "application/json", serde_json::to_string(value).unwrap())
    }

    pub(crate) fn problem(problem: &api::problem::Problem) -> Self {
        Self::Text(problem.status, api::problem::MEDIA_TYPE, serde_json::to_string(problem).unwrap())
    }

    /// These texts, then the connection breaks off.
    pub(crate) fn events(texts: impl IntoIterator<Item = String>) -> Self {
        let (sender, reply) = Self::feed();
        for text in texts {
            sender.send(text).unwrap();
        }
        reply
    }

    /// A stream that goes on as long as the sender lives.
    pub(crate) fn feed() -> (Sender<String>, Self) {
        let (sender, receiver) = channel();
        (sender, Self::Stream(receiver))
    }
}

type Script = Arc<Mutex<Vec<(&'static str, Reply)>>>;

/// The server; ends with the process.
#[derive(Debug)]
pub(crate) struct Server {
    directory: tempfile::TempDir,
    script: Script,
    requests: Receiver<Request>,
    sender: Sender<Request>,
}

impl Server {
    /// Listens. A request gets the first reply not used up for its method and path (`GET /api/v1/hosts`, no query).
    pub(crate) fn start(script: impl IntoIterator<Item = (&'static str, Reply)>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("ferry.sock")).unwrap();
        let script: Script = Arc::new(Mutex::new(script.into_iter().collect()));
        let (sender, requests) = channel();
        let server = Self { directory, script, requests, sender };
        let serve = server.service();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                serve(stream.try_clone().unwrap(), stream);
            }
        });
        server
    }

    /// Listens on a loopback address, too; gives it.
    pub(crate) fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let serve = self.service();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                serve(stream.try_clone().unwrap(), stream);
            }
        });
        address
    }

    /// Serves a connection, whose two ends it is given, on a thread of its own.
    fn service<R: Read + Send + 'static, W: Write + Send + 'static>(
        &self,
    ) -> impl Fn(R, W) + Send + use<R, W> {
        let (script, sender) = (Arc::clone(&self.script), self.sender.clone());
        move |reader, writer| {
            let (script, sender) = (Arc::clone(&script), sender.clone());
            std::thread::spawn(move || serve(reader, writer, &script, &sender));
        }
    }

    /// `unix:` and the socket's path.
    pub(crate) fn address(&self) -> String {
        format!("unix:{}/ferry.sock", self.directory.path().display())
    }

    /// Waits for the next request.
    pub(crate) fn request(&self) -> Request {
        self.requests.recv_timeout(PATIENCE).expect("a request")
    }

    /// The lines of all requests that came and were not asked for yet.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.requests.try_iter().map(|request| request.line).collect()
    }

    /// Asserts that every reply was used.
    pub(crate) fn assert_used_up(&self) {
        let left: Vec<_> = self.script.lock().unwrap().iter().map(|(path, _)| *path).collect();
        assert!(left.is_empty(), "never asked for: {left:?}");
    }
}

fn serve(reader: impl Read, writer: impl Write, script: &Script, sender: &Sender<Request>) {
    let Some(request) = read(&mut BufReader::new(reader)) else { return };
    let reply = {
        let mut script = script.lock().unwrap();
        let path = request.line.split('?').next().unwrap_or_default();
        script.iter().position(|(known, _)| *known == path).map(|index| script.remove(index).1)
    };
    let unexpected = || Reply::Text(500, "text/plain", "the test did not expect this".to_owned());
    // Recorded before it is answered: whoever sees the answer can see the request.
    drop(sender.send(request));
    drop(answer(writer, reply.unwrap_or_else(unexpected)));
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let line = lines.first()?.strip_suffix(" HTTP/1.1")?.to_owned();
    let headers: Vec<_> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut request = Request { line, headers, body: String::new() };
    let length = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).unwrap();
    Some(request)
}

fn answer(mut stream: impl Write, reply: Reply) -> std::io::Result<()> {
    match reply {
        Reply::Nothing => Ok(()),
        Reply::Text(status, kind, body) => {
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(format!("{head}{body}").as_bytes())
        }
        Reply::Stream(texts) => {
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes())?;
            for text in texts {
                write!(stream, "{:x}\r\n{text}\r\n", text.len())?;
            }
            Ok(())
        }
    }
}
