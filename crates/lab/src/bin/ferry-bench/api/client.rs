//! Requests as a program sends them: over the Unix socket, one after the other on a connection that stays open.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::figures::median;

const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// Requests that are not counted, before those that are: the connection is open, and what is made once was made.
const UNCOUNTED: usize = 5;

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: BufReader<UnixStream>,
    body: Vec<u8>,
}

impl Connection {
    pub(super) fn open(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| socket.display().to_string())?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        Ok(Self { stream: BufReader::with_capacity(1 << 16, stream), body: Vec::new() })
    }

    /// The body of an answer, which has to be 200 and to say how long it is.
    pub(super) fn get(&mut self, path: &str) -> Result<&[u8]> {
        self.stream.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: ferry\r\n\r\n").as_bytes())?;
        let (mut status, mut length, mut line) = (String::new(), None, String::new());
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            match line.trim_end() {
                "" => break,
                head if status.is_empty() => status = head.to_owned(),
                header => {
                    let value = header
                        .split_once(':')
                        .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
                    length = length.or(value.and_then(|(_, value)| value.trim().parse().ok()));
                }
            }
        }
        if status.split(' ').nth(1) != Some("200") {
            bail!("GET {path}: {status:?}");
        }
        self.body.resize(length.context("an answer without a length")?, 0);
        self.stream.read_exact(&mut self.body)?;
        Ok(&self.body)
    }
}

/// How long answers took.
#[derive(Debug, Default)]
pub(super) struct Load {
    answers_ms: Vec<f64>,
    took: Duration,
}

impl Load {
    /// Asks on so many connections for so long, on each one request after the other.
    pub(super) fn put(socket: &Path, path: &str, connections: usize, time: Duration) -> Result<Self> {
        let asked = |mut connection: Connection| -> Result<Self> {
            let mut load = Self::default();
            let begin = Instant::now();
            while begin.elapsed() < time {
                load.ask(&mut connection, path)?;
            }
            load.took = begin.elapsed();
            Ok(load)
        };
        let mut open = Vec::new();
        for _ in 0..connections {
            let mut connection = Connection::open(socket)?;
            (0..UNCOUNTED).try_for_each(|_| connection.get(path).map(drop))?;
            open.push(connection);
        }
        thread::scope(|scope| {
            let threads: Vec<_> =
                open.into_iter().map(|connection| scope.spawn(move || asked(connection))).collect();
            let mut all = Self::default();
            for thread in threads {
                let load = thread.join().map_err(|_| anyhow!("a thread panicked"))??;
                all.answers_ms.extend(load.answers_ms);
                all.took = all.took.max(load.took);
            }
            Ok(all)
        })
    }

    /// Asks once.
    pub(super) fn ask(&mut self, connection: &mut Connection, path: &str) -> Result<()> {
        let begin = Instant::now();
        connection.get(path)?;
        self.answers_ms.push(begin.elapsed().as_secs_f64() * 1000.0);
        Ok(())
    }

    /// Median of the answers' times.
    pub(super) fn median_ms(&self) -> Result<f64> {
        median(&self.answers_ms).context("nothing was asked")
    }

    /// Answers in a second.
    pub(super) fn per_second(&self) -> f64 {
        self.answers_ms.len() as f64 / self.took.as_secs_f64()
    }
}
