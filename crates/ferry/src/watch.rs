//! Waiting for a task's end, with a person who may want it otherwise.
//!
//! ```text
//!             Ctrl-C, at a terminal              c: cancel, Enter: nothing
//!   Watching ───────────────────────▶ Asked ───────────────────────────────▶ Watching
//!      │                                │
//!      │ Ctrl-C elsewhere, SIGTERM      │ l, Ctrl-C again, SIGTERM, end of input
//!      ▼                                ▼
//!    Left ◀─────────────────────────────┘            (an end of the task ends either)
//! ```
//! Invariant: leaving changes nothing about the task; only `c` does, and then its end is waited for.

use api::client::{ClientError, EventStream, Item};
use api::event::Event;
use api::task::Task;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::command::Context;
use crate::exit::{Exit, Failure};
use crate::prompt::{self, Line};
use crate::screen::Screen;
use crate::{render, say};

const QUESTION: &str = "[c] cancel the migration, [l] leave it running, [Enter] go on watching: ";

/// The signals that a person or the system stops this process with.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From now on they do not end the process.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn catch() -> Result<Self, Failure> {
        let catch = |kind| signal(kind).map_err(|source| Failure::Io { what: "catching signals", source });
        Ok(Self { interrupt: catch(SignalKind::interrupt())?, terminate: catch(SignalKind::terminate())? })
    }

    /// Waits for the next; gives the code that it ends a process with.
    pub(crate) async fn next(&mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
        }
    }
}

/// How the waiting ended.
#[derive(Debug)]
pub(crate) enum End {
    /// There is nothing more to wait for.
    Settled(Box<Task>),
    /// The task goes on; it was like this last. With the code to end with.
    Left(Box<Task>, Exit),
}

/// Waits for one task.
#[derive(Debug)]
pub(crate) struct Watch<'a> {
    context: &'a Context,
    signals: &'a mut Signals,
    screen: Screen,
    stream: EventStream,
    task: Box<Task>,
    /// The task is as old as this process; every event is news.
    own: bool,
    question: Option<Line>,
}

enum Happening {
    Item(Item),
    Signal(Exit),
    Answer(Option<String>),
}

impl<'a> Watch<'a> {
    /// Waits for a task that was accepted just now.
    pub(crate) fn new(context: &'a Context, task: Task, screen: Screen, signals: &'a mut Signals) -> Self {
        // From the first event on, so that none is missed between the answer and the stream.
        let stream = context.client.events(Some(task.id), 0);
        Self { context, signals, screen, stream, task: Box::new(task), own: true, question: None }
    }

    /// Waits for a task that is under way already; its history comes first.
    pub(crate) fn joining(
        context: &'a Context,
        task: Task,
        screen: Screen,
        signals: &'a mut Signals,
    ) -> Self {
        Self { own: false, ..Self::new(context, task, screen, signals) }
    }

    /// Waits.
    ///
    /// # Errors
    /// When the events cannot be had any more (what becomes of the task is not known then), or output fails.
    pub(crate) async fn run(mut self) -> Result<End, Failure> {
        self.screen.task(&self.task)?;
        let end = loop {
            let end = match self.happening().await? {
                Happening::Item(item) => self.on_item(item).await?,
                Happening::Signal(exit) => self.on_signal(exit),
                Happening::Answer(answer) => self.on_answer(answer).await?,
            };
            if let Some(end) = end {
                break end;
            }
        };
        if self.question.is_some() {
            // Nobody ended the line of the question.
            say::err("");
        }
        self.screen.clear();
        if let End::Left(task, _) = &end {
            say::err(&render::task::left_running(task));
        }
        Ok(end)
    }

    /// Waits for whatever comes first.
    async fn happening(&mut self) -> Result<Happening, Failure> {
        tokio::select! {
            // The task's end counts for more than what a person wants of it.
            biased;
            item = self.stream.next() => match item {
                Ok(item) => Ok(Happening::Item(item)),
                Err(error) => {
                    self.screen.clear();
                    Err(lost(&error, &self.task))
                }
            },
            exit = self.signals.next() => Ok(Happening::Signal(exit)),
            answer = answer(&mut self.question) => Ok(Happening::Answer(answer)),
        }
    }

    async fn on_item(&mut self, item: Item) -> Result<Option<End>, Failure> {
        match item {
            Item::Lost(error) => {
                self.screen.clear();
                say::err(&format!("ferry: {error}; trying again"));
                Ok(None)
            }
            Item::Event(event) => {
                // What was before this watch began is history: not shown to a person as if it happened now.
                let is_past = event.task.updated_at_ms < self.task.updated_at_ms;
                self.screen.event(&event, is_past)?;
                let settled = event.task.state.is_settled() && self.is_last(&event).await?;
                if settled || !is_past {
                    *self.task = event.task;
                }
                Ok(settled.then(|| End::Settled(self.task.clone())))
            }
        }
    }

    /// Whether an event is how the task is now. A task that needed a person once and was resolved has that in its history.
    async fn is_last(&self, event: &Event) -> Result<bool, Failure> {
        if self.own {
            return Ok(true);
        }
        let now = self.context.client.task(event.task.id).await?;
        Ok(now.state == event.task.state && now.updated_at_ms == event.task.updated_at_ms)
    }

    fn on_signal(&mut self, exit: Exit) -> Option<End> {
        if exit == Exit::Interrupted && self.context.can_ask && self.question.is_none() {
            self.ask();
            return None;
        }
        Some(self.left(exit))
    }

    fn ask(&mut self) {
        self.screen.pause();
        prompt::forget_typed();
        say::ask(&format!("\n{QUESTION}"));
        self.question = Some(prompt::begin_line());
    }

    async fn on_answer(&mut self, answer: Option<String>) -> Result<Option<End>, Failure> {
        self.question = None;
        match answer.as_deref().map(str::trim) {
            Some("c" | "C") => self.cancel().await,
            Some("") => {}
            Some("l" | "L") | None => return Ok(Some(self.left(Exit::Interrupted))),
            Some(_) => {
                self.ask();
                return Ok(None);
            }
        }
        self.screen.resume();
        self.screen.task(&self.task)?;
        Ok(None)
    }

    /// Asks `ferryd` to cancel; where that is too late, the end is waited for all the same.
    async fn cancel(&mut self) {
        match self.context.client.cancel(self.task.id).await {
            Ok(_) => say::err("The migration is asked to stop; waiting for its end."),
            Err(error) => say::err(&format!("ferry: {error}")),
        }
    }

    fn left(&self, exit: Exit) -> End {
        End::Left(self.task.clone(), exit)
    }
}

/// Whatever the reason, it says nothing of how the task ends.
fn lost(error: &ClientError, task: &Task) -> Failure {
    Failure::Plain(format!(
        "what becomes of the migration of {} cannot be seen any more: {error}\nIt may go on all the same: ferry task watch {}",
        task.vm, task.id
    ))
}

/// Waits for the answer to an open question; without one, for ever. None when the input ended or cannot be read.
async fn answer(question: &mut Option<Line>) -> Option<String> {
    match question {
        Some(line) => line.await.ok()?.ok()?.map(|line| line.to_string()),
        None => std::future::pending().await,
    }
}
