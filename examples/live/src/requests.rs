//! What requests carry. What cannot be read of them is answered with a [`Problem`].

use axum::extract::{FromRequest, FromRequestParts};
use axum::http::{HeaderMap, StatusCode};
use cqrs_core::prelude::*;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::problem::Problem;
use crate::stream::seen;

#[derive(FromRequest)]
#[from_request(via(axum::Json), rejection(Problem))]
pub(crate) struct Json<T>(pub(crate) T);

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub(crate) struct Path<T>(pub(crate) T);

#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub(crate) struct Query<T>(pub(crate) T);

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    /// What the reader has written, and is to see in the answer.
    #[serde(default, deserialize_with = "receipt")]
    pub(crate) at: Option<Receipt>,
    pub(crate) shelf: Option<String>,
}

fn receipt<'de, D: Deserializer<'de>>(text: D) -> Result<Option<Receipt>, D::Error> {
    let text = Option::<String>::deserialize(text)?;
    text.map(|text| text.parse()).transpose().map_err(Error::custom)
}

/// By which the sender of a command knows it again.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let key = headers.get("idempotency-key").map(|key| key.to_str()).transpose();
    key.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("Idempotency-Key: {error}")))
}

/// The last message that a reader of the stream has got.
pub(crate) fn last_seen(headers: &HeaderMap) -> Option<Receipt> {
    seen(headers.get("last-event-id")?.to_str().ok()?)
}
