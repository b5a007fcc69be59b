//! Reads a stream of Server-Sent Events (WHATWG HTML, section 9.2). Pure: bytes in, messages out. The `id` and `retry` fields
//! are passed over: an event of Ferry's holds its own id, and when to try again is the client's matter.

use std::collections::VecDeque;

/// Longest line and longest message that are accepted; more than any event of `ferryd` has.
const LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// One message of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The `event:` field; `message` where there was none.
    pub(super) event: String,
    /// The `data:` lines, joined by line feeds.
    pub(super) data: String,
}

/// Why a stream cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SseError {
    /// A line or a message is too long.
    #[error("an event is longer than {LIMIT_BYTES} bytes")]
    TooLong,
    /// A line is not UTF-8.
    #[error("an event is not UTF-8")]
    NotUtf8,
}

/// A parser in the middle of a stream.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    after_cr: bool,
    past_first_line: bool,
    event: String,
    data: Option<String>,
    ready: VecDeque<Message>,
}

impl Parser {
    /// Takes the next bytes, however they were cut.
    ///
    /// # Errors
    /// When they cannot be part of a stream of events.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        for &byte in bytes {
            // A line ends with CR, LF or both; the LF of a CR LF ends nothing more.
            let after_cr = std::mem::take(&mut self.after_cr);
            match byte {
                b'\n' if after_cr => {}
                b'\r' | b'\n' => {
                    self.after_cr = byte == b'\r';
                    self.end_line()?;
                }
                _ if self.line.len() >= LIMIT_BYTES => return Err(SseError::TooLong),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    /// The next complete message.
    pub(super) fn next(&mut self) -> Option<Message> {
        self.ready.pop_front()
    }

    fn end_line(&mut self) -> Result<(), SseError> {
        let line = String::from_utf8(std::mem::take(&mut self.line)).map_err(|_| SseError::NotUtf8)?;
        let first = !std::mem::replace(&mut self.past_first_line, true);
        let line = if first { line.strip_prefix('\u{feff}').unwrap_or(&line) } else { &line };
        if line.is_empty() {
            self.dispatch();
            return Ok(());
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        self.field(name, value.strip_prefix(' ').unwrap_or(value))
    }

    /// Takes one field; a comment is a field without a name, and like every unknown one it is passed over.
    fn field(&mut self, name: &str, value: &str) -> Result<(), SseError> {
        match name {
            "data" => match &mut self.data {
                Some(data) if data.len() + value.len() >= LIMIT_BYTES => return Err(SseError::TooLong),
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "event" => value.clone_into(&mut self.event),
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self) {
        let event = std::mem::take(&mut self.event);
        let Some(data) = self.data.take() else { return };
        let event = if event.is_empty() { "message".to_owned() } else { event };
        self.ready.push_back(Message { event, data });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(event: &str, data: &str) -> Message {
        Message { event: event.to_owned(), data: data.to_owned() }
    }

    fn parse(chunks: &[&[u8]]) -> Vec<Message> {
        let mut parser = Parser::default();
        for chunk in chunks {
            parser.push(chunk).unwrap();
        }
        std::iter::from_fn(|| parser.next()).collect()
    }

    #[test]
    fn every_cut_gives_the_same() {
        let text = "\u{feff}id: 1\nevent: task\ndata: a\ndata:b\n\n: keep-alive\n\nid:2\r\ndata: ü\r\n\r\ndata\r\rdata: half";
        let expected = vec![message("task", "a\nb"), message("message", "ü"), message("message", "")];
        let bytes = text.as_bytes();
        for cut in 0..=bytes.len() {
            assert_eq!(parse(&[&bytes[..cut], &bytes[cut..]]), expected, "cut at {cut}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(parse(&single), expected);
    }

    #[test]
    fn comments_unknown_fields_and_empty_events_say_nothing() {
        assert_eq!(parse(&[b":\n\n: x\n\nretry: 5\nevent: task\n\nid: 7\n\n"]), vec![]);
        assert_eq!(parse(&[b"event: task\n\ndata: x\n\n"]), vec![message("message", "x")]);
        assert_eq!(parse(&[b"id: 3\nid: 4\0\ndata: x\n\n"]), vec![message("message", "x")]);
    }

    #[test]
    fn refuses_what_is_no_text_or_too_long() {
        assert_eq!(Parser::default().push(b"data: \xff\n"), Err(SseError::NotUtf8));
        let long = vec![b'x'; LIMIT_BYTES + 1];
        assert_eq!(Parser::default().push(&long), Err(SseError::TooLong));
        let mut parser = Parser::default();
        let mut line = b"data:".to_vec();
        line.resize(LIMIT_BYTES - 1, b'x');
        line.push(b'\n');
        parser.push(&line).unwrap();
        assert_eq!(parser.push(&line), Err(SseError::TooLong));
    }
}
