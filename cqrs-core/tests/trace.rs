//! What a subscriber hears of an engine. One test: a program has one subscriber, and its engines share it.

mod shop;

use std::collections::BTreeSet;
use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cqrs_core::ReactOptions;
use cqrs_core::prelude::*;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event as Traced, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use shop::{Bought, Refunded, Refunds, Stock};

#[projection(from = Bought, group_by = ())]
#[derive(Debug)]
pub struct Total {
    #[count]
    pub count: u64,
}

#[derive(Debug)]
pub struct Buy(Engine, AtomicBool);

impl Command for Buy {
    type Refusal = ();

    /// Is in conflict the first time.
    fn decide(&self, tx: &mut Tx) -> Result<(), ()> {
        tx.get::<Stock>("hats");
        if !self.1.swap(true, Ordering::Relaxed) {
            let append = self.0.append(Bought { item: "hats".into(), qty: 1 });
            std::thread::spawn(move || append.wait().unwrap()).join().unwrap();
        }
        tx.emit(Bought { item: "hats".into(), qty: 1 });
        Ok(())
    }
}

/// Lines, as a subscriber would print them: level, the spans from the outermost in, what is said, fields.
#[derive(Clone, Default)]
struct Heard {
    lines: Arc<Mutex<Vec<String>>>,
    /// As the documentation has them.
    spans: Arc<Mutex<BTreeSet<String>>>,
}

impl Heard {
    /// A line that begins so.
    #[track_caller]
    fn has(&self, line: &str) {
        let lines = self.lines.lock().unwrap().clone();
        assert!(lines.iter().any(|heard| heard.starts_with(line)), "`{line}` in\n{}", lines.join("\n"));
    }
}

/// Fields as text. How long something took is left out.
#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            "elapsed" => self.others.push_str(" elapsed"),
            name => write!(self.others, " {name}={value:?}").unwrap(),
        }
    }
}

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for Heard {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let (name, level) =
            (attributes.metadata().name(), attributes.metadata().level().as_str().to_lowercase());
        let names: Vec<_> = attributes.metadata().fields().iter().map(|field| format!("`{field}`")).collect();
        self.spans
            .lock()
            .unwrap()
            .insert(format!("| `{name}` | {level} | {} |", names.join(" ")).replace("|  |", "| |"));
        context.span(id).unwrap().extensions_mut().insert(fields);
    }

    fn on_event(&self, event: &Traced<'_>, context: Context<'_, S>) {
        if !event.metadata().target().starts_with("cqrs_core") {
            return;
        }
        let mut line = event.metadata().level().to_string();
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            write!(line, " {}{{{}}}", span.name(), extensions.get::<Fields>().unwrap().others.trim_start())
                .unwrap();
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.lines.lock().unwrap().push(format!("{line}: {}{}", fields.message, fields.others));
    }
}

#[test]
fn a_subscriber_hears_what_an_engine_does() {
    let heard = Heard::default();
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(heard.clone())).unwrap();
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("shop");
    let engine = Engine::open(&folder).unwrap().view::<Stock>().view::<Refunds>();
    let engine = engine.checkpoint_every(Duration::from_secs(3_600), 1_000_000).start().unwrap();
    heard.has("INFO start{}: the engine runs position=0 views=2 elapsed");

    let bought = |item: &str, qty| Bought { item: item.into(), qty };
    engine.append_all([bought("hats", 1), bought("ties", 13)]).wait().unwrap();
    heard.has("TRACE append{requests=1}: durable events=2 position=2");
    heard.has(
        r#"WARN fold{after=0 events=2}: the view parks an event view="stock" position=2 event="Bought" reason="an expression of the projection panicked: thirteen of them""#,
    );

    // Accepted at the second try; refused.
    engine
        .execute(Buy(engine.clone(), AtomicBool::new(false)))
        .key("k")
        .correlation_id("r-1")
        .wait()
        .unwrap();
    let decide = r#"DEBUG decide{command="Buy" key="k" correlation="r-1"}"#;
    heard.has(&format!("{decide}: what the decision read has been touched: it is made anew attempt=1"));
    heard.has(&format!(r#"{decide}: decided outcome="accepted" position=4"#));
    engine.decide(|_| Err(())).wait().unwrap_err();
    heard.has(r#"DEBUG decide{}: decided outcome="refused""#);

    // What a handler does is within its call.
    let options = ReactOptions::new().attempts(2).backoff(Duration::ZERO, Duration::ZERO);
    let mails = engine.react_with::<Refunded>("mails", Since::Beginning, options, |refunded| {
        tracing::info!(target: "cqrs_core::handler", "called");
        if refunded.item == "ties" { Err("no address".into()) } else { Ok(()) }
    });
    let refunded = |item: &str| Refunded { item: item.into() };
    let receipt = engine.append_all([refunded("hats"), refunded("ties")]).wait().unwrap();
    let reached = mails.unwrap().wait_for(&receipt, Duration::from_secs(30)).wait().unwrap();
    assert_eq!(reached, Reached::Reached);
    heard.has(r#"INFO react{reaction="mails" position=5 event="Refunded" attempt=1}: called"#);
    heard.has(r#"INFO react{reaction="mails" position=6 event="Refunded" attempt=2}: called"#);
    heard.has(r#"WARN: it is tried again reaction="mails" position=6 attempt=1 reason="no address""#);
    heard.has(
        r#"WARN: the reaction parks an event reaction="mails" position=6 event="Refunded" attempts=2 reason="no address""#,
    );

    engine.checkpoint().wait().unwrap();
    heard.has("DEBUG checkpoint{}: checkpoint saved views=");
    engine.append(refunded("ghosts")).wait().unwrap();
    let stops = r#"an event stops the view view="refunds" position=7 event="Refunded" reason="an expression of the projection panicked: there are none""#;
    heard.has(&format!("ERROR fold{{after=6 events=1}}: {stops}"));

    // A reader begins at the checkpoint.
    let reader = Engine::open_read_only(&folder).unwrap().view::<Stock>().view::<Refunds>().start().unwrap();
    heard.has(r#"INFO start{}: resumed from the checkpoint view="stock" position=6"#);
    heard.has("INFO start{}: folded what came after the checkpoints after=6 position=7 elapsed");
    reader.close().wait().unwrap();

    engine.append_all((0..20_000).map(|_| bought("caps", 1))).durable().wait().unwrap();
    engine.close().wait().unwrap();
    heard.has("INFO close{}: the engine is closed position=20007 elapsed");

    // Another program: a view is new.
    let engine = Engine::open(&folder).unwrap().view::<Stock>().view::<Total>().event::<Refunded>();
    let engine = engine.start().unwrap();
    engine.wait_ready().wait().unwrap();
    heard.has(r#"INFO start{}: the view is new: folding it from the log view="total""#);
    heard.has("INFO rebuild{views=1}: the log is being folded anew position=");
    heard.has("INFO rebuild{views=1}: folded the log anew elapsed position=20007");
    heard.has(r#"INFO: the view is rebuilt view="total" position=20007"#);

    let documented = include_str!("../OBSERVING.md");
    for span in &*heard.spans.lock().unwrap() {
        assert!(documented.lines().any(|line| line.starts_with(span)), "{span} is not documented");
    }
}
