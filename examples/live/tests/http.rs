//! The service, over HTTP.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use ureq::Agent;
use ureq::http::{Request, Response, StatusCode};

/// A running service.
struct Server {
    runtime: Runtime,
    base: String,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
    agent: Agent,
}

struct Answer {
    status: u16,
    headers: ureq::http::HeaderMap,
    body: Value,
}

impl Answer {
    fn of(mut response: Response<ureq::Body>) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.body_mut().read_to_string().unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self { status, headers, body }
    }

    #[track_caller]
    fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.body
    }

    /// What a refusal says.
    #[track_caller]
    fn problem(self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.body);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["title"], StatusCode::from_u16(status).unwrap().canonical_reason().unwrap());
        self.body["detail"].as_str().unwrap().to_owned()
    }
}

impl Server {
    fn start(folder: &Path) -> Self {
        let engine = live::open(folder).unwrap();
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel();
        let serving = runtime.spawn(live::serve(listener, engine, async { drop(stopped.await) }));
        let timeout = Some(Duration::from_secs(60));
        let agent =
            Agent::config_builder().http_status_as_error(false).timeout_global(timeout).build().into();
        Self { runtime, base, stop, serving, agent }
    }

    /// Ends it as ctrl-c does.
    fn stop(self) {
        self.stop.send(()).unwrap();
        self.runtime.block_on(self.serving).unwrap().unwrap();
    }

    fn get(&self, path: &str) -> Answer {
        Answer::of(self.agent.get(format!("{}{path}", self.base)).call().unwrap())
    }

    fn send(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let request = Request::post(format!("{}{path}", self.base));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        Answer::of(self.agent.run(request.body(body.to_owned()).unwrap()).unwrap())
    }

    fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        self.send(path, &headers, &body.to_string())
    }

    fn deliver(&self, item: &str, qty: u32) -> Value {
        let body = json!({ "shelf": "hats", "qty": qty, "cents": 1_000 });
        self.post(&format!("/items/{item}/deliveries"), &format!("deliver {item}"), &body).ok()
    }

    fn buy(&self, item: &str, customer: &str, qty: u32, key: &str) -> Answer {
        let body = json!({ "customer": customer, "qty": qty });
        self.post(&format!("/items/{item}/purchases"), key, &body)
    }

    fn stream(&self, last_seen: Option<&str>) -> Messages {
        let mut request = self.agent.get(format!("{}/stream", self.base));
        if let Some(id) = last_seen {
            request = request.header("last-event-id", id);
        }
        let response = request.call().unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Messages(Box::new(BufReader::new(response.into_body().into_reader()).lines().map(Result::unwrap)))
    }
}

/// The messages of a stream.
struct Messages(Box<dyn Iterator<Item = String>>);

#[derive(Debug, Default, PartialEq)]
struct Message {
    event: String,
    id: String,
    data: Value,
}

impl Message {
    /// What it says of each row: the item, and how many are left.
    fn left(&self) -> Vec<(&str, i64)> {
        let rows = self.data["rows"].as_array().unwrap().iter();
        rows.map(|row| (row["item"].as_str().unwrap(), row["left"].as_i64().unwrap())).collect()
    }
}

impl Iterator for Messages {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        let mut message = Message::default();
        loop {
            let line = self.0.next()?;
            match line.split_once(": ") {
                Some(("event", text)) => message.event = text.into(),
                Some(("id", text)) => message.id = text.into(),
                Some(("data", text)) => message.data = serde_json::from_str(text).unwrap(),
                _ if line.is_empty() && !message.event.is_empty() => return Some(message),
                _ => {}
            }
        }
    }
}

fn shop() -> (tempfile::TempDir, Server) {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("shop"));
    (folder, server)
}

#[test]
fn what_is_bought_is_seen_by_whoever_asks_with_the_receipt() {
    let (_folder, server) = shop();
    server.deliver("bowler", 3);
    server.deliver("panama", 1);
    let body = server.buy("bowler", "ann", 2, "1").ok();
    assert_eq!(body["position"], 3);

    let at = body["receipt"].as_str().unwrap();
    let answer = server.get(&format!("/items/bowler?at={at}"));
    assert_eq!(answer.headers["position"], "3");
    let bowler = json!({
        "item": "bowler", "shelf": "hats", "cents": 1_000, "left": 1, "sold": 2, "takings": 2_000, "customers": 1
    });
    assert_eq!(answer.ok(), bowler);
    let answer = server.get(&format!("/customers/ann?at={at}"));
    assert_eq!(answer.headers["position"], "3");
    assert_eq!(answer.ok(), json!([{ "customer": "ann", "item": "bowler", "qty": 2, "cents": 2_000 }]));
    assert_eq!(server.get("/customers/bob").ok(), json!([]));

    assert_eq!(server.get("/items").ok().as_array().unwrap().len(), 2);
    assert_eq!(server.get("/items?shelf=hats").ok()[0], bowler);
    assert_eq!(server.get("/items?shelf=scarves").ok(), json!([]));
    let page = server.get("/");
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    server.stop();
}

#[test]
fn a_command_that_is_sent_again_is_one_command() {
    let (_folder, server) = shop();
    server.deliver("bowler", 3);
    let first = server.buy("bowler", "ann", 2, "order-1").ok();
    // Were it another one, there would be too few.
    assert_eq!(server.buy("bowler", "ann", 2, "order-1").ok(), first);
    assert_eq!(server.get("/items/bowler").ok()["left"], 1);
    assert_eq!(server.buy("bowler", "ann", 2, "order-2").problem(409), "Only 1 of bowler left.");
    // A refusal is not remembered.
    server.post("/items/bowler/deliveries", "more", &json!({ "shelf": "hats", "qty": 1, "cents": 900 })).ok();
    server.buy("bowler", "ann", 2, "order-2").ok();
    server.stop();
}

#[test]
fn what_goes_wrong_says_what() {
    let (_folder, server) = shop();
    server.deliver("bowler", 3);
    assert_eq!(server.buy("bowler", "ann", 0, "1").problem(422), "0 is no quantity: take 1 to 10.");
    assert_eq!(
        server.buy("bowler", " ", 1, "1").problem(422),
        "A name has 1 to 40 characters, and one space between words."
    );
    assert_eq!(server.buy("fez", "ann", 1, "1").problem(404), "There is no fez in this shop.");
    assert_eq!(server.get("/items/fez").problem(404), "There is no fez in this shop.");
    let price = json!({ "shelf": "hats", "qty": 1, "cents": 0 });
    assert_eq!(
        server.post("/items/fez/deliveries", "1", &price).problem(422),
        "A price is 1 to 1000000 cents."
    );
    assert!(server.buy("bowler", "ann", 1, "").problem(422).contains("key of the command `Buy` is empty"));

    let path = "/items/bowler/purchases";
    let json = [("content-type", "application/json")];
    assert!(server.send(path, &json, "{").problem(400).contains("EOF"));
    assert!(
        server.send(path, &json, r#"{ "customer": "ann" }"#).problem(422).contains("missing field `qty`")
    );
    assert!(server.send(path, &[], "{}").problem(415).contains("application/json"));
    let large = json!({ "customer": "a".repeat(5_000), "qty": 1 });
    assert!(server.post(path, "1", &large).problem(413).contains("limit"));
    assert!(server.get("/nowhere").problem(404).contains("no such page"));
    assert!(server.get(path).problem(405).contains("POST"));
    assert!(server.get("/items/%FF").problem(400).contains("UTF-8"));

    assert!(server.get("/items?at=7").problem(400).contains("`7` is not a receipt"));
    let other = format!("/items?at={}-1-1", "0".repeat(32));
    assert!(server.get(&other).problem(409).contains("sent to the wrong place"));
    let here = server.buy("bowler", "ann", 1, "1").ok();
    let ahead = here["receipt"].as_str().unwrap().replace("-2-2", "-9-9");
    let answer = server.get(&format!("/items?at={ahead}"));
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(answer.problem(503), "The view is 7 events behind.");
    server.stop();
}

#[test]
fn a_stream_has_all_rows_then_what_changes_and_goes_on_where_it_was_left() {
    let (folder, server) = shop();
    server.deliver("bowler", 9);
    server.deliver("panama", 5);
    let mut messages = server.stream(None);
    let all = messages.next().unwrap();
    assert_eq!((&*all.event, all.left()), ("all", vec![("bowler", 9), ("panama", 5)]));
    server.buy("bowler", "ann", 2, "1").ok();
    let changed = messages.next().unwrap();
    assert_eq!((&*changed.event, changed.left()), ("changes", vec![("bowler", 7)]));
    assert_eq!(changed.data["position"], 3);
    drop(messages);

    // What happens while nobody listens.
    server.buy("bowler", "bob", 1, "2").ok();
    server.deliver("fez", 4);
    server.post("/items/panama/discontinue", "3", &Value::Null).ok();
    let missed = server.stream(Some(&changed.id)).next().unwrap();
    assert_eq!((&*missed.event, missed.left()), ("changes", vec![("bowler", 6), ("fez", 4)]));
    assert_eq!((&missed.data["gone"], &missed.data["position"]), (&json!(["panama"]), &json!(6)));

    // The same from another process, and nothing for those who have seen everything.
    server.stop();
    let server = Server::start(&folder.path().join("shop"));
    assert_eq!(server.stream(Some(&changed.id)).next().unwrap().left(), [("bowler", 6), ("fez", 4)]);
    let nothing = server.stream(Some(&missed.id)).next().unwrap();
    assert_eq!((&*nothing.event, nothing.left(), &nothing.id), ("changes", vec![], &missed.id));

    // Ids of another log, of the future, and of nobody's.
    let ahead = missed.id.replace("-6-6", "-7-7");
    let foreign = format!("{}{}", "0".repeat(32), &missed.id[32..]);
    for id in [&*foreign, &ahead, "6"] {
        let all = server.stream(Some(id)).next().unwrap();
        assert_eq!((&*all.event, all.left()), ("all", vec![("bowler", 6), ("fez", 4)]), "{id}");
    }
    server.stop();
}

#[test]
fn a_stop_ends_streams_and_the_next_start_has_everything() {
    let (folder, server) = shop();
    server.deliver("bowler", 3);
    let bought = server.buy("bowler", "ann", 1, "1").ok();
    let mut messages = server.stream(None);
    messages.next().unwrap();
    server.stop();
    assert_eq!(messages.next(), None);

    let server = Server::start(&folder.path().join("shop"));
    assert_eq!(server.buy("bowler", "ann", 1, "1").ok(), bought);
    assert_eq!(server.get("/items/bowler").ok()["left"], 2);
    server.stop();
}

#[test]
fn a_name_is_as_a_page_shows_it() {
    let (_folder, server) = shop();
    for item in ["%20bowler", "bowler%20", "a%20%20b", "%20", "a%09b"] {
        let answer = server.post(
            &format!("/items/{item}/deliveries"),
            "key",
            &json!({ "shelf": "hats", "qty": 1, "cents": 1 }),
        );
        assert!(answer.problem(422).starts_with("A name has"), "{item}");
    }
    server.deliver("top%20hat", 1);
    server.stop();
}

#[test]
fn a_page_of_elsewhere_gets_nothing() {
    let (_folder, server) = shop();
    server.deliver("bowler", 3);
    let foreign = [("host", "evil.example:4000")];
    server.send("/items/bowler/discontinue", &foreign, "").problem(421);
    server.send("/items/bowler/discontinue", &[("host", "localhost:4000")], "").ok();
    server.stop();
}

#[test]
fn health_and_metrics_are_shown() {
    let (_folder, server) = shop();
    server.deliver("bowler", 3);
    let health = server.get("/health").ok();
    assert_eq!((&health["well"], &health["position"]), (&json!(true), &json!(1)));
    assert_eq!(health["views"][0], json!({ "name": "board", "state": "live", "lag": 0, "parked": 0 }));
    server.get("/ready").ok();

    let answer = server.get("/metrics");
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let Value::String(metrics) = answer.ok() else { panic!("metrics are text") };
    for start in ["# TYPE cqrs_append_seconds histogram", r#"cqrs_view_lag_events{view="board"} "#] {
        assert!(metrics.lines().any(|line| line.starts_with(start)), "{start} in {metrics}");
    }
    server.stop();
}
