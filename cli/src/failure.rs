//! What ends the program before it is done, and the exit code that tells it.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use cqrs_core::StartError;
use cqrs_core::store::StoreError;

/// What a subcommand answers.
pub(crate) type Done = Result<(), Failure>;

/// Why it ended. The text is for a person to read.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The store has something wrong; there is nothing to say where a report has said it.
    Damaged(Option<String>),
    /// It cannot be opened or read.
    Unreadable(String),
    /// Nobody reads what is written.
    Closed,
}

impl Failure {
    pub(crate) fn damaged(what: impl ToString) -> Self {
        Self::Damaged(Some(what.to_string()))
    }

    pub(crate) fn say(&self) {
        if let Self::Damaged(Some(what)) | Self::Unreadable(what) = self {
            // Where nobody reads that either, the exit code says it.
            let _ = writeln!(io::stderr(), "cqrs: {what}");
        }
    }

    /// 2 is a wrong argument, which is told from these by `clap`.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Self::Damaged(_) => ExitCode::from(1),
            Self::Unreadable(_) => ExitCode::from(3),
            Self::Closed => ExitCode::SUCCESS,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt { .. } => Self::damaged(error),
            _ => Self::Unreadable(error.to_string()),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => error.into(),
            _ => Self::Unreadable(error.to_string()),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Unreadable(format!("writing what is shown failed: {error}")),
        }
    }
}
