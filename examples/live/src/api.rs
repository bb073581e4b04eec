//! Commands by POST, queries by GET.

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, http::HeaderName};
use cqrs_core::health::ViewState;
use cqrs_core::prelude::*;
use futures_util::StreamExt;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio::sync::watch;
use tracing::Instrument;

use crate::problem::Problem;
use crate::requests::{Asked, Json, Path, Query, key, last_seen};
use crate::shop::{Board, Buy, Deliver, Delivery, Discontinue, Purchase, Purchases, Refused};
use crate::stream::messages;

/// How long a query waits for what its reader has written.
const PATIENCE: Duration = Duration::from_secs(2);

/// The largest body of a request, in bytes.
const LARGEST: usize = 4 * 1024;

#[derive(Clone)]
pub(crate) struct Service {
    engine: Engine,
    board: View<Board>,
    purchases: View<Purchases>,
    metrics: PrometheusHandle,
    /// Becomes true when streams are to end.
    stopping: watch::Receiver<bool>,
}

impl Service {
    pub(crate) fn new(engine: &Engine, metrics: PrometheusHandle, stopping: watch::Receiver<bool>) -> Self {
        let (board, purchases) = (engine.view(), engine.view());
        Self { engine: engine.clone(), board, purchases, metrics, stopping }
    }

    pub(crate) fn routes(self) -> Router {
        Router::new()
            .route("/", get(async || Html(include_str!("page.html"))))
            .route("/items", get(items))
            .route("/items/{item}", get(item))
            .route("/items/{item}/deliveries", post(deliver))
            .route("/items/{item}/purchases", post(buy))
            .route("/items/{item}/discontinue", post(discontinue))
            .route("/customers/{customer}", get(customer))
            .route("/stream", get(stream))
            .route("/metrics", get(metrics))
            .route("/health", get(health))
            .route("/ready", get(ready))
            .fallback(async || Problem::new(StatusCode::NOT_FOUND, "There is no such page."))
            .method_not_allowed_fallback(async || {
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "Commands are POST, queries are GET.")
            })
            .layer(DefaultBodyLimit::max(LARGEST))
            .layer(middleware::from_fn(at_home))
            .layer(middleware::from_fn(traced))
            .with_state(self)
    }

    async fn execute(
        &self,
        command: impl Command<Refusal = Refused>,
        headers: &HeaderMap,
    ) -> Result<Done, Problem> {
        let decision = self.engine.execute(command);
        let decision = match key(headers)? {
            Some(key) => decision.key(key),
            None => decision,
        };
        Ok(Done(decision.await?))
    }
}

/// What the engine does for a request is within the request's span.
async fn traced(request: Request, next: Next) -> Response {
    let span = tracing::info_span!("request", method = %request.method(), path = request.uri().path());
    next.run(request).instrument(span).await
}

/// It listens to this machine alone. A page of elsewhere whose name was made to mean this machine is told from it by the name that the browser asks for.
async fn at_home(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if ["127.0.0.1", "localhost"].contains(&name) {
        return next.run(request).await;
    }
    Problem::new(StatusCode::MISDIRECTED_REQUEST, format!("There is nothing here for {host:?}."))
        .into_response()
}

/// A command is done: where its events are.
struct Done(Receipt);

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        let Self(receipt) = self;
        let body = serde_json::json!({ "receipt": receipt.to_string(), "position": receipt.last });
        (position(receipt.last), axum::Json(body)).into_response()
    }
}

async fn deliver(
    State(service): State<Service>,
    Path(item): Path<String>,
    headers: HeaderMap,
    Json(delivery): Json<Delivery>,
) -> Result<Done, Problem> {
    service.execute(Deliver { item, delivery }, &headers).await
}

async fn buy(
    State(service): State<Service>,
    Path(item): Path<String>,
    headers: HeaderMap,
    Json(purchase): Json<Purchase>,
) -> Result<Done, Problem> {
    service.execute(Buy { item, purchase }, &headers).await
}

async fn discontinue(
    State(service): State<Service>,
    Path(item): Path<String>,
    headers: HeaderMap,
) -> Result<Done, Problem> {
    service.execute(Discontinue { item }, &headers).await
}

/// The answer of a query, and the position that it is as of.
struct AsOf<T>(u64, T);

impl<T: Serialize> IntoResponse for AsOf<T> {
    fn into_response(self) -> Response {
        (position(self.0), axum::Json(self.1)).into_response()
    }
}

fn position(position: u64) -> [(HeaderName, String); 1] {
    [(HeaderName::from_static("position"), position.to_string())]
}

/// Waits until the view shows what the reader has written, if the reader says so.
async fn shown<P: Projection>(view: &View<P>, at: Option<Receipt>) -> Result<(), Problem> {
    let Some(receipt) = at else { return Ok(()) };
    match view.wait_for(&receipt, PATIENCE).await? {
        Reached::Reached => Ok(()),
        Reached::TimedOut { behind } => Err(Problem::later(format!("The view is {behind} events behind."))),
        Reached::Rebuilding { position, head } => Err(ReadError::Rebuilding { position, head }.into()),
        Reached::Faulted(fault) => Err(ReadError::Faulted(fault).into()),
    }
}

async fn items(
    State(service): State<Service>,
    Query(asked): Query<Asked>,
) -> Result<AsOf<Vec<Board>>, Problem> {
    shown(&service.board, asked.at).await?;
    let rows = match asked.shelf {
        Some(shelf) => service.board.by_shelf(Some(&*shelf))?,
        None => service.board.rows_by_key()?,
    };
    Ok(AsOf(rows.position(), rows.collect()))
}

async fn item(
    State(service): State<Service>,
    Path(item): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<AsOf<Board>, Problem> {
    shown(&service.board, asked.at).await?;
    let (position, row) = service.engine.snapshot(|views| (views.position(), views.get::<Board>(&item)));
    Ok(AsOf(position, row?.ok_or(Refused::Unknown(item))?))
}

async fn customer(
    State(service): State<Service>,
    Path(customer): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<AsOf<Vec<Purchases>>, Problem> {
    shown(&service.purchases, asked.at).await?;
    let rows = service.purchases.rows_of(&*customer)?;
    Ok(AsOf(rows.position(), rows.collect()))
}

async fn stream(State(service): State<Service>, headers: HeaderMap) -> impl IntoResponse {
    let Service { engine, mut stopping, .. } = service;
    let stopped = async move { drop(stopping.wait_for(|stopping| *stopping).await) };
    Sse::new(messages(&engine, last_seen(&headers)).take_until(Box::pin(stopped)))
        .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

async fn metrics(State(service): State<Service>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], service.metrics.render())
}

/// Whether it is to be restarted, and how it is doing.
async fn health(State(service): State<Service>) -> impl IntoResponse {
    let health = service.engine.health();
    let views = health.views.iter().map(|view| {
        let state = match &view.state {
            ViewState::Live => "live".to_owned(),
            ViewState::Rebuilding { position, head } => format!("rebuilding, {position} of {head}"),
            ViewState::Faulted(fault) => fault.to_string(),
        };
        serde_json::json!({ "name": view.name, "state": state, "lag": view.lag, "parked": view.parked })
    });
    // A full disk passes, without checkpoints it goes on, and a view that is rebuilt would begin anew: those are for an alert, and no reason to end it.
    let well = !health.needs_restart();
    let body = serde_json::json!({
        "well": well,
        "position": health.position,
        "broken": health.broken,
        "append_failure": health.append_failure,
        "checkpoint_failure": health.checkpoint_failure,
        "views": views.collect::<Vec<_>>(),
    });
    (if_so(well), axum::Json(body))
}

/// Whether requests are to be sent here.
async fn ready(State(service): State<Service>) -> StatusCode {
    if_so(service.engine.health().is_ready())
}

fn if_so(so: bool) -> StatusCode {
    if so { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
