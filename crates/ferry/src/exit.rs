//! How `ferry` ends: exit codes and the failures that lead to them.

use std::io;

use api::client::ClientError;
use api::problem::Code;
use api::task::{Task, TaskState};

/// What the process answers to its caller. The numbers are promised in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Done = 0,
    /// Failed; a migrated virtual machine runs on at the source.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The checks refused.
    Refused = 3,
    /// Cancelled.
    Cancelled = 4,
    /// A person must decide.
    NeedsPerson = 5,
    /// Ctrl-C; what was begun goes on (128 and the number of the signal, as shells have it).
    Interrupted = 130,
    /// Asked to terminate; what was begun goes on.
    Terminated = 143,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// The code for a task that is waited for no more.
    pub(crate) fn of_task(task: &Task) -> Self {
        match task.state {
            TaskState::Done => Self::Done,
            TaskState::Cancelled => Self::Cancelled,
            TaskState::NeedsAttention => Self::NeedsPerson,
            TaskState::Failed | TaskState::Queued | TaskState::Running | TaskState::Cancelling => {
                Self::Failed
            }
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// `ferryd` could not be asked or refused.
    #[error("{error}")]
    Client {
        /// What went wrong.
        error: ClientError,
        /// What to do about it at the command line, where `ferryd` cannot know.
        hint: Option<String>,
    },
    /// The command line asks for what does not go together, or lacks something.
    #[error("{0}")]
    Usage(String),
    /// Something else, with what to do about it.
    #[error("{0}")]
    Plain(String),
    /// What was named is not there, or is not one thing; with what to do about it.
    #[error("{0}")]
    Named(String),
    /// Input or output of this process failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Ctrl-C at a question.
    #[error("interrupted")]
    Interrupted,
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Self::Client { error, hint: None }
    }
}

impl Failure {
    /// A failure to ask `ferryd`, with what to do about it.
    pub(crate) fn hint(error: ClientError, hint: impl Into<String>) -> Self {
        Self::Client { error, hint: Some(hint.into()) }
    }

    /// The code to end with.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Client { error: ClientError::Problem(problem), .. } => of_code(problem.code),
            Self::Named(_) => Exit::Usage,
            Self::Interrupted => Exit::Interrupted,
            Self::Usage(_) => Exit::Usage,
            Self::Client { .. } | Self::Plain(_) | Self::Io { .. } => Exit::Failed,
        }
    }
}

fn of_code(code: Code) -> Exit {
    match code {
        Code::BadRequest | Code::BadValue | Code::UnknownVm | Code::UnknownHost | Code::UnknownTask => {
            Exit::Usage
        }
        Code::RefusedByChecks | Code::AlreadyMigrating | Code::VmBusy => Exit::Refused,
        _ => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use api::problem::Problem;

    use super::*;

    #[test]
    fn only_three_groups_of_problems_are_not_plain_failures() {
        for code in Code::ALL {
            let failure = Failure::from(ClientError::Problem(Box::new(Problem::new(*code, "x"))));
            let expected = match code.as_str() {
                "bad-request" | "bad-value" | "unknown-vm" | "unknown-host" | "unknown-task" => 2,
                "refused-by-checks" | "already-migrating" | "vm-busy" => 3,
                _ => 1,
            };
            assert_eq!(failure.exit() as u8, expected, "{code:?}");
        }
    }
}
