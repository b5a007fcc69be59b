//! What is shown of a task while it is waited for.

use api::event::Event;
use api::task::{Phase, Task, TaskState};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::command::Context;
use crate::exit::Failure;
use crate::{render, say};

/// One way to show a task.
#[derive(Debug)]
pub(crate) enum Screen {
    /// A live bar on standard error; none while something else is written there.
    Bar {
        /// The bar while it is drawn.
        bar: Option<ProgressBar>,
        /// A question is open; nothing is drawn over it.
        paused: bool,
    },
    /// A line on standard output for each new phase or state.
    Lines {
        /// The last that was written.
        last: Option<(TaskState, Phase)>,
    },
    /// Every event as a line of JSON.
    Events,
    /// Nothing.
    Silent,
}

impl Screen {
    /// For `migrate`, whose JSON is the end alone.
    pub(crate) fn for_migrate(context: &Context) -> Self {
        match (context.can_draw, context.json) {
            (true, _) => Self::Bar { bar: None, paused: false },
            (false, false) => Self::Lines { last: None },
            (false, true) => Self::Silent,
        }
    }

    /// For `task watch`, whose JSON is the events.
    pub(crate) fn for_watch(context: &Context) -> Self {
        if context.json { Self::Events } else { Self::for_migrate(context) }
    }

    /// Shows an event; one that is past only where events are shown as such.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn event(&mut self, event: &Event, is_past: bool) -> Result<(), Failure> {
        match self {
            Self::Events => say::json(event),
            _ if is_past => Ok(()),
            _ => self.task(&event.task),
        }
    }

    /// Shows a task as it is.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub(crate) fn task(&mut self, task: &Task) -> Result<(), Failure> {
        match self {
            Self::Bar { bar, paused: false } => draw(bar.get_or_insert_with(new_bar), task),
            // The end is told by the summary.
            Self::Lines { last } if !task.state.is_settled() && *last != Some((task.state, task.phase)) => {
                *last = Some((task.state, task.phase));
                say::out(&render::task::step(task))?;
            }
            Self::Bar { .. } | Self::Lines { .. } | Self::Events | Self::Silent => {}
        }
        Ok(())
    }

    /// Makes room for something else on the terminal until [`Screen::resume`].
    pub(crate) fn pause(&mut self) {
        self.clear();
        if let Self::Bar { paused, .. } = self {
            *paused = true;
        }
    }

    /// Shows again.
    pub(crate) fn resume(&mut self) {
        if let Self::Bar { paused, .. } = self {
            *paused = false;
        }
    }

    /// Removes what is drawn; the next thing that is shown draws it again.
    pub(crate) fn clear(&mut self) {
        if let Self::Bar { bar, .. } = self
            && let Some(bar) = bar.take()
        {
            bar.finish_and_clear();
        }
    }
}

fn new_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::stderr());
    // Without colours; on a template that cannot be read the bar would still move.
    let style = ProgressStyle::with_template("{prefix} [{wide_bar}] {percent:>3}%\n  {wide_msg}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "))
}

fn draw(bar: &ProgressBar, task: &Task) {
    let state =
        if task.state == TaskState::Cancelling { "cancelling".to_owned() } else { render::word(&task.phase) };
    let prefix = format!("{} {} -> {}: {state}", task.vm, task.source, task.destination);
    bar.set_prefix(say::clean(&prefix).into_owned());
    if let Some(progress) = &task.progress {
        let (disks, disks_all) =
            (progress.storage_processed_bytes.unwrap_or(0), progress.storage_total_bytes.unwrap_or(0));
        let done = progress.memory_processed_bytes.saturating_add(disks);
        let all = progress.memory_processed_bytes.saturating_add(progress.memory_remaining_bytes);
        let all = all.saturating_add(disks_all);
        bar.set_length(all.max(1));
        bar.set_position(done);
        bar.set_message(render::task::figures(progress));
    } else {
        bar.set_message(say::clean(&task.message).replace('\n', " "));
    }
    bar.tick();
}
