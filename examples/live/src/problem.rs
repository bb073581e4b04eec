//! Whatever goes wrong, as an answer: a status, and why, in words (RFC 9457).

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use cqrs_core::prelude::*;
use cqrs_core::{Refusal, WaitError};

use crate::shop::Refused;

#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl ToString) -> Self {
        Self { status, detail: detail.to_string() }
    }

    /// It may go better soon.
    pub(crate) fn later(detail: impl ToString) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let Self { status, detail } = self;
        if status.is_server_error() {
            tracing::warn!(%status, detail, "a request failed");
        }
        let title = status.canonical_reason().unwrap_or_default();
        let problem = serde_json::json!({ "title": title, "status": status.as_u16(), "detail": detail });
        let kind = (header::CONTENT_TYPE, "application/problem+json");
        let mut response = (status, [kind], problem.to_string()).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, 1.into());
        }
        response
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = match refused {
            Refused::Unknown(_) => StatusCode::NOT_FOUND,
            Refused::TooFew { .. } => StatusCode::CONFLICT,
            Refused::Quantity { .. } | Refused::Price { .. } | Refused::Name { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
        };
        Self::new(status, refused)
    }
}

impl From<DecideError<Refused>> for Problem {
    fn from(error: DecideError<Refused>) -> Self {
        match error {
            DecideError::Refused(refused) => refused.into(),
            DecideError::Read { error, .. } => error.into(),
            DecideError::Append(error) => error.into(),
        }
    }
}

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        match &error {
            AppendError::NotAppended(Refusal::EmptyKey { .. } | Refusal::TooLarge { .. }) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, error)
            }
            AppendError::NotAppended(Refusal::Closed | Refusal::Store(_)) => Self::later(error),
            // Whether it was done is not known. Sent again under its key, it is done once.
            AppendError::Unknown { .. } => Self::later(error),
            AppendError::NotAppended(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Rebuilding { .. } | ReadError::Closed => Self::later(error),
            _ => Self::new(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }
}

impl From<WaitError> for Problem {
    fn from(error: WaitError) -> Self {
        match error {
            WaitError::OtherLog { .. } => Self::new(StatusCode::CONFLICT, error),
            _ => Self::later(error),
        }
    }
}

/// What axum could not make sense of has its status; a body that is too large and a wrong content type, too.
macro_rules! rejections {
    ($($rejection:ident)*) => {$(
        impl From<$rejection> for Problem {
            fn from(rejection: $rejection) -> Self {
                Self::new(rejection.status(), rejection.body_text())
            }
        }
    )*};
}

rejections!(JsonRejection PathRejection QueryRejection);
