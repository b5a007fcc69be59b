//! How the bytes of a span get over: out of the source by one stream, through here, and into the destination by another. Both streams of
//! the next one are opened while the end of this one is on its way, so that the links do not stand still for that.
//!
//! Its bytes follow only when this one's have arrived: libvirt makes a hole in a file by cutting it off behind it (`ftruncate`), and what
//! was there already would be lost. What a source sends libvirt takes in, wanted or not: a stream for the whole file would end up in memory
//! where the destination is the slower one. So it is two spans at the most.

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, timeout};

use super::carry::Halt;
use super::steps::Work;
use crate::hypervisor::{Digest, Piece, Span};
use crate::libvirt::error::{HostError, OPERATION_ABORTED};
use crate::plan::Carried;

/// How much of a span may be left when the way into the destination is opened for the next one, which takes as long as some of this does.
const INTO_AHEAD_BYTES: u64 = 16 << 20;
/// The same of the way out of the source: what comes by it takes its share of the link from this span, and is not wanted yet.
const OUT_AHEAD_BYTES: u64 = 2 << 20;

type Ended = JoinHandle<Result<(), HostError>>;

/// What is open already for the next span.
#[derive(Default)]
pub(super) struct Ways {
    out: Option<WayOut>,
    into: Option<WayInto>,
    /// Ends that were given up and have not come back: until they do, they may still write what they were given.
    given_up: Vec<Ended>,
    /// When something last went on.
    went_on: Option<Instant>,
}

/// The way of a span out of the source. Who drops it closes it.
struct WayOut {
    span: Span,
    pieces: mpsc::Receiver<Piece>,
    read: Ended,
}

/// The way of a span into the destination. Who drops it closes it.
struct WayInto {
    span: Span,
    pieces: mpsc::Sender<Piece>,
    written: Ended,
}

impl Ways {
    /// For how long nothing has gone on.
    pub(super) fn stood_for(&self) -> Duration {
        self.went_on.map(|at| at.elapsed()).unwrap_or_default()
    }

    /// What came of both ends of a way. Where one breaks, the other does as well, and says less.
    async fn ended(
        &mut self,
        (source, mut out): (&str, WayOut),
        (destination, mut into): (&str, WayInto),
        still: Duration,
    ) -> Result<(), HostError> {
        drop((out.pieces, into.pieces));
        let ends =
            tokio::join!(ended(source, &mut out.read, still), ended(destination, &mut into.written, still));
        self.given_up.extend([out.read, into.written].into_iter().filter(|end| !end.is_finished()));
        match ends {
            (Err(read), Err(written)) if read.libvirt_code() == Some(OPERATION_ABORTED) => Err(written),
            (read, written) => read.and(written),
        }
    }
}

/// What came of one end of a way that has nothing more to do, within so long.
async fn ended(host: &str, end: &mut Ended, still: Duration) -> Result<(), HostError> {
    match timeout(still, end).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(HostError::Unreachable { host: host.to_owned(), reason: error.to_string() }),
        Err(_) => Err(HostError::timed_out(host, "carry a file", still)),
    }
}

impl Work {
    fn open_out(&self, file: &Carried, span: Span) -> WayOut {
        let (sink, pieces) = mpsc::channel(4);
        let (source, from, id) = (self.source.clone(), file.source_path().to_owned(), self.handle.id());
        let read = tokio::spawn(async move { source.read_file(id, &from, span, sink).await });
        WayOut { span, pieces, read }
    }

    fn open_into(&self, file: &Carried, span: Span) -> WayInto {
        let (pieces, coming) = mpsc::channel(4);
        let (destination, into, id) = (self.destination.clone(), file.new.path.clone(), self.handle.id());
        let tenure = self.handle.tenure();
        let written =
            tokio::spawn(async move { destination.write_file(id, &into, span, coming, tenure).await });
        WayInto { span, pieces, written }
    }

    /// Opens what can be opened by now for the span after this one, of which so much is left.
    fn open_ahead(&self, file: &Carried, span: Span, left: u64, ways: &mut Ways) {
        // Where the bandwidth is limited, there is nothing to be gained.
        if self.limit_mib_s().is_some() {
            return;
        }
        let Some(next) = self.next_span(span.until(), file.new.capacity_bytes) else { return };
        if ways.out.is_none() && left <= OUT_AHEAD_BYTES {
            ways.out = Some(self.open_out(file, next));
        }
        if ways.into.is_none() && left <= INTO_AHEAD_BYTES {
            ways.into = Some(self.open_into(file, next));
        }
    }

    /// One try at a span: out of the source, through here, into the destination; what was sent, summed. What is open for the next one is
    /// in `ways`; nothing where it failed.
    pub(super) async fn pass(
        &mut self,
        file: &Carried,
        span: Span,
        ways: &mut Ways,
    ) -> Result<Result<Digest, HostError>, Halt> {
        let out = ways.out.take().filter(|out| out.span == span);
        let mut out = out.unwrap_or_else(|| self.open_out(file, span));
        let into = ways.into.take().filter(|into| into.span == span);
        let into = into.unwrap_or_else(|| self.open_into(file, span));
        let (mut sum, mut left) = (Sha256::new(), span.length);
        let (began, mut passed) = (Instant::now(), 0);
        ways.went_on = Some(began);
        // Nothing for so long: a connection that hangs.
        let still = self.timing.silence;
        while left > 0
            && let Ok(Some(piece)) = timeout(still, out.pieces.recv()).await
        {
            let length = piece.length();
            piece.count_into(&mut sum);
            let bytes = if let Piece::Data(bytes) = &piece { bytes.len() as u64 } else { 0 };
            if !matches!(timeout(still, into.pieces.send(piece)).await, Ok(Ok(()))) || self.is_called_off() {
                break;
            }
            left = left.saturating_sub(length);
            ways.went_on = Some(Instant::now());
            passed += bytes;
            (self.passed.done, self.passed.sent) = (self.passed.done + length, self.passed.sent + bytes);
            self.open_ahead(file, span, left, ways);
            self.keep_to_the_limit(began, passed).await;
            self.tell_carrying().await?;
        }
        if self.is_called_off() {
            return Err(Halt::CalledOff);
        }
        if left > 0 {
            (ways.out, ways.into) = (None, None);
        }
        // The next one may be asked for while the end of this one is on its way.
        let (source, destination) = (self.plan.source.as_str(), self.plan.destination.as_str());
        let ends = ways.ended((source, out), (destination, into), still);
        let (ended, may_go_on) = tokio::join!(ends, self.go_on_only_if_stopped());
        may_go_on?;
        Ok(match ended {
            Ok(()) if left > 0 => {
                let reason = "a file ended too early".to_owned();
                Err(HostError::Unreachable { host: self.plan.source.clone(), reason })
            }
            Ok(()) => Ok(sum.finalize().into()),
            Err(error) => {
                (ways.out, ways.into) = (None, None);
                Err(error)
            }
        })
    }

    /// Waits until what was given up has come back, as long as there is patience for, counted from `since`: it writes into the same file.
    pub(super) async fn wait_for_given_up(&self, ways: &mut Ways, since: Instant) -> Result<(), Halt> {
        let mut wishes = self.handle.wishes();
        let left = self.timing.patience.saturating_sub(since.elapsed());
        let all = async {
            for end in &mut ways.given_up {
                // Whatever it says: it has ended.
                let _ = end.await;
            }
        };
        tokio::select! {
            biased;
            Ok(_) = wishes.wait_for(|wish| wish.cancel) => return Err(Halt::CalledOff),
            ended = timeout(left, all) => ended.map_err(|_| {
                let what = "what was sent there is neither written nor refused".to_owned();
                Halt::Failed(self.of_destination(what))
            })?,
        }
        ways.given_up.clear();
        Ok(())
    }
}
